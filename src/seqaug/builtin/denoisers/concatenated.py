"""A denoiser that reads vector, condition and step side by side."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from seqaug.api import Layout, RecipeError, StepEmbedding, Tensor, denoisers

__all__ = ["ConcatenatedDenoiser"]


@denoisers.register("concatenated")
class ConcatenatedDenoiser(nn.Module):
    """Restores each position from [noised ; condition of its sequence ; step], (3 D), one position at a time.

    Yang et al. (2023), as in their code. layers: 1 is one linear map 3 D -> D (their `mlp1`), so the guess is affine in noised
    vector and condition; 2 is 3 D -> 2 D, GELU, 2 D -> D (`mlp2`). The step's vector is its own, sines and cosines through
    D -> 2 D, GELU, 2 D -> D: the diffusion has time_embedding = "none". Weights as torch draws them, as in their code.
    Raises RecipeError without a condition.
    """

    predicts: Literal["clean", "noise"] = "clean"

    def __init__(
        self,
        dim: int,
        /,
        *,
        layers: Annotated[int, Field(ge=1, le=2)] = 1,
        predicts: Literal["clean", "noise"] = "clean",
    ) -> None:
        super().__init__()
        self.predicts = predicts
        self.time = StepEmbedding(dim, 2 * dim, dim, "gelu")
        self.maps: nn.Module = nn.Linear(3 * dim, dim)
        if layers == 2:
            self.maps = nn.Sequential(nn.Linear(3 * dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        """(N, D) -> (N, D)."""
        if condition is None:
            raise RecipeError(
                "the denoiser 'concatenated' reads a condition beside the noised vectors, and here there is none; "
                "use another one (mlp, transformer), or it with what gives a condition (next_item_diffusion)."
            )
        # A chain expands one step to all sequences: then one embedding is enough, half of the time that scoring takes.
        told = self.time(step[:1]).expand(len(step), -1) if step.stride(0) == 0 else self.time(step)
        beside = torch.cat([condition, told], dim=1)
        restored: Tensor = self.maps(torch.cat([noised, layout.repeated(beside)], dim=1))
        return restored
