"""What the documentation tells the reader to type works. Each page has a folder of its own, its blocks run in order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.pages import PAGES, Block, blocks, name_of

WITH_BLOCKS = [page for page in PAGES if blocks(page)]

# `pip install .` on a page installs beside the page, not into the environment of whoever runs the tests, and fetches nothing.
PIP = """#!/bin/sh
test "$1" = install || exit 64
shift
exec {python} -m pip --quiet --disable-pip-version-check install --no-deps --no-build-isolation --target {target} "$@"
"""


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of a reader who has just installed seqaug."""
    tools, target = folder / "bin", folder / "site"
    tools.mkdir()
    target.mkdir()
    pip = tools / "pip"
    pip.write_text(PIP.format(python=sys.executable, target=target))
    pip.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEQAUG_")}
    return kept | {
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(target),
        "SEQAUG_HOME": str(folder / "home"),
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
    }


def execute(block: Block, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = {"bash": ["bash", "-euo", "pipefail", "-c", block.text], "python": [sys.executable, "-c", block.text]}[
        block.language
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    environment = surroundings(tmp_path)
    for block in blocks(page):
        if block.kind == "file":
            (folder / block.argument).write_text(block.text, encoding="utf-8")
            continue
        done = execute(block, folder, environment)
        expected = int(block.argument) if block.kind == "fails with" else 0
        assert done.returncode == expected, (
            f"{name_of(page)}:{block.line} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        )


def test_the_readme_and_the_pages_that_teach_have_executed_blocks() -> None:
    taught = {"README.md", "docs/tutorial.md", "docs/recipes.md", "docs/plugins.md", "docs/reference/run-folder.md"}
    taught |= {f"docs/how-to/{name}.md" for name in ("own-data", "own-plugin", "ci")}
    taught |= {name_of(page) for page in PAGES if page.parent.name == "concepts"}
    assert taught <= {name_of(page) for page in WITH_BLOCKS}
