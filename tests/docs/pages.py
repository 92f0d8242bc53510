"""The documentation as data: its pages, their blocks, links and headings.

What a page has executed stands below a comment that the reader does not see:

    <!-- run -->           the bash or python block below runs and succeeds
    <!-- fails with 5 -->  the bash block below ends with that exit code
    <!-- file NAME -->     the block below is the file NAME for the blocks after it
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(
    sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"))])
)

DIRECTIVE = re.compile(r"<!--\s*(run|file|fails with)\s*(\S*)\s*-->")


@dataclass(frozen=True)
class Block:
    """One executed block. kind: "run", "file" or "fails with"; argument: the file's name or the exit code."""

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
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}
