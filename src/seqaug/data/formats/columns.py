"""Which column holds the user, the item, the time and the rating: by their usual names, or as told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError, did_you_mean

__all__ = ["Columns", "FoundColumns", "find_columns", "named_like", "plain"]

# Without case, spaces, dots and underscores: `userId`, `user_id` and `User ID` are one name. The earlier name wins
# where a file has several: Amazon's `parent_asin` stands for all colours and sizes of one `asin`, and `unixReviewTime`
# and `timestamp` can be sorted where a `date` beside them is often only for the eye.
USUAL = {
    "user": (
        "userid", "user", "uid", "customerid", "customer", "reviewerid", "visitorid", "clientid", "memberid", "profileid",
        "accountid", "personid", "username", "sessionid", "session",
    ),
    "item": (
        "itemid", "item", "iid", "movieid", "movie", "parentasin", "asin", "productid", "product", "stockcode", "sku",
        "articleid", "businessid", "gmapid", "trackid", "songid", "artistid", "bookid", "isbn", "animeid", "gameid", "videoid",
        "newsid", "courseid", "recipeid", "venueid", "placeid", "poi", "poiid",
    ),
    "time": (
        "timestamp", "unixreviewtime", "unixtime", "unixtimestamp", "time", "datetime", "eventtime", "ratingtimestamp",
        "createdat", "date", "invoicedate", "orderdate", "purchasedate", "reviewdate", "tdat", "utctime", "ts",
    ),
    "rating": ("rating", "ratings", "stars", "overall", "score", "ratingscore", "value"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of a table's columns. None: found by the usual names."""

    user: str | None = None
    item: str | None = None
    time: str | None = None
    rating: str | None = None


@dataclass(frozen=True, slots=True)
class FoundColumns:
    """Positions of the columns in a row; None where there is none or none is wanted."""

    user: int
    item: int
    time: int | None
    rating: int | None
    width: int

    def described(self, names: Sequence[str]) -> str:
        """For the notes: which column was taken for what."""
        parts = {"user": self.user, "item": self.item, "time": self.time, "rating": self.rating}
        return "columns: " + ", ".join(f"{role} = {names[at]}" for role, at in parts.items() if at is not None)


def plain(name: str) -> str:
    """`name` without what differs from house to house: case, spaces, dots, underscores, hyphens."""
    return re.sub(r"[\W_]+", "", name).lower()


def named_like(names: Sequence[str], role: str) -> int | None:
    """Position of the column that by its name holds the `role` ("user", "item", "time", "rating")."""
    plain_names = [plain(name) for name in names]
    return next((plain_names.index(usual) for usual in USUAL[role] if usual in plain_names), None)


def find_columns(names: Sequence[str], columns: Columns, path: Path, *, needs_time: bool, needs_rating: bool) -> FoundColumns:
    """Where the wanted columns stand among `names`.

    Raises DataError for a column that was named but is not there, or that is needed and cannot be found.
    """
    listed = ", ".join(names)
    at: dict[str, int | None] = {}
    for role in USUAL:
        told: str | None = getattr(columns, role)
        if told is None:
            at[role] = named_like(names, role)
            continue
        if told not in names:
            hint = did_you_mean(told, names)
            raise DataError(f"{path} has no column {told!r}, which was to hold the {role}.{hint} Its columns are: {listed}.")
        at[role] = list(names).index(told)
    user, item = at["user"], at["item"]
    if user is None or item is None:
        missing = [role for role in ("user", "item") if at[role] is None]
        flags = " and ".join(f"--{role}-column" for role in missing)
        raise DataError(
            f"{path}: none of the columns {listed} is known to hold the {' or the '.join(missing)}. Name it with {flags}. "
            "(If the first line is no header but data, put a header in front, such as user_id,item_id,timestamp.)"
        )
    if needs_time and at["time"] is None:
        raise DataError(
            f"{path} has no time column among {listed}, so the order of a user's actions is unknown. Name the column with "
            "--time-column, or say with --file-order that the rows stand in the order of time already."
        )
    if needs_rating and at["rating"] is None:
        raise DataError(f"{path} has no rating column among {listed}, as a minimum rating needs. Name it with --rating-column.")
    chosen = FoundColumns(user, item, at["time"] if needs_time else None, at["rating"] if needs_rating else None, len(names))
    taken = [place for place in (chosen.user, chosen.item, chosen.time, chosen.rating) if place is not None]
    twice = next((place for place in taken if taken.count(place) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: the column {names[twice]!r} cannot hold two things at once. Its columns are: {listed}.")
    return chosen
