"""seqaug report: where the page goes, what is printed, exit codes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seqaug.cli.main import cli
from seqaug.data.synthetic import toy_world
from seqaug.experiments.run import run
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.plan import Patch

SMALL = {
    "data.max_length": 8, "items.dim": 8, "encoders.main.layers": 1, "encoders.main.inner": 8, "training.batch_size": 32,
    "training.epochs": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs."""
    root = tmp_path_factory.mktemp("made")
    data = root / "toy.txt"
    world = toy_world(num_users=40, num_items=30, max_length=8)
    data.write_text("".join(" ".join([user, *items]) + "\n" for user, items in world))
    for recipe, values in (("popularity", {}), ("sasrec", SMALL)):
        patches = [Patch(path, value, "-s") for path, value in values.items()]
        for _ in run(RunSettings(recipe=recipe, data=str(data), patches=patches, out=root / "runs" / recipe, device="cpu")):
            pass
    return root / "runs"


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as seen from an empty one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(made)
    return Path("runs")


def seqaug(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_the_path_of_the_page_goes_to_stdout_and_what_to_know_to_stderr(runs: Path) -> None:
    done = seqaug("report", runs / "sasrec")
    assert done.exit_code == 0 and done.stdout == "runs/sasrec/report.html\n"
    assert "One seed is one draw" in done.stderr and "sasrec on toy" in done.stderr
    assert Path("runs/sasrec/report.html").read_text().startswith("<!doctype html>")


def test_the_page_of_many_lies_in_their_folder_or_where_it_is_asked_for(runs: Path) -> None:
    assert seqaug("report", runs, "-q").stdout == "runs/report.html\n"
    done = seqaug("report", runs, "--out", "deep/er/page.html", "--quiet")
    assert done.exit_code == 0 and done.stderr == "" and Path("deep/er/page.html").exists()
    again = seqaug("report", runs, "-q")
    assert again.exit_code == 0, "a page that is there is replaced, and is no run"


def test_json_is_one_document_with_the_numbers_of_the_page(runs: Path) -> None:
    done = seqaug("report", runs, "--json", "--out", "page.html")
    found = json.loads(done.stdout)
    assert found["page"] == "page.html" and Path("page.html").exists()
    assert {one["method"] for one in found["methods"]} == {"popularity", "sasrec"}
    assert {one["folder"] for one in found["runs"]} == {"popularity", "sasrec"}
    for one in found["methods"]:
        stored = json.loads((runs / one["method"] / "metrics.json").read_text())
        for part in ("test", "test_unseen"):
            for name, known in one[part].items():
                assert known["mean"] == pytest.approx(stored[part][name]) and known["low"] <= known["mean"] <= known["high"]
    assert found["comparison"]["reference"] == "sasrec"
    assert found["sections"][:3] == ["results", "protocol", "comparison"] and "ladder" in found["sections"]


def test_another_reference(runs: Path) -> None:
    found = json.loads(seqaug("report", runs, "--json", "--out", "p.html", "--reference", "popularity").stdout)
    assert found["comparison"]["reference"] == "popularity"
    wrong = seqaug("report", runs, "--out", "q.html", "--reference", "sasrek")
    assert wrong.exit_code == 2 and "Did you mean 'sasrec'" in wrong.stderr and not Path("q.html").exists()


@pytest.mark.parametrize("source", ["absent", ".", "runs/../toy"])
def test_where_there_is_no_run_the_exit_code_is_1_and_nothing_is_written(runs: Path, source: str) -> None:
    done = seqaug("report", source)
    assert done.exit_code == 1 and done.stdout == "" and done.stderr.startswith("error: ")
    assert not Path("report.html").exists()
    failed = json.loads(seqaug("report", source, "--json").stdout)
    assert failed["error"]["kind"] == "SeqaugError"


def test_an_output_that_is_a_folder_is_a_usage_error(runs: Path) -> None:
    Path("folder").mkdir()
    assert seqaug("report", runs, "--out", "folder").exit_code == 2


def test_open_hands_the_page_to_the_browser(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import webbrowser

    browser = tmp_path / "browser"
    browser.write_text(
        f"#!{sys.executable}\nimport sys, pathlib\npathlib.Path({str(tmp_path / 'asked')!r}).write_text(sys.argv[1])\n"
    )
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr(webbrowser, "_browsers", {})
    done = seqaug("report", runs / "sasrec", "--out", "page.html", "--open")
    assert done.exit_code == 0
    assert (tmp_path / "asked").read_text() == f"file://{os.getcwd()}/page.html"
