"""What the benchmarks share: catalogue products watched and repeated, a recipe batch by batch, a machine described.

A ratio means something only beside what the machine did at that moment, so both sides of it are timed in one process, in
turns, and every report carries the rate of a fixed matrix product, the threads and the version of torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seqaug.core.assembly import Stage
from seqaug.core.seeds import derived
from seqaug.data.samples import Samples
from seqaug.data.split import Split
from seqaug.evaluation.metrics import METRICS
from seqaug.experiments.environment import describe_device, now
from seqaug.recipes.assemble import assembly_of
from seqaug.recipes.plan import Plan
from seqaug.training.fit import BatchReport, EpochReport, Fit

__all__ = [
    "Batches",
    "Floor",
    "Product",
    "about",
    "clock",
    "count_processor_time",
    "rate_of_a_product",
    "synchronise",
    "watched",
]

ROOT = Path(__file__).resolve().parents[1]

_clock = [time.perf_counter]


def clock() -> float:
    """Seconds of the clock that the benchmarks go by: that on the wall, unless `count_processor_time` was called."""
    return _clock[0]()


def count_processor_time() -> None:
    """From here on, count the time that this process has had a processor for, in one thread.

    Waiting for a processor that others use is not in it, so that it hardly hangs on how busy the machine is; nor is what
    several threads gain.
    """
    torch.set_num_threads(1)
    _clock[0] = time.process_time


@dataclass(frozen=True, slots=True)
class Product:
    """One catalogue product: `rows` vectors of width `dim` and all items.

    kind: "scores", (rows, dim) times (dim, V); "states", (rows, V) times (V, dim), the gradient of the vectors; "items", (V,
    rows) times (rows, dim), the gradient of the items.
    """

    kind: str
    rows: int
    dim: int


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every product of two matrices and keeps those with one side as long as the catalogue."""

    def __init__(self, num_items: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._catalogue = range(num_items, num_items + 3)  # a whole table has row 0 and MASK as well
        self._next: tuple[int, int] | None = None
        self.chunks: list[Product] = []
        self.joined: list[dict[tuple[str, int], int]] = []

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = call.overloadpacket.__name__.rstrip("_")
        if name in ("mm", "addmm"):
            left, right = args[-2:]
            self._see(left, right)
        return call(*args, **(kwargs or {}))

    def _see(self, left: Tensor, right: Tensor) -> None:
        (rows, inner), columns = left.shape, right.shape[1]
        if columns in self._catalogue:
            product = Product("scores", rows, inner)
            # A chunk goes on where the one before it ended; anything else is a new question of the catalogue.
            here = (left.untyped_storage().data_ptr(), int(left.storage_offset()))
            if here != self._next or not self.joined:
                self.joined.append({})
            self._next = (here[0], here[1] + left.numel())
        elif inner in self._catalogue:
            product = Product("states", rows, columns)
        elif rows in self._catalogue:
            product = Product("items", inner, columns)
        else:
            return
        self.chunks.append(product)
        if not self.joined:
            self.joined.append({})
        key = (product.kind, product.dim)
        self.joined[-1][key] = self.joined[-1].get(key, 0) + product.rows


@dataclass(slots=True)
class Watched:
    """The catalogue products of a piece of work: as they were made, chunk by chunk, and with the chunks of a batch joined."""

    chunks: list[Product]
    joined: list[Product]


@contextmanager
def watched(num_items: int) -> Iterator[Watched]:
    """Keep what is asked of the catalogue inside the block; there is something in it once the block has ended."""
    found = Watched([], [])
    with _Watch(num_items) as watch:
        yield found
    found.chunks = watch.chunks
    found.joined = [Product(kind, rows, dim) for one in watch.joined for (kind, dim), rows in one.items()]


class Floor:
    """Bare products of given shapes into buffers that are used again and again: what the arithmetic alone takes."""

    def __init__(self, num_items: int, products: Sequence[Product], device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._buffers: dict[int, tuple[Tensor, Tensor, Tensor, Tensor]] = {}
        self._scores = torch.zeros(max((one.rows for one in products), default=0), num_items, device=device)
        for dim in {one.dim for one in products}:
            rows = max(one.rows for one in products if one.dim == dim)
            states, items = torch.randn(rows, dim, device=device), torch.randn(num_items, dim, device=device)
            self._buffers[dim] = (states, items, torch.zeros_like(states), torch.zeros_like(items))

    def seconds(self, products: Sequence[Product]) -> float:
        """Of these products, which are among those that the floor was made for."""
        synchronise(self._device)
        began = clock()
        for one in products:
            states, items, to_states, to_items = self._buffers[one.dim]
            scores = self._scores[: one.rows]
            if one.kind == "scores":
                torch.mm(states[: one.rows], items.t(), out=scores)
            elif one.kind == "states":
                torch.mm(scores, items, out=to_states[: one.rows])
            else:
                torch.mm(scores.t(), states[: one.rows], out=to_items)
        synchronise(self._device)
        return clock() - began


class Batches:
    """A stage of a recipe, a batch at a time, in the order and with the draws that a run of that seed has.

    rewrite and reset of the stage are left out: context that would stand in front of the histories is not there.
    positions: of each batch of the first epoch.
    """

    def __init__(
        self,
        plan: Plan,
        split: Split,
        samples: Samples,
        stage: Stage | None = None,
        *,
        device: torch.device | str = "cpu",
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        self._device = torch.device(device)
        self.assembly = assembly_of(plan, split, seed=0, device=device)
        own = self.assembly.stages
        chosen = own[0] if stage is None else next(one for one in own if one.name == stage.name)
        self.assembly = replace(self.assembly, stages=(replace(chosen, rewrite=None, reset=(), epochs=10**6, patience=10**6),))
        fit = Fit(
            self.assembly,
            samples,
            seed=0,
            options=plan.training,
            validate=lambda: dict.fromkeys([*METRICS, plan.training.monitor], 0.0),
            precision=precision,
        )
        self.samples = fit.samples
        self.size = chosen.batch_size or plan.training.batch_size
        order = torch.Generator().manual_seed(derived(0, chosen.name, 0, "data"))
        rows = torch.split(torch.randperm(self.samples.num_rows, generator=order), self.size)
        self.positions = [int(self.samples.row_lengths[part].sum()) for part in rows]
        self._reports = fit.reports()

    def step(self) -> float:
        """Seconds of the next batch: what is drawn, the forward and backward passes of every update, the optimisers."""
        while True:
            began = clock()
            if isinstance(next(self._reports), BatchReport):
                synchronise(self._device)
                return clock() - began

    def launch(self) -> None:
        """The next batch, without waiting for a GPU to be done with it."""
        while not isinstance(next(self._reports), BatchReport):
            pass

    def steps(self, count: int) -> float:
        """Seconds of the next `count` batches, between which nobody waits for a GPU."""
        synchronise(self._device)
        began = clock()
        for _ in range(count):
            self.launch()
        synchronise(self._device)
        return clock() - began

    def losses(self) -> dict[str, float]:
        """Train to the end of the epoch: the mean of each objective over its batches."""
        for report in self._reports:
            if isinstance(report, EpochReport):
                return report.losses
        raise AssertionError("a stage of a benchmark does not end")

    def epoch(self) -> float:
        """Seconds of the next whole epoch."""
        began = clock()
        for report in self._reports:
            if not isinstance(report, BatchReport):
                break
        synchronise(self._device)
        return clock() - began


def rate_of_a_product(device: torch.device | str = "cpu") -> float:
    """GFLOP/s of a (1800 x 64) by (64 x 12101) product into a reused buffer, the best of eight: what the machine does now."""
    left, right = torch.randn(1800, 64, device=device), torch.randn(64, 12101, device=device)
    into = torch.empty(1800, 12101, device=device)
    times = []
    for _ in range(9):
        synchronise(torch.device(device))
        began = time.perf_counter()
        torch.mm(left, right, out=into)
        synchronise(torch.device(device))
        times.append(time.perf_counter() - began)
    return 2 * 1800 * 64 * 12101 / min(times[1:]) / 1e9


def about(device: torch.device | str = "cpu") -> dict[str, Any]:
    """What has to stand beside every ratio: machine, threads, torch, commit, moment, and how busy the machine was."""
    return {
        "machine": describe_device(torch.device(device)),
        "device": str(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "gflops_of_a_product": round(rate_of_a_product(device), 1),
        "load": round(os.getloadavg()[0], 1),
        "commit": _commit(),
        "date": now(),
        "command": " ".join(["python", *_shown(sys.argv)]),
    }


def _shown(words: Sequence[str]) -> list[str]:
    """The command as it would be typed at the root of the repository: no folder of this machine, whatever was typed."""
    script = Path(words[0]).resolve()
    return [str(script.relative_to(ROOT)) if script.is_relative_to(ROOT) else script.name, *map(_portable, words[1:])]


def _portable(word: str) -> str:
    path = Path(word)
    if not path.is_absolute():
        return word
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def _commit() -> str:
    """With a "+" where files that count have been changed since."""
    try:
        found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "src", "benchmarks"], cwd=ROOT, capture_output=True, text=True
        )
    except FileNotFoundError:
        return "unknown"
    return (found.stdout.strip() or "unknown") + ("+" if changed.stdout.strip() else "")


def synchronise(device: torch.device) -> None:
    """Wait for a GPU, so that the clock means something."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
