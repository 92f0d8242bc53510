"""Every recipe that trains, on real data: after a few small epochs on the bundled data set it is well above popularity.

A recipe's own budget stands in bundled/<recipe>.toml: path = value, on top of BUDGET.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from methods.test_recipes import RECIPES
from seqaug.experiments.run import EpochReport, Finished, run
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.plan import Patch

BUDGET = {
    "data.max_length": 10,
    "items.dim": 32,
    "encoders.main.inner": 64,
    "encoders.main.dropout": 0.2,
    "training.epochs": 3,
    "training.batch_size": 64,
    "training.learning_rate": 3e-3,
}


def budget(recipe: str) -> dict[str, Any]:
    own = Path(__file__).parent / "bundled" / f"{recipe}.toml"
    return BUDGET | (tomllib.loads(own.read_text(encoding="utf-8")) if own.exists() else {})


def ran(recipe: str, folder: Path, values: dict[str, Any]) -> tuple[list[EpochReport], dict[str, Any]]:
    """The epochs of a run on the bundled data, and its metrics."""
    patches = [Patch(path, value, "test") for path, value in values.items()]
    events = list(run(RunSettings(recipe, "movietweetings", device="cpu", out=folder, patches=patches)))
    assert isinstance(events[-1], Finished)
    return [event for event in events if isinstance(event, EpochReport)], dict(events[-1].metrics)


@pytest.fixture(scope="module")
def popularity(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What popularity scores on the test items."""
    found: dict[str, float] = ran("popularity", tmp_path_factory.mktemp("popularity") / "run", {})[1]["test"]
    return found


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_ends_well_above_popularity(recipe: str, popularity: dict[str, float], tmp_path: Path) -> None:
    epochs, found = ran(recipe, tmp_path / "run", budget(recipe))
    assert all(value == value for epoch in epochs for value in epoch.losses.values())
    assert found["test"]["ndcg@10"] > 1.2 * popularity["ndcg@10"], (found["test"], popularity)
