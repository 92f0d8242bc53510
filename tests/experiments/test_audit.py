"""The paper's tables, and tables of other people, in every shape that is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqaug.errors import DataError
from seqaug.experiments.audit import Audit, audit_file, audit_paper, paper_blocks, paper_rows
from seqaug.experiments.metric_tables import read_tables


def blocks(text: str, **options: object) -> dict[tuple[str, str], dict[str, str]]:
    """(dataset, method) -> metric -> text."""
    found = read_tables(text, "t", **options)  # type: ignore[arg-type]
    return {(one.dataset, one.method): {name: value.text for name, value in one.values.items()} for one in found.blocks}


def found_in(audit: Audit, table: str) -> set[tuple[str, str]]:
    return {(one.block.dataset, one.block.method) for one in audit.findings if one.block.table == table}


# ---- the paper ----


def test_table_2_has_exactly_five_impossible_blocks_and_table_3_one() -> None:
    audit = audit_paper()
    assert found_in(audit, "table2") == {
        ("toys", "BERT4Rec"),
        ("sports", "BERT4Rec"),
        ("ml-1m", "BERT4Rec"),
        ("yelp", "MCLRec"),
        ("sports", "SimDiffRec"),
    }
    assert found_in(audit, "table3") == {("sports", "SimDiffRec")}
    assert len(audit.blocks) == 50 + 12 and audit.values == 4 * 62 and not audit.notes


def test_they_are_impossible_even_if_rounded_values_were_averaged() -> None:
    assert len(audit_paper(slack=1).findings) == 6
    assert len(audit_paper(slack=3).findings) < 6


def test_what_a_value_would_have_to_be_is_said_where_one_alone_can_be_wrong() -> None:
    found = {(one.block.dataset, one.block.method): one for one in audit_paper().findings if one.block.table == "table2"}
    assert set(found["toys", "BERT4Rec"].alternatives) == {"ndcg@10"}
    assert found["toys", "BERT4Rec"].advice == [
        "NDCG@10 would have to be between 0.00970 and 0.01040; no other value can be the only wrong one"
    ]
    assert set(found["sports", "SimDiffRec"].alternatives) == {"hr@5", "hr@10", "ndcg@5", "ndcg@10"}
    assert (
        "if the others are right, NDCG@10 would have to be between 0.02550 and 0.02716" in found["sports", "SimDiffRec"].advice
    )


def test_the_paper_is_in_the_package_as_it_was_typed_in() -> None:
    assert [row["dataset"] for row in paper_rows("table1")] == ["beauty", "toys", "sports", "yelp", "ml-1m"]
    block, wrong = paper_blocks("table2")["beauty", "SimDiffRec"]
    assert wrong is None and {name: value.value for name, value in block.values.items()} == {
        "hr@5": 0.0572,
        "hr@10": 0.0932,
        "ndcg@5": 0.0310,
        "ndcg@10": 0.0427,
    }
    assert paper_blocks("table3")["sports", "SimDiffRec"][1] is not None


def test_a_finding_is_a_document_with_the_lines_of_its_values(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "value,metric,method,dataset\n.04,HR@10,A,beauty\n.05,HR@5,A,beauty\n.0400,HR@10,B,beauty\n"
    )
    (tmp_path / "t.csv").write_text(
        "value,metric,method,data\n.0400,HR@10,A,beauty\n.0500,HR@5,A,beauty\n.0400,HR@10,B,beauty\n"
    )
    (only,) = audit_file(tmp_path / "t.csv").findings
    assert only.document() == {
        "table": str(tmp_path / "t.csv"),
        "dataset": "beauty",
        "method": "A",
        "values": {"hr@10": ".0400", "hr@5": ".0500"},
        "lines": {"hr@10": 2, "hr@5": 3},
        "contradictions": [
            {"metrics": ["hr@5", "hr@10"], "bound": "HR@10 is at least HR@5", "message": only.contradictions[0].message}
        ],
        "would_have_to_be": {"hr@10": {"from": 0.04995, "to": 1.0}, "hr@5": {"from": 0.0, "to": 0.04005}},
    }


def test_where_two_values_must_be_wrong_no_single_one_is_blamed(tmp_path: Path) -> None:
    rows = ["HR@5,.0500", "HR@10,.0400", "NDCG@5,.0500", "NDCG@10,.0300"]
    (tmp_path / "t.csv").write_text("method,metric,value\n" + "".join(f"A,{row}\n" for row in rows))
    (only,) = audit_file(tmp_path / "t.csv").findings
    assert not only.alternatives and only.advice == [
        "whichever one of the values is changed, the others contradict each other: at least two are wrong"
    ]


# ---- shapes ----

LONG = {("beauty", "A"): {"hr@10": ".0500"}, ("beauty", "B"): {"hr@10": ".0600"}}


@pytest.mark.parametrize(
    "text",
    [
        "method,dataset,metric,value\nA,beauty,HR@10,.0500\nB,beauty,HR@10,.0600\n",
        "Value,DATA,Metric,Method\n.0500,beauty,recall@10,A\n\n.0600,beauty,HR@10,B\n",
        "# a comment\nmethod;data set;metric;value\r\nA;beauty;hr@10;.0500\r\nB;beauty;hr@10;.0600\r\n",
        'model\tdataset\tmetric\tvalue\nA\tbeauty\t"HR@10"\t.0500\nB\tbeauty\tHR@10\t.0600\n',
        "dataset,metric,A,B\nbeauty,HR@10,.0500,.0600\n",
        "dataset,method,HR@10\nbeauty,A,.0500\nbeauty,B,.0600\n",
        "|method|data|metric|value|\n|---|---|---|---|\n| A | beauty | HR@10 | .0500 |\n| B | beauty | HR@10 | **.0600** |\n",
        "| dataset | metric | A | B |\n| :-- | --- | --: | --: |\n| beauty | HR@10 | .0500 | .0600 ± .0004 |\n",
        "| | | A | B |\n|---|---|---|---|\n| beauty | HR@10 | .0500 | .0600* |\n",
        "data,metric,method,seeds,mean,spread\nbeauty,hr@10,A,0 1,.0500,.1\nbeauty,hr@10,B,0 1,.0600,.1\n",
        "| data | metric | A | B |\n|---|---|---|---|\n| beauty | HR@10 | .0500 | .0600 ± .0004<br>+.0100 [.0090, .0110] |\n",
        "Text before.\n\n### beauty\n\nmethod | HR@10\n--- | ---\nA | .0500\n[B](b.md) | __.0600__\n\nText | after\n",
        "| | Beauty HR@10 |\n|---|---|\n| A | .0500 |\n| B | .0600 |\n".replace("Beauty", "beauty"),
    ],
)
def test_every_shape_reads_the_same(text: str) -> None:
    assert blocks(text) == LONG


def test_an_empty_name_repeats_the_one_above_and_an_empty_value_is_no_value() -> None:
    text = "|data|metric|A|B|\n|-|-|-|-|\n| beauty | HR@5 | .1 | - |\n| | HR@10 | .2 | |\n| toys | HR@5 | .3 | .4 |\n"
    assert blocks(text) == {
        ("beauty", "A"): {"hr@5": ".1", "hr@10": ".2"},
        ("toys", "A"): {"hr@5": ".3"},
        ("toys", "B"): {"hr@5": ".4"},
    }


def test_the_papers_table_3_as_a_markdown_table_is_the_same_audit(tmp_path: Path) -> None:
    rows = paper_rows("table3")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = ["| data | metric | " + " | ".join(methods) + " |", "|" + "---|" * (len(methods) + 2)]
    values = {(row["dataset"], row["metric"], row["method"]): row["value"] for row in rows}
    for dataset, metric in dict.fromkeys((row["dataset"], row["metric"]) for row in rows):
        lines.append(f"| {dataset} | {metric.upper()} | " + " | ".join(values[dataset, metric, one] for one in methods) + " |")
    (tmp_path / "t.md").write_text("\n".join(lines))
    audit = audit_file(tmp_path / "t.md")
    assert [(one.block.dataset, one.block.method) for one in audit.findings] == [("sports", "SimDiffRec")]
    assert audit.findings[0].block.lines["hr@5"] == 11


def test_other_tables_and_other_metrics_are_passed_over_and_named() -> None:
    text = "| a | b |\n|---|---|\n| 1 | 2 |\n\n| method | HR@5 | HR@10 |\n|---|---|---|\n| A | .1 | .2 |\n"
    found = read_tables(text, "t.md")
    assert len(found.blocks) == 1 and found.notes == (
        "t.md:1: this table has no metric that can be checked and was passed over.",
    )
    found = read_tables("method,metric,value\nA,HR@5,.1\nA,precision@5,.02\nB,precision@5,.02\n", "t.csv")
    assert [one.method for one in found.blocks] == ["A"]
    assert found.notes == ("t.csv:3: precision@5 is not checked (HR, NDCG and MRR at a cut-off are).",)


# ---- what cannot be read ----


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "t is empty"),
        ("method,value\nA,.1\n", "t:1: there is no metric column (the columns are method, value). A table is read"),
        ("a,b\n1,2\n", "t:1: this is no table of metrics"),
        ("method,dataset,metric,value\nA,beauty,HR@10,five\n", "t:2: HR@10 of A is 'five', which is no number"),
        ("method,dataset,metric,value\nA,b,HR@10,.1\n\nA,b,R@10,.2\n", "t:4: R@10 of A on b stands in line 2"),
        ("method,dataset,metric,value\nA,beauty,HR@10\n", "t:2: this row has 3 cells, the header 4"),
        ("method,dataset,metric,value\n,beauty,HR@10,.1\n", "t:2: the method has no name"),
        ("method,dataset,metric,value\n", "t:1: there is a header and no row"),
        ("method,model,metric,value\nA,A,HR@1,.1\n", "t:1: two columns could be the method: number 1 and 2"),
        ("method,metric,value\nA,precision@1,.1\n", "t holds no metric that can be checked"),
        ('method,metric,value\n"A,HR@1,.1\n', "not CSV"),
        ("| HR@5 | HR@10 |\n|---|---|\n| .1 | .2 |\n", "t:1: there is no column with the methods"),
        ("| data | metric | A | |\n|---|---|---|---|\n| b | HR@5 | .1 | .2 |\n", "t:1: column 4 should have a method's name"),
        ("| method | HR@5 |\n|---|---|\n| A | .1 | .2 |\n", "t:3: this row has 3 cells, the header 2"),
        ("| method | HR@5 | HR@5 |\n|---|---|---|\n| A | .1 | .2 |\n", "t:3: HR@5 of A on the data stands in line 3 already"),
        ("| method | note |\n|---|---|\n| HR@5 | .2 |\n", "t:1: this is no table of metrics"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(DataError) as refused:
        read_tables(text, "t")
    assert words in str(refused.value)


def test_a_missing_or_foreign_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        audit_file(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"method,metric,value\n\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        audit_file(tmp_path / "bytes.csv")
    (tmp_path / "words.md").write_text("# Nothing here\n")
    with pytest.raises(DataError, match="has no table"):
        audit_file(tmp_path / "words.md")
