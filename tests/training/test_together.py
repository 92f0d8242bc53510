"""Several processes that train one model: the same numbers as one, and one end for all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from seqaug.core.world import GONE, World
from seqaug.data.synthetic import toy_world
from seqaug.experiments.together import _verdict, _wait
from seqaug.recipes.load import recipe_names

PROGRAM = Path(__file__).with_name("together.py")
FLOORS = ("popularity", "item_knn")
RECIPES = [name for name in recipe_names() if name not in FLOORS]


def surroundings(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEQAUG_")}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def in_processes(size: int, out: Path) -> dict[str, Any]:
    """What process 0 of `size` has written."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(out), *RECIPES],
            env=surroundings(
                WORLD_SIZE=str(size), RANK=str(rank), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(size),
                MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
            ),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]  # fmt: skip
    said = [process.communicate()[1] for process in processes]
    assert all(process.returncode == 0 for process in processes), "\n".join(said)
    found: dict[str, Any] = torch.load(out, weights_only=True)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return in_processes(1, tmp_path_factory.mktemp("alone") / "out.pt")


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return in_processes(2, tmp_path_factory.mktemp("together") / "out.pt")


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_processes_follow_one_with_the_same_batches(recipe: str, alone: dict[str, Any], together: dict[str, Any]) -> None:
    one, two = alone[recipe], together[recipe]
    assert one["losses"] and len(one["losses"]) == len(two["losses"])
    for mine, theirs in zip(one["losses"], two["losses"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)
    for name, tensor in one["weights"].items():
        # Adam's first steps divide by gradients that may be next to nothing, and so magnify rounding.
        assert torch.allclose(tensor.double(), two["weights"][name].double(), atol=2e-3), name


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_user_is_ranked_once(recipe: str, alone: dict[str, Any], together: dict[str, Any]) -> None:
    assert torch.equal(alone[recipe]["users"], together[recipe]["users"])
    assert (alone[recipe]["ranks"] == together[recipe]["ranks"]).double().mean() > 0.95


@pytest.mark.slow
def test_three_processes_of_which_some_have_nothing_to_do_follow_one(alone: dict[str, Any], tmp_path: Path) -> None:
    many = in_processes(5, tmp_path / "out.pt")  # the last batch of 70 users in batches of 64 has six rows
    for recipe in RECIPES:
        for mine, theirs in zip(alone[recipe]["losses"], many[recipe]["losses"], strict=True):
            assert mine == pytest.approx(theirs, rel=1e-5)


# ---- shares ----


@pytest.mark.parametrize(
    ("counts", "size", "borders"),
    [
        ((1, 1, 1, 1), 2, [0, 2, 4]),
        ((10, 1, 1), 2, [0, 1, 3]),
        ((1, 1, 10), 2, [0, 2, 3]),
        ((5,), 3, [0, 0, 1, 1]),
        ((3, 3, 3), 3, [0, 1, 2, 3]),
    ],
)
def test_shares_have_about_as_many_positions(counts: tuple[int, ...], size: int, borders: list[int]) -> None:
    assert World(0, size).sequences(counts) == borders


def test_shares_of_rows_cover_all_of_them_once() -> None:
    for count in range(20):
        borders = World(0, 3).rows(count)
        assert borders[0] == 0 and borders[-1] == count and borders == sorted(borders) and len(borders) == 4


# ---- the command ----

SMALL = (
    "data.max_length=8; items.dim=8; encoders.main.layers=1; encoders.main.inner=8; "
    "training.batch_size=16; training.validate_every=1"
)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    world = toy_world(num_users=60, num_items=40, max_length=8)
    (tmp_path / "toy.txt").write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "seqaug", "run", "sasrec", "--data", "toy.txt", *words]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    given = surroundings(SEQAUG_SET=SMALL, SEQAUG_HOME=str(folder / "home"))
    return subprocess.run(command(*words), cwd=folder, env=given, capture_output=True, text=True, check=False)


