"""What an augmentation did is told item by item, and counted right."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqaug.evaluation.augmentation import (
    Augmented,
    ItemFacts,
    Placed,
    Tally,
    UserFacts,
    aligned,
    judged,
    left_out,
)

MASK = 99


def told(placed: tuple[Placed, ...]) -> list[tuple[int, str, int]]:
    """(item, what, row), with row - 0.5 written as a negative place for what stands before a row."""
    return [(one.item, one.what, -one.row - 1 if one.before else one.row) for one in placed]


# ---- beside each other ----


def test_with_a_selection_every_position_is_kept_same_replaced_or_masked() -> None:
    found = aligned([1, 2, 3, 4], [1, 2, 7, MASK], mask=MASK, selected=[False, True, True, True])
    assert told(found) == [(1, "kept", 0), (2, "same", 1), (7, "replaced", 2), (MASK, "masked", 3)]


def test_with_a_selection_a_swap_is_two_replacements() -> None:
    assert [one.what for one in aligned([1, 2], [2, 1], mask=MASK, selected=[True, True])] == ["replaced", "replaced"]


def test_a_reorder_moves_items_and_knows_where_they_came_from() -> None:
    found = aligned([1, 2, 3, 4], [1, 4, 2, 3], mask=MASK)
    assert [one.what for one in found] == ["kept", "moved", "moved", "moved"]
    assert [one.came_from for one in found] == [None, 3, 1, 2]


def test_equal_items_that_moved_come_from_different_rows() -> None:
    found = aligned([5, 5, 1, 2], [1, 2, 5, 5], mask=MASK)
    assert sorted(one.came_from for one in found if one.came_from is not None) == [0, 1, 2, 3]


def test_a_crop_leaves_out_both_ends() -> None:
    found = aligned([1, 2, 3, 4, 5], [3, 4], mask=MASK, edited=[False, False])
    assert told(found) == [(3, "kept", 2), (4, "kept", 3)]
    assert left_out(found, 5) == (0, 1, 4)


def test_a_deletion_leaves_out_what_it_deletes() -> None:
    assert left_out(aligned([1, 2, 3, 4], [1, 3, 4], mask=MASK), 4) == (1,)


def test_an_insertion_stands_before_its_row() -> None:
    found = aligned([1, 2, 3], [1, 8, 2, 3], mask=MASK, edited=[False, True, False, False])
    assert told(found) == [(1, "kept", 0), (8, "inserted", -2), (2, "kept", 1), (3, "kept", 2)]
    assert not left_out(found, 3)


def test_an_insertion_that_pushed_the_oldest_item_out_is_still_one_insertion() -> None:
    found = aligned([1, 2, 3], [2, 8, 3], mask=MASK, edited=[False, True, False])
    assert told(found) == [(2, "kept", 1), (8, "inserted", -3), (3, "kept", 2)]
    assert left_out(found, 3) == (0,)


def test_masks_without_a_selector_are_told_in_place_however_alike_the_items_are() -> None:
    found = aligned([1, 1, 1], [MASK, 1, MASK], mask=MASK, edited=[True, False, True])
    assert [one.what for one in found] == ["masked", "kept", "masked"]


def test_another_sequence_ends_beside_the_original_and_leaves_nothing_out() -> None:
    longer = aligned([1, 2], [7, 8, 9], mask=MASK, edited=[True] * 3)
    assert told(longer) == [(7, "other", -1), (8, "other", 0), (9, "other", 1)]
    shorter = aligned([1, 2, 3], [8, 9], mask=MASK, edited=[True] * 2)
    assert told(shorter) == [(8, "other", 1), (9, "other", 2)]
    assert left_out(shorter, 3) == ()


def test_what_is_gone_here_and_new_there_has_moved() -> None:
    found = aligned([1, 2, 3, 4], [2, 3, 1], mask=MASK)
    assert [(one.item, one.what, one.came_from) for one in found] == [(2, "kept", None), (3, "kept", None), (1, "moved", 0)]
    assert left_out(found, 4) == (3,)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=9),
    st.lists(st.integers(1, 6) | st.just(MASK), min_size=1, max_size=9),
    st.data(),
)
def test_an_alignment_holds_the_whole_view_and_accounts_for_every_row(
    original: list[int], augmented: list[int], data: st.DataObject
) -> None:
    edited = data.draw(st.lists(st.booleans(), min_size=len(augmented), max_size=len(augmented)))
    found = aligned(original, augmented, mask=MASK, edited=edited)
    assert [one.item for one in found] == augmented
    beside = [one.row for one in found if not one.before]
    assert len(set(beside)) == len(beside) and all(0 <= row < len(original) for row in beside)
    assert all(original[one.row] == one.item for one in found if one.what == "kept")
    assert all(original[one.came_from] == one.item for one in found if one.came_from is not None)
    if not any(one.what == "other" for one in found):
        stays = [original[one.row] for one in found if one.what == "kept"]
        stays += [one.item for one in found if one.what == "moved"]
        exchanged = [original[one.row] for one in found if one.what in ("replaced", "masked")]
        gone = [original[row] for row in left_out(found, len(original))]
        assert Counter(stays + exchanged + gone) == Counter(original)


# ---- judged ----

VECTORS = np.array([[0, 0], [1, 0], [2, 0], [0, 3], [-1, 0], [0, 0]], dtype=np.float32)  # V = 4, and MASK
POPULARITY = np.array([0, 10, 10, 3, 0])
FACTS = ItemFacts.of(VECTORS, POPULARITY)
V_MASK = 5


def test_similarity_is_the_cosine_in_the_item_table() -> None:
    assert FACTS.similarity([1, 1, 1], [2, 3, 4]).tolist() == pytest.approx([1, 0, -1])


def test_a_percentile_is_the_share_of_the_catalogue_that_is_less_popular() -> None:
    assert FACTS.percentile[1:5].tolist() == [0.75, 0.75, 0.375, 0.125]


def test_the_similarity_at_random_is_the_mean_over_all_pairs() -> None:
    pairs = [FACTS.similarity([one], [other])[0] for one in range(1, 5) for other in range(1, 5) if one != other]
    assert FACTS.similarity_at_random == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(
    ("row", "before", "item", "later", "had"),
    [
        (1, False, 3, True, False),  # taken right after
        (1, False, 4, True, False),  # the validation item
        (1, False, 1, False, True),  # had just before
        (1, False, 2, False, False),  # the item that stands there is neither
        (1, True, 2, True, False),  # but comes true for what is put in front of it
        (2, False, 2, False, True),
    ],
)
def test_false_negatives_are_items_that_the_user_takes_later(row: int, before: bool, item: int, later: bool, had: bool) -> None:
    user = UserFacts(history=[1, 2, 3], valid=4, begin=0)
    (found,) = judged([Placed(item, "inserted", row, before=before)], [1, 2, 3], user, FACTS, mask=V_MASK)
    assert (found.later_true, found.in_history) == (later, had)


def test_a_cut_sequence_knows_the_history_before_it() -> None:
    user = UserFacts(history=[4, 1, 2, 3], valid=3, begin=2)
    (found,) = judged([Placed(4, "replaced", 0)], [2, 3], user, FACTS, mask=V_MASK)
    assert found.in_history and not found.later_true and found.similarity == pytest.approx(-1)


def test_before_made_up_items_nothing_was_and_all_is_to_come() -> None:
    user = UserFacts(history=[1, 2], valid=3, begin=0, made_up=2)
    found = judged([Placed(1, "replaced", 1), Placed(1, "replaced", 3)], [4, 4, 1, 2], user, FACTS, mask=V_MASK)
    assert [(one.later_true, one.in_history) for one in found] == [(True, False), (False, True)]


@pytest.mark.parametrize("what", ["kept", "masked", "moved", "other"])
def test_what_was_not_put_in_is_not_judged(what: str) -> None:
    one = Placed(V_MASK if what == "masked" else 1, what, 0)  # type: ignore[arg-type]
    assert judged([one], [1], UserFacts([1], 2, 0), FACTS, mask=V_MASK) == (one,)


# ---- counted ----


def view(original: list[int], items: list[int], selected: list[bool] | None, **more: object) -> Augmented:
    placed = aligned(original, items, mask=V_MASK, selected=selected)
    user = UserFacts(original, 4, 0)
    judgement = judged(placed, original, user, FACTS, mask=V_MASK)
    chosen = None if selected is None else tuple(selected)
    return Augmented(tuple(original), tuple(items), judgement, chosen, **more)  # type: ignore[arg-type]


def test_the_numbers_of_a_view_against_a_count_by_hand() -> None:
    tally = Tally(FACTS)
    tally.add(view([1, 3], [1, 1], [True, True], confidence=(0.2, 0.4), representation=0.5))
    tally.add(view([2, 3], [2, 3], [False, False], confidence=(0.1, 0.3), representation=0.1))
    tally.add(view([1, 2, 3], [4, 2, V_MASK], [True, False, True], confidence=(0.6, math.nan, 0.5)))
    found = tally.numbers()
    assert (found.sequences, found.positions, found.put_in) == (3, 7, 3)
    assert found.equal_views == pytest.approx(1 / 3)
    assert found.selected == pytest.approx(4 / 7)
    assert found.identity_rate == pytest.approx(1 / 3)  # 1 again, 3 -> 1, 1 -> 4; MASK is no item
    assert found.similarity == pytest.approx((0 + -1) / 2)
    drifts = [0, math.log(11) - math.log(4), math.log(1) - math.log(11)]
    assert found.popularity_drift == pytest.approx(np.mean(drifts))
    assert found.percentile_drift == pytest.approx(np.mean([0, 0.75 - 0.375, 0.125 - 0.75]))
    assert found.later_true == pytest.approx(1 / 3)  # item 4 is the validation item of all of them
    assert found.in_history == pytest.approx(1 / 3)  # item 1 in the place of 3
    assert (found.masked, found.replaced) == (pytest.approx(1 / 7), pytest.approx(2 / 7))
    assert found.confidence_selected == pytest.approx((0.2 + 0.4 + 0.6 + 0.5) / 4)
    assert found.confidence_elsewhere == pytest.approx((0.1 + 0.3) / 2)
    assert found.representation == pytest.approx(0.3)
    assert found.restored is None


def test_without_a_selector_there_is_no_identity_rate() -> None:
    tally = Tally(FACTS)
    tally.add(view([1, 2, 3], [1, 4, 2, 3], None))
    found = tally.numbers()
    assert found.identity_rate is None and found.selected is None
    assert found.inserted == pytest.approx(1 / 3) and found.put_in == 1
    usual = np.mean([math.log(11), math.log(11), math.log(4)])
    assert found.popularity_drift == pytest.approx(0 - usual)  # nothing stood there: against the whole sequence


def test_another_sequence_drifts_as_a_whole_and_puts_nothing_in() -> None:
    tally = Tally(FACTS)
    tally.add(Augmented((1, 2), (3,), aligned([1, 2], [3], mask=V_MASK, edited=[True])))
    found = tally.numbers()
    assert found.popularity_drift == pytest.approx(math.log(4) - math.log(11))
    assert (found.put_in, found.later_true, found.dropped) == (0, None, 0)
    assert found.equal_views == 0


def test_nothing_looked_at_gives_no_numbers() -> None:
    found = Tally(FACTS).numbers()
    assert found.sequences == 0 and found.equal_views is None and found.representation is None
