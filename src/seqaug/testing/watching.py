"""What a plugin does beside what it returns: random state it touches, tensors it changes, memory it takes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..core.seeds import Generators, seeded

__all__ = [
    "RandomState",
    "Settings",
    "WatchedGenerators",
    "WatchedMemory",
    "changed",
    "copies",
    "other_global_seeds",
    "random_state_kept",
    "settings_kept",
]


@dataclass(frozen=True, eq=False)
class RandomState:
    """The global random state of torch (on the CPU), numpy and Python's `random`."""

    torch: Tensor
    numpy: Any
    python: Any

    @classmethod
    def now(cls) -> RandomState:
        """As it stands."""
        return cls(torch.get_rng_state(), np.random.get_state(), random.getstate())

    def put_back(self) -> None:
        """Make it so again."""
        torch.set_rng_state(self.torch)
        np.random.set_state(self.numpy)
        random.setstate(self.python)

    def differs(self, other: RandomState) -> list[str]:
        """Whose state is not the same: of "torch", "numpy" and "random"."""
        found = [] if torch.equal(self.torch, other.torch) else ["torch"]
        same = all(np.array_equal(one, two) for one, two in zip(self.numpy, other.numpy, strict=True))
        found += [] if same else ["numpy"]
        return found + ([] if self.python == other.python else ["random"])


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Whatever happens inside, the global random state is the same after."""
    before = RandomState.now()
    try:
        yield
    finally:
        before.put_back()


@dataclass(frozen=True)
class Settings:
    """What torch's whole process shares, and a plugin has no business with."""

    gradients: bool
    default_dtype: torch.dtype
    threads: int
    deterministic: bool
    deterministic_or_warned: bool
    matmul_precision: str

    @classmethod
    def now(cls) -> Settings:
        """As they stand."""
        return cls(
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.get_float32_matmul_precision(),
        )

    def put_back(self) -> None:
        """Make them so again."""
        torch.set_grad_enabled(self.gradients)
        torch.set_default_dtype(self.default_dtype)
        torch.set_num_threads(self.threads)
        torch.use_deterministic_algorithms(self.deterministic, warn_only=self.deterministic_or_warned)
        torch.set_float32_matmul_precision(self.matmul_precision)

    def differs(self, other: Settings) -> list[str]:
        """The settings that are not the same, with both values."""
        pairs = ((one.name, getattr(self, one.name), getattr(other, one.name)) for one in fields(self))
        return [f"{name.replace('_', ' ')} from {before} to {after}" for name, before, after in pairs if before != after]


@contextmanager
def settings_kept() -> Iterator[None]:
    """Whatever happens inside, torch's settings are the same after."""
    before = Settings.now()
    try:
        yield
    finally:
        if Settings.now() != before:
            before.put_back()


@contextmanager
def other_global_seeds(seed: int) -> Iterator[None]:
    """Inside, the global generators of torch, numpy and Python follow `seed`; after, they stand where they stood."""
    with random_state_kept(), seeded(seed):
        np.random.set_state(np.random.RandomState(seed).get_state())
        random.setstate(random.Random(seed).getstate())
        yield


class WatchedGenerators(Generators):
    """The generators of a step that remember whether anybody drew from them."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        super().__init__(device)
        self._seeded: dict[str, Tensor] = {}
        self._drew = False

    def get(self, slot: str, *where: object) -> torch.Generator:
        """As ever; what was drawn before is noted first."""
        self._note(slot)
        generator = super().get(slot, *where)
        self._seeded[slot] = generator.get_state()
        return generator

    @property
    def drew(self) -> bool:
        """Whether somebody drew."""
        for slot in self._seeded:
            self._note(slot)
        return self._drew

    @property
    def states(self) -> tuple[Tensor, ...]:
        """Of all that were handed out, as they stand."""
        return tuple(one.get_state() for one in self._kept.values())

    def _note(self, slot: str) -> None:
        before = self._seeded.get(slot)
        if before is not None and not torch.equal(before, self._kept[slot].get_state()):
            self._drew = True


class WatchedMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, every tensor that torch makes is weighed. largest: the most numbers one of them has room for, and by which
    operation; operations: how many were done."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest = 0
        self.by = ""
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.operations += 1
        given = {id(one) for one in _tensors(args)} | {id(one) for one in _tensors(tuple((kwargs or {}).values()))}
        for one in _tensors((made,)):
            if id(one) in given or one.layout is not torch.strided:
                continue
            size = one.untyped_storage().nbytes() // max(one.element_size(), 1)
            # A view has the room of what it looks at, which was weighed when it was made.
            if one._is_view():
                continue
            if size > self.largest:
                self.largest, self.by = size, str(func).removeprefix("aten.")
        return made


def _tensors(values: Any) -> Iterator[Tensor]:
    for one in values:
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, tuple | list):
            yield from _tensors(one)


def copies(watched: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What they hold now."""
    return {name: one.detach().clone() for name, one in watched.items()}


def changed(watched: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> list[str]:
    """The names of those that no longer hold what they held."""
    return [name for name, one in watched.items() if one.shape != before[name].shape or not torch.equal(one, before[name])]
