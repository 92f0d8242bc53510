"""The parts that learn, under their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..data.layout import Layout
from .diffusion import Diffusion
from .items import ItemScores, ItemTable
from .precision import parts_in_single
from .world import divided_sequences

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Recommender"]


class Recommender(nn.Module):
    """The item table, the encoders, diffusions and heads of a recipe. Every parameter of an assembly lives here.

    max_length: the longest history that an encoder is given. context: (U, M) what a rewriter has put in front of the users'
    sequences, 0 for none; saved with the weights; None where nothing was rewritten.
    """

    context: Tensor | None

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
        self.register_buffer("context", None)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Its size is known to who made it, not to who loads it.
        stored = state_dict.get(f"{prefix}context")
        if stored is not None:
            self.context = torch.empty_like(stored, device=self.items.weight.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def parts(self) -> dict[str, nn.Module]:
        """Every part under the name that `moves` gives it: "items", "encoders.main", "diffusions.main", "heads.critic", ..."""
        found: dict[str, nn.Module] = {"items": self.items}
        for kind in ("encoders", "diffusions", "heads"):
            found |= {f"{kind}.{name}": part for name, part in getattr(self, kind).items()}
        return found

    def encode(self, embedded: Tensor, layout: Layout, encoder: str = "main") -> Tensor:
        """(N, D) -> (N, D), the states of one encoder. Where processes divide the work, each runs it on its share."""
        part = self.encoders[encoder]

        def run(vectors: Tensor, share: Layout, sequences: slice) -> Tensor:
            found: Tensor = part(vectors, share)
            return found

        with parts_in_single(embedded.device):
            return divided_sequences(run, embedded, layout, training=part.training)

    def latest(self, embedded: Tensor, layout: Layout, encoder: str = "main") -> Tensor:
        """(N, D) -> (B, D), the states of one encoder at the latest positions, without the others where it can do so."""
        part: Any = self.encoders[encoder]

        def run(vectors: Tensor, share: Layout, sequences: slice) -> Tensor:
            found: Tensor = part.latest(vectors, share) if hasattr(part, "latest") else part(vectors, share)[share.last()]
            return found

        with parts_in_single(embedded.device):
            return divided_sequences(run, embedded, layout, training=part.training, latest=True)

    def run_in_shares(self) -> list[nn.Parameter]:
        """The parameters of what processes divide between them: each has the gradient of its share only."""
        parts = [*self.encoders.values(), *(self.diffusion(name).denoiser for name in self.diffusions)]
        return list(dict.fromkeys(parameter for part in parts for parameter in part.parameters()))

    def diffusion(self, name: str = "main") -> Diffusion:
        """The diffusion of that name."""
        found = self.diffusions[name]
        assert isinstance(found, Diffusion)
        return found

    def scores(self, hidden: Tensor, head: str | None = None) -> ItemScores:
        """The catalogue as seen from `hidden` (M, D), through a head where one is named."""
        return ItemScores(hidden if head is None else self.heads[head](hidden), self.items)
