"""What plugins and seqaug expect of each other, checked at the door: the version of it, then methods and parameter names."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any

from .. import __version__

__all__ = ["API_VERSION", "api_version", "departures", "other_version", "signature_text"]

API_VERSION = 1
"""The version of what plugins and seqaug expect of each other. A plugin may say for which it was written: `seqaug_api = 1`."""


def api_version(cls: type[Any]) -> object:
    """The version of the interface that a plugin says it was written for, None where it says nothing."""
    return getattr(cls, "seqaug_api", None)


def other_version(cls: type[Any], whose: str) -> str | None:
    """What is wrong with the version that a plugin was written for, and what to do; None where nothing is.

    Told before the interface is looked at: a class of another version would only seem to have the wrong methods.
    """
    if not hasattr(cls, "seqaug_api"):
        return None
    said = api_version(cls)
    if type(said) is not int:
        return (
            f"says seqaug_api = {said!r}, which is no version: a whole number is, and seqaug {__version__} has {API_VERSION}."
        )
    if said == API_VERSION:
        return None
    if said > API_VERSION:
        what = f"Upgrade seqaug (pip install --upgrade seqaug), or use an older {whose}."
    else:
        what = f"Use a newer {whose} (pip install --upgrade {whose}), or ask its author for one."
    return f"was written for version {said} of the plugin interface, and seqaug {__version__} has version {API_VERSION}. {what}"


def signature_text(name: str, function: Callable[..., Any]) -> str:
    """`draw(self, clean, items, table, generator)`: the parameters without their types."""
    signature = inspect.signature(function)
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return f"{name}{inspect.Signature(bare)}"


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """None of what is written in C, where nobody can tell."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def _found_text(name: str, function: Callable[..., Any]) -> str:
    """`signature_text` of what a stranger wrote, which may be nothing that has a signature."""
    if _parameters(function) is None:
        return f"{name}, a {type(function).__name__} whose parameters cannot be told"
    return signature_text(name, function)


def departures(cls: type[Any], protocol: type[Any]) -> Iterator[str]:
    """Each method of `protocol` that `cls` does not have, or whose parameters differ, with both signatures."""
    for name, expected in _members(protocol):
        if isinstance(expected, property):
            if not _declares(cls, name):
                yield f"  {name}: missing; the interface asks for an attribute or property of that name"
            continue
        found = _method(cls, name)
        if found is None:
            yield f"  expected: {signature_text(name, expected)}\n  found:    no method {name!r}"
        elif not _accepts(found, expected):
            yield f"  expected: {signature_text(name, expected)}\n  found:    {_found_text(name, found)}"


def _members(protocol: type[Any]) -> Iterator[tuple[str, Any]]:
    for name, member in vars(protocol).items():
        if (name == "__call__" or not name.startswith("_")) and (inspect.isfunction(member) or isinstance(member, property)):
            yield name, member


def _declares(cls: type[Any], name: str) -> bool:
    """Whether instances have the attribute, as far as the class can tell: an `__init__` may still set it."""
    if any(name in vars(base) or name in vars(base).get("__annotations__", {}) for base in cls.__mro__):
        return True
    init = getattr(cls.__init__, "__code__", None)
    return init is not None and name in init.co_names


def _method(cls: type[Any], name: str) -> Callable[..., Any] | None:
    """The method as a plain function. An `nn.Module` is called through `forward`, which is what its author wrote."""
    found = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    if name == "__call__":
        module = getattr(found, "__module__", None) or ""
        if module.partition(".")[0] == "torch":
            found = next((vars(base)["forward"] for base in cls.__mro__ if "forward" in vars(base)), None)
            if (getattr(found, "__module__", None) or "").partition(".")[0] == "torch":
                return None  # nn.Module's own `forward`, which only says that there is none
    if isinstance(found, classmethod):
        found = found.__func__
    elif isinstance(found, staticmethod):
        # Called with one argument fewer; `self` is put in front so that the two signatures line up.
        found = _with_self(found.__func__)
    if found in (getattr(protocol, name, None) for protocol in cls.__mro__ if getattr(protocol, "_is_protocol", False)):
        return None  # inherited from the interface itself, which does nothing
    return typing.cast("Callable[..., Any]", found) if callable(found) else None


def _with_self(function: Callable[..., Any]) -> Callable[..., Any]:
    given = _parameters(function)
    if given is None:
        return function

    def bound(*values: Any, **named: Any) -> Any:
        return function(*values[1:], **named)

    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    bound.__signature__ = inspect.Signature([first, *given], __validate_parameters__=False)  # type: ignore[attr-defined]
    return bound


def _accepts(found: Callable[..., Any], expected: Callable[..., Any]) -> bool:
    """Whether `found` can be called wherever `expected` can: as many positions, the same names, defaults for the rest."""
    have = _parameters(found)
    if have is None:
        return False
    want = list(inspect.signature(expected).parameters.values())
    takes_any = any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in have)
    takes_names = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in have)
    positional = [one for one in have if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    for place, one in enumerate(want):
        if place >= len(positional):
            if takes_any and (one.kind is one.POSITIONAL_ONLY or takes_names):
                continue
            return False
        mine = positional[place]
        by_name = place > 0 and one.kind is one.POSITIONAL_OR_KEYWORD  # what `self` is called is nobody's business
        if by_name and (mine.name != one.name or mine.kind is mine.POSITIONAL_ONLY):
            return False
    rest = positional[len(want) :] + [one for one in have if one.kind is one.KEYWORD_ONLY]
    return all(one.default is not one.empty for one in rest)
