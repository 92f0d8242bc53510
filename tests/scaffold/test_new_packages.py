"""A package that `seqaug plugins new` has written, installed for real: everything in it passes as it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaffold.environments import Environment, blocks_of
from seqaug.core.registries import REGISTRIES

KINDS = tuple(REGISTRIES)
MAIN = ("encoders", "noise_sources", "position_selectors", "negative_samplers")


def name_for(kind: str, first: str) -> str:
    """One for each test: what is installed already is refused."""
    return f"{first}-{kind.replace('_', '-').removesuffix('s')}"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    yield Environment(tmp_path_factory.mktemp("environment") / "venv")


def written(environment: Environment, folder: Path, kind: str, first: str) -> Path:
    """The folder of a new package."""
    name = name_for(kind, first)
    environment.fine(f"seqaug plugins new {name} --kind {kind} --author Ann", folder)
    return folder / name


# ---- the four that were asked for by name: together, so that torch is read once by each tool ----


def test_packages_of_the_four_main_kinds_pass_their_own_checks_unedited(environment: Environment, tmp_path: Path) -> None:
    folders = [written(environment, tmp_path, kind, "my") for kind in MAIN]
    names = " ".join(folder.name for folder in folders)
    before = {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}

    environment.fine("pip install " + " ".join(f"-e './{folder.name}[test]'" for folder in folders), tmp_path)
    environment.fine(f"ruff check {names} && ruff format --check {names}", tmp_path)
    paths = " ".join(f"{folder.name}/src {folder.name}/tests" for folder in folders)
    environment.fine(f"mypy --config-file {folders[0].name}/pyproject.toml {paths}", tmp_path)
    outcome = environment.fine(f"pytest -q --import-mode=importlib {names}", tmp_path)
    assert " passed" in outcome and " failed" not in outcome

    lines = [line for folder in folders for line in blocks_of((folder / "README.md").read_text(encoding="utf-8"))]
    asked = [shlex.split(line)[1:] for line in lines if line.startswith(("seqaug check ", "seqaug plugins "))]
    assert len(asked) == 3 * len(MAIN)
    environment.fine(f"python -c {shlex.quote(ONE_AFTER_THE_OTHER.format(asked=asked))}", tmp_path)
    assert {path: path.read_bytes() for path in before} == before, "something has edited what was written"


ONE_AFTER_THE_OTHER = """
from seqaug.cli.main import cli
for words in {asked}:
    try:
        cli.main(words)
    except SystemExit as end:
        assert not end.code, (words, end.code)
"""


# ---- all eleven, by the README to the letter ----


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_readme_says_works_line_by_line(kind: str, environment: Environment, tmp_path: Path) -> None:
    folder = written(environment, tmp_path, kind, "your")
    lines = blocks_of((folder / "README.md").read_text(encoding="utf-8"))
    assert {line.split()[0] for line in lines} == {"pip", "seqaug", "pytest", "ruff", "mypy"}
    for line in lines:
        # Planned and rehearsed, not trained: that takes minutes, or hours.
        is_training = line.startswith(("seqaug run ", "seqaug ablate "))
        shown = environment.fine(f"{line} --dry-run" if is_training else line, folder)
        if is_training:
            assert folder.name in shown or kind == "rewriters"


# kind -> what a slip of the pen makes of the plugin
SLIPS = {
    "encoders": ("torch.where(age >= 0", "torch.where(age > 0"),
    "noise_sources": ("self.scale * width", "self.scale"),
    "position_selectors": ("layout.from_end", "layout.from_start"),
    "negative_samplers": ("descending=True", "descending=False"),
    "schedules": ("1 - time**self.power", "1 - time"),
    "denoisers": ("layout.mean(told)", "layout.mean(noised)"),
    "heads": ("hidden + self.up", "self.up"),
    "augmenters": ("layout.from_end[left] > 0", "layout.from_end[left] > 1"),
    "objectives": ("scores[:, 1:] - scores[:, :1]", "scores[:, :1] - scores[:, 1:]"),
    "scorers": ("self.latest)", "1)"),
    "rewriters": ("histories.offsets[:-1, None]", "histories.offsets[1:, None] - 1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_its_own_test_finds_a_slip_of_the_pen(kind: str, environment: Environment, tmp_path: Path) -> None:
    folder = written(environment, tmp_path, kind, "slip")
    environment.fine("pip install -e .", folder)
    (module,) = (folder / "src").glob("*/__init__.py")
    right, wrong = SLIPS[kind]
    text = module.read_text(encoding="utf-8")
    assert text.count(right) == 1
    module.write_text(text.replace(right, wrong), encoding="utf-8")
    done = environment.bash("pytest -q -k 'not conformance'", folder)
    assert done.returncode == 1, done.stdout + done.stderr
