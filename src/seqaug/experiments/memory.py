"""How much memory a run will take, told before it takes it, and whether there is so much.

What a batch needs is not guessed from the names of the plugins: a few of its rows go forward and back, and the bytes of every
tensor that is alive meanwhile are counted. Those grow with the positions, and, where sequences are compared with each other,
with the square of the rows; three small batches tell the two and a constant apart. A part of a block of users is ranked in the
same way.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..core.assembly import Assembly, Stage, Update
from ..core.heap import give_back
from ..core.items import CHUNK_BYTES, LEAST_ROWS
from ..core.seeds import Generators
from ..core.step import Step
from ..data.samples import Samples
from ..data.split import HeldOut, Split
from ..errors import PluginError, RecipeError
from ..evaluation.ranking import BLOCK, rank_held_out
from ..recipes.assemble import assemble, assembly_of
from ..recipes.plan import Plan
from .environment import memory_now
from .rehearse import first_users
from .settings import Precision

__all__ = ["Memory", "available_memory", "predicted_memory", "refuse_a_width_that_cannot_fit", "refuse_what_cannot_fit"]

COPIES = 5
"""Of every number that is trained: itself, its gradient, Adam's two moments, the best so far."""
_FLOAT = 4
_HOLES = 0.5
"""Bytes that lie free in the heap of the CPU for each byte that is alive at the worst moment: what came before was of other
sizes. With KERNELS (core/heap.py) at 32 it was 0.1 (simdiffrec, batches of 1,024) to 1 (cl4srec) where a batch takes
100 MiB and more; where it takes less the base outweighs it."""
_PARTS = 64
"""For each square of the width so many numbers are allowed for encoders, denoisers and heads before they are counted. In the
box they are at most 41, at a width of 96, and fewer at larger ones."""
_WIDTHS, _FEW = (64, 128, 256), 100
"""Widths at which the numbers of a recipe's parts are counted, and the items of the catalogue meanwhile."""
_TRIED = 0.2
"""A part of a batch that is tried takes at most so much of what there is, by the rough bound."""
_SAFE = 0.5
"""Below this share of what there is a rough upper bound will do, and nothing is measured."""
_ROUGH = 400
_ROUGH_PAIRS = 170
"""Numbers kept per position and unit of width, and per pair of rows, at most: half as many again as the recipes in the box
need, 10 (dreamrec) to 246 (ecl_sr) and 0 to 111 (mclrec) on MovieTweetings. A test holds them to it."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the device that trains.

    base: what the process has without a model (Python, the data, all of torch that training loads); 0 on a GPU. model: weights,
    gradients, Adam's moments, the best copy. batch: the largest batch on its way forward and back, of `positions` positions in
    `rows` rows. ranking: a block of users being scored. scores: one chunk of catalogue scores. holes: what the C library keeps
    of the batches before; 0 on a GPU, whose allocator gives it back rather than fail. available: what could still be had, None
    where the system does not say.
    """

    base: int
    model: int
    batch: int
    ranking: int
    scores: int
    holes: int
    positions: int
    rows: int
    available: int | None

    @property
    def needed(self) -> int:
        """On top of the base, whatever happens."""
        return self.model + max(self.batch, self.ranking) + self.scores

    @property
    def peak(self) -> int:
        """What a run is seen to take at most, by those who look from outside."""
        return self.base + self.needed + self.holes


def predicted_memory(
    assembly: Assembly, samples: Samples, split: Split, plan: Plan, *, precision: Precision, seed: int, base: int
) -> Memory:
    """What training `assembly` on `samples` will take at most, over its stages. Trains nothing; leaves no gradient.

    base: bytes that the process had before the model was made. It counts for no less than what is found once a small batch has
    gone forward and back: the first one makes torch load a good deal (60 MiB of modules for its optimisers alone).
    """
    device = samples.device
    trained = sum(parameter.numel() for parameter in assembly.model.parameters())
    batches = [_largest_batch(assembly, samples, stage, plan, precision, seed) for stage in assembly.stages]
    heaviest = max(batches, key=lambda one: one.bytes, default=_Batch(0, 0, 0.0, 0.0, 0.0))
    ranking = _ranking(assembly, split.test, plan, seed)
    if assembly.stages:
        torch.optim.Adam([nn.Parameter(torch.zeros(1))])
    scores = _chunk(device, samples.num_items)
    alive = max(heaviest.bytes, ranking)
    if device.type == "cpu":
        give_back()  # what is left is in use: the model is, and the scratch area of the scores
        base = max(base, memory_now(device) - _FLOAT * trained - scores)
    return Memory(
        base=base,
        model=COPIES * _FLOAT * trained,
        batch=heaviest.bytes,
        ranking=ranking,
        scores=scores,
        holes=int(_HOLES * alive) if device.type == "cpu" else 0,
        positions=heaviest.positions,
        rows=heaviest.rows,
        available=available_memory(device),
    )


