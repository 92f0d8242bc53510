"""Is this machine ready? Every check says what it found and, where something is wrong, what to do."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core import discovery
from ..core.registries import REGISTRIES, misplaced
from ..data import catalog, shelf
from ..errors import SeqaugError
from ..recipes.condition import condition_of
from ..recipes.load import load_recipe, recipe_names
from ..recipes.plan import make_plan

__all__ = ["Check", "doctor"]


@dataclass(frozen=True, slots=True)
class Check:
    """state: "fine", "note" (works, but worth knowing) or "wrong" (something will fail)."""

    name: str
    state: Literal["fine", "note", "wrong"]
    message: str


def doctor() -> Iterator[Check]:
    """One check after the other. Loads every installed plugin, one at a time, so that a broken one is found and named."""
    for name, check in _CHECKS:
        try:
            yield from check()
        except Exception as error:
            yield Check(name, "wrong", f"the check itself failed: {type(error).__name__}: {error}")


def _python() -> Iterator[Check]:
    found = f"{platform.python_version()} at {sys.executable}"
    good = sys.version_info >= (3, 11)
    yield Check("python", "fine" if good else "wrong", found if good else f"{found}; seqaug needs 3.11 or newer")


def _torch() -> Iterator[Check]:
    import torch

    version = torch.__version__
    numbers = tuple(int(part) for part in version.partition("+")[0].split(".")[:2])
    good = numbers >= (2, 6)
    yield Check("torch", "fine" if good else "wrong", version if good else f"{version}; seqaug needs 2.6 or newer")
    value = float(torch.ones(8, 8).matmul(torch.ones(8, 8)).sum())
    if value != 512:
        yield Check("torch", "wrong", f"a product of ones came out as {value} instead of 512: this torch cannot be trusted")
    yield Check("threads", "fine", f"{torch.get_num_threads()} of {os.cpu_count()} cores (--threads changes it)")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            yield Check("cuda", "fine", f"cuda:{index} {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    elif torch.version.cuda:
        yield Check("cuda", "note", f"this torch is built for CUDA {torch.version.cuda} but sees no device: runs use the CPU")
    else:
        yield Check("cuda", "fine", "none; this torch is built for the CPU")


def _plugins() -> Iterator[Check]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it would warn of is told below
        found = discovery.installed()
    for broken in found.broken:
        yield Check("plugins", "wrong", f"{broken}. Reinstall or remove it.")
    for message in misplaced():
        yield Check("plugins", "wrong", message)
    good, off = 0, Counter[str]()
    for kind, registry in REGISTRIES.items():
        for message in registry.collisions():
            yield Check("plugins", "note", message)
        for info in registry.all():
            condition = condition_of(info)
            if condition.state == "ok":
                good += 1
            elif info.disabled is not None:
                off[info.disabled] += 1
            else:
                yield Check("plugins", "wrong", f"{kind}: {condition.cause}")
    for by, count in off.items():
        yield Check("plugins", "note", f"{count} disabled by {by}")
    if good:
        yield Check("plugins", "fine", f"{good} load in {len(REGISTRIES)} registries")
    else:
        yield Check("plugins", "wrong", "none are installed, not even seqaug's own: run `pip install .` in its folder")


def _recipes() -> Iterator[Check]:
    good = 0
    for name in recipe_names():
        try:
            make_plan(load_recipe(name), data=None)
            good += 1
        except SeqaugError as error:
            yield Check("recipes", "wrong", f"{name}: {error}")
    yield Check("recipes", "fine" if good else "wrong", f"{good} resolve")


def _data() -> Iterator[Check]:
    for place in catalog.places():
        # A folder that somebody named must exist; the others are made when they are needed.
        missing = not place.exists and place.label.startswith("SEQAUG_DATA")
        state = "" if place.exists else " does not exist" if missing else " (not there yet)"
        yield Check("data", "wrong" if missing else "fine", f"{place.label}: {place.path}{state}")
    here = [entry.name for entry in catalog.entries() if entry.where is not None]
    absent = [entry.name for entry in catalog.entries() if entry.where is None]
    yield Check("data", "fine" if here else "wrong", f"on this machine: {', '.join(here) or 'nothing'}")
    if absent:
        yield Check("data", "note", f"not on this machine: {', '.join(absent)} (seqaug data get NAME)")


def _writing() -> Iterator[Check]:
    for label, path in (("runs", Path("runs")), ("data folder", shelf.data_folder()), ("downloads", shelf.downloads_folder())):
        folder = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
            yield Check(label, "fine", f"{path} can be written")
        except OSError as error:
            yield Check(label, "wrong", f"nothing can be written in {folder}: {error.strerror or error}")


_CHECKS: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
    ("python", _python),
    ("torch", _torch),
    ("plugins", _plugins),
    ("recipes", _recipes),
    ("data", _data),
    ("writing", _writing),
)
