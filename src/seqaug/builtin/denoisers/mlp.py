"""A denoiser that looks at one position at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from seqaug.api import Dropout, Layout, Tensor, denoisers, initialise_

__all__ = ["MlpDenoiser"]


@denoisers.register("mlp")
class MlpDenoiser(nn.Module):
    """Restores each position from itself, the step and the condition, by a feed-forward network with GELU.

    The simplest denoiser: no position sees another. Input: noised vector + time, and the condition of its sequence added
    where there is one. layers: linear maps, at least 1. inner: width between them. dropout: after each GELU. Weights N(0,
    0.02).
    """

    predicts: Literal["clean", "noise"] = "clean"

    def __init__(
        self,
        dim: int,
        /,
        *,
        layers: Annotated[int, Field(ge=1)] = 2,
        inner: Annotated[int, Field(ge=1)] = 256,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        predicts: Literal["clean", "noise"] = "clean",
    ) -> None:
        super().__init__()
        self.predicts = predicts
        widths = [dim, *[inner] * (layers - 1), dim]
        maps: list[nn.Module] = [nn.LayerNorm(dim, eps=1e-12)]
        for place, (wide, narrow) in enumerate(pairwise(widths)):
            if place:
                maps += [nn.GELU(), Dropout(dropout)]
            maps.append(nn.Linear(wide, narrow))
        self.maps = nn.Sequential(*maps)
        initialise_(self)

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        """(N, D) -> (N, D)."""
        told = noised if condition is None else noised + layout.repeated(condition)
        restored: Tensor = self.maps(told)
        return restored
