"""What only a process of its own can show: signals, streams, imports, completion."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqaug.data.synthetic import toy_world
from terminals import seen_at_a_terminal

COMMAND = [sys.executable, "-c", "from seqaug.cli.main import main; main()"]
SMALL = (
    "data.max_length=8; items.dim=8; encoders.main.layers=1; encoders.main.inner=8; "
    "training.batch_size=16; training.validate_every=1"
)


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEQAUG_", "NO_COLOR", "FORCE_COLOR"))}
    return {**kept, "SEQAUG_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1", **more}


def seqaug(tmp_path: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, cwd=tmp_path, env=environment(tmp_path, **more))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.txt"
    world = toy_world(num_users=30, num_items=40, max_length=8)
    path.write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    return path


# ---- imports ----


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--help"], ["torch", "numpy", "pydantic", "rich", "entrypoints"]),
        (["--version"], ["torch", "numpy", "pydantic", "rich", "entrypoints"]),
        (["run", "--help"], ["torch", "numpy", "pydantic", "rich", "entrypoints"]),
        (["plugins", "list"], ["torch", "pydantic"]),
        (["recipes", "list"], ["torch", "pydantic"]),
        (["recipes", "show", "sasrec"], ["torch", "pydantic"]),
        (["data", "list"], ["torch", "pydantic"]),
        (["completion", "bash"], ["torch", "pydantic"]),
        (["run", "--nois"], ["torch"]),
    ],
    ids=" ".join,
)
def test_what_needs_no_torch_does_not_import_it(tmp_path: Path, words: list[str], absent: list[str]) -> None:
    program = (
        "import sys\nfrom seqaug.cli.main import cli\n"
        "try:\n    cli.main(sys.argv[2:])\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.argv[1].split(',') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, ",".join(absent), *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path),
    )
    assert done.stderr.splitlines()[-1] == "[]"


# ---- signals ----


def started(tmp_path: Path, toy: Path) -> subprocess.Popen[str]:
    """A long run in the folder r that has finished two epochs."""
    process = subprocess.Popen(
        [
            *COMMAND,
            "run",
            "sasrec",
            "--data",
            str(toy),
            "--out",
            "r",
            "--epochs",
            "100000",
            "-s",
            "training.patience=100000",
            "--json",
        ],
        # A test runner in the background of a shell ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path, SEQAUG_SET=SMALL),
    )
    events, began = tmp_path / "r" / "events.jsonl", time.monotonic()
    while process.poll() is None and time.monotonic() - began < 60:
        if events.exists() and events.read_text().count("\n") >= 2:
            return process
        time.sleep(0.02)
    raise AssertionError(f"the run did not get to its second epoch: {process.communicate()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "sigterm"])
def test_an_interrupted_run_has_code_130_keeps_its_state_and_names_the_command(
    tmp_path: Path, toy: Path, number: signal.Signals
) -> None:
    process = started(tmp_path, toy)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["error"]["exit_code"] == 130
    assert "finished epochs are kept in r" in err and "Traceback" not in err
    assert err.rstrip().endswith(f"seqaug run sasrec --data {toy} --out r --epochs 100000 -s training.patience=100000 --json")
    names = {entry.name for entry in (tmp_path / "r").iterdir()}
    assert {"state.pt", "events.jsonl"} <= names and "metrics.json" not in names
    assert not any(name.endswith(".partial") or name == ".lock" for name in names)


# ---- streams ----


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "recipes", "show", "simdiffrec"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path, PYTHONUNBUFFERED="1"),
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141 and err == b""


def test_no_color_and_force_color_are_heard(tmp_path: Path) -> None:
    assert "\x1b[" not in seqaug(tmp_path, "rnu").stderr
    assert "\x1b[" in seqaug(tmp_path, "rnu", FORCE_COLOR="1").stderr
    assert "\x1b[" not in seqaug(tmp_path, "rnu", FORCE_COLOR="1", NO_COLOR="1").stderr


def at_a_terminal(tmp_path: Path, *words: str, **more: str) -> str:
    """What a person at a terminal 100 columns wide sees."""
    # What the machine of whoever runs the tests has set does not decide whether the terminal can draw.
    given = environment(tmp_path, **{"TERM": "xterm-256color", **more})
    return seen_at_a_terminal([*COMMAND, *words], cwd=tmp_path, environment=given)


def test_a_terminal_gets_bars_with_loss_metric_and_a_drawn_table(tmp_path: Path, toy: Path) -> None:
    words = ["run", "sasrec", "--data", str(toy), "--epochs", "3"]
    seen = at_a_terminal(tmp_path, *words, SEQAUG_SET=SMALL)
    assert "\x1b[" in seen and "loss" in seen and "ndcg@10" in seen
    assert "─" in seen and "NDCG" in seen and "test unseen" in seen
    assert "epoch 1/3  recommendation" not in seen


@pytest.mark.parametrize("more", [{"TERM": "dumb"}], ids=["dumb"])
def test_a_dumb_terminal_gets_lines_and_plain_columns(tmp_path: Path, toy: Path, more: dict[str, str]) -> None:
    seen = at_a_terminal(tmp_path, "run", "sasrec", "--data", str(toy), "--epochs", "2", SEQAUG_SET=SMALL, **more)
    assert "\x1b" not in seen and "epoch 1/2  recommendation" in seen and "NDCG@10" in seen
    assert seen.isascii()


def test_no_color_at_a_terminal_draws_without_colours(tmp_path: Path) -> None:
    shown = at_a_terminal(tmp_path, "recipes", "show", "sasrec", NO_COLOR="1")
    assert not any(f"\x1b[3{digit}" in shown or "\x1b[38" in shown for digit in range(8))
    assert "\x1b[" in at_a_terminal(tmp_path, "recipes", "show", "sasrec")


# ---- completion ----


def completed(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    line = " ".join(["seqaug", *words])
    more = {"_SEQAUG_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    return [entry.partition(",")[2] for entry in seqaug(tmp_path, **more).stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ev"], "evaluate"),
        (["run", "simd"], "simdiffrec"),
        (["run", "--noise", "sim"], "similarity"),
        (["run", "--data", "beau"], "beauty"),
        (["plugins", "show", "conf"], "confidence"),
        (["recipes", "copy", "cl4"], "cl4srec"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_are_completed(tmp_path: Path, words: list[str], offered: str) -> None:
    assert offered in completed(tmp_path, *words)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_a_stdout_that_takes_nothing_is_said_in_words(tmp_path: Path, form: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "plugins", "list", *form], stdout=full, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)
        )
    assert done.returncode == 1
    assert "the result cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr and "defect" not in done.stderr


@pytest.mark.parametrize("form", ["", " --json"], ids=["table", "json"])
def test_a_stdout_that_is_closed_stops_nothing(tmp_path: Path, form: str) -> None:
    line = f"{sys.executable} -c {shlex.quote(COMMAND[-1])} plugins list{form} >&-"
    done = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, text=True, env=environment(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
