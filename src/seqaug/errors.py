"""What can go wrong, and which exit code says so.

    SeqaugError            1   the run failed
    ├── RecipeError        2   a recipe, an option or a flag is wrong; every problem at once
    │   └── UnknownName    2   a name that no registry, recipe or variant has
    ├── DataError          3   a data set or file cannot be used
    ├── PluginError        4   a known plugin that will not load
    ├── CheckFailed        5   a check ran and found something
    ├── Diverged           6   a loss or a score became NaN or infinite
    └── Interrupted      130   stopped by the user; a checkpoint was kept

A message is a sentence for the person who can act: what was asked, what was found, what would work.
Broken invariants of our own are `assert`s, not errors.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal

__all__ = [
    "CheckFailed",
    "DataError",
    "Diverged",
    "Interrupted",
    "PluginError",
    "RecipeError",
    "SeqaugError",
    "UnknownName",
    "did_you_mean",
]


class SeqaugError(Exception):
    """A problem that its reader can act on. The message is complete sentences; `exit_code` is what the CLI returns."""

    exit_code = 1


class RecipeError(SeqaugError):
    """A recipe, a patch or a flag cannot be used. `problems` holds every one of them, each with its path."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class UnknownName(RecipeError):
    """A name was asked for that nobody has. The message lists what exists and the nearest spelling."""


class DataError(SeqaugError):
    """A file or data set is missing, malformed or empty. The message names the file and, where there is one, the line."""

    exit_code = 3


class PluginError(SeqaugError):
    """A plugin is known but will not load: it fails to import, collides, or does not keep its contract.

    state: "incompatible" where it was written for another version of the contract, "disabled" where somebody has switched it
    off, "broken" otherwise.
    """

    exit_code = 4

    def __init__(self, message: str, *, state: Literal["broken", "incompatible", "disabled"] = "broken") -> None:
        self.state = state
        super().__init__(message)


class CheckFailed(SeqaugError):
    """A check did its work and found something wrong."""

    exit_code = 5


class Diverged(SeqaugError):
    """A loss or a score is NaN or infinite: the numbers from here on would mean nothing."""

    exit_code = 6


class Interrupted(SeqaugError):
    """The user stopped the run. What was finished is kept, and the same command goes on from there."""

    exit_code = 130


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ " Did you mean 'similarity'?" for 'similarty', or nothing where no known name is near.

    Starts with a space, so that it can be appended to a sentence.
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
