"""What a reproduction runs, what a budget leaves of it, and what stands beside the paper's numbers."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqaug.data.catalog import KNOWN
from seqaug.errors import DataError, Interrupted
from seqaug.experiments.artefacts import ARTEFACTS, artefact
from seqaug.experiments.beside import reproduced
from seqaug.experiments.budget import Cut, parse_budget
from seqaug.experiments.matrix import Failed
from seqaug.experiments.records import Record
from seqaug.experiments.reproduce import reproduce
from seqaug.experiments.reproduced import Reproduced
from seqaug.experiments.reproduction import (
    Reproduction,
    Request,
    costs,
    decided,
    fitted,
    plan_of,
    plan_reproduction,
    within,
    write_decision,
)
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.patches import Patch

Planned = Callable[..., Reproduction]


@pytest.fixture
def planned(small: Callable[..., RunSettings], toy: Path, tmp_path: Path) -> Planned:
    """A reproduction on the toy data with small recipes; `fields` are those of Request."""

    def make(name: str = "table3", *, called: str = "toy", values: dict[str, Any] | None = None, **fields: Any) -> Reproduction:
        data = tmp_path / f"{called}.txt"
        data.write_text(toy.read_text())
        settings = small("simdiffrec", out=None, runs=tmp_path / "runs", values=values)
        if name == "table2":
            settings = replace(settings, patches=())  # what is small differs from recipe to recipe
        budget = parse_budget(fields.pop("budget", "full"))
        given = {"data": (str(data),), "seeds": 1, **fields}
        return plan_reproduction(Request(name, replace(settings, data="movietweetings"), budget, **given))

    return make


def whole(planned: Reproduction) -> Reproduction:
    """Without any cut."""
    return within(planned, fitted(planned, list(costs(planned)), 1))


def finish(reproduction: Reproduction) -> Reproduced:
    *_, last = reproduce(whole(reproduction), jobs=2, threads=1, devices=("cpu",))
    assert isinstance(last, Reproduced)
    return last


# ---- what there is to run ----


def test_the_grids_are_those_of_the_figures() -> None:
    places = {
        (name, column.curve): [one.x for one in artefact(name).columns if one.curve == column.curve]
        for name in ("fig3", "fig4")
        for column in artefact(name).columns
    }
    assert places == {
        ("fig3", "alpha"): [0.1, 0.2, 0.3, 0.4, 0.5],
        ("fig3", "beta"): [0.1, 0.2, 0.3, 0.4, 0.5],
        ("fig4", "k_sample"): [2, 3, 5, 10, 20, 50],
        ("fig4", "k_noise"): [1, 2, 5, 10, 25, 50, 100],
    }
    assert all(artefact(name).data == ("beauty", "toys", "sports") for name in ("table3", "fig3", "fig4"))
    assert [column.method for column in artefact("table3").columns] == [
        "w/o k_noise",
        "w/o c_aug",
        "w/o k_sample",
        "SimDiffRec",
    ]
    assert len(artefact("table2").columns) == 10 and len(artefact("table2").data) == 5
    assert ARTEFACTS == ("table1", "table2", "table3", "fig3", "fig4", "fig5")


def test_each_point_of_a_curve_is_the_recipe_with_that_value_and_nothing_else(planned: Planned) -> None:
    found = planned("fig3", values={"objectives.contrast.weight": 0.25})
    by_name = {one.member.variant: one for one in found.matrix.members}
    patches = {name: {patch.path: patch.value for patch in one.member.settings.patches} for name, one in by_name.items()}
    assert patches["alpha 0.3"]["objectives.contrast.weight"] == 0.3, "the grid comes after what the user sets"
    assert patches["beta 0.3"]["objectives.denoising.weight"] == 0.3
    assert patches["beta 0.3"]["objectives.contrast.weight"] == 0.25
    # The recipe's own value is a point of the curve too: one run, found under both names.
    assert len({one.hash for one in planned("fig3").matrix.members}) == 9


def test_data_that_are_asked_for_and_absent_are_refused(planned: Planned) -> None:
    with pytest.raises(DataError, match="nowhere"):
        planned(data=("nowhere",))


def test_without_the_paper_s_data_it_is_said_what_to_do(
    planned: Planned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEQAUG_DATA", str(tmp_path))
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"none of these is on this machine.*seqaug data get.*--data movietweetings"):
        planned(data=None)


# ---- the budget ----


def test_fewer_epochs_reach_every_stage_and_are_tagged(planned: Planned) -> None:
    found = planned("table2", seeds=2)
    assert len(found.matrix.members) == 20
    left = within(found, Cut({"toy": (0,)}, 2, (0, 1), ("toy",), 1.0))
    assert [one.member.seed for one in left.matrix.members] == [0] * 10
    for one in left.matrix.members:
        own = next(other for other in found.matrix.members if other.member.variant == one.member.variant)
        assert all(stage.epochs <= 2 for stage in plan_of(one.member).stages), one.member.variant
        assert one.epochs < own.epochs or own.epochs <= 2, one.member.variant
        assert all(
            patch.origin == "budget full" for patch in one.member.settings.patches if patch not in own.member.settings.patches
        )


def test_a_decision_survives_a_restart_and_counts_what_is_finished_since(planned: Planned) -> None:
    found = planned(seeds=3)
    assert decided(found) is None
    left = within(found, Cut({"toy": (0, 1)}, None, (0, 1, 2), ("toy",), 60.0))
    left.folder.mkdir(parents=True)
    write_decision(left)
    again = decided(planned(seeds=3))
    assert again is not None and again.seeds == {"toy": (0, 1)} and again.epochs is None and not again.complete
    assert "2 of 3 seeds; this is not the paper's protocol" in again.sentence(parse_budget("30m"))


def test_few_epochs_are_given_up_for_runs_that_somebody_has_finished_in_full(planned: Planned, tmp_path: Path) -> None:
    found = planned(seeds=2)
    short = within(found, Cut({"toy": (0,)}, 1, (0, 1), ("toy",), 60.0))
    short.folder.mkdir(parents=True)
    write_decision(short)
    kept = decided(found)
    assert kept is not None and kept.epochs == 1
    counts = {"users": 30, "items": 40, "actions": 300}
    finished = record(tmp_path / "finished", "beauty", 0.1, counts=counts)
    members = tuple(
        replace(one, record=finished if one.member.seed == 1 else None, condition="finished") for one in found.matrix.members
    )
    assert decided(replace(found, matrix=replace(found.matrix, members=members))) is None


# ---- a whole one, run ----


def test_table_3_is_run_written_and_the_same_when_asked_again(planned: Planned) -> None:
    done = finish(planned())
    assert done.complete and not done.failed and len(done.runs) == 4
    assert {cell.column for cell in done.cells} == {"simdiffrec", "w/o k_noise", "w/o c_aug", "w/o k_sample"}
    assert all(cell.paper is None and cell.deviation is None for cell in done.cells)
    assert any("The paper has no toy" in note for note in done.notes)
    stored = json.loads((done.folder / "result.json").read_text())
    assert stored == json.loads(json.dumps(done.document())), "what is returned is what is written"
    page = (done.folder / "result.md").read_text()
    for cell in done.cells:
        assert f"{cell.mean:.4f}" in page
    assert done.budget in page and "Set by the user: data.max_length" in page
    header, *rows = (done.folder / "values.csv").read_text().splitlines()
    assert header == "column,data,path,value,source,detail" and len(rows) > 100
    assert {value.source for values in done.values.values() for value in values} == {
        "paper",
        "released code",
        "assumed",
        "user",
    }
    again = finish(planned())
    assert again.document() == done.document()


def test_an_interrupted_one_says_so_with_its_decision_kept(planned: Planned) -> None:
    found = whole(planned())
    events = reproduce(found, jobs=1, threads=1, devices=("cpu",))
    next(events)
    with pytest.raises(Interrupted, match="0 of 4 runs are finished"):
        events.throw(KeyboardInterrupt())
    assert (found.folder / "plan.json").exists() and not (found.folder / "result.json").exists()


def test_figure_5_has_a_number_beside_the_picture(planned: Planned) -> None:
    done = finish(planned("fig5", values={"training.epochs": 1}))
    assert any("only pictures" in note for note in done.notes)
    near = done.closeness["toy"]
    for name in ("simdiffrec", "w/o c_aug"):
        assert -1 <= near.within[name].value <= 1 and near.within[name].low is not None
        assert (
            f"{near.within[name].value:.3f}"
            in done.figures[f"fig5-{'simdiffrec' if name == 'simdiffrec' else 'w_o_c_aug'}-toy.svg"]
        )
    assert near.difference is not None
    assert near.difference.value == pytest.approx(near.above["simdiffrec"].value - near.above["w/o c_aug"].value)


# ---- beside the paper ----


def record(folder: Path, data: str, hits: float, *, users: int = 400, counts: dict[str, int] | None = None) -> Record:
    """A finished run in which the first `hits` of the users have their item at rank 7, the others nowhere."""
    folder.mkdir()
    names = np.asarray([f"u{number:03d}" for number in range(users)])
    rank = np.where(np.arange(users) < hits * users, 7, 1000)
    np.savez_compressed(folder / "per_user.npz", user=names, target=names, rank=rank, rank_unseen=rank)
    known = KNOWN[data].statistics
    own = counts or {"users": known.users, "items": known.items, "actions": known.actions}
    return Record(
        folder, {"recipe": "simdiffrec", "data": {"name": data, **own}, "seed": 0, "valid": {"hr@5": 0.1}, "epochs": 3}
    )


def beside(planned: Planned, tmp_path: Path, called: str, hits: list[float], name: str = "table3", **more: Any) -> Reproduced:
    """What a reproduction says of runs with so many hits, the seeds of each column alike."""
    found = whole(planned(name, called=called, seeds=len(hits)))
    valid = dict.fromkeys(found.artefact.metrics, 0.1)
    done = {}
    for number, one in enumerate(found.matrix.members):
        made = record(tmp_path / f"made{number}", called, hits[one.member.seed], **more)
        done[one.member.place] = Record(made.folder, {**made.metrics, "valid": valid})
    failed = [Failed(found.matrix.members[0].member, "for a test", 1)]
    return reproduced(found, done, failed)


def test_the_deviation_is_in_standard_errors_of_ours_and_of_the_paper_s(planned: Planned, tmp_path: Path) -> None:
    found = beside(planned, tmp_path, "beauty", [0.10, 0.12])
    cell = next(one for one in found.cells if one.column == "simdiffrec" and one.metric == "hr@10")
    assert cell.paper is not None and cell.paper.text == "0.0932" and cell.mean == pytest.approx(0.11)
    ours = 0.02 / math.sqrt(2) / math.sqrt(2)  # standard deviation of 0.10 and 0.12, over the root of two seeds
    theirs = math.sqrt(0.0932 * (1 - 0.0932) / 400)
    assert cell.deviation is not None
    assert cell.deviation.errors == pytest.approx((0.11 - 0.0932) / math.hypot(ours, theirs))
    assert any("for a test" in note for note in found.notes)
    assert found.printed["beauty", "hr@10", "w/o c_aug"] == pytest.approx(0.0900 - 0.0932)


def test_figures_3_and_4_draw_a_curve_for_each_value_with_validation_beside_it(planned: Planned, tmp_path: Path) -> None:
    for name, curves in (("fig3", ("alpha", "beta")), ("fig4", ("k_sample", "k_noise"))):
        (tmp_path / name).mkdir()
        done = beside(planned, tmp_path / name, "toys", [0.1, 0.2], name)
        assert set(done.figures) == {f"{name}-{curve}-toys.svg" for curve in curves}
        for text in done.figures.values():
            assert ElementTree.fromstring(text).tag.endswith("svg")
            assert "validation" in text and "test" in text
        header, rows = done.table()
        assert len(rows) == len(done.columns) and "validation" in header
        assert any("to select on test" in note for note in done.notes)
        assert any("prints no numbers" in note for note in done.notes) and done.says


def test_the_ring_and_the_note_are_where_validation_is_best_and_not_where_test_is(planned: Planned, tmp_path: Path) -> None:
    found = whole(planned("fig3", called="toys"))
    hits = {column.name: 0.1 + 0.02 * place for place, column in enumerate(found.artefact.columns)}
    done = {}
    for number, one in enumerate(found.matrix.members):
        name = one.member.variant
        made = record(tmp_path / f"made{number}", "toys", hits[name])
        best = name in ("alpha 0.2", "beta 0.4")
        done[one.member.place] = Record(made.folder, {**made.metrics, "valid": {"hr@10": 0.3 if best else 0.2}})
    told = reproduced(found, done, [])
    for curve, chosen in (("alpha", 0.2), ("beta", 0.4)):
        assert f"best on validation: 0.3 at {chosen:g}" in told.figures[f"fig3-{curve}-toys.svg"]
        (note,) = (one for one in told.notes if one.startswith(f"toys, {curve}:"))
        assert f"best on validation at {chosen:g} " in note and "best on test at 0.5 " in note


def test_values_that_the_paper_contradicts_are_marked_and_are_no_targets(planned: Planned, tmp_path: Path) -> None:
    found = beside(planned, tmp_path, "sports", [0.05])
    ours = [one for one in found.cells if one.column == "simdiffrec"]
    assert len(ours) == 4 and all(one.impossible and one.deviation is None and one.paper is not None for one in ours)
    others = [one for one in found.cells if one.column != "simdiffrec"]
    assert all(not one.impossible and one.deviation is not None for one in others)
    assert "0.0252 impossible" in found.markdown() and any("is impossible and no target" in note for note in found.notes)
    assert not found.printed, "a difference to an impossible block is none"


def test_a_file_that_only_bears_the_name_of_a_data_set_does_not_stand_beside_the_paper(
    planned: Planned, tmp_path: Path
) -> None:
    found = beside(planned, tmp_path, "beauty", [0.1], counts={"users": 30, "items": 40, "actions": 300})
    assert all(one.paper is None for one in found.cells) and not found.printed
    assert found.notes[0].startswith("What ran as beauty has 30 users, 40 items and 300 actions.")


def test_what_the_user_sets_is_tagged_so(planned: Planned) -> None:
    found = planned()
    settings = found.request.settings
    assert Patch("items.dim", 8, "-s") in settings.patches
    done = reproduced(whole(found), {}, [])
    values = {one.path: one for one in done.values["simdiffrec", "toy"]}
    assert values["items.dim"].source == "user" and values["items.dim"].value == 8
    assert values["training.learning_rate"].source == "paper"
    assert values["encoders.main.dropout"].source == "assumed"
    assert values["objectives.contrast.temperature"].source == "released code"
