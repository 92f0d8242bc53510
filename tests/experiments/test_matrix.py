"""Many runs as one thing: planned, run in processes, stopped, gone on with."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqaug.core.registries import noise_sources
from seqaug.data.catalog import find
from seqaug.errors import DataError, Interrupted, RecipeError, SeqaugError
from seqaug.experiments import matrix as module
from seqaug.experiments.folder import Identity, RunFolder
from seqaug.experiments.matrix import (
    Ended,
    Epoch,
    Failed,
    Matrix,
    MatrixEvent,
    Member,
    Note,
    Progress,
    Started,
    cores,
    devices_of,
    jobs_for,
    plan_matrix,
    run_matrix,
)
from seqaug.experiments.records import KEPT, finished_by_hash
from seqaug.experiments.run import Finished, run
from seqaug.experiments.settings import RunSettings

Small = Callable[..., RunSettings]

PLUGINS = """
import os, signal, sys
from seqaug.api import noise_sources

@noise_sources.register("still")
class StillNoise:
    def draw(self, clean, items, table, generator):
        print("as still as it gets", file=sys.stderr)
        return clean * 0

@noise_sources.register("deadly")
class DeadlyNoise:
    def draw(self, clean, items, table, generator):
        print("farewell", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def member(small: Small, tmp_path: Path) -> Callable[..., Member]:
    """A member on the toy data whose run lies under tmp_path / "runs"."""

    def make(variant: str, seed: int = 0, recipe: str = "sasrec", **values: Any) -> Member:
        named = {path.replace("__", "."): value for path, value in values.items()}
        settings = small(recipe, values=named, out=None, runs=tmp_path / "runs", seed=seed, command=("seqaug", "ablate", "--x"))
        return Member(variant, "toy", seed, settings)

    return make


def ends(events: list[MatrixEvent]) -> dict[str, MatrixEvent]:
    return {event.member.label: event for event in events if isinstance(event, Ended | Failed)}


def finish(settings: RunSettings) -> dict[str, Any]:
    *_, last = run(settings)
    assert isinstance(last, Finished)
    return dict(last.metrics)


def lasting(metrics: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on the clock or on how much memory Python had."""
    return {key: value for key, value in metrics.items() if key not in ("seconds", "peak_memory_bytes", "finished")}


# ---- planning ----


def test_planning_writes_nothing_and_reads_each_data_set_once(
    member: Callable[..., Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def counted(name: str, **options: Any) -> Any:
        read.append(name)
        return find(name, **options)

    monkeypatch.setattr(module, "find", counted)
    found = plan_matrix([member("a"), member("b", items__dim=16), member("a", seed=1)])
    assert len(read) == 1
    assert [planned.condition for planned in found.members] == ["new"] * 3
    assert len({planned.hash for planned in found.members}) == 3
    assert [planned.epochs for planned in found.members] == [3] * 3 and found.members[0].monitor == "ndcg@10"
    assert not (tmp_path / "runs").exists()


def test_the_problems_of_all_members_come_at_once_and_say_whose_they_are(member: Callable[..., Member]) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_matrix([member("good"), member("wide", items__dimm=16), member("hot", training__learning_rate=-1)])
    assert len(caught.value.problems) == 2
    assert caught.value.problems[0].startswith("wide: items.dimm") and caught.value.problems[1].startswith("hot: training.")
    with pytest.raises(RecipeError) as caught:
        plan_matrix([member("a", items__dimm=16), member("b", items__dimm=16)])
    assert len(caught.value.problems) == 1 and caught.value.problems[0].startswith("items.dimm"), "everybody's: nobody is named"


def test_a_data_set_that_is_not_there_is_a_data_error(member: Callable[..., Member]) -> None:
    one = member("a")
    with pytest.raises(DataError, match="beuty"):
        plan_matrix([Member("a", "beuty", 0, RunSettings(data="beuty", patches=one.settings.patches))])


def test_what_run_has_finished_counts_and_so_does_what_was_kept_of_it_elsewhere(
    member: Callable[..., Member], tmp_path: Path
) -> None:
    one, other = member("a"), member("b", items__dim=16)
    finish(one.settings)
    assert [planned.condition for planned in plan_matrix([one, other]).members] == ["finished", "new"]
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    assert [planned.condition for planned in plan_matrix([one, other]).members] == ["new", "new"]
    again = plan_matrix([one, other], finished=[tmp_path / "elsewhere"])
    assert [planned.condition for planned in again.members] == ["finished", "new"]
    assert len(again.unfinished) == 1
    fresh = Member("a", "toy", 0, RunSettings(**{**_fields(one.settings), "fresh": True}))
    assert plan_matrix([fresh], finished=[tmp_path / "elsewhere"]).members[0].record is None


def _fields(settings: RunSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in RunSettings.__dataclass_fields__}


# ---- running ----


def test_a_matrix_runs_alike_runs_once_survives_a_failure_and_gives_the_numbers_of_run(
    member: Callable[..., Member], tmp_path: Path
) -> None:
    members = [member("a"), member("hot", training__learning_rate=1e30), member("twin"), member("b", items__dim=16)]
    planned = plan_matrix(members)
    events = list(run_matrix(planned, jobs=2, threads=1, keep=tmp_path / "kept"))
    assert [event.member.variant for event in events if isinstance(event, Started)] == ["a", "hot", "b"]
    end = ends(events)
    failed = end["hot, toy, seed 0"]
    assert isinstance(failed, Failed) and failed.exit_code == 6 and "no longer finite" in failed.message
    for name in ("a", "twin", "b"):
        ended = end[f"{name}, toy, seed 0"]
        assert isinstance(ended, Ended) and not ended.from_cache
    epochs = [event for event in events if isinstance(event, Epoch) and event.member.variant == "a"]
    assert [event.number for event in epochs] == [1, 2, 3] and all(event.epochs == 3 for event in epochs)
    moved = [event.done for event in events if isinstance(event, Progress) and event.member.variant == "a"]
    assert moved == sorted(moved) and moved[-1] == 3 and 0 < moved[0] < 1
    # The same numbers as without a matrix, bit for bit.
    alone = finish(RunSettings(**{**_fields(members[0].settings), "runs": tmp_path / "alone"}))
    first = end["a, toy, seed 0"]
    assert isinstance(first, Ended) and lasting(dict(first.record.metrics)) == lasting(alone)
    # What is worth keeping lies where it was asked for, and is found by its hash.
    kept = finished_by_hash([tmp_path / "kept"])
    assert set(kept) == {planned.members[0].hash, planned.members[3].hash}
    for record in kept.values():
        assert {file.name for file in record.folder.iterdir()} == set(KEPT)
    assert not list((tmp_path / "runs").glob("*/.lock"))
    # Asked for again, only what failed runs again.
    again = list(run_matrix(plan_matrix(members), jobs=2, threads=1))
    assert [event.member.variant for event in again if isinstance(event, Started)] == ["hot"]
    assert [event.member.variant for event in again if isinstance(event, Ended)] == ["a", "twin", "b"]


def test_a_plugin_that_only_a_decorator_marks_is_there_in_the_process_of_its_run_and_its_death_is_told(
    member: Callable[..., Member], tmp_path: Path
) -> None:
    file = tmp_path / "strange_noises.py"
    file.write_text(PLUGINS)
    # Loaded from its file, not by a name on the path: a new process can only find it there.
    spec = importlib.util.spec_from_file_location("strange_noises", file)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules["strange_noises"] = loaded
    try:
        spec.loader.exec_module(loaded)
        assert noise_sources.describe("still").distribution is None
        members = [
            member(name, recipe="simdiffrec", diffusions__main__noise={"use": name}, training__epochs=1)
            for name in ("still", "deadly")
        ]
        members = [_without(one, "diffusions.main.noise.k") for one in members]
        planned = plan_matrix(members)
        assert planned.members[0].modules == (("strange_noises", str(file)),)
        events = list(run_matrix(planned, jobs=2, threads=1))
    finally:
        del sys.modules["strange_noises"]
        for name in ("still", "deadly"):
            del noise_sources._marked[name]
    end = ends(events)
    assert isinstance(end["still, toy, seed 0"], Ended)
    assert "as still as it gets" in {event.message for event in events if isinstance(event, Note)}, "what it prints is told"
    failed = end["deadly, toy, seed 0"]
    assert isinstance(failed, Failed) and failed.exit_code == 1
    assert "SIGKILL" in failed.message and "farewell" in failed.message


def _without(one: Member, path: str) -> Member:
    patches = [patch for patch in one.settings.patches if patch.path != path]
    return Member(one.variant, one.data, one.seed, RunSettings(**{**_fields(one.settings), "patches": patches}))


def test_an_interrupted_matrix_keeps_every_state_and_goes_on_to_the_same_numbers(
    member: Callable[..., Member], tmp_path: Path
) -> None:
    # Interrupted at the first epoch of either: so many more are left that neither can be at its end by then.
    values = {"training__epochs": 80, "training__patience": 1000}
    members = [member("a", **values), member("b", **values, items__dim=16)]
    events = run_matrix(plan_matrix(members), jobs=2, threads=1)
    seen = next(event.member.variant for event in events if isinstance(event, Epoch))
    with pytest.raises(Interrupted, match=r"0 of 2 runs are finished.*\n  seqaug ablate --x$"):
        events.throw(KeyboardInterrupt())
    for folder in (tmp_path / "runs").iterdir():
        names = {entry.name for entry in folder.iterdir()}
        assert "metrics.json" not in names and ".lock" not in names
        assert not any(name.endswith(".partial") for name in names)
    again = plan_matrix(members)
    stopped = next(planned for planned in again.members if planned.member.variant == seen)
    assert stopped.condition == "unfinished" and (stopped.folder / "state.pt").exists()
    assert not any(planned.condition == "finished" for planned in again.members)
    rest = list(run_matrix(again, jobs=2, threads=1))
    first = next(event for event in rest if isinstance(event, Progress) and event.member.variant == seen)
    assert first.loss is None and first.done >= 1, "it goes on where it was"
    for one in members:
        ended = ends(rest)[one.label]
        assert isinstance(ended, Ended)
        alone = finish(RunSettings(**{**_fields(one.settings), "runs": tmp_path / "alone"}))
        assert lasting(dict(ended.record.metrics)) == lasting(alone)


SLEEPER = """
import sys, time
from pathlib import Path
from seqaug.experiments.matrix import Member, plan_matrix, run_matrix
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.plan import Patch
import sleepy

if __name__ == "__main__":
    patches = [Patch("diffusions.main.noise", {"use": "sleepy"}, "-s"), Patch("data.max_length", 8, "-s")]
    settings = RunSettings("simdiffrec", sys.argv[1], device="cpu", patches=patches, runs=Path("runs"))
    list(run_matrix(plan_matrix([Member("a", "toy", 0, settings)]), threads=1))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="who is alive is read from /proc")
def test_a_run_that_says_nothing_for_long_dies_with_its_parent_all_the_same(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "sleepy.py").write_text(
        "import os, time\nfrom pathlib import Path\nfrom seqaug.api import noise_sources\n"
        '@noise_sources.register("sleepy")\nclass Sleepy:\n    def draw(self, clean, items, table, generator):\n'
        '        Path("asleep").write_text(str(os.getpid()))\n        time.sleep(120)\n'
    )
    (tmp_path / "main.py").write_text(SLEEPER)
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(tmp_path)]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen([sys.executable, "main.py", str(toy)], cwd=tmp_path, env=environment)
    try:
        asleep, began = tmp_path / "asleep", time.monotonic()
        while not (asleep.exists() and asleep.read_text()):
            assert parent.poll() is None and time.monotonic() - began < 120
            time.sleep(0.05)
    finally:
        parent.kill()
    parent.wait()
    began = time.monotonic()
    while _alive(asleep.read_text()):
        assert time.monotonic() - began < 10, "the child outlives its parent"
        time.sleep(0.05)


