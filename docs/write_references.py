"""Writes every generated page of the documentation: `python docs/write_references.py`.

    python docs/write_references.py              all of them, in about two minutes
    python docs/write_references.py cli plugins  only what write_cli.py and write_plugins.py write

A writer is a file docs/**/write_*.py with a function `pages() -> {path below docs/: text}`, or with `PAGE` and `text()` where
it writes one page. A test compares each page with what its writer would write now, so that none can go stale.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).resolve().parent


def writers() -> list[Path]:
    """The scripts that write pages, this one left out."""
    return sorted(path for path in DOCS.rglob("write_*.py") if path != Path(__file__).resolve())


def loaded(writer: Path) -> ModuleType:
    """A writer as a module, the same each time. What lies beside it can be imported by it."""
    if writer.stem not in sys.modules:
        if str(writer.parent) not in sys.path:
            sys.path.append(str(writer.parent))
        spec = importlib.util.spec_from_file_location(writer.stem, writer)
        assert spec is not None and spec.loader is not None
        sys.modules[writer.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[writer.stem])
    return sys.modules[writer.stem]


def pages(writer: Path) -> dict[Path, str]:
    """What a writer would write now: file -> text."""
    module = loaded(writer)
    if hasattr(module, "pages"):
        return {DOCS / path: text for path, text in module.pages().items()}
    return {module.PAGE: module.text()}


def main(names: Sequence[str]) -> int:
    """Write the pages of the writers that are named, or all; say which have changed."""
    import torch

    torch.set_num_threads(1)
    known = {writer.stem.removeprefix("write_"): writer for writer in writers()}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.stderr.write(f"error: nothing writes {', '.join(unknown)}. Known: {', '.join(known)}.\n")
        return 2
    for name in names or known:
        for path, text in pages(known[name]).items():
            before = path.read_text(encoding="utf-8") if path.exists() else None
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            state = "new" if before is None else "as it was" if before == text else "changed"
            sys.stdout.write(f"{path.relative_to(DOCS.parent)}: {state}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
