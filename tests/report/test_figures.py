from __future__ import annotations

import math
import re
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest

from seqaug.evaluation.intervals import Estimate
from seqaug.report.figures import (
    Bars,
    ForestRow,
    Level,
    Series,
    bar_chart,
    bars_of,
    forest,
    line_chart,
    scatter,
)
from seqaug.report.svg import STYLE, embedded, text_width, wrapped

NS = "{http://www.w3.org/2000/svg}"


def lines(**more: object) -> str:
    series = [Series("one", [1, 2, 3], [0.1, 0.2, 0.3]), Series("two", [1, 2, 3], [0.3, 0.2, 0.1])]
    return line_chart(series, title="A title", x_label="epoch", y_label="NDCG@10", **more)  # type: ignore[arg-type]


def bars(**more: object) -> str:
    kinds = [Bars("a", [0.1, 0.2], [0.05, 0.15], [0.15, 0.25]), Bars("b", [0.3, math.nan])]
    return bar_chart(["first", "second"], kinds, title="A title", value_label="HR@10", **more)  # type: ignore[arg-type]


def dots(**more: object) -> str:
    return scatter([[0, 0], [1, 2], [3, 1]], ["u", "v", "u"], title="A title", **more)  # type: ignore[arg-type]


def differences(**more: object) -> str:
    rows = [
        ForestRow("down", -0.01, -0.02, -0.005, "worse", "beauty"),
        ForestRow("same", 0.001, -0.01, 0.012, "not distinguishable", "beauty"),
        ForestRow("up", 0.01, 0.005, 0.02, "better", "toys"),
        ForestRow("alone", 0.002),
    ]
    return forest(rows, title="A title", label="difference", **more)  # type: ignore[arg-type]


EVERY: list[Callable[..., str]] = [
    lines,
    bars,
    lambda **more: bars(horizontal=True, **more),
    dots,
    lambda **more: dots(x_label="x", y_label="y", **more),
    differences,
]


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in parsed(svg).iter(f"{NS}text")]


def points_of(svg: str, tag: str = "polyline") -> list[list[tuple[float, float]]]:
    found = []
    for one in parsed(svg).iter(f"{NS}{tag}"):
        pairs = (pair.split(",") for pair in one.attrib["points"].split())
        found.append([(float(x), float(y)) for x, y in pairs])
    return found


@pytest.mark.parametrize("draw", EVERY)
def test_a_figure_is_a_whole_svg_file_with_a_title_for_those_who_cannot_see_it(draw: Callable[..., str]) -> None:
    root = parsed(draw())
    assert root.tag == f"{NS}svg" and root.attrib["role"] == "img" and root.attrib["aria-label"] == "A title"
    assert root[0].tag == f"{NS}title" and root[0].text == "A title"
    assert [one.text for one in root.iter(f"{NS}style")] == [STYLE]
    assert "prefers-color-scheme:dark" in STYLE and "system-ui" in STYLE


@pytest.mark.parametrize("draw", EVERY)
def test_a_figure_of_a_page_has_no_style_and_no_ground_of_its_own(draw: Callable[..., str]) -> None:
    found = draw(standalone=False)
    assert "<style" not in found and 'class="ground"' not in found
    assert embedded(draw()) is not None


@pytest.mark.parametrize("draw", EVERY)
def test_the_same_numbers_are_the_same_picture_to_the_last_character(draw: Callable[..., str]) -> None:
    assert draw() == draw()


@pytest.mark.parametrize("draw", EVERY)
def test_every_class_of_a_figure_has_a_rule(draw: Callable[..., str]) -> None:
    used = {name for one in parsed(draw()).iter() for name in one.attrib.get("class", "").split()}
    assert not {name for name in used if f".{name}" not in STYLE}