def _alive(process: str) -> bool:
    """Whether it is there and not just waiting for somebody to ask how it ended."""
    try:
        return "State:\tZ" not in (Path("/proc") / process / "status").read_text()
    except OSError:
        return False


def test_nothing_is_started_where_everything_is_finished(member: Callable[..., Member]) -> None:
    one = member("a")
    finish(one.settings)
    events = list(run_matrix(plan_matrix([one])))
    assert [type(event) for event in events] == [Ended], "a process that starts is told"
    assert list(run_matrix(Matrix(()))) == []


# ---- where and how many ----


def test_devices_and_jobs() -> None:
    assert devices_of("cpu") == ("cpu",)
    assert devices_of("cpu, cpu") == ("cpu", "cpu")
    assert 1 <= cores() and jobs_for(["cpu"]) == cores()
    with pytest.raises(RecipeError, match="cuda:99"):
        devices_of("cpu,cuda:99")


def test_a_locked_folder_is_waited_for_as_long_as_was_said(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "r", Identity({}, "", 0, "float32", {}))
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with folder.lock():
            held.set()
            release.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    with pytest.raises(SeqaugError, match="in use by another process"), folder.lock():
        pass
    threading.Timer(0.3, release.set).start()
    began = time.monotonic()
    with folder.lock(wait=10):
        assert time.monotonic() - began >= 0.25
    holder.join()
    assert not (tmp_path / "r" / ".lock").exists()


def test_metrics_json_is_the_last_that_is_copied(member: Callable[..., Member], tmp_path: Path) -> None:
    """A copy that is cut off is no record: it has no metrics.json."""
    one = member("a")
    finish(one.settings)
    kept = tmp_path / "kept"
    (kept / plan_matrix([one]).members[0].folder.name).mkdir(parents=True)
    list(run_matrix(plan_matrix([one]), keep=kept))
    (folder,) = kept.iterdir()
    times = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert times["metrics.json"] == max(times.values())
    assert json.loads((folder / "metrics.json").read_text())["recipe"] == "sasrec"
