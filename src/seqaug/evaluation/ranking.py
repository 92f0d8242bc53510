"""Full ranking: where each held-out item stands among all items, under both protocols in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.assembly import Assembly
from ..core.heap import Heap
from ..core.items import ItemScores
from ..core.seeds import Generators
from ..core.world import ALONE, World
from ..data.split import HeldOut, Histories
from ..data.transfer import sent

__all__ = ["BLOCK", "Ranks", "rank_held_out"]

BLOCK = 1024
"""Users who share one draw of a random scorer, whatever the batch size."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """(R,) each: row of the user in the data, id of the target, its rank with seen items kept and with them removed (1 is
    best).
    """

    users: NDArray[np.int64]
    targets: NDArray[np.int64]
    rank: NDArray[np.int64]
    rank_unseen: NDArray[np.int64]


@torch.no_grad()
def rank_held_out(
    assembly: Assembly,
    held_out: HeldOut,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    batch_size: int = BLOCK,
    world: World = ALONE,
) -> Ranks:
    """Rank every held-out target among all items, in float32, with pessimistic ties.

    A context that a rewriter has made stands in front of the histories and is never "seen". Seen items are those of the user's
    whole input history, not only its latest max_length. batch_size: users scored at once, at most 1,024; it changes no number
    of a scorer that draws nothing. One that draws is seeded per block of 1,024 users, so leave the default there. world: the
    processes that rank together, each user once; all of them have the answer. Raises Diverged where a score is NaN.
    """
    model = assembly.model
    device = torch.device(device)
    slot = assembly.slots.get(id(assembly.scorer), "scorer")
    context = assembly.scoring_context
    context = None if context is None else context.cpu()
    generators = Generators(device)
    was_training = model.training
    model.eval()
    kept: list[Tensor] = []
    unseen: list[Tensor] = []
    sizes: list[int] = []
    heap = Heap()
    try:
        for number, (part, batch) in enumerate(held_out.batches(min(batch_size, BLOCK), model.max_length, context)):
            sizes.append(part.stop - part.start)
            if number % world.size != world.rank:
                continue
            generator = generators.get(slot, seed, "score", part.start // BLOCK)
            with torch.autocast(device.type, enabled=False):
                answer = assembly.scorer.score(model, batch.to(device), generator)
            scores = answer if isinstance(answer, ItemScores) else ItemScores.dense(answer)
            seen = _part(held_out.inputs, part)
            targets, offsets, items = sent([held_out.targets[part], seen.offsets, seen.items], device)
            rank, without = scores.rank_of(targets, Histories(offsets, items, seen.num_items))
            kept.append(rank)
            unseen.append(without)
            heap.settle()
    finally:
        model.train(was_training)
    rank, without = _of_all(kept, sizes, world, device), _of_all(unseen, sizes, world, device)
    return Ranks(
        users=held_out.users.numpy().copy(),
        targets=held_out.targets.numpy().copy(),
        rank=rank.numpy(),
        rank_unseen=without.numpy(),
    )


def _of_all(own: list[Tensor], sizes: list[int], world: World, device: torch.device) -> Tensor:
    """The ranks of every block, from those of the blocks that this process has scored: number rank, rank + P, ..."""
    if world.size == 1:
        return torch.cat(own).cpu()  # once, and not for every block: each time waits for the device
    taken = iter(own)
    blocks = [
        next(taken) if number % world.size == world.rank else torch.zeros(size, dtype=torch.int64, device=device)
        for number, size in enumerate(sizes)
    ]
    return world.summed_(torch.cat(blocks)).cpu()


def _part(histories: Histories, part: slice) -> Histories:
    begin, end = int(histories.offsets[part.start]), int(histories.offsets[part.stop])
    return Histories(histories.offsets[part.start : part.stop + 1] - begin, histories.items[begin:end], histories.num_items)
