"""What augmenters make and selectors see: views, restorations, evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from ..data.layout import Layout
from ..data.split import Histories
from ..errors import RecipeError

if TYPE_CHECKING:
    from .items import ItemScores

__all__ = ["Evidence", "Restoration", "View", "comparable"]


@dataclass(frozen=True, slots=True, eq=False)
class Restoration:
    """What a diffusion made of noised positions.

    clean: (N, D) what was noised. noised: (N, D) the input. restored: (N, D) the diffusion's guess of `clean`.
    step: (B,) in 1..T. items: (N,) the original ids. corrupted: (N,) bool, which positions were noised, None for all.
    scores: the catalogue as seen from `restored` (the rounding of Choi et al. (2025), eq. 12).
    """

    layout: Layout
    items: Tensor
    clean: Tensor
    noised: Tensor
    restored: Tensor
    step: Tensor
    corrupted: Tensor | None
    scores: ItemScores


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One way of looking at the batch. Whatever is given is used; whatever is missing is computed.

    layout, items: (N',) the sequences as they now read; a crop, an insert or another sequence changes the layout.
    edited: (N',) bool, the positions that are not as they were.
    embedded: (N', D) used instead of looking `items` up. representation: (B, D) used instead of encoding.
    ask_restoration: gives the diffusion pass behind the view, for the objectives that learn from it; nothing is computed
    before somebody asks.
    """

    layout: Layout
    items: Tensor
    edited: Tensor
    embedded: Tensor | None = None
    representation: Tensor | None = None
    ask_restoration: Callable[[], Restoration] | None = None

    @property
    def restoration(self) -> Restoration | None:
        """The diffusion pass behind the view, None where it comes from no diffusion."""
        return None if self.ask_restoration is None else self.ask_restoration()


def _no_scores() -> ItemScores:
    raise RecipeError(
        "a selector or sampler asks how likely the items are, but nothing has been predicted yet where it stands. "
        "Use one that needs no scores (random, all, last; uniform, popularity), "
        "or let it stand where a restoration or a loss exists."
    )


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that may be known when positions or negatives are chosen.

    layout: the shape. users: (B,) rows in the data. items: (N,) the history at each position.
    targets: (N,) the item that is to be predicted there (the original item in a restoration, the next item in a next-item
    loss), 0 where none is known. corrupted: (N,) bool, the positions that were noised, None where nothing was.
    histories: every user's full training history. popularity: (V + 1,) training actions per item, 0 at index 0.
    scores: how the asker scores the catalogue at each position; raises, in words, when nothing has been predicted yet.
    """

    layout: Layout
    users: Tensor
    items: Tensor
    targets: Tensor
    histories: Histories
    popularity: Tensor
    num_items: int
    corrupted: Tensor | None = None
    ask_scores: Callable[[], ItemScores] = field(default=_no_scores)

    @property
    def scores(self) -> ItemScores:
        return self.ask_scores()


def comparable(named: Iterable[tuple[str, Tensor]]) -> list[Tensor]:
    """The representations (B, D') of some views, each given with its view's name, once they are known to be of one width.

    Raises RecipeError where a head has made one of them wider or narrower than the others.
    """
    views = list(named)
    if len({one.shape[-1] for _, one in views}) > 1:
        each = " and ".join(f"that of {view!r} has {one.shape[-1]}" for view, one in views)
        raise RecipeError(
            f"representations of different widths cannot be compared: {each} numbers. "
            "Use heads as wide as the items, or take all of these views through heads of one width."
        )
    return [one for _, one in views]
