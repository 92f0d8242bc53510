"""Full ranking: where each held-out item stands among all items, under both protocols in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.assembly import Assembly
from ..core.items import ItemScores
from ..core.seeds import Generators
from ..data.split import HeldOut, Histories

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
) -> Ranks:
    """Rank every held-out target among all items, in float32, with pessimistic ties.

    A context that a rewriter has made stands in front of the histories and is never "seen". Seen items are those of the user's
    whole input history, not only its latest max_length. batch_size: users scored at once, at most 1,024; it changes no number
    of a scorer that draws nothing. One that draws is seeded per block of 1,024 users, so leave the default there. Raises
    Diverged where a score is NaN.
    """
    model = assembly.model
    device = torch.device(device)
    slot = assembly.slots.get(id(assembly.scorer), "scorer")
    context = assembly.scoring_context
    context = None if context is None else context.cpu()
    generators = Generators(device)
    was_training = model.training
    model.eval()
    kept, unseen = [], []
    try:
        for part, batch in held_out.batches(min(batch_size, BLOCK), model.max_length, context):
            generator = generators.get(slot, seed, "score", part.start // BLOCK)
            with torch.autocast(device.type, enabled=False):
                answer = assembly.scorer.score(model, batch.to(device), generator)
            scores = answer if isinstance(answer, ItemScores) else ItemScores.dense(answer)
            rank, without = scores.rank_of(held_out.targets[part].to(device), _part(held_out.inputs, part).to(device))
            kept.append(rank.cpu())
            unseen.append(without.cpu())
    finally:
        model.train(was_training)
    return Ranks(
        users=held_out.users.numpy().copy(),
        targets=held_out.targets.numpy().copy(),
        rank=torch.cat(kept).numpy(),
        rank_unseen=torch.cat(unseen).numpy(),
    )


def _part(histories: Histories, part: slice) -> Histories:
    begin, end = int(histories.offsets[part.start]), int(histories.offsets[part.stop])
    return Histories(histories.offsets[part.start : part.stop + 1] - begin, histories.items[begin:end], histories.num_items)
