"""What a class promises before it does anything: its interface, its words, its options."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ...core.registries import REGISTRIES
from ...errors import PluginError, RecipeError
from ...recipes.options import describe_options, read_signature
from ..bench import Bench
from ..check import check, found, not_asked, require
from ..hosts import filled_in, read_options

__all__ = [
    "can_be_made",
    "imports_the_api_only",
    "is_documented",
    "keeps_its_interface",
    "options_make_the_round_trip",
    "refuses_unknown_options",
]

ALL = tuple(REGISTRIES)
ALLOWED = ("seqaug.api", "seqaug.testing")


@check("keeps the interface of its kind", *ALL, needs_plugin=False)
def keeps_its_interface(bench: Bench) -> None:
    """The class is held against its protocol as when a recipe names it: every method is there, and takes the parameters that it
    is called with, under their names."""
    if bench.departure is not None:
        found(str(bench.departure))


@check("says in its docstring what it is, and in its signature what each option takes", *ALL, needs_plugin=False)
def is_documented(bench: Bench) -> None:
    """The class has a docstring of its own, and every parameter of its constructor a type from which the option's schema is
    read: this is what `seqaug plugins show` prints. A type that takes everything (`Any`, `object`) describes nothing."""
    cls = bench.subject.plugin
    text = inspect.cleandoc(vars(cls).get("__doc__") or "")
    require(bool(text), f"{cls.__name__} has no docstring; its first line says what it is, as told to a colleague.")
    try:
        vague = [one.name for one in describe_options(cls) if one.type in ("Any", "object", "Any or none", "object or none")]
    except PluginError as error:
        found(str(error))
    require(not vague, f"the type of {', '.join(vague)} takes everything; give it one that says what may be chosen.")


@check("imports nothing of seqaug but seqaug.api", *ALL, needs_plugin=False)
def imports_the_api_only(bench: Bench) -> None:
    """The file of the class is read: whatever is not in `seqaug.api` may be called otherwise in the next version."""
    module = sys.modules.get(bench.subject.plugin.__module__)
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():
        not_asked("its source is in no file")
    if Path(file).name.startswith(("test_", "conftest")):
        not_asked("it stands in a file of tests")
    own = bench.subject.plugin.__module__.split(".")[0]
    strays = [
        f"{name} ({path.name}:{line})"
        for path in _files(Path(file), own)
        for name, line in _imports(path.read_text(encoding="utf-8"))
        if name.startswith("seqaug.") and own != "seqaug" and ".".join(name.split(".")[:2]) not in ALLOWED
    ]
    require(not strays, f"it imports {', '.join(dict.fromkeys(strays))}; everything that a plugin needs is in seqaug.api.")


def _files(file: Path, package: str) -> list[Path]:
    """The file of a class, and the other modules of its package where it stands in one."""
    top = getattr(sys.modules.get(package), "__file__", None)
    folder = Path(top).parent if top is not None and Path(top).name == "__init__.py" else None
    if folder is None or not file.is_relative_to(folder):
        return [file]
    return sorted(path for path in folder.rglob("*.py") if not path.name.startswith(("test_", "conftest")))


def _imports(source: str) -> Iterator[tuple[str, int]]:
    """What a file imports, with the line. `from seqaug import api` is seqaug.api."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for alias in node.names:
                yield (f"seqaug.{alias.name}" if node.module == "seqaug" else node.module), node.lineno


@check("can be made and placed in a recipe, its options at their defaults", *ALL, needs_plugin=False)
def can_be_made(bench: Bench) -> None:
    """The plugin is planned and assembled in a small recipe of the kit's, like any other; it has every attribute that its
    interface asks for, is told of its neighbours (`bind`) and of the histories (`know`)."""
    if bench.departure is not None:
        not_asked("it does not keep its interface")
    if bench.obstacle is not None:
        found(str(bench.obstacle))


@check("takes the options that it describes, and gives them back the same", *ALL)
def options_make_the_round_trip(bench: Bench) -> None:
    """The options, filled in and written as JSON as a run folder keeps them, are read again: they are the same, and the plugin
    can be made of them. Otherwise a run could not be repeated from its own record."""
    first = dict(bench.host.resolved)
    stored = json.loads(json.dumps(first))
    try:
        _, again = read_options(bench.subject, stored, host=bench.host.name)
    except RecipeError as error:
        found(f"its own options, as a run folder keeps them, are refused: {error}")
    differ = [name for name in first if json.dumps(first[name]) != json.dumps(again.get(name))]
    require(
        not differ,
        "; ".join(f"{name} = {first[name]!r} comes back as {again.get(name)!r}" for name in differ)
        + ": reading an option must not change it.",
    )


@check("refuses an option that it does not have", *ALL, needs_plugin=False)
def refuses_unknown_options(bench: Bench) -> None:
    """An option that no signature has is refused, so that a slip of the pen is not ignored; a constructor that takes
    `**options` cannot be read at all."""
    try:
        read_signature(bench.subject.plugin)
        given = {**filled_in(bench.subject), **bench.subject.options, "no_such_option": 1}
        read_options(bench.subject, given)
    except RecipeError as error:
        require("no_such_option" in str(error) or "default" in str(error), f"its options cannot be read: {error}")
        return
    except PluginError as error:
        found(str(error))
    found("it takes `no_such_option = 1` without a word.")
