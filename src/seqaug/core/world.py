"""Several processes that train one model together.

Every process holds the whole batch and takes the whole step: it draws what all draw, sees the representations of every
sequence, and comes to the same loss. Only what costs is divided: encoders and denoisers run on a share of the sequences, and
the catalogue meets a share of the vectors; the answers are put together at once. So a plugin knows nothing of it, a contrast
reaches over the whole batch, and how many processes there are changes numbers in the last digits only (and the masks of
dropout, which are drawn for each share).

A gradient is either complete, the same in every process, or, for the parameters of what ran in shares, a part that has to be
summed: `World.sum_gradients` does that after each backward pass.

P processes, B sequences, N positions, M vectors, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..data.layout import Layout
from ..errors import SeqaugError
from .seeds import derived, seed_global

__all__ = ["ALONE", "GONE", "World", "divided_rows", "divided_sequences", "dividing", "present"]


@dataclass(frozen=True, slots=True)
class World:
    """The processes of one run. rank: this one's number, 0 to size - 1."""

    rank: int = 0
    size: int = 1

    # ---- who does what ----

    def rows(self, count: int) -> list[int]:
        """The P + 1 borders of equal shares of `count` things."""
        return [count * rank // self.size for rank in range(self.size + 1)]

    def sequences(self, counts: Sequence[int]) -> list[int]:
        """The P + 1 borders of shares of about as many positions; counts: the length of each sequence."""
        borders, rank, so_far, total = [0], 1, 0, sum(counts)
        for place, count in enumerate(counts):
            while rank < self.size and so_far + count / 2 >= total * rank / self.size:
                borders.append(place)
                rank += 1
            so_far += count
        return [*borders, *[len(counts)] * (self.size + 1 - len(borders))]

    # ---- putting together ----

    def joined(self, part: Tensor, sizes: Sequence[int]) -> Tensor:
        """(sizes[rank], ...) of each process -> (sum(sizes), ...), in the order of the ranks."""
        from torch import distributed

        longest = max(sizes)
        sent = part.new_zeros((longest, *part.shape[1:]))
        sent[: len(part)] = part
        got = [torch.empty_like(sent) for _ in sizes]
        with _speaking():
            distributed.all_gather(got, sent)
        return torch.cat([one[:size] for one, size in zip(got, sizes, strict=True)])

    def summed_(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        from torch import distributed

        with _speaking():
            distributed.all_reduce(tensor)
        return tensor

    def told(self, thing: Any) -> Any:
        """What process 0 has, in every process."""
        from torch import distributed

        if self.size == 1:
            return thing
        box = [thing]
        with _speaking():
            distributed.broadcast_object_list(box, src=0)
        return box[0]

    # ---- gradients ----

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the parts of the gradients of what ran in shares. A process whose share was empty has none of its own."""
        if self.size == 1:
            return
        moved = [parameter for parameter in parameters if parameter.requires_grad]
        if not moved:
            return
        flat = torch.cat([_gradient(parameter).flatten() for parameter in moved])
        self.summed_(flat)
        parts = torch.split(flat, [parameter.numel() for parameter in moved])
        for parameter, part in zip(moved, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def agree(self, parameters: Iterable[Tensor], tolerance: float = 1e-3) -> None:
        """Give every process the numbers of process 0, having seen that they are the same but for rounding.

        Raises SeqaugError where they are not: something has drawn from dice that the processes do not share.
        """
        from torch import distributed

        if self.size == 1:
            return
        furthest = 0.0
        for parameter in parameters:
            given = parameter.detach().clone()
            with _speaking():
                distributed.broadcast(given, src=0)
            if given.numel() and given.is_floating_point():
                scale = float(given.abs().max().clamp(min=1e-6))
                furthest = max(furthest, float((given - parameter.detach()).abs().max()) / scale)
            parameter.data.copy_(given)
        box = torch.tensor(furthest)
        with _speaking():
            distributed.all_reduce(box, op=distributed.ReduceOp.MAX)
        if float(box) > tolerance:
            raise SeqaugError(
                f"the {self.size} processes of this run have come to different weights (by {float(box):.1%} of the largest): "
                "a plugin draws from random numbers of its own. `seqaug plugins check NAME` finds which."
            )


GONE = "another process of this run has ended"
"""So begins what a process says that ends because another one has."""

ALONE = World()
_present: World = ALONE


def present() -> World:
    """The processes that divide the work just now; `ALONE` outside of `dividing`."""
    return _present


@contextmanager
def dividing(world: World) -> Iterator[None]:
    """Inside, what costs is divided between the processes of `world`, which ask for the same things in the same order."""
    global _present
    before, _present = _present, world
    try:
        yield
    finally:
        _present = before


def divided_sequences(
    run: Callable[[Tensor, Layout, slice], Tensor], flat: Tensor, layout: Layout, *, training: bool, latest: bool = False
) -> Tensor:
    """(N, D) -> (N, D'), each process running its share of the sequences; (B, D') with `latest`, a row for each sequence.

    run: given the positions of a share (n, D), their layout, and which sequences they are. training: whether it may drop
    something: then each share has dice of its own, and what is drawn afterwards does not depend on them.
    """
    world = _present
    if world.size == 1:
        return run(flat, layout, slice(0, layout.num_sequences))
    borders = world.sequences(layout.counts)
    offsets = [0]
    for count in layout.counts:
        offsets.append(offsets[-1] + count)
    first, last = borders[world.rank], borders[world.rank + 1]
    positions = [offsets[border] for border in borders]
    own = _Share.apply(flat, positions, world)  # type: ignore[no-untyped-call]
    seed = torch.initial_seed()
    if training and world.rank:
        seed_global(derived(seed, "share", world.rank), flat.device)
    if first < last:
        found = run(own, Layout(layout.counts[first:last], layout.device), slice(first, last))
    else:
        found = flat.new_zeros((0, flat.shape[1])) + own.sum() * 0
    if training:
        seed_global(derived(seed, "after shares"), flat.device)
    sizes = [end - begin for begin, end in pairwise(borders if latest else positions)]
    joined: Tensor = _Join.apply(found, sizes, world)  # type: ignore[no-untyped-call]
    return joined


def divided_rows(rows: Tensor, counts: Sequence[int]) -> Tensor:
    """(B, ...) -> the rows of the share of sequences that `divided_sequences` gives this process; counts: their lengths."""
    world = _present
    if world.size == 1:
        return rows
    share: Tensor = _Share.apply(rows, world.sequences(counts), world)  # type: ignore[no-untyped-call]
    return share


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


class _Share(torch.autograd.Function):
    """The own share of something that every process has whole; its gradient is put together again."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, borders: list[int], world: World) -> Tensor:
        ctx.sizes = [end - begin for begin, end in pairwise(borders)]
        ctx.world = world
        return whole[borders[world.rank] : borders[world.rank + 1]].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.world.joined(gradients[0].contiguous(), ctx.sizes), None, None


class _Join(torch.autograd.Function):
    """The shares of all processes one after the other; each has the gradient of its own, which the whole one says."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, sizes: list[int], world: World) -> Tensor:
        ctx.begin, ctx.size = sum(sizes[: world.rank]), sizes[world.rank]
        return world.joined(own.contiguous(), sizes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.begin : ctx.begin + ctx.size], None, None


@contextmanager
def _speaking() -> Iterator[None]:
    """What torch says when another process has gone, in words."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, NotImplementedError):
            raise
        raise SeqaugError(
            f"{GONE}, so the others cannot go on. The last whole epoch is kept, and the same "
            f"command goes on from there. ({str(error).splitlines()[0][:200]})"
        ) from error
