"""The packages of plugins/, installed beside seqaug by pip: their own tests, and what their READMEs say to type.

`make plugins` goes further: into an environment that has nothing else, with runs and ablations.
"""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from docs.pages import ROOT, blocks
from docs.test_snippets import execute, surroundings
from policies.test_randomness import unseeded
from policies.tree import modules

PACKAGES = tuple(sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml")))


@dataclass(frozen=True)
class Installed:
    """A copy of a package, and the environment in which it is installed."""

    package: Path
    folder: Path
    environment: dict[str, str]


@pytest.fixture(scope="module", params=PACKAGES, ids=lambda path: str(path.name))
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    around = tmp_path_factory.mktemp("around")
    folder = around / request.param.name
    # A copy: setuptools builds beside the sources.
    shutil.copytree(request.param, folder, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    environment = surroundings(around)
    subprocess.run(["pip", "install", "."], cwd=folder, env=environment, check=True)
    return Installed(request.param, folder, environment)


def test_there_are_two_packages() -> None:
    assert [path.name for path in PACKAGES] == ["seqaug-cooccurrence", "seqaug-popularity"]


def test_the_tests_of_a_package_pass(installed: Installed) -> None:
    done = subprocess.run(
        ["python", "-m", "pytest", "-q"], cwd=installed.folder, env=installed.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_its_readme_says_to_type_works(installed: Installed) -> None:
    found = blocks(installed.package / "README.md")
    assert len(found) >= 3
    for block in found:
        done = execute(block, installed.folder, installed.environment)
        assert done.returncode == 0, f"{installed.package.name}/README.md:{block.line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.name))
def test_a_package_says_all_that_a_package_says(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == package.name and project["entry-points"] and "test" in project["optional-dependencies"]
    (module,) = (package / "src").iterdir()
    assert (module / "py.typed").exists()
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert f"# {project['name']}\n" in (package / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.name))
def test_a_package_draws_from_generators_only(package: Path) -> None:
    found = [f"{one.at(line)}: {call}" for one in modules(package / "src").values() for line, call in unseeded(one.tree)]
    assert not found, "\n".join(found)


def test_the_recipe_is_sasrec_with_an_augmenter_and_a_term_more() -> None:
    def read(path: Path) -> dict[str, Any]:
        return tomllib.loads(path.read_text(encoding="utf-8"))

    ours = read(ROOT / "plugins" / "seqaug-cooccurrence" / "recipes" / "coserec_like.toml")
    sasrec = read(ROOT / "src" / "seqaug" / "recipes" / "library" / "sasrec.toml")
    assert set(ours.pop("augmenters")) == {"edited"}
    assert ours["objectives"].pop("contrast")["weight"] > 0
    assert ours["handles"].pop("augmenter") == "augmenters.edited"
    assert ours["variants"]["movietweetings"] == sasrec["variants"]["movietweetings"]
    sasrec["data"].pop("prefix_targets")  # says nothing where samples = "sequences"
    for part in ("data", "items", "encoders", "objectives", "scorer", "training", "handles"):
        assert ours[part] == sasrec[part], part
