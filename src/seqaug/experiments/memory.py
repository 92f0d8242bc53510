"""How much memory a run will take, told before it takes it, and whether there is so much.

What a batch needs is not guessed from the names of the plugins: a few of its rows go forward once, and what autograd keeps of
them for the backward pass is counted. That grows with the positions, and, where sequences are compared with each other, with
the square of the rows; two small batches tell the two apart.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..core.assembly import Assembly, Stage, Update
from ..core.items import CHUNK_BYTES, LEAST_ROWS
from ..core.seeds import Generators
from ..core.step import Step
from ..data.samples import Samples
from ..data.split import Split
from ..errors import RecipeError
from ..evaluation.ranking import BLOCK
from ..recipes.assemble import assembly_of
from ..recipes.plan import Plan
from .settings import Precision

__all__ = ["Memory", "available_memory", "predicted_memory", "refuse_what_cannot_fit"]

COPIES = 5
"""Of every number that is trained: itself, its gradient, Adam's two moments, the best so far."""
_FLOAT = 4
_IN_FLIGHT = 1.3
"""While the backward pass runs, gradients of what is kept come on top of it."""
_SAFE = 0.5
"""Below this share of what there is a rough upper bound will do, and nothing is measured."""
_ROUGH = 400
_ROUGH_PAIRS = 170
"""Numbers kept per position and unit of width, and per pair of rows, at most: half as many again as the recipes in the box
need, 10 (dreamrec) to 246 (ecl_sr) and 0 to 111 (mclrec) on MovieTweetings. A test holds them to it."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the device that trains.

    base: what the process has already (Python, torch, the data); 0 on a GPU. model: weights, gradients, Adam's moments, the
    best copy. batch: the largest batch on its way forward and back, of `positions` positions in `rows` rows. ranking: a block
    of users being scored. scores: one chunk of catalogue scores. available: what could still be had, None where the system
    does not say.
    """

    base: int
    model: int
    batch: int
    ranking: int
    scores: int
    positions: int
    rows: int
    available: int | None

    @property
    def needed(self) -> int:
        """On top of the base."""
        return self.model + max(self.batch, self.ranking) + self.scores

    @property
    def peak(self) -> int:
        return self.base + self.needed


def predicted_memory(
    assembly: Assembly, samples: Samples, split: Split, plan: Plan, *, precision: Precision, seed: int, base: int
) -> Memory:
    """What training `assembly` on `samples` will take at most, over its stages. Trains nothing; leaves no gradient.

    base: bytes that the process had before the model was made.
    """
    device = samples.device
    trained = sum(parameter.numel() for parameter in assembly.model.parameters())
    batches = [_largest_batch(assembly, samples, stage, plan, precision, seed) for stage in assembly.stages]
    heaviest = max(batches, key=lambda one: one.bytes, default=_Batch(0, 0, _FLOAT * plan.items.dim * 16, 0.0))
    users = min(BLOCK, len(split.test.users))
    scored = int(split.test.inputs.lengths[:users].clamp(max=plan.data.max_length).sum())
    return Memory(
        base=base,
        model=COPIES * _FLOAT * trained,
        batch=heaviest.bytes,
        ranking=int(heaviest.per_position * scored / 2),  # nothing is kept for a backward pass
        scores=_chunk(device, samples.num_items),
        positions=heaviest.positions,
        rows=heaviest.rows,
        available=available_memory(device),
    )


def refuse_what_cannot_fit(plan: Plan, split: Split, samples: Samples, *, precision: Precision, seed: int, base: int) -> None:
    """Raise RecipeError where a run cannot fit into the memory of the device, with what would fit.

    Where a rough upper bound is far below what there is, nothing is made and nothing measured.
    """
    device = samples.device
    available = available_memory(device)
    if available is None or not plan.stages:
        return
    table = COPIES * _FLOAT * (split.sequences.num_items + 2) * plan.items.dim
    if table > available:
        most = int(available * 0.8 / (table / plan.items.dim))
        raise RecipeError(
            [
                f"items.dim: {split.sequences.num_items:,} items of {plan.items.dim} numbers, with their gradients and Adam's "
                f"moments, take {_size(table)} and {_size(available)} are to be had. "
                + (f"items.dim = {most} would fit." if most else "Not even one number an item fits.")
            ]
        )
    sizes = [stage.options.batch_size or plan.training.batch_size for stage in plan.stages]
    rough = table + max(
        _positions(samples.row_lengths, size) * plan.items.dim * _ROUGH * _FLOAT
        + _ROUGH_PAIRS * _FLOAT * min(size, samples.num_rows) ** 2
        for size in sizes
    )
    if rough + _chunk(device, samples.num_items) < _SAFE * available:
        return
    assembly = assembly_of(plan, split, seed=seed, device=device)
    found = predicted_memory(assembly, samples, split, plan, precision=precision, seed=seed, base=base)
    if found.needed <= available:
        return
    room = available * 0.9 - found.model - found.scores
    fitting = 0 if found.ranking > room else _fitting(assembly, samples, plan, precision, seed, room)
    raise RecipeError(
        [
            f"training.batch_size: a batch of {found.rows:,} rows ({found.positions:,} positions) takes about "
            f"{_size(found.batch)} on top of {_size(found.model)} for the model, and {_size(available)} are to be had on "
            f"{device}. "
            + (
                f"A batch_size of {fitting:,} would fit."
                if fitting
                else "No batch_size fits: use fewer dimensions (items.dim) or a shorter data.max_length."
            )
        ]
    )


