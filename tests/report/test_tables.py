"""A comparison as text, Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest

from seqaug.evaluation.comparison import Comparison, ComparisonCell, Difference
from seqaug.report.tables import as_csv, as_json, as_latex, as_markdown, as_text_rows, legend, metric_text

BETTER = Difference(0.0123, 0.0101, 0.0145, 0.0001, 0.0004, "better", (0, 1, 2), "Student's t over 3 seeds", 3)
WORSE = Difference(-0.0077, -0.011, -0.0044, 0.004, 0.012, "worse", (0, 1, 2), "Student's t over 3 seeds", 1)
UNTOLD = Difference(-0.0003, -0.0021, 0.0015, 0.6, 1.0, "not distinguishable", (0, 1, 2), "Student's t over 3 seeds", None)
ONE_SEED = Difference(0.002, 0.001, 0.003, None, None, "not distinguishable", (0,), "one seed", None)


def cell(
    method: str, mean: float, difference: Difference | None, metric: str = "hr@10", data: str = "beauty"
) -> ComparisonCell:
    seeds = difference.seeds if difference is not None else (0, 1, 2)
    values = tuple(mean + 0.001 * seed for seed in seeds)
    spread = 0.001 if len(seeds) > 1 else None
    return ComparisonCell(data, metric, method, seeds, values, mean, spread, difference)


@pytest.fixture
def comparison() -> Comparison:
    cells = [
        cell("Ours", 0.09, None),
        cell("w/o k_noise", 0.1023, BETTER),
        cell("w/o c_aug", 0.0823, WORSE),
        cell("Ours", 0.05, None, "ndcg@10"),
        cell("w/o k_noise", 0.0497, UNTOLD, "ndcg@10"),
    ]
    return Comparison(
        reference="Ours",
        data=("beauty",),
        metrics=("hr@10", "ndcg@10"),
        methods=("Ours", "w/o k_noise", "w/o c_aug"),
        cells={(one.data, one.metric, one.method): one for one in cells},
        level=0.05,
        power=0.8,
        compared=3,
        notes=("No run of w/o c_aug on beauty.", "50 % of A & B_C <x>."),
    )


def test_the_layout_is_that_of_table_3_with_the_reference_last(comparison: Comparison) -> None:
    header, rows = as_text_rows(comparison)
    assert header == ["data", "metric", "w/o k_noise", "w/o c_aug", "Ours"]
    assert [row[:2] for row in rows if row[0]] == [["beauty", "HR@10"], ["beauty", "NDCG@10"]]
    assert rows[0][2:] == ["0.1023 +- 0.0010 +", "0.0823 +- 0.0010 -", "0.0900 +- 0.0010"]
    assert rows[1][2:] == ["+0.0123 [+0.0101, +0.0145]", "-0.0077 [-0.0110, -0.0044]", ""]
    assert rows[2][2:] == ["p < 0.001, better, 3 seeds would tell", "p = 0.012, worse, 1 seed would tell", ""]
    assert rows[3][2:] == ["0.0497 +- 0.0010 =", "no run", "0.0500 +- 0.0010"]
    assert rows[5][2] == "p = 1.000, not distinguishable"


def test_a_tall_table_has_a_line_for_each_method(comparison: Comparison) -> None:
    header, rows = as_text_rows(comparison, tall=True)
    assert header == ["data", "metric", "method", "mean", "difference"]
    assert rows[0] == ["beauty", "HR@10", "w/o k_noise", "0.1023 +- 0.0010 +", "+0.0123 [+0.0101, +0.0145]"]
    assert rows[1] == ["", "", "", "", "p < 0.001, better, 3 seeds would tell"]
    assert all(len(row) == 5 for row in rows)


def test_text_is_plain_ascii(comparison: Comparison) -> None:
    header, rows = as_text_rows(comparison)
    assert "".join([*header, *(text for row in rows for text in row), *legend(comparison)]).isascii()


def test_one_seed_is_marked_as_no_verdict(comparison: Comparison) -> None:
    place = ("beauty", "hr@10", "w/o c_aug")
    one = replace(comparison, cells={**comparison.cells, place: cell("w/o c_aug", 0.092, ONE_SEED)})
    _, rows = as_text_rows(one)
    assert (rows[0][3], rows[2][3]) == ("0.0920 ?", "no verdict")
    assert "? no verdict" in legend(one)[0] and "?" not in legend(comparison)[0]


@pytest.mark.parametrize("form", [as_markdown, as_latex])
def test_every_note_and_every_mark_stands_below_the_table(form: object, comparison: Comparison) -> None:
    assert callable(form)
    text = form(comparison)
    below = text[text.rindex("0.0500") :]
    for word in (
        "better",
        "worse",
        "not distinguishable",
        "No run of w/o",
        "50",
        "beside Ours (level 0.05 over 3 differences)",
    ):
        assert word in below


def test_markdown_is_one_table_whose_rows_have_equal_cells(comparison: Comparison) -> None:
    lines = [line for line in as_markdown(comparison).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}
    assert lines[0] == r"| data | metric | w/o k\_noise | w/o c\_aug | Ours |"
    assert "0.1023 ± 0.0010 **+**<br>+0.0123 [+0.0101, +0.0145]<br>p < 0.001, better, 3 seeds would tell" in lines[2]
    assert "**−**<br>−0.0077 [−0.0110, −0.0044]" in lines[2]
    assert r"\<x>" in as_markdown(comparison)


def test_means_are_never_bold(comparison: Comparison) -> None:
    assert set(re.findall(r"\*\*(.+?)\*\*", as_markdown(comparison))) == {"+", "−"}
    assert "textbf" not in as_latex(comparison)


def test_latex_has_booktabs_and_equal_columns_and_escapes_what_it_must(comparison: Comparison) -> None:
    text = as_latex(comparison)
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}") == 1
    assert "\\begin{tabular}{llccc}" in text
    body = text[text.index("\\toprule") : text.index("\\bottomrule")]
    rows = [row for row in body.split("\\\\\n") if row.strip()]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {4}
    assert "w/o k\\_noise & w/o c\\_aug & Ours" in rows[0]
    assert "0.1023 $\\pm$ 0.0010 $+$ & 0.0823 $\\pm$ 0.0010 $-$ & 0.0900 $\\pm$ 0.0010" in rows[1]
    assert "{\\footnotesize $+0.0123$ [$+0.0101$, $+0.0145$]}" in rows[2]
    assert "{\\footnotesize $p < 0.001$, better, 3 seeds would tell}" in rows[3]
    assert "50 \\% of A \\& B\\_C $<$x$>$." in text
    assert "95 \\% interval" in text
    assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")
    assert text.count("$") % 2 == 0


def test_csv_is_tidy(comparison: Comparison) -> None:
    text = as_csv(comparison)
    assert text.splitlines()[0] == (
        "data,metric,method,seeds,mean,spread,difference,low,high,p,p_holm,verdict,seeds_needed,how"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 5
    found = {(row["metric"], row["method"]): row for row in rows}
    better = found["hr@10", "w/o k_noise"]
    assert better["seeds"] == "0 1 2" and float(better["difference"]) == 0.0123 and float(better["p_holm"]) == 0.0004
    assert better["verdict"] == "better" and better["seeds_needed"] == "3"
    assert found["hr@10", "Ours"]["difference"] == "" and found["ndcg@10", "w/o k_noise"]["seeds_needed"] == ""


def test_json_is_json_and_holds_everything(comparison: Comparison) -> None:
    found = json.loads(json.dumps(as_json(comparison), allow_nan=False))
    assert found["reference"] == "Ours" and found["compared"] == 3 and found["notes"] == list(comparison.notes)
    assert len(found["cells"]) == 5
    first = found["cells"][0]
    assert first["method"] == "w/o k_noise" and first["values"] == [0.1023, 0.1033, 0.1043]
    assert first["verdict"] == "better" and first["p"] == 0.0001 and first["paired_seeds"] == [0, 1, 2]
    ours = next(one for one in found["cells"] if one["method"] == "Ours")
    assert ours["difference"] is None and ours["paired_seeds"] is None


def test_where_there_is_no_p_neither_json_nor_csv_has_a_verdict(comparison: Comparison) -> None:
    place = ("beauty", "hr@10", "w/o c_aug")
    one = replace(comparison, cells={**comparison.cells, place: cell("w/o c_aug", 0.092, ONE_SEED)})
    (told,) = (row for row in as_json(one)["cells"] if row["seeds"] == [0])
    assert told["p"] is None and told["verdict"] is None and told["difference"] == 0.002
    (row,) = (row for row in csv.DictReader(io.StringIO(as_csv(one))) if row["seeds"] == "0")
    assert row["p"] == row["verdict"] == "" and row["how"] == "one seed"


def test_metrics_are_written_in_capitals() -> None:
    assert metric_text("ndcg@10") == "NDCG@10"
