"""The floors end to end: nothing is trained, and the same numbers come out every time."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from methods.test_recipes import trains
from seqaug.data.catalog import find
from seqaug.data.split import leave_one_out
from seqaug.evaluation.metrics import METRICS, metrics
from seqaug.experiments.evaluate import evaluate
from seqaug.experiments.run import BatchReport, EpochReport, Finished, run
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.load import recipe_names
from seqaug.recipes.plan import Patch

FLOORS = [recipe for recipe in recipe_names() if not trains(recipe)]


Runs = Callable[..., tuple[Path, list[Any]]]


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs a floor on the bundled data: its folder and what the run told. Equal settings run once."""

    @cache
    def make(recipe: str, **fields: Any) -> tuple[Path, list[Any]]:
        folder = tmp_path_factory.mktemp(recipe) / "run"
        changes = fields.pop("changes", ())
        patches = [Patch(path, value, "-s") for path, value in changes]
        asked = RunSettings(recipe=recipe, data="movietweetings", device="cpu", out=folder, patches=patches, **fields)
        return folder, list(run(asked))

    return make


def metrics_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def ranks_of(folder: Path) -> dict[str, list[Any]]:
    with np.load(folder / "per_user.npz") as stored:
        return {name: stored[name].tolist() for name in stored.files}


def test_the_floors_are_popularity_and_item_knn() -> None:
    assert FLOORS == ["item_knn", "popularity"]


@pytest.mark.parametrize("recipe", FLOORS)
def test_a_floor_runs_without_training_and_reports_like_everyone(recipe: str, floor: Runs) -> None:
    folder, events = floor(recipe)
    assert isinstance(events[-1], Finished) and not any(isinstance(event, BatchReport | EpochReport) for event in events)
    found = metrics_of(folder)
    assert found["epochs"] == 0 and found["seconds"]["train"] == 0
    for part in ("valid", "test", "test_unseen"):
        assert sorted(found[part]) == sorted(METRICS)
        assert all(0 < value < 1 for value in found[part].values())


@pytest.mark.parametrize("recipe", FLOORS)
def test_two_runs_are_equal_bit_for_bit_whatever_the_seed(recipe: str, floor: Runs) -> None:
    (one, _), (two, _) = floor(recipe), floor(recipe, seed=1)
    assert ranks_of(one) == ranks_of(two)
    first, second = metrics_of(one), metrics_of(two)
    assert all(first[part] == second[part] for part in ("valid", "test", "test_unseen"))


@pytest.mark.parametrize("recipe", FLOORS)
def test_the_folder_alone_gives_the_same_numbers(recipe: str, floor: Runs) -> None:
    found = evaluate(floor(recipe)[0])
    assert found.equal and not found.differences and not found.notes


def test_popularity_on_the_bundled_data_is_a_sort_by_training_actions(floor: Runs) -> None:
    split = leave_one_out(find("movietweetings").sequences)
    counts = split.popularity[1:]
    rank = (counts[None, :] >= counts[split.test.targets - 1][:, None]).sum(1).numpy()
    folder, _ = floor("popularity")
    assert ranks_of(folder)["rank"] == rank.tolist() and metrics_of(folder)["test"] == metrics(rank)


def test_who_had_what_together_says_more_than_popularity(floor: Runs) -> None:
    neighbours, popularity = (metrics_of(floor(recipe)[0])["test"]["hr@10"] for recipe in ("item_knn", "popularity"))
    assert neighbours > 1.2 * popularity


def test_a_setting_of_the_scorer_changes_the_ranks(floor: Runs) -> None:
    plain, changed = floor("item_knn"), floor("item_knn", changes=(("scorer.latest", 1),))
    assert ranks_of(plain[0]) != ranks_of(changed[0])
