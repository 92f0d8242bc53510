"""Blocks cut by numpy give what the csv module gives, to the last bit and the last word of a refusal."""

from __future__ import annotations

import gzip
import io
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqaug.data.actions import Actions, Numbering
from seqaug.data.formats import blocks, sequence_lines, tables
from seqaug.data.formats.blocks import Cells, Column, Cut, cells_of, first_appearances, texts_of, unquoted
from seqaug.data.formats.names import Names
from seqaug.data.formats.times import TimeColumn, exact_time
from seqaug.data.readers import read
from seqaug.errors import DataError

PLAIN = Cut(",", quotes=True)


@contextmanager
def set_to(module: Any, **values: Any) -> Iterator[None]:
    """Like monkeypatch, for use inside a test of hypothesis."""
    before = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def outcome(path: Path, **options: Any) -> tuple[Any, ...]:
    """All that reading gives: the arrays and the notes, or the words of the refusal."""
    try:
        reading = read(path, **options)
    except DataError as refusal:
        return ("refused", str(refusal))
    found = reading.sequences
    return (
        found.offsets.tolist(),
        found.items.tolist(),
        found.user_ids.tolist(),
        found.item_ids.tolist(),
        reading.notes,
        reading.format,
        reading.dropped_users,
    )


def columns_of(text: str, width: int = 2, cut: Cut = PLAIN) -> list[Column]:
    cells = cells_of(text.encode(), cut, width)
    assert cells is not None
    return [cells.column(place) for place in range(width)]


# Cells that are plain, nearly plain and not plain at all. Most rows should be good, or nothing but refusals are compared.
good_names = st.one_of(
    st.sampled_from(["u", "v", "w", "u1", "é", "ü2"]),
    st.text("abc01é漢", min_size=1, max_size=10),
    st.sampled_from(["a" * 8, "a" * 9, "b" * 16, "b" * 17, "c" * 64, "c" * 65, "c" * 200]),
)
odd_names = st.one_of(
    st.sampled_from([" u", "u ", "\xa0u", "u\u3000", "\x85", '"', 'a"b', '"q"', '"a,b"', "", " ", "\ufeffu", "d" * 257]),
    st.sampled_from(["\x1f", "\x01", "\x7f", "\x9d", "\0"]),
)
times = st.one_of(
    st.integers(0, 5).map(str),
    st.sampled_from(["007", "9" * 18, "9" * 19, "9" * 20, "3.0", "3.5", "-1", "+4", "1e3", " 3", ".0", "0", ""]),
    st.sampled_from(["2020-02-29", "2019-02-29", "2020-01-01 10:00:00", "2020-01-01T10:00:00Z", "2020-1-1"]),
)
good_times = st.integers(0, 9).map(str)
line_ends = st.sampled_from(["\n"] * 9 + ["\r\n"] * 3 + ["\n\n", "\r", "\r\r\n"])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, str]:
    """The text of a table and the mark between its cells."""
    mark = draw(st.sampled_from([",", "\t", "::", ";"]))
    tidy = draw(st.sampled_from([True, True, False]))
    names = good_names if tidy else st.one_of(good_names, good_names, good_names, odd_names)
    at = draw(st.sampled_from([good_times, good_times, times]))
    cells = st.tuples(names, names, st.sampled_from(["5", "4.5", "4", "5.0"]), at)
    rows = draw(st.lists(cells, min_size=0, max_size=30))
    end = st.sampled_from(["\n", draw(line_ends)]) if tidy else line_ends
    quoted = mark in ",;" and draw(st.booleans())
    if quoted:  # as programs write them that put every text into quotes
        rows = [(*(f'"{name.replace(chr(34), 2 * chr(34))}"' for name in row[:2]), *row[2:]) for row in rows]
    lines = [mark.join(row) + draw(end) for row in rows]
    if rows and draw(st.integers(0, 5)) == 0:
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["x\n", mark.join("abcde") + "\n", " \n", "\n"])))
    names = ['"user"', '"item"', '"rating"', '"time"'] if quoted else ["user", "item", "rating", "time"]
    head = "" if mark == "::" else mark.join(names) + draw(st.sampled_from(["\n", "\r\n"]))
    front = draw(st.sampled_from(["", "", "", "\ufeff", "\n", "\ufeff \n\n"]))
    text = front + head + "".join(lines)
    return (text.rstrip("\n") if draw(st.booleans()) else text), mark


