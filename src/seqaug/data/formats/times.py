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

from .blocks import Column

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
    """The time column of a file, filled chunk by chunk; whole numbers and plain dates never become objects for long."""

    def __init__(self) -> None:
        # How the times of a chunk are written, where that is known, and the chunk: numbers as they are, dates in microseconds.
        self._chunks: list[tuple[TimeKind | None, Ints | list[str]]] = []

    def add(self, texts: Sequence[str]) -> None:
        if not texts:
            return
        whole = _whole_numbers(texts)
        if whole is None:
            # "1365029107.0", as files that were once a table of floats have it.
            whole = _whole_numbers([text.removesuffix(".0") for text in texts])
        self._chunks.append((None, list(texts)) if whole is None else ("number", whole))

    def add_column(self, column: Column) -> None:
        """The same from the cells of a block."""
        if (numbers := column.whole_numbers()) is not None:
            self._chunks.append(("number", numbers))
        elif (dates := column.dates()) is not None:
            self._chunks.append(("date", dates))
        else:
            self.add(column.texts())

    def keys(self) -> Ints:
        """(A,) int64, ordered as the times are, equal where they are equal. ValueError where a text is not a time.

        Whole numbers are their own keys, and so are the microseconds of dates. Everything else is ranked by its exact value.
        """
        if not self._chunks:
            return np.zeros(0, np.int64)
        kind, first = self._chunks[0]
        kind = kind or kind_of(str(first[0]))
        if kind is None:
            raise ValueError("not a time")
        values = [
            chunk if known == kind and isinstance(chunk, np.ndarray) else _exact(known, chunk, kind)
            for known, chunk in self._chunks
        ]
        whole = [chunk for chunk in values if isinstance(chunk, np.ndarray)]
        if len(whole) == len(values):
            return np.concatenate(whole)
        listed = [chunk.tolist() if isinstance(chunk, np.ndarray) else chunk for chunk in values]
        rank = {value: position for position, value in enumerate(sorted({value for chunk in listed for value in chunk}))}
        return np.fromiter((rank[value] for chunk in listed for value in chunk), np.int64)


def _exact(known: TimeKind | None, chunk: Ints | list[str], kind: TimeKind) -> Ints | list[Decimal]:
    """The exact times of a chunk: (n,) int64 where all of them are whole. ValueError where one is not of this kind."""
    texts = [str(text) for text in (chunk.tolist() if isinstance(chunk, np.ndarray) else chunk)]
    if known == "date":
        texts = np.datetime_as_string(np.asarray(chunk, dtype="M8[us]")).tolist()
    distinct = {text: exact_time(text, kind) for text in dict.fromkeys(texts)}
    values = {text: value for text, value in distinct.items() if value is not None}
    if len(values) < len(distinct):
        raise ValueError("not a time")
    if all(abs(value) < 2**63 and value == value.to_integral_value() for value in values.values()):
        numbers = {text: int(value) for text, value in values.items()}
        return np.fromiter(map(numbers.__getitem__, texts), np.int64, len(texts))
    return [values[text] for text in texts]


def _whole_numbers(texts: Sequence[str]) -> Ints | None:
    """The numbers where all texts are digits and nothing else, and fit; the way that nearly all files take."""
    joined = "".join(texts)
    if not (joined.isascii() and joined.isdigit()) or "" in texts:
        return None
    try:
        return np.fromiter(map(int, texts), np.int64, len(texts))
    except OverflowError:
        return None
