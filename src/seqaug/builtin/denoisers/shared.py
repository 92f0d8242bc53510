"""A denoiser that borrows the recommender's own blocks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from seqaug.api import (
    Dropout,
    EncoderName,
    Layout,
    Positions,
    RecipeError,
    Recommender,
    Tensor,
    TransformerBlocks,
    denoisers,
    initialise_,
)

__all__ = ["SharedDenoiser"]


@denoisers.register("shared")
class SharedDenoiser(nn.Module):
    """Restores with the transformer blocks of an encoder, in both directions; positions, LayerNorm and dropout are its own.

    What the released code of Choi et al. (2025) does (docs/methods/simdiffrec.md, row 8); the paper has a denoiser of its
    own. The blocks stay the encoder's: they move when the encoder moves. encoder: must be a `transformer`, else RecipeError.
    """

    predicts: Literal["clean", "noise"] = "clean"

    def __init__(
        self,
        dim: int,
        max_length: int,
        /,
        *,
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.positions = Positions(dim, max_length)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = Dropout(dropout)
        self._borrowed: tuple[TransformerBlocks, ...] = ()  # in a tuple, so that the blocks stay another part's
        initialise_(self)

    def bind(self, model: Recommender) -> None:
        """Find the blocks to borrow."""
        blocks = getattr(model.encoders[self.encoder], "blocks", None)
        if not isinstance(blocks, TransformerBlocks):
            raise RecipeError(
                f"the denoiser 'shared' borrows transformer blocks, but the encoder {str(self.encoder)!r} has none; "
                "use a transformer there, or a denoiser with parameters of its own (transformer, mlp)."
            )
        self._borrowed = (blocks,)

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        """(N, D) -> (N, D)."""
        assert self._borrowed, "bind() has not been called"
        (blocks,) = self._borrowed
        placed = noised + self.positions(layout)
        if condition is not None:
            placed = placed + layout.repeated(condition)
        # Whether the blocks drop anything follows this denoiser's mode here, not their owner's.
        mode = blocks.training
        blocks.train(self.training)
        try:
            states: Tensor = blocks(self.dropout(self.norm(placed)), layout, causal=False)
        finally:
            blocks.train(mode)
        return states
