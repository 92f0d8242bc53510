"""The command at the terminal: what it prints, what it writes, and that it writes nothing by halves."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from seqaug.cli.main import cli
from seqaug.errors import RecipeError
from seqaug.scaffold.package import Package, new_package, write_package

FILES = [
    ".github/workflows/test.yml",
    ".gitignore",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "src/my_noise/__init__.py",
    "src/my_noise/py.typed",
    "tests/test_my_noise.py",
]


def asked(*words: str) -> int:
    """The exit code of `seqaug plugins new`."""
    with pytest.raises(SystemExit) as end:
        cli.main(["plugins", "new", *words])
    return int(end.value.code or 0)


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def package_of(name: str = "my-noise") -> Package:
    return new_package(name, "noise_sources", author="Ann", year=2026)


def test_it_prints_what_it_wrote_and_the_next_commands(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("my-noise", "--kind", "noise_sources", "--author", "Ann") == 0
    shown = capsys.readouterr()
    assert files_below(here / "my-noise") == FILES
    assert sorted(line.strip() for line in shown.out.splitlines()[1:]) == FILES
    for command in ("cd my-noise", "pip install -e", "pytest", "seqaug plugins check my-noise", "--noise my-noise", "--axis"):
        assert command in shown.err
    assert os.listdir(here) == ["my-noise"]


def test_json_is_one_document_with_the_commands(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a b").mkdir()
    words = ("my-noise", "--kind", "noise_sources", "--plugin", "pink", "--directory", "a b", "--json")
    assert asked(*words) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["folder"] == "a b/my-noise"
    assert (document["kind"], document["plugin"], document["module"], document["class"]) == (
        "noise_sources",
        "pink",
        "my_noise",
        "MyNoise",
    )
    assert sorted(document["files"]) == FILES == files_below(here / "a b" / "my-noise")
    assert document["commands"]["enter"] == "cd 'a b/my-noise'"
    assert document["commands"]["run"] == "seqaug run simdiffrec --noise pink"


def test_quiet_says_what_was_written_only(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("my-noise", "--kind", "noise_sources", "-q") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["my-noise"], "--kind, one of encoders,"),
        (["my-noise", "--kind", "noises"], "Did you mean 'noise_sources'?"),
        (["gaussian", "--kind", "noise_sources"], "there already is a noise source called 'gaussian'"),
        (["json", "--kind", "noise_sources"], "standard library"),
        (["my-noise", "--kind", "noise_sources", "--author", " "], "one line of text"),
        (["my-noise", "--kind", "noise_sources", "--plugin", "a:b"], "a plugin cannot be called 'a:b'"),
        (["my-noise", "--kind", "noise_sources", "--directory", "nowhere"], "nowhere does not exist"),
        (["my-noise", "--kind", "noise_sources", "--directory", "file"], "file is a file"),
        (["a/b", "--kind", "noise_sources"], "a package cannot be called 'a/b'"),
    ],
)
def test_what_cannot_be_is_exit_code_2_and_nothing_is_written(
    words: list[str], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "file").touch()
    assert asked(*words) == 2
    assert says in capsys.readouterr().err
    assert os.listdir(here) == ["file"]


def test_everything_that_is_wrong_with_the_names_is_said_at_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("2noise", "--kind", "noise_sources", "--plugin", "similarity") == 2
    said = capsys.readouterr().err
    assert "no Python module begins with a digit" in said and "called 'similarity' (built in)" in said


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "my-noise").mkdir()
    (tmp_path / "my-noise" / "thesis.txt").write_text("ten years of work", encoding="utf-8")
    with pytest.raises(RecipeError, match="is a folder with something in it"):
        write_package(package_of(), tmp_path)
    assert files_below(tmp_path) == ["my-noise/thesis.txt"]


def test_a_file_or_a_link_of_that_name_stays(tmp_path: Path) -> None:
    (tmp_path / "my-noise").write_text("a note", encoding="utf-8")
    (tmp_path / "pink").symlink_to(tmp_path / "elsewhere")
    for name in ("my-noise", "pink"):
        with pytest.raises(RecipeError, match="is there already"):
            write_package(package_of(name), tmp_path)
    assert (tmp_path / "my-noise").read_text(encoding="utf-8") == "a note"
    assert sorted(os.listdir(tmp_path)) == ["my-noise", "pink"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "my-noise").mkdir()
    assert files_below(write_package(package_of(), tmp_path)) == FILES


def test_the_folder_has_the_rights_of_any_new_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert write_package(package_of(), tmp_path).stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_directory_that_may_not_be_written_is_said_in_words(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RecipeError, match="cannot be written: Permission denied"):
            write_package(package_of(), tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert os.listdir(tmp_path) == []


def test_where_a_file_cannot_be_written_nothing_is_left_behind(tmp_path: Path) -> None:
    package = package_of()
    # A path longer than any file system takes, in the middle of the others.
    files = {**package.files, "x" * 5000: "", "last": ""}
    broken = Package(package.kind, package.names, files, package.recipe, package.change, package.ablation)
    with pytest.raises(RecipeError, match="cannot be written: File name too long"):
        write_package(broken, tmp_path)
    assert os.listdir(tmp_path) == []


def test_the_same_name_again_is_refused_until_the_folder_is_gone(tmp_path: Path) -> None:
    folder = write_package(package_of(), tmp_path)
    with pytest.raises(RecipeError):
        write_package(package_of(), tmp_path)
    shutil.rmtree(folder)
    assert files_below(write_package(package_of(), tmp_path)) == FILES


def test_kinds_are_completed() -> None:
    from seqaug.cli.plugins.new import new

    (kind,) = [one for one in new.params if one.name == "kind"]
    found = kind.shell_complete(new.make_context("new", ["my-noise"], resilient_parsing=True), "s")
    assert [one.value for one in found] == ["schedules", "scorers"]
