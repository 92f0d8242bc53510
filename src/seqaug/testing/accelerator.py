"""A rehearsal of what a GPU would do, on a machine that has none.

Inside `accelerator()` the device "meta" can be computed on: its tensors keep their numbers on the host, but neither mix with
those of the host nor give a number away without being seen. So code takes the path of a device that is not the CPU, with real
numbers, and the record tells how many operations it launched, what was copied there, and whatever made the host wait.

What it cannot tell: what a GPU's own kernels round differently, how long anything takes, and how many kernels an operation
is. Autocast does nothing on it.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

__all__ = ["DEVICE", "Record", "accelerator"]

DEVICE = torch.device("meta")
"""The device that a rehearsal stands in for."""

_ROOT = Path(__file__).resolve().parents[1]

_ASK = frozenset(
    "_local_scalar_dense item is_nonzero equal nonzero nonzero_numpy argwhere masked_select _unique _unique2 unique_dim "
    "unique_consecutive unique_dim_consecutive bincount histc".split()
)
"""Operations whose answer has a size, or is a number, that the host has to be told."""

_LENGTHS_OF_THE_HOST = frozenset("_pack_padded_sequence _pack_padded_sequence_backward _pad_packed_sequence".split())
"""Operations that take how long the sequences are from the host."""

_FREE = frozenset("empty empty_like empty_strided new_empty new_empty_strided detach alias lift lift_fresh resize_".split())
"""Operations that launch nothing."""


@dataclass(slots=True)
class Record:
    """What the host asked of the accelerator.

    operations: of each kind, those that only look at a tensor in another way not counted; backward: how many of them in
    backward passes. waits: (operation, where in seqaug) -> how often the host had to wait for it. copies: from the host to the
    device; bytes: of these copies.
    """

    operations: Counter[str] = field(default_factory=Counter)
    backward: int = 0
    waits: Counter[tuple[str, str]] = field(default_factory=Counter)
    copies: int = 0
    bytes: int = 0
    _in_backward: bool = False

    @property
    def launched(self) -> int:
        """Operations in all."""
        return self.operations.total()

    def launch(self, name: str) -> None:
        """One more operation."""
        self.operations[name] += 1
        self.backward += self._in_backward

    @contextmanager
    def as_one(self, name: str) -> Iterator[None]:
        """However many operations there are inside, they are one of that name."""
        before = self.operations.copy(), self.backward
        try:
            yield
        finally:
            self.operations, self.backward = before
            self.launch(name)

    @contextmanager
    def going_back(self) -> Iterator[None]:
        """Inside is a backward pass."""
        self._in_backward = True
        try:
            yield
        finally:
            self._in_backward = False

    def clear(self) -> None:
        """Begin again."""
        self.operations.clear()
        self.waits.clear()
        self.copies = self.bytes = self.backward = 0


_BACKWARD: Any = Tensor.backward


class _There(Tensor):
    """A tensor of the accelerator. `kept`, of the host, has its numbers."""

    kept: Tensor

    @staticmethod
    def __new__(cls, kept: Tensor) -> _There:
        made: _There = Tensor._make_wrapper_subclass(
            cls,
            kept.size(),
            strides=kept.stride(),
            storage_offset=kept.storage_offset(),
            dtype=kept.dtype,
            device=DEVICE,
            requires_grad=kept.requires_grad,
        )
        made.kept = kept
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"on the accelerator: {self.kept!r}"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a tensor of the rehearsed accelerator cannot be saved; copy it to the host first")

    @classmethod
    def __torch_dispatch__(cls, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise RuntimeError("a tensor of the rehearsed accelerator is used outside of `accelerator()`")


class _Accelerator(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Carries out on the host what is asked of `_There`."""

    def __init__(self, record: Record) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._record = record

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        there = [one for one in tensors if isinstance(one, _There)]
        target = kwargs.get("device")
        leaves = target is not None and torch.device(target) == DEVICE
        if not there and not leaves:
            return call(*args, **kwargs)
        name = call.overloadpacket.__name__
        if name in ("_to_copy", "copy_"):
            return self._copied(name, call, args, kwargs, leaves)
        here = [one for one in tensors if not isinstance(one, _There) and one.dim()]
        if here and name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            self._waits(name + " by a tensor of the host")
        elif here and name not in _LENGTHS_OF_THE_HOST:
            raise RuntimeError(
                f"{name}: tensors of the accelerator and of the host, {[tuple(one.shape) for one in here]}, are mixed"
            )
        if self._asks(name, args, kwargs):
            self._waits(name)
        if leaves:
            kwargs["device"] = torch.device("cpu")
        if not (call.is_view or name in _FREE):
            self._record.launch(name)
        # An operation of several parts is carried out as one: what it is made of is none of the host's business.
        made = call(*pytree.tree_map_only(_There, _kept, args), **pytree.tree_map_only(_There, _kept, kwargs))
        if name == "_local_scalar_dense":
            return made
        if name == "_pack_padded_sequence":
            return _There(made[0]), made[1]  # how many sequences go on at each step is for the host
        wrapped = pytree.tree_map_only(Tensor, _There, made)
        return wrapped if leaves and not there else _aliased(call, args, kwargs, wrapped)

    def _copied(self, name: str, call: Any, args: Any, kwargs: Any, leaves: bool) -> Any:
        """Between the devices, or on one of them."""
        if name == "copy_":
            into, source = args[:2]
            waits = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
            self._crossed(source, isinstance(into, _There), waits)
            _kept(into).copy_(_kept(source))
            return into
        (source,) = args
        going = leaves or (isinstance(source, _There) and kwargs.get("device") is None)
        self._crossed(source, going, not kwargs.pop("non_blocking", False))
        kwargs.pop("device", None)
        made = call(_kept(source), **kwargs)
        if made is _kept(source):
            made = made.clone()
        return _There(made) if going else made

    def _crossed(self, source: Tensor, going: bool, waits: bool) -> None:
        came = isinstance(source, _There)
        if came and not going:
            self._waits("copied to the host")
        elif came:
            self._record.launch("copy_")
        elif going and source.dim():
            self._record.copies += 1
            self._record.bytes += source.numel() * source.element_size()
            if waits:
                self._waits("copied to the device")
        elif going:
            self._record.launch("copy_")

    def _asks(self, name: str, args: Any, kwargs: Any) -> bool:
        """Whether the host waits for the answer."""
        if name in _ASK:
            return True
        if name in ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"):
            return any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in args[1])
        return name == "repeat_interleave" and kwargs.get("output_size") is None and not isinstance(args[-1], int)

    def _waits(self, what: str) -> None:
        self._record.waits[what, _place()] += 1


