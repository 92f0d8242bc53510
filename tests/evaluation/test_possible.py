"""What is real is never called impossible; what is planted is found, and named."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqaug.evaluation.metrics import METRICS, metrics
from seqaug.evaluation.possible import Printed, contradictions, metric_name, printed, range_of

PAIRS = ("hr@5", "hr@10", "ndcg@5", "ndcg@10")


def block(**values: str) -> dict[str, Printed]:
    """hr5=".0178" -> {"hr@5": ...}."""
    return {f"{key.rstrip('0123456789')}@{key.lstrip('hrndcgm')}": printed(text) for key, text in values.items()}


def rounded(values: Mapping[str, float], decimals: int) -> dict[str, Printed]:
    return {name: printed(f"{value:.{decimals}f}") for name, value in values.items()}


# ---- what is real ----

RANKS = st.lists(st.one_of(st.integers(1, 25), st.integers(1, 12_000)), min_size=1, max_size=60)


@settings(max_examples=300, deadline=None)
@given(RANKS, st.lists(st.sampled_from(METRICS), unique=True, min_size=1), st.integers(1, 6))
def test_no_real_list_of_ranks_is_ever_impossible(ranks: list[int], names: list[str], decimals: int) -> None:
    found = metrics(np.asarray(ranks), names)
    assert contradictions(rounded(found, decimals)) == []


@settings(max_examples=150, deadline=None)
@given(st.lists(RANKS, min_size=2, max_size=6), st.integers(2, 5))
def test_nor_is_a_mean_over_several_runs(runs: list[list[int]], decimals: int) -> None:
    each = [metrics(np.asarray(ranks)) for ranks in runs]
    mean = {name: sum(one[name] for one in each) / len(each) for name in METRICS}
    assert contradictions(rounded(mean, decimals)) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(RANKS, min_size=2, max_size=6))
def test_means_of_rounded_values_need_one_unit_of_slack(runs: list[list[int]]) -> None:
    each = [{name: round(value, 4) for name, value in metrics(np.asarray(ranks)).items()} for ranks in runs]
    mean = {name: sum(one[name] for one in each) / len(each) for name in METRICS}
    assert contradictions({name: printed(f"{value:.4f}", slack=1) for name, value in mean.items()}) == []


@settings(max_examples=100, deadline=None)
@given(RANKS)
def test_percentages_are_the_same_block(ranks: list[int]) -> None:
    found = metrics(np.asarray(ranks))
    assert contradictions({name: printed(f"{100 * value:.2f}", percent=True) for name, value in found.items()}) == []
    assert contradictions({name: printed(f"{100 * value:.2f}%") for name, value in found.items()}) == []


@settings(max_examples=100, deadline=None)
@given(RANKS, st.sampled_from(METRICS))
def test_the_range_of_a_value_holds_the_real_one(ranks: list[int], name: str) -> None:
    found = metrics(np.asarray(ranks))
    ends = range_of(name, rounded(found, 4))
    assert ends is not None and ends[0] - 1e-9 <= found[name] <= ends[1] + 1e-9


# ---- what is planted ----


@settings(max_examples=200, deadline=None)
@given(RANKS, st.sampled_from(METRICS), st.booleans())
def test_a_value_just_outside_its_range_is_found_and_just_inside_is_not(ranks: list[int], name: str, above: bool) -> None:
    """The check is complete: the range is where the line is."""
    values = rounded(metrics(np.asarray(ranks)), 4)
    ends = range_of(name, values)
    assert ends is not None
    end, outwards = (ends[1], 1e-6) if above else (ends[0], -1e-6)

    def moved(to: float) -> dict[str, Printed]:
        return {**values, name: Printed(f"{to:.7f}", to, to, to, 7)}

    assert contradictions(moved(end - outwards / 1e3)) == [] or ends[1] - ends[0] < 1e-8
    found = contradictions(moved(end + outwards))
    assert found and any(name in one.metrics for one in found)


@pytest.mark.parametrize(
    ("planted", "names", "words"),
    [
        ({"hr5": ".0500", "hr10": ".0400"}, {"hr@5", "hr@10"}, "HR@10 .0400 is less than HR@5 .0500"),
        ({"ndcg5": ".0075", "ndcg10": ".0058"}, {"ndcg@5", "ndcg@10"}, "NDCG@10 .0058 is less than NDCG@5 .0075"),
        ({"mrr5": ".0300", "mrr20": ".0200"}, {"mrr@5", "mrr@20"}, "MRR@20 .0200 is less than MRR@5 .0300"),
        ({"hr10": ".0500", "ndcg10": ".0600"}, {"hr@10", "ndcg@10"}, "NDCG@10 .0600 is more than HR@10 .0500"),
        ({"ndcg10": ".0500", "mrr10": ".0600"}, {"ndcg@10", "mrr@10"}, "MRR@10 .0600 is more than NDCG@10 .0500"),
        ({"hr10": ".0500", "mrr10": ".0600"}, {"hr@10", "mrr@10"}, "MRR@10 .0600 is more than HR@10 .0500"),
        ({"hr5": ".1000", "ndcg5": ".0300"}, {"hr@5", "ndcg@5"}, "at least 1/log2(6) = 0.3869: at least 0.03867"),
        ({"hr5": ".1000", "mrr5": ".0100"}, {"hr@5", "mrr@5"}, "at least 1/5 = 0.2000"),
        (
            {"hr5": ".0338", "hr10": ".0562", "ndcg5": ".0191", "ndcg10": ".0252"},
            set(PAIRS),
            "is at most 0.00620; HR@10 - HR@5 = .0562 - .0338 is at least 0.02230",
        ),
        ({"hr5": ".0068", "hr10": ".0122", "ndcg5": ".0041", "ndcg10": ".0101"}, set(PAIRS), "at most 1/log2(7) = 0.3562"),
        ({"hr5": ".10", "hr10": ".20", "mrr5": ".05", "mrr10": ".10"}, {"hr@5", "hr@10", "mrr@5", "mrr@10"}, "at most 1/6"),
        ({"hr5": "5.72"}, {"hr@5"}, "--percent"),
        ({"hr5": "-0.01"}, {"hr@5"}, "between 0 and 1"),
        ({"ndcg5": "nan"}, {"ndcg@5"}, "NDCG@5 is nan, which is no number"),
        ({"ndcg5": "inf"}, {"ndcg@5"}, "no number"),
    ],
)  # fmt: skip
def test_a_planted_defect_is_named_with_its_numbers(planted: dict[str, str], names: set[str], words: str) -> None:
    (found,) = contradictions(block(**planted))
    assert set(found.metrics) == names
    assert words in found.message


def test_between_mrr_and_ndcg_only_the_whole_question_decides() -> None:
    """All hits at rank 1 (MRR = HR) leave no room for an NDCG below HR; each pair alone would pass."""
    values = block(hr10=".0500", ndcg10=".0400", mrr10=".0399")
    (found,) = contradictions(values)
    assert found.bound == "some distribution of ranks gives all values"
    assert set(found.metrics) == {"hr@10", "ndcg@10", "mrr@10"}
    for name in values:
        assert contradictions({other: value for other, value in values.items() if other != name}) == []


def test_the_smallest_set_of_values_is_named() -> None:
    values = block(hr5=".0200", ndcg5=".0150", hr10=".0500", ndcg10=".0400", mrr10=".0399")
    del values["hr@5"], values["ndcg@5"]
    more = {**values, **block(hr20=".0600")}
    (found,) = contradictions(more)
    assert "hr@20" not in found.metrics


def test_a_value_that_is_no_number_does_not_hide_another_defect() -> None:
    found = contradictions(block(mrr10="nan", hr5=".0500", hr10=".0400"))
    assert [one.metrics for one in found] == [("mrr@10",), ("hr@5", "hr@10")]


def test_the_missing_increment_is_bounded_as_the_evaluation_page_says() -> None:
    """Toys BERT4Rec: "must be about .0098-.0103", up to rounding; Sports SimDiffRec: "at least .02550"."""
    toys = block(hr5=".0123", hr10=".0202", ndcg5=".0075", ndcg10=".0058")
    assert range_of("ndcg@10", toys) == pytest.approx(
        (0.00745 + 0.0078 / math.log2(11), 0.00755 + 0.0080 / math.log2(7)), abs=1e-9
    )
    assert all(range_of(name, toys) is None for name in ("hr@5", "hr@10", "ndcg@5"))
    sports = range_of("ndcg@10", block(hr5=".0338", hr10=".0562", ndcg5=".0191", ndcg10=".0252"))
    assert sports is not None and sports[0] == pytest.approx(0.02550, abs=5e-6)


def test_rounding_is_given_in_favour_and_counted_from_the_text() -> None:
    assert (printed(".0572").low, printed(".0572").high) == pytest.approx((0.05715, 0.05725))
    assert (printed("0.05720").low, printed("0.05720").high) == pytest.approx((0.057195, 0.057205))
    assert (printed("5.72", percent=True).low, printed("5.72%").high) == pytest.approx((0.05715, 0.05725))
    assert (printed("5.7e-2").low, printed("5.7e-2").high) == pytest.approx((0.0565, 0.0575))
    assert printed(".0572", slack=1).high == pytest.approx(0.0573)
    # .0500 <= .0501 - 1e-4: the two roundings meet.
    assert contradictions(block(hr5=".0501", hr10=".0500")) == []
    assert contradictions(block(hr5=".0502", hr10=".0500")) != []
    with pytest.raises(ValueError, match="no number"):
        printed("five")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("HR@10", "hr@10"), ("hr@5", "hr@5"), ("Recall@20", "hr@20"), ("Hit@10", "hr@10"), ("Hit Ratio@5", "hr@5"),
        ("NDCG @ 10", "ndcg@10"), ("N@5", "ndcg@5"), ("MRR@10", "mrr@10"), ("HR10", "hr@10"), ("H_10", "hr@10"),
        ("precision@10", None), ("MRR", None), ("HR@0", None), ("HR@x", None), ("", None), ("10", None),
    ],
)  # fmt: skip
def test_metrics_are_known_by_the_names_that_tables_give_them(text: str, name: str | None) -> None:
    assert metric_name(text) == name
