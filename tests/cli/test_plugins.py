"""`seqaug plugins list | show | why` and --no-plugins, among strangers' plugins in every state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from seqaug.cli.main import cli
from seqaug.core import discovery, isolation
from seqaug.data.synthetic import toy_world
from strangers import DRAW, SOURCE, forgotten, put

# A shell's background jobs ignore Ctrl-C, and so would what they start.
COMMAND = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from seqaug.cli.main import main; main()",
]
VARIABLE = "SEQAUG_DISABLE_PLUGINS"
TINY = ["-s", "data.max_length=8", "-s", "items.dim=8", "-s", "diffusions.main.schedule.steps=5", "--device", "cpu"]

Seqaug = Callable[..., Result]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path in which strangers' distributions are installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    for name in list(os.environ):
        if name.startswith("SEQAUG_"):
            monkeypatch.delenv(name)
    with forgotten():
        yield folder


@pytest.fixture
def seqaug(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seqaug:
    """Runs a command in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "home"))
    return lambda *words, **environment: CliRunner().invoke(cli, list(words), env=environment)


@pytest.fixture
def process(site: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in an empty folder, in a process of its own."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEQAUG_", "FORCE_COLOR"))}
        path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
        kept |= {"PYTHONPATH": path, "SEQAUG_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1", **environment}
        return subprocess.run([*COMMAND, *words], capture_output=True, text=True, cwd=tmp_path, env=kept)

    return run


def document(done: Result | subprocess.CompletedProcess[str]) -> Any:
    """The one JSON document on stdout."""
    return json.loads(done.stdout)


def of(found: Any, distribution: str) -> Any:
    (one,) = [one for one in found["plugins"] if one["distribution"] == distribution]
    return one


def every_state(site: Path) -> None:
    """One distribution for each way in which a plugin can be right or wrong."""
    put(site, "stranger-good", f"class Pink:\n    seqaug_api = 1\n{DRAW}", name="good")
    put(site, "stranger-missing", "x = 1\nimport nothing_like_this\n", name="missing")
    put(site, "stranger-nameless", "class Punk: pass", name="nameless")
    put(site, "stranger-quits", "import sys; sys.exit(3)", name="quits")
    put(site, "stranger-wrong", "class Pink:\n    def draw(self, vectors): ...\n", name="wrong")
    put(site, "stranger-function", "def Pink(): ...", name="function")
    put(site, "stranger-constructor", f"class Pink:\n    def __init__(self, k: int = 1): ...\n{DRAW}", name="constructor")
    put(site, "stranger-typed", f"class Pink:\n    def __init__(self, *, k: '1 / 0' = 1): ...\n{DRAW}", name="typed")
    put(site, "stranger-c", "class Pink:\n    draw = dict.fromkeys\n", name="c")
    put(site, "stranger-newer", "class Pink:\n    seqaug_api = 2\n", name="newer")
    put(site, "stranger-off", "raise AssertionError('a disabled plugin was imported')", name="off")


BROKEN = {
    "stranger-missing": "ModuleNotFoundError: No module named 'nothing_like_this'",
    "stranger-nameless": "has no attribute 'Pink'",
    "stranger-quits": "it ends the process when imported (SystemExit: 3)",
    "stranger-wrong": "expected: draw(self, clean, items, table, generator)\n  found:    draw(self, vectors)",
    "stranger-function": "is not a class",
    "stranger-constructor": "'k' is neither given by the assembly",
    "stranger-typed": "its constructor cannot be read: ZeroDivisionError",
    "stranger-c": "does not keep the interface",
}
"""Distribution -> what is said of it."""


# ---- list ----


def test_a_list_imports_nothing(seqaug: Seqaug, site: Path) -> None:
    every_state(site)
    done = seqaug("plugins", "list")
    assert done.exit_code == 0
    row = next(line for line in done.stdout.splitlines() if "stranger-good" in line)
    assert row.split() == ["noise_sources", "good", "stranger-good", "0.1"]
    assert not [name for name in sys.modules if name.startswith("stranger_")]


