"""A recurrent reading of the history."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqaug.api import Dropout, Layout, Tensor, encoders, initialise_

__all__ = ["Gru"]


@encoders.register("gru")
class Gru(nn.Module):
    """Gated recurrent units over the history, causal by nature.

    Hidasi et al. (2016), with the whole-sequence training of today: dropout on the item vectors, the units, a linear map
    back to the width of the item table. Linear weights N(0, 0.02), recurrent ones uniform in +-1/sqrt(hidden).
    layers: stacked units, with the same dropout between them. hidden: their width. dropout: in [0, 1).
    """

    def __init__(
        self,
        dim: int,
        /,
        *,
        layers: Annotated[int, Field(ge=1)] = 1,
        hidden: Annotated[int, Field(ge=1)] = 128,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3,
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.units = nn.GRU(dim, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.output = nn.Linear(hidden, dim)
        initialise_(self.output)

    def forward(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        """(N, D) -> (N, D)."""
        lengths = torch.tensor(layout.counts)
        rectangle = layout.padded(self.dropout(embedded))
        # Packing walks each sequence to its own end only, so a long neighbour costs a short sequence nothing.
        if embedded.device.type == "cpu":
            packed = pack_padded_sequence(rectangle, lengths, batch_first=True, enforce_sorted=False)
            states, _ = pad_packed_sequence(self.units(packed)[0], batch_first=True)
        else:
            # torch would sort as well, and wait until the device has its order.
            order = torch.argsort(lengths, descending=True)
            there, back = torch.stack([order, torch.argsort(order)]).to(embedded.device, non_blocking=True).unbind()
            packed = pack_padded_sequence(rectangle.index_select(0, there), lengths[order], batch_first=True)
            states, _ = pad_packed_sequence(self.units(packed)[0], batch_first=True)
            states = states.index_select(0, back)
        mapped: Tensor = self.output(layout.packed(states))
        return mapped
