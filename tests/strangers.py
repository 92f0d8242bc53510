"""Little distributions as strangers would install them: metadata in a folder on the path, and a module each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqaug.core import discovery

__all__ = ["DRAW", "SOURCE", "forgotten", "put"]

DRAW = "    def draw(self, clean, items, table, generator):\n        return clean\n"
SOURCE = f"class Pink:\n{DRAW}"
"""A noise source `Pink` that does nothing."""


def put(
    site: Path,
    distribution: str,
    code: str = SOURCE,
    *,
    name: str = "pink",
    module: str = "",
    version: str = "0.1",
    declared: str = "",
) -> Path:
    """A distribution in the folder `site` whose noise source `name` is the class `Pink` of a module. Returns its metadata.

    module: the distribution's name with underscores where none is given. declared: another entry_points.txt.
    """
    module = module or distribution.replace("-", "_")
    folder = site / f"{distribution}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (folder / "entry_points.txt").write_text(declared or f"[seqaug.noise_sources]\n{name} = {module}:Pink\n")
    (site / f"{module}.py").write_text(code)
    discovery.refresh()
    return folder


@contextmanager
def forgotten() -> Iterator[None]:
    """Modules that are imported meanwhile from outside the installed packages are imported anew by whoever comes next."""
    before = set(sys.modules)
    discovery.refresh()
    try:
        yield
    finally:
        discovery.refresh()
        for name in set(sys.modules) - before:
            if name.startswith("stranger"):
                del sys.modules[name]
