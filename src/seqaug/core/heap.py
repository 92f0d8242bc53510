"""Memory that the C library keeps after it was freed, and how to keep it from growing."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Callable
from functools import cache

__all__ = ["KERNELS", "SLACK", "Heap", "give_back", "resident"]

KERNELS = 32
"""Kernels that oneDNN keeps for the next tensor of the same sizes; by itself it keeps 1,024.

Every ragged batch has other sizes, so hardly one is used again in a later batch, and each is a small block that stays in the
heap between the large ones: 216 batches of mclrec made 920 MiB of which 300 were in use. With 32, which is enough for what
comes again within a batch, they stay at 540. No number changes, and no time that could be told from chance (docs/lab-notes.md);
with none at all bfloat16 would take two fifths longer.
"""

# Read by oneDNN once, when it makes its first kernel. Whoever has set it knows better.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KERNELS))

SLACK = 512 * 2**20
"""Bytes by which a process may grow before the heap is looked after."""

PAGE = resource.getpagesize()


@cache
def _trim() -> Callable[[int], int] | None:
    """glibc's malloc_trim, None where the C library has none."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Hand freed memory back to the system.

    Every ragged batch has other sizes than the last, so the heap of a long run fragments: without this the resident memory
    of sasrec grew by about 6 MB an epoch, with not one object more. Once an epoch it costs a few page faults.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


class Heap:
    """Keeps what is resident near what is in use over thousands of batches, trained on or ranked.

    Where a batch makes tensors of 10 MB and more, the heap can grow by as much with every batch: 200 batches of a sampled
    softmax were seen to take 3 GB of which half a gigabyte was in use, and ranking 10^5 users 0.4 GB of which nothing was.
    slack: bytes that it may grow by.
    """

    def __init__(self, slack: int = SLACK) -> None:
        self._slack = slack
        self._level: int | None = None

    def settle(self) -> None:
        """To be called after every batch: freed memory is handed back once the process has grown by more than the slack.

        Asking costs microseconds; handing back after every batch would cost the page faults of every next one.
        """
        now = resident()
        if now is None:
            return
        if self._level is None:
            self._level = now
        elif now > self._level + self._slack:
            give_back()
            self._level = resident()


def resident() -> int | None:
    """Bytes of this process that are in memory now; None where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE
    except OSError:
        return None
