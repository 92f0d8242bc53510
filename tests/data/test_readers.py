"""Files of every accepted format, and of none."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqaug.data.readers import Columns, format_of, read
from seqaug.data.sequences import UserSequences
from seqaug.errors import DataError

Row = tuple[str, str, int]


def histories(sequences: UserSequences) -> list[tuple[str, list[str]]]:
    return list(sequences)


def by_hand(rows: list[Row]) -> list[tuple[str, list[str]]]:
    """What reading must give: users as they appear, actions by time, ties as they stand, three actions at least."""
    users = list(dict.fromkeys(user for user, _, _ in rows))
    result = []
    for user in users:
        mine = sorted((row for row in rows if row[0] == user), key=lambda row: row[2])
        if len(mine) >= 3:
            result.append((user, [item for _, item, _ in mine]))
    return result


def same(first: UserSequences, second: UserSequences) -> bool:
    """Equal in every array, numbering included."""
    return all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("offsets", "items", "user_ids", "item_ids")
    )


def as_dat(rows: list[Row]) -> str:
    return "".join(f"{user}::{item}::5::{time}\n" for user, item, time in rows)


def as_inter(rows: list[Row]) -> str:
    lines = [f"{user}\t{item}\t{time}.0\n" for user, item, time in rows]
    return "user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines)


def as_tsv(rows: list[Row]) -> str:
    return "time\tuser\titem\n" + "".join(f"{time}\t{user}\t{item}\n" for user, item, time in rows)


def as_csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)  # quotes where needed, CRLF
    writer.writerow(["userId", "movieId", "rating", "timestamp"])
    writer.writerows([user, item, "3.5", time] for user, item, time in rows)
    return text.getvalue()


def as_reviews(rows: list[Row]) -> str:
    lines = [
        {"reviewerID": user, "asin": item, "reviewText": "x{}", "overall": 5.0, "unixReviewTime": time}
        for user, item, time in rows
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def as_newer_reviews(rows: list[Row]) -> str:
    lines = [
        {"rating": 5.0, "asin": "same", "parent_asin": item, "user_id": user, "timestamp": time} for user, item, time in rows
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


TABLES: dict[str, Callable[[list[Row]], str]] = {
    "dat": as_dat,
    "inter": as_inter,
    "tsv": as_tsv,
    "csv": as_csv,
    "reviews": as_reviews,
    "newer reviews": as_newer_reviews,
}
FORMATS = {"reviews": "json lines", "newer reviews": "json lines"}
ROWS: list[Row] = [("u", "01", 5), ("v", "b", 1), ("u", "1", 3), ("u", "a", 5), ("v", "b", 2), ("v", "01", 2), ("w", "a", 0)]

names = st.text("0123456789abcXYZ_-é", min_size=1, max_size=4)
# Three users and seven rows: one of them has three actions. Few times: ties are common.
plain_rows = st.tuples(st.just(("u0", "07", "é")), names, names).flatmap(
    lambda drawn: st.lists(
        st.tuples(st.sampled_from([*drawn[0]]), st.one_of(names, st.sampled_from(["1", "01"])), st.integers(0, 5)),
        min_size=7,
        max_size=40,
    )
)
# Names that only formats with quotes can carry.
wild_names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=5).map(lambda text: f'a ,"{text}')
wild_rows = st.lists(st.tuples(st.sampled_from(["u, 1", "v::", '"']), wild_names, st.integers(-5, 5)), min_size=7, max_size=20)


def written(folder: str | Path, text: str, name: str = "data") -> Path:
    path = Path(folder) / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=40, deadline=None)
@given(rows=plain_rows)
def test_any_rows_read_back_the_same_from_every_table_format(table: str, rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reading = read(written(folder, TABLES[table](rows)))
    assert same(reading.sequences, UserSequences.from_lists(by_hand(rows)))
    assert reading.format == FORMATS.get(table, table)


@pytest.mark.parametrize("table", ["csv", "reviews", "newer reviews"])
@settings(max_examples=40, deadline=None)
@given(rows=wild_rows)
def test_names_with_commas_quotes_and_blanks_survive_where_the_format_can_carry_them(table: str, rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sequences = read(written(folder, TABLES[table](rows))).sequences
    assert same(sequences, UserSequences.from_lists(by_hand(rows)))


@settings(max_examples=40, deadline=None)
@given(rows=plain_rows)
def test_lines_of_sequences_read_back_the_same(rows: list[Row]) -> None:
    expected = by_hand(rows)
    with tempfile.TemporaryDirectory() as folder:
        reading = read(written(folder, "".join(f"{user} {' '.join(items)}\n" for user, items in expected)))
    assert same(reading.sequences, UserSequences.from_lists(expected))
    assert reading.format == "sequences"


@settings(max_examples=40, deadline=None)
@given(rows=plain_rows, seed=st.integers(0, 100))
def test_rows_with_distinct_times_may_stand_in_any_order(rows: list[Row], seed: int) -> None:
    rows = [(user, item, place) for place, (user, item, _) in enumerate(rows)]
    shuffled = random.Random(seed).sample(rows, len(rows))
    with tempfile.TemporaryDirectory() as folder:
        first = read(written(folder, as_csv(rows), "a")).sequences
        second = read(written(folder, as_csv(shuffled), "b")).sequences
    assert sorted(histories(first)) == sorted(histories(second))


@pytest.mark.parametrize("table", TABLES)
def test_gzip_is_seen_from_the_content_not_from_the_name(table: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(gzip.compress(TABLES[table](ROWS).encode()))
    assert histories(read(tmp_path / "data").sequences) == by_hand(ROWS)


def test_leading_zeros_are_part_of_a_name(tmp_path: Path) -> None:
    sequences = read(written(tmp_path, as_dat([("1", "0104257", 1), ("1", "104257", 2), ("1", "00", 3)]))).sequences
    assert sequences.item_ids.tolist() == ["", "0104257", "104257", "00"]


def test_blanks_around_a_name_are_not_part_of_it(tmp_path: Path) -> None:
    path = written(tmp_path, "user, item, time\n1,a,1\n1, a,2\n 1 ,b ,3\n")
    assert histories(read(path).sequences) == [("1", ["a", "a", "b"])]


def test_a_byte_order_mark_and_blank_lines_are_harmless(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff\nuser,item,time\r\n\r\n1,a,1\r\n1,b,2\r\n1,c,3\r\n\r\n")
    assert histories(read(path).sequences) == [("1", ["a", "b", "c"])]


def test_many_chunks_are_one_file(tmp_path: Path) -> None:
    rows = [(str(n % 1000), str(n % 77), n // 7) for n in range(150_000)]
    assert same(read(written(tmp_path, as_dat(rows))).sequences, UserSequences.from_lists(by_hand_quickly(rows)))


def by_hand_quickly(rows: list[Row]) -> list[tuple[str, list[str]]]:
    users: dict[str, list[Row]] = {}
    for row in rows:
        users.setdefault(row[0], []).append(row)
    return [(user, [item for _, item, _ in sorted(mine, key=lambda row: row[2])]) for user, mine in users.items()]


def test_a_last_line_without_an_end_counts(tmp_path: Path) -> None:
    assert histories(read(written(tmp_path, "1 a b\n2 a b c")).sequences) == [("2", ["a", "b", "c"])]


# --- times


def timed(tmp_path: Path, *times: str) -> list[str]:
    """Items named by their place in the file, in the order that the times give."""
    path = written(tmp_path, "user\titem\ttime\n" + "".join(f"1\t{place}\t{time}\n" for place, time in enumerate(times)))
    return histories(read(path).sequences)[0][1]


def test_seconds_that_float32_cannot_tell_apart_are_told_apart(tmp_path: Path) -> None:
    times = ("1365029109", "1365029108", "1365029107")
    assert len({np.float32(time) for time in times}) == 1
    assert timed(tmp_path, *times) == ["2", "1", "0"]
    assert timed(tmp_path, *(f"{time}.0" for time in times)) == ["2", "1", "0"]


def test_whole_numbers_beyond_float64_and_int64_are_told_apart(tmp_path: Path) -> None:
    assert timed(tmp_path, "9007199254740993", "9007199254740992", "5") == ["2", "1", "0"]
    assert timed(tmp_path, "99999999999999999999999", "99999999999999999999998", "-1") == ["2", "1", "0"]


def test_fractions_are_exact(tmp_path: Path) -> None:
    assert timed(tmp_path, "1365029107.000000000002", "1365029107.000000000001", "1365029107") == ["2", "1", "0"]
    assert timed(tmp_path, "1.365029108e9", "1365029107", "1365029107.5") == ["1", "2", "0"]


def test_equal_times_written_differently_are_ties_in_file_order(tmp_path: Path) -> None:
    assert timed(tmp_path, "2.50", "2", "2.5", "2.0", "25e-1") == ["1", "3", "0", "2", "4"]


def test_dates_are_sorted_as_dates(tmp_path: Path) -> None:
    assert timed(tmp_path, "2010-12-01 08:26", "2010-12-01", "2009-12-31T23:59:59.5") == ["2", "1", "0"]
    assert timed(tmp_path, "2020-01-01T12:00:00+02:00", "2020-01-01T11:00:00Z", "2020-01-01 10:30:00 UTC") == ["0", "2", "1"]
    assert timed(tmp_path, "2020-01-01 00:00:00.123456789", "2020-01-01 00:00:00.123456788", "2020-01-01") == ["2", "1", "0"]


def test_a_file_order_that_is_asked_for_needs_no_times(tmp_path: Path) -> None:
    path = written(tmp_path, "user_id,item_id\n1,c\n2,a\n1,a\n1,b\n")
    reading = read(path, order="file")
    assert histories(reading.sequences) == [("1", ["c", "a", "b"])]
    assert any("order of time, as asked" in note for note in reading.notes)


# --- columns


@pytest.mark.parametrize(
    "header",
    ["userId,movieId,timestamp", "customer_id,stock_code,invoice_date", "User ID;Item ID;Time",
     "CustomerID|StockCode|InvoiceDate", "user_id,business_id,date", "uid\tiid\tts"],
)  # fmt: skip
def test_columns_are_found_by_their_usual_names(header: str, tmp_path: Path) -> None:
    mark = next(mark for mark in ",;|\t" if mark in header)
    lines = [mark.join(cells) for cells in (["1", "b", "2"], ["1", "a", "1"], ["1", "c", "3"])]
    assert histories(read(written(tmp_path, "\n".join([header, *lines]))).sequences) == [("1", ["a", "b", "c"])]


def test_columns_may_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "who,what,when,stars\nx,a,3,5\nx,b,2,1\nx,c,1,5\nx,d,0,4\n")
    columns = Columns(user="who", item="what", time="when", rating="stars")
    reading = read(path, columns=columns, min_rating=4)
    assert histories(reading.sequences) == [("x", ["d", "c", "a"])]
    assert "columns: user = who, item = what, time = when, rating = stars" in reading.notes


def test_the_notes_say_which_columns_were_taken(tmp_path: Path) -> None:
    assert "columns: user = userId, item = movieId, time = timestamp" in read(written(tmp_path, as_csv(ROWS))).notes


# --- choices


def test_the_duplicate_policy_keeps_all_or_the_first_or_the_last_in_time(tmp_path: Path) -> None:
    path = written(tmp_path, as_csv([("u", "a", 9), ("u", "b", 2), ("u", "a", 1), ("u", "c", 3), ("u", "a", 4)]))
    kept = {policy: histories(read(path, duplicates=policy).sequences)[0][1] for policy in ("keep", "first", "last")}
    assert kept == {"keep": ["a", "b", "c", "a", "a"], "first": ["a", "b", "c"], "last": ["b", "c", "a"]}


@settings(max_examples=40, deadline=None)
@given(items=st.lists(st.sampled_from("abcdef"), min_size=3, max_size=12))
def test_first_and_last_agree_with_a_naive_loop(items: list[str]) -> None:
    first = list(dict.fromkeys(items))
    last = list(dict.fromkeys(items[::-1]))[::-1]
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder, f"u {' '.join(items)}\nv x y z\n")
        for policy, expected in (("first", first), ("last", last)):
            found = dict(histories(read(path, duplicates=policy).sequences))  # type: ignore[arg-type]
            assert found.get("u") == (expected if len(expected) >= 3 else None)


def test_every_choice_is_in_the_notes(tmp_path: Path) -> None:
    rows = [(user, item, time) for user in "uvw" for time, item in enumerate("abca")] + [("x", "rare", 0)]
    path = written(tmp_path, as_csv(rows))
    assert "duplicates: all kept (3 of 13 actions repeat an item that the user had before)" in read(path).notes
    assert "no k-core" in read(path).notes
    notes = read(path, duplicates="first", k_core=2, min_rating=1).notes
    assert "duplicates: the first action of a user with an item kept, 3 of 13 actions dropped" in notes
    assert "2-core: 3 of 4 users, 3 of 4 items, 9 of 10 actions stay" in notes
    assert "minimum rating 1: 0 of 10 actions dropped" in notes


def test_users_with_fewer_than_three_items_are_dropped_and_counted(tmp_path: Path) -> None:
    reading = read(written(tmp_path, "1 a b\n2 c b d\n3 a\n"))
    assert reading.dropped_users == 2
    assert histories(reading.sequences) == [("2", ["c", "b", "d"])]
    assert reading.sequences.item_ids.tolist() == ["", "c", "b", "d"]  # `a` has left
    assert "2 of 3 users were dropped because they have fewer than 3 items" in reading.notes


def test_it_is_an_error_only_when_no_user_remains(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the 2 users has 3 items or more"):
        read(written(tmp_path, "1 a b\n2 c b\n"))
    with pytest.raises(DataError, match="no user is left in the 9-core"):
        read(written(tmp_path, "1 a b c\n2 a b c\n"), k_core=9)


def test_users_who_fall_short_only_after_the_filters_are_dropped_too(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item,time,rating\n" + "".join(f"{u},{i},{i},{u}\n" for u in (1, 5) for i in range(3)))
    reading = read(path, min_rating=2)
    assert reading.sequences.user_ids.tolist() == ["5"]


def test_a_period_includes_both_of_its_ends(tmp_path: Path) -> None:
    days = ["2018-12-31 23:59:59", "2019-01-01 00:00:00", "2019-06-01 10:00:00", "2019-12-31 00:00:00", "2019-12-31 00:00:01"]
    path = written(tmp_path, "user,item,date\n" + "".join(f"u,{n},{day}\n" for n, day in enumerate(days)))
    reading = read(path, period=("2019-01-01", "2019-12-31"))
    assert histories(reading.sequences) == [("u", ["1", "2", "3"])]
    assert any(note.startswith("period 2019-01-01 to 2019-12-31: 2 of 5 actions dropped") for note in reading.notes)


# --- titles


def test_titles_stand_beside_the_ratings(tmp_path: Path) -> None:
    movies = "01::Amélie &amp; Co (2001)::Comedy\nb::Alien::Horror\nzz::Nobody saw it::Drama\n"
    written(tmp_path, movies, "movies.dat")
    sequences = read(written(tmp_path, as_dat(ROWS), "ratings.dat")).sequences
    assert sequences.titles == {"01": "Amélie & Co (2001)", "b": "Alien"}
    assert sequences.title(1) == "1"  # no title known: its name


def test_titles_in_latin_1_are_read(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_bytes("01::Amélie::Comedy\n".encode("latin-1"))
    assert read(written(tmp_path, as_dat(ROWS), "ratings.dat")).sequences.titles == {"01": "Amélie"}


@pytest.mark.parametrize(
    ("data", "beside", "content"),
    [
        ("ratings.csv", "movies.csv", 'movieId,title,genres\r\n01,"Big, the ""film""",x\r\n'),
        ("ratings.csv", "movies.csv.gz", 'movieId,title,genres\r\n01,"Big, the ""film""",x\r\n'),
        ("events.csv", "items.tsv", 'stock_code\tdescription\n01\tBig, the "film"\n'),
        ("toy.inter", "toy.item", 'item_id:token\tmovie_title:token_seq\n01\tBig, the "film"\n'),
    ],
)
def test_titles_are_found_under_the_names_they_have_in_the_trade(data: str, beside: str, content: str, tmp_path: Path) -> None:
    packed = gzip.compress(content.encode()) if beside.endswith(".gz") else content.encode()
    (tmp_path / beside).write_bytes(packed)
    text = as_inter(ROWS) if data.endswith(".inter") else as_csv(ROWS)
    assert read(written(tmp_path, text, data)).sequences.titles == {"01": 'Big, the "film"'}


