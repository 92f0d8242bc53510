"""Files that are either there in full or not there at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["as_json", "replacing", "unfinished_files", "write_json", "write_text"]

_SUFFIX = ".partial"


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write into; it takes the name `path` when the block ends well, and vanishes when it does not.

    Whoever reads `path` at any moment, a power cut included, finds the old content or the new, never a part.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def unfinished_files(folder: Path) -> list[Path]:
    """What writers that were killed have left behind in `folder`."""
    return sorted(folder.glob(f".*{_SUFFIX}"))


def as_json(value: Any, *, indent: int | None = 2) -> str:
    """`value` as JSON. NaN and infinity are refused: no reader of JSON has to accept them."""
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def write_text(path: Path, text: str) -> None:
    """Put `text` in the place of whatever `path` holds."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Put `value` as JSON in the place of whatever `path` holds."""
    write_text(path, as_json(value) + "\n")
