"""What the documentation tells the reader to type works. Each page has a folder of its own, its blocks run in order."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from docs.pages import DIRECTIVE, PAGES, Block, blocks, name_of
from docs.reader import surroundings

WITH_BLOCKS = [page for page in PAGES if blocks(page)]


def execute(block: Block, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = {"bash": ["bash", "-euo", "pipefail", "-c", block.text], "python": ["python", "-c", block.text]}[block.language]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    environment = surroundings(tmp_path)
    said = ""
    for block in blocks(page):
        if block.kind == "file":
            (folder / block.argument).write_text(block.text, encoding="utf-8")
            continue
        if block.kind == "says":
            missing = [line for line in block.text.splitlines() if not says(said, line)]
            assert not missing, f"{name_of(page)}:{block.line}: {missing} is not in\n{said}"
            continue
        done = execute(block, folder, environment)
        expected = int(block.argument) if block.kind == "fails with" else 0
        assert done.returncode == expected, (
            f"{name_of(page)}:{block.line} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        said = done.stdout + done.stderr


def says(printed: str, line: str) -> bool:
    """Whether a line of a page is among what was printed."""
    wanted = ".*".join(re.escape(" ".join(part.split())) for part in line.split("..."))
    return any(re.search(wanted, " ".join(one.split())) for one in printed.splitlines())


def test_a_quotation_is_found_whatever_its_blanks_and_a_wrong_one_is_not() -> None:
    printed = "one check    failed   it said this\nanother one  passed"
    assert says(printed, "check failed it said") and says(printed, "one ... passed")
    assert not says(printed, "check passed") and not says(printed, "one ... this and passed")


def test_the_readme_and_the_pages_that_teach_have_executed_blocks() -> None:
    taught = {"README.md", "docs/tutorial.md", "docs/recipes.md", "docs/plugins.md", "docs/reference/run-folder.md"}
    taught |= {f"docs/how-to/{name}.md" for name in ("own-data", "own-plugin", "ci")}
    taught |= {name_of(page) for page in PAGES if page.parent.name == "concepts"}
    assert taught <= {name_of(page) for page in WITH_BLOCKS}


# Blocks that no test can run: hours of training on data that are not in the box, an upload, everybody's results.
NOT_EXECUTED = {
    "docs/ablation.md": 3,
    "docs/how-to/gpu.md": 1,
    "docs/how-to/several-machines.md": 4,
    "docs/plugins.md": 1,
    "docs/report.md": 1,
}


def test_every_command_and_program_of_a_page_is_executed_but_for_those_that_are_known() -> None:
    written = [page for page in PAGES if not page.read_text(encoding="utf-8").startswith("<!-- Written by ")]
    left: dict[str, int] = {}
    for page in written:
        lines = page.read_text(encoding="utf-8").splitlines()
        executed = {block.line + 1 for block in blocks(page)}
        shown = [number for number, line in enumerate(lines, 1) if re.match(r"```(bash|python)\b", line)]
        if alone := set(shown) - executed:
            left[name_of(page)] = len(alone)
    assert left == NOT_EXECUTED


def test_a_directive_that_is_misspelt_is_not_taken_for_a_remark() -> None:
    remarks = [
        (name_of(page), line)
        for page in PAGES
        for line in page.read_text(encoding="utf-8").splitlines()
        if re.match(r"<!--\s*(run|file|fail|say)", line.strip()) and DIRECTIVE.fullmatch(line.strip()) is None
    ]
    assert remarks == []