def refuse_a_width_that_cannot_fit(plan: Plan, split: Split, device: torch.device) -> None:
    """Raise RecipeError where a model of this width (items.dim) does not fit into the memory of the device, with what would.

    To be asked before anything of that width is made, as a rehearsal does. Here only small widths are.
    """
    available = available_memory(device)
    if available is None or not plan.stages:
        return
    dim, items = plan.items.dim, split.sequences.num_items
    if COPIES * _FLOAT * ((items + 2) * dim + _PARTS * dim * dim) <= _SAFE * available:
        return
    numbers = _numbers(plan, items)
    needed = COPIES * _FLOAT * numbers(dim)
    if needed <= available:
        return
    low, high = 0, dim
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if COPIES * _FLOAT * numbers(middle) <= 0.8 * available else (low, middle - 1)
    raise RecipeError(
        [
            f"items.dim: {items:,} items of {dim} numbers and parts of that width, with their gradients and Adam's moments, "
            f"take {_size(needed)} and {_size(available)} are to be had. "
            + (f"items.dim = {low} would fit." if low else "Not even a width of 1 fits.")
        ]
    )


def _numbers(plan: Plan, num_items: int) -> Callable[[int], float]:
    """How many numbers a recipe trains at any width, as far as that is a polynomial of the second degree, which products make
    it: told from three small widths. Of the table alone where a part cannot be made there.
    """

    def table(dim: int) -> float:
        return (num_items + 2) * dim + num_items * plan.items.bias

    made = []
    for dim in _WIDTHS:
        narrow = replace(plan, items=plan.items.model_copy(update={"dim": dim}))
        try:
            parts = assemble(narrow, num_items=_FEW, popularity=None, seed=0).model.parts()
        except (RecipeError, PluginError):
            return table  # the rehearsal says of the real width what is wrong
        made.append(sum(p.numel() for name, part in parts.items() if name != "items" for p in part.parameters()))
    curve = np.polynomial.Polynomial.fit(_WIDTHS, made, 2)
    return lambda dim: table(dim) + max(float(curve(dim)), 0.0)


def refuse_what_cannot_fit(plan: Plan, split: Split, samples: Samples, *, precision: Precision, seed: int, base: int) -> None:
    """Raise RecipeError where a run cannot fit into the memory of the device, with what would fit.

    Where a rough upper bound is far below what there is, nothing is made and nothing measured. Otherwise plugins take small
    steps here: rehearse them before, so that one that is broken is called by its name.
    """
    device = samples.device
    refuse_a_width_that_cannot_fit(plan, split, device)
    available = available_memory(device)
    if available is None or not plan.stages:
        return
    table = COPIES * _FLOAT * (split.sequences.num_items + 2) * plan.items.dim
    sizes = [stage.options.batch_size or plan.training.batch_size for stage in plan.stages]
    rough = table + max(_rough(plan, _positions(samples.row_lengths, size), min(size, samples.num_rows)) for size in sizes)
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


def _rough(plan: Plan, positions: int, rows: int) -> int:
    """Bytes that a batch surely does not exceed."""
    return _FLOAT * (positions * plan.items.dim * _ROUGH + rows * rows * _ROUGH_PAIRS)


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


# ---- what a batch and a block of users need ----


@dataclass(frozen=True, slots=True)
class _Batch:
    """The largest batch of a stage, and what a batch costs: bytes once, for each position, and for each pair of rows."""

    positions: int
    rows: int
    once: float
    per_position: float
    per_pair: float

    def bytes_of(self, positions: int, rows: int) -> int:
        return int(self.once + self.per_position * positions + self.per_pair * rows * rows)

    @property
    def bytes(self) -> int:
        return self.bytes_of(self.positions, self.rows)