def test_a_loaded_list_says_how_each_stands_and_is_no_failure(seqaug: Seqaug, site: Path) -> None:
    every_state(site)
    done = seqaug("plugins", "list", "--load", "--kind", "noise_sources", **{VARIABLE: "stranger-off"})
    assert done.exit_code == 0
    states = {line.split()[1]: line.split()[-1] for line in done.stdout.splitlines() if line.startswith("noise_sources")}
    assert states == {
        "gaussian": "ok", "mixture": "ok", "similarity": "ok", "good": "ok",
        "missing": "broken", "nameless": "broken", "quits": "broken", "wrong": "broken", "function": "broken",
        "constructor": "broken", "typed": "broken", "c": "broken", "newer": "incompatible", "off": "disabled",
    }  # fmt: skip
    for distribution, cause in BROKEN.items():
        assert f"({distribution} 0.1)" in done.stdout and cause in done.stdout
    assert "incompatible: the noise source 'newer' (stranger-newer 0.1) was written for version 2" in done.stdout
    assert done.stderr.strip() == "8 broken, 4 ok, 1 incompatible, 1 disabled"


def test_a_loaded_list_as_json_carries_all_of_it(seqaug: Seqaug, site: Path) -> None:
    every_state(site)
    put(site, "stranger-torn", declared="nonsense")
    put(site, "stranger-typo", declared="[seqaug.noise_source]\npink = stranger_typo:Pink\n")
    found = document(seqaug("plugins", "list", "--load", "--json", **{VARIABLE: "stranger-off"}))
    for distribution, cause in BROKEN.items():
        one = of(found, distribution)
        assert (one["state"], one["version"], one["disabled"]) == ("broken", "0.1", None)
        assert cause in one["cause"] and distribution in one["cause"]
    assert of(found, "stranger-good") | {"state": "ok", "cause": None, "api": 1} == of(found, "stranger-good")
    assert of(found, "stranger-newer")["state"] == "incompatible"
    assert (of(found, "stranger-off")["state"], of(found, "stranger-off")["disabled"]) == (
        "disabled",
        f"{VARIABLE}=stranger-off",
    )
    assert [one["distribution"] for one in found["broken"]] == ["stranger-torn"]
    assert "seqaug.noise_sources" in found["misplaced"][0]


def test_a_list_without_loading_names_what_is_disabled(seqaug: Seqaug, site: Path) -> None:
    every_state(site)
    done = seqaug("plugins", "list", **{VARIABLE: "stranger-off"})
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["kind", "name", "distribution", "version", "state"]
    assert ["noise_sources", "off", "stranger-off", "0.1", "disabled"] in rows
    assert ["noise_sources", "good", "stranger-good", "0.1"] in rows
    found = document(seqaug("plugins", "list", "--json", **{VARIABLE: "stranger-off"}))
    assert of(found, "stranger-off")["disabled"] == f"{VARIABLE}=stranger-off"
    assert "state" not in of(found, "stranger-off")


def test_a_broken_distribution_is_told_on_stderr_and_nobody_else_loses_anything(seqaug: Seqaug, site: Path) -> None:
    put(site, "stranger-good", name="good")
    put(site, "stranger-torn", declared="nonsense")
    done = seqaug("plugins", "list")
    assert "stranger-torn 0.1 has a malformed entry_points.txt" in done.stderr
    assert "stranger-good" in done.stdout and "similarity" in done.stdout
    discovery.refresh()
    assert seqaug("plugins", "list", "--no-plugins").stderr == ""


def test_a_group_that_is_no_kind_is_a_note(seqaug: Seqaug, site: Path) -> None:
    put(site, "stranger-typo", declared="[seqaug.noise_source]\nrosy = stranger_typo:Pink\n")
    assert "Did you mean 'seqaug.noise_sources'?" in seqaug("plugins", "list").stderr
    for verb in ("show", "why"):
        done = seqaug("plugins", verb, "rosy")
        assert done.exit_code == 2 and "stranger-typo 0.1 declares 'rosy'" in done.stderr
    found = document(seqaug("doctor", "--json"))
    assert any(one["state"] == "wrong" and "stranger-typo" in one["message"] for one in found["checks"])


