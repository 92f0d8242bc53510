"""One check of the conformance kit, and what came of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar

if TYPE_CHECKING:
    from .bench import Bench

__all__ = ["Check", "Finding", "NotAsked", "Outcome", "State", "check", "declared", "found", "in_words", "not_asked", "require"]

State = Literal["passed", "failed", "skipped"]
F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class Check:
    """Something that every plugin of a kind keeps.

    name: as a sentence about the plugin, "draws only from the generator it is handed". kind: the registry. why: what is done to
    see it, and why it matters. needs_plugin: whether the plugin has to be made first; the others look at its class alone.
    """

    name: str
    kind: str
    why: str
    function: Callable[[Bench], None] = field(repr=False, compare=False)
    needs_plugin: bool = True

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one check. message: what was found where it failed, the reason where it was skipped, else empty.

    error: what the plugin raised, where that is why it failed.
    """

    check: Check
    state: State
    message: str = ""
    error: BaseException | None = field(default=None, repr=False, compare=False)


class Finding(Exception):
    """What a check found wrong, in words."""


class NotAsked(Exception):
    """Why a check says nothing about this plugin, in words."""


def require(holds: bool, otherwise: str) -> None:
    """Raise a Finding where something does not hold."""
    if not holds:
        raise Finding(otherwise)


def found(what: str) -> NoReturn:
    """Raise a Finding."""
    raise Finding(what)


def not_asked(why: str) -> NoReturn:
    """Leave the check: it says nothing about this plugin."""
    raise NotAsked(why)


def in_words(error: BaseException) -> str:
    """What was raised, and the last line of the plugin's that it passed through."""
    trace, where = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "/torch/" not in file and not file.startswith("<"):
            where = f" ({file.rpartition('/')[2]}:{trace.tb_lineno})"
        trace = trace.tb_next
    text = str(error).strip()
    return f"it raises {type(error).__name__}{': ' + text.splitlines()[0] if text else ''}{where}"


_DECLARED: dict[str, list[Check]] = {}


def check(name: str, *kinds: str, needs_plugin: bool = True) -> Callable[[F], F]:
    """Mark a function of a `Bench` as a check of these kinds. Its docstring says what is done."""

    def mark(function: F) -> F:
        why = " ".join(inspect.cleandoc(function.__doc__ or "").split())
        for kind in kinds:
            _DECLARED.setdefault(kind, []).append(Check(name, kind, why, function, needs_plugin))
        return function

    return mark


def declared(kind: str) -> tuple[Check, ...]:
    """The checks of a kind that have been marked so far, in that order."""
    return tuple(_DECLARED.get(kind, ()))
