"""A denoiser that reads a span of items as an image, one item a channel."""

from __future__ import annotations

from math import isqrt
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from seqaug.api import Dropout, Layout, RecipeError, StepEmbedding, Tensor, denoisers

__all__ = ["UnetDenoiser"]

MULTIPLES = (1, 2, 2, 2)
"""Channels of each level over `base`; the side of the image halves from one level to the next."""

BLOCKS = 2
"""Residual blocks of a level on the way down; one more on the way up."""

GROUPS = 8


@denoisers.register("unet")
class UnetDenoiser(nn.Module):
    """The SU-Net of Liu et al. (2023): M items of width D are the M channels of a √D x √D image, which convolutions mix.

    Ho et al. (2020)'s U-Net, small: 3x3 convolutions with GroupNorm and swish in residual blocks, four levels of base x (1,
    2, 2, 2) channels on sides √D, √D/2, √D/4, √D/8, attention in the middle only. The step (sinusoidal, of `base` values,
    then two linear maps to 4 base) and the condition (two linear maps as well) are added up and shown to every block; without
    a condition only the step is. It looks at the step itself: its diffusion has time_embedding = "none".

    dim: the square of a multiple of 8 (64, 256, ...), else ValueError. span: M; every sequence has exactly so many positions,
    else RecipeError. base: a multiple of 8, the number of groups. dropout: in each residual block.
    """

    def __init__(
        self,
        dim: int,
        span: int,
        /,
        *,
        base: Annotated[int, Field(ge=8, multiple_of=8)] = 8,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        predicts: Literal["noise", "clean"] = "noise",
    ) -> None:
        super().__init__()
        side = isqrt(dim)
        if side * side != dim or side % 8:
            raise ValueError(
                f"a width of {dim} is no image for a U-Net of four levels: it takes the square of a multiple of 8, "
                "as in items.dim = 64 or 256"
            )
        self.predicts: Literal["clean", "noise"] = predicts
        self.span = span
        self.side = side
        told = 4 * base
        self.time = StepEmbedding(base, told, told, activation="silu")
        self.guide = nn.Sequential(nn.Linear(dim, told), nn.SiLU(), nn.Linear(told, told))
        widths = [base * multiple for multiple in MULTIPLES]
        self.enter = nn.Conv2d(span, base, 3, padding=1)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        here, kept = base, [base]
        for level, width in enumerate(widths):
            if level:
                self.shrink.append(nn.Conv2d(here, here, 3, stride=2))
                kept.append(here)
            blocks = nn.ModuleList()
            for _ in range(BLOCKS):
                blocks.append(_Block(here, width, told, dropout))
                here = width
                kept.append(here)
            self.down.append(blocks)
        cells = (side >> (len(widths) - 1)) ** 2
        self.middle = nn.ModuleList(
            [_Block(here, here, told, dropout), _Attention(here, cells), _Block(here, here, told, dropout)]
        )
        for level, width in reversed(list(enumerate(widths))):
            blocks = nn.ModuleList()
            for _ in range(BLOCKS + 1):
                blocks.append(_Block(here + kept.pop(), width, told, dropout))
                here = width
            self.up.append(blocks)
            if level:
                self.grow.append(nn.Conv2d(here, here, 3, padding=1))
        self.leave_norm = _norm(here)
        self.leave = nn.Conv2d(here, span, 3, padding=1)

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        """(N, D) -> (N, D), N = B M. Raises RecipeError where a sequence has another length than M."""
        told = self.time(step)
        if condition is not None:
            told = told + self.guide(condition)
        first, attend, second = self.middle
        image = self.enter(self.image(noised, layout))
        kept = [image]
        for level, blocks in enumerate(self.down):
            if level:
                # Half the side exactly: one row and one column of zeros, behind only.
                image = self.shrink[level - 1](functional.pad(image, (0, 1, 0, 1)))
                kept.append(image)
            for block in blocks:  # type: ignore[attr-defined]
                image = block(image, told)
                kept.append(image)
        image = second(attend(first(image, told)), told)
        for level, blocks in enumerate(self.up):
            if level:
                image = self.grow[level - 1](functional.interpolate(image, scale_factor=2.0, mode="nearest"))
            for block in blocks:  # type: ignore[attr-defined]
                image = block(torch.cat([image, kept.pop()], dim=1), told)
        left: Tensor = self.leave(functional.silu(self.leave_norm(image)))
        return left.reshape(noised.shape)

    def image(self, flat: Tensor, layout: Layout) -> Tensor:
        """(N, D) -> (B, M, √D, √D), the same numbers in the same order."""
        other = next((count for count in layout.counts if count != self.span), None)
        if other is not None:
            raise RecipeError(
                f"a U-Net made for spans of {self.span} items is shown a sequence of {other}: it denoises spans of one length, "
                "not whole histories. Whole histories want another denoiser (transformer, mlp)."
            )
        return flat.view(layout.num_sequences, self.span, self.side, self.side)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)


class _Block(nn.Module):
    """(B, C, s, s), (B, told) -> (B, C', s, s): two convolutions beside a shortcut; step and guide are told between them."""

    def __init__(self, channels: int, width: int, told: int, dropout: float) -> None:
        super().__init__()
        self.first_norm = _norm(channels)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.tell = nn.Linear(told, width)
        self.second_norm = _norm(width)
        self.dropout = Dropout(dropout)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()

    def forward(self, image: Tensor, told: Tensor) -> Tensor:
        hidden = self.first(functional.silu(self.first_norm(image)))
        hidden = hidden + self.tell(functional.silu(told))[:, :, None, None]
        hidden = self.second(self.dropout(functional.silu(self.second_norm(hidden))))
        added: Tensor = self.shortcut(image) + hidden
        return added


class _Attention(nn.Module):
    """(B, C, s, s) -> (B, C, s, s): every cell reads all cells, one head, with a shortcut.

    cells: s². A single cell (D = 64) can only read itself, so that there queries and keys would never learn: there are none.
    """

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.choose = nn.Conv2d(channels, 2 * channels, 1) if cells > 1 else None
        self.value = nn.Conv2d(channels, channels, 1)
        self.output = nn.Conv2d(channels, channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        normed = self.norm(image)
        mixed: Tensor = self.value(normed)
        if self.choose is not None:
            query, key = self.choose(normed).flatten(2).transpose(1, 2).chunk(2, dim=2)
            cells = mixed.flatten(2).transpose(1, 2)  # (B, s², C)
            mixed = functional.scaled_dot_product_attention(query, key, cells).transpose(1, 2).reshape(image.shape)
        added: Tensor = image + self.output(mixed)
        return added
