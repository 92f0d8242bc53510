"""The source tree as data: which files there are, which modules, and who imports whom."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"


@dataclass(frozen=True)
class Import:
    """One imported name: `module` in full, `name` where it was `from module import name`."""

    module: str
    name: str | None
    line: int
    for_types_only: bool


@dataclass(frozen=True)
class Module:
    """A Python file under its dotted name."""

    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), str(self.path))

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every import of the file, at the top and inside functions, relative ones resolved."""
        return tuple(self._imports(self.tree, for_types_only=False))

    def _imports(self, node: ast.AST, for_types_only: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, None, child.lineno, for_types_only)
            elif isinstance(child, ast.ImportFrom):
                base = self._resolved(child)
                for alias in child.names:
                    yield Import(base, alias.name, child.lineno, for_types_only)
            elif isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                for part in child.body:
                    yield from self._imports(ast.Module([part], []), for_types_only=True)
                for part in child.orelse:
                    yield from self._imports(ast.Module([part], []), for_types_only)
            else:
                yield from self._imports(child, for_types_only)

    def _resolved(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".") if self.is_package else self.name.split(".")[:-1]
        kept = package[: len(package) - (node.level - 1)]
        return ".".join([*kept, *([node.module] if node.module else [])])


@cache
def modules(root: Path = SOURCE) -> dict[str, Module]:
    """Every module under `root` by its dotted name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = Module(".".join(parts), path)
    assert found, f"no Python file under {root}"
    return found


@cache
def committed_files() -> tuple[Path, ...]:
    """What git follows, and what it would follow at the next `git add`; every file where this is no checkout."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        paths = [ROOT / name for name in listed.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not {".venv", ".venv-plugins", "runs", "build", "site"} & set(path.parts)]
    return tuple(sorted(path for path in paths if path.is_file()))


def targets(module: Module, known: dict[str, Module], *, for_types: bool) -> dict[str, int]:
    """The modules of `known` that a module imports, with the line; `from package import module` counts as the module."""
    found: dict[str, int] = {}
    for one in module.imports:
        if one.for_types_only and not for_types:
            continue
        full = f"{one.module}.{one.name}" if one.name else one.module
        target = full if full in known else one.module if one.module in known else None
        if target is not None:
            found.setdefault(target, one.line)
    return found
