"""The page as a function of what it is given, whatever that is."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from report.markup import Markup
from seqaug.evaluation.comparison import Scored, compared
from seqaug.evaluation.hits import Bin
from seqaug.evaluation.intervals import Estimate
from seqaug.evaluation.metrics import METRICS
from seqaug.experiments.records import PROTOCOL
from seqaug.report.contents import (
    Closeness,
    Contents,
    Curve,
    Grid,
    Hits,
    Ladder,
    Provenance,
    RecipeValues,
    RunFacts,
    Rung,
    Scores,
)
from seqaug.report.html import cell, details, listed, numbers, paragraph, table
from seqaug.report.page import page
from seqaug.report.results import AGREE
from seqaug.report.sections import sections
from seqaug.report.style import STYLE
from seqaug.report.wording import duration, enumerated, p_text, signed

EVIL = '<script>alert("1")</script>&\''
ESTIMATE = Estimate(0.0828, 0.0793, 0.0863, EVIL)


def metrics(seed: int = 0, **more: Any) -> dict[str, Any]:
    part = dict.fromkeys(METRICS, 0.0828)
    return {
        "recipe": EVIL, "data": {"name": EVIL, "sha256": EVIL, "users": 30, "items": 40, "actions": 300}, "seed": seed,
        "best_epoch": 2, "epochs": 3, "valid": part, "test": part, "test_unseen": part,
        "protocol": {**dict.fromkeys(PROTOCOL, EVIL), "num_candidates": 40, "loss": {EVIL: {"objective": EVIL, "weight": 1.0}},
                     "selection": {"metric": EVIL, "weights": EVIL}, "samples": EVIL, "made_up_context": True},
        "seconds": {"train": 12.0, "evaluate": 1.0, "per_epoch": 4.0}, "parameters": 7, "device": EVIL, "threads": 1,
        "precision": EVIL, "finished": EVIL, "seqaug": EVIL, "hash": EVIL, "note": EVIL, **more,
    }  # fmt: skip


def scores(method: str, data: str, seeds: tuple[int, ...] = (0,)) -> Scores:
    estimates = {(part, name): ESTIMATE for part in ("test", "test_unseen") for name in METRICS}
    return Scores(method, data, seeds, estimates, dict.fromkeys(METRICS, 0.1), 12.0, 3.0, (EVIL,), EVIL)


def everything(names: tuple[str, ...] = (EVIL, f"{EVIL} 2"), seeds: tuple[int, ...] = (0, 1)) -> Contents:
    """A page with every section, every word of which wants to be markup."""
    rng = np.random.default_rng(0)
    users = np.array([str(user) for user in range(40)])
    runs = [Scored(name, EVIL, seed, users, rng.integers(1, 30, size=40)) for name in names for seed in seeds]
    comparison = compared(runs, reference=names[0], methods=names, data=[EVIL], metrics=["hr@10", "ndcg@10"], notes=[EVIL])
    step = comparison.cells[EVIL, "ndcg@10", names[1]].difference
    values = {name: [0.1, 0.2, 0.15] for name in METRICS}
    environment = {
        "platform": EVIL, "started": EVIL, "device": {"name": EVIL}, "versions": {EVIL: EVIL},
        "plugins": {EVIL: {"kind": EVIL, "name": EVIL, "distribution": EVIL, "version": EVIL, "sha256": EVIL}},
    }  # fmt: skip
    inside = (Bin(0, 0, 3), Bin(1, None, 37))
    return Contents(
        title=EVIL,
        lead=EVIL,
        made="2026-11-25T00:00:00+00:00",
        runs=[RunFacts(name, EVIL, seed, EVIL, metrics(seed), environment, [EVIL]) for name in names for seed in seeds],
        scores=[scores(name, EVIL, seeds) for name in names],
        protocols={EVIL: metrics()["protocol"]},
        notes=[EVIL],
        comparison=comparison,
        ladders=[Ladder(EVIL, "ndcg@10", (Rung(names[0], EVIL, ESTIMATE, None), Rung(names[1], EVIL, ESTIMATE, step)))],
        grids=[Grid(3, EVIL, EVIL, EVIL, "hr@10", ((0.1, ESTIMATE, 2), (0.2, ESTIMATE, 1), (0.4, ESTIMATE, 1)))],
        closeness=[Closeness(EVIL, ((EVIL, ESTIMATE, ESTIMATE, ESTIMATE),), ESTIMATE)],
        curves=[
            Curve(name, EVIL, seed, "ndcg@10", (EVIL,) * 3, {EVIL: [3, 2, 1]}, {EVIL: [0.1, 0.2, 0.3]}, values, [4, 8, 12], 1)
            for name in names
            for seed in seeds
        ],
        hits=[Hits(EVIL, EVIL, inside, {(name, m): [ESTIMATE] * 2 for name in names for m in ("hr@10", "ndcg@10")})],
        no_data={EVIL: EVIL},
        recipes=[
            RecipeValues(
                names[0], (EVIL,), EVIL, (Provenance(EVIL, EVIL, EVIL, EVIL, EVIL), Provenance("a", None, "b", "user", ""))
            ),
            RecipeValues(names[1], (EVIL,), "", (), EVIL),
        ],
    )


def test_every_word_is_escaped_wherever_it_stands() -> None:
    many = tuple(f"{EVIL} {place}" for place in range(8))
    for contents in (everything(), everything(many), replace(everything(), comparison=None, scores=[scores(EVIL, EVIL)])):
        written = page(contents)
        assert "<script" not in written
        found = Markup(written)
        assert not found.wrong and not found.handlers
        assert found.text.count("<script>alert") > 50, "the words are there, as words"


def test_sections_stand_in_the_order_in_which_a_reader_asks() -> None:
    expected = ["results", "protocol", "comparison", "ladder", "figures", "curves", "seconds", "hits", "recipe", "runs"]
    assert [one.id for one in sections(everything())] == expected
    found = Markup(page(everything()))
    anchors = [value.removeprefix("#") for tag, name, value in found.references if name == "href"]
    assert anchors == ["content", *expected], "a way past the header, and the table of contents"
    assert [one for one in found.ids if one in expected] == expected


@pytest.mark.parametrize(
    ("field", "section"),
    [("comparison", "comparison"), ("ladders", "ladder"), ("grids", "figures"), ("curves", "curves"), ("recipes", "recipe")],
)
def test_what_is_not_given_is_not_shown(field: str, section: str) -> None:
    nothing: Any = None if field == "comparison" else ()
    assert section not in [one.id for one in sections(replace(everything(), **{field: nothing}))]


def test_hits_are_left_out_only_where_nothing_can_be_said_of_them() -> None:
    full = everything()
    assert "hits" in [one.id for one in sections(replace(full, hits=()))], "it is said why they are not there"
    assert "hits" not in [one.id for one in sections(replace(full, hits=(), no_data={}))]


def test_the_browser_is_told_to_load_nothing_and_run_nothing() -> None:
    written = page(everything())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', written)
    assert policy is not None and "default-src 'none'" in policy[1] and "script-src" not in policy[1]
    found = Markup(written)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(found.tags)
    assert not re.search(r"url\(|@import|https?:", found.styles)


def test_the_style_knows_the_dark_the_phone_and_the_paper() -> None:
    assert "@media screen and (prefers-color-scheme: dark)" in STYLE, "a page on paper is never dark"
    assert "@media print" in STYLE and "details::details-content" in STYLE, "what is closed is open on paper"
    assert "@media (max-width: 34rem)" in STYLE and ".scroll { overflow-x: auto" in STYLE
    assert STYLE.count("{") == STYLE.count("}")


def test_every_class_on_the_page_has_a_rule() -> None:
    used = {name for names in re.findall(r'class="([^"]*)"', page(everything())) for name in names.split()}
    assert not {name for name in used if not re.search(rf"\.{re.escape(name)}(?![\w-])", STYLE)}


def test_every_table_scrolls_in_a_box_that_the_keyboard_reaches() -> None:
    written = page(everything())
    boxes = re.findall(r'<div class="scroll" role="region" tabindex="0" aria-label="[^"]+"><table', written)
    assert len(boxes) == written.count("<table") > 5


def test_the_table_of_differences_is_laid_out_as_table_3_where_it_fits() -> None:
    few, many = everything(), everything(tuple(f"m{place}" for place in range(8)))
    (section,) = (one for one in sections(few) if one.id == "comparison")
    head = re.search(r"<thead>(.*?)</thead>", section.body)
    assert head is not None and len(re.findall("<th", head[1])) == 1 + 2, "a column a method"
    assert Markup(section.body).text.count("reference") == 2
    (section,) = (one for one in sections(many) if one.id == "comparison")
    head = re.search(r"<thead>(.*?)</thead>", section.body)
    assert head is not None and re.findall(r">([^<]+)</th>", head[1]) == ["method", "HR@10", "NDCG@10"], "a row a method"


def test_verdicts_are_told_with_one_seed_and_with_several() -> None:
    several = Markup(page(everything())).text
    assert "not distinguishable, p" in several and "would tell" in several and "Holm" in several
    assert "single seed" not in several
    contents = everything(("one", "two"))
    found = contents.comparison
    assert found is not None
    key = (EVIL, "hr@10", "two")
    known = found.cells[key].difference
    assert known is not None
    single = replace(found.cells[key], difference=replace(known, p=None, adjusted=None))
    mixed = replace(contents, comparison=replace(found, cells={**found.cells, key: single}))
    assert "Where one of the two has a single seed" in Markup(page(mixed)).text
    alone = Markup(page(everything(seeds=(0,)))).text
    assert "With one seed no verdict is given" in alone and "not distinguishable, p" not in alone


def test_the_protocol_names_what_must_agree_as_compare_does() -> None:
    assert tuple(AGREE) == PROTOCOL
    words = Markup(page(everything())).text
    assert words.count("must agree") >= len(PROTOCOL)


def test_what_differs_between_runs_is_told_with_who_has_it() -> None:
    contents = everything(("one", "two"))
    runs = [
        replace(
            run, metrics=metrics(run.seed, protocol={**metrics()["protocol"], "max_length": 50 if run.method == "one" else 9})
        )
        for run in contents.runs
    ]
    (section,) = (one for one in sections(replace(contents, runs=runs)) if one.id == "protocol")
    row = re.search(r"<tr><th[^>]*>max_length</th><td[^>]*>(.*?)</td>", section.body)
    assert row is not None and row[1] == "50<small>one</small>9<small>two</small>"


def test_a_line_is_not_drawn_across_stages() -> None:
    contents = everything(("one", "two"), seeds=(0,))
    (curve, *_) = contents.curves
    staged = replace(curve, stages=("first", "second", "second"))
    (section,) = (one for one in sections(replace(contents, curves=[staged])) if one.id == "curves")
    lengths = [len(points.split()) for points in re.findall(r'<polyline points="([^"]*)"', section.body)]
    assert lengths == [1, 2] * 3, "validation, a loss and a record, each in two pieces"


def test_a_hue_means_one_method_in_all_charts_of_a_data_set() -> None:
    contents = everything(("worst", "best", "floor"), seeds=(0,))
    valid = {"worst": 0.1, "best": 0.3, "floor": 0.5}
    ranked = [replace(one, valid=dict.fromkeys(METRICS, valid[one.method])) for one in contents.scores]
    ranked[2] = replace(ranked[2], epochs=0.0, seconds=0.0)
    curves = [curve for curve in contents.curves if curve.method != "floor"]
    found = {one.id: one.body for one in sections(replace(contents, scores=ranked, curves=curves))}
    for section in ("curves", "seconds", "hits"):
        names = re.findall(r"<text[^>]*>(worst|best|floor) †</text>", found[section])
        kinds = 3 if section == "hits" else 2
        # Trained before untrained, the best on validation first; the test value decides nothing.
        assert names == ["best", "worst", "floor"][:kinds] * (len(names) // kinds)
        assert len(names) == (kinds if section == "curves" else 2 * kinds), section


def test_seconds_say_what_a_metric_costs() -> None:
    contents = everything()
    soon = [replace(curve, valid={name: [0.1, 0.195, 0.2] for name in METRICS}) for curve in contents.curves]
    (section,) = (one for one in sections(replace(contents, curves=soon)) if one.id == "seconds")
    words = Markup(section.body).text
    assert words.count("12.0 s") == 2 and words.count("8.0 s") == 2, "training in all, and until 95 % of the best validation"
    assert f"{1000 * 0.0828 / 12:.3g}" in words


def test_pieces_are_escaped_and_shaped() -> None:
    evil = "<b>"
    assert paragraph(evil) == "<p>&lt;b&gt;</p>"
    assert cell(evil, evil) == "&lt;b&gt;<small>&lt;b&gt;</small>"
    assert listed([evil]) == "<ul><li>&lt;b&gt;</li></ul>" and listed([]) == ""
    assert "&lt;b&gt;" in details(evil, "") and "<b>" not in details(evil, "")
    drawn = table([evil], [["a"]], caption=evil)
    assert "<b>" not in drawn and not Markup(drawn).wrong


def test_numbers_have_their_intervals_and_a_true_minus() -> None:
    assert numbers(0.08277, 0.0793, 0.0863) == "0.0828<small>0.0793 – 0.0863</small>"
    assert numbers(-0.01, -0.02, 0.03) == "−0.0100<small>−0.0200 to 0.0300</small>"
    assert numbers(0.5) == "0.5000" and numbers(None) == "–"


def test_words_for_times_lists_and_probabilities() -> None:
    assert [duration(seconds) for seconds in (3.24, 59.96, 75, 8000)] == ["3.2 s", "1 min 0 s", "1 min 15 s", "2 h 13 min"]
    assert [enumerated(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert p_text(0.0004) == "< 0.001" and p_text(0.0316) == "0.032"
    assert signed("-0.0120 [-0.0200, +0.0010]") == "−0.0120 [−0.0200, +0.0010]"
