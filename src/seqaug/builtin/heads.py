"""Small networks on top of states and representations."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from seqaug.api import Tensor, heads, initialise_

__all__ = ["LinearHead", "MlpHead"]

Width = Annotated[int, Field(ge=1)]
Norm = Literal["none", "layer", "unit"]
Initial = Literal["normal", "default"]


@heads.register("linear")
class LinearHead(nn.Module):
    """One affine map; with `gelu` and `layer` the output transform of BERT4Rec, with width 1 and no bias a critic.

    Devlin et al. (2019); Sun et al. (2019), LayerNorm(GELU(W h + b)). width: of the result, as the input where not given.
    norm: of the result, `layer` LayerNorm (epsilon 1e-12), `unit` Euclidean length 1 (a zero stays zero). initial: weights
    `normal` N(0, 0.02) with biases 0, or torch's `default`.
    """

    def __init__(
        self,
        dim: int,
        /,
        *,
        width: Width | None = None,
        bias: bool = True,
        activation: Literal["none", "gelu"] = "none",
        norm: Norm = "none",
        initial: Initial = "normal",
    ) -> None:
        super().__init__()
        width = width or dim
        self.map = nn.Linear(dim, width, bias=bias)
        self.activation = nn.GELU() if activation == "gelu" else nn.Identity()
        self.norm = _norm(norm, width)
        if initial == "normal":
            initialise_(self)

    def forward(self, hidden: Tensor, /) -> Tensor:
        """(..., D) -> (..., width)."""
        mapped: Tensor = self.norm(self.activation(self.map(hidden)))
        return mapped


@heads.register("mlp")
class MlpHead(nn.Module):
    """Affine maps with GELU between them and none after the last.

    Qin et al. (2023), the learnt augmenters of the released code: D, 32, 16, D, then `unit`. inner: the widths between input
    and result. width, norm, initial: as in linear.
    """

    def __init__(
        self,
        dim: int,
        /,
        *,
        inner: Annotated[tuple[Width, ...], Field(min_length=1)] = (32, 16),
        width: Width | None = None,
        norm: Norm = "none",
        initial: Initial = "normal",
    ) -> None:
        super().__init__()
        widths = (dim, *inner, width or dim)
        self.maps = nn.ModuleList(nn.Linear(one, other) for one, other in pairwise(widths))
        self.norm = _norm(norm, widths[-1])
        if initial == "normal":
            initialise_(self)

    def forward(self, hidden: Tensor, /) -> Tensor:
        """(..., D) -> (..., width)."""
        first, *others = self.maps
        mapped: Tensor = first(hidden)
        for one in others:
            mapped = one(functional.gelu(mapped))
        result: Tensor = self.norm(mapped)
        return result


class _UnitNorm(nn.Module):
    """Divides by the Euclidean length, in single precision. A zero has no direction and stays."""

    def forward(self, vectors: Tensor) -> Tensor:
        vectors = vectors.float()
        length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        return vectors / torch.where(length > 0, length, 1.0)


def _norm(norm: Norm, width: int) -> nn.Module:
    if norm == "layer":
        return nn.LayerNorm(width, eps=1e-12)
    return _UnitNorm() if norm == "unit" else nn.Identity()
