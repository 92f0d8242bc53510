"""Finished runs as evidence: what tables, comparisons and reports read of a run folder, or of what was kept of one.

A record needs metrics.json and per_user.npz; the rest of a run folder (resolved.json, events.jsonl, ...) is used where it is
there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SeqaugError
from .folder import read_json

__all__ = ["KEPT", "PROTOCOL", "Record", "find_records", "finished_by_hash", "protocol_differences", "read_record"]

KEPT = ("metrics.json", "per_user.npz", "events.jsonl", "resolved.json", "environment.json")
"""What is kept of a finished run where its weights are not."""

PROTOCOL = ("split", "seen_items", "candidates", "num_candidates", "ties", "average")
"""The keys of a result's protocol in which two runs must agree to be compared; so must the hash of the data."""


@dataclass(frozen=True, eq=False)
class Record:
    """One finished run. metrics: the content of metrics.json."""

    folder: Path
    metrics: Mapping[str, Any]

    @property
    def recipe(self) -> str:
        return str(self.metrics["recipe"])

    @property
    def data(self) -> str:
        return str(self.metrics["data"]["name"])

    @property
    def seed(self) -> int:
        return int(self.metrics["seed"])

    @property
    def hash(self) -> str | None:
        """The run's hash; None for what was kept of a run that never came to its end."""
        found = self.metrics.get("hash")
        return None if found is None else str(found)

    @cached_property
    def per_user(self) -> Mapping[str, NDArray[Any]]:
        """`user`, `target` (U,) strings; `rank`, `rank_unseen` (U,) int64. Raises SeqaugError where the file is unreadable."""
        path = self.folder / "per_user.npz"
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in ("user", "target", "rank", "rank_unseen")}
        except (OSError, ValueError, KeyError) as error:
            why = getattr(error, "strerror", None) or error
            raise SeqaugError(f"{path} cannot be read: {why}. A comparison is by user, so it needs this file.") from error

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The lines of events.jsonl, one an epoch; empty where there is no such file."""
        path = self.folder / "events.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]

    @cached_property
    def resolved(self) -> Mapping[str, Any] | None:
        """resolved.json, None where it was not kept."""
        path = self.folder / "resolved.json"
        return read_json(path) if path.exists() else None

    @cached_property
    def environment(self) -> Mapping[str, Any] | None:
        """environment.json, None where it was not kept."""
        path = self.folder / "environment.json"
        return read_json(path) if path.exists() else None


def read_record(folder: Path) -> Record:
    """The finished run in `folder`. Raises SeqaugError where there is none, in words."""
    if not folder.is_dir():
        raise SeqaugError(f"there is no run folder {folder}.")
    if not (folder / "metrics.json").exists():
        unfinished = (folder / "resolved.json").exists()
        more = "its run is not finished; the command that began it goes on with it." if unfinished else "it is no run folder."
        raise SeqaugError(f"{folder} has no metrics.json: {more}")
    found = read_json(folder / "metrics.json")
    missing = [key for key in ("recipe", "data", "seed", "test", "protocol") if key not in found]
    if missing:
        raise SeqaugError(f"{folder / 'metrics.json'} is not the result of a run: it has no {', '.join(missing)}.")
    return Record(folder, found)


def find_records(root: Path) -> list[Record]:
    """Every finished run in `root` itself and in the folders right below it, sorted by path; others are passed over."""
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())] if root.is_dir() else []
    return [read_record(folder) for folder in folders if (folder / "metrics.json").exists()]


def finished_by_hash(roots: Iterable[Path]) -> dict[str, Record]:
    """Finished runs below `roots` by their hash, the first root winning: what a matrix need not run again."""
    found: dict[str, Record] = {}
    for root in roots:
        for record in find_records(root):
            if record.hash is not None:
                found.setdefault(record.hash, record)
    return found


def protocol_differences(one: Record, other: Record) -> list[str]:
    """Where two runs were not measured alike, in sentences; none where their numbers may stand side by side."""
    found = []
    if one.metrics["data"]["sha256"] != other.metrics["data"]["sha256"]:
        mine, theirs = (f"{r.data} ({str(r.metrics['data']['sha256'])[:12]})" for r in (one, other))
        found.append(f"data: {mine} in {one.folder}, {theirs} in {other.folder}")
    for key in PROTOCOL:
        mine, theirs = one.metrics["protocol"].get(key), other.metrics["protocol"].get(key)
        if mine != theirs:
            found.append(f"{key}: {json.dumps(mine)} in {one.folder}, {json.dumps(theirs)} in {other.folder}")
    return found
