"""The folder of a matrix: matrix.json says which runs there are, where each lies and how far it is. The runs lie elsewhere.

It is told for people and reports. Nothing is read back from it to decide what runs: the run folders alone know that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import write_json
from .matrix import Ended, Failed, Matrix, MatrixEvent, PlannedMember
from .records import Record

__all__ = ["MatrixFolder", "matrix_folder_name"]

Place = tuple[str, str, int]


def matrix_folder_name(verb: str, recipe: str, *content: Any) -> str:
    """`ablate-simdiffrec-1a2b3c4d`: the hash is of `content`, anything that JSON takes."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    plain = "".join(sign if sign.isalnum() or sign in "._" else "_" for sign in recipe)
    return f"{verb}-{plain}-{digest[:8]}"


class MatrixFolder:
    """What has come of each run so far.

    facts: what else matrix.json says, at its beginning. done, failed: by column and row of the run.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.facts = dict(facts)
        self.done: dict[Place, Record] = {}
        self.failed: dict[Place, Failed] = {}
        self._members: dict[Place, PlannedMember] = {}

    def add(self, matrix: Matrix) -> None:
        """Runs that belong here, and whatever is finished of them."""
        for planned in matrix.members:
            self._members[planned.member.place] = planned
            if planned.record is not None:
                self.done[planned.member.place] = planned.record
        self.write()

    def hear(self, event: MatrixEvent) -> None:
        """Something has happened to a run."""
        if isinstance(event, Ended) and event.member.place not in self.done:
            self.done[event.member.place] = event.record
        elif isinstance(event, Failed):
            self.failed[event.member.place] = event
        else:
            return
        self.write()

    def finished(self) -> list[tuple[PlannedMember, Record]]:
        """The runs that have a result, in the order of the matrix."""
        return [(planned, self.done[place]) for place, planned in self._members.items() if place in self.done]

    def seconds(self) -> float:
        """What the finished runs took, each counted once."""
        found = 0.0
        for record in {record.folder: record for record in self.done.values()}.values():
            spent = record.metrics.get("seconds", {})
            found += float(spent.get("train", 0.0)) + float(spent.get("evaluate", 0.0))
        return found

    def write(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        members = [self._entry(place, planned) for place, planned in self._members.items()]
        states = {member["state"] for member in members}
        state = "open" if "open" in states or not states else "failed" if "failed" in states else "finished"
        write_json(self.path / "matrix.json", {"schema": 1, **self.facts, "state": state, "members": members})

    def _entry(self, place: Place, planned: PlannedMember) -> dict[str, Any]:
        record, failure = self.done.get(place), self.failed.get(place)
        return {
            "variant": place[0],
            "data": place[1],
            "seed": place[2],
            "hash": planned.hash,
            "folder": str(planned.folder if record is None else record.folder),
            "state": "finished" if record is not None else "failed" if failure is not None else "open",
            **({} if failure is None else {"problem": failure.message}),
        }
