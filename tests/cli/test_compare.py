"""seqaug compare: streams, formats, exit codes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from seqaug.cli.main import cli


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """runs/NAME-SEED of three methods with two seeds each; "unlike" was measured otherwise."""
    monkeypatch.chdir(tmp_path)
    for place, (name, ties) in enumerate((("plain", "pessimistic"), ("new", "pessimistic"), ("unlike", "optimistic"))):
        for seed in range(2):
            folder = tmp_path / "runs" / f"{name}-{seed}"
            folder.mkdir(parents=True)
            metrics = {
                "recipe": name, "data": {"name": "toy", "sha256": "ab" * 32}, "seed": seed, "hash": f"{name}{seed}", "test": {},
                "protocol": {"ties": ties}, "parameters": 1,
            }  # fmt: skip
            (folder / "metrics.json").write_text(json.dumps(metrics))
            rank = np.random.default_rng([place, seed]).integers(1, 40, size=50)
            users = np.array([f"u{user}" for user in range(50)])
            np.savez(folder / "per_user.npz", user=users, target=users, rank=rank, rank_unseen=rank)
    return tmp_path / "runs"


def seqaug(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


TWO = ("runs/plain-0", "runs/plain-1", "runs/new-0", "runs/new-1")


def test_the_table_goes_to_stdout_with_its_legend_and_every_note(runs: Path) -> None:
    done = seqaug("compare", *TWO)
    assert done.exit_code == 0 and done.stderr == ""
    assert done.stdout.isascii()
    first = done.stdout.splitlines()[0].split()
    assert first == ["data", "metric", "new", "plain"], "the reference is the last column"
    for said in ("HR@5", "NDCG@10", "not distinguishable", "Test ranks, seen items kept.", "Holm's correction covers all 4"):
        assert said in done.stdout


def test_flags_choose_the_reference_the_metrics_and_the_level(runs: Path) -> None:
    done = seqaug("compare", *TWO, "--reference", "new", "--metric", "mrr@20", "--level", "0.1", "--unseen")
    assert done.stdout.splitlines()[0].split() == ["data", "metric", "plain", "new"]
    assert "MRR@20" in done.stdout and "HR@5" not in done.stdout
    assert "90 % interval" in done.stdout and "seen items removed" in done.stdout


def test_labels_name_the_columns(runs: Path) -> None:
    done = seqaug("compare", "A=runs/plain-0", "A=runs/plain-1", "B=runs/new-0", "B=runs/new-1")
    assert done.stdout.splitlines()[0].split() == ["data", "metric", "B", "A"]


def test_json_is_one_document_either_way(runs: Path) -> None:
    one, other = seqaug("compare", *TWO, "--json"), seqaug("compare", *TWO, "--format", "json")
    assert json.loads(one.stdout) == json.loads(other.stdout)
    assert json.loads(one.stdout)["methods"] == ["plain", "new"]


def test_csv_holds_nothing_else_and_its_notes_go_to_stderr(runs: Path) -> None:
    done = seqaug("compare", *TWO, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 8 and {row["method"] for row in rows} == {"plain", "new"}
    assert "note: Test ranks, seen items kept." in done.stderr
    assert seqaug("compare", *TWO, "--format", "csv", "-q").stderr == ""


@pytest.mark.parametrize(("form", "mark"), [("markdown", "| --- |"), ("latex", "\\toprule"), ("csv", "data,metric,method")])
def test_a_file_holds_what_the_format_prints(runs: Path, form: str, mark: str) -> None:
    printed = seqaug("compare", *TWO, "--format", form).stdout
    done = seqaug("compare", *TWO, f"--{form}", "tables/mine")
    assert done.exit_code == 0 and "written: tables/mine" in done.stderr and "data" in done.stdout
    assert Path("tables/mine").read_text() == printed and mark in printed


def test_unlike_protocols_end_with_5_and_forced_ones_with_a_note(runs: Path) -> None:
    refused = seqaug("compare", "runs/plain-0", "runs/unlike-0")
    assert refused.exit_code == 5 and refused.stdout == ""
    assert 'ties: "pessimistic" in runs/plain-0, "optimistic" in runs/unlike-0' in refused.stderr
    assert "--force" in refused.stderr
    forced = seqaug("compare", "runs/plain-0", "runs/unlike-0", "--force")
    assert forced.exit_code == 0 and "Forced: these runs were not measured alike." in forced.stdout


REFUSED = {
    "no run": (["compare"], 2, "RUN"),
    "an unknown metric": (["compare", *TWO, "--metric", "hr10"], 2, "Did you mean 'hr@10'?"),
    "an unknown reference": (["compare", *TWO, "--reference", "plane"], 2, "Did you mean 'plain'?"),
    "one method": (["compare", *TWO[:2]], 2, "all runs given are plain"),
    "a level of 0": (["compare", *TWO, "--level", "0"], 2, "0"),
    "a folder that is none": (["compare", "runs/plain-0", "nowhere"], 1, "there is no run folder nowhere"),
    "unlike protocols": (["compare", "runs"], 5, "ties: "),
}


@pytest.mark.parametrize(("words", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_has_its_exit_code_and_says_what_would_work(runs: Path, words: list[str], code: int, said: str) -> None:
    done = seqaug(*words)
    assert done.exit_code == code, done.stderr
    assert said in done.stderr and done.stdout == "" and "Traceback" not in done.stderr
    as_json = seqaug(*words, "--json")
    assert json.loads(as_json.stdout)["error"]["exit_code"] == code
