"""The data that plugins meet in the kit: toy worlds, and batches of any lengths.

N positions, B sequences, V items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Generator, Tensor

from ..core.items import ItemScores, ItemTable
from ..core.views import Evidence
from ..data.batch import Batch
from ..data.layout import Layout
from ..data.sequences import UserSequences
from ..data.split import Histories, Split, leave_one_out
from ..data.synthetic import toy_world

__all__ = ["DIM", "FEW", "MANY", "MAX_LENGTH", "MIXED", "USUAL", "Scene", "Size", "evidence_of", "popularity_of", "split_of"]

DIM = 64
MAX_LENGTH = 12
MIXED = (3, 1, MAX_LENGTH, 5, 7, 2)
"""Lengths of a usual batch."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a toy world is."""

    users: int
    items: int


USUAL, FEW, MANY = Size(48, 300), Size(16, 5), Size(96, 2000)


@lru_cache(maxsize=8)
def _split(size: Size) -> Split:
    """A toy world, one more user who had a single item again and again, and more still until every item occurs."""
    lists = [*toy_world(size.users, size.items, MAX_LENGTH)]
    lists.append(("again and again", ["2"] * 9))
    had = {item for _, items in lists for item in items}
    rest = [str(item) for item in range(1, size.items + 1) if str(item) not in had]
    lists += [(f"rest {begin}", rest[begin : begin + MAX_LENGTH]) for begin in range(0, len(rest), MAX_LENGTH)]
    return leave_one_out(UserSequences.from_lists([one for one in lists if len(one[1]) >= 3]))


def split_of(size: Size) -> Split:
    """A toy world of that size, split. Its tensors are the caller's own: a plugin that changes them harms nobody else."""
    kept = _split(size)
    train = Histories(kept.train.offsets.clone(), kept.train.items.clone(), kept.train.num_items)
    return replace(kept, train=train)


def popularity_of(histories: Histories) -> Tensor:
    """(V + 1,) how often each item occurs."""
    return torch.bincount(histories.items, minlength=histories.num_items + 1)


@dataclass(frozen=True, eq=False)
class Scene:
    """Sequences of given lengths, and everything that a plugin of any kind may be shown of them.

    items, targets: (N,) ids in 1..V. users: (B,) their rows in the data. clean, noised, hidden: (N, D) vectors: of the items,
    noised, and states that score the catalogue. corrupted: (N,) bool. step: (B,) in 1..T. condition: (B, D).
    """

    layout: Layout
    users: Tensor
    items: Tensor
    targets: Tensor
    clean: Tensor
    noised: Tensor
    hidden: Tensor
    corrupted: Tensor
    step: Tensor
    condition: Tensor

    POSITIONS = ("items", "targets", "clean", "noised", "hidden", "corrupted")
    SEQUENCES = ("users", "step", "condition")

    @classmethod
    def drawn(
        cls,
        lengths: Sequence[int],
        histories: Histories,
        table: ItemTable,
        *,
        seed: int = 0,
        steps: int = 20,
        item: int | None = None,
    ) -> Scene:
        """Random sequences of these lengths, of the catalogue and the users of `histories`. item: the only one, where given."""
        draw = Generator().manual_seed(seed)
        layout = Layout.of(lengths)
        size, count = layout.num_positions, layout.num_sequences
        users = torch.arange(count) % histories.num_users
        items = torch.randint(1, histories.num_items + 1, (size,), generator=draw)
        targets = torch.randint(1, histories.num_items + 1, (size,), generator=draw)
        if item is not None:
            items = torch.full_like(items, item)
        clean = table.weight.detach().cpu()[items].clone()
        width = clean.shape[1]
        scene = cls(
            layout=layout,
            users=users,
            items=items,
            targets=targets,
            clean=clean,
            noised=torch.randn((size, width), generator=draw),
            hidden=torch.randn((size, width), generator=draw),
            corrupted=torch.rand(size, generator=draw) < 0.6,
            step=torch.randint(1, steps + 1, (count,), generator=draw),
            condition=torch.randn((count, width), generator=draw),
        )
        return scene.to(table.weight.device)

    def to(self, device: torch.device | str) -> Scene:
        """On another device."""
        tensors = {name: getattr(self, name).to(device) for name in (*self.POSITIONS, *self.SEQUENCES)}
        return replace(self, layout=self.layout.to(device), **tensors)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything that nobody may change, by name."""
        return {name: getattr(self, name) for name in (*self.POSITIONS, *self.SEQUENCES)}

    def reordered(self, order: Sequence[int]) -> tuple[Scene, Tensor]:
        """The same sequences in another order, and which (N,) position of this scene each of its positions was."""
        offsets = self.layout.offsets.tolist()
        places = torch.cat([torch.arange(offsets[one], offsets[one + 1]) for one in order]).to(self.items.device)
        rows = torch.tensor(list(order), device=self.items.device)
        tensors = {name: getattr(self, name)[places] for name in self.POSITIONS}
        tensors |= {name: getattr(self, name)[rows] for name in self.SEQUENCES}
        layout = Layout.of([self.layout.counts[one] for one in order], self.layout.device)
        return replace(self, layout=layout, **tensors), places

    def with_others(self, other: Scene, kept: Sequence[int]) -> Scene:
        """This scene with every sequence but the `kept` ones exchanged for that of `other`, which has the same lengths."""
        rows = torch.zeros(self.layout.num_sequences, dtype=torch.bool, device=self.items.device)
        rows[list(kept)] = True
        places = rows[self.layout.sequence]
        tensors: dict[str, Any] = {}
        for names, own in ((self.POSITIONS, places), (self.SEQUENCES, rows)):
            for name in names:
                mine, theirs = getattr(self, name), getattr(other, name)
                tensors[name] = torch.where(own.view(-1, *[1] * (mine.dim() - 1)), mine, theirs)
        return replace(self, **tensors)

    def places_of(self, sequences: Sequence[int]) -> Tensor:
        """(n,) the positions of these sequences."""
        offsets = self.layout.offsets.tolist()
        return torch.cat([torch.arange(offsets[one], offsets[one + 1]) for one in sequences]).to(self.items.device)

    def batch(self) -> Batch:
        """These sequences as histories to score: without targets."""
        rows = torch.arange(self.layout.num_sequences, device=self.items.device)
        none = torch.zeros(0, dtype=torch.int64, device=self.items.device)
        return Batch(rows, self.users, self.layout, self.items, torch.zeros_like(self.targets), none)


def evidence_of(
    scene: Scene, histories: Histories, popularity: Tensor, table: ItemTable, *, scored: bool = True, corrupted: bool = True
) -> Evidence:
    """What selectors and samplers may know of a scene. scored, corrupted: whether something was predicted, and noised."""
    evidence = Evidence(
        layout=scene.layout,
        users=scene.users,
        items=scene.items,
        targets=scene.targets,
        histories=histories,
        popularity=popularity,
        num_items=histories.num_items,
        corrupted=scene.corrupted if corrupted else None,
    )
    return replace(evidence, ask_scores=lambda: ItemScores(scene.hidden, table)) if scored else evidence
