"""The contract of the command line: streams, exit codes, one JSON document, words instead of tracebacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from seqaug.cli.main import cli
from seqaug.core.registries import noise_sources
from seqaug.data.synthetic import toy_world

SMALL = [
    word
    for value in (
        "data.max_length=8", "items.dim=8", "encoders.main.layers=1", "encoders.main.inner=8",
        "training.batch_size=16", "training.validate_every=1",
    )
    for word in ("-s", value)
]  # fmt: skip

Seqaug = Callable[..., Result]


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "toy.txt"
    world = toy_world(num_users=30, num_items=40, max_length=8)
    path.write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    return str(path)


@pytest.fixture
def seqaug(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Seqaug:
    """Runs a command in an empty folder, without anything of the user's environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "home"))
    for name in ("DATA", "SET", "DEVICE", "PRECISION", "SEED", "EPOCHS"):
        monkeypatch.delenv(f"SEQAUG_{name}", raising=False)

    def invoke(*words: str, **environment: str) -> Result:
        return CliRunner().invoke(cli, list(words), env=environment)

    return invoke


@pytest.fixture
def small_run(seqaug: Seqaug, toy: str) -> Callable[..., Result]:
    """`seqaug run sasrec` on the toy data, 2 epochs."""
    return lambda *words, **environment: seqaug(
        "run", "sasrec", "--data", toy, "--device", "cpu", "--epochs", "2", *SMALL, *words, **environment
    )


def document(result: Result) -> Any:
    """The one JSON document on stdout."""
    return json.loads(result.stdout)


# ---- run: streams and the result ----


