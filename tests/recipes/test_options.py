"""A constructor's signature is the schema of a plugin's options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field

from seqaug.api import (
    EncoderName,
    HeadName,
    NegativeSampler,
    NoiseSource,
    PositionSelector,
    Use,
    ViewName,
)
from seqaug.core.registries import REGISTRIES
from seqaug.errors import PluginError
from seqaug.recipes.options import OptionInfo, describe_options, read_signature, validated

if TYPE_CHECKING:
    from decimal import Decimal


class Plain:
    """Some options.

    k: how many. ratio, scale: what share; may be
    a whole number. mode: fast or slow.
    """

    def __init__(
        self,
        dim: int,
        steps: int,
        /,
        *,
        k: Annotated[int, Field(ge=1, le=9)] = 3,
        ratio: float = 0.5,
        mode: Literal["fast", "slow"] = "fast",
        on: bool = True,
        names: tuple[str, ...] = (),
        share: Annotated[float, Field(gt=0, lt=1, description="given here")] | None = None,
    ) -> None: ...


class Linked:
    def __init__(
        self,
        *,
        view: ViewName,
        negatives: tuple[ViewName, ...] = (),
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        head: HeadName | None = None,
        first: NoiseSource,
        sampler: Annotated[NegativeSampler, Use("uniform", exclude="history")],
        selector: PositionSelector | None = None,
        late: Annotated[PositionSelector | None, Use("all")] = None,
    ) -> None: ...


def read(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[tuple[str, str]]]:
    return validated(read_signature(Plain), options)


def test_positional_only_parameters_are_given_and_keyword_only_ones_are_chosen() -> None:
    signature = read_signature(Plain)
    assert signature.given == ("dim", "steps")
    assert list(signature.options) == ["k", "ratio", "mode", "on", "names", "share"]


def test_what_an_option_is_follows_from_its_type() -> None:
    options = read_signature(Linked).options
    assert {name: one.kind for name, one in options.items()} == {
        "view": "name",
        "negatives": "names",
        "encoder": "name",
        "head": "name",
        "first": "plugin",
        "sampler": "plugin",
        "selector": "plugin",
        "late": "plugin",
    }
    assert {name for name, one in options.items() if one.optional} == {"head", "selector", "late"}
    assert options["first"].registry is REGISTRIES["noise_sources"]
    assert options["sampler"].use is not None and options["sampler"].use.options == {"exclude": "history"}
    assert options["late"].use is not None and options["late"].use.name == "all"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, {"k": 3, "ratio": 0.5, "mode": "fast", "on": True, "names": (), "share": None}),
        ({"ratio": 1}, {"ratio": 1.0}),
        ({"names": ["a", "b"]}, {"names": ("a", "b")}),
        ({"share": None}, {"share": None}),
    ],
)
def test_defaults_are_filled_in_and_toml_becomes_python(given: dict[str, Any], made: dict[str, Any]) -> None:
    python, _, wrong = read(given)
    assert not wrong
    assert {name: python[name] for name in made} == made
    assert isinstance(python["ratio"], float)


@pytest.mark.parametrize(
    ("given", "key", "says"),
    [
        ({"k": "2"}, "k", "is '2'; it should be a valid integer"),
        ({"k": 2.0}, "k", "is 2.0"),
        ({"k": True}, "k", "is True"),
        ({"k": 0}, "k", "greater than or equal to 1"),
        ({"k": 10}, "k", "less than or equal to 9"),
        ({"on": 1}, "on", "valid boolean"),
        ({"mode": "fats"}, "mode", "Did you mean 'fast'?"),
        ({"names": [1]}, "names.0", "valid string"),
        ({"ratio": float("inf")}, "ratio", "finite"),
        ({"share": 1}, "share", "less than 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(given: dict[str, Any], key: str, says: str) -> None:
    _, _, ((where, why),) = read(given)
    assert where == key
    assert says in why


def test_too_few_values_are_counted_and_wrong_ones_are_not_called_few() -> None:
    class Edits:
        def __init__(
            self, *, operators: Annotated[tuple[Literal["crop", "mask"], ...], Field(min_length=1)] = ("crop",)
        ) -> None: ...

    def complained(*operators: str) -> list[tuple[str, str]]:
        return validated(read_signature(Edits), {"operators": operators})[2]

    assert complained() == [("operators", "is []; it needs 1 or more values")]
    ((where, why),) = complained("drop")
    assert where == "operators.0" and "'drop', which is not one of: crop, mask" in why


def test_json_form_and_python_form_say_the_same() -> None:
    python, json, _ = read({"names": ["a"], "ratio": 1})
    assert json == {"k": 3, "ratio": 1.0, "mode": "fast", "on": True, "names": ["a"], "share": None}
    assert read(json)[0] == python


def test_names_that_pydantic_keeps_for_itself_are_fine_as_options() -> None:
    class Awkward:
        def __init__(self, *, copy: int = 1, schema: str = "s", model_config: int = 2, _hidden: int = 3) -> None: ...

    made, json, wrong = validated(read_signature(Awkward), {"copy": 4})
    assert not wrong
    assert made == json == {"copy": 4, "schema": "s", "model_config": 2, "_hidden": 3}


def test_a_class_without_a_constructor_has_no_options() -> None:
    class Bare: ...

    class Promised(NoiseSource): ...

    assert not read_signature(Bare).options
    assert not read_signature(Promised).options


def faulty_option_without_type(self, *, k=1): ...  # type: ignore[no-untyped-def]
def faulty_unknown_given(self, depth: int, /): ...  # type: ignore[no-untyped-def]
def faulty_either_way(self, k: int = 1): ...  # type: ignore[no-untyped-def]
def faulty_anything(self, *, k: int = 1, **rest: int): ...  # type: ignore[no-untyped-def]
def faulty_type_checking(self, *, k: Decimal): ...  # type: ignore[no-untyped-def]
def faulty_default(self, *, k: Annotated[int, Field(ge=1)] = 0): ...  # type: ignore[no-untyped-def]
def faulty_default_type(self, *, k: int = "1"): ...  # type: ignore[no-untyped-def,assignment]
def faulty_reserved(self, *, weight: float = 1.0): ...  # type: ignore[no-untyped-def]
def faulty_object(self, *, noise: NoiseSource = object()): ...  # type: ignore[no-untyped-def,assignment]  # noqa: B008
def faulty_type(self, *, k: object.__class__.mro): ...  # type: ignore[no-untyped-def,name-defined,valid-type]


@pytest.mark.parametrize(
    ("init", "says"),
    [
        (faulty_option_without_type, "option 'k' has no type"),
        (faulty_unknown_given, "'depth' is nothing that an assembly supplies"),
        (faulty_either_way, "neither given by the assembly (before '/') nor chosen by the recipe (after '*')"),
        (faulty_anything, "takes **rest"),
        (faulty_type_checking, "name 'Decimal', which does not exist at run time"),
        (faulty_default, "default of its option 'k'"),
        (faulty_default_type, "default of its option 'k'"),
        (faulty_reserved, "cannot be called 'weight'"),
        (faulty_object, "has an object for a default"),
        (faulty_type, "cannot be"),
    ],
)
def test_a_constructor_that_cannot_be_a_schema_is_the_plugins_fault(init: Any, says: str) -> None:
    cls = type("Faulty", (), {"__init__": init})
    with pytest.raises(PluginError) as caught:
        read_signature(cls)
    assert says in str(caught.value)
    assert "Faulty cannot be read" in str(caught.value)


def test_options_are_described_for_people() -> None:
    found = {one.name: one for one in describe_options(Plain)}
    assert found["k"] == OptionInfo("k", "int", "3", "1 <= k <= 9", "how many.")
    assert found["ratio"] == OptionInfo("ratio", "float", "0.5", "", "what share; may be a whole number.")
    assert found["mode"] == OptionInfo("mode", '"fast" | "slow"', '"fast"', "", "fast or slow.")
    assert found["names"] == OptionInfo("names", "list of str", "[]", "", "")
    assert found["share"] == OptionInfo("share", "float or none", "none", "0 < share < 1", "given here")


def test_plugins_and_names_are_described_as_what_they_are() -> None:
    found = {one.name: (one.type, one.default) for one in describe_options(Linked)}
    assert found == {
        "view": ("view name", ""),
        "negatives": ("list of view names", "[]"),
        "encoder": ("encoder name", '"main"'),
        "head": ("head name or none", "none"),
        "first": ("noise source", ""),
        "sampler": ("negative sampler", '{ use = "uniform", exclude = "history" }'),
        "selector": ("position selector or none", "none"),
        "late": ("position selector or none", '{ use = "all" }'),
    }


@pytest.mark.parametrize("kind", sorted(REGISTRIES))
def test_every_plugin_in_the_box_can_be_read_and_described(kind: str) -> None:
    for info in REGISTRIES[kind].all():
        cls = REGISTRIES[kind].get(f"{info.source}/{info.name}")
        assert len(describe_options(cls)) == len(read_signature(cls).options)
