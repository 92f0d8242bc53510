"""`--plugin-file`: from an idea to a run, an ablation and an evaluation without packaging."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqaug.data.synthetic import toy_world

COMMAND = [sys.executable, "-c", "from seqaug.cli.main import main; main()"]
SMALL = (
    "data.max_length=8; items.dim=8; encoders.main.layers=1; encoders.main.inner=8; "
    "training.batch_size=16; training.validate_every=1; training.epochs=1"
)
MY_NOISE = """\
from seqaug.api import Generator, ItemTable, Tensor, noise_sources


@noise_sources.register("my-noise")
class MyNoise:
    \"\"\"The mean vector of the catalogue, scaled.\"\"\"

    def __init__(self, *, scale: float = 1.0) -> None:
        self.scale = scale

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        \"\"\"clean (N, D) -> (N, D).\"\"\"
        return (self.scale * table.catalogue.mean(0)).expand_as(clean)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with data and the file."""
    world = toy_world(num_users=30, num_items=40, max_length=8)
    (tmp_path / "toy.txt").write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    (tmp_path / "my_noise.py").write_text(MY_NOISE)
    return tmp_path


def seqaug(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEQAUG_")}
    surroundings = {**kept, "SEQAUG_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", "SEQAUG_SET": SMALL}
    return subprocess.run([*COMMAND, *words], cwd=folder, env=surroundings, capture_output=True, text=True, check=False)


def test_a_run_with_a_plugin_file_names_it_with_its_hash_and_keeps_a_copy(folder: Path) -> None:
    words = ["run", "--plugin-file", "my_noise.py", "--noise", "my-noise:scale=0.5", "--data", "toy.txt", "--out", "r"]
    done = seqaug(folder, *words)
    assert done.returncode == 0, done.stderr
    known = json.loads((folder / "r" / "environment.json").read_text())["plugins"]["diffusions.main.noise"]
    assert known["file"] == "my_noise.py"
    assert known["sha256"] == hashlib.sha256(MY_NOISE.encode()).hexdigest()
    assert (folder / "r" / known["copy"]).read_text() == MY_NOISE
    executed = json.loads((folder / "r" / "environment.json").read_text())["plugin_files"]
    assert executed == [{"file": "my_noise.py", "sha256": known["sha256"]}]
    assert json.loads((folder / "r" / "resolved.json").read_text())["identity"]["plugins"]["diffusions.main.noise"] == (
        f"noise_sources/my-noise sha256:{known['sha256']}"
    )

    # The same file is the same run; a changed file is another.
    assert json.loads(seqaug(folder, *words, "--json").stdout)["from_cache"] is True
    (folder / "my_noise.py").write_text(MY_NOISE + "# a changed mind\n")
    refused = seqaug(folder, *words)
    assert refused.returncode == 2
    assert "plugins.diffusions.main.noise" in refused.stderr

    # What lies in a run folder is executed when it is named, and not because it lies there.
    refused = seqaug(folder, "evaluate", "r")
    assert refused.returncode == 2
    assert "--plugin-file r/plugins/my_noise.py" in refused.stderr
    assert "equal to what r holds" in seqaug(folder, "evaluate", "r", "--plugin-file", "r/plugins/my_noise.py").stdout
    changed = seqaug(folder, "evaluate", "r", "--plugin-file", "my_noise.py")
    assert "diffusions.main.noise: the source of this plugin has changed since the run" in changed.stderr


def test_an_ablation_knows_the_plugin_in_every_process(folder: Path) -> None:
    done = seqaug(
        folder, "ablate", "--plugin-file", "my_noise.py", "--axis", "noise=similarity,my-noise",
        "--data", "toy.txt", "--seeds", "2", "--jobs", "2", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "noise=my-noise" in json.dumps(found)
    named = [
        json.loads(one.read_text())["plugins"]["diffusions.main.noise"]["name"]
        for one in (folder / "runs").glob("*/environment.json")
    ]
    assert sorted(named) == ["my-noise", "my-noise", "similarity", "similarity"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "--plugin-file", "my_nose.py"], 2, "Did you mean 'my_noise.py'?"),
        (["check", "simdiffrec", "--plugin-file", "broken.py"], 4, "ZeroDivisionError: division by zero (broken.py:1)"),
        (["plugins", "list", "--plugin-file", "empty.py"], 4, "marks no plugin"),
        (["run", "--noise", "my-noise"], 2, "no noise source is called 'my-noise'"),
    ],
    ids=["missing", "broken", "empty", "not named"],
)
def test_a_wrong_plugin_file_is_refused_in_words(folder: Path, words: list[str], code: int, said: str) -> None:
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "empty.py").write_text("\n")
    done = seqaug(folder, *words)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_plugins_of_a_file_are_listed_and_shown(folder: Path) -> None:
    listed = json.loads(seqaug(folder, "plugins", "list", "--plugin-file", "my_noise.py", "--json").stdout)["plugins"]
    assert [one["origin"] for one in listed if one["name"] == "my-noise"] == ["my_noise.py"]
    shown = seqaug(folder, "plugins", "show", "my-noise", "--plugin-file", "my_noise.py").stdout
    assert "my_noise.py:MyNoise" in shown
    assert "scale" in shown
