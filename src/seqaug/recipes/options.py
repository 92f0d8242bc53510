"""What a plugin can be told, read from its constructor: the signature is the schema, the validator and the documentation.

Positional-only parameters are given by the assembly, matched by name. Keyword-only parameters are chosen by the recipe. One
whose type is an interface of `seqaug.core.protocols` is itself a plugin; one whose type is a Name is checked to exist.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from ..core.names import DiffusionName, EncoderName, HeadName, ViewName
from ..core.registries import REGISTRIES, registry_for_protocol
from ..core.registry import PluginInfo, Registry, Use
from ..errors import PluginError, did_you_mean

__all__ = [
    "GIVEN",
    "Option",
    "OptionInfo",
    "Signature",
    "complaints",
    "describe_options",
    "read_signature",
    "signature_of",
    "validated",
]

GIVEN = ("dim", "max_length", "num_items", "steps", "span")
"""What the assembly can supply: width of the item table, longest history, size of the catalogue; steps and span of the
diffusion.
"""

NAMES = (ViewName, EncoderName, DiffusionName, HeadName)
MISSING: Any = inspect.Parameter.empty

# A default is checked like any other value; an infinity would not survive resolved.json.
STRICT = ConfigDict(extra="forbid", strict=True, validate_default=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword-only parameter.

    kind: "value" (checked by pydantic), "plugin" (of `registry`), "name", "names" or "pairs" of names (each of `name_type`).
    optional: whether it may be absent (`X | None`). default: MISSING where the recipe must choose. use: the plugin it gets
    where none is named.
    """

    name: str
    annotation: Any
    default: Any
    kind: Literal["value", "plugin", "name", "names", "pairs"]
    optional: bool = False
    registry: Registry[Any] | None = None
    name_type: type[str] | None = None
    use: Use | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """A constructor as the planner reads it. `model` validates the options of kind "value"."""

    cls: type[Any]
    given: tuple[str, ...]
    options: Mapping[str, Option]
    model: type[BaseModel] = field(repr=False)


def read_signature(cls: type[Any]) -> Signature:
    """The signature of a plugin's constructor.

    Raises PluginError where it cannot be read: a parameter that is neither positional-only nor keyword-only, one without a
    type, a type that exists only under TYPE_CHECKING, a positional-only parameter that no assembly supplies, a default that
    breaks its own bounds.
    """
    found = _READ.get(cls)
    if found is None:
        found = _READ[cls] = _read(cls)
    return found


def signature_of(info: PluginInfo, cls: type[Any]) -> Signature:
    """`read_signature` of the plugin that `info` stands for. A PluginError says where it comes from."""
    who = f"the {REGISTRIES[info.kind].noun} {info.name!r} ({info.origin})"
    try:
        return read_signature(cls)
    except PluginError as error:
        raise PluginError(f"{who}: {error}") from error
    except Exception as error:  # an annotation is code, and may raise whatever code raises
        raise PluginError(f"{who}: its constructor cannot be read: {type(error).__name__}: {error}") from error


_READ: dict[type[Any], Signature] = {}


def _read(cls: type[Any]) -> Signature:
    given: list[str] = []
    options: dict[str, Option] = {}
    init: Any = cls.__init__
    if init is object.__init__ or getattr(init, "__module__", None) == "typing":
        return Signature(cls, (), {}, _model(cls, {}))
    hints = _hints(cls, init)
    for parameter in list(inspect.signature(init).parameters.values())[1:]:
        name = parameter.name
        if parameter.kind is parameter.POSITIONAL_ONLY:
            if name not in GIVEN:
                raise _fault(
                    cls, f"its positional-only parameter {name!r} is nothing that an assembly supplies ({', '.join(GIVEN)})"
                )
            given.append(name)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            if name not in hints:
                raise _fault(cls, f"its option {name!r} has no type")
            if name in ("use", "weight", "from_epoch"):
                raise _fault(cls, f"its option cannot be called {name!r}: that key of the table belongs to the recipe")
            options[name] = _option(name, hints[name], parameter.default)
            if options[name].kind == "plugin" and parameter.default not in (MISSING, None):
                raise _fault(cls, f"its option {name!r} has an object for a default; say Annotated[..., Use(...)] instead")
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            raise _fault(
                cls,
                f"its parameter {name!r} is neither given by the assembly (before '/') nor chosen by the recipe (after '*')",
            )
        else:
            raise _fault(cls, f"it takes {parameter}; options are written out one by one")
    return Signature(cls, tuple(given), options, _model(cls, options))


