"""Times as int64 keys that sort exactly as the times do.

float32 has steps of 64 seconds at today's Unix times, and a library that reads timestamps into it re-orders histories
without a word. Here a time is a whole number, a decimal number or an ISO 8601 date, and is compared as exactly that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["TimeColumn", "TimeKind", "exact_time", "kind_of"]

Ints = NDArray[np.int64]
TimeKind = Literal["number", "date"]

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
FINE_FRACTION = re.compile(r"(?<=[.,]\d{6})\d+")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXPECTED: dict[TimeKind, str] = {
    "number": "a time as a number, such as 1365029107, because the first time of the file is a number",
    "date": "an ISO date, such as 2013-04-03 or 2013-04-03 22:45:07, because the first time of the file is one",
}


def kind_of(text: str) -> TimeKind | None:
    """How this time is written, or None where it is not a time."""
    return next((kind for kind in EXPECTED if exact_time(text, kind) is not None), None)


def exact_time(text: str, kind: TimeKind) -> Decimal | None:
    """The time without any rounding: the number, or microseconds since 1970; None where it is not of that kind.

    A date without a time of day is its midnight; one without a zone is taken as UTC.
    """
    text = text.strip()
    if kind == "number":
        return Decimal(text) if NUMBER.fullmatch(text) else None
    if text.endswith(" UTC"):
        text = text[:-4] + "+00:00"
    # datetime keeps microseconds and would drop what is finer.
    finer = FINE_FRACTION.search(text)
    try:
        moment = datetime.fromisoformat(text[: finer.start()] + text[finer.end() :] if finer else text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    microseconds = Decimal((moment - EPOCH) // timedelta(microseconds=1))
    return microseconds + Decimal(f"0.{finer.group()}") if finer else microseconds


class TimeColumn:
    """The time column of a file, filled chunk by chunk; whole numbers never become text or objects for long."""

    def __init__(self) -> None:
        self._chunks: list[Ints | list[str]] = []

    def add(self, texts: Sequence[str]) -> None:
        whole = _whole_numbers(texts)
        if whole is None:
            # "1365029107.0", as files that were once a table of floats have it.
            whole = _whole_numbers([text.removesuffix(".0") for text in texts])
        self._chunks.append(list(texts) if whole is None else whole)

    def keys(self) -> Ints:
        """(A,) int64, ordered as the times are, equal where they are equal. ValueError where a text is not a time.

        Whole numbers are their own keys. Everything else is ranked by its exact value.
        """
        if all(isinstance(chunk, np.ndarray) for chunk in self._chunks):
            return np.concatenate([*self._chunks, np.zeros(0, np.int64)])
        texts = [str(text) for chunk in self._chunks for text in (chunk.tolist() if isinstance(chunk, np.ndarray) else chunk)]
        kind = kind_of(texts[0])
        distinct = {text: exact_time(text, kind) if kind else None for text in dict.fromkeys(texts)}
        if None in distinct.values():
            raise ValueError("not a time")
        values = sorted({value for value in distinct.values() if value is not None})
        rank = {value: position for position, value in enumerate(values)}
        key = {text: rank[value] for text, value in distinct.items() if value is not None}
        return np.fromiter(map(key.__getitem__, texts), np.int64, len(texts))


def _whole_numbers(texts: Sequence[str]) -> Ints | None:
    """The numbers where all texts are digits and nothing else, and fit; the way that nearly all files take."""
    joined = "".join(texts)
    if not (joined.isascii() and joined.isdigit()) or "" in texts:
        return None
    try:
        return np.fromiter(map(int, texts), np.int64, len(texts))
    except OverflowError:
        return None
