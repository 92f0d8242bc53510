"""Self-attention over the history."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from seqaug.api import Dropout, Layout, Positions, Tensor, TransformerBlocks, encoders, initialise_

__all__ = ["TransformerEncoder"]


@encoders.register("transformer")
class TransformerEncoder(nn.Module):
    """Reads the history with self-attention; causal, or bidirectional for masked methods.

    Kang & McAuley (2018), in the form that RecBole and its descendants train: item vector + learned position, LayerNorm,
    dropout,
    then blocks with biases everywhere. Weights N(0, 0.02).
    positions: counted `from_start` or `from_end` of the kept window, or `none`. attention_dropout: as `dropout` where not
    given.
    """

    def __init__(
        self,
        dim: int,
        max_length: int,
        /,
        *,
        layers: Annotated[int, Field(ge=1)] = 2,
        heads: Annotated[int, Field(ge=1)] = 2,
        inner: Annotated[int, Field(ge=1)] = 256,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        attention_dropout: Annotated[float, Field(ge=0, lt=1)] | None = None,
        causal: bool = True,
        norm: Literal["post", "pre"] = "post",
        positions: Literal["from_start", "from_end", "none"] = "from_start",
        activation: Literal["gelu", "relu"] = "gelu",
    ) -> None:
        super().__init__()
        self.positions = None if positions == "none" else Positions(dim, max_length, origin=positions)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = Dropout(dropout)
        self.blocks = TransformerBlocks(
            dim,
            layers=layers,
            heads=heads,
            inner=inner,
            dropout=dropout,
            attention_dropout=attention_dropout,
            causal=causal,
            norm=norm,
            activation=activation,
        )
        initialise_(self)

    def forward(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        """(N, D) -> (N, D)."""
        states: Tensor = self.blocks(self._placed(embedded, layout), layout)
        return states

    def latest(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        """(N, D) -> (B, D), the states at the latest positions."""
        return self.blocks.latest(self._placed(embedded, layout), layout)

    def _placed(self, embedded: Tensor, layout: Layout) -> Tensor:
        placed = embedded if self.positions is None else embedded + self.positions(layout)
        read: Tensor = self.dropout(self.norm(placed))
        return read
