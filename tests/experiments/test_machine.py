"""Estimates, the doctor, devices."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from seqaug.core import discovery
from seqaug.errors import RecipeError
from seqaug.experiments.doctor import Check, doctor
from seqaug.experiments.environment import chosen_device, peak_memory, source_hash
from seqaug.experiments.estimate import estimate
from seqaug.experiments.prepare import prepare
from seqaug.experiments.settings import RunSettings


def test_an_estimate_counts_what_is_there_and_writes_nothing(small: Callable[..., RunSettings], tmp_path: Path) -> None:
    found = estimate(prepare(small("simdiffrec")))
    assert found.parameters["items"] == 42 * 8
    assert found.weights_bytes == 4 * sum(found.parameters.values())
    assert found.memory.model == 5 * found.weights_bytes
    assert found.batches_per_epoch == 2 and found.epochs == 3
    assert found.seconds_at_most == pytest.approx(3 * found.seconds_per_epoch)
    assert found.seconds_per_epoch > 0
    assert list(tmp_path.iterdir()) == []


def test_an_epoch_bears_its_share_of_the_validations_and_the_last_epoch_is_always_validated(
    small: Callable[..., RunSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 7 epochs with a validation after every third one there are three: after the third, the sixth and the last."""

    def seconds(every: int) -> float:
        clock = iter(range(100_000))  # every look at it is a second later
        with monkeypatch.context() as patched:
            patched.setattr(time, "perf_counter", lambda: float(next(clock)))
            values = {"training.epochs": 7, "training.validate_every": every}
            return estimate(prepare(small("sasrec", values=values))).seconds_per_epoch

    once, thrice, always = seconds(7), seconds(3), seconds(1)
    assert once < thrice < always
    assert always - once == pytest.approx(6 / 2 * (thrice - once))


def test_the_peak_of_memory_does_not_fall() -> None:
    before = peak_memory()
    block = torch.ones(32 * 2**20)  # 128 MiB, touched
    after = peak_memory()
    assert after >= before and after >= block.numel() * 4


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=f"--device {name}"):
        chosen_device(name)


def test_auto_is_a_device_that_is_there() -> None:
    assert chosen_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_the_hash_of_a_plugin_is_that_of_its_file() -> None:
    import hashlib

    assert source_hash(Check) == hashlib.sha256(Path(sys.modules[Check.__module__].__file__ or "").read_bytes()).hexdigest()
    made = type("Made", (), {"__module__": "nowhere"})
    assert len(source_hash(made)) == 64


def test_the_hash_of_a_plugin_in_a_package_is_of_all_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "stranger_package"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("from .words import Grey\n")
    (package / "words.py").write_text("class Grey:\n    pass\n")
    (package / "deep" / "table.py").write_text("K = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    from importlib import import_module

    try:
        grey = import_module("stranger_package").Grey
        hashes = [source_hash(grey)]
        (package / "deep" / "table.py").write_text("K = 2\n")  # the file of the class is as it was
        hashes.append(source_hash(grey))
        (package / "deep" / "table.py").write_text("K = 1\n")
        hashes.append(source_hash(grey))
        (package / "notes.txt").write_text("no source\n")
        hashes.append(source_hash(grey))
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "stranger_package"]:
            del sys.modules[name]
    assert hashes[0] == hashes[2] == hashes[3] != hashes[1]


def test_the_doctor_finds_this_machine_fit() -> None:
    found = list(doctor())
    assert {"python", "torch", "threads", "plugins", "recipes", "data", "runs"} <= {check.name for check in found}
    assert not [check for check in found if check.state == "wrong" and check.name not in ("data",)]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path in which distributions can be put."""
    monkeypatch.syspath_prepend(str(tmp_path))
    discovery.refresh()
    yield tmp_path
    discovery.refresh()


def installed(folder: Path, name: str, entry_points: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    discovery.refresh()


def test_the_doctor_names_a_plugin_that_does_not_load(broken: Path) -> None:
    installed(broken, "rusty", "[seqaug.noise_sources]\nrust = rusty_module:Rust\n")
    wrong = [check.message for check in doctor() if check.state == "wrong" and check.name == "plugins"]
    assert len(wrong) == 1 and "rusty" in wrong[0] and "noise_sources" in wrong[0]


def test_the_doctor_names_a_distribution_whose_entry_points_cannot_be_read(broken: Path) -> None:
    installed(broken, "garbled", "this is no entry point\n")
    found = list(doctor())
    wrong = [check.message for check in found if check.state == "wrong" and check.name == "plugins"]
    assert len(wrong) == 1 and "garbled 1.0" in wrong[0]
    assert any(check.name == "plugins" and check.state == "fine" for check in found), "the others load all the same"


def test_the_doctor_finds_a_data_folder_that_does_not_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEQAUG_DATA", str(tmp_path / "nowhere"))
    assert [check for check in doctor() if check.state == "wrong" and "nowhere does not exist" in check.message]