def test_a_name_that_two_claim_is_a_note_of_the_list_and_of_the_doctor(seqaug: Seqaug, site: Path) -> None:
    put(site, "stranger-one")
    put(site, "stranger-two")
    said = "two plugins are a noise source called 'pink': stranger-one (stranger-one 0.1) and stranger-two (stranger-two 0.1)."
    done = seqaug("plugins", "list")
    assert done.exit_code == 0 and said in done.stderr and not [one for one in sys.modules if one.startswith("stranger_")]
    assert seqaug("plugins", "list", "--kind", "heads").stderr == ""
    (message,) = document(seqaug("plugins", "list", "--json"))["collisions"]
    assert message.startswith(said)
    told = {one["message"]: one["state"] for one in document(seqaug("doctor", "--json"))["checks"]}
    assert told[message] == "note"
    assert document(seqaug("plugins", "list", "--json", **{VARIABLE: "stranger-one"}))["collisions"] == []


def test_a_slow_plugin_is_one_note_with_the_time_and_the_distribution(
    seqaug: Seqaug, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "stranger-slow", name="slow")
    now = iter(number * 4.2 for number in range(100))
    monkeypatch.setattr(isolation, "_clock", lambda: next(now))
    done = seqaug("check", "simdiffrec", "--noise", "slow", *TINY)
    assert done.exit_code == 0, done.stderr
    notes = [line for line in done.stderr.splitlines() if "stranger-slow" in line]
    assert notes == [
        "note: importing stranger-slow 0.1 (the noise source 'slow') took 4.2 s, and every command that uses it waits as long."
    ]


def test_the_doctor_finds_what_is_broken_and_notes_what_is_disabled(seqaug: Seqaug, site: Path) -> None:
    put(site, "stranger-constructor", f"class Pink:\n    def __init__(self, k: int = 1): ...\n{DRAW}")
    put(site, "stranger-off", "1 / 0", name="off")
    done = seqaug("doctor", "--json", **{VARIABLE: "stranger-off"})
    assert done.exit_code == 5
    told = {one["message"]: one["state"] for one in document(done)["checks"] if one["name"] == "plugins"}
    assert told[f"1 disabled by {VARIABLE}=stranger-off"] == "note"
    assert any("stranger-constructor 0.1" in message and state == "wrong" for message, state in told.items())
    assert seqaug("doctor", "--no-plugins").exit_code in (0, 5)
    told = {one["message"]: one["state"] for one in document(seqaug("doctor", "--no-plugins", "--json"))["checks"]}
    assert not [message for message, state in told.items() if "stranger" in message and state == "wrong"]
    assert told["2 disabled by --no-plugins"] == "note"


# ---- in a process of its own ----


def test_a_plugin_that_prints_does_not_spoil_the_one_document(process: Callable[..., Any], site: Path) -> None:
    """At import, when it is made, and when it is used; from Python and from a child process."""
    code = (
        "import os, sys\nprint('loud at import')\nos.system('echo loud in a child')\n"
        "class Pink:\n    def __init__(self):\n        print('loud when made')\n"
        + DRAW.replace(
            "return",
            "print('loud when used'); sys.__stdout__.write('loud past redirection\\n'); "
            "os.system('echo loud in a child when used'); return",
        )
    )
    put(site, "stranger-loud", code)
    used = ("loud when used", "loud past redirection", "loud in a child when used")
    done = process("check", "simdiffrec", "--noise", "pink", "--json", *TINY, PYTHONUNBUFFERED="")
    assert done.returncode == 0, done.stderr
    assert document(done)["fine"] is True
    for said in ("loud at import", "loud in a child", "loud when made", *used):
        assert said in done.stderr
    checked = process("plugins", "check", "pink", "--kind", "noise_sources")
    assert "loud" not in checked.stdout.replace("stranger-loud", "").replace("stranger_loud", "")
    assert all(said in checked.stderr for said in used)
    refused = process("run", "--noise", "pink:k=1", "--json", *TINY)
    assert document(refused)["error"]["exit_code"] == refused.returncode == 2