def test_results_go_to_stdout_and_everything_else_to_stderr(small_run: Callable[..., Result]) -> None:
    done = small_run("--out", "r")
    assert done.exit_code == 0
    assert "NDCG@10" in done.stdout and "test unseen" in done.stdout and done.stdout.rstrip().endswith("r")
    assert "epoch" not in done.stdout.partition("of 2 was best")[0].replace("epoch ", "", 1)
    lines = [line for line in done.stderr.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2
    assert re.match(r"epoch 1/2  recommendation \d\.\d{4}  ndcg@10 0\.\d{4}\*?  \d+\.\d s  at most .* left$", lines[0])


def test_json_is_one_document_on_stdout_and_equals_metrics_json(small_run: Callable[..., Result]) -> None:
    found = document(small_run("--json", "--out", "r"))
    stored = json.loads(Path("r/metrics.json").read_text())
    assert {key: found[key] for key in stored} == stored
    assert found["folder"] == "r" and found["from_cache"] is False


def test_quiet_leaves_only_the_result(small_run: Callable[..., Result]) -> None:
    done = small_run("-q")
    assert done.stderr == "" and "HR@10" in done.stdout


def test_verbose_says_where_values_come_from(small_run: Callable[..., Result]) -> None:
    done = small_run("-v")
    assert "items.dim: from -s" in done.stderr and "training.epochs: from flag --epochs" in done.stderr
    assert "mrr@20" in done.stderr


def test_a_finished_run_prints_its_result_again(small_run: Callable[..., Result]) -> None:
    first, second = small_run(), small_run()
    assert second.exit_code == 0 and second.stdout == first.stdout
    assert "finished before" in second.stderr and "epoch 1/2" not in second.stderr


def test_without_a_terminal_everything_is_plain_ascii(small_run: Callable[..., Result]) -> None:
    done = small_run()
    assert done.stdout.isascii() and "\x1b" not in done.stdout + done.stderr


def test_the_default_folder_lies_under_runs(small_run: Callable[..., Result]) -> None:
    small_run()
    assert [re.fullmatch(r"sasrec-toy-[0-9a-f]{8}", entry.name) is not None for entry in Path("runs").iterdir()] == [True]


def test_naming_the_plugins_already_in_place_is_the_same_run(seqaug: Seqaug, toy: str) -> None:
    words = ["run", "--data", toy, "--dry-run", "--json", "--device", "cpu", *SMALL, "-s", "diffusions.main.schedule.steps=5"]
    plain = document(seqaug(*words))
    named = document(seqaug(*words, "--noise", "similarity", "--positions", "confidence"))
    other = document(seqaug(*words, "--noise", "similarity:k=3"))
    assert plain["recipe"] == "simdiffrec"
    assert named["hash"] == plain["hash"] != other["hash"]
    assert other["values"]["diffusions"]["main"]["noise"]["k"] == 3


def test_a_dry_run_writes_nothing_and_estimates(small_run: Callable[..., Result], tmp_path: Path) -> None:
    done = small_run("--dry-run")
    assert done.exit_code == 0
    assert "parameters in all" in done.stdout and "training.epochs" in done.stdout and "flag --epochs" in done.stdout
    assert not Path("runs").exists()
    found = document(small_run("--dry-run", "--json"))
    assert found["estimate"]["epochs"] == 2 and found["folder_condition"] == "new"


def test_fresh_starts_over(small_run: Callable[..., Result]) -> None:
    small_run("--out", "r")
    again = small_run("--out", "r", "--fresh")
    assert again.exit_code == 0 and "epoch 1/2" in again.stderr


# ---- precedence ----


def epochs_and_origin(result: Result) -> tuple[int, str]:
    found = document(result)
    return found["values"]["training"]["epochs"], found["origins"]["training.epochs"]


def test_a_flag_beats_set_beats_the_environment_beats_the_recipe(seqaug: Seqaug) -> None:
    def checked(*words: str, **environment: str) -> tuple[int, str]:
        return epochs_and_origin(
            seqaug("check", "sasrec", "--json", "-s", "data.max_length=8", "--device", "cpu", *words, **environment)
        )

    environment = {"SEQAUG_SET": "training.epochs=11; items.dim=8"}
    assert checked("--data", "movietweetings")[1] == "variant movietweetings"
    assert checked(**environment) == (11, "environment SEQAUG_SET")
    assert checked(**environment, SEQAUG_EPOCHS="12") == (12, "environment SEQAUG_EPOCHS")
    assert checked("-s", "training.epochs=13", **environment, SEQAUG_EPOCHS="12") == (13, "-s")
    assert checked("--epochs", "14", "-s", "training.epochs=13", **environment) == (14, "flag --epochs")


def test_seed_device_and_precision_come_from_the_environment_too(small_run: Callable[..., Result]) -> None:
    environment = {"SEQAUG_SEED": "7", "SEQAUG_PRECISION": "bfloat16", "SEQAUG_DEVICE": "cuda:99"}
    found = document(small_run("--dry-run", "--json", **environment))
    assert (found["seed"], found["precision"], found["device"]) == (7, "bfloat16", "cpu"), "--device cpu is given as a flag"
    assert document(small_run("--dry-run", "--json", "--seed", "8", **environment))["seed"] == 8


def test_values_of_set_are_read_as_toml_and_else_as_text(seqaug: Seqaug) -> None:
    found = document(
        seqaug(
            "check",
            "sasrec",
            "--json",
            "--device",
            "cpu",
            "-s",
            "encoders.main.norm=pre",
            "-s",
            "training.learning_rate=1e-3",
            "-s",
            "items.bias=true",
        )
    )
    values = found["values"]
    assert (values["encoders"]["main"]["norm"], values["training"]["learning_rate"], values["items"]["bias"]) == (
        "pre",
        1e-3,
        True,
    )


# ---- exit codes ----

REFUSED = {
    "no such command": (["rnu"], 2, "Did you mean 'run'?"),
    "no such verb of a group": (["recipes", "lst"], 2, "Did you mean 'list'?"),
    "no such flag": (["run", "--nois", "gaussian"], 2, "Did you mean '--noise'?"),
    "no such flag of a group": (["data", "show", "movietweetings", "--k-cor", "3"], 2, "Did you mean '--k-core'?"),
    "a handle taken for a flag": (["run", "--augmenter", "x"], 2, "--with augmenter=PLUGIN"),
    "a value of the wrong type": (["run", "--seed", "one"], 2, "one"),
    "an unknown recipe": (["run", "sasrecc"], 2, "Did you mean 'sasrec'?"),
    "an unknown recipe to check": (["check", "sasrecc"], 2, "Did you mean 'sasrec'?"),
    "an unknown plugin": (["run", "--noise", "similarty"], 2, "Did you mean 'similarity'?"),
    "an unknown handle": (["run", "sasrec", "--noise", "gaussian"], 2, "has no handle 'noise'"),
    "an unknown handle by --with": (["run", "--with", "posit=random"], 2, "Did you mean 'positions'?"),
    "an unknown option of a plugin": (["run", "--noise", "similarity:kk=3"], 2, "kk"),
    "an unknown path": (["run", "-s", "objectives.contrst.weight=1"], 2, "Did you mean 'contrast'?"),
    "a set without a value": (["run", "-s", "training.epochs"], 2, "path=value"),
    "a with without a plugin": (["run", "--with", "noise"], 2, "HANDLE=PLUGIN"),
    "an unknown ablation": (["run", "--ablation", "w/o everything"], 2, "w/o k_noise"),
    "an unknown plugin to show": (["plugins", "show", "similarty"], 2, "Did you mean 'similarity'?"),
    "a device that is not there": (["run", "--device", "cuda:99"], 2, "cuda:99"),
    "an unknown data set": (["run", "--data", "beuty"], 3, "Did you mean 'beauty'?"),
    "a missing file": (["run", "--data", "no/such/file.txt"], 3, "no/such/file.txt"),
    "a missing file to import": (["data", "import", "no.csv", "--name", "mine"], 3, "no.csv"),
    "an unknown data set to show": (["data", "show", "beuty"], 3, "Did you mean 'beauty'?"),
    "a run folder that is none": (["evaluate", "nowhere"], 1, "nowhere"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_has_its_exit_code_and_says_what_would_work(seqaug: Seqaug, words: list[str], code: int, said: str) -> None:
    done = seqaug(*words)
    assert done.exit_code == code, done.stderr
    assert said in done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr


@pytest.mark.parametrize(("words", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_with_json_is_one_document_too(seqaug: Seqaug, words: list[str], code: int, said: str) -> None:
    done = seqaug(*words, "--json")
    error = document(done)["error"]
    assert done.exit_code == error["exit_code"] == code
    assert said in error["message"] and error["problems"] and error["kind"]


def test_all_problems_come_at_once(seqaug: Seqaug) -> None:
    done = seqaug("run", "--noise", "similarty", "-s", "trainin.epochs=3", "--with", "x=y", "--json")
    assert len(document(done)["error"]["problems"]) == 3


def test_a_wrong_epochs_of_the_environment_is_refused(seqaug: Seqaug) -> None:
    done = seqaug("run", SEQAUG_EPOCHS="many")
    assert done.exit_code == 2 and "SEQAUG_EPOCHS is 'many'" in done.stderr


def test_a_folder_of_something_else_is_refused(small_run: Callable[..., Result]) -> None:
    Path("r").mkdir()
    Path("r/thesis.tex").write_text("")
    done = small_run("--out", "r")
    assert done.exit_code == 2 and "not a run folder" in done.stderr


def test_a_plugin_that_does_not_load_has_code_4(seqaug: Seqaug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqaug.core import discovery

    info = tmp_path / "site" / "rusty-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rusty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[seqaug.noise_sources]\nrust = rusty_module:Rust\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    discovery.refresh()
    try:
        for words in (["run", "--noise", "rust"], ["check", "simdiffrec", "--noise", "rust"], ["plugins", "show", "rust"]):
            done = seqaug(*words)
            assert done.exit_code == 4, done.stderr
            assert "rusty 1.0" in done.stderr and "rusty_module" in done.stderr
        assert seqaug("plugins", "list").exit_code == 0, "a broken plugin harms no list"
        assert seqaug("doctor").exit_code == 5
    finally:
        discovery.refresh()


def test_check_has_code_5_and_prints_what_it_found(seqaug: Seqaug) -> None:
    words = ["check", "sasrec", "--device", "cpu", "-s", "encoders.main.heads=3"]
    done = seqaug(*words)
    assert done.exit_code == 5 and "1 problem" in done.stdout and "encoders.main" in done.stdout
    found = document(seqaug(*words, "--json"))
    assert found["fine"] is False and len(found["problems"]) == 1


def test_a_loss_that_diverges_has_code_6(small_run: Callable[..., Result]) -> None:
    done = small_run("-s", "training.learning_rate=1e30")
    assert done.exit_code == 6 and "no longer finite" in done.stderr and done.stdout == ""
    assert document(small_run("-s", "training.learning_rate=1e30", "--json"))["error"]["exit_code"] == 6


def test_debug_shows_the_traceback(seqaug: Seqaug) -> None:
    assert "Traceback" in seqaug("run", "sasrecc", "--debug").stderr


def test_a_defect_is_told_without_a_traceback(seqaug: Seqaug, monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> list[str]:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("seqaug.recipes.load.recipe_names", names)
    done = seqaug("recipes", "list")
    assert done.exit_code == 1 and "ZeroDivisionError: of ours" in done.stderr
    assert "Traceback" not in done.stderr and "--debug" in done.stderr
    assert "Traceback" in seqaug("recipes", "list", "--debug").stderr


# ---- the other verbs ----


def test_evaluate_agrees_with_the_run_it_is_given(small_run: Callable[..., Result], seqaug: Seqaug) -> None:
    small_run("--out", "r")
    done = seqaug("evaluate", "r", "--device", "cpu")
    assert done.exit_code == 0 and "equal to what r holds" in done.stdout
    assert document(seqaug("evaluate", "r", "--device", "cpu", "--json"))["equal"] is True


def test_evaluate_has_code_1_where_the_numbers_differ(small_run: Callable[..., Result], seqaug: Seqaug) -> None:
    small_run("--out", "r")
    stored = json.loads(Path("r/metrics.json").read_text())
    stored["test"]["hr@10"] = 0.99
    Path("r/metrics.json").write_text(json.dumps(stored))
    done = seqaug("evaluate", "r", "--device", "cpu", "--json")
    assert done.exit_code == 1 and document(done)["equal"] is False
    assert "test hr@10" in done.stderr and "0.990000 stored" in done.stderr


def test_check_tells_the_plugins_and_the_terms(seqaug: Seqaug) -> None:
    done = seqaug("check", "sasrec", "--device", "cpu", "-s", "data.max_length=8")
    assert done.exit_code == 0 and done.stdout.startswith("sasrec: fine")
    assert "next_item_softmax" in done.stdout and "main.0.recommendation" in done.stdout


def test_recipes_are_listed_and_shown_word_for_word(seqaug: Seqaug) -> None:
    names = [one["name"] for one in document(seqaug("recipes", "list", "--json"))["recipes"]]
    assert {"sasrec", "cl4srec", "simdiffrec"} <= set(names)
    shown = seqaug("recipes", "show", "sasrec")
    assert shown.stdout == document(seqaug("recipes", "show", "sasrec", "--json"))["text"]
    assert shown.stdout.startswith("#") or shown.stdout.startswith("name")


def test_a_recipe_is_copied_once_and_the_copy_is_fine(seqaug: Seqaug) -> None:
    assert seqaug("recipes", "copy", "sasrec").stdout == "sasrec.toml\n"
    text = Path("sasrec.toml").read_text()
    assert text == seqaug("recipes", "show", "sasrec").stdout
    Path("sasrec.toml").write_text(text + "# mine\n")
    again = seqaug("recipes", "copy", "sasrec")
    assert again.exit_code == 2 and "nothing was overwritten" in again.stderr
    assert Path("sasrec.toml").read_text().endswith("# mine\n")
    assert seqaug("check", "sasrec.toml", "--device", "cpu", "-s", "data.max_length=8").exit_code == 0


def test_plugins_are_listed_with_kind_distribution_and_version(seqaug: Seqaug) -> None:
    found = document(seqaug("plugins", "list", "--json"))["plugins"]
    similarity = next(one for one in found if one["name"] == "similarity")
    assert (similarity["kind"], similarity["distribution"]) == ("noise_sources", "seqaug")
    only = document(seqaug("plugins", "list", "--kind", "schedules", "--json"))["plugins"]
    assert {one["kind"] for one in only} == {"schedules"}


def test_every_plugin_can_be_shown(seqaug: Seqaug) -> None:
    for name in {one["name"] for one in document(seqaug("plugins", "list", "--json"))["plugins"]}:
        done = seqaug("plugins", "show", name)
        assert done.exit_code == 0, done.stderr


def test_a_name_of_two_kinds_is_shown_for_both(seqaug: Seqaug) -> None:
    kinds = [one["kind"] for one in document(seqaug("plugins", "show", "transformer", "--json"))["plugins"]]
    assert kinds == ["encoders", "denoisers"]
    only = document(seqaug("plugins", "show", "transformer", "--kind", "denoisers", "--json"))["plugins"]
    assert [one["kind"] for one in only] == ["denoisers"]


def test_a_plugin_is_shown_with_its_options_and_defaults(seqaug: Seqaug) -> None:
    (shown,) = document(seqaug("plugins", "show", "similarity", "--json"))["plugins"]
    options = {one["name"]: one for one in shown["options"]}
    assert options["k"]["default"] == "25" and options["k"]["type"] == "int"
    assert "nearest" in shown["doc"]


def test_data_sets_are_listed_and_shown_beside_what_is_expected(seqaug: Seqaug) -> None:
    listed = {one["name"]: one for one in document(seqaug("data", "list", "--json"))["data"]}
    assert listed["movietweetings"]["bundled"] and not listed["beauty"]["here"]
    assert "beauty" in seqaug("data", "list").stdout
    shown = document(seqaug("data", "show", "movietweetings", "--json"))
    assert shown["statistics"]["users"] == shown["expected"]["users"] == 4333
    assert shown["differences"] == []
    assert "expected" in seqaug("data", "show", "movietweetings").stdout


def test_an_imported_file_is_found_by_its_name(seqaug: Seqaug, toy: str) -> None:
    done = seqaug("data", "import", toy, "--name", "mine", "--json")
    assert done.exit_code == 0, done.stderr
    assert document(done)["statistics"]["users"] == 30
    assert document(seqaug("data", "show", "mine", "--json"))["sha256"] == document(done)["sha256"]
    assert seqaug("data", "import", toy, "--name", "mine").exit_code == 3
    assert seqaug("data", "import", toy, "--name", "mine", "--replace").exit_code == 0


def test_the_columns_of_a_table_can_be_named(seqaug: Seqaug) -> None:
    rows = [f"{who},{what},{when}" for who in "abc" for when, what in enumerate(["x", "y", "z", "w"])]
    Path("odd.csv").write_text("\n".join(["who,what,when", *rows]) + "\n")
    columns = ["--user-column", "who", "--item-column", "what", "--time-column", "when"]
    assert document(seqaug("data", "show", "odd.csv", *columns, "--json"))["statistics"]["actions"] == 12


def test_the_doctor_prints_every_check(seqaug: Seqaug) -> None:
    done = seqaug("doctor", "--json")
    found = document(done)
    assert done.exit_code == (0 if found["fine"] else 5)
    assert {"python", "torch", "plugins"} <= {check["name"] for check in found["checks"]}


def test_the_version_is_that_of_the_package(seqaug: Seqaug) -> None:
    from seqaug import __version__

    assert seqaug("--version").stdout == f"seqaug {__version__}\n"


# ---- every command ----


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        found += commands(one, (*path, name)) if isinstance(one, click.Group) else [(*path, name)]
    return found


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_help_and_the_common_flags(seqaug: Seqaug, path: tuple[str, ...]) -> None:
    done = seqaug(*path, "--help")
    assert done.exit_code == 0
    for flag in ("--json", "-q, --quiet", "-v, --verbose", "--debug"):
        assert flag in done.stdout
    assert len(done.stdout.splitlines()[2].strip()) > 20, "a sentence that says what it does"


def test_every_verb_in_the_overview_is_the_first_sentence_of_no_other(seqaug: Seqaug) -> None:
    overview = seqaug("--help").stdout
    for path in commands():
        assert re.search(rf"^  {path[0]} ", overview, re.MULTILINE)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_a_shell_names_its_variable(seqaug: Seqaug, shell: str) -> None:
    done = seqaug("completion", shell)
    assert done.exit_code == 0 and "_SEQAUG_COMPLETE" in done.stdout


def test_handles_registries_and_flags_agree() -> None:
    from seqaug.cli.options import HANDLES
    from seqaug.cli.plugins.facts import KINDS as _KINDS
    from seqaug.core.registries import REGISTRIES

    assert list(_KINDS) == list(REGISTRIES)
    assert {kind for kind, _ in HANDLES.values()} <= set(REGISTRIES)
    assert noise_sources.kind == HANDLES["noise"][0]
