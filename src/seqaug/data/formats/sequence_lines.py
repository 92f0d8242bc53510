"""`user item item ...`, one line a user, oldest first: the form in which this literature passes its data on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..actions import Actions, Numbering
from .text import TextFile, malformed, shown

__all__ = ["read_sequence_lines", "refuse_header"]

CHUNK = 1 << 16
EXPECTED = "`user item item ...`, oldest first"


def read_sequence_lines(file: TextFile) -> Actions:
    """Tokens stand between blanks or tabs. Blank lines are skipped.

    A user with two lines is refused, not merged: nothing says which line is the older.
    """
    line_of: dict[str, int] = {}
    lengths: list[int] = []
    single = True  # whether every line so far has one item
    items = _Items()
    with file.lines() as lines:
        for number, line in enumerate(lines, start=1):
            user, *history = _tokens(line)
            if not user:
                continue
            if not history:
                raise malformed(file.path, number, f"{shown(line)}, a user without an item", EXPECTED)
            if user in line_of:
                raise malformed(
                    file.path,
                    number,
                    f"a second line of the user {user!r} (the first is line {line_of[user]})",
                    f"one line a user: {EXPECTED}"
                    + (
                        ". If the file has one action a line, give it a header, such as user_id,item_id"
                        if single or len(history) == 1
                        else ""
                    ),
                )
            line_of[user] = number
            lengths.append(len(history))
            single = single and len(history) == 1
            items.add(history)
    users = Numbering()
    try:
        return Actions(
            users=np.repeat(users.of(list(line_of)), np.asarray(lengths, dtype=np.int64)),
            items=items.all(),
            user_names=users.names,
            item_names=items.names,
        )
    except ValueError as error:
        raise _misnamed(file, str(error)) from None


def _tokens(line: str) -> list[str]:
    """The user, "" on a blank line, and the items."""
    # Only blanks and tabs separate; str.split() would also cut at rarer spaces inside a name.
    user, *history = line.strip(" \t\r\n").replace("\t", " ").split(" ")
    return [user, *(token for token in history if token)] if "" in history else [user, *history]


class _Items:
    """The items of all lines, numbered some lines at a time: the tokens of 10^7 actions would fill a gigabyte."""

    def __init__(self) -> None:
        self._numbering = Numbering()
        self._waiting: list[str] = []
        self._numbered: list[NDArray[np.int64]] = []
        self._problem: ValueError | None = None

    @property
    def names(self) -> list[str]:
        return self._numbering.names

    def add(self, history: list[str]) -> None:
        self._waiting += history
        if len(self._waiting) >= CHUNK:
            self._number()

    def all(self) -> NDArray[np.int64]:
        """(A,) int64. ValueError for the first name that cannot be one."""
        self._number()
        if self._problem is not None:
            raise self._problem
        return np.concatenate(self._numbered)

    def _number(self) -> None:
        # A line that breaks the form, even a later one, is the better thing to complain about: so not before the end.
        if self._problem is None:
            try:
                self._numbered.append(self._numbering.of(self._waiting))
            except ValueError as problem:
                self._problem = problem
        self._waiting = []


def _misnamed(file: TextFile, name: str) -> DataError:
    """For a user or item whose name cannot be one: the first line that has it."""
    with file.lines() as lines:
        tokens = ((number, _tokens(line)) for number, line in enumerate(lines, start=1))
        number = next(number for number, found in tokens if found[0] and name in [token.strip() for token in found])
    return malformed(file.path, number, str(Numbering.problem_with(name)), "names of users and items between blanks")


def refuse_header(file: TextFile, line: int, first: str) -> DataError:
    """For a first line that reads like a header but has its names between blanks."""
    return malformed(file.path, line, f"{shown(first)}, which looks like a header", "tabs or commas between the columns")
