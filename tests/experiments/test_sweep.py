"""A search for values: what is tried, that validation alone decides, and that it goes on where it was."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqaug.errors import RecipeError, SeqaugError
from seqaug.experiments import sweep as module
from seqaug.experiments.matrix import Matrix, Started
from seqaug.experiments.run import run
from seqaug.experiments.settings import RunSettings
from seqaug.experiments.sweep import Range, Sweep, SweepRequest, Swept, parse_grid, plan_sweep, sweep
from seqaug.recipes.load import load_recipe

Small = Callable[..., RunSettings]
Planned = Callable[..., Sweep]

SASREC = load_recipe("sasrec")
GRID = ("training.learning_rate=1e-2,1e-3", "loss=next_item_softmax,next_item_bce")


@pytest.fixture
def planned(small: Small, toy: Path, tmp_path: Path) -> Planned:
    """A sweep of the small sasrec on the toy data."""

    def make(*grid: str, settings: dict[str, Any] | None = None, **fields: Any) -> Sweep:
        base = small("sasrec", out=None, runs=tmp_path / "runs", **(settings or {}))
        return plan_sweep(SweepRequest(base, grid or GRID, **{"data": (str(toy),), "seeds": 2, **fields}))

    return make


def end_of(plan: Sweep, **options: Any) -> Swept:
    *_, last = sweep(plan, **options)
    assert isinstance(last, Swept)
    return last


# ---- what is tried ----


def test_a_grid_is_every_combination_over_the_seeds(planned: Planned, tmp_path: Path) -> None:
    found = planned()
    names = [
        f"learning_rate={rate}, loss={loss}" for rate in ("1e-2", "1e-3") for loss in ("next_item_softmax", "next_item_bce")
    ]
    assert list(found.configurations) == names
    assert [one.member.place for one in found.matrix.members] == [(name, "toy", seed) for name in names for seed in (0, 1)]
    assert len({one.hash for one in found.matrix.members}) == 8 and found.monitor == "ndcg@10"
    assert found.folder.name.startswith("sweep-sasrec-") and not (tmp_path / "runs").exists()


def test_ranges_are_for_proposals() -> None:
    texts = ["training.learning_rate=1e-4..1e-2:log", "items.dim=8..64", "encoders.main.dropout=0.1..0.5"]
    assert parse_grid(SASREC, texts, ranges=True) == (
        Range("training.learning_rate", 1e-4, 1e-2, whole=False, log=True),
        Range("items.dim", 8, 64, whole=True, log=False),
        Range("encoders.main.dropout", 0.1, 0.5, whole=False, log=False),
    )
    with pytest.raises(RecipeError, match=r"has no end of values to try. Name them, or add --optuna TRIALS") as caught:
        parse_grid(SASREC, texts, ranges=False)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("items.dim=64..8", "from less to more"),
        ("items.dim=8..8", "from less to more"),
        ("training.weight_decay=0..1:log", "starts above 0"),
        ("items.dim=8..many", "a range is LOW..HIGH"),
        ("items.dim=8..64:linear", "a range is LOW..HIGH"),
        ("items.dim=true..false", "a range is LOW..HIGH"),
        ("items.dim", "PLACE=CHOICE,CHOICE"),
    ],
)
def test_a_grid_that_cannot_be_read_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_grid(SASREC, [text], ranges=True)
    assert said in str(caught.value)


def test_a_place_is_varied_once_and_something_has_to_be() -> None:
    with pytest.raises(RecipeError, match=r"items.dim is there twice"):
        parse_grid(SASREC, ["items.dim=8..16", "items.dim=8,16"], ranges=True)
    with pytest.raises(RecipeError, match="nothing is varied"):
        parse_grid(SASREC, [], ranges=True)


def test_what_ranks_cannot_be_varied(planned: Planned) -> None:
    with pytest.raises(RecipeError, match=r"training.monitor differs \(hr@10, ndcg@10\)"):
        planned("training.monitor=ndcg@10,hr@10")


# ---- selection ----


def test_validation_alone_ranks_and_only_what_won_has_test_numbers(planned: Planned) -> None:
    for one in planned().matrix.members:
        list(run(one.member.settings))
    found = planned()
    assert found.matrix.unfinished == ()
    # The test of a configuration that has not won is made the best there is: it must move nothing.
    before = end_of(found)
    last = before.ranked["toy"][-1].name
    for one in found.matrix.members:
        if one.member.variant == last:
            file = one.folder / "metrics.json"
            stored = json.loads(file.read_text())
            file.write_text(json.dumps({**stored, "test": dict.fromkeys(stored["test"], 1.0)}))
    end = end_of(planned())
    assert end.ranked == before.ranked and end.selected == before.selected

    rows = end.ranked["toy"]
    assert [row.place for row in rows] == [1, 2, 3, 4]
    means = []
    for row in rows:
        records = [one.record for one in found.matrix.members if one.member.variant == row.name and one.record is not None]
        values = [record.metrics["valid"]["ndcg@10"] for record in records]
        assert row.validation == tuple(values) and row.mean == pytest.approx(statistics.fmean(values))
        assert row.spread == pytest.approx(statistics.stdev(values))
        means.append(row.mean)
    assert means == sorted(means, reverse=True)
    won = end.selected["toy"]
    records = [one.record for one in found.matrix.members if one.member.variant == rows[0].name and one.record is not None]
    assert won.ranked == rows[0] and set(won.scores) == {"valid", "test", "test_unseen"}
    assert won.scores["test"]["hr@5"] == pytest.approx(statistics.fmean(r.metrics["test"]["hr@5"] for r in records))
    rate, loss = rows[0].values
    assert won.flags == ("-s", f"training.learning_rate={float(rate)}", "-s", f"loss={loss}")

    written = (end.sweep.folder / "ranking.csv").read_text()
    assert "test" not in written and len(list(csv.DictReader(written.splitlines()))) == 4
    stored = json.loads((end.sweep.folder / "ranking.json").read_text())
    assert all(set(row) == {"rank", "values", "validation", "mean", "spread"} for row in stored["data"]["toy"]["ranking"])


def test_a_configuration_that_misses_a_seed_ranks_with_nobody(planned: Planned) -> None:
    grid = "training.learning_rate=1e30,1e-2"
    for one in planned(grid).matrix.members:
        if one.member.place[::2] in (("learning_rate=1e-2", 0), ("learning_rate=1e-2", 1)):
            list(run(one.member.settings))
    end = end_of(planned(grid), jobs=2, threads=1)
    assert [(row.name, row.place) for row in end.ranked["toy"]] == [("learning_rate=1e-2", 1), ("learning_rate=1e30", None)]
    assert {one.exit_code for one in end.failed} == {6} and end.selected["toy"].ranked.name == "learning_rate=1e-2"


# ---- proposals ----


def test_without_optuna_it_is_said_what_to_install(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SeqaugError, match=r"pip install 'seqaug\[tuning\]'"):
        planned("items.dim=4..16", trials=2)


def test_proposals_are_repeated_and_finished_ones_are_not_run_again(planned: Planned, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra seqaug[tuning] is not installed")
    grid = ("training.learning_rate=1e-3..1e-1:log", "encoders.main.inner=4..16", "loss=next_item_softmax,next_item_bce")

    def events(trials: int, jobs: int = 2) -> tuple[list[str], list[str], Swept]:
        plan = planned(*grid, trials=trials, seeds=1, settings={"values": {"training.epochs": 1}})
        asked, started = [], []
        for event in sweep(plan, jobs=jobs, threads=1):
            if isinstance(event, Matrix):
                asked += [one.member.variant for one in event.members]
            elif isinstance(event, Started):
                started.append(event.member.variant)
        assert isinstance(event, Swept)
        return asked, started, event

    asked, started, end = events(2)
    assert len(asked) == 2 and sorted(started) == sorted(asked)
    for row in end.ranked["toy"]:
        rate, inner, loss = row.values
        assert 1e-3 <= float(rate) <= 1e-1 and 4 <= int(inner) <= 16 and loss.startswith("next_item_")
    # The same again, with nothing left to run, and with other jobs; more trials go on from there.
    again, nothing, same = events(2, jobs=1)
    assert again == asked and nothing == [] and same.ranked == end.ranked
    more, rest, _ = events(3)
    assert more[:2] == asked and rest == more[2:] and len(rest) == 1
    assert json.loads((end.sweep.folder / "matrix.json").read_text())["at_once"] == 2
    assert end.sweep.folder == tmp_path / "runs" / end.sweep.folder.name


def test_proposals_learn_from_what_they_are_told(planned: Planned) -> None:
    """Far from the start-up trials, most proposals lie where the told values were best."""
    pytest.importorskip("optuna", reason="the extra seqaug[tuning] is not installed")
    plan = planned("encoders.main.dropout=0.0..1.0", trials=40, seeds=1)
    study = module._Study(plan, "toy")
    seen = []
    for _ in range(40):
        (one,) = study.ask(1)
        value = float(one.values[0])
        seen.append(value)
        study.tell({one.name: -abs(value - 0.3)})
    assert study.ask(0) == []
    assert statistics.fmean(abs(value - 0.3) for value in seen[20:]) < 0.5 * statistics.fmean(
        abs(value - 0.3) for value in seen[:10]
    )
