"""Generated pages are what their writers would write now, and say who writes them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from docs.pages import ROOT, name_of

DOCS = ROOT / "docs"


def script() -> ModuleType:
    """docs/write_references.py, which knows every writer."""
    name = "write_references"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


# Compared recipe by recipe in tests/methods/test_cross_breeds.py, which tries the pairs: on one processor it takes a minute.
ELSEWHERE = {"write_cross_breeds"}
WRITERS = [writer for writer in script().writers() if writer.stem not in ELSEWHERE]


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.stem)
def test_a_generated_page_is_what_would_be_written_now(writer: Path) -> None:
    pages = script().pages(writer)
    assert pages, f"{name_of(writer)} writes nothing"
    command = f"python docs/write_references.py {writer.stem.removeprefix('write_')}"
    for path, text in pages.items():
        assert path.exists(), f"{name_of(path)} is not there: {command}"
        stored = path.read_text(encoding="utf-8")
        assert stored == text, f"{name_of(path)} is stale: {command}"
        assert stored.startswith(f"<!-- Written by {name_of(writer)}"), f"{name_of(path)} does not say who writes it"


def test_a_writer_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert script().main(["clli"]) == 2
    assert "nothing writes clli. Known: " in capsys.readouterr().err


def test_every_page_that_says_it_is_written_has_a_writer_and_nothing_else_lies_beside() -> None:
    say = {page for page in DOCS.rglob("*.md") if page.read_text(encoding="utf-8").startswith("<!-- Written by ")}
    named = {page.read_text(encoding="utf-8").split()[3].rstrip(";") for page in say}
    assert named == {name_of(writer) for writer in script().writers()}
    recipes = [path for writer in WRITERS if writer.stem == "write_recipes" for path in script().pages(writer)]
    assert set((DOCS / "reference" / "recipes").glob("*.md")) == {path for path in recipes if path.parent.name == "recipes"}
