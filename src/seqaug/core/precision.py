"""Where bfloat16 is of use."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

__all__ = ["parts_in_single"]


def parts_in_single(device: torch.device) -> AbstractContextManager[Any]:
    """A context for encoders and denoisers: on the CPU no autocast reaches them, elsewhere it stays as it is.

    No two batches of a ragged layout have as many positions, and oneDNN compiles a kernel for each new shape of a product in
    bfloat16: training took longer with such products than without them, and its memory grew to four times as much
    (docs/lab-notes.md). The products with the catalogue, most of the work, come in chunks of one size.
    """
    return torch.autocast("cpu", enabled=False) if device.type == "cpu" else nullcontext()