def test_a_quotation_mark_in_a_table_with_tabs_is_an_inch(tmp_path: Path) -> None:
    written(tmp_path, 'item_id\ttitle\na\t"12" ruler\nb\t5" nail\n', "items.tsv")
    assert read(written(tmp_path, "1 a b c\n", "sequences.txt")).sequences.titles == {"a": '"12" ruler', "b": '5" nail'}


def test_titles_of_the_whole_are_not_put_on_another_numbering(tmp_path: Path) -> None:
    written(tmp_path, "item_id\ttitle\na\tA\n", "items.tsv")
    assert not read(written(tmp_path, "1 a b c\n", "sequences-5core.txt")).sequences.titles


def test_titles_may_be_named_and_must_then_be_good(tmp_path: Path) -> None:
    titles = written(tmp_path, "asin,title\na,A\n", "t.csv")
    path = written(tmp_path, "1 a b c\n", "x")
    assert read(path, titles=titles).sequences.titles == {"a": "A"}
    with pytest.raises(DataError, match=r"no item and title columns among x, y"):
        read(path, titles=written(tmp_path, "x,y\n1,2\n", "bad.csv"))


def test_a_bad_file_of_titles_that_nobody_asked_for_is_only_a_note(tmp_path: Path) -> None:
    written(tmp_path, "", "movies.csv")
    reading = read(written(tmp_path, as_csv(ROWS), "ratings.csv"))
    assert any(note.startswith("no titles:") and "is empty" in note for note in reading.notes)


