"""docs/performance.md and its plots are what docs/write_performance.py makes of the recorded numbers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "performance"


def writer() -> Any:
    spec = importlib.util.spec_from_file_location("write_performance", ROOT / "docs" / "write_performance.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_written_from_the_recorded_numbers() -> None:
    write = writer()
    assert (ROOT / "docs" / "performance.md").read_text(encoding="utf-8") == write.page(write.loaded())


def test_the_plots_are_drawn_from_the_recorded_numbers() -> None:
    write = writer()
    drawn = write.figures(write.loaded())
    assert {path.name for path in FOLDER.glob("*.svg")} == set(drawn)
    for name, picture in drawn.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == picture + "\n", name
        assert "prefers-color-scheme:dark" in picture


@pytest.mark.parametrize("name", ["recipes", "others", "growth"])
def test_recorded_numbers_carry_command_commit_device_threads_and_date(name: str) -> None:
    found = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    for key in ("command", "commit", "device", "machine", "threads", "torch", "date", "gflops_of_a_product", "load"):
        assert found[key] not in (None, ""), key


def test_a_part_that_was_not_recorded_is_left_out_and_a_busy_machine_is_said() -> None:
    write = writer()
    records = write.loaded()
    assert "## How cost grows" not in write.page({"recipes": records["recipes"]})
    quiet, busy = ({**records["recipes"], "load": load} for load in (0.1, 9.0))
    assert "busy" not in write.facts(quiet) and "**The machine was busy** (load 9.0" in write.facts(busy)


def test_a_grid_of_rows_and_items_says_what_is_left_of_a_matrix() -> None:
    write = writer()
    growth = write.loaded()["growth"]
    sizes = [(1_024, 5_000), (4_096, 5_000), (1_024, 45_000), (4_096, 45_000)]
    rows = [
        {"batch": batch, "items": items, "length": 5, "bytes_of_positions_by_items": 20 * batch * items}
        for batch, items in sizes
    ]
    found = {
        "recipe": "simdiffrec",
        "bytes_per_position_and_item": 0.014,
        "bytes_per_row": 143_056.0,
        "bytes_per_pair_of_rows": 20.2,
        "rows": rows,
    }
    text = write.curves({**growth, "grids": [found]})
    assert "| simdiffrec | 0.01 | 143,056 | 20 |" in text
    assert "from 1,024 rows and 5,000 items to 4,096 rows and 45,000 items, 5 positions a row" in text
    assert "(3,516 MiB at the last corner)" in text
    assert "for each pair of rows" not in write.curves({**growth, "grids": []})


def test_a_plan_is_shown_beside_what_was_measured_and_what_missed_is_named() -> None:
    write = writer()
    row = {"data": "toy", "recipe": "sasrec", "foretold_bytes": 300 * 2**20, "peak_bytes": 400 * 2**20, "memory_ratio": 0.75}
    row |= {"foretold_seconds": 3.0, "seconds": 2.5, "seconds_ratio": 1.2}
    plan = {**write.loaded()["recipes"], "promised": 1.5, "rows": [row], "outside": []}
    page = write.page({"plan": plan})
    assert "## The plan, foretold and measured" in page
    assert "| sasrec on toy | 300 | 400 | 0.75 | 3.00 | 2.50 | 1.20 |" in page
    assert "They lie from 0.75 to 1.20." in page and "**Outside" not in page
    missed = write.page({"plan": {**plan, "outside": ["sasrec on toy: memory foretold over measured 0.50"]}})
    assert "**Outside of it: sasrec on toy: memory foretold over measured 0.50.**" in missed
