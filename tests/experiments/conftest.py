"""A recipe and a data file so small that a run takes a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqaug.data.synthetic import toy_world
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.plan import Patch

SMALL = {
    "data.max_length": 8,
    "items.dim": 8,
    "encoders.main.layers": 1,
    "encoders.main.inner": 8,
    "training.epochs": 3,
    "training.batch_size": 16,
    "training.validate_every": 1,
}
SMALL_DIFFUSION = {
    **SMALL,
    "diffusions.main.schedule.steps": 10,
    "diffusions.main.noise.k": 3,
    "diffusions.main.denoiser.inner": 8,
}


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 users, 40 items, one user a line."""
    path = tmp_path_factory.mktemp("data") / "toy.txt"
    world = toy_world(num_users=30, num_items=40, max_length=8)
    path.write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    return path


@pytest.fixture
def small(toy: Path, tmp_path: Path) -> Callable[..., RunSettings]:
    """Settings of a small run into tmp_path / "run"; `values` are more patches, the rest fields of RunSettings."""

    def make(recipe: str = "sasrec", *, values: dict[str, Any] | None = None, **fields: Any) -> RunSettings:
        base = SMALL_DIFFUSION if recipe == "simdiffrec" else SMALL
        patches = [Patch(path, value, "-s") for path, value in {**base, **(values or {})}.items()]
        given = {"out": tmp_path / "run", "device": "cpu", **fields}
        return RunSettings(recipe=recipe, data=str(toy), patches=patches, **given)

    return make