@pytest.mark.parametrize("draw", EVERY)
def test_nothing_is_drawn_outside_of_the_picture(draw: Callable[..., str]) -> None:
    root = parsed(draw())
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    for one in root.iter():
        pairs = re.findall(r"(-?[\d.]+),(-?[\d.]+)", one.attrib.get("points", "") + one.attrib.get("d", ""))
        if "cx" in one.attrib:
            pairs.append((one.attrib["cx"], one.attrib["cy"]))
        if one.tag == f"{NS}text":
            pairs.append((one.attrib["x"], one.attrib["y"]))
        assert all(-0.1 <= float(x) <= width + 0.1 and -0.1 <= float(y) <= height + 0.1 for x, y in pairs), one.attrib


def test_words_are_escaped_everywhere() -> None:
    evil = '<script>alert("1")</script>&\x07'
    every = [
        line_chart([Series(evil, [1], [1])], title=evil, x_label=evil, y_label=evil, levels=[Level(evil, 2)], chosen_name=evil),
        bar_chart([evil], [Bars(evil, [1])], title=evil, value_label=evil, category_label=evil),
        bar_chart([evil], [Bars(evil, [1])], title=evil, value_label=evil, horizontal=True, kinds=[evil]),
        scatter([[0, 1]], [evil], title=evil, note=evil, x_label=evil, y_label=evil),
        forest([ForestRow(evil, 1.0, heading=evil)], title=evil, label=evil, note=evil),
    ]
    for svg in every:
        parsed(svg)
        assert "<script" not in svg and "&lt;script&gt;" in svg and "\x07" not in svg


def test_a_higher_value_is_drawn_higher_and_a_later_one_further_right() -> None:
    rising, falling = points_of(lines())
    assert [x for x, _ in rising] == sorted(x for x, _ in rising)
    assert rising[0][1] > rising[1][1] > rising[2][1], "y grows downwards in a picture"
    assert falling[0][1] == pytest.approx(rising[2][1]) and falling[1][1] == pytest.approx(rising[1][1])
    assert rising[1][1] == pytest.approx((rising[0][1] + rising[2][1]) / 2, abs=0.11), "halfway is half the way"


def test_the_axes_have_the_ticks_of_hand_made_data() -> None:
    svg = line_chart([Series("a", [0, 50, 100], [0.0, 0.05, 0.1])], title="t", x_label="x", y_label="y")
    shown = texts(svg)
    assert [one for one in shown if one in ("0", "25", "50", "75", "100")] == ["0", "25", "50", "75", "100"]
    assert [one for one in shown if re.fullmatch(r"0\.\d+", one)] == ["0.000", "0.025", "0.050", "0.075", "0.100"]


def test_on_a_logarithmic_axis_equal_ratios_are_equally_far_apart() -> None:
    svg = line_chart([Series("a", [1, 10, 100], [1, 1.5, 2])], title="t", x_label="x", y_label="y", log_x=True)
    ((first, second, third),) = ([x for x, _ in line] for line in points_of(svg))
    assert second - first == pytest.approx(third - second, abs=0.11)


def test_y_can_be_logarithmic_too_and_refuses_what_has_no_logarithm() -> None:
    svg = line_chart([Series("a", [1, 2, 3], [1, 10, 100])], title="t", x_label="x", y_label="y", log_y=True)
    ((first, second, third),) = ([y for _, y in line] for line in points_of(svg))
    assert first - second == pytest.approx(second - third, abs=0.11) and first > third
    with pytest.raises(ValueError, match="above 0"):
        line_chart([Series("a", [1, 2], [0, 1])], title="t", x_label="x", y_label="y", log_y=True)


def test_a_value_that_is_not_finite_is_left_out() -> None:
    svg = line_chart([Series("a", [1, 2, 3, 4], [1, math.nan, 2, math.inf])], title="t", x_label="x", y_label="y")
    assert [len(line) for line in points_of(svg)] == [2]
    with pytest.raises(ValueError, match="finite"):
        line_chart([Series("a", [1], [math.nan])], title="t", x_label="x", y_label="y")


def test_a_ring_marks_the_chosen_point() -> None:
    svg = line_chart(
        [Series("a", [1, 2, 3], [1, 3, 2], chosen=1)], title="t", x_label="x", y_label="y", chosen_name="best epoch"
    )
    ring = next(one for one in parsed(svg).iter(f"{NS}circle") if "hollow" in one.attrib["class"] and len(one))
    assert (float(ring.attrib["cx"]), float(ring.attrib["cy"])) == points_of(svg)[0][1]
    assert ring[0].text == "a, best epoch: 3 at 2" and "best epoch" in texts(svg)


