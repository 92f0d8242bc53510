"""A block of a delimited file as columns: where every cell stands, without a Python object for each of them.

The cells of 10^7 rows are 4 x 10^7 short strings, which cost more time and memory than everything that is done with them.
Here a block of bytes is searched for its delimiters by numpy; names become the few that are distinct, times become numbers.
A block that holds anything out of the ordinary (`cells_of` says what) is left to the csv module, so this way of reading has
no rules of its own: it gives what the csv module gives, or nothing.

R rows, of which each has the same number of cells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIELD_MARK", "Cells", "Column", "Cut", "cells_of", "first_appearances", "texts_of", "unquoted"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

FIELD_MARK = "\x1f"  # the ASCII unit separator: stands for "::", which the csv module cannot split at
NEWLINE = 10
# The longest cell that the csv module takes.
LONGEST_CELL = 131_072
# Names of up to so many bytes are compared as eight-byte words; longer ones as text.
LONGEST_WORDS = 64
# Digits that an int64 holds, whatever they are.
SAFE_DIGITS = 18
MICROSECONDS_A_DAY = 86_400_000_000
# The first r bytes of a little-endian word.
FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], dtype=np.uint64)
MIX = np.uint64(0x9E3779B97F4A7C15)
HIGH_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")  # U+0080 to U+009F


@dataclass(frozen=True, slots=True)
class Cut:
    """How the lines of a table are cut into cells: the delimiter, ("::" for MovieLens' files), and whether quotes count."""

    delimiter: str
    quotes: bool


@dataclass(frozen=True)
class Column:
    """One column of a block: row r's cell is content[starts[r]:ends[r]]. starts, ends: (R,).

    content: bytes of UTF-8 with at least eight bytes behind the last cell's end. No cell holds a line's end.
    """

    content: bytes
    starts: Ints
    ends: Ints

    def distinct(self) -> tuple[list[str], Ints]:
        """The different texts in order of first appearance, and the number (R,) of each row's among them."""
        found = self.distinct_words()
        if found is not None:
            words, number = found
            return texts_of(words), number
        numbers: dict[str, int] = {}
        place = [numbers.setdefault(text, len(numbers)) for text in self.texts()]
        return list(numbers), np.asarray(place, dtype=np.int64)

    def distinct_words(self) -> tuple[Words, Ints] | None:
        """The same with each text as its bytes, eight to a word, zeros behind them: (distinct, words), (R,).

        None where a cell is longer than `LONGEST_WORDS`.
        """
        longest = int(self._lengths.max(initial=0))
        if longest > LONGEST_WORDS:
            return None
        return first_appearances(np.stack([self._word(8 * place) for place in range(max(1, -(-longest // 8)))], axis=1))

    def tidy(self) -> bool:
        """Whether every cell has a first and a last character, and neither is an ASCII blank."""
        raw = self._raw
        return bool((self._lengths > 0).all() and (raw[self.starts] > 32).all() and (raw[self.ends - 1] > 32).all())

    def whole_numbers(self) -> Ints | None:
        """(R,) the numbers, where every cell is digits and nothing else, or digits and ".0"; None for other columns.

        None also where a number might not fit into 64 bits.
        """
        lengths, raw = self._lengths, self._raw
        decimal = (lengths > 2) & (raw[self.ends - 1] == ord("0")) & (raw[self.ends - 2] == ord("."))
        lengths = lengths - 2 * decimal
        if not len(lengths) or lengths.min() < 1 or lengths.max() > SAFE_DIGITS:
            return None
        numbers = np.zeros(len(lengths), np.int64)
        for length in np.flatnonzero(np.bincount(lengths)).tolist():
            rows = slice(None) if lengths.min() == lengths.max() else np.flatnonzero(lengths == length)
            found = _digits(raw, self.starts[rows], length)
            if found is None:
                return None
            numbers[rows] = found
        return numbers

    def dates(self) -> Ints | None:
        """(R,) microseconds since 1970, where every cell is a date of 10, 19 or 20 characters, all of one length: 2013-04-03,
        2013-04-03 22:45:07 or 2013-04-03T22:45:07Z. None for other columns, and where one is no date.
        """
        length = int(self._lengths.max(initial=0))
        if length not in (10, 19, 20) or self._lengths.min() != length:
            return None
        raw, starts = self._raw, self.starts
        marks = {4: b"-", 7: b"-"} if length == 10 else {4: b"-", 7: b"-", 10: b" T", 13: b":", 16: b":"}
        if length == 20:
            marks[19] = b"Z"
        if not all(np.isin(raw[starts + place], list(allowed)).all() for place, allowed in marks.items()):
            return None
        parts = [_digits(raw, starts + place, 4 if place == 0 else 2) for place in (0, 5, 8, 11, 14, 17) if place < length]
        if any(part is None for part in parts):
            return None
        year, month, day, *clock = cast("list[Ints]", parts)
        if year.min() < 1 or month.min() < 1 or month.max() > 12 or day.min() < 1:
            return None
        months = (12 * (year - 1970) + month - 1).astype("M8[M]")
        first, next_first = months.astype("M8[D]").astype(np.int64), (months + 1).astype("M8[D]").astype(np.int64)
        if (first + day > next_first).any():
            return None
        hour, minute, second = clock or [np.zeros_like(day)] * 3
        if hour.max() > 23 or minute.max() > 59 or second.max() > 59:
            return None
        seconds = 3600 * hour + 60 * minute + second
        return (first + day - 1) * MICROSECONDS_A_DAY + 1_000_000 * seconds

    def texts(self, rows: Ints | None = None) -> list[str]:
        """The cells of these rows, or of all."""
        starts, ends = (self.starts, self.ends) if rows is None else (self.starts[rows], self.ends[rows])
        if not len(starts):
            return []
        content = self.content
        cells = [content[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        return b"\n".join(cells).decode().split("\n")

    @cached_property
    def _lengths(self) -> Ints:
        return self.ends - self.starts

    @cached_property
    def _raw(self) -> Bytes:
        return np.frombuffer(self.content, np.uint8)

    def _word(self, place: int) -> Words:
        """(R,) the bytes `place` to `place` + 7 of every cell, zero behind its end."""
        windows = np.lib.stride_tricks.sliding_window_view(self._raw, 8)
        # A cell that ends before has none of them: wherever they are read, the mask takes them away.
        words = windows[np.minimum(self.starts + place, len(windows) - 1)].view("<u8")[:, 0].astype(np.uint64, copy=False)
        words &= FIRST_BYTES[np.clip(self._lengths - place, 0, 8)]
        return words


def first_appearances(words: Words) -> tuple[Words, Ints] | None:
    """The distinct rows of (R, words) in order of first appearance, and the number (R,) of each row's among them.

    None where two rows that differ have one 64-bit key, which nobody has seen yet.
    """
    key = words[:, 0]
    for place in range(1, words.shape[1]):
        key = (key ^ (key >> np.uint64(29))) * MIX + words[:, place]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    for place in range(words.shape[1] if words.shape[1] > 1 else 0):
        if not np.array_equal(words[:, place], words[first, place][inverse]):
            return None
    order = np.argsort(first)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return words[first[order]], number[inverse]


def texts_of(words: Words) -> list[str]:
    """(n, words) as `Column.distinct_words` gives them -> n texts, of which none holds a line's end or a NUL."""
    if not len(words):
        return []
    cells = np.ascontiguousarray(words, dtype="<u8").view(f"S{8 * words.shape[1]}")[:, 0].tolist()
    return b"\n".join(cells).decode().split("\n")


@dataclass(frozen=True, slots=True)
class Cells:
    """A block in which every row has the same number of cells. marks: (R, cells a row), where each cell ends."""

    content: bytes
    marks: Ints

    @property
    def num_rows(self) -> int:
        """R."""
        return len(self.marks)

    def column(self, place: int) -> Column:
        """The cells at `place` of every row."""
        if place:
            starts = self.marks[:, place - 1] + 1
        else:
            starts = np.concatenate([np.zeros(1, np.int64), self.marks[:-1, -1] + 1])
        return Column(self.content, starts, np.ascontiguousarray(self.marks[:, place]))


def cells_of(block: bytes, cut: Cut, width: int) -> Cells | None:
    """The cells of a block of whole lines (the last one may lack its end), `width` in each row.

    None where the csv module has to decide: a quotation mark where quotes count, another number of cells, a blank line, a line
    that ends in a carriage return, text that is not UTF-8, a control character, a cell longer than that module takes.
    """
    if cut.quotes and b'"' in block:
        return None
    if b"\r" in block:
        if block.count(b"\r") != block.count(b"\r\n"):
            return None
        block = block.replace(b"\r\n", b"\n")
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError:
            return None
        if HIGH_CONTROL.search(block):
            return None
    low = np.count_nonzero(np.frombuffer(block, np.uint8) < 32)
    if low != block.count(b"\n") + block.count(b"\t") or b"\x7f" in block:
        return None
    mark = cut.delimiter
    if len(mark) > 1:
        block, mark = block.replace(mark.encode(), FIELD_MARK.encode()), FIELD_MARK
    if not block.endswith(b"\n"):
        block += b"\n"
    raw = np.frombuffer(block, np.uint8)
    found = np.flatnonzero((raw == ord(mark)) | (raw == NEWLINE))
    if len(found) % width:
        return None
    marks = found.reshape(-1, width)
    is_end = raw[marks] == NEWLINE
    if not is_end[:, -1].all() or is_end[:, :-1].any() or np.diff(found, prepend=-1).max() > LONGEST_CELL:
        return None
    return Cells(block + bytes(8), marks)


def unquoted(block: bytes, cut: Cut) -> bytes | None:
    """A block without its quotes, where they stand around whole cells and hold nothing that means anything; None elsewhere.

    The quotes of `"ann","b07",5` say nothing; those of `"b07, the red one"` do.
    """
    raw = np.frombuffer(block, np.uint8)
    is_mark = (raw == ord(cut.delimiter)) | (raw == NEWLINE)
    quotes = np.flatnonzero(raw == ord('"'))
    if len(quotes) % 2:
        return None
    opening, closing = quotes[::2], quotes[1::2]
    begins = is_mark[opening - 1]
    begins[opening == 0] = True
    ends = np.append(is_mark | (raw == ord("\r")), True)[closing + 1]
    marks = np.flatnonzero(is_mark)
    inside = np.searchsorted(marks, closing) - np.searchsorted(marks, opening)
    if inside.any() or not begins.all() or not ends.all():
        return None
    return block.replace(b'"', b"")


def _digits(raw: Bytes, starts: Ints, length: int) -> Ints | None:
    """The numbers written in the `length` bytes from each start, or None where one of those is no digit."""
    numbers = np.zeros(len(starts), np.int64)
    for place in range(length):
        digits = raw[starts + place] - np.uint8(ord("0"))  # below "0" wraps around to more than 9
        if (digits > 9).any():
            return None
        numbers *= 10
        numbers += digits
    return numbers
