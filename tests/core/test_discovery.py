"""Entry points: found without importing anybody, whatever one stranger's metadata looks like."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from seqaug.core import discovery

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution on sys.path: its metadata, and one module where code is given."""
    monkeypatch.syspath_prepend(tmp_path)
    discovery.refresh()

    def put(name: str, entry_points: str, *, version: str = "1.0", module: str = "", code: str = "") -> Path:
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (folder / "entry_points.txt").write_text(entry_points)
        if module:
            (tmp_path / f"{module}.py").write_text(code)
        discovery.refresh()
        return folder

    return put


def found(name: str) -> discovery.EntryPoint:
    (entry,) = [one for one in discovery.installed().entries if one.name == name]
    return entry


def test_an_entry_point_is_found_with_its_distribution_and_version(install: Install) -> None:
    install("Seqaug_Pink", "[seqaug.noise_sources]\npink = pink_noise:Pink\n", version="0.3")
    assert found("pink") == discovery.EntryPoint("seqaug.noise_sources", "pink", "pink_noise:Pink", "seqaug-pink", "0.3")


def test_finding_imports_no_plugin(install: Install) -> None:
    install("bomb", "[seqaug.heads]\nbomb = bomb_module:Bomb\n", module="bomb_module", code="raise SystemExit(7)")
    assert found("bomb").value == "bomb_module:Bomb"
    assert "bomb_module" not in sys.modules


def test_groups_of_others_are_left_alone(install: Install) -> None:
    install("other", "[console_scripts]\nother = other:main\n[seqaugmented.heads]\nx = y:Z\n")
    assert not [one for one in discovery.installed().entries if one.distribution == "other"]


@pytest.mark.parametrize(
    "malformed",
    [
        "[seqaug.heads]\nthis line has no equals sign\n",
        "there = is:no_group\n",
        "[console_scripts]\nmain = a:b\nmain = a:c\n",
        "[seqaug.heads]\nbad = not a module!\n",
        "[seqaug.heads]\npercent = %(nothing)s\n",
    ],
)
def test_a_malformed_distribution_is_named_and_nobody_else_loses_anything(install: Install, malformed: str) -> None:
    before = set(discovery.installed().entries)
    install("healthy", "[seqaug.heads]\nwell = healthy:Well\n")
    install("zzz_broken", malformed)
    with pytest.warns(UserWarning, match="zzz-broken 1.0 has a malformed entry_points.txt"):
        result = discovery.installed()
    assert [one.distribution for one in result.broken] == ["zzz-broken"]
    assert before | {discovery.EntryPoint("seqaug.heads", "well", "healthy:Well", "healthy", "1.0")} <= set(result.entries)


def test_the_readable_lines_of_a_malformed_file_still_count(install: Install) -> None:
    install("half", "[seqaug.heads]\nfirst = half:First\nnonsense\nsecond = half:Second [extra]\n")
    with pytest.warns(UserWarning, match=r"line 3 reads 'nonsense'"):
        result = discovery.installed()
    assert {one.name for one in result.entries if one.distribution == "half"} == {"first", "second"}
    assert found("second").value == "half:Second"


def test_a_file_that_is_not_utf8_is_named(install: Install) -> None:
    folder = install("latin", "")
    (folder / "entry_points.txt").write_bytes("[seqaug.heads]\nna\xefve = a:B\n".encode("latin-1"))
    discovery.refresh()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = discovery.installed()
    assert [one.distribution for one in result.broken] == ["latin"]
    assert any(one.distribution == "seqaug" for one in result.entries)


def test_a_folder_with_a_dash_in_its_name_does_not_pass_for_another_distribution(install: Install) -> None:
    install("seqaug-pink", "[seqaug.heads]\npink = pink:Pink\n")
    assert found("pink").distribution == "seqaug-pink"
    assert found("similarity").distribution == "seqaug"


def test_both_ways_of_reading_find_the_same() -> None:
    path = tuple(sys.path)
    at_once = set(discovery._read_at_once(path))
    one_by_one = discovery._read_one_by_one(path)
    assert at_once == set(one_by_one.entries)
    assert not one_by_one.broken


def test_a_distribution_without_metadata_is_called_by_its_folder(install: Install) -> None:
    folder = install("nameless", "nonsense\n", version="2.5")
    (folder / "METADATA").unlink()
    discovery.refresh()
    with pytest.warns(UserWarning, match=r"nameless 2.5"):
        discovery.installed()


def test_of_two_copies_of_a_distribution_the_first_on_the_path_counts(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("twice", "[seqaug.heads]\ntwice = new:Head\n", version="2.0")
    later = tmp_path / "later" / "twice-1.0.dist-info"
    later.mkdir(parents=True)
    (later / "entry_points.txt").write_text("[seqaug.heads]\ntwice = old:Head\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(later.parent)])
    assert found("twice").value == "new:Head"


@pytest.mark.parametrize("name", ["Seqaug_Popularity", "seqaug-popularity", "seqaug.popularity", "SEQAUG--popularity"])
def test_a_distribution_has_one_spelling(name: str) -> None:
    assert discovery.normalised(name) == "seqaug-popularity"


def test_discovery_and_the_registries_import_neither_torch_nor_a_plugin() -> None:
    code = (
        "import sys; from seqaug.core.registries import REGISTRIES\n"
        "assert len(REGISTRIES) == 11 and 'similarity' in REGISTRIES['noise_sources'].names()\n"
        "print(sorted(name for name in sys.modules if name == 'torch' or name.startswith('seqaug.builtin')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_metadata_of_every_copy_is_found_the_one_that_counts_first(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = install("Twice_Pink", "[seqaug.heads]\ntwice = new:Head\n", version="2.0")
    later = tmp_path / "later" / "twice_pink-1.0.dist-info"
    later.mkdir(parents=True)
    (later / "METADATA").write_text("Metadata-Version: 2.1\nName: twice-pink\nVersion: 1.0\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(later.parent)])
    assert discovery.metadata_files("twice-pink") == [first / "entry_points.txt", later / "entry_points.txt"]
    assert discovery.metadata_files("nobody") == []


def test_what_an_editable_install_leaves_beside_its_source_is_no_copy(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = install("pink", "[seqaug.heads]\npink = new:Head\n")
    project = tmp_path / "a pink project"
    left = project / "src" / "pink.egg-info"
    left.mkdir(parents=True)
    (left / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: pink\nVersion: 0.1\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(left.parent)])
    told = {"url": project.as_uri(), "dir_info": {}}
    for editable, text in (
        (False, "no JSON"),
        (False, json.dumps(told)),
        (True, json.dumps(told | {"dir_info": {"editable": True}})),
    ):
        (first / "direct_url.json").write_text(text)
        found = discovery.metadata_files("pink")
        assert found == [one / "entry_points.txt" for one in ((first,) if editable else (first, left))]


def test_a_plugin_in_a_group_that_is_no_kind_is_told_with_the_nearest_kind(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqaug.core.registries import misplaced

    install("stranger-typo", "[seqaug.noise_source]\npink = stranger:Pink\n", version="0.3")
    assert misplaced() == [
        "stranger-typo 0.3 declares 'pink' in the group 'seqaug.noise_source', which is no kind of plugin. "
        "Did you mean 'seqaug.noise_sources'?"
    ]
    monkeypatch.setenv("SEQAUG_DISABLE_PLUGINS", "stranger_typo")
    assert misplaced() == []
