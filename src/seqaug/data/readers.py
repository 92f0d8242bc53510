"""The accepted file formats -> UserSequences. Which one a file has is seen from its first line, not from its name.

    user item item ...                                one line a user, oldest first
    user_id:token  item_id:token  timestamp:float     RecBole's .inter: tabs, typed header
    userId,movieId,rating,timestamp                   CSV or TSV with a header; columns by their usual names, or as told
    1::1074638::7::1365029107                         MovieLens, MovieTweetings
    {"reviewerID": .., "asin": .., "unixReviewTime": ..}    Amazon's reviews and their like, one JSON object a line

All plain or packed with gzip. Names of users and items are text and stay as they are, leading zeros included; only
blanks around them go. Times are compared exactly (`seqaug.data.formats.times`); actions of one moment stay in the
order of the file. Order of the choices: duplicates, minimum rating and period, k-core, users with too few items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .actions import Actions, Duplicates, keep_mask, renumbered, sequences_from
from .formats.columns import Columns, named_like
from .formats.sequence_lines import read_sequence_lines, refuse_header
from .formats.tables import (
    Table,
    Wanted,
    delimiter_of,
    json_table,
    movie_table,
    read_table,
    separated_table,
    typed_table,
)
from .formats.text import TextFile, malformed, shown
from .formats.titles import read_titles, titles_beside
from .sequences import UserSequences, num_repeats

__all__ = ["MIN_ITEMS", "Columns", "Duplicates", "Order", "Reading", "format_of", "prepared", "read"]

Order = Literal["time", "file"]
Bools = NDArray[np.bool_]

# One action to train on, one for validation, one for the test.
MIN_ITEMS = 3

ACCEPTED = (
    "`user item item ...`, a CSV or TSV table with a header, RecBole's .inter, MovieLens' user::item::rating::time, "
    "or one JSON object a line"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file held. notes: a sentence for every choice made on the way; dropped_users: those with too few items."""

    sequences: UserSequences
    format: str
    dropped_users: int
    notes: list[str]


def read(
    path: str | Path,
    *,
    columns: Columns | None = None,
    duplicates: Duplicates = "keep",
    k_core: int = 0,
    min_rating: float | None = None,
    period: tuple[str, str] | None = None,
    order: Order = "time",
    titles: str | Path | None = None,
) -> Reading:
    """The sequences in `path`, whatever its format.

    columns: a table's columns where they do not have their usual names. duplicates: whether a user keeps all actions with
    an item, or the first or last. k_core: every user and item has at least so many actions; 0 or 1 for none.
    min_rating: actions rated lower are dropped. period: first and last time kept, written as in the file.
    order: "file" says that the rows of a table already stand in the order of time; no time column is read then.
    titles: a file of titles; by default the one beside `path`, if any.
    Raises DataError where the file cannot be used, or no user with `MIN_ITEMS` actions is left.
    """
    path = Path(path)
    wanted = Wanted(columns or Columns(), time=order == "time", rating=min_rating is not None, period=period)
    if period and order == "file":
        raise DataError("a period needs a time column, and the order of the file was asked for instead of one.")
    file = TextFile.at(path)
    table, format = _recognised(file, wanted)
    if table is None:
        if min_rating is not None or period or wanted.columns != Columns():
            raise DataError(f"{path} holds `user item item ...` lines: no columns to name, no ratings, no times.")
        actions, notes = read_sequence_lines(file), []
    else:
        actions, notes = read_table(table), [] if format == "dat" else [table.found.described(table.names)]
        if order == "file":
            notes.append("the rows were taken to stand in the order of time, as asked")
    known_titles, title_notes = _titles(path, format, titles)
    actions, filter_notes = _filtered(actions.in_order(), duplicates, min_rating, period)
    if not len(actions.items):
        raise DataError(f"{path}: no action is left. {'; '.join(filter_notes)}.")
    sequences, dropped, notes_after = prepared(sequences_from(actions, known_titles), k_core=k_core, source=str(path))
    return Reading(sequences, format, dropped, notes + filter_notes + notes_after + title_notes)


def format_of(path: str | Path) -> str:
    """The format that `read` would take the file for. Raises DataError where it would take it for none."""
    return _recognised(TextFile.at(Path(path)), Wanted(Columns(), time=False, rating=False, period=None))[1]