def _fitting(assembly: Assembly, samples: Samples, plan: Plan, precision: Precision, seed: int, room: float) -> int:
    """The largest number of rows, 0 for none, of which a batch of any stage takes at most `room` bytes."""
    kept = [_largest_batch(assembly, samples, stage, plan, precision, seed) for stage in assembly.stages]
    low, high = 0, max(one.rows for one in kept)
    while low < high:
        middle = (low + high + 1) // 2
        positions = _positions(samples.row_lengths, middle)
        if all(one.bytes_of(positions, middle) <= room for one in kept):
            low = middle
        else:
            high = middle - 1
    return low


# ---- what a batch keeps ----


@dataclass(frozen=True, slots=True)
class _Batch:
    """The largest batch of a stage, and what a batch costs: bytes for each position, and for each pair of rows."""

    positions: int
    rows: int
    per_position: float
    per_pair: float

    def bytes_of(self, positions: int, rows: int) -> int:
        return int(_IN_FLIGHT * (self.per_position * positions + self.per_pair * rows * rows))

    @property
    def bytes(self) -> int:
        return self.bytes_of(self.positions, self.rows)


def _largest_batch(assembly: Assembly, samples: Samples, stage: Stage, plan: Plan, precision: Precision, seed: int) -> _Batch:
    """Of a stage's first epoch."""
    own = samples.at_least(stage.min_length)
    size = min(stage.batch_size or plan.training.batch_size, own.num_rows)
    order = torch.randperm(own.num_rows, generator=Generators().get("data", seed, stage.name, 0))
    rows = max(torch.split(order, size), key=lambda part: int(own.row_lengths[part].sum()))
    positions = int(own.row_lengths[rows].sum())
    by_length = rows[own.row_lengths[rows].argsort()]
    measured = []
    for share in (8, 4) if len(rows) >= 64 else (1,):
        part = by_length[share // 2 :: share]  # the lengths are spread as in the whole batch
        kept = max(_kept(assembly, own, part, stage, number, update, precision) for number, update in enumerate(stage.updates))
        measured.append((int(own.row_lengths[part].sum()), len(part), kept))
    n2, b2, s2 = measured[-1]
    per_pair = 0.0
    if len(measured) == 2:
        n1, b1, s1 = measured[0]
        per_pair = max((s2 * n1 - s1 * n2) / max(b2 * b2 * n1 - b1 * b1 * n2, 1), 0.0)
    return _Batch(positions, len(rows), max(s2 - per_pair * b2 * b2, 0.0) / n2, per_pair)


def _kept(
    assembly: Assembly, samples: Samples, rows: Tensor, stage: Stage, number: int, update: Update, precision: Precision
) -> int:
    """Bytes that autograd keeps of one update of a batch of these rows, parameters not counted."""
    model = assembly.model.train()
    parts = model.parts()
    kept: dict[int, int] = {parameter.untyped_storage().data_ptr(): 0 for parameter in model.parameters()}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept.setdefault(storage.data_ptr(), storage.nbytes())
        return tensor

    try:
        for name, part in parts.items():
            part.requires_grad_(name in update.moves)
        step = Step(assembly, samples, samples.take(rows), epoch=0, seed=("memory", stage.name, 0, 0), update=number)
        hooks = torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor)
        with hooks, torch.autocast(samples.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            # Held until all of them are there, as in a real step: a freed one would give its place to the next.
            values = [term.weight * term.objective(step) for term in update.terms if term.weight]
        del values
    finally:
        for part in parts.values():
            part.requires_grad_(True)
    return sum(kept.values())


def _positions(lengths: Tensor, batch_size: int) -> int:
    """About the positions of the largest batch: the mean and four standard deviations of a sum of so many rows."""
    size = min(batch_size, len(lengths))
    kept = lengths.double()
    spread = float(kept.std(correction=0)) * size**0.5
    return int(min(float(kept.mean()) * size + 4 * spread, float(kept.max()) * size))


def _chunk(device: torch.device, num_items: int) -> int:
    return max(CHUNK_BYTES.get(device.type, CHUNK_BYTES["cuda"]), LEAST_ROWS * num_items * _FLOAT)


# ---- what there is ----


def available_memory(device: torch.device | str) -> int | None:
    """Bytes that this process could still have on a device: the least of what the system, its container and its own limits
    leave; None where nothing says."""
    device = torch.device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    found = [one for one in (_of_system(), _of_container(), _of_limits()) if one is not None]
    return max(min(found), 0) if found else None


def _of_system() -> int | None:
    text = _read(Path("/proc/meminfo"))
    return None if text is None else _field(text, "MemAvailable")


def _of_container() -> int | None:
    """cgroup v2: the limit, less what is in use and cannot be dropped."""
    folder = Path("/sys/fs/cgroup")
    most, used = _read(folder / "memory.max"), _read(folder / "memory.current")
    if most is None or used is None or not most.strip().isdigit():
        return None
    stat = dict(line.split() for line in (_read(folder / "memory.stat") or "").splitlines() if len(line.split()) == 2)
    return int(most) - int(used) + int(stat.get("inactive_file", 0))


def _of_limits() -> int | None:
    """`ulimit -v`."""
    if sys.platform == "win32":  # pragma: no cover
        return None
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    text = _read(Path("/proc/self/status"))
    if most == resource.RLIM_INFINITY or text is None:
        return None
    return most - (_field(text, "VmSize") or 0)


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _field(text: str, name: str) -> int | None:
    """ "MemAvailable:   123 kB" -> bytes."""
    line = next((line for line in text.splitlines() if line.startswith(f"{name}:")), None)
    return None if line is None else int(line.split()[1]) * 1024


def _size(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**29 else f"{size / 2**20:.1f} MiB"