def _fault(cls: type[Any], what: str) -> PluginError:
    return PluginError(f"the constructor of {cls.__module__}:{cls.__qualname__} cannot be read: {what}")


def _hints(cls: type[Any], init: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(init, include_extras=True)
    except NameError as error:
        raise _fault(
            cls, f"its types name {error.name!r}, which does not exist at run time; import it outside `if TYPE_CHECKING:`"
        ) from error
    except (TypeError, SyntaxError, AttributeError) as error:
        raise _fault(cls, f"its types cannot be evaluated ({type(error).__name__}: {error})") from error


def _option(name: str, annotation: Any, default: Any) -> Option:
    core, extras, optional = _unpacked(annotation)
    use = next((one for one in extras if isinstance(one, Use)), None)
    registry = registry_for_protocol(core)
    if registry is not None:
        return Option(name, annotation, default, "plugin", optional, registry=registry, use=use)
    if core in NAMES:
        return Option(name, annotation, default, "name", optional, name_type=core)
    if typing.get_origin(core) in (tuple, list):
        inner = [_unpacked(one)[0] for one in typing.get_args(core) if one is not Ellipsis]
        if len(inner) == 1 and inner[0] in NAMES:
            return Option(name, annotation, default, "names", optional, name_type=inner[0])
        pair = typing.get_args(inner[0]) if len(inner) == 1 and typing.get_origin(inner[0]) is tuple else ()
        if len(pair) == 2 and pair[0] is pair[1] and pair[0] in NAMES:
            return Option(name, annotation, default, "pairs", optional, name_type=pair[0])
    return Option(name, annotation, default, "value", optional)


def _unpacked(annotation: Any) -> tuple[Any, list[Any], bool]:
    """The type without `Annotated` and `| None`, what was annotated, and whether None is allowed."""
    extras: list[Any] = []
    optional = False
    while True:
        origin = typing.get_origin(annotation)
        if origin is Annotated:
            extras += annotation.__metadata__
            annotation = annotation.__origin__
        elif origin in (Union, types.UnionType):
            rest = [one for one in typing.get_args(annotation) if one is not type(None)]
            if len(rest) == len(typing.get_args(annotation)) or len(rest) != 1:
                optional = optional or len(rest) != len(typing.get_args(annotation))
                return annotation, extras, optional
            optional = True
            annotation = rest[0]
        else:
            return annotation, extras, optional


def _model(cls: type[Any], options: Mapping[str, Option]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        # The alias lets an option be called what pydantic keeps for itself, such as `copy` or `schema`.
        f"option_{one.name}": (one.annotation, Field(default=... if one.default is MISSING else one.default, alias=one.name))
        for one in options.values()
        if one.kind == "value"
    }
    try:
        model: type[BaseModel] = create_model(cls.__name__, __config__=STRICT, **fields)
    except PydanticUserError as error:
        raise _fault(cls, str(error).splitlines()[0]) from error
    for one in options.values():
        if one.kind == "value" and one.default is not MISSING:
            try:
                TypeAdapter(one.annotation, config=STRICT).validate_python(one.default)
            except ValidationError as error:
                raise _fault(
                    cls, f"the default of its option {one.name!r} breaks its own type: {error.errors()[0]['msg']}"
                ) from error
    return model


def validated(signature: Signature, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[tuple[str, str]]]:
    """Options of kind "value" as Python objects and in JSON form, defaults filled in; and what is wrong, as (option, why).

    1 is a float, "2" is no int, a list is a tuple: the rules of JSON under pydantic's strict mode.
    """
    try:
        made = signature.model.model_validate_json(json.dumps(dict(values), default=str), strict=True)
    except ValidationError as error:
        return {}, {}, list(complaints(error))
    python = {name.removeprefix("option_"): getattr(made, name) for name in type(made).model_fields}
    return python, made.model_dump(mode="json", by_alias=True), []


def complaints(error: ValidationError) -> Iterator[tuple[str, str]]:
    """What pydantic found wrong, as (dotted key, sentence)."""
    errors = error.errors(include_url=False)
    keys = [".".join(str(part) for part in one["loc"]) for one in errors]
    for key, one in zip(keys, errors, strict=True):
        found = one.get("input")
        match one["type"]:
            case "too_short":
                # pydantic counts what is left without the wrong ones, of which each is a complaint of its own.
                if not any(other.startswith(f"{key}.") for other in keys):
                    yield key, f"is {found!r}; it needs {one['ctx']['min_length']} or more values"
            case "missing":
                yield key, "is missing"
            case "extra_forbidden":
                yield key, "is not known here"
            case "literal_error":
                expected = re.findall(r"'([^']*)'", one.get("ctx", {}).get("expected", ""))
                known = ", ".join(expected)
                yield key, f"is {found!r}, which is not one of: {known}.{did_you_mean(str(found), expected)}"
            case _:
                text = one["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
                should = f"; it should be {text}" if text != one["msg"] else f": {text}"
                yield key, f"is {found!r}{should}"


# ---- for people ----


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """One option as `plugins show` prints it.

    default: as TOML, "" where the recipe must choose. bounds: "" or "1 <= k" or the like.
    """

    name: str
    type: str
    default: str
    bounds: str
    docs: str


def describe_options(cls: type[Any]) -> list[OptionInfo]:
    """The options of a plugin in the order of its constructor. Raises PluginError where that cannot be read."""
    docs = _documented(cls)
    found = []
    for one in read_signature(cls).options.values():
        _, extras, _ = _unpacked(one.annotation)
        fields = [extra for extra in extras if isinstance(extra, FieldInfo)]
        described = next((extra.description for extra in fields if extra.description), None)
        bounds = _bounds(one.name, [mark for extra in fields for mark in extra.metadata] + extras)
        found.append(OptionInfo(one.name, _type_text(one), _default_text(one), bounds, described or docs.get(one.name, "")))
    return found


def _type_text(option: Option) -> str:
    core, _, _ = _unpacked(option.annotation)
    absent = " or none" if option.optional else ""
    if option.registry is not None:
        return option.registry.noun + absent
    if option.name_type is not None:
        noun = option.name_type.__name__.removesuffix("Name").lower() + " name"
        return {"names": f"list of {noun}s", "pairs": f"list of pairs of {noun}s"}.get(option.kind, noun) + absent
    return _plain(core) + absent


def _plain(core: Any) -> str:
    origin, arguments = typing.get_origin(core), typing.get_args(core)
    if origin is Literal:
        return " | ".join(json.dumps(one) for one in arguments)
    if origin in (tuple, list):
        inner = [_plain(_unpacked(one)[0]) for one in arguments if one is not Ellipsis]
        return "list of " + " and ".join(dict.fromkeys(inner)) if inner else "list"
    if origin in (Union, types.UnionType):
        return " | ".join(_plain(_unpacked(one)[0]) for one in arguments if one is not type(None))
    return getattr(core, "__name__", str(core))


def _default_text(option: Option) -> str:
    if option.use is not None and option.default in (MISSING, None):
        inner = "".join(f", {key} = {json.dumps(value)}" for key, value in option.use.options.items())
        return f"{{ use = {json.dumps(option.use.name)}{inner} }}"
    if option.default is MISSING:
        return ""
    if option.default is None:
        return "none"
    try:
        return json.dumps(option.default)
    except TypeError:
        return str(option.default)


def _bounds(name: str, marks: list[Any]) -> str:
    low = next((f"{value} {sign} " for key, sign in (("ge", "<="), ("gt", "<")) for value in _marked(marks, key)), "")
    high = next((f" {sign} {value}" for key, sign in (("le", "<="), ("lt", "<")) for value in _marked(marks, key)), "")
    return f"{low}{name}{high}" if low or high else ""


def _marked(marks: list[Any], key: str) -> list[Any]:
    return [getattr(mark, key) for mark in marks if getattr(mark, key, None) is not None]


def _documented(cls: type[Any]) -> dict[str, str]:
    """What the docstrings say as "name: sentences." at the start of a paragraph or after a sentence."""
    found: dict[str, str] = {}
    for text in (cls.__doc__, getattr(cls.__init__, "__doc__", None)):
        for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
            flat = " ".join(paragraph.split())
            for names, what in re.findall(r"(?:^|(?<=[.;)] ))((?:\w+, )*\w+): (.*?)(?=[.;)] (?:\w+, )*\w+: |$)", flat):
                for name in names.split(", "):
                    found.setdefault(name, what.rstrip(" .;") + ".")
    return found
