"""Memory that is free again goes back to the system before it fills the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from seqaug.core.heap import KERNELS, Heap, give_back, resident

MEGABYTE = 2**20

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is asked to hand memory back")


def full_of_holes(megabytes: int) -> list[bytearray]:
    """Makes a heap of so many megabytes of which every second page is free again; what is returned keeps it from shrinking.

    Blocks of 64 KiB lie on the heap, one beside the other, as tensors of ragged batches do.
    """
    blocks = [bytearray(b"x") * 65_536 for _ in range(16 * megabytes)]
    return blocks[::2]


def in_memory() -> int:
    found = resident()
    assert found is not None
    return found


def test_a_heap_that_has_grown_by_more_than_the_slack_is_handed_back() -> None:
    give_back()
    heap = Heap(slack=16 * MEGABYTE)
    heap.settle()
    begin = in_memory()
    kept = full_of_holes(80)
    grown = in_memory() - begin
    heap.settle()
    after = in_memory() - begin
    assert grown > 70 * MEGABYTE, "the blocks were not on the heap"
    assert after < grown - 25 * MEGABYTE
    assert len(kept) == 640


def test_a_heap_within_its_slack_is_left_alone() -> None:
    give_back()
    heap = Heap(slack=400 * MEGABYTE)
    heap.settle()
    kept = full_of_holes(80)
    grown = in_memory()
    heap.settle()
    assert in_memory() > grown - 10 * MEGABYTE
    assert len(kept) == 640


def test_what_is_in_use_is_the_new_level_and_is_not_fought() -> None:
    heap = Heap(slack=16 * MEGABYTE)
    heap.settle()
    kept = [bytearray(b"x") * 65_536 for _ in range(16 * 40)]
    heap.settle()
    level = heap._level
    assert level is not None and level > in_memory() - 8 * MEGABYTE
    assert len(kept) == 640


def capacity(set_before: str | None) -> str:
    """How many kernels oneDNN is told to keep in a new process that trains, where the user has or has not said it."""
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    environment = {key: value for key, value in os.environ.items() if key != name}
    if set_before is not None:
        environment[name] = set_before
    program = f"import os, seqaug.experiments.run; print(os.environ[{name!r}])"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_few_kernels_are_kept_unless_the_user_says_how_many() -> None:
    assert capacity(None) == str(KERNELS)
    assert capacity("7") == "7"
