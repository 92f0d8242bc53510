"""Recipes as text: those in the box, and files by their path."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import RecipeError, UnknownName, did_you_mean

__all__ = ["RecipeSource", "load_recipe", "recipe_names"]


@dataclass(frozen=True)
class RecipeSource:
    """A recipe as it was written. text: verbatim. path: None for one in the box."""

    name: str
    text: str
    table: dict[str, Any]
    path: Path | None = None


def recipe_names() -> list[str]:
    """The recipes in the box, sorted."""
    library = resources.files("seqaug.recipes") / "library"
    return sorted(one.name.removesuffix(".toml") for one in library.iterdir() if one.name.endswith(".toml"))


def load_recipe(name_or_path: str) -> RecipeSource:
    """A recipe in the box by its name, or any other by its path (which ends in .toml or has a slash).

    Raises UnknownName where there is none, RecipeError with file and line where it is not TOML.
    """
    if name_or_path in recipe_names():
        text = (resources.files("seqaug.recipes") / "library" / f"{name_or_path}.toml").read_text(encoding="utf-8")
        return RecipeSource(name_or_path, text, _parsed(text, f"{name_or_path}.toml"))
    path = Path(name_or_path)
    if not path.is_file():
        known = recipe_names()
        is_path = path.suffix == ".toml" or len(path.parts) > 1
        what = f"there is no recipe file {name_or_path}" if is_path else f"no recipe is called {name_or_path!r}"
        end = "a recipe is one of these names, or the path of a .toml file"
        raise UnknownName(f"{what}.{did_you_mean(path.stem, known)}\n  known: {', '.join(known)}; {end}")
    try:
        # A byte order mark, which some editors write, is no part of the text.
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not a recipe: it is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    table = _parsed(text, str(path))
    name = table.get("name", path.stem)
    return RecipeSource(name if isinstance(name, str) else path.stem, text, table, path)


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        what = re.sub(r"\s*\(at .*\)$", "", str(error))
        number = int(place[1]) if place else len(text.splitlines())
        line = text.splitlines()[number - 1].strip() if text.splitlines() else ""
        raise RecipeError(f"{where}:{number}: not TOML: {what}\n  {line}") from error
