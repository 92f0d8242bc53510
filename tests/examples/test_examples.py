"""Every example does what it says, from the commands that its page shows, on budgets that fit a test."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from policies.tree import ROOT, committed_files
from seqaug import library
from seqaug.data.synthetic import toy_world
from seqaug.recipes.load import load_recipe

EXAMPLES = ROOT / "examples"
SHOP = EXAMPLES / "own_data" / "shop.csv"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of a reader who has installed seqaug: no variable of ours, `python` and `seqaug` in the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEQAUG_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | {"PATH": path, "SEQAUG_HOME": str(tmp_path / "home"), "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to work in, with the examples in it as in a checkout."""
    place = tmp_path / "work"
    place.mkdir()
    (place / "examples").symlink_to(EXAMPLES)
    for path in (EXAMPLES / "own_data").iterdir():
        (place / path.name).symlink_to(path)
    return place


def succeeds(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def commands(page: Path) -> list[str]:
    """The blocks of a page that a reader types, in order."""
    return re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "own_data/README.md"])
def test_the_commands_of_a_page_work_one_after_the_other(page: str, folder: Path, environment: dict[str, str]) -> None:
    blocks = [block for block in commands(EXAMPLES / page) if not block.startswith("python examples/")]
    assert len(blocks) >= 2
    for block in blocks:
        succeeds(["bash", "-euo", "pipefail", "-c", block], folder, environment)


def of_the_index(script: str) -> list[str]:
    """The command of the index that starts a script; the tests of the scripts run these."""
    (found,) = (line for block in commands(EXAMPLES / "README.md") for line in block.splitlines() if f"/{script}" in line)
    return found.split()


def test_every_example_has_a_row_in_the_index() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    named = {path.relative_to(EXAMPLES).parts[0] for path in committed_files() if path.is_relative_to(EXAMPLES)} - {"README.md"}
    assert named == set(re.findall(r"^\| \[`([^`/]+)/?`\]", text, flags=re.MULTILINE))


def test_the_library_takes_fifteen_lines_and_gives_the_numbers_of_the_command(
    folder: Path, environment: dict[str, str]
) -> None:
    tree = ast.parse((EXAMPLES / "library.py").read_text(encoding="utf-8"))
    code = [line for line in ast.unparse(ast.Module(tree.body[1:], [])).splitlines() if line.strip()]
    assert len(code) == 15
    printed = succeeds(of_the_index("library.py"), folder, environment).splitlines()
    assert printed[0].startswith("epoch 1: NDCG@10 on validation 0.")
    shown = ast.literal_eval(printed[-1].removeprefix("test: "))
    words = ["run", "sasrec", "--epochs", "1", "--device", "cpu", "--json", "-q"]  # as assembly_of, which takes no GPU unasked
    ran = json.loads(succeeds(["seqaug", *words], folder, environment))
    assert shown == {name: round(value, 4) for name, value in ran["test"].items()}


def test_a_plugin_in_a_script_is_recorded_in_its_runs_and_compared_over_seeds(
    folder: Path, environment: dict[str, str]
) -> None:
    printed = succeeds(of_the_index("plugin_in_a_script.py"), folder, environment)
    assert re.search(r"simdiffrec, gaussian: NDCG@10 0\.\d+ \(the reference\)", printed)
    assert re.search(r"simdiffrec, popular: NDCG@10 0\.\d+ \([+-]0\.\d+, (better|worse|not distinguishable)\)", printed)
    used = [json.loads(path.read_text())["plugins"] for path in folder.glob("runs/*/environment.json")]
    assert sorted(plugins["diffusions.main.noise"]["name"] for plugins in used) == ["gaussian"] * 2 + ["popular"] * 2


def test_with_both_ideas_taken_out_the_new_recipe_is_cadirec_digit_for_digit(tmp_path: Path) -> None:
    small = {
        "data.max_length": 8,
        "items.dim": 8,
        "encoders.main.inner": 8,
        "diffusions.main.schedule.steps": 10,
        "diffusions.main.denoiser.inner": 8,
        "training.epochs": 3,
        "training.batch_size": 16,
        "training.learning_rate": 1e-2,
        "training.validate_every": 1,
    }
    recipe, data = EXAMPLES / "cadirec_least_confident.toml", tmp_path / "toy.txt"
    data.write_text("".join(" ".join([user, *items]) + "\n" for user, items in toy_world(30, 40, 8)))

    def ranked(recipe: str | Path, ablation: str | None = None) -> dict[str, float]:
        out = tmp_path / f"{Path(recipe).stem}-{ablation or 'whole'}".replace("/", "")
        found: dict[str, float] = library.run(recipe, data, changes=small, ablation=ablation, device="cpu", out=out).metrics[
            "test"
        ]
        return found

    ablations = list(load_recipe(str(recipe)).table["ablations"])
    published, whole, *without = ranked("cadirec"), ranked(recipe), *(ranked(recipe, name) for name in ablations)
    assert ablations[-1] == "w/o both" and without[-1] == published
    assert len({tuple(one.values()) for one in (whole, *without)}) == len(ablations) + 1, "each idea changes something"


def test_the_new_recipe_is_ablated_by_its_own_ablations(folder: Path, environment: dict[str, str]) -> None:
    (folder / "toy.txt").write_text("".join(" ".join([user, *items]) + "\n" for user, items in toy_world(30, 40, 8)))
    small = ["-s", "data.max_length=5", "-s", "items.dim=8", "-s", "encoders.main.inner=8"]
    words = ["examples/cadirec_least_confident.toml", "--data", "toy.txt", "--seeds", "1", "--epochs", "1", *small, "--json"]
    table = json.loads(succeeds(["seqaug", "ablate", *words], folder, environment))
    assert table["table"]["methods"] == ["w/o mixture", "w/o least_confidence", "w/o both", "cadirec_least_confident"]


def test_every_value_of_the_new_recipe_says_where_it_comes_from_and_those_of_cadirec_are_cadirecs() -> None:
    ours, theirs = load_recipe(str(EXAMPLES / "cadirec_least_confident.toml")), load_recipe("cadirec")
    silent = [
        line
        for line in re.split(r"^\[ablations\]", ours.text, flags=re.MULTILINE)[0].splitlines()
        if re.match(r'["\w.-]+ *=', line) and "#" not in line and not line.startswith(("name", *theirs.table["handles"]))
    ]
    assert silent == []
    wrong = [
        line
        for line in ours.text.splitlines()
        if line.rstrip().endswith("# cadirec") and line.partition("#")[0].strip() not in plain(theirs.text)
    ]
    assert wrong == []


def plain(text: str) -> set[str]:
    """The lines of a recipe without their comments."""
    return {line.partition("#")[0].strip() for line in text.splitlines()}


def test_the_shop_is_synthetic_small_and_made_again_by_its_script(folder: Path, environment: dict[str, str]) -> None:
    succeeds([sys.executable, "make_shop.py", "again.csv"], folder, environment)
    assert (folder / "again.csv").read_bytes() == SHOP.read_bytes()
    assert SHOP.stat().st_size < 50_000
    assert all("SYNTHETIC" in (EXAMPLES / "own_data" / name).read_text().upper() for name in ("make_shop.py", "README.md"))
