"""What starts fast must not load torch: the package, the command line, and all that names and files need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from policies.tree import modules

HEAVY = ("torch", "matplotlib", "sklearn", "scipy")
WITHOUT_TORCH = [
    "seqaug",
    "seqaug.errors",
    "seqaug.data.sequences",
    "seqaug.data.readers",
    "seqaug.data.catalog",
    "seqaug.core.registry",
    "seqaug.core.discovery",
    "seqaug.core.registries",
    "seqaug.recipes.load",
    "seqaug.evaluation.metrics",
    "seqaug.cli.main",
    *sorted(name for name in modules() if name.startswith("seqaug.cli.")),
]


def loaded_after(statement: str) -> set[str]:
    """Every module that a fresh Python has loaded after `statement`."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_command_line_and_what_it_lists_names_with_do_not_import_torch() -> None:
    statement = "\n".join(f"import {name}" for name in dict.fromkeys(WITHOUT_TORCH))
    loaded = loaded_after(statement)
    if set(HEAVY) & loaded:  # now it is worth the time to say which of them did
        guilty = [name for name in WITHOUT_TORCH if set(HEAVY) & loaded_after(f"import {name}")]
        pytest.fail(f"these load {sorted(set(HEAVY) & loaded)} at import time: {guilty}")


def test_the_package_alone_imports_nothing_from_elsewhere() -> None:
    loaded = {name.split(".")[0] for name in loaded_after("import seqaug")}
    assert not loaded & {"torch", "numpy", "pydantic", "click", "rich", "safetensors", "entrypoints"}


def test_listing_names_of_plugins_and_recipes_loads_no_plugin() -> None:
    statement = (
        "from seqaug.core.registries import REGISTRIES\n"
        "from seqaug.recipes.load import recipe_names\n"
        "assert recipe_names() and all(registry.names() is not None for registry in REGISTRIES.values())"
    )
    loaded = loaded_after(statement)
    assert "torch" not in loaded
    assert not [name for name in loaded if name.startswith("seqaug.builtin.")]
