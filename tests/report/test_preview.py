"""What a preview shows: rows side by side, numbers as people read them, a page that holds itself."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from seqaug.evaluation.augmentation import Augmented, ItemFacts, Placed, Tally, UserFacts, aligned, judged
from seqaug.report.preview import (
    NUMBERS,
    MadeUpNumbers,
    Preview,
    PreviewedUser,
    ViewFacts,
    confidence_text,
    cosine_text,
    document,
    number_text,
    rows,
    short_names,
    table_of_numbers,
    verdicts,
)
from seqaug.report.preview_page import preview_page

MASK = 7  # V = 6
FACTS = ItemFacts.of(np.eye(8, 8, dtype=np.float32), np.array([0, 5, 4, 3, 2, 1, 0]))
NAMES: dict[int, tuple[str, str | None]] = {
    1: ("a", "Alien"), 2: ("b", "<i>Brazil</i>"), 3: ("c", None), 4: ("d", "Dune"), 5: ("e", "E.T."), 6: ("f", "Fargo"),
    MASK: ("[MASK]", None),
}  # fmt: skip


def augmented(original: list[int], items: list[int], **more: object) -> Augmented:
    selected = more.get("selected")
    placed = aligned(original, items, mask=MASK, selected=selected, edited=more.pop("edited", None))  # type: ignore[arg-type]
    user = UserFacts([1, 2, 3, 4, 5], 6, begin=1)
    return Augmented(tuple(original), tuple(items), judged(placed, original, user, FACTS, mask=MASK), **more)  # type: ignore[arg-type]


def user(
    views: dict[str, Augmented], *, original: tuple[int, ...] = (2, 3, 4), made_up: int = 0, begin: int = 1
) -> PreviewedUser:
    return PreviewedUser("ann & bob", 5, begin, made_up, original, 5, views)


def facts(name: str, views: list[Augmented], *, negative: bool = False, words: str | None = None) -> ViewFacts:
    tally = Tally(FACTS)
    for one in views:
        tally.add(one)
    return ViewFacts(name, "denoised", ("negatives of contrast",) if negative else (), negative, words, tally.numbers())


def preview(views: dict[str, Augmented], **more: object) -> Preview:
    told = tuple(facts(name, [one], negative=name.endswith("negative")) for name, one in views.items())
    base = Preview(
        recipe="own", data="films", users=9, seed=4, trained=False, weights="untrained: <none>.", notes=(), over=1,
        similarity_at_random=0.25, views=told, made_up=None, shown=(user(views),), names=NAMES,
    )  # fmt: skip
    return replace(base, **more)  # type: ignore[arg-type]


def lines(one: PreviewedUser, *names: str) -> list[tuple[int | None, int | None, list[object]]]:
    """(place, item, what each view has there)"""

    def cell(found: object) -> object:
        placed: Placed | None = getattr(found, "placed", None)
        return "" if found is None else "left out" if placed is None else (placed.item, placed.what)

    return [(row.place, row.item, [cell(each) for each in row.cells]) for row in rows(one, names)]


# ---- rows ----


def test_views_stand_beside_their_rows_and_insertions_between_them() -> None:
    views = {
        "a.replaced": augmented([2, 3, 4], [2, 6, 4], selected=(False, True, False), confidence=(0.1, 0.9, math.nan)),
        "a.longer": augmented([2, 3, 4], [2, 6, 5, 3, 4], edited=[False, True, True, False, False]),
        "a.cropped": augmented([2, 3, 4], [3], edited=[False]),
    }
    assert lines(user(views), *views) == [
        (2, 2, [(2, "kept"), (2, "kept"), "left out"]),
        (None, None, ["", (6, "inserted"), ""]),
        (None, None, ["", (5, "inserted"), ""]),
        (3, 3, [(6, "replaced"), (3, "kept"), (3, "kept")]),
        (4, 4, [(4, "kept"), (4, "kept"), "left out"]),
    ]
    found = rows(user(views), list(views))
    assert [row.selected for row in found] == [False, False, False, True, False]
    assert [row.confidence for row in found] == [0.1, None, None, 0.9, None]
    assert [row.changed for row in found] == [True, True, True, True, True]


def test_insertions_of_several_views_end_just_before_the_row() -> None:
    views = {
        "a.two": augmented([2, 3], [2, 6, 5, 3], edited=[False, True, True, False]),
        "a.one": augmented([2, 3], [2, 1, 3], edited=[False, True, False]),
    }
    assert [cells for _, _, cells in lines(user(views, original=(2, 3)), *views)][1:3] == [
        [(6, "inserted"), ""],
        [(5, "inserted"), (1, "inserted")],
    ]


def test_another_sequence_ends_where_the_original_ends() -> None:
    views = {"a.other": augmented([2, 3], [4, 5, 6], edited=[True, True, True])}
    found = lines(user(views, original=(2, 3)), "a.other")
    assert found == [(None, None, [(4, "other")]), (2, 2, [(5, "other")]), (3, 3, [(6, "other")])]
    assert not any(row.changed for row in rows(user(views, original=(2, 3)), ["a.other"]))


def test_made_up_items_have_no_place_in_the_history() -> None:
    one = user({}, original=(6, 6, 1, 2), made_up=2, begin=0)
    assert [place for place, _, _ in lines(one)] == [0, 0, 1, 2]
    assert one.described(preview({})) == "5 training items, 1 to 2 of them here, behind 2 made-up ones; then comes E.T."


def test_a_view_is_called_by_its_own_name_where_that_is_enough() -> None:
    assert short_names(["a.first", "a.second", "b.first"]) == ["a.first", "second", "b.first"]


# ---- numbers ----


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("identity_rate", 0.1299, "13.0 %"),
        ("identity_rate", None, "-"),
        ("popularity_drift", 0.456, "+0.46"),
        ("percentile_drift", -0.1, "-0.10"),
        ("similarity", -0.001, "0.00"),
        ("representation", 0.714, "0.71"),
        ("confidence_selected", 0.00078, "0.00078"),
        ("confidence_selected", 0.257, "0.257"),
    ],
)
def test_numbers_are_written_as_people_read_them(name: str, value: float | None, text: str) -> None:
    assert number_text(name, value) == text


def test_cosines_are_never_minus_nothing_and_unknown_confidence_is_nothing() -> None:
    assert cosine_text(-0.004) == "0.00" and cosine_text(-0.006) == "-0.01" and confidence_text(None) == ""


def test_only_numbers_that_say_something_are_in_the_table() -> None:
    shown = facts("a.positive", [augmented([2, 3], [2, 6], selected=(False, True), representation=0.5)])
    told = facts("a.again", [augmented([2, 3], [2, 3], representation=0.25)], words="the original items read once more")
    table = dict(table_of_numbers([shown, told]))
    assert table[NUMBERS["selected"]] == ["50.0 %", "-"]
    assert table[NUMBERS["representation"]] == ["0.50", "0.25"]
    assert table[NUMBERS["later_true"]] == ["100.0 %", "-"]  # item 6 is the validation item
    assert not {NUMBERS["masked"], NUMBERS["moved"], NUMBERS["restored"]} & set(table)


def test_a_share_that_is_nought_is_shown_where_it_is_a_finding() -> None:
    table = dict(table_of_numbers([facts("a.negative", [augmented([2, 3], [2, 4], selected=(False, True))], negative=True)]))
    assert table[NUMBERS["identity_rate"]] == ["0.0 %"] and table[NUMBERS["in_history"]] == ["0.0 %"]
    assert NUMBERS["masked"] not in table and NUMBERS["equal_views"] not in table


def test_the_verdict_on_hard_negatives_counts_the_false_ones() -> None:
    one = augmented([2, 3, 4], [6, 1, 4], selected=(True, True, False))
    found = verdicts(preview({"a.negative": one}))
    assert found[0] == (
        "Hard negatives (a.negative): of 2 items put in, 50.0 % are ones that the user takes later (false negatives) "
        "and 50.0 % are ones that the user had before."
    )
    assert found[1].endswith("of 0.25 on average.")
    assert len(verdicts(preview({"a.positive": one}))) == 1


# ---- the document ----


def test_the_document_is_json_without_nan_and_says_where_each_item_stands() -> None:
    one = augmented([2, 3, 4], [2, 6, 4], selected=(False, True, False), confidence=(0.1, 0.9, math.nan))
    found = json.loads(json.dumps(document(preview({"a.positive": one})), allow_nan=False))
    view = found["shown"][0]["views"]["a.positive"]
    assert view["confidence"] == [0.1, 0.9, None] and view["selected"] == [False, True, False]
    assert view["items"][1] == {
        "item": "f", "title": "Fargo", "what": "replaced", "row": 1, "before": False,
        "came_from": None, "similarity": 0.0, "later_true": True, "in_history": False,
    }  # fmt: skip
    assert found["shown"][0]["original"][1] == {"item": "c", "title": None}
    assert found["shown"][0]["follows"] == {"item": "e", "title": "E.T."}


# ---- the page ----


class Read(HTMLParser):
    """Checks that every element is closed in its turn; keeps the text."""

    EMPTY = {"meta", "br"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: str) -> str:
    reader = Read()
    reader.feed(page)
    assert not reader.open
    return " ".join(reader.words)


VIEWS = {
    "a.positive": augmented(
        [2, 3, 4], [2, 6, 4], selected=(False, True, True), confidence=(0.1, 0.9, math.nan), representation=0.5
    ),
    "a.masked": augmented([2, 3, 4], [2, MASK, 4], selected=(False, True, False)),
    "a.moved": augmented([2, 3, 4], [3, 2, 4]),
    "a.longer": augmented([2, 3, 4], [2, 1, 3], edited=[False, True, False]),
    "a.other": augmented([2, 3, 4], [5, 6], edited=[True, True]),
}


def test_the_page_shows_every_kind_of_change_in_words() -> None:
    text = read(preview_page(preview(VIEWS)))
    said = ["the original again", "taken later", "cosine 0.00", "MASK", "from place 3", "inserted", "left out", "had before"]
    assert [words for words in said if words not in text] == []
    assert "<i>Brazil</i>" in text and "User ann & bob" in text and "Untrained: <none>." in text
    assert "another sequence: set so that both end together" in text


def test_the_page_needs_nothing_but_itself() -> None:
    page = preview_page(preview(VIEWS))
    assert not re.search(r"<script|<link|<img|src=|url\(|@import|https?://", page)
    assert "default-src 'none'" in page and "prefers-color-scheme:dark" in page.replace(": ", ":")


def test_the_page_has_the_numbers_over_all_sequences_and_what_they_say() -> None:
    found = preview({"a.negative": augmented([2, 3, 4], [6, 1, 4], selected=(True, True, False), confidence=(0.9, 0.7, 0.2))})
    page = preview_page(found)
    for label, texts in table_of_numbers(found.views):
        assert re.search(rf">{re.escape(label)}</th>\s*<td[^>]*>{re.escape(texts[0])}</td>", page), label
    text = read(page)
    assert "Over 1 of 9 users" in text and [said for said in verdicts(found) if said not in text] == []
    assert re.search(r"False negatives\s*50\.0 %", text)


def test_the_page_is_a_function_of_the_preview() -> None:
    assert preview_page(preview(VIEWS)) == preview_page(preview(VIEWS))


def test_a_page_about_made_up_items_and_one_about_nothing() -> None:
    made_up = MadeUpNumbers(per_user=2.0, come_true=0.5, similarity=None, popularity_drift=-1.0, percentile_drift=None)
    shown = (user({}, original=(6, 6, 1, 2), made_up=2, begin=0),)
    text = read(
        preview_page(preview({}, made_up=made_up, shown=shown, trained=True, weights="trained: the best weights of r."))
    )
    assert text.count("made up") >= 3 and "50.0 %" in text and "Trained: the best weights of r." in text
    nothing = read(preview_page(preview({}, over=0, shown=(), notes=("own has no augmenters.",))))
    assert "own has no augmenters." in nothing and "Contents" not in nothing
