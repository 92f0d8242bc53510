"""A denoiser that knows only how far apart two positions are."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from seqaug.api import Dropout, Layout, Tensor, denoisers, initialise_

__all__ = ["DisentangledDenoiser"]

EPSILON = 1e-12  # of every LayerNorm, as in the other blocks


class _DisentangledAttention(nn.Module):
    """Attention whose weights add up what two positions hold and how far apart they are.

    He et al. (2021), eq. 4: A_ij = Qc_i Kc_j + Qc_i Kr_{d(i,j)} + Kc_j Qr_{d(j,i)}, softmax(A / sqrt(3 W)) V, W the width of a
    head; d(i, j) = i - j + max_length. The vectors of the distances are handed in.
    """

    def __init__(self, dim: int, heads: int, attention_dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.content = nn.Linear(dim, 3 * dim)
        # A bias in Kr would be the same for every key, and fall out of the softmax.
        self.distance_key = nn.Linear(dim, dim, bias=False)
        self.distance_query = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(attention_dropout)

    def forward(self, hidden: Tensor, distances: Tensor, layout: Layout) -> Tensor:
        """hidden (N, D), distances (2 max_length, D) -> (N, D)."""
        projected = self.content(hidden)  # (N, 3 D)
        width = hidden.shape[1] // self.heads
        zero = len(distances) // 2
        assert layout.longest <= zero, f"a sequence of {layout.longest} is longer than the {zero} positions that were foreseen"
        results = []
        for group in layout.groups():
            b, length = group.index.shape
            cells = projected[group.index].view(b, length, 3, self.heads, width).permute(2, 0, 3, 1, 4)  # (3, b, H, l, W)
            query, key, value = cells[0], cells[1], cells[2]
            near = distances[zero - length + 1 : zero + length]  # no two of these positions are farther apart: (2 l - 1, D)
            places = torch.arange(length, device=hidden.device)
            apart = places[:, None] - places[None, :] + length - 1  # (l, l) rows of `near`: d(i, j)
            apart = apart.expand(b, self.heads, length, length)
            scores = query @ key.transpose(-1, -2)
            scores = scores + (query @ self._by_head(self.distance_key(near)).transpose(-1, -2)).gather(-1, apart)
            to_query = (key @ self._by_head(self.distance_query(near)).transpose(-1, -2)).gather(-1, apart)  # [j, i]
            scores = (scores + to_query.transpose(-1, -2)) / (3 * width) ** 0.5
            if group.real is not None:
                scores = scores.masked_fill(~group.real[:, None, None, :], float("-inf"))
            mixed = self.dropout(torch.softmax(scores, dim=-1)) @ value
            results.append(mixed.transpose(1, 2).reshape(b, length, -1))
        joined: Tensor = self.output(layout.ungrouped(results))
        return joined

    def _by_head(self, flat: Tensor) -> Tensor:
        """(r, D) -> (H, r, W)."""
        return flat.view(len(flat), self.heads, -1).transpose(0, 1)


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, inner: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.attention = _DisentangledAttention(dim, heads, attention_dropout)
        self.attention_norm = nn.LayerNorm(dim, eps=EPSILON)
        self.widen = nn.Linear(dim, inner)
        self.narrow = nn.Linear(inner, dim)
        self.feed_norm = nn.LayerNorm(dim, eps=EPSILON)
        self.dropout = Dropout(dropout)

    def forward(self, hidden: Tensor, distances: Tensor, layout: Layout) -> Tensor:
        mixed = self.attention(hidden, self.dropout(distances), layout)
        hidden = self.attention_norm(hidden + self.dropout(mixed))
        fed = self.narrow(functional.gelu(self.widen(hidden)))
        normed: Tensor = self.feed_norm(hidden + self.dropout(fed))
        return normed


@denoisers.register("deberta")
class DisentangledDenoiser(nn.Module):
    """Restores every position from all of them, by attention to what they hold and to how far away they are.

    He et al. (2021), as the denoiser of CaDiRec: bidirectional, LayerNorm after each half, one table of distances for all
    layers, no absolute positions. Input: noised vector + time, LayerNorm, dropout. A condition (B, D) is added to every
    position of its sequence.
    input_dropout: of the input. dropout: of the halves and of the distances; attention_dropout: of the attention weights,
    `dropout` where not given. Weights N(0, 0.02). Raises ValueError where `heads` does not divide the width.
    """

    def __init__(
        self,
        dim: int,
        max_length: int,
        /,
        *,
        layers: Annotated[int, Field(ge=1)] = 2,
        heads: Annotated[int, Field(ge=1)] = 2,
        inner: Annotated[int, Field(ge=1)] = 128,
        input_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2,
        attention_dropout: Annotated[float, Field(ge=0, lt=1)] | None = None,
        predicts: Literal["clean", "noise"] = "clean",
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide a width of {dim}; choose heads that do")
        self.predicts: Literal["clean", "noise"] = predicts
        self.norm = nn.LayerNorm(dim, eps=EPSILON)
        self.dropout = Dropout(input_dropout)
        self.distances = nn.Embedding(2 * max_length, dim)
        attention = dropout if attention_dropout is None else attention_dropout
        self.blocks = nn.ModuleList(_Block(dim, heads, inner, dropout, attention) for _ in range(layers))
        initialise_(self)

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        """(N, D) -> (N, D)."""
        told = noised if condition is None else noised + layout.repeated(condition)
        hidden: Tensor = self.dropout(self.norm(told))
        for block in self.blocks:
            hidden = block(hidden, self.distances.weight, layout)
        return hidden