def _largest_batch(assembly: Assembly, samples: Samples, stage: Stage, plan: Plan, precision: Precision, seed: int) -> _Batch:
    """Of a stage's first epoch. Only a part of it is tried, so that one far too large is refused and not run into."""
    own = samples.at_least(stage.min_length)
    size = min(stage.batch_size or plan.training.batch_size, own.num_rows)
    order = torch.randperm(own.num_rows, generator=Generators().get("data", seed, stage.name, 0))
    rows = max(torch.split(order, size), key=lambda part: int(own.row_lengths[part].sum()))
    positions = int(own.row_lengths[rows].sum())
    by_length = rows[own.row_lengths[rows].argsort()]
    shares: tuple[int, ...] = (4, 8, 16) if len(rows) >= 64 else (2, 4) if len(rows) >= 8 else (1,)
    available = available_memory(samples.device)
    while available is not None and _rough(plan, positions // shares[0], len(rows) // shares[0]) > _TRIED * available:
        if len(rows) < 16 * shares[-1]:
            break
        shares = tuple(2 * share for share in shares)
    parts = [by_length[share // 2 :: share] for share in shares]  # the lengths are spread as in the whole batch
    sizes = [(int(own.row_lengths[part].sum()), len(part)) for part in parts]
    costs = [_Batch(positions, len(rows), 0.0, 0.0, 0.0)]
    for number, update in enumerate(stage.updates):
        # The first time a scratch area is made that stays.
        _needed(assembly, own, parts[0], stage, number, update, precision)
        needed = [_needed(assembly, own, part, stage, number, update, precision) for part in parts]
        costs.append(_Batch(positions, len(rows), *_growth(sizes, needed)))
    return max(costs, key=lambda one: one.bytes)


def _growth(sizes: Sequence[tuple[int, int]], needed: Sequence[int]) -> tuple[float, float, float]:
    """Bytes once, a position and a pair of rows, from batches of (positions, rows), the largest first; none below 0.

    With three batches all of them are told apart, with two only the first and the second. One is all positions.
    """
    amounts = [float(one) for one in needed]
    if len(sizes) == 1:
        return 0.0, amounts[0] / max(sizes[0][0], 1), 0.0
    per_pair = 0.0
    if len(sizes) == 3:
        (n1, b1), (n2, b2), (n3, b3) = sizes
        first, second = n1 - n2, n2 - n3
        curved = (b1 * b1 - b2 * b2) * second - (b2 * b2 - b3 * b3) * first
        bent = (amounts[0] - amounts[1]) * second - (amounts[1] - amounts[2]) * first
        # Small batches tell it badly: the bound keeps what is left of chance from growing with the square.
        most = min(amounts[0] / (b1 * b1), _FLOAT * _ROUGH_PAIRS)
        per_pair = min(max(bent / curved, 0.0), most) if curved > 0 else 0.0
    (n1, b1), (n2, b2) = sizes[:2]
    rest, before = amounts[0] - per_pair * b1 * b1, amounts[1] - per_pair * b2 * b2
    per_position = min(max(rest - before, 0.0) / max(n1 - n2, 1), max(rest, 0.0) / max(n1, 1))
    return max(rest - per_position * n1, 0.0), per_position, per_pair


def _needed(
    assembly: Assembly, samples: Samples, rows: Tensor, stage: Stage, number: int, update: Update, precision: Precision
) -> int:
    """The most bytes that are alive at once in one update of these rows, without the parameters and their gradients."""
    model = assembly.model.train()
    parts = model.parts()
    try:
        for name, part in parts.items():
            part.requires_grad_(name in update.moves)
        alive = _Alive()
        with alive:
            step = Step(assembly, samples, samples.take(rows), epoch=0, seed=("memory", stage.name, 0, 0), update=number)
            with torch.autocast(samples.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                values = [term.weight * term.objective(step) for term in update.terms if term.weight]
            total = sum(values, torch.zeros((), device=samples.device))
            if total.requires_grad:
                total.backward()  # type: ignore[no-untyped-call]
        gradients = sum(p.grad.numel() * p.grad.element_size() for p in model.parameters() if p.grad is not None)
    finally:
        for part in parts.values():
            part.requires_grad_(True)
            part.zero_grad(set_to_none=True)
    return max(alive.most - gradients, 0)


def _ranking(assembly: Assembly, held_out: HeldOut, plan: Plan, seed: int) -> int:
    """Bytes that are alive at once while a block of users is ranked, from a quarter and an eighth of the first block."""
    users = min(BLOCK, len(held_out.users))
    lengths = held_out.inputs.lengths.clamp(max=plan.data.max_length)
    sizes, needed = [], []
    for share in (4, 4, 8) if users >= 8 else (1, 1):
        part = first_users(held_out, users // share)
        alive = _Alive()
        with alive:
            rank_held_out(assembly, part, seed=seed, device=assembly.model.items.weight.device)
        sizes.append((int(lengths[: users // share].sum()), users // share))
        needed.append(alive.most)
    # Again the first time makes a scratch area that stays.
    once, per_position, _ = _growth(sizes[1:], needed[1:])
    return int(once + per_position * int(lengths[:users].sum()))


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, the bytes of all tensors that are made are counted while they live. most: of all moments.

    What existed before does not count, nor do views of anything. Every storage is counted once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0
        self._now = 0
        self._watched: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = call(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if _dense(one):
                self._see(one, (args, kwargs))
        return made

    def _see(self, made: Tensor, given: Any) -> None:
        storage = made.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place in self._watched or not size:
            return
        # What an operation gives back of what it was given (a view, an `out`) was there before, or is watched.
        if any(one.untyped_storage()._cdata == place for one in tree_leaves(given) if _dense(one)):
            return
        self._watched[place] = weakref.ref(storage, lambda _: self._gone(place, size))
        self._now += size
        self.most = max(self.most, self._now)

    def _gone(self, place: int, size: int) -> None:
        del self._watched[place]
        self._now -= size


def _dense(value: Any) -> bool:
    """Whether it is a tensor with a storage of its own kind; the parts of a sparse one are seen by themselves."""
    return isinstance(value, Tensor) and value.layout is torch.strided


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
