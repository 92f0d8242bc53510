"""One run from beginning to end, and every way in which it can be disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from seqaug.errors import Diverged, Interrupted, RecipeError, SeqaugError
from seqaug.evaluation.metrics import METRICS, metrics
from seqaug.experiments.run import EpochReport, Evaluated, Finished, Note, Planned, Rehearsed, Resumed, run
from seqaug.experiments.settings import RunSettings

Small = Callable[..., RunSettings]


def finish(settings: RunSettings) -> Finished:
    *_, last = run(settings)
    assert isinstance(last, Finished)
    return last


def outcome(folder: Path) -> tuple[bytes, dict[str, list[Any]], dict[str, Any], list[dict[str, Any]]]:
    """All of a finished run that must not depend on when and how often it was started."""
    with np.load(folder / "per_user.npz") as stored:
        ranks = {name: stored[name].tolist() for name in stored.files}
    found = json.loads((folder / "metrics.json").read_text())
    for clock in ("seconds", "peak_memory_bytes", "finished"):
        del found[clock]
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    for event in events:
        del event["seconds"]
    return (folder / "model.safetensors").read_bytes(), ranks, found, events


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {}


def reference(undisturbed: dict[str, Any], small: Small, tmp_path: Path, recipe: str) -> Any:
    """What an undisturbed run of `recipe` gives; made once."""
    if recipe not in undisturbed:
        folder = tmp_path / "undisturbed"
        finish(small(recipe, out=folder))
        undisturbed[recipe] = outcome(folder)
    return undisturbed[recipe]


# ---- what is written ----


def test_a_finished_folder_holds_everything_and_nothing_else(small: Small, tmp_path: Path) -> None:
    finish(small(command=("seqaug", "run", "sasrec")))
    assert sorted(entry.name for entry in (tmp_path / "run").iterdir()) == [
        "command.txt",
        "environment.json",
        "events.jsonl",
        "metrics.json",
        "model.safetensors",
        "per_user.npz",
        "recipe.toml",
        "resolved.json",
    ]
    assert (tmp_path / "run" / "command.txt").read_text() == "seqaug run sasrec\n"


def test_the_metrics_have_the_documented_shape(small: Small, tmp_path: Path) -> None:
    finish(small(seed=5))
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["schema"] == 1 and found["recipe"] == "sasrec" and found["seed"] == 5
    assert found["data"]["name"] == "toy" and len(found["data"]["sha256"]) == 64
    for part in ("valid", "test", "test_unseen"):
        assert sorted(found[part]) == sorted(METRICS)
    assert 1 <= found["best_epoch"] <= found["epochs"] == 3
    assert found["seconds"].keys() == {"train", "evaluate", "per_epoch"}
    assert found["peak_memory_bytes"] > 10 * 2**20
    assert found["protocol"]["seen_items"] == {"valid": "kept", "test": "kept", "test_unseen": "removed"}
    assert found["protocol"]["selection"]["metric"] == "ndcg@10"
    assert found["protocol"]["loss"]["recommendation"]["objective"] == "next_item_softmax"


def test_the_metrics_are_those_of_the_ranks_per_user(small: Small, tmp_path: Path) -> None:
    found = finish(small()).metrics
    with np.load(tmp_path / "run" / "per_user.npz", allow_pickle=False) as stored:
        assert stored["user"].dtype.kind == stored["target"].dtype.kind == "U"
        assert stored["rank"].dtype.kind == stored["rank_unseen"].dtype.kind == "i"
        assert metrics(stored["rank"]) == found["test"]
        assert metrics(stored["rank_unseen"]) == found["test_unseen"]


def test_users_and_targets_are_named_as_in_the_source(small: Small, toy: Path, tmp_path: Path) -> None:
    finish(small())
    last = {words[0]: words[-1] for words in map(str.split, toy.read_text().splitlines())}
    with np.load(tmp_path / "run" / "per_user.npz") as stored:
        assert dict(zip(stored["user"].tolist(), stored["target"].tolist(), strict=True)) == last


def test_the_best_epoch_is_the_one_whose_validation_is_reported(small: Small, tmp_path: Path) -> None:
    found = finish(small(values={"training.learning_rate": 0.05, "training.epochs": 6})).metrics
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert events[found["best_epoch"] - 1]["valid"] == found["valid"]
    assert found["valid"]["ndcg@10"] == max(event["valid"]["ndcg@10"] for event in events)


def test_every_epoch_has_its_line_with_losses_and_records(small: Small, tmp_path: Path) -> None:
    finish(small("simdiffrec"))
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert [event["epoch"] for event in events] == [1, 2, 3]
    for event in events:
        assert event["losses"].keys() == {"recommendation", "contrast", "denoising"}
        assert any(name.endswith("identity_rate") and 0 <= value <= 1 for name, value in event["records"].items())


def test_the_recipe_is_kept_word_for_word_and_every_value_with_its_origin(small: Small, tmp_path: Path) -> None:
    events = run(small())
    planned = next(events)
    assert isinstance(planned, Planned)
    list(events)
    assert (tmp_path / "run" / "recipe.toml").read_text() == planned.prepared.source.text
    resolved = json.loads((tmp_path / "run" / "resolved.json").read_text())
    assert resolved["origins"]["items.dim"] == "-s"
    assert resolved["values"]["items"]["dim"] == 8
    assert resolved["hash"] == planned.prepared.identity.hash


def test_the_environment_names_versions_threads_and_the_source_of_every_plugin(small: Small, tmp_path: Path) -> None:
    finish(small())
    found = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0] or torch.__version__.startswith(
        found["versions"]["torch"]
    )
    assert found["threads"] == torch.get_num_threads()
    assert found["plugins"]["encoders.main"]["distribution"] == "seqaug"
    assert len(found["plugins"]["scorer"]["sha256"]) == 64


def test_the_default_folder_is_named_by_recipe_data_and_hash(small: Small, tmp_path: Path) -> None:
    done = finish(small(out=None, runs=tmp_path / "runs"))
    assert done.folder == tmp_path / "runs" / f"sasrec-toy-{done.metrics['hash'][:8]}"


def test_events_come_in_the_order_of_the_work(small: Small) -> None:
    kinds = [type(event) for event in run(small()) if not isinstance(event, Note)]
    assert kinds[:2] == [Planned, Rehearsed] and kinds[-2:] == [Evaluated, Finished]
    assert kinds.count(EpochReport) == 3


# ---- again ----


def test_a_finished_run_gives_its_result_and_writes_nothing(small: Small, tmp_path: Path) -> None:
    first = finish(small())
    before = {entry.name: entry.stat().st_mtime_ns for entry in (tmp_path / "run").iterdir()}
    events = [event for event in run(small()) if not isinstance(event, Note)]
    assert [type(event) for event in events] == [Planned, Finished]
    assert isinstance(events[-1], Finished) and events[-1].from_cache
    assert events[-1].metrics == first.metrics
    assert {entry.name: entry.stat().st_mtime_ns for entry in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("recipe", ["sasrec", "simdiffrec", "cl4srec"])
def test_one_seed_gives_the_same_bits_twice(small: Small, undisturbed: dict[str, Any], tmp_path: Path, recipe: str) -> None:
    expected = reference(undisturbed, small, tmp_path, recipe)
    finish(small(recipe))
    assert outcome(tmp_path / "run") == expected


def test_another_seed_gives_other_weights(small: Small, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    finish(small(seed=1))
    assert outcome(tmp_path / "run")[0] != reference(undisturbed, small, tmp_path, "sasrec")[0]


def test_fresh_starts_over_and_comes_to_the_same(small: Small, tmp_path: Path) -> None:
    finish(small())
    before = outcome(tmp_path / "run")
    kinds = [type(event) for event in run(small(fresh=True))]
    assert kinds.count(EpochReport) == 3 and Resumed not in kinds
    assert outcome(tmp_path / "run") == before


# ---- disturbed ----


def stopped_after(settings: RunSettings, count: int) -> bool:
    """Start the run and interrupt it when it has told `count` events. False where it had finished before that."""
    events: Iterator[Any] = run(settings)
    for _ in range(count):
        if isinstance(next(events), Finished):
            return False
    try:
        events.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
    except (Interrupted, KeyboardInterrupt):
        return True
    raise AssertionError("an interruption ends the run")


@pytest.mark.parametrize("recipe", ["sasrec", "simdiffrec"])
def test_interrupted_anywhere_and_resumed_is_bit_for_bit_the_undisturbed_run(
    small: Small, undisturbed: dict[str, Any], tmp_path: Path, recipe: str
) -> None:
    expected = reference(undisturbed, small, tmp_path, recipe)
    count = 1
    while stopped_after(small(recipe, out=tmp_path / f"run{count}"), count):
        folder = tmp_path / f"run{count}"
        assert not (folder / "metrics.json").exists()
        finish(small(recipe, out=folder))
        assert outcome(folder) == expected, f"interrupted after {count} events"
        count += 3 if recipe == "simdiffrec" else 2
    assert count > 6


def test_interrupted_after_every_epoch_is_bit_for_bit_the_undisturbed_run(
    small: Small, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    for epoch in range(3):
        events = run(small("simdiffrec"))
        resumed = 0
        for event in events:
            if isinstance(event, Resumed):
                resumed = len(event.epochs)
            if isinstance(event, EpochReport):
                break
        events.close()  # type: ignore[attr-defined]
        assert resumed == epoch
    finish(small("simdiffrec"))
    assert outcome(tmp_path / "run") == reference(undisturbed, small, tmp_path, "simdiffrec")


def test_an_interruption_names_what_is_kept_and_the_command_to_go_on(small: Small) -> None:
    events = run(small(command=("seqaug", "run", "my recipe.toml", "--fresh")))
    for event in events:
        if isinstance(event, EpochReport):
            break
    with pytest.raises(Interrupted) as stop:
        events.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
    assert "1 finished epoch is kept" in str(stop.value)
    assert str(stop.value).endswith("seqaug run 'my recipe.toml'")


def test_a_resumed_run_counts_the_seconds_of_all_its_starts(small: Small, tmp_path: Path) -> None:
    assert stopped_after(small(), 5)
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    done = finish(small())
    lines = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert lines[: len(events)] == events
    assert done.metrics["seconds"]["train"] == pytest.approx(sum(line["seconds"]["train"] for line in lines), abs=1e-3)


def test_a_folder_whose_state_is_damaged_starts_over(small: Small, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    assert stopped_after(small(), 9)
    state = tmp_path / "run" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    (tmp_path / "run" / "metrics.json").write_text('{"schema": 1, "recipe": "sas')
    assert Resumed not in [type(event) for event in run(small())]
    assert outcome(tmp_path / "run") == reference(undisturbed, small, tmp_path, "sasrec")


def test_other_threads_on_resuming_are_said(small: Small, tmp_path: Path) -> None:
    assert stopped_after(small(), 9)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    torch.save({**state, "threads": 7}, tmp_path / "run" / "state.pt")
    notes = [event.message for event in run(small()) if isinstance(event, Note)]
    assert any(f"began with threads 7 and goes on with {torch.get_num_threads()}" in note for note in notes)


SCRIPT = """
import sys
from pathlib import Path
from seqaug.experiments.run import run
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.plan import Patch
import json, torch
torch.set_num_threads(1)
values = json.loads(sys.argv[3])
settings = RunSettings(recipe="sasrec", data=sys.argv[1], out=Path(sys.argv[2]), device="cpu",
                       patches=[Patch(path, value, "-s") for path, value in values.items()])
