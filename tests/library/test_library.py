"""The door for scripts gives what the command line gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from seqaug import library
from seqaug.data.synthetic import toy_world
from seqaug.errors import DataError, RecipeError, UnknownName
from seqaug.experiments import run as told
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.plan import Patch

SMALL = {"data.max_length": 8, "items.dim": 8, "encoders.main.inner": 8, "training.epochs": 2, "training.batch_size": 16}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 users, 40 items, one user a line."""
    path = tmp_path_factory.mktemp("data") / "toy.txt"
    path.write_text("".join(" ".join([user, *items]) + "\n" for user, items in toy_world(30, 40, 8)))
    return path


def test_a_run_in_one_call_is_the_run_of_the_command_line(toy: Path, tmp_path: Path) -> None:
    ours = library.run("sasrec", toy, changes=SMALL, seed=3, device="cpu", out=tmp_path / "ours")
    patches = [Patch(path, value, "-s") for path, value in SMALL.items()]
    settings = RunSettings(recipe="sasrec", data=str(toy), seed=3, device="cpu", patches=patches, out=tmp_path / "theirs")
    *_, theirs = told.run(settings)
    assert isinstance(theirs, library.Finished)
    assert ours.metrics["test"] == theirs.metrics["test"]
    assert ours.metrics["hash"] == theirs.metrics["hash"]
    assert json.loads((ours.folder / "metrics.json").read_text())["test"] == ours.metrics["test"]


def test_a_finished_run_gives_its_result_at_once_unless_it_is_to_start_over(toy: Path, tmp_path: Path) -> None:
    first, again, anew = (
        library.run("sasrec", toy, changes=SMALL, out=tmp_path / "run", fresh=fresh) for fresh in (False, False, True)
    )
    assert (first.from_cache, again.from_cache, anew.from_cache) == (False, True, False)
    assert again.metrics["test"] == anew.metrics["test"]


def test_the_steps_by_hand_end_in_the_numbers_of_the_one_call(toy: Path, tmp_path: Path) -> None:
    data = library.find(toy)
    split = library.leave_one_out(data.sequences)
    plan = library.plan_of("sasrec", data.name, changes=SMALL)
    assembly = library.assembly_of(plan, split, seed=0)

    def validate() -> dict[str, float]:
        return library.metrics(library.rank_held_out(assembly, split.valid, seed=0).rank)

    fit = library.Fit(assembly, library.samples_of(plan, split), seed=0, options=plan.training, validate=validate)
    reports = list(fit.reports())
    fit.restore_best()
    by_hand = library.metrics(library.rank_held_out(assembly, split.test, seed=0).rank)
    assert sum(isinstance(report, library.EpochReport) for report in reports) == 2
    assert any(isinstance(report, library.BatchReport) for report in reports)
    assert by_hand == library.run("sasrec", toy, changes=SMALL, device="cpu", out=tmp_path / "run").metrics["test"]


def test_changes_reach_paths_handles_and_plugins_with_options_and_say_who_made_them() -> None:
    plan = library.plan_of(
        "simdiffrec", "beauty", changes={"items.dim": 16, "noise": {"use": "similarity", "k": 3}, "positions": "random"}
    )
    assert plan.items.dim == 16
    assert plan.values["diffusions"]["main"]["noise"]["k"] == 3
    assert plan.values["diffusions"]["main"]["noise"]["metric"] == "dot"  # the plugin in place keeps its options
    assert plan.values["augmenters"]["diffused"]["replace"]["use"] == "random"
    assert plan.values["objectives"]["contrast"]["weight"] == 0.4  # the variant of beauty
    assert plan.origins["items.dim"] == library.ORIGIN


def test_an_ablation_is_taken_by_its_name(toy: Path, tmp_path: Path) -> None:
    plan = library.plan_of("simdiffrec", ablation="w/o k_noise")
    assert plan.values["diffusions"]["main"]["noise"]["use"] == "gaussian"
    recipe = tmp_path / "popular.toml"
    recipe.write_text('name = "popular"\n[scorer]\nuse = "popularity"\n[ablations]\nknn = { scorer = "item_knn" }\n')
    known, without = (library.run(recipe, toy, ablation=one, out=tmp_path / str(one)) for one in ("knn", None))
    used = [json.loads((one.folder / "environment.json").read_text())["plugins"]["scorer"]["name"] for one in (known, without)]
    assert used == ["item_knn", "popularity"]


def test_threads_and_device_are_those_that_are_asked_for(toy: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        found = library.run("popularity", toy, device="cpu", threads=2, out=tmp_path / "run")
    finally:
        torch.set_num_threads(before)
    assert (found.metrics["threads"], found.metrics["device"]) == (2, "cpu")
    with pytest.raises(RecipeError, match="not a device"):
        library.run("popularity", toy, device="abacus", out=tmp_path / "other")


def test_what_is_wrong_is_an_error_in_words(toy: Path) -> None:
    with pytest.raises(RecipeError, match=r"(?s)no handle 'nois'.*Did you mean 'noise'\?.*trainin"):
        library.plan_of("simdiffrec", changes={"nois": "gaussian", "trainin.epochs": 3})
    with pytest.raises(UnknownName, match="Did you mean 'sasrec'"):
        library.run("sasrek", toy)
    with pytest.raises(DataError):
        library.run("sasrec", "no-such-data")


def test_runs_are_compared_by_their_folders(toy: Path, tmp_path: Path) -> None:
    folders = [
        library.run("sasrec", toy, changes={**SMALL, "encoder": encoder}, seed=seed, out=tmp_path / f"{encoder}-{seed}").folder
        for encoder in ("transformer", "gru")
        for seed in (0, 1)
    ]
    found = library.compare(folders, metrics=["ndcg@10"], resamples=50)
    assert isinstance(found, library.Comparison)
    assert len(found.methods) == 2 and all(cell.seeds == (0, 1) for cell in found.cells.values())


def test_a_recipe_may_be_a_path(toy: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[scorer]\nuse = "popularity"\n')
    found = library.run(path, toy, out=tmp_path / "run")
    assert found.metrics["recipe"] == "mine"