class _AsOne(torch.autograd.Function):
    """A call that a GPU has one kernel for, and one for its gradient, however many operations it is here."""

    @staticmethod
    def forward(ctx: Any, record: Record, call: Callable[..., Tensor], name: str, *tensors: Tensor) -> Tensor:
        ctx.record, ctx.name = record, name
        inside = [one.detach().requires_grad_(one.requires_grad) for one in tensors]
        with torch.enable_grad(), record.as_one(name):
            made = call(*inside)
        ctx.inside = (inside, made)
        return made.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inside, made = ctx.inside
        asked = [one for one in inside if one.requires_grad]
        with ctx.record.as_one(f"{ctx.name}_backward"):
            found = iter(torch.autograd.grad(made, asked, gradients))
        return (None, None, None, *(next(found) if one.requires_grad else None for one in inside))


class _Python(TorchFunctionMode):
    """What never comes to `_Accelerator` as what it is.

    Numbers of Python that become tensors there, which are copied and waited for; and what a GPU has kernels of its own for.
    """

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    def __torch_function__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if call is _BACKWARD:
            with self._record.going_back():
                return call(*args, **kwargs)
        if call is functional.dropout and isinstance(args[0], _There):
            return torch.native_dropout(args[0], args[1] if len(args) > 1 else kwargs.get("p", 0.5), True)[0]
        if call is functional.scaled_dot_product_attention and isinstance(args[0], _There):
            whole = partial(call, **kwargs)
            return _AsOne.apply(self._record, whole, "scaled_dot_product_attention", *args)  # type: ignore[no-untyped-call]
        if call in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = torch.device(kwargs.pop("device"))
            return call(*args, **kwargs).to(device)
        if call is Tensor.tolist and isinstance(args[0], _There):
            return args[0].cpu().tolist()
        return call(*args, **kwargs)


class _Dice(torch.Generator):
    """A generator that says it is of the accelerator, and draws what the host's would."""

    def __new__(cls, device: torch.device | str = "cpu") -> _Dice:
        made: _Dice = super().__new__(cls, "cpu")  # type: ignore[call-arg]
        made._where = torch.device(device)  # type: ignore[attr-defined]
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where it draws."""
        where: torch.device = self._where  # type: ignore[attr-defined]
        return where


def _aliased(call: Any, args: Any, kwargs: Any, made: Any) -> Any:
    """What was made, or the very argument that it was written to; views share their storage."""
    return return_and_correct_aliasing(call, args, kwargs, made)  # type: ignore[no-untyped-call]


def _kept(tensor: Any) -> Any:
    return tensor.kept if isinstance(tensor, _There) else tensor


def _place() -> str:
    """The innermost line of seqaug, outside of this file, that is being run: "core/items.py rank_of"."""
    for frame in reversed(traceback.extract_stack(limit=80)):
        path = Path(frame.filename)
        if path.is_relative_to(_ROOT) and path.name != Path(__file__).name:
            return f"{path.relative_to(_ROOT).as_posix()} {frame.name}"
    return "elsewhere"


@contextmanager
def accelerator() -> Iterator[Record]:
    """Inside, DEVICE can be computed on, and what is asked of it stands in the record."""
    record = Record()
    optimisers = import_module("torch.optim.optimizer")
    supported = optimisers._get_fused_kernels_supported_devices
    autocast, is_enabled = torch.autocast, torch.is_autocast_enabled

    def cast(device_type: str, *rest: Any, **options: Any) -> AbstractContextManager[Any]:
        return nullcontext() if device_type == DEVICE.type else autocast(device_type, *rest, **options)

    def casts(device_type: str | None = None) -> bool:
        if device_type is None:
            return is_enabled()
        return device_type != DEVICE.type and is_enabled(device_type)

    # torch knows of nothing that could be computed on "meta"; where it asks for the kind of device, it is told that it can be.
    told: list[tuple[Any, str, Callable[..., Any] | type]] = [
        (torch, "Generator", _Dice),
        (torch, "autocast", cast),
        (torch, "is_autocast_enabled", casts),
        (optimisers, "_get_fused_kernels_supported_devices", lambda: [*supported(), DEVICE.type]),
    ]
    with ExitStack() as stack:
        for owner, name, instead in told:
            stack.enter_context(mock.patch.object(owner, name, instead))
        stack.enter_context(_Python(record))
        stack.enter_context(_Accelerator(record))
        yield record