def test_lines_of_one_hue_stand_once_in_the_legend() -> None:
    series = [Series("a", [1, 2], [1, 2], hue=0), Series("", [1, 2], [2, 3], hue=0), Series("b", [1, 2], [3, 4], hue=1)]
    svg = line_chart(series, title="t", x_label="x", y_label="y")
    hues = [one.attrib["class"] for one in parsed(svg).iter(f"{NS}polyline")]
    assert hues == ["line s1", "line s1", "line s2"]
    assert [one for one in texts(svg) if one in ("a", "b", "")] == ["a", "b"]


def test_the_ninth_line_has_the_first_hue_and_dashes() -> None:
    svg = line_chart([Series(str(n), [1, 2], [n, n]) for n in range(9)], title="t", x_label="x", y_label="y")
    classes = [one.attrib["class"].split() for one in parsed(svg).iter(f"{NS}polyline")]
    assert "s1" in classes[0] and "s1" in classes[8] and "dash-1" in classes[8] and "dash-1" not in classes[0]


def test_an_interval_is_a_band_or_error_bars_between_its_ends() -> None:
    known = {"low": [0.5, 1.5, 1.0], "high": [1.5, 2.5, 3.0]}
    band = line_chart([Series("a", [1, 2, 3], [1, 2, 2], **known)], title="t", x_label="x", y_label="y")  # type: ignore[arg-type]
    (outline,) = points_of(band, "polygon")
    assert len(outline) == 6
    upper, lower = outline[:3], outline[3:][::-1]
    assert all(up[0] == down[0] and up[1] < down[1] for up, down in zip(upper, lower, strict=True))
    whiskers = line_chart(
        [Series("a", [1, 2, 3], [1, 2, 2], bars=True, **known)],
        title="t",
        x_label="x",
        y_label="y",  # type: ignore[arg-type]
    )
    assert sum(one.attrib.get("class") == "bar s1" for one in parsed(whiskers).iter(f"{NS}path")) == 3
    assert not points_of(whiskers, "polygon")


def test_bars_are_as_high_as_their_values_and_start_at_zero() -> None:
    svg = bar_chart(["a", "b"], [Bars("m", [0.2, 0.4])], title="t", value_label="v")
    first, second = [one for one in parsed(svg).iter(f"{NS}rect") if "block" in one.attrib["class"]]
    assert float(second.attrib["height"]) == pytest.approx(2 * float(first.attrib["height"]), abs=0.21)
    bottoms = {round(float(one.attrib["y"]) + float(one.attrib["height"]), 1) for one in (first, second)}
    assert max(bottoms) - min(bottoms) <= 0.11
    lying = bar_chart(["a", "b"], [Bars("m", [0.2, 0.4])], title="t", value_label="v", horizontal=True)
    widths = [float(one.attrib["width"]) for one in parsed(lying).iter(f"{NS}rect") if "block" in one.attrib["class"]]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.21)
    assert "0.2000" in texts(lying) and "0.4000" in texts(lying)


def test_a_missing_bar_is_left_out_and_a_kind_has_a_hue() -> None:
    assert sum("block" in one.attrib.get("class", "") for one in parsed(bars()).iter(f"{NS}rect")) == 3
    svg = bar_chart(
        ["a", "b", "c"], [Bars("m", [1, 2, 3])], title="t", value_label="v", horizontal=True, kinds=["floor", "other", "floor"]
    )
    hues = [one.attrib["class"] for one in parsed(svg).iter(f"{NS}rect") if "block" in one.attrib["class"]]
    assert hues == ["block f1", "block f2", "block f1"]
    assert {"floor", "other"} <= set(texts(svg))


def test_a_long_category_is_broken_before_it_is_cut() -> None:
    svg = bar_chart(["65-128"] * 12, [Bars("m", [1.0] * 12)], title="t", value_label="v")
    assert texts(svg).count("65-") == texts(svg).count("128") == 12