for event in run(settings):
    pass
"""


def test_killed_at_some_moment_and_resumed_is_bit_for_bit_the_undisturbed_run(small: Small, toy: Path, tmp_path: Path) -> None:
    settings = small(values={"training.epochs": 60, "training.patience": 1000})
    values = json.dumps({patch.path: patch.value for patch in settings.patches})
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(toy), str(tmp_path / "run"), values])
    events, began = tmp_path / "run" / "events.jsonl", time.monotonic()
    while time.monotonic() - began < 60 and process.poll() is None:
        if events.exists() and events.read_text().count("\n") >= 5:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "run" / "metrics.json").exists(), "it was to be killed before its end"
    resumed = [event for event in run(settings) if isinstance(event, Resumed)]
    assert resumed and len(resumed[0].epochs) >= 4
    finish(replace(settings, out=tmp_path / "undisturbed"))
    assert outcome(tmp_path / "run") == outcome(tmp_path / "undisturbed")


# ---- refused ----


def test_another_run_in_the_folder_is_refused_and_stays(small: Small, tmp_path: Path) -> None:
    finish(small())
    before = outcome(tmp_path / "run")
    for fresh in (False, True):
        with pytest.raises(RecipeError, match=r"seed: 0 there, 1 asked for"):
            finish(small(seed=1, fresh=fresh))
    assert outcome(tmp_path / "run") == before


def test_a_folder_with_other_things_is_refused_and_stays(small: Small, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.md").write_text("mine")
    with pytest.raises(RecipeError, match="not a run folder"):
        finish(small())
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["notes.md"]


def test_an_empty_folder_is_taken(small: Small, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert finish(small()).folder == tmp_path / "run"


def test_two_runs_of_one_folder_at_a_time_are_refused(small: Small) -> None:
    first = run(small())
    for event in first:
        if isinstance(event, EpochReport):
            break
    with pytest.raises(SeqaugError, match=f"in use by another process \\(process {os.getpid()}\\)"):
        finish(small())
    assert isinstance([*first][-1], Finished)


def test_a_recipe_that_fails_its_rehearsal_leaves_no_folder(small: Small, tmp_path: Path) -> None:
    with pytest.raises(RecipeError):
        finish(small(values={"encoders.main.heads": 3}))
    assert not (tmp_path / "run").exists()


def test_a_learning_rate_beyond_reason_diverges_and_is_not_finished(small: Small, tmp_path: Path) -> None:
    with pytest.raises(Diverged):
        finish(small(values={"training.learning_rate": 1e30}))
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_the_weights_are_those_of_the_parts_by_name(small: Small, tmp_path: Path) -> None:
    finish(small("simdiffrec"))
    weights = load_file(tmp_path / "run" / "model.safetensors")
    assert weights["items.weight"].shape[1] == 8
    assert {name.partition(".")[0] for name in weights} == {"items", "encoders", "diffusions"}
    assert weights["items.weight"][0].abs().sum() == 0
