"""Which positions of a sequence are changed.

B sequences, N positions. Selectors that take a number of positions per sequence share their options.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from seqaug.api import Evidence, Generator, Layout, RecipeError, Tensor, position_selectors

__all__ = [
    "AllPositions",
    "ConfidentPositions",
    "CorruptedPositions",
    "LastPositions",
    "LeastConfidentPositions",
    "NoPositions",
    "RandomPositions",
]

Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0)]
Rounding = Literal["floor", "ceil", "round", "above"]

# A ratio such as 0.29 times a length of 100 is 28.999999999999996 in binary: without slack its floor would be one short.
SLACK = 1e-9


def _eligible(layout: Layout, except_first: bool) -> Tensor:
    """(N,) bool."""
    return layout.from_start >= int(except_first)


class _HowMany:
    """How many positions of each sequence: ratio x length, rounded, or a fixed `count`, kept within at_least..at_most.

    Never more than the sequence has: all its positions, or all but the oldest where except_first.
    ratio: 0.2 where neither it nor count is given. Raises ValueError where both are, or where at_least > at_most.
    """

    def __init__(
        self, ratio: float | None, count: int | None, rounding: Rounding, at_least: int, at_most: int | None, except_first: bool
    ) -> None:
        if ratio is not None and count is not None:
            raise ValueError(f"ratio = {ratio} and count = {count} both say how many positions; give one of them")
        if at_most is not None and at_least > at_most:
            raise ValueError(f"at_least = {at_least} is more than at_most = {at_most}")
        self.ratio = 0.2 if ratio is None and count is None else ratio
        self.count = count
        self.rounding = rounding
        self.at_least = at_least
        self.at_most = at_most
        self.except_first = except_first

    def of(self, layout: Layout) -> Tensor:
        """(B,) int64."""
        if self.count is not None:
            wanted = torch.full_like(layout.lengths, self.count)
        else:
            assert self.ratio is not None
            exact = layout.lengths.double() * self.ratio
            if self.rounding == "floor":
                wanted = torch.floor(exact + SLACK).long()
            elif self.rounding == "ceil":
                wanted = torch.ceil(exact - SLACK).long()
            elif self.rounding == "above":
                wanted = torch.floor(exact + SLACK).long() + 1
            else:
                wanted = torch.floor(exact + 0.5 + SLACK).long()  # a half rounds up, unlike torch.round
        return self.within(wanted, layout)

    def within(self, wanted: Tensor, layout: Layout) -> Tensor:
        """(B,) -> (B,) kept within the bounds and within what there is."""
        bounded = wanted.clamp(min=self.at_least, max=self.at_most)
        return torch.minimum(bounded, layout.lengths - int(self.except_first))

    def best(self, scores: Tensor, layout: Layout, counts: Tensor) -> Tensor:
        """scores (N,), counts (B,) -> (N,) bool: the positions of highest score; of equal ones the oldest."""
        if self.except_first:
            scores = scores.masked_fill(layout.from_start == 0, float("-inf"))
        return layout.top(scores, counts)


@position_selectors.register("all")
class AllPositions:
    """Every position, or every one but a sequence's oldest where except_first."""

    def __init__(self, *, except_first: bool = False) -> None:
        self.except_first = except_first

    def select(self, evidence: Evidence, generator: Generator) -> Tensor:
        """-> (N,) bool."""
        return _eligible(evidence.layout, self.except_first)


@position_selectors.register("none")
class NoPositions:
    """No position at all: the view is the sequence itself."""

    def select(self, evidence: Evidence, generator: Generator) -> Tensor:
        """-> (N,) bool, all False."""
        return torch.zeros_like(evidence.items, dtype=torch.bool)


@position_selectors.register("last")
class LastPositions:
    """The latest `count` positions of each sequence, all of a shorter one (all but its oldest where except_first)."""

    def __init__(self, *, count: Annotated[int, Field(ge=1)] = 1, except_first: bool = False) -> None:
        self.count = count
        self.except_first = except_first

    def select(self, evidence: Evidence, generator: Generator) -> Tensor:
        """-> (N,) bool."""
        return (evidence.layout.from_end < self.count) & _eligible(evidence.layout, self.except_first)