def prepared(
    sequences: UserSequences, *, duplicates: Duplicates = "keep", k_core: int = 0, source: str
) -> tuple[UserSequences, int, list[str]]:
    """Sequences after the duplicate policy, the k-core and the loss of users with too few items; how many those were; notes.

    Items are numbered anew by first appearance. Raises DataError, naming `source`, where nobody is left.
    """
    notes = []
    if duplicates != "keep":
        sequences, note = _without_duplicates(sequences, duplicates)
        notes.append(note)
    if k_core > 1:
        before = sequences
        sequences = sequences.k_core(k_core)
        if not sequences.num_users:
            raise DataError(
                f"{source}: no user is left in the {k_core}-core, that is, with every user and item having {k_core} actions. "
                "A smaller k may leave some."
            )
        notes.append(
            f"{k_core}-core: {sequences.num_users:,} of {before.num_users:,} users, {sequences.num_items:,} of "
            f"{before.num_items:,} items, {sequences.num_actions:,} of {before.num_actions:,} actions stay"
        )
    else:
        notes.append("no k-core")
    enough = sequences.lengths >= MIN_ITEMS
    dropped = int((~enough).sum())
    if not enough.any():
        raise DataError(
            f"{source}: none of the {sequences.num_users:,} users has {MIN_ITEMS} items or more, "
            "as training, validation and test need."
        )
    if dropped:
        of = sequences.num_users
        sequences = sequences.users_kept(enough)
        notes.append(f"{dropped:,} of {of:,} users were dropped because they have fewer than {MIN_ITEMS} items")
    return renumbered(sequences), dropped, notes


def _recognised(file: TextFile, wanted: Wanted) -> tuple[Table | None, str]:
    """The table that the file holds and its format's name; no table for `user item item ...` lines."""
    number, first = file.first_line()
    if first.startswith("{"):
        return json_table(file, number, first, wanted), "json lines"
    if first.startswith("["):
        raise malformed(file.path, number, f"{shown(first)}, the start of a JSON array", "one JSON object a line")
    if "::" in first:
        return movie_table(file, wanted), "dat"
    typed = typed_table(file, first, wanted)
    if typed:
        return typed, "inter"
    delimiter = delimiter_of(first, wanted.columns)
    if delimiter:
        return separated_table(file, first, delimiter, wanted), "tsv" if delimiter == "\t" else "csv"
    tokens = first.split()
    if len(tokens) < 2:
        raise malformed(file.path, number, shown(first), ACCEPTED)
    if named_like(tokens, "user") is not None and named_like(tokens, "item") is not None:
        raise refuse_header(file, number, first)
    return None, "sequences"


def _filtered(
    actions: Actions, duplicates: Duplicates, min_rating: float | None, period: tuple[str, str] | None
) -> tuple[Actions, list[str]]:
    """Actions, in order, after the choices that look at single rows; a note for each."""
    if duplicates == "keep":
        repeats = num_repeats(actions.users, actions.items)
        total = len(actions.items)
        notes = [f"duplicates: all kept ({repeats:,} of {total:,} actions repeat an item that the user had before)"]
    else:
        stays = keep_mask(actions.users, actions.items, duplicates)
        actions = actions.where(stays)
        notes = [_about_duplicates(duplicates, stays)]
    if min_rating is not None:
        assert actions.ratings is not None
        high = actions.ratings >= min_rating
        actions = actions.where(high)
        notes.append(f"minimum rating {min_rating:g}: {int((~high).sum()):,} of {len(high):,} actions dropped")
    if period is not None:
        assert actions.times is not None and actions.period is not None
        inside = (actions.times >= actions.period[0]) & (actions.times <= actions.period[1])
        actions = actions.where(inside)
        notes.append(f"period {period[0]} to {period[1]}: {int((~inside).sum()):,} of {len(inside):,} actions dropped")
    return actions, notes


def _without_duplicates(sequences: UserSequences, duplicates: Duplicates) -> tuple[UserSequences, str]:
    users = np.repeat(np.arange(sequences.num_users), sequences.lengths)
    stays = keep_mask(users, sequences.items, duplicates)
    fewer = UserSequences(
        offsets=np.concatenate([[0], np.cumsum(np.bincount(users[stays], minlength=sequences.num_users))]).astype(np.int64),
        items=sequences.items[stays],
        user_ids=sequences.user_ids,
        item_ids=sequences.item_ids,
        titles=sequences.titles,
    )
    return fewer, _about_duplicates(duplicates, stays)


def _about_duplicates(duplicates: Duplicates, stays: Bools) -> str:
    dropped = int((~stays).sum())
    return f"duplicates: the {duplicates} action of a user with an item kept, {dropped:,} of {len(stays):,} actions dropped"


def _titles(path: Path, format: str, told: str | Path | None) -> tuple[dict[str, str], list[str]]:
    if told is not None:
        return read_titles(Path(told)), [f"titles: {told}"]
    beside = titles_beside(path, format)
    if beside is None:
        return {}, []
    try:
        return read_titles(beside), [f"titles: {beside}"]
    except DataError as reason:
        # Nobody asked for this file; without it the data is as good as before.
        return {}, [f"no titles: {reason}"]
