"""What an ablation consists of: its columns, its reference, its runs, and that they differ in nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqaug.errors import RecipeError
from seqaug.experiments.ablate import (
    Ablated,
    Ablation,
    Request,
    ablate,
    estimates,
    exit_code,
    plan_ablation,
    shown_names,
)
from seqaug.experiments.matrix import Failed, Member
from seqaug.experiments.prepare import Prepared, prepare
from seqaug.experiments.run import run
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.plan import Patch
from seqaug.training.fit import BatchReport, Fit

Small = Callable[..., RunSettings]
Planned = Callable[..., Ablation]

TABLE_3 = ("simdiffrec", "w/o k_noise", "w/o c_aug", "w/o k_sample")


@pytest.fixture
def planned(small: Small, toy: Path, tmp_path: Path) -> Planned:
    """An ablation of the small simdiffrec on the toy data; `fields` are those of Request, settings those of RunSettings."""

    def make(recipe: str = "simdiffrec", settings: dict[str, Any] | None = None, **fields: Any) -> Ablation:
        base = small(recipe, out=None, runs=tmp_path / "runs", **(settings or {}))
        return plan_ablation(Request(base, **{"data": (str(toy),), "seeds": 2, **fields}))

    return make


# ---- the columns ----


def test_table_3_has_the_method_and_its_ablations_over_data_and_seeds(planned: Planned, tmp_path: Path) -> None:
    found = planned()
    assert found.variants == TABLE_3 and found.reference == "simdiffrec" and found.data == ("toy",) and found.seeds == (0, 1)
    places = [one.member.place for one in found.matrix.members]
    assert places == [(variant, "toy", seed) for seed in (0, 1) for variant in TABLE_3], "seed by seed: the first seeds first"
    assert len({one.hash for one in found.matrix.members}) == 8
    assert found.folder.parent == tmp_path / "runs" and found.folder.name.startswith("ablate-simdiffrec-")
    assert not (tmp_path / "runs").exists()


def test_an_ablation_is_the_run_that_run_makes_of_it(planned: Planned, small: Small) -> None:
    settings = small("simdiffrec", out=None)
    for variant, one in zip(TABLE_3, planned().matrix.members, strict=False):
        # What nobody but similarity noise has, `run` would refuse.
        patches = [patch for patch in settings.patches if variant != "w/o k_noise" or patch.path != "diffusions.main.noise.k"]
        alone = replace(settings, ablation=None if variant == "simdiffrec" else variant, patches=patches)
        assert prepare(alone).identity.hash == one.hash, variant


def test_variants_are_picked_by_their_names_or_what_follows_without(planned: Planned) -> None:
    assert planned(variants=("c_aug", "w/o k_sample")).variants == ("simdiffrec", "w/o c_aug", "w/o k_sample")
    assert planned(variants=("simdiffrec",)).variants == ("simdiffrec",)
    with pytest.raises(RecipeError, match=r"no ablation 'w/o k_nois'. Did you mean 'w/o k_noise'\? Known: w/o k_noise, w/o"):
        planned(variants=("w/o k_nois",))


def test_a_recipe_without_ablations_says_what_to_do(planned: Planned) -> None:
    with pytest.raises(RecipeError, match=r"has no \[ablations\]. Name what is to be exchanged, as in --axis"):
        planned("sasrec")
    with pytest.raises(RecipeError, match="give one of the two"):
        planned(variants=("c_aug",), axes=("noise=gaussian",))


def test_a_factorial_has_every_combination_and_the_recipes_own_is_the_reference(planned: Planned) -> None:
    found = planned(axes=("noise=gaussian,similarity", "positions=random,confidence"))
    assert found.variants == (
        "noise=gaussian, positions=random", "noise=gaussian, positions=confidence",
        "noise=similarity, positions=random", "noise=similarity, positions=confidence",
    )  # fmt: skip
    assert found.reference == "noise=similarity, positions=confidence"
    own = planned(variants=("simdiffrec",)).matrix.members[0]
    assert found.matrix.members[3].hash == own.hash, "so its runs are shared with Table 3's"


def test_without_the_recipes_own_combination_the_first_is_the_reference_and_that_is_said(planned: Planned) -> None:
    found = planned(axes=("noise=gaussian,similarity:k=7",))
    assert found.reference == "noise=gaussian"
    assert any("no combination of these axes" in note for note in found.notes)
    assert not any("no combination" in note for note in planned(axes=("noise=gaussian,similarity",)).notes)


def test_what_flags_ask_for_holds_in_every_column(planned: Planned) -> None:
    """`small` sets diffusions.main.noise.k, which Gaussian noise has not."""
    found = planned()
    assert "w/o k_noise: diffusions.main.noise.k (set by -s) is left out: the plugin there has no such option." in found.notes
    for one in found.matrix.members:
        assert one.epochs == 3 and one.monitor == "ndcg@10"


def test_columns_that_are_one_run_are_named(planned: Planned) -> None:
    found = planned(axes=("positions=confidence,confidence:ratio=0.2",))
    assert found.matrix.members[0].hash == found.matrix.members[1].hash and len(found.matrix.unfinished) == 2
    assert any("are the same run" in note for note in found.notes)


def test_the_problems_of_all_columns_come_at_once(planned: Planned) -> None:
    with pytest.raises(RecipeError) as caught:
        planned(axes=("noise=similarty,gaussian", "positions=randm,confidence"))
    text = str(caught.value)
    assert "similarty" in text and "randm" in text and "Did you mean 'similarity'?" in text


def test_files_are_called_by_their_stems_where_that_tells_them_apart() -> None:
    assert shown_names(["beauty", "a/toy.txt", "b/mine.csv.gz"]) == {
        "beauty": "beauty", "a/toy.txt": "toy", "b/mine.csv.gz": "mine",
    }  # fmt: skip
    assert shown_names(["a/toy.txt", "b/toy.txt"]) == {"a/toy.txt": "a/toy.txt", "b/toy.txt": "b/toy.txt"}


# ---- the same dice ----


def start_of(prepared: Prepared, batches: int) -> tuple[dict[str, Tensor], list[list[int]]]:
    """The weights before training, and the users of the first batches in the order in which training sees them."""
    samples = samples_of(prepared.plan, prepared.split, prepared.device)
    assembly = assembly_of(prepared.plan, prepared.split, seed=prepared.settings.seed, device=prepared.device)
    weights = {name: tensor.clone() for name, tensor in assembly.model.state_dict().items()}
    seen: list[list[int]] = []
    take = samples.take

    def noted(rows: Tensor) -> Any:
        batch = take(rows)
        seen.append(batch.users.tolist())
        return batch

    samples.take = noted  # type: ignore[method-assign]
    fit = Fit(assembly, samples, seed=prepared.settings.seed, options=prepared.plan.training, validate=lambda: {"ndcg@10": 0.0})
    for report in fit.reports():
        if isinstance(report, BatchReport) and report.epoch * report.batches + report.batch + 1 >= batches:
            break
    return weights, seen


@pytest.mark.parametrize(
    "axes", [(), ("encoder=transformer,gru", "loss=next_item_softmax,next_item_bce")], ids=["table_3", "axes"]
)
def test_columns_of_one_seed_start_from_the_same_weights_and_see_the_same_batches(
    planned: Planned, axes: tuple[str, ...]
) -> None:
    found = planned(axes=axes, seeds=1, settings={"values": {"encoders.main.layers": 1}})
    starts = [start_of(prepare(one.member.settings), 5) for one in found.matrix.members]
    weights, batches = starts[0]
    assert len(batches) >= 5 and batches[0] != batches[2], "two epochs differ in their order"
    for other, seen in starts[1:]:
        shared = [name for name in weights if name in other and weights[name].shape == other[name].shape]
        shared = [name for name in shared if not axes or not name.startswith("encoders")]
        assert any(name.startswith("items") for name in shared) and any(name.startswith("diffusions") for name in shared)
        assert all(torch.equal(weights[name], other[name]) for name in shared)
        assert seen[:5] == batches[:5]
    other_seed = planned(axes=axes, seeds=2).matrix.members[-1].member.settings
    moved, order = start_of(prepare(other_seed), 5)
    assert order[:5] != batches[:5] and not torch.equal(moved["items.weight"], weights["items.weight"])


# ---- running ----


def test_a_finished_ablation_gives_its_table_and_writes_it(planned: Planned, tmp_path: Path) -> None:
    fields = {"axes": ("positions=random,confidence",), "results": tmp_path / "results"}
    for one in planned(**fields).matrix.members:
        list(run(one.member.settings))
    found = planned(**fields)
    assert found.matrix.unfinished == ()
    *_, last = ablate(found, metrics=("ndcg@10", "HR@5"))
    assert isinstance(last, Ablated) and last.comparison is not None and last.failed == ()
    assert last.comparison.metrics == ("ndcg@10", "hr@5") and last.comparison.methods[-1] == "positions=confidence"
    cell = last.comparison.cells["toy", "ndcg@10", "positions=random"]
    expected = [record.metrics["test"]["ndcg@10"] for one, record in last.records if one.member.variant == "positions=random"]
    assert cell.values == pytest.approx(expected) and cell.difference is not None
    assert {file.name for file in found.folder.iterdir()} == {"matrix.json", "table.md", "table.tex", "table.csv", "table.json"}
    stored = json.loads((found.folder / "matrix.json").read_text())
    assert stored["state"] == "finished" and len(stored["members"]) == 4
    assert {member["state"] for member in stored["members"]} == {"finished"}
    assert len(list((tmp_path / "results").iterdir())) == 4
    *_, unseen = ablate(found, unseen=True)
    assert isinstance(unseen, Ablated) and unseen.comparison is not None
    assert any("removed" in note for note in unseen.comparison.notes)
    assert unseen.comparison.cells["toy", "ndcg@10", "positions=random"].values != cell.values


def test_estimates_write_nothing_and_time_each_column_once(planned: Planned, tmp_path: Path) -> None:
    rows = list(estimates(planned(variants=("c_aug",)).matrix, device="cpu", threads=1))
    assert [row.planned.member.place for row in rows] == [
        (variant, "toy", seed) for seed in (0, 1) for variant in ("simdiffrec", "w/o c_aug")
    ]
    assert all(row.seconds > 0 and row.estimate is not None and row.estimate.epochs == 3 for row in rows)
    assert rows[0].estimate is rows[2].estimate and rows[0].estimate is not rows[1].estimate
    assert not (tmp_path / "runs").exists()


def test_the_exit_code_is_what_all_failures_have_in_common() -> None:
    member = Member("a", "toy", 0, RunSettings(patches=[Patch("items.dim", 8, "-s")]))
    failures = {code: Failed(member, "no", code) for code in (1, 6)}
    assert exit_code([]) == 0
    assert exit_code([failures[6], failures[6]]) == 6
    assert exit_code([failures[6], failures[1]]) == 1