@settings(max_examples=400, deadline=None)
@given(
    file=files(),
    block=st.sampled_from([7, 40, 100, 1 << 16]),
    chunk=st.sampled_from([1, 3, 1 << 16]),
    options=st.sampled_from(
        [{}, {}, {"min_rating": 4.5}, {"duplicates": "last"}, {"order": "file"}, {"k_core": 2}, {"period": ("1", "7")}]
    ),
    damage=st.sampled_from([None, None, None, None, b"\xff"]),
)
@example(file=("user,item,rating,time\n" + 'u,"a\nb",5,1\nu,c,5,2\nu,d,5,3\n', ","), block=7, chunk=1, options={}, damage=None)
@example(file=("user,item,rating,time\r\nu,a,5,1\r\nu,c,5,2\r\nu,d,5,3", ","), block=7, chunk=1, options={}, damage=None)
@example(file=("\n\n\n\n\n\n\n\nu::u::5::0\nu::v::5::0\nu::u::5::0\n", "::"), block=7, chunk=1, options={}, damage=None)
@example(file=("user,item,rating,time\ru,a,5,1\ru,c,5,2\ru,d,5,3\r", ","), block=7, chunk=1, options={}, damage=None)
def test_any_file_gives_what_the_csv_module_gives(
    file: tuple[str, str], block: int, chunk: int, options: dict[str, Any], damage: bytes | None
) -> None:
    content = file[0].encode()
    if damage is not None and content:
        content = content[: len(content) // 2] + damage + content[len(content) // 2 :]
    with tempfile.TemporaryDirectory() as folder, set_to(tables, BLOCK=block, CHUNK=chunk):
        path = Path(folder) / "data"
        path.write_bytes(content)
        found = outcome(path, **options)
        with set_to(tables, cells_of=lambda *_: None):
            row_by_row = outcome(path, **options)
        path.write_bytes(gzip.compress(content))
        assert outcome(path, **options)[:-2] == found[:-2] or not content
    assert found == row_by_row


def test_plain_tables_are_cut_and_do_not_fall_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above would compare the csv module with itself."""
    seen: list[Cells | None] = []
    monkeypatch.setattr(tables, "cells_of", lambda *of: seen.append(cells_of(*of)) or seen[-1])
    monkeypatch.setattr(tables, "BLOCK", 64)
    heads = ["user", "item", "rating", "time"]
    for mark, quote in ((",", ""), (";", '"'), ("\t", ""), ("::", "")):
        seen.clear()
        rows = [(f"é{n % 3}", f"i{n}", "5", str(n)) for n in range(50)]
        every = rows if mark == "::" else [heads, *rows]
        text = "".join(mark.join(quote + cell + quote for cell in row) + "\r\n" for row in every)
        (tmp_path / "data").write_text(text, encoding="utf-8", newline="")
        assert read(tmp_path / "data").sequences.num_actions == 50
        assert len(seen) > 10 and all(cells is not None for cells in seen)
        assert sum(cells.num_rows for cells in seen if cells is not None) == 50


@pytest.mark.parametrize(
    "text",
    ['a,"b"\n', "a,b\n\n", "a,b,c\n", "a\n", "a,b\rc,d\n", "a,\0\n", "a,b\x01\n", "a,\x7f\n", "a,\x85\n", "a,b\nc\nd,e,f\n"],
)
def test_whatever_is_out_of_the_ordinary_is_left_to_the_csv_module(text: str) -> None:
    assert cells_of(text.encode(), PLAIN, 2) is None


def test_a_block_that_is_not_utf_8_or_has_a_cell_too_long_is_left_to_the_csv_module() -> None:
    assert cells_of(b"a,caf\xe9\n", PLAIN, 2) is None
    assert cells_of(b"a," + b"x" * 140_000 + b"\n", PLAIN, 2) is None
    assert cells_of(b'a,12" ruler\n', Cut(",", quotes=False), 2) is not None


@pytest.mark.parametrize(
    ("quoted", "plain"),
    [
        ('"a","b"\n', "a,b\n"),
        ('a,"b"\r\n"c",d', "a,b\r\nc,d"),
        ('"",""\n', ",\n"),
        ('a,"b, c"\n', None),
        ('a,"b\nc"\n', None),
        ('a,"b ""c"""\n', None),
        ('a,b"c"\n', None),
        ('a,"b"c\n', None),
        ('"a","b\n', None),
        ('a"b,c"d\n', None),
    ],
)
def test_quotes_that_mean_nothing_are_taken_off_and_others_are_left_to_the_csv_module(quoted: str, plain: str | None) -> None:
    assert unquoted(quoted.encode(), PLAIN) == (None if plain is None else plain.encode())


