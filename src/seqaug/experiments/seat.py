"""A place on some machine of a cluster where one run after the other is executed, each in a process of its own.

It knows nothing of the cluster, and no run knows of it: the files of a run are put into a temporary folder, the run is started
as it would be at home, and what its folder holds is handed back.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from .executor import Task
from .folder import read_json
from .local_processes import LocalProcesses
from .parcel import Parcel, collected, unpacked
from .worker import Died, Done, EpochDone, Told

__all__ = ["Heard", "Seat"]

_PATIENCE = 0.5
"""Seconds that `hear` waits for something to tell: as long may pass before a seat hears that it is to stop."""
_KEEP_EVERY = 20.0
"""Seconds between two times that the state of a run is handed back, so that losing the machine loses little."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What a run has said since it was last asked, and what its folder holds, where that is worth handing back."""

    told: tuple[Told, ...] = ()
    files: Mapping[str, bytes] | None = None


class Seat:
    """At most one run at a time. threads: of the run."""

    def __init__(self, threads: int, keep_every: float = _KEEP_EVERY) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="seqaug-"))
        self.keep_every = keep_every
        self._crew = LocalProcesses(1, threads)
        self._parcel: Parcel | None = None
        self._theirs: dict[str, str] = {}
        self._kept = 0.0
        self._known = False
        # A process that is started here would first execute the script that this one is, which is the cluster's.
        vars(sys.modules["__main__"]).pop("__file__", None)

    @property
    def machine(self) -> str:
        return platform.node()

    @property
    def _run(self) -> Path:
        return self.place / "run"

    def start(self, parcel: Parcel, device: str, *contents: bytes) -> Heard:
        """Begin. contents: of `parcel.goods`, in that order. Raises OSError."""
        shutil.rmtree(self._run, ignore_errors=True)
        by_hash = dict(zip(parcel.goods.values(), contents, strict=True))
        order, self._theirs = unpacked(parcel, by_hash, self.place / "goods", self._run)
        order = replace(order, settings=replace(order.settings, device=device, threads=None))
        self._parcel, self._known, self._kept = parcel, False, time.monotonic()
        before = os.environ.get("SEQAUG_DATA")
        if parcel.shelf is not None:
            shelf = str(self.place / "goods" / parcel.shelf)
            os.environ["SEQAUG_DATA"] = os.pathsep.join(filter(None, [shelf, before]))
        try:
            self._crew.start(Task(parcel.hash, parcel.label, self._run, order))
        finally:
            if parcel.shelf is not None:
                if before is None:
                    del os.environ["SEQAUG_DATA"]
                else:
                    os.environ["SEQAUG_DATA"] = before
        return Heard()

    def hear(self) -> Heard:
        """Wait a moment for what the run has to say. The last that it says is Done or Died."""
        told = [said for _, said in self._crew.listen(_PATIENCE)]
        if not self._known and (stranger := self._stranger()) is not None:
            self._crew.close()
            return Heard((stranger,))
        files = None
        over = any(isinstance(said, Done | Died) for said in told)
        late = time.monotonic() - self._kept >= self.keep_every
        if over or (late and any(isinstance(said, EpochDone) for said in told)):
            files = collected(self._run, self._theirs)
            self._kept = time.monotonic()
        return Heard(tuple(self._explained(said) for said in told), files)

    def stop(self) -> Heard:
        """End the run with the state of its last epoch, and hand that back."""
        self._crew.stop()
        self._crew.close()
        return Heard(files=collected(self._run, self._theirs))

    def leave(self) -> None:
        """Nothing of it stays behind."""
        self._crew.close()
        shutil.rmtree(self.place, ignore_errors=True)

    def _stranger(self) -> Died | None:
        """Whether another run has begun here than was asked for, which only another installation can make of the same order."""
        assert self._parcel is not None
        if not (self._run / "resolved.json").exists():
            return None
        self._known = True
        if read_json(self._run / "resolved.json").get("hash") == self._parcel.hash:
            return None
        from .. import __version__

        return Died(
            f"on {self.machine} it would be another run: the sources of seqaug (there {__version__}), of a plugin or the data "
            "differ from those here. Install the same on all machines.",
            2,
        )

    def _explained(self, said: Told) -> Told:
        """An error with the machine that it happened on."""
        if not isinstance(said, Died):
            return said
        assert self._parcel is not None
        more = ""
        if self._parcel.too_large is not None and said.exit_code == 3:
            name, size = self._parcel.too_large
            more = f" {name} has {size / 2**20:,.0f} MiB, too much to be sent along, so it has to be on every machine."
        return replace(said, message=f"{said.message}{more} (on {self.machine})")
