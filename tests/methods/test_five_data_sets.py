"""An epoch of two recipes on each data set of the paper, from the file to the result: they ask for nothing particular."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.conftest import REAL_DATA
from seqaug.data.known import KNOWN
from seqaug.evaluation.metrics import METRICS, metrics
from seqaug.experiments.run import EpochReport, Finished, Planned, run
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.plan import Patch

DATA_SETS = ["beauty", "toys", "sports", "yelp", "ml-1m"]
WRITTEN = {
    "command.txt",
    "environment.json",
    "events.jsonl",
    "metrics.json",
    "model.safetensors",
    "per_user.npz",
    "recipe.toml",
    "resolved.json",
}


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of real data sets."""
    if REAL_DATA is None:
        pytest.skip("no real data: set SEQAUG_DATA to the folder that holds beauty/, ml-1m/ and so on")
    monkeypatch.setenv("SEQAUG_DATA", str(REAL_DATA))
    return REAL_DATA


@pytest.mark.slow
@pytest.mark.parametrize("data", DATA_SETS)
@pytest.mark.parametrize("recipe", ["sasrec", "simdiffrec"])
def test_one_epoch_and_one_evaluation(recipe: str, data: str, real: Path, tmp_path: Path) -> None:
    if not (real / data).is_dir():
        pytest.skip(f"{real} holds no {data}/")
    folder = tmp_path / "run"
    patches = [Patch("training.epochs", 1, "-s")]
    events: list[Any] = list(run(RunSettings(recipe, data, device="cpu", out=folder, patches=patches)))

    (plan,) = (event.prepared.plan for event in events if isinstance(event, Planned))
    assert plan.data.max_length == (200 if data == "ml-1m" else 50)
    (epoch,) = (event for event in events if isinstance(event, EpochReport))
    assert epoch.losses.keys() == plan.objectives.keys()
    assert all(math.isfinite(loss) for loss in epoch.losses.values())
    assert isinstance(events[-1], Finished)

    assert {entry.name for entry in folder.iterdir()} == WRITTEN
    found = json.loads((folder / "metrics.json").read_text())
    counted = KNOWN[data].statistics
    assert (found["data"]["users"], found["data"]["items"], found["data"]["actions"]) == (
        counted.users,
        counted.items,
        counted.actions,
    )
    for part in ("valid", "test", "test_unseen"):
        assert sorted(found[part]) == sorted(METRICS)
        assert all(0 <= value <= 1 for value in found[part].values())
        # The ideal NDCG is 1 and a hit at rank k is worth at least 1 / log2(k + 1).
        assert 1 / math.log2(11) * found[part]["hr@10"] - 1e-12 <= found[part]["ndcg@10"] <= found[part]["hr@10"]
        assert found[part]["hr@5"] <= found[part]["hr@10"] <= found[part]["hr@20"]
    # One epoch of batches of 256 need not reach popularity: sasrec does, simdiffrec on the Amazon sets is on its way there.
    assert found["test"]["hr@10"] > 2 * 10 / counted.items, "no better than chance"
    with np.load(folder / "per_user.npz") as stored:
        assert len(stored["rank"]) == counted.users
        assert 1 <= stored["rank"].min() and stored["rank"].max() <= counted.items
        assert metrics(stored["rank"]) == found["test"] and metrics(stored["rank_unseen"]) == found["test_unseen"]
        if not counted.repeats:
            assert (stored["rank_unseen"] <= stored["rank"]).all(), "without repeats, removing seen items can only help"
