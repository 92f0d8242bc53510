"""The user's own shelf of data sets: one folder each, with the sequences, their titles and what they are.

NAME/offsets.npy, items.npy, user_ids.npy, item_ids.npy   the arrays of `UserSequences`
NAME/titles.json   item name -> title
NAME/about.json    name, source, options, statistics; hash of the sequences and of each file of arrays

The arrays are not packed, so that they are mapped into memory instead of read: the next start needs no time, and processes
that train on one data set share its pages. Data sets of the first form, which has all arrays in one packed `sequences.npz`,
are read as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .sequences import UserSequences

__all__ = ["about", "check_name", "data_folder", "downloads_folder", "load", "save", "shelved"]

SCHEMA = 2
PACKED = 1
"""The first form, with sequences.npz."""
ARRAYS = ("offsets", "items", "user_ids", "item_ids")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def data_folder() -> Path:
    """Where imported and fetched data sets live: $SEQAUG_HOME/data, else seqaug/data under $XDG_DATA_HOME."""
    return _home("XDG_DATA_HOME", ".local/share") / "data"


def downloads_folder() -> Path:
    """Where downloads wait until they are whole: $SEQAUG_HOME/downloads, else seqaug/downloads under $XDG_CACHE_HOME."""
    return _home("XDG_CACHE_HOME", ".cache") / "downloads"


def _home(variable: str, default: str) -> Path:
    own = os.environ.get("SEQAUG_HOME")
    if own:
        return Path(own).expanduser().absolute()
    shared = os.environ.get(variable, "")
    # The XDG rules: a relative path is to be ignored.
    return (Path(shared) if Path(shared).is_absolute() else Path.home() / default) / "seqaug"


def check_name(name: str) -> None:
    """Raises DataError for a name that cannot be a data set's: it is also a folder's name on every system."""
    if not NAME.fullmatch(name):
        raise DataError(
            f"{name!r} cannot name a data set: lower-case letters, digits, '-', '_' and '.' are allowed, at most 64, "
            "a letter or digit first."
        )


def shelved(folder: Path) -> list[str]:
    """Names of the data sets on the shelf at `folder`, sorted."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if NAME.fullmatch(entry.name) and (entry / "about.json").is_file())


def about(place: Path) -> dict[str, Any]:
    """What a shelved data set says of itself. Raises DataError where that is damaged."""
    try:
        found = json.loads((place / "about.json").read_text(encoding="utf-8"))
        if isinstance(found, dict) and found["schema"] in (SCHEMA, PACKED) and isinstance(found["sha256"], str):
            return found
    except (OSError, ValueError, KeyError):
        pass
    raise DataError(f"{place / 'about.json'} is damaged or of another version of seqaug. Delete {place} and import it again.")


def save(sequences: UserSequences, place: Path, facts: Mapping[str, Any]) -> None:
    """Put a data set at `place`, whole or not at all; one that is there already is replaced."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as temporary:
            fresh = Path(temporary) / place.name
            fresh.mkdir()
            for name in ARRAYS:
                np.save(_file(fresh, name), getattr(sequences, name), allow_pickle=False)
            facts = {
                "schema": SCHEMA,
                "name": place.name,
                **facts,
                "sha256": sequences.sha256,
                "files": {name: _hash_of(_file(fresh, name)) for name in ARRAYS},
                "statistics": asdict(sequences.statistics()),
                "titles": len(sequences.titles),
            }
            (fresh / "titles.json").write_text(json.dumps(dict(sequences.titles), ensure_ascii=False), encoding="utf-8")
            (fresh / "about.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            if place.exists():
                # A folder cannot be renamed onto a full one; the old one goes down with the temporary folder.
                os.rename(place, Path(temporary) / "old")
            os.rename(fresh, place)
    except OSError as error:
        # numpy says of a full disk only how many numbers were written.
        reason = error.strerror or f"a part of the numbers found no room ({error}); the disk may be full"
        raise DataError(f"{place} cannot be written: {reason}.") from None


def load(place: Path) -> UserSequences:
    """A shelved data set, its arrays mapped into memory.

    Raises DataError where it is damaged: its files must have the hashes that they were saved with.
    """
    facts = about(place)
    try:
        sequences = _packed(place) if facts["schema"] == PACKED else _mapped(place, facts)
        whole = sequences is not None and sequences.sha256 == facts["sha256"]
    except (OSError, ValueError, KeyError, IndexError, TypeError, AssertionError, EOFError, zlib.error, zipfile.BadZipFile):
        whole = False
    if not whole:
        raise DataError(f"the data set in {place} is damaged. Delete that folder and import or fetch it again.")
    assert sequences is not None
    return sequences


def _mapped(place: Path, facts: Mapping[str, Any]) -> UserSequences | None:
    """The arrays of `place`; None where a file is not the one that was saved.

    Hashing what lies there takes a tenth of a second for 10^7 actions; hashing the lines that they stand for, seconds.
    """
    if any(_hash_of(_file(place, name)) != facts["files"][name] for name in ARRAYS):
        return None
    # As plain arrays: whoever takes a part of a numpy.memmap gets another one, which does not know the file any more.
    arrays = {name: np.load(_file(place, name), mmap_mode="r", allow_pickle=False).view(np.ndarray) for name in ARRAYS}
    return UserSequences(**arrays, titles=_titles(place)).known_as(facts["sha256"])


def _packed(place: Path) -> UserSequences:
    with np.load(place / "sequences.npz", allow_pickle=False) as arrays:
        return UserSequences(**{name: arrays[name] for name in ARRAYS}, titles=_titles(place))


def _titles(place: Path) -> dict[str, str]:
    titles: dict[str, str] = json.loads((place / "titles.json").read_text(encoding="utf-8"))
    return titles


def _file(place: Path, name: str) -> Path:
    return place / f"{name}.npy"


def _hash_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
