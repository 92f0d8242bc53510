"""Whose folder it is, and when the run in it counts as finished."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqaug.errors import RecipeError, SeqaugError
from seqaug.experiments.files import replacing, unfinished_files, write_json
from seqaug.experiments.folder import Identity, RunFolder


def identity(**changes: Any) -> Identity:
    recipe = {"items": {"dim": 8}, "training": {"epochs": 2}}
    return Identity(
        **{"recipe": recipe, "data": "d" * 64, "seed": 0, "precision": "float32", "plugins": {"scorer": "x"}, **changes}
    )


def begun(path: Path, **changes: Any) -> RunFolder:
    folder = RunFolder(path, identity(**changes))
    with folder.lock():
        folder.begin(recipe="name = 'x'\n", resolved={"values": {}}, environment={}, command="seqaug run", fresh=False)
    return folder


def test_the_hash_is_a_function_of_the_content_alone() -> None:
    assert identity().hash == identity(recipe={"training": {"epochs": 2}, "items": {"dim": 8}}).hash


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {"items": {"dim": 9}, "training": {"epochs": 2}}},
        {"data": "e" * 64},
        {"seed": 1},
        {"precision": "bfloat16"},
        {"plugins": {"scorer": "y"}},
    ],
)
def test_whatever_can_change_a_number_changes_the_hash(change: dict[str, Any]) -> None:
    assert identity(**change).hash != identity().hash


def test_the_default_folder_is_named_after_recipe_data_and_hash() -> None:
    path = RunFolder.default(Path("runs"), "sasrec", "my data/x", identity())
    assert path == Path("runs") / f"sasrec-my_data_x-{identity().hash[:8]}"


def test_a_missing_and_an_empty_folder_are_new(tmp_path: Path) -> None:
    assert RunFolder(tmp_path / "none", identity()).condition() == "new"
    assert RunFolder(tmp_path, identity()).condition() == "new"


def test_asking_writes_nothing(tmp_path: Path) -> None:
    RunFolder(tmp_path / "none", identity()).condition()
    assert not (tmp_path / "none").exists()


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RecipeError, match=r"not a run folder \(it holds thesis\.tex\)"):
        RunFolder(tmp_path, identity()).condition()
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_refused_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(RecipeError, match="is a file"):
        RunFolder(tmp_path / "out", identity()).condition()


def test_another_run_is_refused_with_all_that_differs(tmp_path: Path) -> None:
    begun(tmp_path)
    other = RunFolder(tmp_path, identity(seed=3, recipe={"items": {"dim": 16}, "training": {"epochs": 2}}))
    with pytest.raises(RecipeError) as refusal:
        other.condition()
    assert "seed: 0 there, 3 asked for" in str(refusal.value)
    assert "items.dim: 8 there, 16 asked for" in str(refusal.value)
    assert "training" not in str(refusal.value)


def test_a_run_is_unfinished_until_its_metrics_are_there(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.save_state({"x": torch.ones(2)})
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert folder.condition() == "unfinished"
    folder.finish({"test": {}})
    assert folder.condition() == "finished"
    assert not (tmp_path / "state.pt").exists()


@pytest.mark.parametrize("text", ["", '{"schema": 1, "te', "[]", '{"hash": "of another run"}'])
def test_a_half_written_result_is_no_result(tmp_path: Path, text: str) -> None:
    folder = begun(tmp_path)
    (tmp_path / "metrics.json").write_text(text)
    assert folder.condition() == "unfinished"


def test_fresh_forgets_the_result_before_anything_else(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.save_state({})
    folder.finish({})
    folder.save_state({})
    with folder.lock():
        folder.begin(recipe="name = 'x'\n", resolved={}, environment={}, command="seqaug run --fresh", fresh=True)
    assert folder.condition() == "unfinished"
    assert folder.load_state() is None
    assert (tmp_path / "command.txt").read_text() == "seqaug run --fresh\n"


def test_every_start_leaves_its_command(tmp_path: Path) -> None:
    begun(tmp_path)
    begun(tmp_path)
    assert (tmp_path / "command.txt").read_text() == "seqaug run\nseqaug run\n"


@pytest.mark.parametrize("damage", [b"", b"not a state", b"PK\x03\x04 cut"])
def test_an_unreadable_state_is_no_state(tmp_path: Path, damage: bytes) -> None:
    folder = begun(tmp_path)
    folder.save_state({"x": torch.ones(2)})
    kept = folder.load_state()
    assert kept is not None and torch.equal(kept["x"], torch.ones(2))
    (tmp_path / "state.pt").write_bytes(damage)
    assert folder.load_state() is None


def test_a_state_cut_anywhere_is_no_state(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.save_state({"x": torch.arange(100.0)})
    whole = (tmp_path / "state.pt").read_bytes()
    for end in range(0, len(whole), 97):
        (tmp_path / "state.pt").write_bytes(whole[:end])
        assert folder.load_state() is None, end


def test_a_state_of_another_run_is_no_state(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.save_state({})
    assert RunFolder(tmp_path, identity(seed=9)).load_state() is None


def test_a_state_file_runs_no_code(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "exploded"),))

    folder = begun(tmp_path)
    torch.save({"hash": folder.identity.hash, "x": Bomb()}, tmp_path / "state.pt")
    assert folder.load_state() is None
    assert not (tmp_path / "exploded").exists()


def test_events_are_replaced_by_what_the_state_knows(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.append_event({"epoch": 1})
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"epoch": 2, "cut')
    folder.write_events([{"epoch": 1}])
    folder.append_event({"epoch": 2})
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 1}, {"epoch": 2}]


def test_two_holders_of_one_folder_are_refused_even_in_one_process(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path, identity()), RunFolder(tmp_path, identity())
    with (
        first.lock(),
        pytest.raises(SeqaugError, match=f"in use by another process \\(process {os.getpid()}\\)"),
        second.lock(),
    ):
        pass
    with second.lock():
        pass
    assert not (tmp_path / ".lock").exists()


def test_another_process_is_kept_out(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from seqaug.experiments.folder import Identity, RunFolder\n"
        "folder = RunFolder(Path(sys.argv[1]), Identity({}, '', 0, '', {}))\n"
        "with folder.lock(): pass"
    )
    folder = RunFolder(tmp_path, identity())
    with folder.lock():
        refused = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert refused.returncode != 0 and "in use by another process" in refused.stderr
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)]).returncode == 0


def test_a_lock_left_by_a_killed_process_keeps_nobody_out(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("process 1\n")
    with RunFolder(tmp_path, identity()).lock():
        pass


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write(b'{"a": 2')
        assert json.loads(path.read_text()) == {"a": 1}
        raise RuntimeError
    assert json.loads(path.read_text()) == {"a": 1}
    assert not unfinished_files(tmp_path)


def test_leftovers_of_killed_writers_are_no_strange_files_and_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".resolved.json.123.partial").write_text("{")
    assert RunFolder(tmp_path, identity()).condition() == "new"
    begun(tmp_path)
    assert not unfinished_files(tmp_path)


def test_a_number_that_is_none_is_refused_in_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_ctrl_c_in_the_middle_of_a_save_is_an_interruption_and_the_old_state_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path / "run")
    folder.save_state({"x": torch.ones(2)})

    class Struck(io.BytesIO):
        """A file in the second write of which Ctrl-C strikes."""

        writes = 0

        def write(self, data: Any) -> int:
            self.writes += 1
            if self.writes == 2:
                raise KeyboardInterrupt
            return super().write(data)

    monkeypatch.setattr("seqaug.experiments.folder.replacing", lambda path: Struck())
    with pytest.raises(KeyboardInterrupt):
        folder.save_state({"x": torch.zeros(10_000)})
    monkeypatch.undo()
    state = folder.load_state()
    assert state is not None and state["x"].tolist() == [1, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="files cannot be limited there")
def test_a_state_that_finds_no_room_is_an_error_in_words_and_leaves_the_one_before(tmp_path: Path) -> None:
    import resource

    folder = begun(tmp_path / "run")
    folder.save_state({"x": torch.ones(2)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # stands in for a full disk: the write is refused alike
    try:
        with pytest.raises(SeqaugError, match=r"state of the run cannot be written to .*run: .*goes on from it"):
            folder.save_state({"x": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    state = folder.load_state()
    assert state is not None and torch.equal(state["x"], torch.ones(2))
    assert unfinished_files(folder.path) == []
