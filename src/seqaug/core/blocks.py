"""Transformer blocks over ragged batches, for encoders and denoisers alike.

N positions, D width, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.layout import Layout

__all__ = ["Dropout", "Positions", "StepEmbedding", "TransformerBlocks", "initialise_", "quiet"]

EPSILON = 1e-12  # of every LayerNorm: docs of S3-Rec and RecBole, specification of sasrec, section 1.1


def initialise_(module: nn.Module) -> None:
    """Every Linear and Embedding weight N(0, 0.02), biases 0, LayerNorm (1, 0), in place (Kang & McAuley's lineage, as in
    RecBole).
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, 0, 0.02)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


@contextmanager
def quiet(module: nn.Module) -> Iterator[None]:
    """Dropout off inside, every part back in its mode after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


class Dropout(nn.Module):
    """Dropout with a cheaper draw than torch's on the CPU: four 16-bit decisions out of one 64-bit number.

    probability: of being zeroed, in [0, 1), rounded to the nearest 1/65536. Draws from torch's global generator, which
    a step seeds per forward pass.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise ValueError(f"a dropout of {probability} is not in [0, 1)")
        self.probability = probability

    def forward(self, values: Tensor) -> Tensor:
        """(...) -> (...), the kept values divided by 1 - probability."""
        if not self.training or self.probability == 0:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.probability)
        size = values.numel()
        draws = torch.empty((size + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        dropped = round(self.probability * 65536)
        keep = draws.view(torch.int16)[:size] >= dropped - 32768
        scale = 65536 / (65536 - dropped)
        return values * keep.view(values.shape).to(values.dtype).mul_(scale)

    def extra_repr(self) -> str:
        return f"probability={self.probability}"


class Positions(nn.Module):
    """One learned vector per place in the sequence, counted from its oldest (`from_start`) or latest (`from_end`) kept item."""

    def __init__(self, dim: int, max_length: int, *, origin: Literal["from_start", "from_end"] = "from_start") -> None:
        super().__init__()
        self.origin = origin
        self.table = nn.Embedding(max_length, dim)

    def forward(self, layout: Layout) -> Tensor:
        """-> (N, D)."""
        where = layout.from_start if self.origin == "from_start" else layout.from_end
        vectors: Tensor = self.table(where)
        return vectors


class StepEmbedding(nn.Module):
    """Which diffusion step it is, as a vector: waves of the step's number, then Linear, activation, Linear.

    Ho et al. (2020), after Vaswani et al. (2017): dim_wave / 2 sines, then as many cosines, of step x 10000^(-2 i / dim_wave);
    an odd width ends in a 0. inner: width between the two maps; None leaves them out, and the wave itself is the answer.
    out: width of the answer, dim_wave where not given.
    """

    def __init__(
        self,
        dim_wave: int,
        inner: int | None = None,
        out: int | None = None,
        activation: Literal["silu", "gelu", "relu"] = "silu",
    ) -> None:
        super().__init__()
        self.dim_wave = dim_wave
        self.maps: nn.Sequential | None = None
        if inner is not None:
            between = {"silu": nn.SiLU, "gelu": nn.GELU, "relu": nn.ReLU}[activation]
            self.maps = nn.Sequential(nn.Linear(dim_wave, inner), between(), nn.Linear(inner, dim_wave if out is None else out))

    def forward(self, step: Tensor) -> Tensor:
        """(B,) int64 -> (B, out)."""
        half = self.dim_wave // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half, device=step.device) / max(half, 1))
        angles = step[:, None].float() * rates
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)
        waves = functional.pad(waves, (0, self.dim_wave - waves.shape[1]))
        return waves if self.maps is None else self.maps(waves)


class _Attention(nn.Module):
    """Multi-head self-attention inside each sequence of a ragged batch."""

    def __init__(self, dim: int, heads: int, attention_dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(attention_dropout)

    def forward(self, hidden: Tensor, layout: Layout, causal: bool) -> Tensor:
        projected = self.project(hidden)  # (N, 3 D)
        width = projected.shape[1] // (3 * self.heads)
        results = []
        for group, found in layout.grouped(projected):
            b, length = group.index.shape
            cells = found.view(b, length, 3, self.heads, width).permute(2, 0, 3, 1, 4)  # (3, b, H, l, d)
            query, key, value = cells.unbind()
            if causal and hidden.device.type != "cpu":
                # torch's own kernels know what causal is; a mask would have to be made and read.
                mixed = self._attended(query, key, value, None, causal=True)
            else:
                mixed = self._mixed(query, key, value, _allowed(length, group.real, causal, hidden.device))
            results.append(mixed.transpose(1, 2).reshape(b, length, -1))
        mixed_flat: Tensor = self.output(layout.ungrouped(results))
        return mixed_flat

    def latest(self, hidden: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (B, D), what `forward` gives at the latest positions, causal or not: they read all of their sequence."""
        dim = hidden.shape[1]
        weight, bias = self.project.weight, self.project.bias
        query = functional.linear(hidden[layout.last()], weight[:dim], bias[:dim])
        told = functional.linear(hidden, weight[dim:], bias[dim:])  # keys and values (N, 2 D)
        width = dim // self.heads
        results = []
        for group, found in layout.grouped(told):
            b, length = group.index.shape
            asked = query if b == len(query) else query[group.sequences]
            asking = asked.view(b, 1, self.heads, width).transpose(1, 2)  # (b, H, 1, d)
            key, value = found.view(b, length, 2, self.heads, width).permute(2, 0, 3, 1, 4).unbind()  # (b, H, l, d) each
            allowed = _allowed(length, group.real, False, hidden.device)
            results.append(self._mixed(asking, key, value, allowed).reshape(b, dim))
        mixed: Tensor = self.output(layout.in_order(results))
        return mixed

    def _mixed(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
        if self.training and self.dropout.probability > 0 and query.device.type == "cpu":
            return self._with_dropout(query, key, value, allowed)
        return self._attended(query, key, value, allowed)

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, causal: bool = False) -> Tensor:
        """torch's own, in one kernel where there is one."""
        return functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=allowed,
            is_causal=causal,
            dropout_p=self.dropout.probability if self.training else 0.0,
        )

    def _with_dropout(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
        """Written out, because torch's own attention draws its dropout one number at a time on the CPU."""
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        if allowed is not None:
            scores = scores.masked_fill(~allowed, float("-inf"))
        weights: Tensor = self.dropout(torch.softmax(scores, dim=-1))
        return weights @ value


def _allowed(length: int, real: Tensor | None, causal: bool, device: torch.device) -> Tensor | None:
    """Which keys a query may read: (l, l) or (b, 1, 1 or l, l), None for all. No row is ever empty.

    Real cells come first in a group, so a causal query of a real cell never reaches a cell behind the end.
    """
    if length == 1:
        return None
    if causal:
        return torch.ones(length, length, dtype=torch.bool, device=device).tril_()
    return None if real is None else real[:, None, None, :]


class _Block(nn.Module):
    def __init__(
        self, dim: int, heads: int, inner: int, dropout: float, attention_dropout: float, norm: str, activation: str
    ) -> None:
        super().__init__()
        self.attention = _Attention(dim, heads, attention_dropout)
        self.attention_norm = nn.LayerNorm(dim, eps=EPSILON)
        self.widen = nn.Linear(dim, inner)
        self.narrow = nn.Linear(inner, dim)
        self.feed_norm = nn.LayerNorm(dim, eps=EPSILON)
        self.dropout = Dropout(dropout)
        self.before = norm == "pre"
        self.activation = functional.gelu if activation == "gelu" else functional.relu

    def forward(self, hidden: Tensor, layout: Layout, causal: bool) -> Tensor:
        if self.before:
            return self._fed(hidden + self.dropout(self.attention(self.attention_norm(hidden), layout, causal)))
        return self._fed(self.attention_norm(hidden + self.dropout(self.attention(hidden, layout, causal))))

    def latest(self, hidden: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (B, D), what `forward` gives at the latest positions."""
        last = hidden[layout.last()]
        if self.before:
            return self._fed(last + self.dropout(self.attention.latest(self.attention_norm(hidden), layout)))
        return self._fed(self.attention_norm(last + self.dropout(self.attention.latest(hidden, layout))))

    def _fed(self, hidden: Tensor) -> Tensor:
        if self.before:
            return hidden + self.dropout(self._feed(self.feed_norm(hidden)))  # type: ignore[no-any-return]
        normed: Tensor = self.feed_norm(hidden + self.dropout(self._feed(hidden)))
        return normed

    def _feed(self, hidden: Tensor) -> Tensor:
        fed: Tensor = self.narrow(self.activation(self.widen(hidden)))
        return fed


class TransformerBlocks(nn.Module):
    """Attention and feed-forward blocks, without positions or input norm.

    Vaswani et al. (2017); as in SASRec-type recommenders: biases everywhere, erf-GELU or ReLU, LayerNorm after (`post`) or
    before
    (`pre`, with one more LayerNorm at the end) each half. dropout and attention_dropout are probabilities in [0, 1).
    Raises ValueError where `heads` does not divide `dim`.
    """

    def __init__(
        self,
        dim: int,
        *,
        layers: int = 2,
        heads: int = 2,
        inner: int = 256,
        dropout: float = 0.5,
        attention_dropout: float | None = None,
        causal: bool = True,
        norm: Literal["post", "pre"] = "post",
        activation: Literal["gelu", "relu"] = "gelu",
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide a width of {dim}; choose heads that do")
        self.causal = causal
        attention = dropout if attention_dropout is None else attention_dropout
        self.blocks = nn.ModuleList(_Block(dim, heads, inner, dropout, attention, norm, activation) for _ in range(layers))
        self.final = nn.LayerNorm(dim, eps=EPSILON) if norm == "pre" else None

    def forward(self, hidden: Tensor, layout: Layout, causal: bool | None = None) -> Tensor:
        """(N, D) -> (N, D). causal: overrides the constructor's, for who shares the blocks."""
        for block in self.blocks:
            hidden = block(hidden, layout, self.causal if causal is None else causal)
        return hidden if self.final is None else self.final(hidden)

    def latest(self, hidden: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (B, D), the states at the latest positions: the last block is spared the rest.

        With dropout the draws are others than those of `forward`.
        """
        *first, last = self.blocks
        for block in first:
            hidden = block(hidden, layout, self.causal)
        assert isinstance(last, _Block)
        states = last.latest(hidden, layout)
        return states if self.final is None else self.final(states)
