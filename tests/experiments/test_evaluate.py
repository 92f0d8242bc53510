"""A run folder gives its numbers again, or says why not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from seqaug.errors import DataError, SeqaugError
from seqaug.experiments.evaluate import evaluate
from seqaug.experiments.run import EpochReport, run
from seqaug.experiments.settings import RunSettings

Small = Callable[..., RunSettings]


@pytest.fixture
def finished(small: Small, tmp_path: Path) -> Path:
    list(run(small()))
    return tmp_path / "run"


def test_the_folder_alone_gives_the_same_numbers(finished: Path) -> None:
    found = evaluate(finished)
    assert found.equal and not found.differences and not found.notes
    assert found.metrics == found.stored
    assert found.metrics["test"] == json.loads((finished / "metrics.json").read_text())["test"]


def test_a_diffusion_recipe_gives_the_same_numbers(small: Small, tmp_path: Path) -> None:
    list(run(small("simdiffrec")))
    assert evaluate(tmp_path / "run").equal


def test_a_folder_that_was_moved_gives_the_same_numbers(finished: Path, tmp_path: Path) -> None:
    shutil.move(finished, tmp_path / "elsewhere")
    assert evaluate(tmp_path / "elsewhere").equal


def test_changed_weights_are_noticed(finished: Path) -> None:
    weights = load_file(finished / "model.safetensors")
    weights["items.weight"] = weights["items.weight"].flip(0).contiguous()
    save_file(weights, finished / "model.safetensors")
    found = evaluate(finished)
    assert not found.equal
    assert any(line.startswith(("test hr@", "test ndcg@")) for line in found.differences)
    assert any("per_user.npz: rank differs for" in line for line in found.differences)


def test_one_changed_metric_is_noticed(finished: Path) -> None:
    stored = json.loads((finished / "metrics.json").read_text())
    stored["test"]["hr@10"] += 1e-9
    (finished / "metrics.json").write_text(json.dumps(stored))
    assert [line.partition(":")[0] for line in evaluate(finished).differences] == ["test hr@10"]


def test_one_changed_rank_is_noticed(finished: Path) -> None:
    with np.load(finished / "per_user.npz") as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    arrays["rank_unseen"][3] += 1
    np.savez_compressed(finished / "per_user.npz", **arrays)
    assert evaluate(finished).differences == ("per_user.npz: rank_unseen differs for 1 of 30 users",)


def test_moved_data_is_found_where_it_is_said_to_be(small: Small, toy: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    shutil.copy(toy, own)
    settings = small()
    list(run(RunSettings(recipe="sasrec", data=str(own), out=settings.out, patches=settings.patches, device="cpu")))
    own.rename(tmp_path / "moved.txt")
    with pytest.raises(DataError, match="no data set on this machine"):
        evaluate(tmp_path / "run")
    assert evaluate(tmp_path / "run", data=str(tmp_path / "moved.txt")).equal


def test_other_data_is_never_taken_for_the_run_s(finished: Path, toy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    lines = toy.read_text().splitlines()
    other.write_text("\n".join(lines[:-1]) + "\n")
    toy_was = toy.read_text()
    toy.write_text(other.read_text())
    try:
        with pytest.raises(DataError, match="no data set on this machine"):
            evaluate(finished, data=str(other))
    finally:
        toy.write_text(toy_was)


@pytest.mark.parametrize("name", ["metrics.json", "resolved.json"])
def test_a_folder_without_its_marks_is_refused(finished: Path, name: str) -> None:
    (finished / name).unlink()
    with pytest.raises(SeqaugError, match="not finished" if name == "metrics.json" else "not a run folder"):
        evaluate(finished)


def test_an_unfinished_run_is_refused(small: Small, tmp_path: Path) -> None:
    events = run(small())
    for event in events:
        if isinstance(event, EpochReport):
            break
    events.close()  # type: ignore[attr-defined]
    with pytest.raises(SeqaugError, match="not finished"):
        evaluate(tmp_path / "run")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SeqaugError, match="there is no run folder"):
        evaluate(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"broken"])
def test_weights_that_cannot_be_read_are_refused(finished: Path, content: bytes) -> None:
    (finished / "model.safetensors").write_bytes(content)
    with pytest.raises(SeqaugError, match=r"model\.safetensors does not fit"):
        evaluate(finished)


def test_a_plugin_whose_source_has_changed_is_named(finished: Path) -> None:
    resolved = json.loads((finished / "resolved.json").read_text())
    resolved["identity"]["plugins"]["scorer"] = "scorers/last_position sha256:" + "0" * 64
    (finished / "resolved.json").write_text(json.dumps(resolved))
    assert evaluate(finished).notes == ("scorer: the source of this plugin has changed since the run.",)
