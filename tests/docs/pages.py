"""The documentation as data: its pages, their blocks, links and headings.

What a page has executed stands below a comment that the reader does not see:

    <!-- run -->           the bash or python block below runs and succeeds
    <!-- fails with 5 -->  the bash block below ends with that exit code
    <!-- file NAME -->     the block below is the file NAME for the blocks after it
    <!-- says -->          the lines below are among what the block before it printed; blanks do not count, "..." is anything
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(
    sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"))])
)

DIRECTIVE = re.compile(r"<!--\s*(run|file|fails with|says)\s*(\S*)\s*-->")


@dataclass(frozen=True)
class Block:
    """One executed block. kind: "run", "file", "fails with" or "says"; argument: the file's name or the exit code."""

    line: int
    kind: str
    argument: str
    language: str
    text: str


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """The executed blocks of a page in order. A directive without a block below it is an error."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines):
        directive = DIRECTIVE.fullmatch(line.strip())
        if directive is None:
            continue
        fence = lines[number + 1] if number + 1 < len(lines) else ""
        assert fence.startswith("```"), f"{name_of(page)}:{number + 1}: no block follows"
        end = next(at for at in range(number + 2, len(lines)) if lines[at].startswith("```"))
        text = "\n".join(lines[number + 2 : end]) + "\n"
        found.append(Block(number + 1, directive[1], directive[2], fence.removeprefix("```").strip(), text))
    return found


def prose(page: Path) -> str:
    """The page without its blocks and inline code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page: of its headings, as GitHub and MkDocs make them or as `{ #name }` behind one says; of HTML in
    it; of what mkdocstrings writes where `::: name` stands.
    """
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = set(re.findall(r"\b(?:id|name)=\"([^\"]+)\"", text))
    for title in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE):
        named = re.search(r"\{\s*#([\w.-]+)\s*\}\s*$", title)
        found.add(named[1] if named else re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()))
    for name in re.findall(r"^::: ([\w.]+)$", text, flags=re.MULTILINE):
        found |= {name, *members(name)}
    return found


def members(name: str) -> set[str]:
    """What `::: name` describes besides `name`: of a module or class, whatever of its own is public."""
    module, _, attribute = name.rpartition(".")
    try:
        thing: Any = import_module(name)
    except ModuleNotFoundError:
        thing = getattr(import_module(module), attribute)
    public = getattr(thing, "__all__", None) or [one for one in vars(thing) if not one.startswith("_")]
    return {f"{name}.{one}" for one in public}
