"""`seqaug reproduce` as a command: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seqaug.cli.main import cli
from seqaug.data.catalog import where
from seqaug.data.synthetic import toy_world

SMALL = (
    "data.max_length=8; items.dim=8; encoders.main.layers=1; encoders.main.inner=8; training.epochs=2; training.batch_size=16; "
    "diffusions.main.schedule.steps=10; diffusions.main.noise.k=3; diffusions.main.denoiser.inner=8"
)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small data set, an empty folder to be in, and small recipes."""
    path = tmp_path / "toy.txt"
    world = toy_world(num_users=30, num_items=40, max_length=8)
    path.write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("SEQAUG_SET", SMALL)
    return path


def reproduce(*words: str) -> Result:
    return CliRunner().invoke(cli, ["reproduce", *words])


def test_a_dry_run_lists_the_runs_and_writes_nothing(toy: Path) -> None:
    found = reproduce("table3", "--data", str(toy), "--seeds", "2", "--budget", "full", "--dry-run", "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["complete"] and told["budget"] == "budget full: all 2 seeds, all epochs"
    assert len(told["runs"]) == 8 and {one["condition"] for one in told["runs"]} == {"new"}
    assert not list(Path.cwd().iterdir())


def test_a_budget_is_part_of_the_result(toy: Path) -> None:
    # A second holds no run, so that all that can be cut is.
    words = ("table3", "--data", str(toy), "--seeds", "3", "--budget", "1s", "--jobs", "2", "--threads", "1", "-q")
    found = reproduce(*words)
    assert found.exit_code == 0, found.output
    budget = "budget 1s: 1 of 3 seeds, at most 1 epoch; this is not the paper's protocol"
    assert budget in found.stdout
    for word in ("ours - paper", "none (one seed)", "released code", "values.csv"):
        assert word in found.stdout
    (folder,) = Path("runs").glob("reproduce-table3-*")
    assert budget in (folder / "result.md").read_text()
    again = reproduce(*words, "--json")
    told = json.loads(again.stdout)
    assert told["budget"] == budget and told["folder"] == str(folder) and not told["complete"]
    # What was decided stands until somebody asks for it anew.
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps({**plan, "seeds": {"toy": [0, 1]}}))
    assert json.loads(reproduce(*words, "--dry-run", "--json").stdout)["seeds"] == {"toy": [0, 1]}
    assert json.loads(reproduce(*words, "--dry-run", "--json", "--replan").stdout)["seeds"] == {"toy": [0]}


def test_in_full_it_is_ten_seeds(toy: Path) -> None:
    told = json.loads(reproduce("table3", "--data", str(toy), "--budget", "full", "--dry-run", "--json").stdout)
    assert told["seeds"] == {"toy": list(range(10))} and len(told["runs"]) == 40


def test_runs_that_fail_give_the_command_their_exit_code(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQAUG_SET", f"{SMALL}; training.learning_rate=1e30")
    words = ("table3", "--data", str(toy), "--seeds", "1", "--budget", "full", "--jobs", "2", "--threads", "1", "--json")
    found = reproduce(*words)
    assert found.exit_code == 6, found.stderr
    assert "the loss is no longer finite" in found.stderr and "Traceback" not in found.stderr
    assert len(json.loads(found.stdout)["failed"]) == 4


@pytest.mark.parametrize("form", ["csv", "markdown", "text"])
def test_table_1_is_counted_and_trains_nothing(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = reproduce("table1", "--data", "ml-1m", "--format", form)
    assert found.exit_code == 0, found.output
    assert ("1000209" if form == "csv" else "1,000,209") in found.stdout and "3,953" in found.stdout.replace("3953", "3,953")
    if form == "text":
        here = where("ml-1m") is not None
        assert ("ours" if here else "the catalogue") in found.stdout
        assert "the largest id is 3,952" in found.stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("fig9",), 2, "'fig9' is not one of"),
        (("table3", "--budget", "soon"), 2, "a time was expected, as in 30m, 2h or 1h30m"),
        (("table3", "--seeds", "0"), 2, "--seeds"),
        (("table3", "--data", "nowhere"), 3, "no data set is called 'nowhere'"),
        (("table3", "--data", ","), 2, "--data"),
        (("fig3", "--device", "abacus", "--data", "movietweetings"), 2, "abacus"),
        (("table1", "--data", "nowhere"), 3, "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_words(words: tuple[str, ...], code: int, says: str, toy: Path) -> None:
    found = reproduce(*words)
    assert found.exit_code == code, found.output
    assert says in found.stderr and "Traceback" not in found.stderr
    assert not list(Path.cwd().iterdir())
