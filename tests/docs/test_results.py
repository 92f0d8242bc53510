"""The numbers in docs/reproduction.md are those of the committed runs, and those of the runs follow from their ranks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from seqaug.evaluation.metrics import metrics

ROOT = Path(__file__).parents[2]
RESULTS = sorted(path.parent for path in (ROOT / "docs/results").glob("*/metrics.json"))
PAGE = (ROOT / "docs/reproduction.md").read_text(encoding="utf-8")
COLUMNS = ("hr@5", "hr@10", "ndcg@5", "ndcg@10")


def test_there_are_results() -> None:
    assert RESULTS


@pytest.mark.parametrize("folder", RESULTS, ids=lambda folder: folder.name)
def test_the_metrics_of_a_run_follow_from_the_ranks_of_its_users(folder: Path) -> None:
    stored = json.loads((folder / "metrics.json").read_text())
    with np.load(folder / "per_user.npz", allow_pickle=False) as ranks:
        assert metrics(ranks["rank"]) == pytest.approx(stored["test"])
        assert metrics(ranks["rank_unseen"]) == pytest.approx(stored["test_unseen"])
        assert len(ranks["user"]) == stored["data"]["users"] == len(set(ranks["user"]))


@pytest.mark.parametrize("folder", RESULTS, ids=lambda folder: folder.name)
def test_each_committed_run_has_its_row_and_the_row_has_its_numbers(folder: Path) -> None:
    rows = [line for line in PAGE.splitlines() if f"results/{folder.name}/" in line]
    assert len(rows) == 1, f"{len(rows)} rows of docs/reproduction.md link to results/{folder.name}/"
    stored = json.loads((folder / "metrics.json").read_text())
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    shown = [float(cell) for cell in cells if re.fullmatch(r"0\.\d{4}", cell)]
    expected = [round(stored[part][name], 4) for part in ("test", "test_unseen") for name in COLUMNS]
    assert shown == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("folder", RESULTS, ids=lambda folder: folder.name)
def test_removing_seen_items_harms_no_user_where_nobody_repeats_an_item(folder: Path) -> None:
    stored = json.loads((folder / "metrics.json").read_text())
    if stored["data"]["name"] == "yelp":
        pytest.skip("users of yelp come back to what they had")
    with np.load(folder / "per_user.npz", allow_pickle=False) as ranks:
        assert (ranks["rank_unseen"] <= ranks["rank"]).all()
