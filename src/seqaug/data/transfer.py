"""Tensors of the host on another device, all by one copy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["sent"]

WORD = 8
"""Bytes. Each tensor begins at a multiple of it, so that it can be read where it lies."""


def sent(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors of the host, of any shapes and types, on `device`; views of one block, for reading only.

    A copy costs an accelerator the same few microseconds whatever it carries, and one that is waited for empties its queue of
    work. So there is one, out of page-locked memory where that is a GPU's, and nobody waits for it: torch keeps such memory
    from being used again until the copy is done.
    """
    if device.type == "cpu":
        return list(tensors)
    sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
    begins = [0]
    for size in sizes:
        begins.append(begins[-1] + -(-size // WORD) * WORD)
    block = torch.empty(begins[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
    for tensor, part in zip(tensors, _parts(block, tensors, begins), strict=True):
        part.copy_(tensor)
    return _parts(block.to(device, non_blocking=True), tensors, begins)


def _parts(block: Tensor, tensors: Sequence[Tensor], begins: Sequence[int]) -> list[Tensor]:
    """Where each tensor lies in the block of bytes, in its own type and shape."""
    return [
        block[begin : begin + tensor.numel() * tensor.element_size()].view(tensor.dtype).view(tensor.shape)
        for tensor, begin in zip(tensors, begins, strict=False)
    ]