@pytest.mark.parametrize("distribution", BROKEN)
def test_a_broken_plugin_has_exit_code_4_and_is_told_with_its_distribution_and_cause(
    seqaug: Seqaug, site: Path, distribution: str
) -> None:
    every_state(site)
    name = distribution.removeprefix("stranger-")
    for words in (["plugins", "show", name], ["check", "simdiffrec", "--noise", name, *TINY]):
        done = seqaug(*words)
        assert done.exit_code == 4, done.stderr
        assert f"{distribution} 0.1" in done.stderr and BROKEN[distribution].splitlines()[0] in done.stderr
        assert done.stdout == "" and "Traceback" not in done.stderr


def test_a_broken_plugin_harms_nobody_who_did_not_ask_for_it(seqaug: Seqaug, site: Path) -> None:
    every_state(site)
    assert seqaug("--help").exit_code == 0
    done = seqaug("check", "simdiffrec", "--noise", "good", *TINY)
    assert done.exit_code == 0 and "stranger" not in done.stderr


def test_exit_at_import_is_broken_and_a_true_ctrl_c_stops(process: Callable[..., Any], site: Path) -> None:
    put(site, "stranger-quits", "import sys; sys.exit(0)", name="quits")
    code = "import signal\nsignal.raise_signal(signal.SIGINT)\nraise AssertionError('not stopped')"
    put(site, "stranger-stopped", code, name="stopped")
    done = process("plugins", "list", "--load", "--kind", "heads", "--json")
    assert done.returncode == 0 and document(done)["plugins"]
    done = process("plugins", "show", "quits")
    assert done.returncode == 4 and "it ends the process when imported (SystemExit: 0)" in done.stderr
    done = process("plugins", "show", "stopped")
    assert done.returncode == 130 and "stopped." in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def ablation(process: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """`seqaug ablate` of sasrec on the toy data: its loss beside another, one epoch, one seed."""
    world = toy_world(num_users=30, num_items=40, max_length=8)
    (tmp_path / "toy.txt").write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    small = "data.max_length=8; items.dim=8; encoders.main.inner=8; training.batch_size=16; training.validate_every=1"
    words = ["--seeds", "1", "--epochs", "1", "--data", "toy.txt", "--device", "cpu", "--json"]
    return lambda other, *more: process(
        "ablate", "sasrec", "--axis", f"loss=next_item_softmax,{other}", *words, *more, SEQAUG_SET=small
    )


@pytest.mark.parametrize(
    ("code", "returncode", "said"),
    [
        (f"class Pink:\n    def __init__(self):\n        raise SystemExit(0)\n{DRAW}", 4, "cannot be made: SystemExit: 0"),
        (f"class Pink:\n{DRAW.replace('return clean', 'raise SystemExit(0)')}", 1, "SystemExit: 0"),
    ],
)
def test_a_plugin_that_exits_in_the_middle_of_its_work_does_not_pass_for_success(
    seqaug: Seqaug, site: Path, code: str, returncode: int, said: str
) -> None:
    put(site, "stranger-quits", code)
    done = seqaug("run", "--noise", "pink", "--epochs", "1", "--out", "r", *TINY)
    assert done.exit_code == returncode and said in done.stderr and done.stdout == ""


def test_workers_of_an_ablation_inherit_no_plugins(ablation: Callable[..., Any], site: Path, tmp_path: Path) -> None:
    put(site, "stranger-one", declared="[seqaug.encoders]\ntransformer = stranger_one:Pink\n")
    # Without the flag the name is claimed twice; a worker that did not inherit it would refuse its run.
    refused = ablation("next_item_bce", "--dry-run")
    assert refused.returncode == 4 and "two plugins are an encoder called 'transformer'" in refused.stderr
    done = ablation("next_item_bce", "--no-plugins")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").glob("*/metrics.json"))) == 2


def test_what_an_import_changed_is_told_once_and_not_by_every_worker(
    ablation: Callable[..., Any], site: Path, tmp_path: Path
) -> None:
    code = (
        "import torch\ntorch.set_default_dtype(torch.float64)\nclass Pink:\n    def __call__(self, step):\n"
        "        hidden, targets = step.predicting()\n        return step.scores(hidden).nll(targets)\n"
    )
    put(site, "stranger-loss", code, declared="[seqaug.objectives]\nrosy = stranger_loss:Pink\n")
    done = ablation("rosy")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").glob("*/metrics.json"))) == 2
    assert done.stderr.count("changed what the whole process shares") == 1


def test_no_plugins_is_a_flag_of_every_command() -> None:
    import click

    def commands(group: click.Group) -> Iterator[click.Command]:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command) if isinstance(command, click.Group) else [command]

    without = [
        one.name for one in commands(cli) if "--no-plugins" not in {flag for option in one.params for flag in option.opts}
    ]
    assert not without