def test_points_keep_their_proportions() -> None:
    svg = scatter([[0, 0], [4, 0], [0, 1]], ["a", "b", "c"], title="t")
    at = [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in parsed(svg).iter(f"{NS}circle") if len(one)]
    across, down = at[1][0] - at[0][0], at[0][1] - at[2][1]
    assert across == pytest.approx(4 * down, rel=0.01)
    with pytest.raises(ValueError, match="finite"):
        scatter(np.array([[0.0, math.nan]]), ["a"], title="t")


def test_groups_differ_by_hue_then_by_shape() -> None:
    svg = scatter(np.arange(20).reshape(10, 2), list(range(10)), title="t", legend=False)
    marks = [
        (one.tag.removeprefix(NS), one.attrib["class"]) for one in parsed(svg).iter() if len(one) and "class" in one.attrib
    ]
    marks = [mark for mark in marks if mark[1].startswith("f")]
    assert len(marks) == len(set(marks)) == 10


def test_a_joined_group_is_a_line_through_its_points_in_their_order() -> None:
    svg = scatter([[0, 0], [9, 9], [1, 5], [2, 0]], ["u", "v", "u", "u"], title="t", joined=True)
    line = next(path for path in points_of(svg) if len(path) == 3)
    assert [x for x, _ in line] == sorted(x for x, _ in line)


def test_a_verdict_is_told_by_shape_and_not_by_hue_alone() -> None:
    root = parsed(differences())
    marks = {one[0].text.split(":")[0]: one for one in root.iter() if len(one) and one.tag != f"{NS}svg"}
    assert marks["up"].tag == marks["down"].tag == f"{NS}polygon"
    tips = {name: [float(y) for y in re.findall(r",([\d.]+)", marks[name].attrib["points"])] for name in ("up", "down")}
    assert tips["up"][0] < min(tips["up"][1:]) and tips["down"][0] > max(tips["down"][1:])
    assert "hollow" in marks["same"].attrib["class"] and marks["alone"].attrib["class"] == "f1"


def test_zero_is_between_what_is_better_and_what_is_worse() -> None:
    root = parsed(differences())
    zero = next(one for one in root.iter(f"{NS}path") if one.attrib["class"] == "axis")
    at = float(re.match(r"M([\d.]+)", zero.attrib["d"])[1])  # type: ignore[index]
    marks = {one[0].text.split(":")[0]: one for one in root.iter() if len(one) and one.tag != f"{NS}svg"}
    middle = {name: float(marks[name].attrib["points"].split(",")[0]) for name in ("up", "down")}
    assert middle["down"] < at < middle["up"]
    assert at - middle["down"] == pytest.approx(middle["up"] - at, abs=0.11)


def test_numbers_of_a_forest_have_a_true_minus() -> None:
    assert "−0.0100 [−0.0200, −0.0050]" in texts(differences())
    assert "+0.0020" in texts(differences())


def test_bars_of_estimates_have_their_ends() -> None:
    found = bars_of("m", [Estimate(0.2, 0.1, 0.3, ""), Estimate(0.5, None, None, "")])
    assert found.values == [0.2, 0.5] and found.low is not None and found.low[0] == 0.1 and math.isnan(found.low[1])


def test_text_is_wrapped_at_spaces() -> None:
    assert wrapped("one two three", text_width("one two")) == ["one two", "three"]
    assert wrapped("", 100) == [] and wrapped("longest", 1) == ["longest"]
    assert text_width("映画") > text_width("ab")


@pytest.mark.parametrize(
    "picture",
    [
        "no picture",
        "<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg' onload='1'/>",
        "<svg xmlns='http://www.w3.org/2000/svg'><rect style='fill:url(http://example.org)'/></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'><style>@import 'x'</style></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'><image href='http://example.org/x.png'/></svg>",
        "<div/>",
    ],
)
def test_a_picture_that_is_not_ours_is_not_embedded(picture: str) -> None:
    assert embedded(picture) is None
