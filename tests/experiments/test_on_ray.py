"""Runs on a Ray cluster: two processes of this machine that share nothing with the command but what it sends them."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqaug.core.plugin_files import loaded_files
from seqaug.core.registries import REGISTRIES
from seqaug.errors import Interrupted, RecipeError
from seqaug.experiments.executors import executor_named, ray_address
from seqaug.experiments.matrix import (
    Ended,
    Epoch,
    Failed,
    MatrixEvent,
    Member,
    Note,
    Progress,
    plan_matrix,
    run_matrix,
)
from seqaug.experiments.on_ray import MOST_REPEATS, RayCluster, Room, connect
from seqaug.experiments.settings import RunSettings

Small = Callable[..., RunSettings]

DEADLY = """
import os, signal
from pathlib import Path
from seqaug.api import noise_sources

@noise_sources.register("deadly")
class DeadlyNoise:
    def __init__(self, *, marks: str, times: int, seat: bool = False):
        self.marks, self.times, self.seat = Path(marks), times, seat

    def draw(self, clean, items, table, generator):
        killed = len(list(self.marks.iterdir()))
        if killed < self.times:
            (self.marks / str(killed)).touch()
            os.kill(os.getppid() if self.seat else os.getpid(), signal.SIGKILL)
        return clean * 0
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Ray with two CPUs, started once."""
    ray = pytest.importorskip("ray", reason="needs the extra `ray`, which is not installed")
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Of this cluster alone: otherwise Ray writes one into the home of whoever runs the tests.
    patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    patch.setenv("RAY_memory_monitor_refresh_ms", "0")
    ray.init(address="local", num_cpus=2, log_to_driver=False, configure_logging=False, include_dashboard=False)
    yield ray
    ray.shutdown()
    patch.undo()


@pytest.fixture
def member(small: Small, tmp_path: Path) -> Callable[..., Member]:
    """A member on the toy data whose run lies under tmp_path / "runs"."""

    def make(variant: str, recipe: str = "sasrec", *, runs: str = "runs", without: str = "", **values: Any) -> Member:
        named = {path.replace("__", "."): value for path, value in values.items()}
        settings = small(recipe, values=named, out=None, runs=tmp_path / runs, command=("seqaug", "ablate", "--x"))
        patches = [patch for patch in settings.patches if patch.path != without]
        fields = {name: getattr(settings, name) for name in RunSettings.__dataclass_fields__}
        return Member(variant, "toy", 0, RunSettings(**{**fields, "patches": patches}))

    return make


@pytest.fixture
def deadly(member: Callable[..., Member], tmp_path: Path) -> Iterator[Callable[..., Member]]:
    """A member whose plugin file kills the process of its run, or the seat above it, so many times."""
    from seqaug.core.plugin_files import _LOADED, load_plugin_file

    file = tmp_path / "deadly_noise.py"
    file.write_text(DEADLY)
    loaded = load_plugin_file(file)

    def make(variant: str, **options: Any) -> Member:
        marks = tmp_path / f"marks of {variant}"
        marks.mkdir()
        noise = {"use": "deadly", "marks": str(marks), **options}
        values = {"diffusions__main__noise": noise, "training__epochs": 1}
        return member(variant, "simdiffrec", without="diffusions.main.noise.k", **values)

    assert loaded in loaded_files()
    yield make
    for registry in REGISTRIES.values():
        registry.forget(loaded.module)
    del sys.modules[loaded.module], _LOADED[loaded.path]


def ends(events: list[MatrixEvent]) -> dict[str, Ended | Failed]:
    return {event.member.variant: event for event in events if isinstance(event, Ended | Failed)}


def notes(events: list[MatrixEvent]) -> list[str]:
    return [event.message for event in events if isinstance(event, Note)]


def lasting(event: Ended | Failed) -> dict[str, Any]:
    """What does not depend on the clock or on how much memory Python had."""
    assert isinstance(event, Ended), event
    return {k: v for k, v in event.record.metrics.items() if k not in ("seconds", "peak_memory_bytes", "finished")}


def test_a_matrix_on_the_cluster_gives_the_files_and_numbers_of_local_processes(
    cluster: Any, member: Callable[..., Member], toy: Path, tmp_path: Path
) -> None:
    names: dict[str, dict[str, Any]] = {"a": {}, "hot": {"training__learning_rate": 1e30}, "b": {"items__dim": 16}}
    events = {}
    for executor in ("ray", "local"):
        members = [member(name, runs=executor, **values) for name, values in names.items()]
        events[executor] = list(
            run_matrix(plan_matrix(members), jobs=2, threads=1, executor=executor, keep=tmp_path / f"kept {executor}")
        )
    there, here = ends(events["ray"]), ends(events["local"])
    failed = there["hot"]
    assert isinstance(failed, Failed) and failed.exit_code == 6 and "no longer finite" in failed.message
    assert notes(events["ray"]) == [], "an error of the run itself is no reason to repeat it"
    for name in ("a", "b"):
        assert lasting(there[name]) == lasting(here[name])
        mine, other = (found[name].record.folder for found in (there, here))  # type: ignore[union-attr]
        assert {file.name for file in mine.iterdir()} == {file.name for file in other.iterdir()}
        request, wanted = (json.loads((folder / "resolved.json").read_text())["request"] for folder in (mine, other))
        assert request == wanted and request["data"]["reference"] == str(toy), "nothing names a place on the other machine"
        for file in ("per_user.npz", "recipe.toml", "command.txt"):
            assert (mine / file).read_bytes() == (other / file).read_bytes()
    moved = [event.done for event in events["ray"] if isinstance(event, Progress) and event.member.variant == "a"]
    assert moved == sorted(moved) and moved[-1] == 3
    assert [event.number for event in events["ray"] if isinstance(event, Epoch) and event.member.variant == "a"] == [1, 2, 3]
    assert len(list((tmp_path / "kept ray").iterdir())) == 2


def test_a_run_whose_process_or_seat_is_killed_is_repeated(cluster: Any, deadly: Callable[..., Member]) -> None:
    members = [deadly("process", times=1), deadly("seat", times=1, seat=True)]
    events = list(run_matrix(plan_matrix(members), jobs=2, threads=1, executor="ray"))
    for name, ended in ends(events).items():
        assert isinstance(ended, Ended), ended
        assert (ended.record.folder / "plugins" / "deadly_noise.py").read_text() == DEADLY
        (said,) = [text for text in notes(events) if text.startswith(f"{name}, toy")]
        assert "its worker was lost" in said and "repeated from its beginning (1 of at most 2 times)" in said
    assert len(ends(events)) == 2


@pytest.mark.slow
def test_a_run_that_is_always_killed_is_not_repeated_for_ever(cluster: Any, deadly: Callable[..., Member]) -> None:
    events = list(run_matrix(plan_matrix([deadly("always", times=99)]), threads=1, executor="ray"))
    failed = ends(events)["always"]
    assert isinstance(failed, Failed) and failed.exit_code == 1
    assert f"lost {MOST_REPEATS + 1} times" in failed.message and "SIGKILL" in failed.message
    assert sum(text.startswith("always") for text in notes(events)) == MOST_REPEATS


def test_an_interrupted_matrix_has_its_states_back_and_goes_on_to_the_same_numbers(
    cluster: Any, member: Callable[..., Member], tmp_path: Path
) -> None:
    values = {"training__epochs": 400, "training__patience": 1000}
    one = member("a", **values)
    events = run_matrix(plan_matrix([one]), threads=1, executor="ray")
    next(event for event in events if isinstance(event, Epoch))
    with pytest.raises(Interrupted, match=r"what the others have reached is kept; the same command goes on") as caught:
        events.throw(KeyboardInterrupt())
    assert "not all" not in str(caught.value)
    again = plan_matrix([one])
    (planned,) = again.members
    assert planned.condition == "unfinished" and (planned.folder / "state.pt").exists()
    assert not (planned.folder / ".lock").exists()
    # What came back is an ordinary run folder, so any executor goes on with it; this one has to send it along.
    rest = list(run_matrix(again, threads=1, executor="ray"))
    first = next(event for event in rest if isinstance(event, Progress))
    assert first.loss is None and first.done >= 1, "it goes on where it was"
    other = list(run_matrix(plan_matrix([member("a", runs="alone", **values)]), threads=1))
    assert lasting(ends(rest)["a"]) == lasting(ends(other)["a"])
    assert not (planned.folder / "state.pt").exists()


LOST_MACHINE = """
import sys
from pathlib import Path
from ray.cluster_utils import Cluster
from seqaug.experiments.matrix import Ended, Epoch, Failed, Member, Note, plan_matrix, run_matrix
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.plan import Patch

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    first = cluster.add_node(num_cpus=1)
    patches = [Patch("data.max_length", 8, "-s"), Patch("items.dim", 8, "-s"), Patch("training.patience", 1000, "-s")]
    settings = RunSettings("sasrec", sys.argv[1], device="cpu", patches=[*patches, Patch("training.epochs", 200, "-s")])
    for event in run_matrix(plan_matrix([Member("a", "toy", 0, settings)]), threads=1, executor=f"ray:{cluster.address}"):
        if isinstance(event, Epoch) and first is not None:
            cluster.add_node(num_cpus=1)
            cluster.remove_node(first, allow_graceful=False)
            first = None
        if isinstance(event, Note | Failed):
            print(event.message)
        if isinstance(event, Ended):
            print("ended after", event.record.metrics["epochs"])
