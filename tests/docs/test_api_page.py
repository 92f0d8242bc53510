"""The page of the Python API has everything that is public, and nothing that is not there."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType

import pytest

from docs.pages import ROOT

PAGE = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
DESCRIBED = re.findall(r"^::: ([\w.]+)$", PAGE, flags=re.MULTILINE)
OWN_WORDS = {"API_VERSION", "ORIGIN", "Tensor", "Generator"}
"""What the page speaks of in its own words, because no docstring of ours describes it."""


def described(name: str) -> object:
    """What stands behind `::: name`. Raises where there is nothing of that name."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(import_module(module), attribute)


def things() -> list[object]:
    """Everything that the page describes, the public content of whole modules included."""
    found: list[object] = []
    for name in DESCRIBED:
        thing = described(name)
        found += [getattr(thing, one) for one in thing.__all__] if isinstance(thing, ModuleType) else [thing]
    return found


DOORS = ("seqaug.api", "seqaug.testing", "seqaug.library")
PUBLIC = [(module, name) for module in DOORS for name in import_module(module).__all__]


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=[f"{module}.{name}" for module, name in PUBLIC])
def test_what_is_public_stands_on_the_page_of_the_api(module: str, name: str) -> None:
    thing = getattr(import_module(module), name)
    if name in OWN_WORDS or type(thing).__name__ == "Registry":
        assert f"`{name}`" in PAGE, f"docs/reference/api.md does not speak of {name}"
    else:
        assert any(thing is one for one in things()), f"docs/reference/api.md lacks ::: {module}.{name}"


def test_everything_on_the_page_of_the_api_has_a_docstring() -> None:
    missing = [getattr(thing, "__name__", thing) for thing in things() if not (getattr(thing, "__doc__", "") or "").strip()]
    assert not missing, f"without a docstring: {missing}"


def test_nothing_is_described_twice() -> None:
    assert sorted(set(DESCRIBED)) == sorted(DESCRIBED)