@given(rows=st.lists(st.tuples(st.text("ab漢", max_size=20), st.text("x1", max_size=3)), min_size=1, max_size=30))
def test_columns_are_the_cells_in_their_rows(rows: list[tuple[str, str]]) -> None:
    first, second = columns_of("".join(f"{one},{other}\n" for one, other in rows))
    assert first.texts() == [one for one, _ in rows] and second.texts() == [other for _, other in rows]
    assert second.texts(np.array([len(rows) - 1, 0])) == [rows[-1][1], rows[0][1]]


@given(names=st.lists(st.text("ab漢é", max_size=30), min_size=1, max_size=30))
def test_distinct_names_come_in_order_of_first_appearance(names: list[str]) -> None:
    column = columns_of("".join(f"{name},\n" for name in names))[0]
    distinct, number = column.distinct()
    assert distinct == list(dict.fromkeys(names))
    assert [distinct[place] for place in number.tolist()] == names


def test_names_with_one_key_are_still_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 64-bit key of longer names is made useless; what is left of it puts these two together."""
    names = ["aaaaaaaaTAILTAIL", "bbbbbbbbTAILTAIL", "aaaaaaaaTAILTAIL"]
    monkeypatch.setattr(blocks, "MIX", np.uint64(0))
    column = columns_of("".join(f"{name},\n" for name in names))[0]
    assert column.distinct_words() is None
    assert column.distinct() == (names[:2], pytest.approx([0, 1, 0]))
    every = Names()
    every.add_column(column)
    numbers, found = every.all()
    assert found == names[:2] and numbers.tolist() == [0, 1, 0]


@given(rows=st.lists(st.text("ab", min_size=1, max_size=20), min_size=1, max_size=20))
def test_words_and_texts_are_the_same_thing(rows: list[str]) -> None:
    found = columns_of("".join(f"{row},\n" for row in rows))[0].distinct_words()
    assert found is not None
    words, number = found
    again = first_appearances(words[number])
    assert again is not None and np.array_equal(again[0], words) and np.array_equal(again[1], number)
    assert texts_of(words) == list(dict.fromkeys(rows))


pieces = st.lists(
    st.tuples(st.booleans(), st.lists(st.one_of(good_names, st.sampled_from([" u", "v ", "\xa0w"])), min_size=1, max_size=8)),
    min_size=1,
    max_size=6,
)


@given(pieces=pieces)
def test_names_over_many_blocks_are_numbered_as_one_column(pieces: list[tuple[bool, list[str]]]) -> None:
    numbering, names = Numbering(), Names()
    expected = numbering.of([name for _, some in pieces for name in some]).tolist()
    for plain, some in pieces:
        if plain:
            names.add_column(columns_of("".join(f"{name};\n" for name in some), 2, Cut(";", quotes=True))[0])
        else:
            names.add(some)
    numbers, found = names.all()
    assert numbers.tolist() == expected and found == numbering.names


# --- times


@given(values=st.lists(st.integers(0, 10**18 - 1), min_size=1, max_size=20), decimal=st.booleans())
def test_whole_numbers_are_read_exactly(values: list[int], decimal: bool) -> None:
    column = columns_of("".join(f"{value}{'.0' if decimal and value % 2 else ''},\n" for value in values))[0]
    numbers = column.whole_numbers()
    assert numbers is not None and numbers.tolist() == values


@pytest.mark.parametrize("text", ["", "1" * 19, "1.5", "-1", "+1", "1 ", ".0", "1.00", "1_0", "٣", "1.0.0"])
def test_what_is_no_plain_whole_number_is_left_alone(text: str) -> None:
    assert columns_of(f"5,\n{text},\n")[0].whole_numbers() is None


moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)).map(lambda moment: moment.replace(microsecond=0))


@given(moments=st.lists(moments, min_size=1, max_size=20), form=st.sampled_from(["%Y-%m-%d", " ", "T", "Z"]))
def test_dates_are_read_to_the_second(moments: list[datetime], form: str) -> None:
    def written(moment: datetime) -> str:
        if len(form) > 1:
            return moment.date().isoformat()
        return moment.isoformat("T" if form == "Z" else form) + ("Z" if form == "Z" else "")

    texts = [written(moment) for moment in moments]
    dates = columns_of("".join(f"{text},\n" for text in texts))[0].dates()
    assert dates is not None
    assert dates.tolist() == [exact_time(text, "date") for text in texts]
    first = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(dates[0]))
    assert first.replace(tzinfo=None).isoformat()[:10] == texts[0][:10]


@pytest.mark.parametrize(
    "text",
    ["2019-02-29", "2020-13-01", "2020-00-10", "2020-01-00", "2020-04-31", "0000-01-01", "2020/01/01", "2020-01-1x",
     "2020-01-01 24:00:00", "2020-01-01 10:60:00", "2020-01-01 10:00:60", "2020-01-01 10.00.00", "2020-01-01T10:00:00z",
     "2020-01-01 10:00", "20200101"],
)  # fmt: skip
def test_what_is_no_plain_date_is_left_alone(text: str) -> None:
    assert columns_of(f"{text},\n")[0].dates() is None


@given(data=st.data())
def test_keys_of_times_sort_as_exact_times_do_whatever_the_blocks(data: st.DataObject) -> None:
    """Numbers, or dates, in several forms, some of them fractions, some beyond 64 bits."""
    number = st.sampled_from(["1", "2", "2.0", "2.5", "9" * 18, "9" * 19, "9" * 25, "007", "1e1", "-3", "+7"])
    date = st.sampled_from(
        ["2020-01-01", "2020-01-01 00:00:01", "2020-01-01T00:00:01Z", "2020-01-01 00:00:00.1234567", "20200102"]
    )
    kind = data.draw(st.sampled_from(["number", "date"]))
    texts = st.lists(number if kind == "number" else date, min_size=1, max_size=5)
    parts = data.draw(st.lists(st.tuples(st.booleans(), texts), min_size=1, max_size=5))
    if kind == "date":
        parts.insert(0, (True, ["2020-01-01"]))  # the first time says of which kind all are
    column = TimeColumn()
    for plain, some in parts:
        if plain:
            column.add_column(columns_of("".join(f"{text},\n" for text in some))[0])
        else:
            column.add(some)
    every = [text for _, some in parts for text in some]
    exact = [exact_time(text, kind) for text in every]  # type: ignore[arg-type]
    keys = column.keys()
    assert keys.dtype == np.int64 and len(keys) == len(every)
    order = {value: place for place, value in enumerate(sorted(set(exact)))}  # type: ignore[type-var]
    assert np.array_equal(np.unique(keys, return_inverse=True)[1], [order[value] for value in exact])


def test_a_date_among_numbers_is_no_time() -> None:
    column = TimeColumn()
    column.add_column(columns_of("5,\n")[0])
    column.add_column(columns_of("2020-01-01,\n")[0])
    with pytest.raises(ValueError, match="not a time"):
        column.keys()


# --- order


@given(rows=st.lists(st.tuples(st.integers(0, 3), st.one_of(st.integers(0, 3), st.integers(-(2**63), 2**63 - 1))), max_size=20))
def test_actions_are_put_in_order_whatever_the_size_of_their_times(rows: list[tuple[int, int]]) -> None:
    users, times = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
    actions = Actions(users, np.arange(len(rows)), list("abcd"), [], times)
    assert actions.in_order().items.tolist() == sorted(range(len(rows)), key=lambda row: rows[row])


# --- lines of sequences


@settings(deadline=None)
@given(
    lines=st.lists(st.lists(st.sampled_from(["a", "b", "c", "é", "x\x02", "\u3000", "d" * 257]), max_size=5), max_size=6),
    chunk=st.sampled_from([1, 2, 5, 1 << 16]),
)
def test_lines_of_sequences_do_not_depend_on_how_many_are_numbered_at_once(lines: list[list[str]], chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        path.write_text("".join(f"u{n} {' '.join(line)}\n" for n, line in enumerate(lines)), encoding="utf-8", newline="")
        if lines:
            found = outcome(path)
            with set_to(sequence_lines, CHUNK=chunk):
                assert outcome(path) == found


def test_a_name_of_blanks_is_found_behind_a_blank_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("\n1 a b c\n2 a \u3000 c\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"data:3: found nothing; expected names of users and items between blanks"):
        read(tmp_path / "data")


# --- memory


def test_a_table_takes_a_few_dozen_bytes_a_row_and_not_an_object_for_every_cell(tmp_path: Path) -> None:
    """10^5 rows of four cells: as objects of Python they would be 300 bytes a row and more."""
    count = 100_000
    draw = np.random.default_rng(0)
    users, items, moments = draw.integers(0, 5000, count), draw.integers(0, 1000, count), draw.integers(0, 10**9, count)
    text = io.StringIO()
    text.write("user,item,rating,time\n")
    text.writelines(f"{user},{item},5,{moment}\n" for user, item, moment in zip(users, items, moments, strict=True))
    (tmp_path / "data").write_text(text.getvalue(), encoding="utf-8")
    with set_to(tables, BLOCK=1 << 16):
        tracemalloc.start()
        try:
            actions = read(tmp_path / "data").sequences.num_actions
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert actions > 0.99 * count
    assert peak < 120 * count, f"{peak / count:.0f} bytes a row"
