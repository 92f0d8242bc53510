"""A run on its way to another machine and back: what it needs as files, and what it leaves as files.

Nothing is shared between the machines but this: the recipe, the data and the plugin files go there, with what an earlier start
of the run has left; what the run folder holds comes back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.plugin_files import loaded_files
from ..data.catalog import BUNDLED, data_names, places, where
from ..errors import PluginError
from ..recipes.load import recipe_names
from .executor import Task
from .files import replacing
from .folder import remove_results
from .worker import Order

__all__ = ["LARGEST", "Parcel", "Stocks", "collected", "packed", "received", "unpacked"]

LARGEST = 256 * 2**20
"""Bytes of data that are sent along; a larger data set has to be there already."""
_GOES_BACK = ("state.pt", "resolved.json", "recipe.toml", "environment.json", "command.txt", "events.jsonl")
"""What an interrupted run needs of its folder to go on; its plugin files besides."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """An order whose files travel with it.

    order: with paths as they are on the machine that sends it. goods: path under the place of arrival -> sha256 of the content.
    moved: what the order calls a file -> its path under the place of arrival. shelf: folder there that holds a data set by
    its name. left: what the run folder holds already. too_large: the data set that was not sent, and its bytes.
    """

    hash: str
    label: str
    order: Order
    goods: Mapping[str, str]
    moved: Mapping[str, str]
    shelf: str | None
    left: Mapping[str, bytes]
    too_large: tuple[str, int] | None


class Stocks:
    """The contents of files, each read once; by sha256."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self._known: dict[tuple[Path, int, int], str] = {}

    def add(self, content: bytes) -> str:
        """Returns the sha256."""
        digest = hashlib.sha256(content).hexdigest()
        self.contents.setdefault(digest, content)
        return digest

    def add_file(self, path: Path) -> str:
        """Returns the sha256 of what it holds."""
        status = path.stat()
        key = path.absolute(), status.st_mtime_ns, status.st_size
        if key not in self._known:
            self._known[key] = self.add(path.read_bytes())
        return self._known[key]


# ---- there ----


def packed(task: Task, stocks: Stocks) -> Parcel:
    """All that `task` needs beside an installed seqaug; the contents are added to `stocks`. Raises OSError."""
    settings = task.order.settings
    goods: dict[str, str] = {}
    moved: dict[str, str] = {}

    def add(name: str, content: Path | bytes) -> None:
        digest = stocks.add_file(content) if isinstance(content, Path) else stocks.add(content)
        # The name stays: it is that of the data set, of the recipe, or of a plugin's module.
        arrival = f"{digest[:16]}/{Path(name).name}"
        goods[arrival] = digest
        moved[name] = arrival

    if settings.recipe not in recipe_names():
        add(settings.recipe, Path(settings.recipe))
    titles = settings.data_options.get("titles")
    if titles is not None:
        add(str(titles), Path(titles))
    contents = {str(file.path): file.content for file in loaded_files()}
    for path, sha256 in task.order.files:
        if path not in contents or hashlib.sha256(contents[path]).hexdigest() != sha256:
            raise PluginError(f"the plugin file {path} was changed after the runs were planned. Start the command again.")
        add(path, contents[path])

    shelf, too_large = None, None
    if settings.data in data_names():
        source = where(settings.data)
        if source is not None and not source.is_relative_to(BUNDLED):
            files = _files_of(source)
            size = sum(file.stat().st_size for file in files)
            if size > LARGEST:
                too_large = settings.data, size
            else:
                place = next(place.path for place in places() if source.is_relative_to(place.path))
                digests = {file.relative_to(place).as_posix(): stocks.add_file(file) for file in files}
                shelf = hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()[:16]
                goods |= {f"{shelf}/{name}": digest for name, digest in digests.items()}
    else:
        source = Path(settings.data).expanduser()
        size = sum(file.stat().st_size for file in _files_of(source))
        if size > LARGEST:
            too_large = settings.data, size
        elif source.is_file():
            add(settings.data, source)
        else:
            digests = {file.relative_to(source).as_posix(): stocks.add_file(file) for file in _files_of(source)}
            arrival = f"{hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()[:16]}/{source.name}"
            goods |= {f"{arrival}/{name}": digest for name, digest in digests.items()}
            moved[settings.data] = arrival
    left = {} if settings.fresh else _contents(task.folder, _GOES_BACK)
    # Without its marks it is no run that could go on.
    return Parcel(task.hash, task.label, task.order, goods, moved, shelf, left if "resolved.json" in left else {}, too_large)


def _files_of(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _contents(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """The files of a run folder that are there, its plugin files among them."""
    plugins = [f"plugins/{file.name}" for file in sorted((folder / "plugins").glob("*.py"))]
    return {name: (folder / name).read_bytes() for name in (*names, *plugins) if (folder / name).is_file()}


def unpacked(parcel: Parcel, contents: Mapping[str, bytes], place: Path, run: Path) -> tuple[Order, dict[str, str]]:
    """Write what a parcel brings under `place`, and the run folder `run`. contents: by sha256.

    Returns the order with the paths of this machine, and from each of those to what the sender calls it. Raises OSError.
    """
    for name, digest in parcel.goods.items():
        if not (place / name).exists():
            _write(place / name, contents[digest])
    for name, content in parcel.left.items():
        _write(run / name, content)
    here = {name: str(place / arrival) for name, arrival in parcel.moved.items()}
    settings = parcel.order.settings
    options = dict(settings.data_options)
    theirs: dict[str, str] = {}
    if options.get("titles") is not None:
        theirs[here[str(options["titles"])]] = str(Path(options["titles"]).absolute())
        options["titles"] = Path(here[str(options["titles"])])
    if settings.data in here:
        theirs[here[settings.data]] = str(Path(settings.data).expanduser().absolute())
    if settings.recipe in here:
        theirs[here[settings.recipe]] = settings.recipe
    order = replace(
        parcel.order,
        settings=replace(
            settings,
            recipe=here.get(settings.recipe, settings.recipe),
            data=here.get(settings.data, settings.data),
            data_options=options,
            out=run,
        ),
        files=tuple((here[path], sha256) for path, sha256 in parcel.order.files),
    )
    return order, theirs


# ---- and back ----


def collected(run: Path, theirs: Mapping[str, str]) -> dict[str, bytes]:
    """What a run folder holds, as it is to lie on the machine that sent the parcel. theirs: as `unpacked` gives it."""
    names = ("model.safetensors", "per_user.npz", *_GOES_BACK, "metrics.json")
    found = _contents(run, names)
    if "resolved.json" in found:
        resolved = json.loads(found["resolved.json"])
        resolved["request"] = _renamed(resolved["request"], theirs)
        found["resolved.json"] = (json.dumps(resolved, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    return found


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """`value` with every text that is one of `names` replaced."""
    if isinstance(value, dict):
        return {key: _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def received(folder: Path, files: Mapping[str, bytes], *, fresh: bool) -> None:
    """Write what came back, the file that makes it a finished run last. fresh: what the folder held before is of no use.

    The folder is to be locked meanwhile. Raises OSError.
    """
    if fresh:
        remove_results(folder)
    for name in sorted(files, key=lambda one: one == "metrics.json"):
        _write(folder / name, files[name])
    if "metrics.json" in files:
        (folder / "state.pt").unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(content)