# --- refusals: file, line, what was found, what was expected

REVIEW = '{"user_id": "1", "asin": "a", "timestamp": 1}\n'
HEAD = "user,item,rating,time\n1,a,5,1\n1,b,5,2\n"


@pytest.mark.parametrize(
    ("text", "line", "found", "expected"),
    [
        (HEAD + "1,c,5\n", 4, "3 columns", "4 columns as in the header (user, item, rating, time)"),
        (HEAD + "1,c,5,3,9\n", 4, "5 columns", "4 columns"),
        (HEAD + ",c,5,3\n", 4, "nothing in the column user", "the name of a user"),
        (HEAD + "1,  ,5,3\n", 4, "nothing in the column item", "the name of an item"),
        (HEAD + "1,c,5,\n", 4, "'' in the column time", "a time as a number"),
        (HEAD + "1,c,5,soon\n", 4, "'soon' in the column time", "a time as a number"),
        (HEAD + "1,c,5,1_000\n", 4, "'1_000'", "a time as a number"),
        (HEAD + "1,c,5,nan\n", 4, "'nan'", "a time as a number"),
        (HEAD + "1,c,5,2019-01-01\n", 4, "'2019-01-01'", "a time as a number"),
        ("user,item,time\n1,a,yesterday\n", 2, "'yesterday'", "a number or an ISO date"),
        ("user,item,time\n1,a,12/1/2010 8:26\n", 2, "'12/1/2010 8:26'", "a number or an ISO date"),
        ("user,item,time\n1,a,2019-01-01\n1,a,7\n", 3, "'7'", "an ISO date"),
        (HEAD + '1,"c,5,3\n', 4, "breaks the rules", "4 columns"),
        (HEAD + '"1\nx",c,5\n', 5, "3 columns", "4 columns"),
        (HEAD + f"1,{'x' * 300},5,3\n", 4, "a name of 300 characters", "the name of an item"),
        (HEAD + "1,c\x01,5,3\n", 4, "control characters", "the name of an item"),
        ('\nuser,"item,time\n1,2,3\n', 2, "which breaks the rules of its format", "a header with the names of the columns"),
        ("1::2::3::4\n1::2::3\n", 2, "3 columns ('1 | 2 | 3')", "user::item::rating::time"),
        ("1::2::3::4\n1::2::3::x\n", 2, "'x' in the column time", "a time as a number"),
        ("user_id:token\titem_id:token\ttimestamp:float\n1\t2\n", 2, "2 columns", "between tabs"),
        (REVIEW + '\n{"user_id": "1"}\n', 3, "an object without 'asin'", "the keys user_id, asin"),
        (REVIEW + 'nothing\n', 2, "'nothing'", "one JSON object a line"),
        (REVIEW + '[1]\n', 2, "'[1]'", "one JSON object a line"),
        (REVIEW + '{"user_id": null, "asin": "a", "timestamp": 1}', 2, "user_id = null", "text or"),
        (REVIEW + '{"user_id": true, "asin": "a", "timestamp": 1}', 2, "user_id = true", "text or"),
        ("[\n{}\n]\n", 1, "the start of a JSON array", "one JSON object a line"),
        ("1 a b c\n2 a b c\n1 d e f\n", 3, "a second line of the user '1' (the first is line 1)", "one line a user"),
        ("1 a\n1 b\n1 c\n", 2, "a second line of the user '1'", "give it a header"),
        ("1 a b c\n\n2\n", 3, "a user without an item", "`user item item ...`"),
        ("1 a b c\n2 a b\x02 c\n", 2, "control characters", "names of users and items"),
        ("user_id item_id timestamp\n1 2 3\n", 1, "which looks like a header", "tabs or commas"),
        ("word\n", 1, "'word'", "`user item item ...`, a CSV or TSV table"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_refused_with_file_line_found_and_expected(
    text: str, line: int, found: str, expected: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text, "data.txt")
    with pytest.raises(DataError) as refusal:
        read(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}:{line}: found ")
    assert found in message.split("; expected ")[0]
    assert expected in message.split("; expected ")[1]
    assert refusal.value.exit_code == 3


def test_a_malformed_line_far_into_the_file_is_found(tmp_path: Path) -> None:
    lines = [f"{n % 50}::{n}::1::{n}" for n in range(100_000)]
    lines[87_654] = "7::8::9"
    with pytest.raises(DataError, match=r":87655: found 3 columns"):
        read(written(tmp_path, "\n".join(lines)))


def test_a_bad_rating_is_refused_only_where_ratings_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "1,c,good,3\n")
    assert read(path).sequences.num_actions == 3
    with pytest.raises(DataError, match=r":4: found 'good' in the column rating; expected a rating: a number"):
        read(path, min_rating=3)


def test_a_period_must_be_written_as_the_times_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the period's '2019-01-01' is not written as the file's times"):
        read(written(tmp_path, HEAD + "1,c,5,3\n"), period=("2019-01-01", "5"))


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_each_kind_of_unusable_file_has_its_own_message(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "ratings.dat").touch()
    good = gzip.compress(as_dat(ROWS * 500).encode())
    files = {
        "empty": b"",
        "packed-empty": gzip.compress(b""),
        "blank": b"\n\n  \n",
        "header-only": b"user,item,time\n",
        "binary": bytes(range(256)) * 4,
        "noise": random.Random(0).randbytes(3000).replace(b"\0", b"\1"),
        "zip": b"PK\x03\x04rest",
        "parquet": b"PAR1\x15\x04",
        "utf-16": "user,item,time\n".encode("utf-16"),
        "latin": b"user,item,time\n1,a,1\n1,caf\xe9,2\n",
        "cut.gz": good[: len(good) // 2],
        "wrong.gz": good[:30] + b"\xff\xff\xff\xff\xff\xff\xff\xff" + good[38:],
        "twice.gz": gzip.compress(good),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    expected = {
        "folder": "is a folder; name the file inside it. It holds ratings.dat.",
        "missing": "there is no file",
        "empty": "is empty.",
        "packed-empty": "is empty (inside the gzip wrapping).",
        "blank": "is empty: it has blank lines only.",
        "header-only": "has a header and no rows.",
        "binary": "is a binary file, not text",
        "noise": "is a binary file, not text",
        "zip": "is a zip archive",
        "parquet": "is a Parquet file",
        "utf-16": "is UTF-16 text; save it as UTF-8",
        "latin": ":3: found the byte 0xe9 in '1,caf\\\\xe9,2",
        "cut.gz": "is a broken gzip file: it ends too early",
        "wrong.gz": "is a broken gzip file (",
        "twice.gz": "is compressed with gzip twice",
    }
    messages = {name: refusal(tmp_path / name) for name in expected}
    for name, part in expected.items():
        assert part in messages[name], messages[name]
        assert str(tmp_path / name) in messages[name]
    assert len(set(messages.values())) == len(messages)


def test_a_missing_file_that_is_nearly_there_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat.gz").touch()
    assert f"Did you mean '{tmp_path / 'ratings.dat.gz'}'?" in refusal(tmp_path / "rating.dat.gz")


def test_a_table_without_a_time_column_says_what_would_work(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, "user_id,item_id,note\n1,a,x\n"))
    assert "has no time column among user_id, item_id, note" in message
    assert "--time-column" in message and "--file-order" in message


def test_a_table_without_a_known_item_column_names_its_columns(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, "user_id,thing,time\n1,a,3\n"))
    assert "none of the columns user_id, thing, time is known to hold the item" in message and "--item-column" in message


def test_a_table_without_a_header_is_not_taken_for_one(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, "1\t22\t3\t874965758\n1\t23\t3\t874965759\n"))
    assert "put a header in front" in message


def test_a_column_that_is_named_but_not_there_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, HEAD), columns=Columns(time="tiem"))
    assert (
        "has no column 'tiem', which was to hold the time. Did you mean 'time'? Its columns are: user, item, rating, time."
        in message
    )


def test_one_column_cannot_hold_two_things(tmp_path: Path) -> None:
    assert "the column 'user' cannot hold two things" in refusal(written(tmp_path, HEAD), columns=Columns(item="user"))


def test_a_minimum_rating_needs_ratings(tmp_path: Path) -> None:
    assert "has no rating column among" in refusal(written(tmp_path, "user,item,time\n1,a,1\n"), min_rating=3.0)


def test_lines_of_sequences_have_no_columns_to_name(tmp_path: Path) -> None:
    path = written(tmp_path, "1 a b c\n")
    for options in ({"columns": Columns(user="u")}, {"min_rating": 1.0}, {"period": ("1", "2")}):
        assert "no columns to name, no ratings, no times" in refusal(path, **options)


def test_the_format_is_told_without_reading_on(tmp_path: Path) -> None:
    assert format_of(written(tmp_path, as_reviews(ROWS))) == "json lines"
    assert format_of(written(tmp_path, "1 a b c\n")) == "sequences"
