"""A small assembly built by hand, for the tests of what stands above it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqaug.builtin.encoders.transformer import TransformerEncoder
from seqaug.core.assembly import Assembly, Stage, Term, Update
from seqaug.core.items import ItemScores, ItemTable
from seqaug.core.protocols import Augmenter, Objective
from seqaug.core.recommender import Recommender
from seqaug.core.seeds import derived, seeded
from seqaug.core.step import Step
from seqaug.data.batch import Batch
from seqaug.data.samples import Samples
from seqaug.data.split import Split, leave_one_out
from seqaug.data.synthetic import toy_world

MAX_LENGTH = 10


def toy_split(num_users: int = 60, num_items: int = 40, seed: int = 0) -> Split:
    return leave_one_out(toy_world(num_users, num_items, MAX_LENGTH, seed))


class NextItem:
    """Softmax over the catalogue at every position with a next item."""

    def __call__(self, step: Step, /) -> Tensor:
        hidden, targets = step.predicting()
        return step.scores(hidden).nll(targets)


class LastState:
    """Scores by the state at the latest position."""

    def score(self, model: Recommender, histories: Batch, generator: torch.Generator) -> ItemScores:
        hidden = model.encode(model.items(histories.items), histories.layout)
        return model.scores(hidden[histories.layout.last()])


def assembly(
    split: Split,
    *,
    epochs: int = 3,
    dropout: float = 0.2,
    seed: int = 0,
    terms: dict[str, tuple[Objective, float]] | None = None,
    augmenters: dict[str, Augmenter] | None = None,
    updates: tuple[Update, ...] | None = None,
    heads: dict[str, nn.Module] | None = None,
) -> Assembly:
    with seeded(derived(seed, "init", "items")):
        items = ItemTable(split.sequences.num_items, 16, popularity=split.popularity)
    with seeded(derived(seed, "init", "encoders.main")):
        encoder = TransformerEncoder(16, MAX_LENGTH, inner=32, layers=1, dropout=dropout)
    model = Recommender(items, encoders={"main": encoder}, heads=heads, max_length=MAX_LENGTH)
    named = terms or {"recommendation": (NextItem(), 1.0)}
    made = tuple(Term(name, objective, weight) for name, (objective, weight) in named.items() if weight)
    scorer = LastState()
    return Assembly(
        model=model,
        augmenters=dict(augmenters or {}),
        stages=(Stage("main", epochs, updates or (Update(("items", "encoders.main"), made),)),),
        scorer=scorer,
        plugins={
            **{f"objectives.{name}": objective for name, (objective, _) in named.items()},
            **{f"augmenters.{name}": one for name, one in (augmenters or {}).items()},
            "scorer": scorer,
        },
    )


def samples(split: Split) -> Samples:
    return Samples(split, max_length=MAX_LENGTH)
