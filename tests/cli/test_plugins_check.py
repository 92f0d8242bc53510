"""seqaug plugins check: a row for each check, and an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seqaug.cli.main import cli
from seqaug.core import plugin_files
from seqaug.core.registries import REGISTRIES

Seqaug = Callable[..., Result]

SOUND = '''
import torch
from seqaug.api import noise_sources

@noise_sources.register("quiet")
class Quiet:
    """No noise at all."""

    def draw(self, clean, items, table, generator):
        return torch.zeros_like(clean)
'''

BROKEN = '''
import torch
from seqaug.api import noise_sources, position_selectors

@noise_sources.register("loud")
class Loud:
    """The input, moved in place."""

    def draw(self, clean, items, table, generator):
        return clean.detach().add_(1)

@position_selectors.register("absent")
class Absent:
    """It has another method."""

    def choose(self, evidence, generator):
        return evidence.items > 0
'''


@pytest.fixture
def seqaug(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Seqaug]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "home"))
    (tmp_path / "quiet.py").write_text(SOUND, encoding="utf-8")
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    before = dict(plugin_files._LOADED)
    yield lambda *words: CliRunner().invoke(cli, ["plugins", "check", *words])
    for path in set(plugin_files._LOADED) - set(before):
        module = plugin_files._LOADED.pop(path).module
        del sys.modules[module]
        for registry in REGISTRIES.values():
            registry.forget(module)


def test_a_sound_plugin_has_a_row_for_each_check_and_exit_code_0(seqaug: Seqaug) -> None:
    done = seqaug("similarity:k=3")
    assert done.exit_code == 0
    assert done.stdout.startswith("noise_sources / similarity  (built in)")
    assert "changes nothing that it is handed" in done.stdout and " failed " not in done.stdout
    assert " checks: " in done.stderr and "0 failed" in done.stderr


def test_every_plugin_of_a_file_is_checked_and_one_failure_is_exit_code_5(seqaug: Seqaug) -> None:
    done = seqaug("broken.py", "-v")
    assert done.exit_code == 5
    assert "noise_sources / loud  (broken.py)" in done.stdout and "position_selectors / absent  (broken.py)" in done.stdout
    assert "it changes clean in place." in done.stdout
    assert "no method 'select'" in done.stdout
    assert "hold the same numbers afterwards" in done.stderr


def test_what_a_plugin_prints_is_no_result(seqaug: Seqaug, tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text(
        SOUND.replace("quiet", "chatty").replace("        return", "        print('here I am')\n        return"),
        encoding="utf-8",
    )
    done = seqaug("chatty.py")
    assert done.exit_code == 0 and "here I am" in done.stderr and "here I am" not in done.stdout


def test_a_sound_file_is_exit_code_0_and_a_kind_it_does_not_mark_is_2(seqaug: Seqaug) -> None:
    assert seqaug("quiet.py").exit_code == 0
    other = seqaug("quiet.py", "--kind", "encoders")
    assert other.exit_code == 2 and "it marks quiet (noise_sources)" in other.stderr


def test_one_document_holds_every_outcome(seqaug: Seqaug) -> None:
    done = seqaug("broken.py", "--json", "--kind", "noise_sources")
    assert done.exit_code == 5
    document = json.loads(done.stdout)
    (plugin,) = document["plugins"]
    assert document["fine"] is False and plugin["name"] == "loud" and plugin["failed"] >= 1
    states = {one["name"]: one["state"] for one in plugin["checks"]}
    assert states["changes nothing that it is handed"] == "failed"
    assert plugin["passed"] + plugin["failed"] + plugin["skipped"] == len(states)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["simlarity"], "Did you mean 'similarity'?"),
        (["similarity", "--kind", "encoders"], "no encoder is called 'similarity'"),
        (["similarity:q=1"], "has no option 'q'"),
        (["similarity:k=none"], "k"),
        (["random:ratio=0.2,count=1"], "both say how many"),
        (["nothing.py"], "there is no plugin file nothing.py"),
    ],
)
def test_a_slip_is_exit_code_2_before_anything_is_checked(seqaug: Seqaug, words: list[str], said: str) -> None:
    done = seqaug(*words)
    assert done.exit_code == 2 and said in done.stderr and not done.stdout


def test_a_file_that_does_not_run_is_exit_code_4(seqaug: Seqaug, tmp_path: Path) -> None:
    (tmp_path / "typo.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    done = seqaug("typo.py")
    assert done.exit_code == 4 and "nothing_of_that_name" in done.stderr


def test_a_named_plugin_that_does_not_keep_its_interface_is_exit_code_4(seqaug: Seqaug) -> None:
    done = seqaug("absent", "--plugin-file", "broken.py")
    assert done.exit_code == 4 and "expected: select(self, evidence, generator)" in done.stderr


def test_a_name_of_several_kinds_is_checked_for_each(seqaug: Seqaug) -> None:
    done = seqaug("popularity", "--json")
    assert [one["kind"] for one in json.loads(done.stdout)["plugins"]] == ["negative_samplers", "scorers"]
