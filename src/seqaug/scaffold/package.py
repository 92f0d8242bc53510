"""The templates filled in, and the folder they make."""

from __future__ import annotations

import ast
import builtins
import json
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .. import __version__
from ..errors import RecipeError
from .names import Names, names_of, registry_of

__all__ = ["Package", "author_for", "new_package", "write_package"]

CLASS_ENDS = {
    "encoders": "Encoder",
    "noise_sources": "Noise",
    "position_selectors": "Positions",
    "negative_samplers": "Items",
    "schedules": "Schedule",
    "denoisers": "Denoiser",
    "heads": "Head",
    "augmenters": "Views",
    "objectives": "Loss",
    "scorers": "Scorer",
    "rewriters": "Rewriter",
}
"""What is put behind a class name that the module already knows as something else: `Generator` -> `GeneratorNoise`."""


@dataclass(frozen=True, slots=True)
class Package:
    """The package of one new plugin, not yet written.

    files: path below the folder -> text. change: what exchanges the plugin into `recipe` on a command line; ablation: what
    compares it there with others.
    """

    kind: str
    names: Names
    files: Mapping[str, str]
    recipe: str
    change: str
    ablation: str


def author_for(name: str, author: str | None) -> str:
    """Whom the licence names: who was given, else git's user.name, else "the authors of NAME".

    Raises RecipeError for an author that is no line of text.
    """
    if author is not None:
        if not author.strip() or not author.isprintable():
            raise RecipeError(f"the author {author!r} is no name: the licence wants one line of text.")
        return author.strip()
    try:
        asked = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return f"the authors of {name}"
    found = asked.stdout.strip()
    return found if asked.returncode == 0 and found and found.isprintable() else f"the authors of {name}"


def new_package(name: str, kind: str, *, author: str, year: int, plugin: str | None = None) -> Package:
    """Everything that the package of a plugin of that kind holds.

    Raises UnknownName for a kind that does not exist, RecipeError where one of the names cannot be had.
    """
    registry = registry_of(kind)
    names = names_of(name, registry, plugin)
    facts = {key: value.strip() for key, value in tomllib.loads(_template(kind, "facts.toml")).items()}
    module, test = _template(kind, "plugin.py.txt"), _template(kind, "test.py.txt")
    words = {
        "distribution": names.distribution,
        "module": names.module,
        "class": _class_name(names.class_name, kind, module, test),
        "plugin": names.plugin,
        "kind": kind,
        "noun": registry.noun,
        "a_noun": registry.a_noun,
        "author": author,
        "quoted_author": json.dumps(author, ensure_ascii=False),
        "year": str(year),
        "version": __version__,
    }
    words |= {key: _filled(value, words) for key, value in facts.items()}
    files = {
        "pyproject.toml": _template("package", "pyproject.toml.txt"),
        "README.md": _template("package", "README.md.txt"),
        "LICENSE": _template("package", "LICENSE.txt"),
        ".gitignore": _template("package", "gitignore.txt"),
        ".github/workflows/test.yml": _template("package", "test.yml.txt"),
        f"src/{names.module}/__init__.py": module,
        f"src/{names.module}/py.typed": "",
        f"tests/test_{names.module}.py": test,
    }
    names = Names(names.distribution, names.module, words["class"], names.plugin)
    filled = {path: _filled(text, words) for path, text in files.items()}
    return Package(kind, names, filled, words["recipe"], words["change"], words["ablation"])


def write_package(package: Package, directory: Path) -> Path:
    """Write the package as a folder of its name in `directory`, whole or not at all, and say where it is.

    Raises RecipeError where something lies there already or nothing can be written.
    """
    folder = directory / package.names.distribution
    try:
        if not directory.is_dir():
            what = "is a file; name a folder" if directory.exists() else "does not exist; make that folder first"
            raise RecipeError(f"{folder} cannot be written: {directory} {what}.")
        if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
            what = "is a folder with something in it" if folder.is_dir() else "is there already"
            raise RecipeError(f"{folder} {what}, and nothing is written over. Choose another name, or another --directory.")
        # Beside its place, so that it is put there in one go.
        beside = Path(tempfile.mkdtemp(prefix=f".{package.names.distribution}-", dir=directory))
        try:
            made = beside / package.names.distribution
            for path, text in package.files.items():
                target = made / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            made.rename(folder)  # onto an empty folder too
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise RecipeError(f"{folder} cannot be written: {error.strerror or error}. Nothing was left behind.") from error
    return folder


def _template(folder: str, name: str) -> str:
    return (resources.files(__package__) / "templates" / folder / name).read_text(encoding="utf-8")


def _filled(text: str, words: Mapping[str, str]) -> str:
    """`<<module>>` -> what `words` has under "module"."""
    return re.sub(r"<<(\w+)>>", lambda found: words[found[1]], text)


def _class_name(name: str, kind: str, *templates: str) -> str:
    """The name itself, or with the kind behind it where the templates or Python mean something else by it."""
    known = set(dir(builtins))  # None among them
    for template in templates:
        for node in ast.walk(ast.parse(re.sub(r"<<(\w+)>>", r"_\1_", template))):
            if isinstance(node, ast.ImportFrom | ast.Import):
                known |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.ClassDef):
                known.add(node.name)
    return f"{name}{CLASS_ENDS[kind]}" if name in known else name
