"""The benchmarks of large data and large catalogues run, at a hundredth of a percent of their size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FACTS = {"machine", "threads", "torch", "commit", "date", "command", "load", "gflops_of_a_product"}

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks of memory are read from /proc")


def ran(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / words[0]), *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def said(*words: str) -> dict[str, Any]:
    done = ran(*words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict) and set(found) >= FACTS
    return found


SMALL = ("--actions", "3000", "--users", "300", "--items", "60", "--batches", "2", "--batch-size", "64", "--rank", "16")


def test_a_data_set_is_written_imported_trained_on_and_removed(tmp_path: Path) -> None:
    losses = ("--losses", "next_item_sampled_softmax")
    lines = said("big_data.py", *SMALL, "--folder", str(tmp_path), *losses)["lines"]
    by_name = {line["what"]: line for line in lines}
    assert set(by_name) == {
        *(f"{verb} {form}" for verb in ("write", "import") for form in ("csv", "inter", "sequences")),
        "start",
        "train next_item_sampled_softmax",
    }
    assert by_name["import csv"]["sha256"] == by_name["import inter"]["sha256"]
    counts = [
        {name: by_name[f"import {form}"][name] for name in ("users", "items", "actions")} for form in ("csv", "sequences")
    ]
    assert counts[0] == counts[1]  # users stand in another order there, and are the same
    assert all(line["peak_bytes"] > 0 for line in lines)
    trained = by_name["train next_item_sampled_softmax"]
    assert trained["batches_measured"] == 2 and trained["users_ranked"] == 16
    assert list(tmp_path.iterdir()) == []


def test_the_commands_themselves_are_typed_and_asked_for_their_memory(tmp_path: Path) -> None:
    words = ("big_data.py", *SMALL, "--folder", str(tmp_path), "--formats", "--losses", "--run", "--dim", "4")
    lines = {line["what"]: line for line in said(*words)["lines"]}
    commands = ["seqaug data import", "seqaug run --dry-run", "seqaug run", "seqaug evaluate", "seqaug report"]
    assert list(lines) == ["write csv", *commands]
    assert all(lines[name]["typed"].startswith(name.partition(" --")[0]) for name in commands)
    run = lines["seqaug run"]
    assert list(run["upto"]) == ["rehearsed", "validated", "ranked"]
    peaks = [one["peak_bytes"] for one in run["upto"].values()] + [run["peak_bytes"]]
    assert peaks == sorted(peaks) and peaks[0] > 2**20
    assert run["file_bytes"].keys() >= {"per_user.npz", "model.safetensors", "metrics.json"}
    assert lines["seqaug run --dry-run"]["foretold_bytes"] > 2**20 and lines["seqaug evaluate"]["equal"]
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_fails_is_named(tmp_path: Path) -> None:
    done = ran("big_data.py", *SMALL, "--formats", "csv", "--losses", "next_item_softmaks", "--folder", str(tmp_path))
    assert done.returncode == 1 and "train next_item_softmaks failed" in done.stderr and "Did you mean" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_each_question_about_a_catalogue_is_asked_at_each_size() -> None:
    words = ("--items", "1e3", "2e3", "--users", "20", "--neighbours-of", "30", "--positions", "40")
    lines = said("big_catalogue.py", *words)["lines"]
    asked = [(line["items"], line["question"], line["rows"]) for line in lines]
    assert asked == [
        (size, question, rows)
        for size in (1000, 2000)
        for question, rows in (("neighbours", 30), ("ranking", 20), ("softmax", 40))
    ]
    assert all(line["written_down_bytes"] == 4 * line["rows"] * line["items"] for line in lines)
    assert all(line["peak_bytes"] >= line["resident_before_bytes"] > 0 for line in lines)
