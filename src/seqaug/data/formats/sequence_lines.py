"""`user item item ...`, one line a user, oldest first: the form in which this literature passes its data on."""

from __future__ import annotations

from itertools import chain

import numpy as np

from ...errors import DataError
from ..actions import Actions, Numbering
from .text import TextFile, malformed, shown

__all__ = ["read_sequence_lines", "refuse_header"]

EXPECTED = "`user item item ...`, oldest first"


def read_sequence_lines(file: TextFile) -> Actions:
    """Tokens stand between blanks or tabs. Blank lines are skipped.

    A user with two lines is refused, not merged: nothing says which line is the older.
    """
    line_of: dict[str, int] = {}
    histories: list[list[str]] = []
    with file.lines() as lines:
        for number, line in enumerate(lines, start=1):
            # Only blanks and tabs separate; str.split() would also cut at rarer spaces inside a name.
            user, *history = line.strip(" \t\r\n").replace("\t", " ").split(" ")
            if "" in history:
                history = [token for token in history if token]
            if not user:
                continue
            if not history:
                raise malformed(file.path, number, f"{shown(line)}, a user without an item", EXPECTED)
            if user in line_of:
                pairs = len(history) == 1 or all(len(items) == 1 for items in histories)
                raise malformed(
                    file.path,
                    number,
                    f"a second line of the user {user!r} (the first is line {line_of[user]})",
                    f"one line a user: {EXPECTED}"
                    + (". If the file has one action a line, give it a header, such as user_id,item_id" if pairs else ""),
                )
            line_of[user] = number
            histories.append(history)
    users, items = Numbering(), Numbering()
    try:
        lengths = np.asarray([len(history) for history in histories], dtype=np.int64)
        return Actions(
            users=np.repeat(users.of(list(line_of)), lengths),
            items=items.of(list(chain.from_iterable(histories))),
            user_names=users.names,
            item_names=items.names,
        )
    except ValueError as error:
        name = str(error)
        number, _ = next(
            (number, history)
            for (user, number), history in zip(line_of.items(), histories, strict=True)
            if name in (user.strip(), *(item.strip() for item in history))
        )
        problem = Numbering.problem_with(name)
        raise malformed(file.path, number, str(problem), "names of users and items between blanks") from None


def refuse_header(file: TextFile, line: int, first: str) -> DataError:
    """For a first line that reads like a header but has its names between blanks."""
    return malformed(file.path, line, f"{shown(first)}, which looks like a header", "tabs or commas between the columns")
