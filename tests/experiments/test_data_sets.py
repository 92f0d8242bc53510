"""Table 1: our counts, the paper's, and why they differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.conftest import REAL_DATA
from seqaug.errors import DataError
from seqaug.experiments.data_sets import COLUMNS, CountedData, counted_data

PAPER = ("beauty", "toys", "sports", "yelp", "ml-1m")


def is_here(name: str) -> bool:
    return REAL_DATA is not None and (REAL_DATA / name).is_dir()


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEQAUG_DATA", raising=False)
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path))


def by_name(rows: list[CountedData]) -> dict[str, CountedData]:
    return {row.data: row for row in rows}


@pytest.mark.usefixtures("nothing_here")
def test_absent_data_sets_are_named_and_the_catalogue_speaks_for_them() -> None:
    rows = counted_data()
    assert [row.data for row in rows] == list(PAPER) and not any(row.here for row in rows)
    assert all(row.reasons[0].startswith(f"{row.data} is not on this machine") for row in rows)
    assert [row.own("users") for row in rows] == ["22,363", "19,412", "35,598", "30,431", "6,040"]


@pytest.mark.usefixtures("nothing_here")
def test_the_cells_that_differ_are_the_known_three() -> None:
    different = {(row.data, column) for row in counted_data() for column in COLUMNS if not row.equal[column]}
    assert different == {("beauty", "avg_length"), ("ml-1m", "items"), ("ml-1m", "sparsity")}


@pytest.mark.usefixtures("nothing_here")
def test_every_difference_has_its_reason() -> None:
    rows = by_name(counted_data())
    assert rows["beauty"].reasons[1:] == (
        "average length: 198,502 actions of 22,363 users are 8.876 each, which rounds to 8.9; "
        "cut off after one decimal it is 8.8",
    )
    items, sparsity = rows["ml-1m"].reasons[1:]
    assert items == (
        "items: 3,706 have an action; the largest id is 3,952, and one more, 3,953, is the length of a table with a row for 0"
    )
    assert sparsity == "sparsity: with 3,706 items it is 95.53%; with the paper's 3,953 items it is 95.81%"
    assert rows["ml-1m"].printed("items") == "3,953" and rows["ml-1m"].own("items") == "3,706"


def test_a_data_set_that_the_paper_does_not_have_stands_without_the_paper() -> None:
    (row,) = counted_data(["movietweetings"])
    assert row.here and row.paper is None and row.equal == {} and row.printed("users") == "-"
    assert row.own("users") == "4,333" and row.own("items") == "2,414" and row.document()["ours"]["actions"] == 68_055


@pytest.mark.usefixtures("nothing_here")
def test_an_unknown_data_set_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no data set is called"):
        counted_data(["beautty"])


@pytest.mark.skipif(not is_here("ml-1m"), reason="SEQAUG_DATA leads to no ml-1m/, nor does shared/data beside the checkout")
def test_the_stated_five_core_was_not_applied_to_ml_1m(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQAUG_DATA", str(REAL_DATA))
    (row,) = counted_data(["ml-1m"])
    assert row.here and row.own("items") == "3,706"
    assert any("the largest id is 3,952" in reason for reason in row.reasons)
    assert row.reasons[-1] == (
        "5-core: 290 of 3,706 items have fewer than 5 actions, which the paper says it filtered out (5.1.1); "
        "the 5-core has 6,040 users, 3,416 items and 999,611 actions (ml-1m-5core)"
    )


@pytest.mark.skipif(not is_here("beauty"), reason="SEQAUG_DATA leads to no beauty/, nor does shared/data beside the checkout")
def test_beauty_counted_here_is_the_papers_beauty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQAUG_DATA", str(REAL_DATA))
    (row,) = counted_data(["beauty"])
    assert row.here and all(row.equal[column] for column in ("users", "items", "actions", "sparsity"))
    assert not any(reason.startswith("5-core") for reason in row.reasons)
