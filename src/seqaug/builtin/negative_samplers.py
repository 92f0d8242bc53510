"""Which wrong items stand against, or in for, the true one.

N positions, M negatives per position, V items (ids 1..V). Items are excluded exactly: a drawn number is counted
past the excluded items, so that nothing is drawn again and no device is asked how many were refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from seqaug.api import Evidence, Generator, Histories, RecipeError, SeqaugError, Tensor, negative_samplers

__all__ = ["AmongTop", "InBatchItems", "PopularItems", "RankedItem", "UniformItems"]

Exclude = Literal["nothing", "target", "history"]

# Popularity weights are whole numbers that add up to about this, so that their sums are exact; shares are off by at most 1e-11.
# Times the number of users it must fit into 63 bits.
RESOLUTION = 2**36


class _History:
    """The distinct items of every user, sorted: user u has items[begin[u]:begin[u + 1]]."""

    def __init__(self, histories: Histories) -> None:
        self.of = histories
        self.wide = histories.num_items + 1
        owner = torch.repeat_interleave(torch.arange(histories.num_users, device=histories.items.device), histories.lengths)
        self.keys = torch.unique(owner * self.wide + histories.items)
        self.items = self.keys % self.wide
        self.owner = self.keys // self.wide
        self.begin = torch.searchsorted(self.keys, torch.arange(histories.num_users + 1, device=self.keys.device) * self.wide)


class _Excluding:
    """Draws in proportion to the weights of the items, past the excluded ones.

    What remains of the weight is a line from 0 to `remaining`; a point on it is moved right past every excluded item before
    it, and then read off the whole line. All numbers are integers.
    """

    def __init__(self, exclude: Exclude) -> None:
        self.exclude = exclude
        self._history: _History | None = None
        self._enough: tuple[Tensor, Histories] | None = None

    def draw(
        self, weights: Tensor, evidence: Evidence, count: int, generator: Generator, *, weighed: Tensor | None = None
    ) -> Tensor:
        """weights (V + 1,) int64, 0 at index 0 -> (N, count). Raises SeqaugError where everything is excluded.

        weighed: what the weights are a function of, where that is more than the batch.
        """
        upto = torch.cumsum(weights, 0)  # weight of the items 0..i
        total = upto[-1]
        targets = evidence.targets
        remaining = total.expand(len(targets))
        moved: Tensor | None = None
        if self.exclude == "history":
            known = self._known(evidence.histories)
            users = evidence.users[evidence.layout.sequence]
            inside = torch.cumsum(weights[known.items], 0)
            before = torch.cat([inside.new_zeros(1), inside])  # weight of the distinct items before each, over all users
            start = before[known.begin[users]]
            # Where each excluded item stands on its user's remaining line.
            stands = upto[known.items - 1] - (before[:-1] - before[known.begin[known.owner]])
            line = known.owner * (total + 1) + stands
            remaining = remaining - (before[known.begin[users + 1]] - start)
            place = torch.searchsorted(known.keys, users * known.wide + targets)
            has_target = known.keys[place.clamp(max=len(known.keys) - 1)] == users * known.wide + targets
            to_skip = torch.where(has_target, 0, weights[targets])  # 0 for no target: weights[0] is 0
            skip_at = upto[(targets - 1).clamp(min=0)] - (before[place] - start)
        elif self.exclude == "target":
            to_skip, skip_at = weights[targets], upto[(targets - 1).clamp(min=0)]
        else:
            to_skip = skip_at = torch.zeros_like(targets)
        remaining = remaining - to_skip
        if not self._surely_enough(weights, evidence, weighed) and bool((remaining <= 0).any()):
            raise SeqaugError(
                f"no item is left to draw as a negative: with {self._excluded()} excluded, some position has no "
                'candidate. Exclude less (exclude = "nothing" or "target"), or draw from more items.'
            )
        point = torch.rand((len(targets), count), dtype=torch.float64, generator=generator, device=generator.device)
        where = (point * remaining[:, None]).long().clamp(max=remaining[:, None] - 1)
        where = where + (where >= skip_at[:, None]) * to_skip[:, None]
        if self.exclude == "history":
            passed = torch.searchsorted(line, users[:, None] * (total + 1) + where, right=True)
            moved = before[passed] - start[:, None]
        drawn = torch.searchsorted(upto, where if moved is None else where + moved, right=True)
        return drawn

    def _surely_enough(self, weights: Tensor, evidence: Evidence, weighed: Tensor | None) -> bool:
        """Whether something is left for every user and every target, so that nobody need look at each batch.

        Asked where looking means waiting for a device, and there once for the same weights and histories.
        """
        if weights.device.type == "cpu" or weighed is None:
            return False
        if self._enough is not None and self._enough[0] is weighed and self._enough[1] is evidence.histories:
            return True
        left = weights.sum() - weights.amax()
        if self.exclude == "history":
            known = self._known(evidence.histories)
            inside = torch.cumsum(weights[known.items], 0)
            before = torch.cat([inside.new_zeros(1), inside])
            left = left - (before[known.begin[1:]] - before[known.begin[:-1]]).amax()
        if bool(left > 0):
            self._enough = (weighed, evidence.histories)
            return True
        return False

    def _known(self, histories: Histories) -> _History:
        if self._history is None or self._history.of is not histories:
            self._history = _History(histories)
        return self._history

    def _excluded(self) -> str:
        return {"nothing": "nothing", "target": "the target", "history": "the user's history"}[self.exclude]


@negative_samplers.register("uniform")
class UniformItems:
    """Any item with the same chance, with replacement.

    exclude: `nothing`; `target`, the item at stake; `history`, the target and everything in the user's training history
    (Kang & McAuley, 2018). Raises SeqaugError where that leaves no item.
    """

    def __init__(self, *, exclude: Exclude = "nothing") -> None:
        self._excluding = _Excluding(exclude)

    def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
        """-> (N, count) ids in 1..V."""
        weights = torch.ones(evidence.num_items + 1, dtype=torch.int64, device=evidence.items.device)
        weights[0] = 0
        return self._excluding.draw(weights, evidence, count, generator, weighed=evidence.popularity)


@negative_samplers.register("popularity")
class PopularItems:
    """An item with a chance in proportion to (its training actions) ^ power, with replacement.

    power: 1 as often as in the data, 0 uniform, 0.75 as in word2vec. exclude: as in `uniform`. An item without training
    actions is never drawn, unless power is 0. Raises SeqaugError where no item is left.
    """

    def __init__(self, *, power: Annotated[float, Field(ge=0)] = 1.0, exclude: Exclude = "nothing") -> None:
        self.power = power
        self._excluding = _Excluding(exclude)

    def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
        """-> (N, count) ids in 1..V."""
        share = evidence.popularity.double() ** self.power
        share[0] = 0
        scale = RESOLUTION / share.sum().clamp(min=1e-300)
        # Every item that can be drawn keeps at least one unit of weight.
        weights = torch.where(share > 0, (share * scale).round().long().clamp(min=1), 0)
        return self._excluding.draw(weights, evidence, count, generator, weighed=evidence.popularity)


@negative_samplers.register("in_batch")
class InBatchItems:
    """An item of the batch's own histories, as often as it occurs there, with replacement.

    exclude: as in `uniform`. Raises SeqaugError where no item of the batch is left.
    """

    def __init__(self, *, exclude: Exclude = "target") -> None:
        self._excluding = _Excluding(exclude)

    def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
        """-> (N, count) ids in 1..V."""
        real = (evidence.items >= 1) & (evidence.items <= evidence.num_items)  # MASK is no candidate
        weights = torch.zeros(evidence.num_items + 2, dtype=torch.int64, device=evidence.items.device)
        weights = weights.index_add_(0, evidence.items, real.long())[: evidence.num_items + 1]
        return self._excluding.draw(weights, evidence, count, generator)


@negative_samplers.register("rank")
class RankedItem:
    """The item of the given rank in what the asker predicts: rank 1 is the most likely one.

    Choi et al. (2025): rank 1 makes the positive (section 4.3), rank k_sample the hard negative (section 4.4).
    exclude_target: where the item of that rank is the target, the next one is taken; otherwise it may be the target. Several
    negatives are the items from that rank on. Needs scores; draws nothing; no gradient. Raises RecipeError where the
    catalogue has no such rank.
    """

    def __init__(self, *, rank: Annotated[int, Field(ge=1)] = 1, exclude_target: bool = True) -> None:
        self.rank = rank
        self.exclude_target = exclude_target

    def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
        """-> (N, count) ids in 1..V."""
        needed = self.rank - 1 + count + int(self.exclude_target)
        if needed > evidence.num_items:
            raise RecipeError(
                f"rank = {self.rank} asks for the best {needed} items of a catalogue of "
                f"{evidence.num_items}; choose a smaller rank."
            )
        window = evidence.scores.top(needed)[0][:, self.rank - 1 :]
        if not self.exclude_target:
            return window
        skip = (window == evidence.targets[:, None]).cumsum(1)[:, :count]
        return window.gather(1, torch.arange(count, device=window.device) + skip)


@negative_samplers.register("among_top")
class AmongTop:
    """Any of the k items that the asker finds most likely, each with the same chance, with replacement.

    How CaDiRec rounds a restored vector: two draws make two views. exclude_target: the k best others of the target;
    otherwise the target may be one of the k. Needs scores; no gradient. Raises RecipeError where the catalogue has no k items.
    """

    def __init__(self, *, k: Annotated[int, Field(ge=1)] = 10, exclude_target: bool = False) -> None:
        self.k = k
        self.exclude_target = exclude_target

    def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
        """-> (N, count) ids in 1..V."""
        needed = self.k + int(self.exclude_target)
        if needed > evidence.num_items:
            raise RecipeError(
                f"k = {self.k} asks for the best {needed} items of a catalogue of {evidence.num_items}; choose a smaller k."
            )
        window = evidence.scores.top(needed)[0]
        size = (len(window), count)
        place = torch.randint(self.k, size, generator=generator, device=generator.device).to(window.device)
        if self.exclude_target:
            # Counted past the target, wherever it stands among the best.
            before = (window == evidence.targets[:, None]).cumsum(1)
            place = place + before.gather(1, place)
        return window.gather(1, place)
