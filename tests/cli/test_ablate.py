"""`seqaug ablate` as a command: the table, exit codes, and a kill at any moment."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from seqaug.cli.main import cli
from seqaug.data.synthetic import toy_world
from terminals import seen_at_a_terminal

COMMAND = [sys.executable, "-c", "from seqaug.cli.main import main; main()"]
SMALL = (
    "data.max_length=8; items.dim=8; encoders.main.layers=1; encoders.main.inner=8; "
    "training.batch_size=16; training.validate_every=1"
)
TWO = ["--axis", "loss=next_item_softmax,next_item_bce"]
"""sasrec with the loss of the recipe and with another."""

Ablate = Callable[..., Result]


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEQAUG_", "FORCE_COLOR"))}
    return {**kept, "SEQAUG_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1", "SEQAUG_SET": SMALL, **more}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.txt"
    world = toy_world(num_users=30, num_items=40, max_length=8)
    path.write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    return path


@pytest.fixture
def ablate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy: Path) -> Ablate:
    """`seqaug ablate ... --data toy.txt` in an empty folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in list(os.environ):
        if name.startswith("SEQAUG_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SEQAUG_SET", SMALL)
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "home"))

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(cli, ["ablate", *words, "--data", str(toy), "--device", "cpu"])

    return invoke


# ---- killed and asked for again ----


def killed(tmp_path: Path, folder: Path, words: list[str], after: float, number: signal.Signals) -> tuple[int, str]:
    """Start the command, and after so many seconds end it: Ctrl-C goes to all of its processes, a kill to the first alone.

    Returns its exit code and what it said, once every process that it started is gone.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "said.txt").open("w+") as said:
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=folder,
            env=environment(tmp_path),
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
            # A test runner in the background of a shell ignores Ctrl-C, and its children would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            if number == signal.SIGINT:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        code = process.wait(60)
        began = time.monotonic()
        while alive := members(process.pid):
            assert time.monotonic() - began < 20, f"processes outlive the one that started them: {alive}"
            time.sleep(0.05)
        said.seek(0)
        return code, said.read()


def members(session: int) -> list[int]:
    """The processes of a session, dead ones that nobody has asked after left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def outcome(folder: Path) -> dict[str, Any]:
    """All that must not depend on when and how often the command was started."""
    (matrix,) = (folder / "runs").glob("ablate-*")
    found: dict[str, Any] = {name: (matrix / name).read_text() for name in ("table.md", "table.tex", "table.csv", "table.json")}
    found["matrix"] = json.loads((matrix / "matrix.json").read_text())
    for run in (folder / "runs").glob("sasrec-*"):
        metrics = json.loads((run / "metrics.json").read_text())
        found[run.name] = {
            key: value for key, value in metrics.items() if key not in ("seconds", "peak_memory_bytes", "finished")
        }
        epochs = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
        found[f"{run.name} epochs"] = [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in epochs]
    return found


def disturbed(tmp_path: Path, toy: Path, *, seeds: int, epochs: int, kills: list[signal.Signals], dice: int) -> None:
    words = ["ablate", "sasrec", *TWO, "--data", str(toy), "--seeds", str(seeds), "--epochs", str(epochs), "--jobs", "2"]
    words += ["--device", "cpu", "-s", "training.patience=100000"]
    began = time.monotonic()
    code, said = killed(tmp_path, tmp_path / "undisturbed", words, 300, signal.SIGKILL)
    took = time.monotonic() - began
    assert code == 0, said
    draw = random.Random(dice)
    ended = []
    for number in kills:
        # The first one early enough to strike, even if the machine was busier when the time was taken.
        after = draw.uniform(0.2, 0.9 if ended else 0.5) * took
        code, said = killed(tmp_path, tmp_path / "disturbed", words, after, number)
        ended.append(code)
        if code == 130:
            assert "the same command goes on from there:\n  seqaug ablate sasrec" in said and "Traceback" not in said
    assert set(ended) <= {-signal.SIGKILL, 130, 0} and set(ended) != {0}, ended
    code, said = killed(tmp_path, tmp_path / "disturbed", words, 300, signal.SIGKILL)
    assert code == 0, said
    assert outcome(tmp_path / "disturbed") == outcome(tmp_path / "undisturbed")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="who is alive is read from /proc")
def test_a_command_that_was_killed_and_stopped_and_asked_for_again_ends_in_the_same_table(tmp_path: Path, toy: Path) -> None:
    disturbed(tmp_path, toy, seeds=1, epochs=40, kills=[signal.SIGKILL, signal.SIGINT], dice=0)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="who is alive is read from /proc")
@pytest.mark.parametrize("dice", range(3))
def test_many_kills_at_random_moments_change_nothing(tmp_path: Path, toy: Path, dice: int) -> None:
    kills = [signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGKILL]
    disturbed(tmp_path, toy, seeds=2, epochs=150, kills=kills, dice=dice)


# ---- the table ----


