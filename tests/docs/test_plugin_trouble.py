"""What the page about plugins that do not work quotes is what seqaug says."""

from __future__ import annotations

import re
from pathlib import Path

from docs.pages import ROOT, blocks
from docs.test_snippets import execute, surroundings

PAGE = ROOT / "docs" / "how-to" / "plugin-trouble.md"


def quoted() -> list[str]:
    """The lines of its text blocks."""
    found = re.findall(r"^```text\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.splitlines()]


def test_every_line_that_the_page_quotes_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    environment = surroundings(tmp_path)
    said = ""
    for block in blocks(PAGE):
        if block.kind == "file":
            (folder / block.argument).write_text(block.text, encoding="utf-8")
        else:
            said += execute(block, folder, environment).stderr
    lines = quoted()
    assert len(lines) > 10
    for line in lines:
        # "..." stands for what differs from machine to machine.
        assert re.search(".*".join(map(re.escape, line.split("..."))), said), f"{line}\nis not among\n{said}"
