"""Everything that a plugin may import. Built-ins and strangers import only this.

API_VERSION changes when a plugin written against an older one would stop working. A plugin's class may say for which it was
written, `seqaug_api = 1`; it is refused, in words, where this seqaug has another.
"""

from __future__ import annotations

from torch import Generator, Tensor

from .core.blocks import Dropout, Positions, StepEmbedding, TransformerBlocks, initialise_, quiet
from .core.diffusion import Diffusion
from .core.interface import API_VERSION
from .core.items import ItemScores, ItemTable
from .core.names import DiffusionName, EncoderName, HeadName, ViewName
from .core.protocols import (
    Augmenter,
    Denoiser,
    Encoder,
    Head,
    NegativeSampler,
    NoiseSource,
    Objective,
    PositionSelector,
    Rewriter,
    Schedule,
    Scorer,
)
from .core.recommender import Recommender
from .core.registries import (
    augmenters,
    denoisers,
    encoders,
    heads,
    negative_samplers,
    noise_sources,
    objectives,
    position_selectors,
    rewriters,
    schedules,
    scorers,
)
from .core.registry import Use
from .core.step import Step
from .core.views import Evidence, Restoration, View, comparable
from .data.batch import Batch
from .data.layout import Group, Layout
from .data.split import Histories
from .errors import DataError, Diverged, PluginError, RecipeError, SeqaugError, UnknownName

__all__ = [
    "API_VERSION",
    "Augmenter",
    "Batch",
    "DataError",
    "Denoiser",
    "Diffusion",
    "DiffusionName",
    "Diverged",
    "Dropout",
    "Encoder",
    "EncoderName",
    "Evidence",
    "Generator",
    "Group",
    "Head",
    "HeadName",
    "Histories",
    "ItemScores",
    "ItemTable",
    "Layout",
    "NegativeSampler",
    "NoiseSource",
    "Objective",
    "PluginError",
    "PositionSelector",
    "Positions",
    "RecipeError",
    "Recommender",
    "Restoration",
    "Rewriter",
    "Schedule",
    "Scorer",
    "SeqaugError",
    "Step",
    "StepEmbedding",
    "Tensor",
    "TransformerBlocks",
    "UnknownName",
    "Use",
    "View",
    "ViewName",
    "augmenters",
    "comparable",
    "denoisers",
    "encoders",
    "heads",
    "initialise_",
    "negative_samplers",
    "noise_sources",
    "objectives",
    "position_selectors",
    "quiet",
    "rewriters",
    "schedules",
    "scorers",
]
