"""A plugin with the options that a recipe chose for it, read but not yet made, and how to make it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from ..core.registry import PluginInfo
from ..errors import PluginError, RecipeError, SeqaugError
from .options import Signature

__all__ = ["Chosen", "Made", "build"]

PARTS = ("encoders", "heads", "denoisers")
"""The kinds of plugin that learn. The rest are strategies, made without a parameter and in no time."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One plugin of a recipe (or the diffusion, which has no registry): its class and everything it will be made of."""

    path: str
    info: PluginInfo | None
    signature: Signature
    values: Mapping[str, Any]
    nested: Mapping[str, Chosen | None]

    @property
    def learns(self) -> bool:
        """Whether it has parameters, and so is only made when the assembly is."""
        return self.info is None or self.info.kind in PARTS

    @property
    def kind(self) -> str:
        return "diffusions" if self.info is None else self.info.kind

    def within(self) -> Iterator[Chosen]:
        """Itself and every plugin inside it."""
        yield self
        for inner in self.nested.values():
            if inner is not None:
                yield from inner.within()


@dataclass(frozen=True, slots=True)
class Made:
    """An object and the path in the recipe under which it was chosen."""

    path: str
    thing: Any


def build(
    chosen: Chosen,
    given: Mapping[str, int],
    made: list[Made],
    *,
    around: Callable[[str], AbstractContextManager[None]] = lambda path: nullcontext(),
) -> Any:
    """Make a plugin and, before it, the plugins inside it; each is noted in `made`.

    given: what the assembly supplies by name. The schedule inside a diffusion is made first and supplies `steps` to the
    others; a diffusion with a `span` supplies it, as their `max_length` too. around: a context for each constructor, by path
    (the seed of its initialisation).
    Raises RecipeError, with the path, where a constructor refuses its options (ValueError); PluginError where it fails
    otherwise.
    """
    nested: dict[str, Any] = {}
    inside = {**given, **_span(chosen)}
    # A schedule first: the denoiser beside it may ask how many steps there are.
    for name, inner in sorted(chosen.nested.items(), key=lambda one: one[1] is None or one[1].kind != "schedules"):
        nested[name] = None if inner is None else build(inner, inside, made, around=around)
        if inner is not None and inner.kind == "schedules":
            steps = {"steps": nested[name].steps}
            given, inside = {**given, **steps}, {**inside, **steps}
    lacking = [name for name in chosen.signature.given if name not in given]
    if lacking:
        where = "a diffusion that has a `span`" if lacking[0] == "span" else "a diffusion"
        raise RecipeError(f"{chosen.path}: needs `{lacking[0]}`, which only stands inside {where}")
    try:
        with around(chosen.path):
            thing = chosen.signature.cls(*[given[name] for name in chosen.signature.given], **chosen.values, **nested)
    except RecipeError as error:
        raise RecipeError([f"{chosen.path}: {problem}" for problem in error.problems]) from error
    except SeqaugError:
        raise
    except ValueError as error:
        raise RecipeError(f"{chosen.path}: {error}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"{chosen.path}: {_who(chosen)} cannot be made: {type(error).__name__}: {error}") from error
    if chosen.info is not None:
        _check_attributes(chosen, thing)
    made.append(Made(chosen.path, thing))
    return thing


def _span(chosen: Chosen) -> dict[str, int]:
    """What a diffusion that noises spans of one length tells the plugins inside it."""
    span = chosen.values.get("span") if chosen.kind == "diffusions" else None
    return {} if span is None else {"span": span, "max_length": span}


def _who(chosen: Chosen) -> str:
    return "the diffusion" if chosen.info is None else f"{chosen.info.name} ({chosen.info.origin})"


def _check_attributes(chosen: Chosen, thing: Any) -> None:
    """What a class cannot promise before it is made: the data attributes and properties of its interface."""
    from ..core.registries import REGISTRIES

    assert chosen.info is not None
    protocol = REGISTRIES[chosen.info.kind].protocol
    promised = [*protocol.__annotations__, *(name for name, one in vars(protocol).items() if isinstance(one, property))]
    for name in promised:
        if not hasattr(thing, name):
            noun = REGISTRIES[chosen.info.kind].a_noun
            what = f"does not keep the interface of {noun}: it has no attribute {name!r}"
            raise PluginError(f"{chosen.path}: {_who(chosen)} {what}")
