"""A run's folder: what lies in it, whose it is, and when the run in it counts as finished.

resolved.json      first: the marks of the run (its hash), every value with its origin, what was asked for
recipe.toml        the recipe, verbatim                    environment.json   versions, device, threads, plugins
plugins/           the plugin files that were executed, where there were any
command.txt        the commands, one line a start          events.jsonl       one line an epoch
state.pt           while it runs: all that a resumed run needs, replaced after each epoch, gone when finished
model.safetensors  the best weights                        per_user.npz       user, target, rank, rank_unseen
metrics.json       last: a folder with it is a finished run, a folder without it never is
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from ..errors import RecipeError, SeqaugError
from .files import as_json, replacing, unfinished_files, write_json, write_text

__all__ = ["Identity", "RunFolder", "locked", "read_json", "remove_results"]

_Kind = TypeVar("_Kind", bound=BaseException)
_LOCK = ".lock"
_LOOK = 0.05
"""Seconds between two looks at a lock that is waited for."""
_RESULTS = (
    "metrics.json",
    "state.pt",
    "model.safetensors",
    "per_user.npz",
    "events.jsonl",
    "environment.json",
    "command.txt",
    "report.html",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two runs the same run: what may change a number, and nothing else.

    recipe: every resolved value. data: sha256 of the sequences. plugins: path in the recipe -> plugin and sha256 of its source.
    """

    recipe: Mapping[str, Any]
    data: str
    seed: int
    precision: str
    plugins: Mapping[str, str]

    @property
    def hash(self) -> str:
        """64 hex digits, a function of the content alone."""
        content = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Where this run (asked for) and another (as stored, a mapping with the same keys) are not alike, in sentences."""
        mine, theirs = dict(_leaves(asdict(self))), dict(_leaves(other))
        found = []
        for path in sorted(mine.keys() | theirs.keys()):
            if mine.get(path, _ABSENT) != theirs.get(path, _ABSENT):
                name = path.removeprefix("recipe.")
                found.append(f"{name}: {_shown(theirs.get(path, _ABSENT))} there, {_shown(mine.get(path, _ABSENT))} asked for")
        return found


class RunFolder:
    """The folder of one run. Nothing is written before `lock`; nothing that belongs to another run is ever touched."""

    def __init__(self, path: Path, identity: Identity) -> None:
        self.path = path
        self.identity = identity

    @staticmethod
    def default(runs: Path, recipe: str, data: str, identity: Identity) -> Path:
        """`runs/<recipe>-<data>-<hash>`, with whatever a file name should not have replaced by "_"."""
        plain = ("".join(c if c.isalnum() or c in "._" else "_" for c in name) for name in (recipe, data))
        return runs / "-".join([*plain, identity.hash[:8]])

    def condition(self) -> Literal["new", "unfinished", "finished"]:
        """How far the run in this folder is. Writes nothing.

        Raises RecipeError where the folder holds something else: files that are no run, or another run.
        """
        if not self.path.exists():
            return "new"
        if not self.path.is_dir():
            raise RecipeError(f"{self.path} is a file, so it cannot be a run folder. Choose another --out.")
        resolved = self.path / "resolved.json"
        if not resolved.exists():
            strange = sorted(
                entry.name for entry in self.path.iterdir() if entry.name != _LOCK and entry not in unfinished_files(self.path)
            )
            if strange:
                more = ", ..." if len(strange) > 3 else ""
                raise RecipeError(
                    f"{self.path} is not empty and not a run folder (it holds {', '.join(strange[:3])}{more}). "
                    "Nothing was written. Choose another --out, or an empty folder."
                )
            return "new"
        stored = read_json(resolved)
        if stored.get("hash") != self.identity.hash:
            differences = self.identity.differences(stored.get("identity", {}))
            shown = differences[:12] + ([f"and {len(differences) - 12} more"] if len(differences) > 12 else [])
            raise RecipeError(
                "\n  ".join([f"{self.path} holds another run, and nothing of it was touched. What differs:", *shown])
                + "\nChoose another --out, or leave it out: each run then has a folder of its own."
            )
        return "finished" if self.metrics() is not None else "unfinished"

    def metrics(self) -> dict[str, Any] | None:
        """The result of a finished run, or None where there is none that can be read and belongs to this run."""
        try:
            found = read_json(self.path / "metrics.json")
        except SeqaugError:
            return None
        return found if found.get("hash") == self.identity.hash else None

    @contextmanager
    def lock(self, wait: float = 0.0) -> Iterator[None]:
        """Make the folder, and keep every other process out of it until the block ends.

        The lock is the operating system's, so a killed process leaves none behind. wait: seconds in which another process
        may let go of it. Raises SeqaugError where another process has it.
        """
        with locked(self.path, wait):
            yield

    def begin(
        self,
        *,
        recipe: str,
        resolved: Mapping[str, Any],
        environment: Mapping[str, Any],
        command: str,
        fresh: bool,
        plugin_files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Write what is known before the first epoch. `fresh` removes what an earlier start has left, the result first.

        plugin_files: path within the folder -> what was executed.
        """
        for partial in unfinished_files(self.path):
            partial.unlink(missing_ok=True)
        if fresh:
            remove_results(self.path)
        else:
            # An unreadable result is no result, and must not outlive the run that replaces it.
            (self.path / "metrics.json").unlink(missing_ok=True)
        marks = {"schema": 1, "hash": self.identity.hash, "identity": asdict(self.identity)}
        write_json(self.path / "resolved.json", {**marks, **resolved})
        write_text(self.path / "recipe.toml", recipe)
        write_json(self.path / "environment.json", environment)
        for name, content in (plugin_files or {}).items():
            (self.path / name).parent.mkdir(exist_ok=True)
            with replacing(self.path / name) as file:
                file.write(content)
        log = self.path / "command.txt"
        write_text(log, (log.read_text() if log.exists() else "") + command + "\n")

    def write_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Replace events.jsonl, e.g. by what the state of a resumed run knows: a line cut by a kill does not survive."""
        write_text(self.path / "events.jsonl", "".join(as_json(event, indent=None) + "\n" for event in events))

    def append_event(self, event: Mapping[str, Any]) -> None:
        with (self.path / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(as_json(event, indent=None) + "\n")

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Replace state.pt. Tensors, numbers, strings, lists and dicts only.

        Raises SeqaugError where it cannot be written, as on a full disk; the state before it is then still there.
        """
        import torch

        with replacing(self.path / "state.pt") as file:
            try:
                torch.save({"hash": self.identity.hash, **state}, file)
            except RuntimeError as error:
                # Struck by Ctrl-C in the middle of a write, torch complains about the write: an interruption all the same.
                if _cause(error, KeyboardInterrupt) is not None:
                    raise KeyboardInterrupt from error
                # Nor does it say more of a full disk than that a position was not expected.
                refused = _cause(error, OSError)
                if refused is None:
                    raise
                raise SeqaugError(
                    f"the state of the run cannot be written to {self.path}: {refused.strerror or refused}. What was kept "
                    "before it is still there: once there is room, the same command goes on from it."
                ) from error

    def load_state(self) -> dict[str, Any] | None:
        """What `save_state` kept last, or None where there is nothing that can be used.

        Only tensors and plain values are read (weights_only): a state file cannot run code.
        """
        import pickle
        import zipfile

        import torch

        try:
            state = torch.load(self.path / "state.pt", map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile):
            return None
        return state if isinstance(state, dict) and state.get("hash") == self.identity.hash else None

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics.json, which makes the run a finished one, and drop the state that nobody needs any more."""
        write_json(self.path / "metrics.json", {**metrics, "hash": self.identity.hash})
        (self.path / "state.pt").unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """What `RunFolder.lock` does, for one who does not know which run it is."""
    folder.mkdir(parents=True, exist_ok=True)
    file = _locked(folder / _LOCK, time.monotonic() + wait)
    try:
        yield
    finally:
        # Removed while still held: whoever opened it meanwhile sees that the name is gone and opens it anew.
        (folder / _LOCK).unlink(missing_ok=True)
        file.close()


def remove_results(folder: Path) -> None:
    """Forget what a run has left in its folder, the result first."""
    for name in _RESULTS:
        (folder / name).unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises SeqaugError where the file is missing or holds anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SeqaugError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise SeqaugError(f"{path} is not JSON ({error}).") from error
    if not isinstance(found, dict):
        raise SeqaugError(f"{path} holds a {type(found).__name__}, not an object.")
    return found


def _cause(error: BaseException | None, kind: type[_Kind]) -> _Kind | None:
    """The error of `kind` on whose way another one was raised, None where there is none."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


