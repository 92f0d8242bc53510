"""The parts that learn, under their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..data.layout import Layout
from .diffusion import Diffusion
from .items import ItemScores, ItemTable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Recommender"]


class Recommender(nn.Module):
    """The item table, the encoders, diffusions and heads of a recipe. Every parameter of an assembly lives here.

    max_length: the longest history that an encoder is given.
    """

    def __init__(
        self,
        items: ItemTable,
        *,
        encoders: Mapping[str, nn.Module],
        diffusions: Mapping[str, Diffusion] | None = None,
        heads: Mapping[str, nn.Module] | None = None,
        max_length: int,
    ) -> None:
        super().__init__()
        self.items = items
        self.encoders = nn.ModuleDict(dict(encoders))
        self.diffusions = nn.ModuleDict(dict(diffusions or {}))
        self.heads = nn.ModuleDict(dict(heads or {}))
        self.max_length = max_length

    def parts(self) -> dict[str, nn.Module]:
        """Every part under the name that `moves` gives it: "items", "encoders.main", "diffusions.main", "heads.critic", ..."""
        found: dict[str, nn.Module] = {"items": self.items}
        for kind in ("encoders", "diffusions", "heads"):
            found |= {f"{kind}.{name}": part for name, part in getattr(self, kind).items()}
        return found

    def encode(self, embedded: Tensor, layout: Layout, encoder: str = "main") -> Tensor:
        """(N, D) -> (N, D), the states of one encoder."""
        hidden: Tensor = self.encoders[encoder](embedded, layout)
        return hidden

    def diffusion(self, name: str = "main") -> Diffusion:
        """The diffusion of that name."""
        found = self.diffusions[name]
        assert isinstance(found, Diffusion)
        return found

    def scores(self, hidden: Tensor, head: str | None = None) -> ItemScores:
        """The catalogue as seen from `hidden` (M, D), through a head where one is named."""
        return ItemScores(hidden if head is None else self.heads[head](hidden), self.items)
