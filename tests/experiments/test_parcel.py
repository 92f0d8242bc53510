"""What travels with a run to another machine, and what comes back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seqaug.core.plugin_files import _LOADED, load_plugin_file
from seqaug.core.registries import REGISTRIES
from seqaug.data.catalog import find, import_file
from seqaug.errors import PluginError
from seqaug.experiments import parcel as module
from seqaug.experiments.executor import Task
from seqaug.experiments.parcel import Parcel, Stocks, collected, packed, received, unpacked
from seqaug.experiments.settings import RunSettings
from seqaug.experiments.worker import Order

Small = Callable[..., RunSettings]

PLUGIN = """
from seqaug.api import noise_sources

@noise_sources.register("parcelled")
class Parcelled:
    def draw(self, clean, items, table, generator):
        return clean * 0
"""


def sent(settings: RunSettings, place: Path, **order: tuple[tuple[str, str], ...]) -> tuple[Parcel, Order, dict[str, str]]:
    """A parcel, and what becomes of it at `place`."""
    stocks = Stocks()
    parcel = packed(Task("abc", "a", place / "home", Order(settings, (), **order)), stocks)
    return (parcel, *unpacked(parcel, stocks.contents, place / "goods", place / "run"))


def test_recipe_data_titles_and_plugin_files_travel_under_their_own_names(small: Small, toy: Path, tmp_path: Path) -> None:
    recipe, titles, plugin = tmp_path / "mine.toml", tmp_path / "titles.csv", tmp_path / "parcelled_noise.py"
    recipe.write_text("name = 'mine'\n")
    titles.write_text("item,title\n1,One\n")
    plugin.write_text(PLUGIN)
    loaded = load_plugin_file(plugin)
    try:
        settings = replace(small(), recipe=str(recipe), data_options={"titles": titles})
        _, order, theirs = sent(settings, tmp_path / "there", files=((str(plugin.resolve()), loaded.sha256),))
        plugin.write_text(PLUGIN + "\n")
        # What was executed travels, not what the file holds by now.
        assert Path(order.files[0][0]).read_text() == PLUGIN
        with pytest.raises(PluginError, match="was changed after the runs were planned"):
            sent(settings, tmp_path / "again", files=((str(plugin.resolve()), "0" * 64),))
    finally:
        for registry in REGISTRIES.values():
            registry.forget(loaded.module)
        del _LOADED[loaded.path]
    there = [Path(order.settings.recipe), Path(order.settings.data), Path(order.settings.data_options["titles"])]
    assert [path.name for path in there] == ["mine.toml", toy.name, "titles.csv"]
    assert [path.read_bytes() for path in there] == [path.read_bytes() for path in (recipe, toy, titles)]
    assert all(path.is_relative_to(tmp_path / "there") for path in there)
    assert order.settings.out == tmp_path / "there" / "run"
    assert [theirs[str(path)] for path in there] == [str(recipe), str(toy), str(titles)]


def test_what_is_in_the_package_stays_and_what_is_on_a_shelf_travels(
    small: Small, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SEQAUG_DATA", raising=False)
    parcel, order, _ = sent(replace(small(), data="movietweetings", data_options={}), tmp_path / "one")
    assert parcel.goods == {} and parcel.shelf is None and order.settings.data == "movietweetings"
    imported = import_file(toy, "parcelled")
    parcel, order, _ = sent(replace(small(), data="parcelled"), tmp_path / "two")
    assert order.settings.data == "parcelled" and parcel.shelf is not None
    # On the other machine nothing is known of the shelf here.
    shutil.rmtree(tmp_path / "home")
    monkeypatch.setenv("SEQAUG_DATA", str(tmp_path / "two" / "goods" / parcel.shelf))
    assert find("parcelled").sha256 == imported.sha256


def test_a_large_data_set_is_not_sent(small: Small, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 10)
    parcel, order, _ = sent(small(), tmp_path / "there")
    assert parcel.too_large == (str(toy), toy.stat().st_size) and parcel.goods == {}
    assert order.settings.data == str(toy), "it has to be in the same place there"


def test_a_file_is_read_once_for_all_runs(small: Small, tmp_path: Path) -> None:
    stocks = Stocks()
    for seed in range(3):
        packed(Task(f"{seed}", "a", tmp_path / f"{seed}", Order(replace(small(), seed=seed), ())), stocks)
    assert len(stocks.contents) == 1


def test_a_run_that_was_begun_travels_with_its_state_unless_it_starts_over(small: Small, tmp_path: Path) -> None:
    home = tmp_path / "there" / "home"
    (home / "plugins").mkdir(parents=True)
    for name in ("resolved.json", "state.pt", "events.jsonl", "plugins/noise.py", "report.html", ".state.pt.1.partial"):
        (home / name).write_text(name)
    parcel, _, _ = sent(small(), tmp_path / "there")
    assert set(parcel.left) == {"resolved.json", "state.pt", "events.jsonl", "plugins/noise.py"}
    assert (tmp_path / "there" / "run" / "state.pt").read_text() == "state.pt"
    parcel, _, _ = sent(small(fresh=True), tmp_path / "there")
    assert parcel.left == {}
    (home / "resolved.json").unlink()
    parcel, _, _ = sent(small(), tmp_path / "there")
    assert parcel.left == {}, "without its marks it is no run that could go on"


def test_what_comes_back_names_the_places_of_this_machine_and_ends_with_the_result(tmp_path: Path) -> None:
    run, home = tmp_path / "run", tmp_path / "home"
    (run / "plugins").mkdir(parents=True)
    home.mkdir()
    request = {"recipe": "/far/mine.toml", "data": {"reference": "/far/toy.txt", "options": {"titles": "/far/titles.csv"}}}
    (run / "resolved.json").write_text(json.dumps({"hash": "abc", "request": request}))
    for name in ("metrics.json", "model.safetensors", "per_user.npz", "plugins/noise.py", ".lock"):
        (run / name).write_text(name)
    for name in ("state.pt", "metrics.json", "report.html"):
        (home / name).write_text("old")
    names = {"/far/mine.toml": "mine.toml", "/far/toy.txt": "/near/toy.txt", "/far/titles.csv": "/near/titles.csv"}
    files = collected(run, names)
    assert list(files)[-2:] == ["metrics.json", "plugins/noise.py"] and ".lock" not in files
    received(home, files, fresh=True)
    found = json.loads((home / "resolved.json").read_text())["request"]
    assert found == {"recipe": "mine.toml", "data": {"reference": "/near/toy.txt", "options": {"titles": "/near/titles.csv"}}}
    assert {path.name for path in home.iterdir()} == {
        "resolved.json", "metrics.json", "model.safetensors", "per_user.npz", "plugins",
    }  # fmt: skip
    times = {path.name: path.stat().st_mtime_ns for path in home.iterdir()}
    assert times["metrics.json"] == max(times.values())