def test_a_run_of_two_processes_prints_one_result_and_is_the_same_run_as_with_one(toy: Path) -> None:
    two = run(toy, "--epochs", "2", "--nproc", "2", "--json")
    assert two.returncode == 0, two.stderr
    found = json.loads(two.stdout)
    assert found["from_cache"] is False
    again = json.loads(run(toy, "--epochs", "2", "--json").stdout)
    assert again["from_cache"] is True and again["hash"] == found["hash"]
    cached = run(toy, "--epochs", "2", "--nproc", "2", "--json")
    assert cached.returncode == 0 and json.loads(cached.stdout)["from_cache"] is True
    environment = json.loads((toy / found["folder"] / "environment.json").read_text())
    assert environment["processes"] == 2


def test_a_mistake_is_said_once_and_has_its_exit_code(toy: Path) -> None:
    done = run(toy, "--nproc", "2", "-s", "training.epoch=1")
    assert done.returncode == 2
    assert done.stderr.count("epoch") and "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1


def test_a_killed_process_ends_all_and_the_same_command_goes_on(toy: Path) -> None:
    words = ("--epochs", "60", "-s", "training.patience=60", "--nproc", "2", "--out")
    given = surroundings(SEQAUG_SET=SMALL, SEQAUG_HOME=str(toy / "home"))
    started = subprocess.Popen(
        command(*words, "r"), cwd=toy, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        events = toy / "r" / "events.jsonl"
        while not (events.exists() and len(events.read_text().splitlines()) >= 2):
            assert started.poll() is None, started.communicate()[1]
            time.sleep(0.02)
        other = next(one for one in children(started.pid) if rank_of(one) == "1")
        os.kill(other, signal.SIGKILL)
        _, said = started.communicate(timeout=120)
    finally:
        started.kill()
    assert started.returncode == 1
    assert "process 1 of 2 was ended by signal 9" in said
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert (toy / "r" / "state.pt").exists() and not (toy / "r" / "metrics.json").exists()
    gone_on, undisturbed = run(toy, *words, "r", "--json"), run(toy, *words, "s", "--json")
    assert gone_on.returncode == 0, gone_on.stderr
    assert "resumed after epoch" in gone_on.stderr
    mine, theirs = json.loads(gone_on.stdout), json.loads(undisturbed.stdout)
    assert mine["test"] == theirs["test"] and mine["best_epoch"] == theirs["best_epoch"]


@pytest.mark.parametrize(
    ("codes", "said", "code", "told"),
    [
        ((0, 0), ("", ""), 0, ""),
        ((2, 2), ("", "error: no option"), 2, ""),
        ((1, 1), ("", f"error: {GONE}, so"), 1, ""),
        # The cause is another process, whichever ended first.
        ((1, 1), ("", "error: ValueError: bad"), 1, "process 1 of 2 ended with exit code 1.\nerror: ValueError: bad"),
        ((1, 6, 1), ("", "error: diverged", f"error: {GONE}"), 6, "process 1 of 3 ended with exit code 6.\nerror: diverged"),
        ((1, -9), ("", ""), 1, "process 1 of 2 was ended by signal 9."),
        ((-9, 1), ("", f"error: {GONE}"), 1, "process 0 of 2 was ended by signal 9."),
        ((6, 1), ("", f"error: {GONE}"), 6, ""),
        ((0, 3), ("", "error: no data"), 3, "process 1 of 2 ended with exit code 3.\nerror: no data"),
    ],
)
def test_whoever_was_the_cause_is_told_and_gives_the_exit_code(
    codes: tuple[int, ...], said: tuple[str, ...], code: int, told: str
) -> None:
    assert _verdict(codes, said) == (code, told)


def test_who_does_not_follow_the_first_that_fails_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqaug.experiments.together._GRACE", 0.2)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    processes = [subprocess.Popen([sys.executable, "-c", program]) for program in (stubborn, "raise SystemExit(3)")]
    assert _wait(processes) is False
    assert [process.returncode for process in processes] in ([-signal.SIGKILL, 3], [-signal.SIGTERM, 3])


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def rank_of(pid: int) -> str:
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((entry[5:].decode() for entry in entries if entry.startswith(b"RANK=")), "")