"""


@pytest.mark.slow
def test_a_run_goes_to_another_machine_where_its_own_is_lost(toy: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`, which is not installed")
    (tmp_path / "main.py").write_text(LOST_MACHINE)
    environment = {**os.environ, "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_AUTH_MODE": "token", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "main.py", str(toy)]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and "its worker was lost" in lines[0] and lines[1] == "ended after 200", "stdout is not Ray's"


def test_what_the_cluster_does_not_have_is_refused(cluster: Any) -> None:
    with pytest.raises(RecipeError, match=r"--threads 3: no machine of the cluster has so many CPUs; the largest has 2"):
        RayCluster("", 1, threads=3)
    with pytest.raises(RecipeError, match="no machine of the cluster has one"):
        RayCluster("", 1, devices=("cuda",))
    with pytest.raises(RecipeError, match="it is auto, cpu or cuda"):
        RayCluster("", 1, devices=("cuda:0", "cuda:1"))


def test_the_name_of_an_executor() -> None:
    assert ray_address("local") is None and ray_address("ray") == "" and ray_address("ray:10.0.0.1:6379") == "10.0.0.1:6379"
    for wrong in ("rey", "ray:", "local:2", ""):
        with pytest.raises(RecipeError, match="known: local"):
            ray_address(wrong)
    with pytest.raises(RecipeError, match="Did you mean 'ray'"):
        ray_address("rya")


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RecipeError, match=r"pip install 'seqaug\[ray\]'") as caught:
        executor_named("ray", jobs=1)
    assert caught.value.exit_code == 2


def test_jobs_and_threads_follow_from_what_the_machines_have() -> None:
    here = Room(cpus=(5, 3), gpus=0)
    assert here.jobs(threads=None, gpu=False) == 8 and here.jobs(threads=2, gpu=False) == 3
    assert [here.threads(jobs) for jobs in (1, 2, 3, 4, 8, 20)] == [5, 3, 2, 1, 1, 1]
    assert Room(cpus=(8,), gpus=2).jobs(threads=None, gpu=True) == 2


def test_a_cluster_that_is_not_there_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="needs the extra `ray`, which is not installed")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as nobody:  # bound, but it does not listen
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(RecipeError, match=f"ray:{address}: no Ray cluster could be had there"):
            connect(address)
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(RecipeError, match=f"ray:{address}: no Ray cluster could be had there"):
            connect("")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0", "nobody was asked whether Ray may report what is run"
