"""Small recipes and small strangers' plugins."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seqaug.core.registries import REGISTRIES
from seqaug.recipes.load import RecipeSource
from seqaug.recipes.plan import Patch, Plan, make_plan

SMALL = """
name = "small"
[encoders.main]
use = "gru"
[objectives.recommendation]
use = "next_item_softmax"
weight = 0.5
[scorer]
use = "last_position"
[handles]
encoder = "encoders.main"
loss = "objectives.recommendation"
"""


@pytest.fixture
def mark() -> Iterator[Callable[[str, str, type], None]]:
    """Registers a class for the time of one test."""
    marked: list[tuple[str, str]] = []

    def put(kind: str, name: str, cls: type) -> None:
        REGISTRIES[kind].register(name)(cls)
        marked.append((kind, name))

    yield put
    for kind, name in marked:
        REGISTRIES[kind]._marked.pop(name, None)


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """Plans a recipe from its text, with `path=value` settings on top."""

    def make(text: str = SMALL, *sets: tuple[str, Any], **named: Any) -> Plan:
        patches = [Patch(path, value, "-s") for path, value in sets]
        source = RecipeSource("small", text, tomllib.loads(text))
        return make_plan(source, data=named.get("data"), ablation=named.get("ablation"), patches=patches)

    return make