def test_no_plugins_and_the_variable_refuse_a_plugin_by_name(seqaug: Seqaug, site: Path) -> None:
    put(site, "stranger-pink")
    done = seqaug("check", "simdiffrec", "--noise", "pink", "--no-plugins", *TINY)
    assert done.exit_code == 4
    assert "'pink' (stranger-pink 0.1) is disabled by --no-plugins. Leave --no-plugins out to use it." in done.stderr
    done = seqaug("check", "simdiffrec", "--noise", "pink", *TINY, **{VARIABLE: "Stranger_Pink"})
    assert done.exit_code == 4 and "Take 'Stranger_Pink' out of SEQAUG_DISABLE_PLUGINS" in done.stderr
    assert seqaug("check", "simdiffrec", "--noise", "pink", *TINY).exit_code == 0


def test_an_entry_that_matches_nothing_is_a_note_of_the_command(seqaug: Seqaug, site: Path) -> None:
    put(site, "stranger-pink")
    done = seqaug("plugins", "list", **{VARIABLE: "stranger-pnik,seqaug/gaussian"})
    assert done.exit_code == 0
    assert "Did you mean 'stranger-pink'?" in done.stderr
    assert "names 'seqaug/gaussian', and what is built in cannot be disabled" in done.stderr
    assert "gaussian" in done.stdout and "disabled" not in done.stdout


# ---- why ----


def test_why_says_where_a_name_comes_from(seqaug: Seqaug, site: Path) -> None:
    folder = put(site, "Stranger_Pink", f"class Pink:\n    seqaug_api = 1\n{DRAW}", module="stranger_pink", version="0.3")
    done = seqaug("plugins", "why", "pink")
    assert done.exit_code == 0
    assert 'use = "pink" gets stranger-pink/pink: nobody else claims the name.' in done.stdout
    assert f"pink = stranger_pink:Pink in {folder / 'entry_points.txt'}" in done.stdout
    assert str(site / "stranger_pink.py") in done.stdout
    assert "written for 1; this seqaug has version 1" in done.stdout
    (answer,) = document(seqaug("plugins", "why", "pink", "--json"))["plugins"]
    (claim,) = answer["claims"]
    assert (answer["gets"], answer["state"], claim["claimed_by"]) == ("stranger-pink/pink", "ok", "entry point")
    assert (claim["distribution"], claim["version"], claim["value"]) == ("stranger-pink", "0.3", "stranger_pink:Pink")
    assert (claim["metadata"], claim["source"]) == (str(folder / "entry_points.txt"), str(site / "stranger_pink.py"))
    assert (claim["state"], claim["cause"], claim["api"], claim["disabled"]) == ("ok", None, 1, None)


def test_why_names_everybody_who_claims_a_name_and_how_to_pick_one(seqaug: Seqaug, site: Path) -> None:
    put(site, "stranger-one")
    put(site, "stranger-two", "import nothing_like_this")
    done = seqaug("plugins", "why", "pink")
    assert done.exit_code == 0
    assert 'use = "pink" gets none: two plugins are a noise source called' in done.stdout
    assert 'use = "stranger-one/pink"' in done.stdout and 'use = "stranger-two/pink"' in done.stdout
    assert "No module named 'nothing_like_this'" in done.stdout
    assert seqaug("plugins", "why", "stranger-one/pink").stdout.count('use = "stranger-one/pink" gets stranger-one/pink') == 1
    done = seqaug("plugins", "why", "pink", **{VARIABLE: "stranger-two"})
    assert 'use = "pink" gets stranger-one/pink: the others are disabled.' in done.stdout
    assert f"is disabled by {VARIABLE}=stranger-two. Take 'stranger-two' out of {VARIABLE}" in done.stdout


