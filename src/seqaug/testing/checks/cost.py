"""What it costs: memory in proportion to the batch, never positions x catalogue; and the same on another device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ...core import items
from ...core.registries import REGISTRIES
from ...errors import SeqaugError
from ..bench import Bench, Situation
from ..check import check, not_asked, require
from ..watching import WatchedMemory
from ..worlds import MANY, MIXED

__all__ = [
    "answers_on_the_gpu",
    "does_as_many_operations",
    "never_writes_more_than_histories_by_catalogue",
    "never_writes_positions_by_catalogue",
    "takes_memory_in_proportion",
]

ON_SEQUENCES = tuple(kind for kind in REGISTRIES if kind != "schedules")
ON_THE_CATALOGUE = ("noise_sources", "position_selectors", "negative_samplers", "augmenters", "objectives")
STANDING = ("noise_sources", "position_selectors", "negative_samplers", "encoders", "denoisers", "heads")
WITHOUT_LOOPS = (*STANDING, "augmenters", "objectives", "scorers")


@contextmanager
def _small_chunks() -> Iterator[None]:
    """Inside, scores are made sixteen rows at a time, so that a whole rectangle stands out."""
    before = dict(items.CHUNK_BYTES)
    items.CHUNK_BYTES.update(dict.fromkeys(before, 1))
    try:
        yield
    finally:
        items.CHUNK_BYTES.update(before)


def _largest(bench: Bench, situation: Situation) -> WatchedMemory:
    memory = WatchedMemory()
    with _small_chunks(), memory:
        bench.ask(situation)
    return memory


@check("never writes down positions x catalogue whole", *ON_THE_CATALOGUE)
def never_writes_positions_by_catalogue(bench: Bench) -> None:
    """480 positions before a catalogue of 2,000 items, every tensor that torch makes being weighed: the largest has less than
    half of positions x items. `evidence.scores` and `ItemScores` answer in chunks what would not fit otherwise."""
    situation = bench.situation(MIXED * 16, size=MANY)
    positions, catalogue = situation.layout.num_positions, situation.placed.histories.num_items
    try:
        memory = _largest(bench, situation)
    except SeqaugError as error:
        not_asked(f"it refuses a catalogue of {catalogue}: {error}")
    require(
        memory.largest < positions * catalogue // 2,
        f"{memory.by} makes {memory.largest:,} numbers at once, for {positions} positions and {catalogue:,} items.",
    )


@check("never writes down more than histories x catalogue", "scorers", "rewriters")
def never_writes_more_than_histories_by_catalogue(bench: Bench) -> None:
    """Histories of several items before a catalogue of 2,000: a score per history and item is what is asked for, at most; one
    per position and item, or per item and item, is not."""
    situation = bench.situation(MIXED * 8, size=MANY)
    histories = situation.scene.layout.num_sequences if bench.kind == "scorers" else situation.placed.histories.num_users
    catalogue = situation.placed.histories.num_items
    try:
        memory = _largest(bench, situation)
    except SeqaugError as error:
        not_asked(f"it refuses a catalogue of {catalogue}: {error}")
    bound = 2 * histories * catalogue
    require(
        memory.largest <= bound,
        f"{memory.by} makes {memory.largest:,} numbers at once, for {histories} histories and {catalogue:,} items.",
    )


@check("takes memory in proportion to the batch", *STANDING)
def takes_memory_in_proportion(bench: Bench) -> None:
    """Twice as many sequences of the same lengths: the largest tensor is about twice as large, and not four times, as when
    every position of the batch is held against every other."""
    one, two = (_largest(bench, bench.situation(MIXED * many)).largest for many in (16, 32))
    require(two <= 3 * max(one, 1), f"the largest tensor grows from {one:,} to {two:,} numbers.")


@check("does as many operations for a large batch as for a small one", *WITHOUT_LOOPS)
def does_as_many_operations(bench: Bench) -> None:
    """Twice as many sequences of the same lengths: torch is called about as often. A loop over sequences or positions in Python
    makes a step of thousands of positions take seconds."""
    one, two = bench.situation(MIXED * 8), bench.situation(MIXED * 16)
    counts = []
    for situation in (one, two):
        with WatchedMemory() as watched:
            bench.ask(situation)
        counts.append(watched.operations)
    few, many = counts
    require(many <= 1.3 * few + 20, f"{few} operations for {8 * len(MIXED)} sequences, and {many} for twice as many.")


@check("answers on the GPU as on the CPU", *ON_SEQUENCES)
def answers_on_the_gpu(bench: Bench) -> None:
    """With the model and the batch on a CUDA device the answer lies there too; where nothing is drawn, its numbers are those of
    the CPU, up to rounding."""
    if not torch.cuda.is_available():
        not_asked("there is no CUDA device here")
    host, device = bench.situation(), bench.situation(device="cuda")
    for situation in (host, device):
        situation.placed.assembly.model.eval()
    usual, other = bench.ask(host), bench.ask(device)
    problems = bench.problems(device, other)
    require(not problems, "; ".join(problems))
    if usual.drew or other.drew:
        return  # the two generators give other numbers
    for name, one in usual.tensors.items():
        two = other.tensors[name].cpu()
        same = torch.allclose(one, two, rtol=1e-2, atol=1e-3) if one.is_floating_point() else torch.equal(one, two)
        require(same, f"{name} is another one on the GPU.")