@position_selectors.register("random")
class RandomPositions:
    """Positions drawn without looking: so many of each sequence, uniformly without replacement, or each one by itself.

    "w/o c_aug" of Choi et al. (2025), table 3; with `probability` the masks of CaDiRec.
    ratio | count | probability: a share of the length (0.2 where none of the three is given), a fixed number, or the
    chance of each position on its own; giving two raises ValueError. rounding: of ratio x length; `above` is the next whole
    number, floor(ratio x length) + 1. at_least, at_most: bounds per sequence (at_least is 1 where not given, with
    `probability` 0); where a bound moves a number that `probability` gave, the positions that came nearest to being drawn
    fill it up. except_first: the oldest position is never drawn.
    """

    def __init__(
        self,
        *,
        ratio: Share | None = None,
        count: Number | None = None,
        probability: Share | None = None,
        rounding: Rounding = "floor",
        at_least: Number | None = None,
        at_most: Number | None = None,
        except_first: bool = False,
    ) -> None:
        if probability is not None and (ratio is not None or count is not None):
            other = f"ratio = {ratio}" if ratio is not None else f"count = {count}"
            raise ValueError(f"probability = {probability} and {other} both say how many positions; give one of them")
        self.probability = probability
        least = (1 if probability is None else 0) if at_least is None else at_least
        self.how_many = _HowMany(ratio, count, rounding, least, at_most, except_first)

    def select(self, evidence: Evidence, generator: Generator) -> Tensor:
        """-> (N,) bool."""
        layout = evidence.layout
        draw = torch.rand(layout.num_positions, generator=generator, device=layout.device)
        if self.probability is None:
            return self.how_many.best(draw, layout, self.how_many.of(layout))
        hit = (draw < self.probability) & _eligible(layout, self.how_many.except_first)
        hits = torch.zeros_like(layout.lengths).index_add_(0, layout.sequence, hit.long())
        return self.how_many.best(-draw, layout, self.how_many.within(hits, layout))


class _ByConfidence:
    """What `confidence` and `least_confidence` share: everything but the direction."""

    sign: Literal[1, -1]

    def __init__(
        self,
        *,
        ratio: Share | None = None,
        count: Number | None = None,
        rounding: Rounding = "floor",
        at_least: Number = 1,
        at_most: Number | None = None,
        except_first: bool = False,
    ) -> None:
        self.how_many = _HowMany(ratio, count, rounding, at_least, at_most, except_first)

    def select(self, evidence: Evidence, generator: Generator) -> Tensor:
        """-> (N,) bool. Draws nothing; no gradient."""
        layout = evidence.layout
        return self.how_many.best(self.sign * evidence.scores.confidence(), layout, self.how_many.of(layout))


@position_selectors.register("confidence")
class ConfidentPositions(_ByConfidence):
    """The positions whose most likely item is the most probable: c_i = max_j p_ij, the largest of each sequence.

    Choi et al. (2025), section 4.3, eq. 14-16; needs scores. Of equal confidences the oldest position goes first.
    ratio | count: a share of the length (0.2 where neither is given) or a fixed number; giving both raises ValueError.
    rounding: of ratio x length. at_least, at_most: bounds per sequence. except_first: the oldest position is never taken.
    """

    sign = 1


@position_selectors.register("least_confidence")
class LeastConfidentPositions(_ByConfidence):
    """The positions whose most likely item is the least probable; otherwise as `confidence`, with the same options."""

    sign = -1


@position_selectors.register("corrupted")
class CorruptedPositions:
    """The positions that were noised: what the diffusion never touched stays as it was.

    So CaDiRec replaces exactly what it restored. Draws nothing. Raises RecipeError where nothing has been noised.
    """

    def select(self, evidence: Evidence, generator: Generator) -> Tensor:
        """-> (N,) bool."""
        if evidence.corrupted is None:
            raise RecipeError(
                "the corrupted positions are asked for, but nothing has been noised where that stands. "
                "Use another selector (random, all, last), or let it choose what a diffusion's views `replace`."
            )
        return evidence.corrupted