def test_the_table_is_printed_kept_repeated_and_found_elsewhere(
    ablate: Ablate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sasrec", *TWO, "--seeds", "1", "--epochs", "2", "--results", str(tmp_path / "results")]
    first = ablate(*words)
    assert first.exit_code == 0, first.stderr
    assert "loss=next_item_bce" in first.stdout.splitlines()[0] and first.stdout.splitlines()[0].endswith(
        "loss=next_item_softmax"
    )
    assert all(metric in first.stdout for metric in ("HR@5", "NDCG@5", "HR@10", "NDCG@10")) and first.stdout.isascii()
    lines = first.stderr.splitlines()
    assert sum(": epoch " in line for line in lines) == 4 and sum(": finished in " in line for line in lines) == 2
    assert any(line.startswith("[2/2] loss=") for line in lines)

    again = ablate(*words)
    assert again.exit_code == 0 and "epoch" not in again.stderr
    table = [line for line in first.stdout.splitlines() if "this command took" not in line]
    assert [line for line in again.stdout.splitlines() if "this command took" not in line] == table

    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    found = json.loads(ablate(*words, "--json").stdout)
    assert [run["variant"] for run in found["runs"]] == ["loss=next_item_softmax", "loss=next_item_bce"]
    assert all(Path(run["folder"]).parent == tmp_path / "results" for run in found["runs"]) and found["failed"] == []
    assert found["table"]["reference"] == "loss=next_item_softmax"
    assert not list(Path("runs").glob("sasrec-*")), "what is finished elsewhere does not run again"
    assert ablate(*words, "--format", "csv").stdout.startswith("data,metric,method,")
    assert ablate(*words, "--format", "markdown").stdout.startswith("| data | metric |")
    assert "\\begin{tabular}" in ablate(*words, "--format", "latex").stdout
    assert json.loads(ablate(*words, "--format", "json").stdout) == found["table"]
    assert "MRR@20" in ablate(*words, "--metric", "mrr@20,hr@3").stdout


def test_a_terminal_gets_one_live_table_and_the_result_below_it(tmp_path: Path, toy: Path) -> None:
    words = ["ablate", "sasrec", *TWO, "--data", str(toy), "--seeds", "1", "--epochs", "20", "--jobs", "2", "--device", "cpu"]
    given = environment(tmp_path, TERM="xterm-256color")
    text = seen_at_a_terminal([*COMMAND, *words], cwd=tmp_path, environment=given, rows=30, columns=120)
    assert len(set(re.findall(r"(loss=next_item_\w+).* ━.*/20", text))) == 2, "a row with a bar for each run"
    assert "loss=next_item_bce, toy, seed 0" in text and "━" in text and "of 2 finished" in text and "/20" in text
    assert "recommendation" not in text, "a row a run, and no line an epoch"
    assert text.rindex("not distinguishable") > text.rindex("of 2 finished"), "the result comes after the table is gone"


def test_a_run_that_fails_leaves_the_others_their_table_and_its_code(ablate: Ablate) -> None:
    words = ["sasrec", "--axis", "training.learning_rate=1e-3,1e30", "--seeds", "1", "--epochs", "2"]
    done = ablate(*words)
    assert done.exit_code == 6
    assert "error: learning_rate=1e30, toy, seed 0: the loss is no longer finite" in done.stderr
    assert "no run" in done.stdout and "No run of learning_rate=1e30 on toy." in done.stdout
    stored = json.loads(next(Path("runs").glob("ablate-*/matrix.json")).read_text())
    assert stored["state"] == "failed" and [one["state"] for one in stored["members"]] == ["finished", "failed"]
    found = ablate(*words, "--json")
    assert found.exit_code == 6 and json.loads(found.stdout)["failed"][0]["exit_code"] == 6
    assert "learning_rate=1e-3, toy, seed 0: epoch" not in found.stderr, "the finished one was kept"


def test_a_dry_run_lists_the_matrix_and_writes_nothing(ablate: Ablate) -> None:
    done = ablate("sasrec", *TWO, "--seeds", "2", "--dry-run", "--jobs", "2")
    assert done.exit_code == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith("loss=")]) == 4
    assert "4 of 4 runs are left" in done.stdout and "2 at a time" in done.stdout
    found = json.loads(ablate("sasrec", *TWO, "--seeds", "2", "--dry-run", "--jobs", "2", "--json").stdout)
    assert [run["condition"] for run in found["runs"]] == ["new"] * 4 and found["jobs"] == 2
    seconds = sum(run["seconds_at_most"] for run in found["runs"])
    assert found["seconds_at_most"] == pytest.approx(seconds / 2)
    assert list(Path().iterdir()) == []


# ---- mistakes ----

REFUSED = {
    "an unknown recipe": (["simdifrec"], 2, "Did you mean 'simdiffrec'?"),
    "no ablations": (["sasrec"], 2, "has no [ablations]"),
    "an unknown variant": (["--variants", "w/o k_nois"], 2, "Did you mean 'w/o k_noise'?"),
    "an empty variant": (["--variants", "k_noise,,c_aug"], 2, "names with commas between them"),
    "variants and axes": (["--variants", "k_noise", *TWO], 2, "give one of the two"),
    "an axis without choices": (["--axis", "noise"], 2, "PLACE=CHOICE,CHOICE"),
    "an unknown plugin": (["--axis", "noise=gausian,similarity"], 2, "Did you mean 'gaussian'?"),
    "an unknown handle": (["sasrec", "--axis", "nois=gaussian"], 2, "has no handle 'nois'"),
    "an unknown metric": (["--metric", "ndgc@10"], 2, "Did you mean 'ndcg@10'?"),
    "no seed": (["--seeds", "0"], 2, "0"),
    "a device that is not there": (["sasrec", *TWO, "--device", "cuda:99"], 2, "cuda:99"),
    "one run's seed": (["--seed", "3"], 2, "no option --seed"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_answered_before_anything_runs(ablate: Ablate, words: list[str], code: int, said: str) -> None:
    with_device = "--device" in words
    done = ablate(*words) if not with_device else CliRunner().invoke(cli, ["ablate", *words])
    assert done.exit_code == code, done.stderr
    assert said in done.stderr and done.stdout == "" and "Traceback" not in done.stderr
    assert not Path("runs").exists()


def test_an_unknown_data_set_is_a_data_error(ablate: Ablate) -> None:
    done = CliRunner().invoke(cli, ["ablate", "sasrec", *TWO, "--data", "beuty"])
    assert done.exit_code == 3 and "Did you mean 'beauty'?" in done.stderr
