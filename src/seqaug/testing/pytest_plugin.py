"""Fixtures for tests of plugins, known to pytest wherever seqaug is installed (entry point `pytest11`).

All of them are made anew for each test, small, and seeded; torch is imported by the first test that asks for one. They are
parts of one world: the batch has rows of the histories, the evidence is scored by the table, the step is that of the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import Generator

    from ..core.assembly import Assembly
    from ..core.items import ItemTable
    from ..core.recommender import Recommender
    from ..core.step import Step
    from ..core.views import Evidence
    from ..data.batch import Batch
    from ..data.layout import Layout
    from ..data.samples import Samples
    from ..data.split import Histories
    from .hosts import Placed
    from .worlds import Scene

__all__ = [
    "seqaug_assembly",
    "seqaug_batch",
    "seqaug_evidence",
    "seqaug_generator",
    "seqaug_histories",
    "seqaug_layout",
    "seqaug_model",
    "seqaug_samples",
    "seqaug_step",
    "seqaug_table",
]


@pytest.fixture
def _seqaug_world() -> Placed:
    from .hosts import bare
    from .worlds import USUAL

    return bare("plain", USUAL)


@pytest.fixture
def _seqaug_scene(_seqaug_world: Placed) -> Scene:
    from .worlds import MIXED, Scene

    return Scene.drawn(MIXED, _seqaug_world.histories, _seqaug_world.assembly.model.items)


@pytest.fixture
def seqaug_generator() -> Generator:
    """A generator of the CPU, seeded with 0."""
    from torch import Generator

    return Generator().manual_seed(0)


@pytest.fixture
def seqaug_histories(_seqaug_world: Placed) -> Histories:
    """The training histories of a toy world of some 70 users and 300 items, lengths from 1 to more than max_length = 12."""
    return _seqaug_world.histories


@pytest.fixture
def seqaug_assembly(_seqaug_world: Placed) -> Assembly:
    """A small recipe, assembled: a transformer, a diffusion, augmenters `diffused` and `edited`, heads `main` and `logit`."""
    return _seqaug_world.assembly


@pytest.fixture
def seqaug_model(_seqaug_world: Placed) -> Recommender:
    """Its parts, in evaluation: item table, encoder `main`, diffusion `main`, heads `main` and `logit`. D = 64."""
    return _seqaug_world.assembly.model


@pytest.fixture
def seqaug_table(_seqaug_world: Placed) -> ItemTable:
    """Its item table, with vectors well apart and the popularity of the histories."""
    return _seqaug_world.assembly.model.items


@pytest.fixture
def seqaug_layout(_seqaug_scene: Scene) -> Layout:
    """Six sequences of 3, 1, 12, 5, 7 and 2 positions."""
    return _seqaug_scene.layout


@pytest.fixture
def seqaug_evidence(_seqaug_world: Placed, _seqaug_scene: Scene) -> Evidence:
    """All that selectors and samplers may know of sequences of those lengths: scores and corrupted positions as well."""
    from .worlds import evidence_of

    table = _seqaug_world.assembly.model.items
    return evidence_of(_seqaug_scene, _seqaug_world.histories, table.popularity, table)


@pytest.fixture
def seqaug_samples(_seqaug_world: Placed) -> Samples:
    """The training rows, one a user, a target at every position."""
    return _seqaug_world.samples()


@pytest.fixture
def seqaug_batch(seqaug_samples: Samples) -> Batch:
    """The first eight training rows, one of a single item and two of max_length among them."""
    import torch

    return seqaug_samples.take(torch.arange(8))


@pytest.fixture
def seqaug_step(seqaug_assembly: Assembly, seqaug_samples: Samples, seqaug_batch: Batch) -> Step:
    """The first step on that batch: what augmenters and objectives are handed. Its plugins are those of `seqaug_assembly`."""
    from ..core.step import Step

    return Step(seqaug_assembly, seqaug_samples, seqaug_batch, epoch=0, seed=(0, "fixture"))