def test_why_of_a_name_of_the_box_that_a_stranger_claims(seqaug: Seqaug, site: Path) -> None:
    put(site, "stranger-one", name="gaussian")
    (answer,) = document(seqaug("plugins", "why", "gaussian", "--json"))["plugins"]
    assert answer["gets"] is None and "seqaug (built in) and stranger-one" in answer["reason"]
    assert [one["use"] for one in answer["claims"]] == ["seqaug/gaussian", "stranger-one/gaussian"]


def test_why_says_that_what_a_recipe_gets_is_broken(seqaug: Seqaug, site: Path) -> None:
    every_state(site)
    done = seqaug("plugins", "why", "newer")
    assert done.exit_code == 0
    assert "gets stranger-newer/newer: nobody else claims the name. It is incompatible." in done.stdout
    assert "was written for version 2" in done.stdout


def test_why_tells_a_disabled_one_without_importing_it(seqaug: Seqaug, site: Path) -> None:
    put(site, "stranger-off", "raise AssertionError", name="off")
    done = seqaug("plugins", "why", "off", "--no-plugins")
    assert done.exit_code == 0
    assert 'use = "off" gets none' in done.stdout and "disabled by --no-plugins" in done.stdout
    assert "stranger_off" not in sys.modules


def test_why_tells_a_second_copy_that_is_not_read(
    seqaug: Seqaug, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "stranger-pink", version="2.0")
    later = tmp_path / "later"
    copy = put(later, "stranger-pink", version="1.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(later)])
    done = seqaug("plugins", "why", "pink")
    assert "stranger-pink 2.0" in done.stdout
    assert f"not read    {copy / 'entry_points.txt'}" in done.stdout


def test_why_answers_for_each_kind_or_for_one(seqaug: Seqaug) -> None:
    found = document(seqaug("plugins", "why", "transformer", "--json"))["plugins"]
    assert [one["kind"] for one in found] == ["encoders", "denoisers"]
    (one,) = document(seqaug("plugins", "why", "transformer", "--kind", "denoisers", "--json"))["plugins"]
    assert one["gets"] == "seqaug/transformer" and one["claims"][0]["origin"] == "built in"


def test_why_of_a_plugin_file_and_of_a_decorator(seqaug: Seqaug, site: Path) -> None:
    from seqaug.core.registries import noise_sources

    code = f"from seqaug.api import noise_sources\n@noise_sources.register('rosy')\n{SOURCE}"
    Path("my_noise.py").write_text(code)
    try:
        done = seqaug("plugins", "why", "rosy", "--plugin-file", "my_noise.py")
        assert "by the decorator on Pink in" in done.stdout and "my_noise.py" in done.stdout, done.stderr
    finally:
        for module in list(noise_sources.marking_modules()):
            noise_sources.forget(module)
    (site / "stranger_script.py").write_text(code)
    from importlib import import_module

    import_module("stranger_script")
    try:
        done = seqaug("plugins", "why", "rosy")
        assert "by the decorator on stranger_script:Pink" in done.stdout
    finally:
        noise_sources.forget("stranger_script")


@pytest.mark.parametrize("verb", ["why", "show"])
def test_an_unknown_name_has_exit_code_2_and_a_suggestion(seqaug: Seqaug, site: Path, verb: str) -> None:
    put(site, "stranger-rosy", name="rosy")
    done = seqaug("plugins", verb, "rossy")
    assert done.exit_code == 2 and "Did you mean 'rosy'?" in done.stderr and done.stdout == ""
    done = seqaug("plugins", verb, "stranger-rossy/rosy")
    assert done.exit_code == 2 and "Did you mean 'stranger-rosy/rosy'?" in done.stderr and done.stdout == ""
    done = seqaug("plugins", verb, "gaussian", "--kind", "heads")
    assert done.exit_code == 2 and "--kind noise_sources has one of that name" in done.stderr