_ABSENT = object()


def _shown(value: object) -> str:
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """(dotted path, value) of everything that is not a table."""
    if isinstance(value, Mapping) and (value or not path):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, json.loads(json.dumps(value)) if isinstance(value, tuple | list) else value


def _locked(path: Path, until: float) -> IO[str]:
    """An open file that is locked for this process alone, had before the moment `until` or not at all."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            _take(file)
        except OSError as error:
            file.seek(0)
            owner = file.read().strip()
            file.close()
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                raise SeqaugError(f"{path.parent} cannot be locked: {error.strerror or error}.") from error
            if time.monotonic() < until:
                time.sleep(_LOOK)
                continue
            raise SeqaugError(
                f"{path.parent} is in use by another process{f' ({owner})' if owner else ''}: "
                "two runs cannot write one folder. Wait for it, or choose another --out."
            ) from error
        try:
            mine = os.fstat(file.fileno()).st_ino == path.stat().st_ino
        except FileNotFoundError:
            mine = False
        if mine:
            file.truncate(0)
            file.write(f"process {os.getpid()}\n")
            file.flush()
            return file
        file.close()


if sys.platform == "win32":  # pragma: no cover

    def _take(file: IO[str]) -> None:
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:

    def _take(file: IO[str]) -> None:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
