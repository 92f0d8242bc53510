"""`seqaug sweep` as a command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seqaug.cli.main import cli
from seqaug.data.synthetic import toy_world

SMALL = (
    "data.max_length=8; items.dim=8; encoders.main.layers=1; encoders.main.inner=8; "
    "training.batch_size=16; training.validate_every=1"
)

Sweep = Callable[..., Result]


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sweep:
    """`seqaug sweep sasrec ... --data toy.txt` in an empty folder."""
    toy = tmp_path / "toy.txt"
    world = toy_world(num_users=30, num_items=40, max_length=8)
    toy.write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in list(os.environ):
        if name.startswith("SEQAUG_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SEQAUG_SET", SMALL)
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "home"))

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(cli, ["sweep", "sasrec", "--data", str(toy), "--device", "cpu", "--epochs", "2", *words])

    return invoke


def test_the_ranking_is_printed_with_the_test_of_what_won_and_printed_again(sweep: Sweep) -> None:
    done = sweep("--grid", "training.learning_rate=1e-3,1e-2")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "sasrec on toy, by the mean ndcg@10 on validation over 1 seed"
    assert lines[1].split() == ["rank", "learning_rate", "ndcg@10", "+-", "seeds", "time"]
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    assert lines[4].startswith("selected on validation: learning_rate=1e-")
    assert "the test played no part in the selection" in lines[5] and done.stdout.count("test unseen") == 1
    assert any(line.startswith("as flags of seqaug run: -s training.learning_rate=0.0") for line in lines)
    again = sweep("--grid", "training.learning_rate=1e-3,1e-2", "--json")
    assert again.exit_code == 0 and "epoch" not in again.stderr
    found = json.loads(again.stdout)["data"]["toy"]
    assert [row["rank"] for row in found["ranking"]] == [1, 2] and set(found["selected"]["means"]) == {
        "valid", "test", "test_unseen",
    }  # fmt: skip


def test_a_dry_run_lists_the_runs_and_writes_nothing(sweep: Sweep) -> None:
    done = sweep("--grid", "training.learning_rate=1e-3,1e-2", "--seeds", "2", "--dry-run", "--jobs", "2")
    assert done.exit_code == 0 and "4 of 4 runs are left" in done.stdout
    assert list(Path().iterdir()) == []


def test_a_dry_run_of_trials_counts_them(sweep: Sweep) -> None:
    pytest.importorskip("optuna", reason="the extra seqaug[tuning] is not installed")
    done = sweep("--grid", "items.dim=4..16", "--optuna", "7", "--dry-run", "--jobs", "2")
    assert done.exit_code == 0 and "7 of 7 runs are left" in done.stdout and "each row stands for 7 trials" in done.stderr
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing is varied"),
        (["--grid", "items.dim=4..16"], "add --optuna TRIALS"),
        (["--grid", "items.dimm=4,16"], "Did you mean 'dim'?"),
        (["--grid", "loss=next_item_sofmax,next_item_bce"], "Did you mean 'next_item_softmax'?"),
        (["--grid", "items.dim=4,16", "--grid", "items.dim=8"], "items.dim has an axis already"),
    ],
)
def test_a_mistake_is_answered_before_anything_runs(sweep: Sweep, words: list[str], said: str) -> None:
    done = sweep(*words)
    assert done.exit_code == 2 and said in done.stderr and done.stdout == ""
    assert not Path("runs").exists()
