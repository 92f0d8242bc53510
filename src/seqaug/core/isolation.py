"""A stranger's module is imported without harm to anybody else.

What it prints goes to stderr, since stdout belongs to results. What it changes of the things that everybody shares (random
generators, torch's defaults, the working folder, Ctrl-C, stderr, what becomes of warnings) is put back and named. How long it
took is known.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from types import TracebackType
from typing import Any, Self

__all__ = ["SLOW", "PluginNote", "Visit", "stdout_to_stderr"]

SLOW = 2.0
"""Seconds from which on an import is worth a word."""

_clock = time.perf_counter


class PluginNote(UserWarning):
    """Something about strangers' plugins that is worth knowing and stops nothing."""


class Visit:
    """A context in which a stranger's module is imported.

    seconds: how long it took. changed: what it left changed, in words, all of it put back: "torch's default dtype
    (torch.float32 to torch.float64)". Both are known when the context ends, however it ends.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.changed: tuple[str, ...] = ()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        # Imported before anything is measured: they would be imported by the plugin, and are not what makes it slow.
        import numpy as np
        import torch

        self._before = [(one, one.read()) for one in _shared(np, torch)]
        self._open.enter_context(stdout_to_stderr())
        self._began = _clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None) -> None:
        self.seconds = _clock() - self._began
        self._open.close()
        changed = []
        for one, before in self._before:
            after = one.read()
            if not one.same(before, after):
                changed.append(one.name if one.shown is None else f"{one.name} ({one.shown(before)} to {one.shown(after)})")
                one.write(before)
        self.changed = tuple(changed)


class _Shared:
    """Something that a whole process shares. shown: its value in words, None where there are none."""

    __slots__ = ("name", "read", "same", "shown", "write")

    def __init__(
        self,
        name: str,
        read: Callable[[], Any],
        write: Callable[[Any], Any],
        *,
        shown: Callable[[Any], str] | None = str,
        same: Callable[[Any, Any], bool] = lambda before, after: bool(before == after),
    ) -> None:
        self.name, self.read, self.write, self.shown, self.same = name, read, write, shown, same


def _shared(np: Any, torch: Any) -> Iterator[_Shared]:
    yield _Shared("Python's random generator", random.getstate, random.setstate, shown=None)
    yield _Shared("numpy's random generator", np.random.get_state, np.random.set_state, shown=None, same=_same_numpy)
    yield _Shared("torch's random generator", torch.get_rng_state, torch.set_rng_state, shown=None, same=torch.equal)
    if torch.cuda.is_initialized():
        read, write = torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all
        yield _Shared("the GPUs' random generators", read, write, shown=None, same=_all_equal)
    yield _Shared("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype)
    yield _Shared("torch's default device", torch.get_default_device, _write_device(torch))
    yield _Shared("torch's number of threads", torch.get_num_threads, torch.set_num_threads)
    yield _Shared("whether torch records gradients", torch.is_grad_enabled, torch.set_grad_enabled)
    yield _Shared(
        "whether torch insists on deterministic algorithms",
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda before: torch.use_deterministic_algorithms(before[0], warn_only=before[1]),
        shown=None,
    )
    yield _Shared("torch's precision of products", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
    yield _Shared("the working folder", _working_folder, _go_to)
    yield _Shared("what becomes of warnings", _blanket_filters, _write_blanket_filters, shown=None)
    for holder, attribute, name in (
        (sys, "stderr", "where errors are said"),
        (warnings, "showwarning", "how warnings are shown"),
    ):
        yield _Shared(
            name,
            lambda holder=holder, attribute=attribute: getattr(holder, attribute),  # type: ignore[misc]
            lambda before, holder=holder, attribute=attribute: setattr(holder, attribute, before),  # type: ignore[misc]
            shown=None,
            same=lambda before, after: before is after,
        )
    if threading.current_thread() is threading.main_thread():
        for number, name in ((signal.SIGINT, "what Ctrl-C does"), (signal.SIGTERM, "what SIGTERM does")):
            yield _Shared(
                name,
                lambda number=number: signal.getsignal(number),  # type: ignore[misc]
                lambda handler, number=number: handler is not None and signal.signal(number, handler),  # type: ignore[misc]
                shown=None,
            )


def _same_numpy(before: Any, after: Any) -> bool:
    import numpy as np

    return all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def _all_equal(before: Any, after: Any) -> bool:
    import torch

    return all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def _write_device(torch: Any) -> Callable[[Any], Any]:
    # "cpu" set is not "none set": then every new tensor goes through a mode of torch's, which is slow.
    return lambda device: torch.set_default_device(None if device.type == "cpu" else device)


def _working_folder() -> str | None:
    """None where it was removed meanwhile."""
    with suppress(FileNotFoundError):
        return os.getcwd()
    return None


def _go_to(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _blanket_filters() -> list[Any]:
    """Those of Python's filters that hide every warning of any module or raise it, ours to the user among them."""
    broad = (Warning, UserWarning)
    return [one for one in warnings.filters if one[0] in ("ignore", "error") and one[2] in broad and not one[1] and not one[3]]


def _write_blanket_filters(kept: list[Any]) -> None:
    for one in _blanket_filters():
        if one not in kept:
            warnings.filters.remove(one)  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        pass  # its end makes Python forget what it has decided to hide


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """What is printed goes to stderr, what child processes print too."""
    with ExitStack() as stack:
        with suppress(OSError, ValueError, AttributeError):  # a stream that is closed, or none at all: nothing to keep clean
            sys.stdout.flush()
            kept = os.dup(1)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, 1)
            os.dup2(2, 1)
            stack.callback(sys.stdout.flush)  # for what is printed past `sys.stdout`, through the stream itself
        stack.enter_context(redirect_stdout(sys.stderr))
        yield
