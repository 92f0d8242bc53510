"""A denoiser that sees the whole noised sequence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from seqaug.api import Dropout, Layout, Positions, Tensor, TransformerBlocks, denoisers, initialise_

__all__ = ["TransformerDenoiser"]


@denoisers.register("transformer")
class TransformerDenoiser(nn.Module):
    """Restores every position from all of them, by bidirectional self-attention.

    Choi et al. (2025), section 5.1: one layer, two heads, own parameters. Input: noised vector + time + learned position,
    LayerNorm, dropout.
    A condition (B, D) is added to every position of its sequence.
    """

    predicts: Literal["clean", "noise"] = "clean"

    def __init__(
        self,
        dim: int,
        max_length: int,
        /,
        *,
        layers: Annotated[int, Field(ge=1)] = 1,
        heads: Annotated[int, Field(ge=1)] = 2,
        inner: Annotated[int, Field(ge=1)] = 256,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        attention_dropout: Annotated[float, Field(ge=0, lt=1)] | None = None,
        predicts: Literal["clean", "noise"] = "clean",
    ) -> None:
        super().__init__()
        self.predicts = predicts
        self.positions = Positions(dim, max_length)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = Dropout(dropout)
        self.blocks = TransformerBlocks(
            dim, layers=layers, heads=heads, inner=inner, dropout=dropout, attention_dropout=attention_dropout, causal=False
        )
        initialise_(self)

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        """(N, D) -> (N, D)."""
        placed = noised + self.positions(layout)
        if condition is not None:
            placed = placed + layout.repeated(condition)
        states: Tensor = self.blocks(self.dropout(self.norm(placed)), layout)
        return states
