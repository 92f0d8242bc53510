"""Whether the results in a folder name the plugins of these packages, with distribution and version. Called by check.sh."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

POPULARITY, COOCCURRENCE = ("seqaug-popularity", "0.1.0"), ("seqaug-cooccurrence", "0.1.0")
EXPECTED = {
    ("noise_sources", "popularity_matched"): POPULARITY,
    ("negative_samplers", "popularity_matched"): POPULARITY,
    ("augmenters", "cooccurrence"): COOCCURRENCE,
}


def origin(known: dict[str, Any]) -> tuple[str | None, str | None]:
    """(distribution, version) of one plugin, as seqaug writes it."""
    return known["distribution"], known["version"]


def of_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Path in the recipe -> the plugin there, of the finished run in a folder."""
    assert (folder / "metrics.json").exists(), f"{folder} holds no finished run"
    found: dict[str, dict[str, Any]] = json.loads((folder / "environment.json").read_text(encoding="utf-8"))["plugins"]
    return found


def main(folder: Path) -> None:
    """Raises AssertionError, saying what is missing."""
    listed = json.loads((folder / "list.json").read_text(encoding="utf-8"))["plugins"]
    for (kind, name), expected in EXPECTED.items():
        found = [one for one in listed if (one["kind"], one["name"]) == (kind, name)]
        assert [origin(one) for one in found] == [expected], f"plugins list says of {kind} {name}: {found}"
        assert found[0]["state"] == "ok", f"{kind} {name} is {found[0]['state']}"

    run = of_runs(folder / "run")
    for path in ("diffusions.main.noise", "augmenters.diffused.negative"):
        assert (run[path]["name"], *origin(run[path])) == ("popularity_matched", *POPULARITY), f"run: {path} is {run[path]}"

    for matrix, path, name, expected, uses in (
        ("recipe", "augmenters.edited", "cooccurrence", COOCCURRENCE, 2),  # and not "w/o correlation", of two seeds each
        ("noise", "diffusions.main.noise", "popularity_matched", POPULARITY, 1),
    ):
        members = json.loads((folder / matrix / "matrix.json").read_text(encoding="utf-8"))["members"]
        plugins = [of_runs(folder / one["folder"])[path] for one in members]
        used = [one for one in plugins if one["name"] == name]
        assert len(used) == uses < len(plugins), f"{matrix}: {[one['name'] for one in plugins]}"
        assert all(origin(one) == expected for one in used), f"{matrix}: {used}"
    print("every result names its plugins with distribution and version")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
