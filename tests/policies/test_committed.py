"""What may lie in the repository, and what may stand in it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from policies.tree import ROOT, committed_files

BUNDLED = ROOT / "src" / "seqaug" / "data" / "bundled"
TEXT = {
    "",
    ".py",
    ".toml",
    ".md",
    ".yml",
    ".yaml",
    ".txt",
    ".cfg",
    ".ini",
    ".json",
    ".csv",
    ".tsv",
    ".dat",
    ".inter",
    ".html",
    ".css",
    ".sh",
}
DATA = {".gz", ".zip", ".bz2", ".xz", ".npz", ".npy", ".pt", ".pth", ".pkl", ".safetensors", ".parquet", ".db", ".sqlite"}
LARGEST = 100_000

# Folders that exist on the machine of whoever writes, and nowhere else. Put together here, so that this file passes too.
MACHINE = re.compile(
    r"(?<![\w.~*-])/(?:" + "|".join(["wor" + "k", "roo" + "t", "far" + "m", "home/" + r"\w+", "Users/" + r"\w+"]) + r")/"
)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def texts() -> list[tuple[Path, str]]:
    return [(path, path.read_text(encoding="utf-8")) for path in committed_files() if path.suffix in TEXT]


def is_result(path: Path) -> bool:
    """The ranks behind a row of docs/reproduction.md: a user, an item and two numbers each."""
    return path.name == "per_user.npz" and path.parent.parent == ROOT / "docs" / "results"


def test_the_only_data_set_in_the_tree_is_movietweetings() -> None:
    bundled = {path.relative_to(BUNDLED).parts[0] for path in committed_files() if path.is_relative_to(BUNDLED)}
    assert {name for name in bundled if not name.endswith(".py")} == {"movietweetings-100k"}
    strays = [
        relative(path)
        for path in committed_files()
        if not path.is_relative_to(BUNDLED) and not is_result(path) and (path.suffix in DATA or path.stat().st_size > LARGEST)
    ]
    assert not strays, f"data, weights or large files outside data/bundled: {strays}"


def test_the_bundled_data_set_travels_with_its_licence() -> None:
    licences = [path for path in committed_files() if path.is_relative_to(BUNDLED) and path.name.startswith("LICENSE")]
    assert licences and all("MIT" in path.read_text(encoding="utf-8") for path in licences)


def test_nothing_names_a_folder_of_somebodys_machine() -> None:
    wrong = [
        f"{relative(path)}:{number}: {line.strip()[:100]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_folders_of_a_machine_are_recognised() -> None:
    assert MACHINE.search("see /ho" + "me/ann/data") and MACHINE.search('"/wor' + 'k/x"')
    assert not MACHINE.search("framework/x") and not MACHINE.search("docs/root/x")


def test_a_recipe_is_read_in_a_minute() -> None:
    recipes = sorted((ROOT / "src" / "seqaug" / "recipes" / "library").glob("*.toml"))
    assert {"sasrec", "cl4srec", "simdiffrec"} <= {path.stem for path in recipes}
    for path in recipes:
        text = path.read_text(encoding="utf-8")
        assert tomllib.loads(text)["name"] == path.stem
        # Variants and ablations are tables to look things up in; what is read is above them.
        read = re.split(r"^\[(?:variants|ablations)\b", text, maxsplit=1, flags=re.MULTILINE)[0]
        lines = [line for line in read.splitlines() if line.strip()]
        assert len(lines) <= 100, f"{path.name} has {len(lines)} lines before its variants"


def test_package_data_matches_the_files_that_lie_there() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"][
        "seqaug"
    ]
    package = ROOT / "src" / "seqaug"
    shipped = {path for pattern in patterns for path in package.glob(pattern) if path.is_file()}
    needed = {path for path in committed_files() if path.is_relative_to(package) and path.suffix not in (".py", ".pyc")}
    assert needed <= shipped, f"committed and not installed: {sorted(relative(path) for path in needed - shipped)}"


def test_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    names = {re.split(r"[<>=\[]", line)[0].lower() for line in wanted} - {"seqaug"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower(): line.split("==")[1] for line in lines if "==" in line and not line.startswith("#")}
    assert names <= set(pinned), f"without a pin: {sorted(names - set(pinned))}"
    assert pinned["torch"] == "2.13.0"


def test_the_version_is_one() -> None:
    import seqaug

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == seqaug.__version__
    assert f"## {seqaug.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
