"""The page about finished runs: what is on it, what is not, and that nothing is made up."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report.markup import Markup
from seqaug.data.catalog import find
from seqaug.data.synthetic import toy_world
from seqaug.errors import SeqaugError, UnknownName
from seqaug.evaluation.comparison import Scored, compared
from seqaug.evaluation.metrics import METRICS, per_user
from seqaug.experiments.ablate import Ablated, Request, ablate, plan_ablation
from seqaug.experiments.records import Record, read_record
from seqaug.experiments.report import report
from seqaug.experiments.run import run
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.plan import Patch
from seqaug.report.page import page
from seqaug.report.sections import sections

SMALL: dict[str, Any] = {
    "data.max_length": 8,
    "items.dim": 8,
    "encoders.main.layers": 1,
    "encoders.main.inner": 8,
    "training.epochs": 2,
    "training.batch_size": 32,
}
DIFFUSION = {"diffusions.main.schedule.steps": 10, "diffusions.main.noise.k": 3, "diffusions.main.denoiser.inner": 8}
USERS = 90


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose first users and last items are rare enough for several bins."""
    path = tmp_path_factory.mktemp("world") / "world.txt"
    rows = toy_world(num_users=USERS, num_items=50, max_length=20)
    path.write_text("".join(" ".join([user, *items]) + "\n" for user, items in rows))
    return path


def settings(world: Path, recipe: str, out: Path, *, seed: int = 0, **changes: Any) -> RunSettings:
    known = {} if recipe in ("popularity", "item_knn") else {**SMALL, **(DIFFUSION if recipe == "simdiffrec" else {})}
    patches = [Patch(path, value, "-s") for path, value in known.items()]
    patches += [Patch(path.replace("__", "."), value, "flag --x") for path, value in changes.items()]
    return RunSettings(recipe=recipe, data=str(world), patches=patches, out=out, seed=seed, device="cpu")


@pytest.fixture(scope="module")
def runs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of finished runs: a floor, sasrec with both losses and two seeds, simdiffrec with three weights."""
    root = tmp_path_factory.mktemp("runs")
    made = [("popularity", "popularity", 0, {})]
    for seed in (0, 1):
        made += [("softmax", "sasrec", seed, {}), ("bce", "sasrec", seed, {"objectives__recommendation__use": "next_item_bce"})]
        made += [(f"w{w}", "simdiffrec", seed, {"objectives__contrast__weight": w}) for w in (0.1, 0.2, 0.4)]
    for name, recipe, seed, changes in made:
        for _ in run(settings(world, recipe, root / f"{name}-{seed}", seed=seed, **changes)):
            pass
    return root


@pytest.fixture
def some(runs: Path, tmp_path: Path) -> Callable[..., Path]:
    """A folder with copies of some of them."""

    def take(*names: str, without: tuple[str, ...] = ()) -> Path:
        for name in names:
            shutil.copytree(runs / name, tmp_path / "some" / name, dirs_exist_ok=True)
            for file in without:
                (tmp_path / "some" / name / file).unlink()
        return tmp_path / "some"

    return take


def read(path: Path) -> Markup:
    return Markup(path.read_text(encoding="utf-8"))


def ids(found: Any) -> list[str]:
    return [section.id for section in sections(found.contents)]


SINGLE = ["results", "protocol", "curves", "seconds", "hits", "recipe", "runs"]
EVERYTHING = ["results", "protocol", "comparison", "ladder", "figures", "curves", "seconds", "hits", "recipe", "runs"]


# ---- one run ----


def test_one_run_has_a_page_beside_its_files(some: Callable[..., Path]) -> None:
    folder = some("softmax-0") / "softmax-0"
    found = report(folder)
    assert found.path == folder / "report.html" and found.path.exists()
    assert ids(found) == SINGLE
    assert found.contents.title == "sasrec on world"
    assert not list(folder.glob("*.partial")) and not list(folder.glob(".*"))


def test_the_page_is_sound_html_that_needs_nothing_else(runs: Path, tmp_path: Path) -> None:
    for source in (runs, runs / "softmax-0", runs / "popularity-0"):
        found = read(report(source, out=tmp_path / "page.html").path)
        assert not found.wrong
        assert len(found.ids) == len(set(found.ids))
        assert all(value.startswith("#") and value[1:] in found.ids for _, name, value in found.references if name == "href")
        assert {name for _, name, _ in found.references} == {"href"}
        assert not {"script", "link", "iframe", "img", "object"} & set(found.tags) and not found.handlers
        assert "url(" not in found.styles and "@import" not in found.styles and "http" not in found.styles


def test_the_page_has_every_number_of_metrics_json_to_four_digits(some: Callable[..., Path]) -> None:
    folder = some("softmax-0") / "softmax-0"
    stored = json.loads((folder / "metrics.json").read_text())
    words = read(report(folder).path).text
    for part in ("valid", "test", "test_unseen"):
        for name in METRICS:
            assert f"{stored[part][name]:.4f}" in words, (part, name)


def test_the_estimates_are_those_of_metrics_json_with_the_value_inside_the_interval(runs: Path) -> None:
    found = report(runs, out=runs.parent / "page.html").contents
    for one in found.scores:
        stored = [run.metrics for run in found.runs if (run.method, run.data) == (one.method, one.data)]
        for (part, name), estimate in one.estimates.items():
            assert estimate.value == pytest.approx(np.mean([run[part][name] for run in stored]))
            assert estimate.low is not None and estimate.high is not None and estimate.low <= estimate.value <= estimate.high


def test_a_run_that_trained_nothing_has_no_curves_and_no_seconds(runs: Path, tmp_path: Path) -> None:
    found = report(runs / "popularity-0", out=tmp_path / "page.html")
    assert ids(found) == ["results", "protocol", "hits", "recipe", "runs"]
    assert found.contents.lead.startswith("Nothing was trained")


def test_the_best_epoch_is_marked_on_the_curve(runs: Path, tmp_path: Path) -> None:
    (curve,) = report(runs / "softmax-0", out=tmp_path / "page.html").contents.curves
    stored = json.loads((runs / "softmax-0" / "metrics.json").read_text())
    assert curve.best == stored["best_epoch"] - 1
    assert curve.valid["ndcg@10"][curve.best] == pytest.approx(stored["valid"]["ndcg@10"])
    assert curve.seconds[-1] == pytest.approx(stored["seconds"]["train"], abs=1e-3)
    assert list(curve.losses) == ["recommendation"]


def test_losses_and_records_of_every_epoch_are_on_the_page(runs: Path, tmp_path: Path) -> None:
    found = report(runs / "w0.1-0", out=tmp_path / "page.html")
    (curve,) = found.contents.curves
    assert list(curve.losses) == ["recommendation", "contrast", "denoising"] and list(curve.records) == ["identity_rate"]
    words = read(found.path).text
    assert all(name in words for name in (*curve.losses, *curve.records))


def test_every_value_of_the_recipe_says_where_it_comes_from(runs: Path, tmp_path: Path) -> None:
    found = report(runs / "w0.2-0", out=tmp_path / "page.html")
    (recipe,) = found.contents.recipes
    values = {value.path: value for value in recipe.values}
    assert (values["items.dim"].value, values["items.dim"].source) == (8, "user")
    assert values["objectives.contrast.weight"].origin == "flag --x"
    assert values["augmenters.diffused.positive.rank"].source == "paper"
    assert {value.source for value in recipe.values} == {"paper", "released code", "assumed", "user"}
    words = read(found.path).text
    assert all(value.path in words for value in recipe.values)


def test_environment_and_hashes_are_on_the_page(runs: Path, tmp_path: Path) -> None:
    folder = runs / "softmax-0"
    words = read(report(folder, out=tmp_path / "page.html").path).text
    stored = json.loads((folder / "metrics.json").read_text())
    environment = json.loads((folder / "environment.json").read_text())
    assert stored["hash"] in words and stored["data"]["sha256"] in words
    assert all(one["sha256"] in words for one in environment["plugins"].values())
    assert environment["versions"]["torch"] in words and environment["platform"] in words


def test_what_was_kept_of_a_run_is_enough_for_a_page(some: Callable[..., Path]) -> None:
    gone = ("recipe.toml", "resolved.json", "environment.json", "events.jsonl", "command.txt", "model.safetensors")
    folder = some("softmax-0", without=gone) / "softmax-0"
    found = report(folder)
    assert ids(found) == ["results", "protocol", "seconds", "recipe", "runs"] or "hits" in ids(found)
    words = read(found.path).text
    assert "resolved.json of this run was not kept" in words and "environment.json was not kept" in words


def test_where_the_data_is_not_on_the_machine_the_page_says_so_and_names_no_folder(
    some: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "home"))
    folder = some("softmax-0") / "softmax-0"
    resolved = json.loads((folder / "resolved.json").read_text())
    resolved["request"]["data"]["reference"] = str(tmp_path / "elsewhere.txt")
    (folder / "resolved.json").write_text(json.dumps(resolved))
    found = report(folder)
    assert not found.contents.hits and set(found.contents.no_data) == {"world"}
    words = read(found.path).text
    assert "lengths and popularity are not known here, because no data set on the machine that made this page has" in words
    assert str(tmp_path) not in words


# ---- who is hit ----


def test_hits_by_length_and_popularity_are_those_of_a_naive_loop(runs: Path, world: Path, tmp_path: Path) -> None:
    found = report(runs / "softmax-0", out=tmp_path / "page.html").contents
    lines = [line.split() for line in world.read_text().splitlines()]
    history = {user: items[:-1] for user, *items in lines}
    target = {user: items[-1] for user, *items in lines}
    trained: dict[str, int] = {}
    for _, *items in lines:
        for item in items[:-2]:
            trained[item] = trained.get(item, 0) + 1
    with np.load(runs / "softmax-0" / "per_user.npz") as stored:
        rank = dict(zip(stored["user"].tolist(), stored["rank"].tolist(), strict=True))
    counts = {
        "length of history": {user: len(history[user]) for user in rank},
        "popularity of the target": {user: trained.get(target[user], 0) for user in rank},
    }
    assert [one.what for one in found.hits] == list(counts)
    for one in found.hits:
        assert sum(inside.users for inside in one.bins) == len(rank) == USERS
        assert len(one.bins) > 1
        for place, inside in enumerate(one.bins):
            members = [
                user
                for user, count in counts[one.what].items()
                if inside.first <= count and (inside.last is None or count <= inside.last)
            ]
            assert len(members) == inside.users
            hits = sum(rank[user] <= 10 for user in members) / len(members)
            gains = sum(1 / np.log2(rank[user] + 1) for user in members if rank[user] <= 10) / len(members)
            assert one.values["sasrec", "hr@10"][place].value == pytest.approx(hits)
            assert one.values["sasrec", "ndcg@10"][place].value == pytest.approx(gains)


# ---- many runs ----


def test_a_folder_of_runs_has_every_section_for_which_runs_exist(runs: Path, tmp_path: Path) -> None:
    found = report(runs, out=tmp_path / "page.html")
    assert ids(found) == EVERYTHING
    names = list(dict.fromkeys(run.method for run in found.contents.runs))
    assert set(names) == {
        "popularity", "sasrec", "sasrec, next_item_bce", "simdiffrec, contrast.weight=0.1", "simdiffrec, contrast.weight=0.2",
        "simdiffrec, contrast.weight=0.4",
    }  # fmt: skip
    assert all(one.seeds == ((0,) if one.method == "popularity" else (0, 1)) for one in found.contents.scores)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("softmax-0", "bce-0"), {"ladder", "figures"}),
        (("popularity-0", "w0.1-0", "w0.2-0"), {"ladder", "figures"}),
        (("popularity-0", "softmax-0"), {"figures"}),
        (("w0.1-0", "w0.2-0", "w0.4-0"), {"ladder"}),
        (("w0.1-0", "w0.1-1"), {"comparison", "ladder", "figures"}),
    ],
)
def test_a_section_without_runs_is_left_out(some: Callable[..., Path], names: tuple[str, ...], missing: set[str]) -> None:
    assert ids(report(some(*names))) == [section for section in EVERYTHING if section not in missing]


def test_the_comparison_is_that_of_seqaug_compare(some: Callable[..., Path]) -> None:
    folder = some("softmax-0", "softmax-1", "w0.4-0", "w0.4-1")
    found = report(folder).contents.comparison
    assert found is not None and found.reference == "sasrec", "what an augmentation has to beat"
    scored = []
    for name, method in (("softmax", "sasrec"), ("w0.4", "simdiffrec")):
        for seed in (0, 1):
            stored = read_record(folder / f"{name}-{seed}").per_user
            scored.append(Scored(method, "world", seed, stored["user"], stored["rank"]))
    expected = compared(
        scored, reference="sasrec", methods=["sasrec", "simdiffrec"], data=["world"], metrics=found.metrics, resamples=2000
    )
    assert found.cells == expected.cells


def test_another_reference_can_be_asked_for(runs: Path, tmp_path: Path) -> None:
    found = report(runs, out=tmp_path / "page.html", reference="popularity").contents.comparison
    assert found is not None and found.reference == "popularity"
    with pytest.raises(UnknownName, match="Did you mean 'popularity'"):
        report(runs, out=tmp_path / "other.html", reference="popularty")
    assert not (tmp_path / "other.html").exists()


def test_without_sasrec_the_whole_method_is_the_reference_of_its_ablations(world: Path, tmp_path: Path) -> None:
    for name, ablation in (("a", "w/o c_aug"), ("b", None), ("c", "w/o k_sample")):
        for _ in run(replace(settings(world, "simdiffrec", tmp_path / name, training__epochs=1), ablation=ablation)):
            pass
    found = report(tmp_path).contents.comparison
    assert found is not None and found.reference == "simdiffrec"


def test_the_ladder_climbs_and_its_steps_are_paired_differences(runs: Path, tmp_path: Path) -> None:
    (ladder,) = report(runs, out=tmp_path / "page.html").contents.ladders
    values = [rung.estimate.value for rung in ladder.rungs]
    assert values == sorted(values) and len(ladder.rungs) == 6
    kinds = {rung.method: rung.kind for rung in ladder.rungs}
    assert kinds["popularity"] == "floor" and kinds["sasrec"] == kinds["sasrec, next_item_bce"] == "sasrec"
    assert ladder.rungs[0].step is None
    known = {"popularity": "popularity", "sasrec": "softmax", "sasrec, next_item_bce": "bce"}
    known |= {f"simdiffrec, contrast.weight={w}": f"w{w}" for w in (0.1, 0.2, 0.4)}

    def mean(method: str, seeds: tuple[int, ...]) -> float:
        ranks = [read_record(runs / f"{known[method]}-{seed}").per_user["rank"] for seed in seeds]
        return float(np.mean([per_user(rank, "ndcg@10").mean() for rank in ranks]))

    for lower, upper in zip(ladder.rungs, ladder.rungs[1:], strict=False):
        assert upper.step is not None
        seeds = upper.step.seeds
        assert upper.step.mean == pytest.approx(mean(upper.method, seeds) - mean(lower.method, seeds))
        one_seed = "popularity" in (lower.method, upper.method)
        assert (upper.step.adjusted is None) == one_seed
    tested = [rung.step for rung in ladder.rungs if rung.step is not None and rung.step.p is not None]
    assert all(step.adjusted is not None and step.p is not None and step.adjusted >= step.p for step in tested)
    smallest = min(tested, key=lambda step: step.p or 0)
    assert smallest.adjusted == pytest.approx(min(1.0, len(tested) * (smallest.p or 0))), "Holm's first step"


def test_figure_3_is_drawn_where_one_weight_varies_alone(some: Callable[..., Path]) -> None:
    found = report(some("w0.1-0", "w0.1-1", "w0.2-0", "w0.4-0")).contents
    (grid,) = found.grids
    assert (grid.figure, grid.symbol, grid.path, grid.data) == (3, "α", "objectives.contrast.weight", "world")
    assert [(value, seeds) for value, _, seeds in grid.points] == [(0.1, 2), (0.2, 1), (0.4, 1)]
    stored = json.loads((some() / "w0.2-0" / "metrics.json").read_text())
    assert grid.points[1][1].value == pytest.approx(stored["test"]["hr@10"])


def test_runs_that_differ_in_more_than_one_value_are_no_line_of_a_figure(some: Callable[..., Path]) -> None:
    folder = some("w0.1-0", "w0.2-0", "w0.4-0")
    path = folder / "w0.4-0" / "resolved.json"
    resolved = json.loads(path.read_text())
    resolved["identity"]["recipe"]["items"]["dim"] = 16
    path.write_text(json.dumps(resolved))
    assert "figures" not in ids(report(folder))


def test_runs_that_were_not_measured_alike_do_not_stand_in_one_table(some: Callable[..., Path]) -> None:
    folder = some("softmax-0", "bce-0")
    path = folder / "bce-0" / "metrics.json"
    stored = json.loads(path.read_text())
    stored["protocol"]["ties"] = "optimistic"
    path.write_text(json.dumps(stored))
    found = report(folder)
    assert {one.data for one in found.contents.scores} == {"world, protocol 1", "world, protocol 2"}
    assert found.contents.comparison is None


def test_unfinished_runs_are_named_and_not_shown(some: Callable[..., Path]) -> None:
    folder = some("softmax-0", "bce-0")
    (folder / "bce-0" / "metrics.json").unlink()
    found = report(folder)
    assert len(found.contents.runs) == 1
    assert any("bce-0" in note and "not shown" in note for note in found.contents.notes)


def test_a_note_of_a_run_is_told_at_the_top(some: Callable[..., Path]) -> None:
    folder = some("softmax-0", "bce-0")
    path = folder / "bce-0" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "note": "stopped by hand"}))
    found = report(folder)
    assert "sasrec, next_item_bce on world, seed 0: stopped by hand." in found.contents.notes
    assert "sasrec, next_item_bce †" in read(found.path).text


def test_an_unreadable_file_of_ranks_costs_the_intervals_and_nothing_else(some: Callable[..., Path]) -> None:
    folder = some("softmax-0", "bce-0", "w0.1-0")
    path = folder / "bce-0" / "per_user.npz"
    path.write_bytes(path.read_bytes()[:100])
    found = report(folder).contents
    (bce,) = (one for one in found.scores if one.method == "sasrec, next_item_bce")
    stored = json.loads((folder / "bce-0" / "metrics.json").read_text())
    assert bce.estimates["test", "hr@10"].value == stored["test"]["hr@10"] and bce.estimates["test", "hr@10"].low is None
    assert any("per_user.npz of bce-0 cannot be read" in note for note in found.notes)
    assert found.comparison is not None and "sasrec, next_item_bce" not in found.comparison.methods


# ---- an ablation, a reproduction ----


@pytest.fixture(scope="module")
def ablation(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished ablation, its runs beside it."""
    root = tmp_path_factory.mktemp("ablation")
    base = replace(settings(world, "simdiffrec", root), out=None, runs=root)
    request = Request(settings=base, data=(str(world),), seeds=2, variants=("c_aug", "k_sample"))
    planned = plan_ablation(request)
    for member in planned.matrix.members:  # in this process: it need not be started six times
        for _ in run(replace(member.member.settings, out=member.folder)):
            pass
    *_, last = ablate(plan_ablation(request), jobs=1)
    assert isinstance(last, Ablated) and not last.failed
    return planned.folder


def test_the_page_of_an_ablation_has_its_columns_its_reference_and_its_table(ablation: Path) -> None:
    found = report(ablation)
    assert found.contents.title == "Ablation of simdiffrec on world"
    comparison = found.contents.comparison
    assert comparison is not None and comparison.reference == "simdiffrec"
    assert comparison.methods == ("simdiffrec", "w/o c_aug", "w/o k_sample")
    table = json.loads((ablation / "table.json").read_text())
    for cell in table["cells"]:
        mine = comparison.cells[cell["data"], cell["metric"], cell["method"]]
        assert mine.mean == pytest.approx(cell["mean"])
        assert (None if mine.difference is None else mine.difference.adjusted) == pytest.approx(cell["p_holm"])
    assert "ladder" not in ids(found)


def test_an_ablation_is_found_from_anywhere_and_what_it_lacks_is_counted(
    ablation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ablation.parent, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "moved" / ablation.name
    matrix = json.loads((folder / "matrix.json").read_text())
    for member in matrix["members"]:
        member["folder"] = f"elsewhere/{Path(member['folder']).name}"
    (folder / "matrix.json").write_text(json.dumps(matrix))
    shutil.rmtree(tmp_path / "moved" / Path(matrix["members"][0]["folder"]).name)
    found = report(folder).contents
    assert len(found.runs) == 5
    assert "1 of the 6 runs of this matrix are not finished, or not here." in found.notes


def test_two_names_of_one_run_in_an_ablation_are_said(ablation: Path, tmp_path: Path) -> None:
    folder = tmp_path / ablation.name
    shutil.copytree(ablation, folder)
    matrix = json.loads((folder / "matrix.json").read_text())
    for member in matrix["members"]:
        member["folder"] = str(ablation.parent / Path(member["folder"]).name)
    matrix["members"].append({**matrix["members"][0], "variant": "nothing exchanged"})
    (folder / "matrix.json").write_text(json.dumps(matrix))
    found = report(folder).contents
    assert "nothing exchanged is the same run as simdiffrec: nothing was exchanged between them." in found.notes
    assert "simdiffrec" in [one.method for one in found.scores] and len(found.runs) == 6


def test_the_order_of_the_users_in_a_file_changes_nothing(some: Callable[..., Path]) -> None:
    folder = some("softmax-0", "softmax-1", "bce-0", "bce-1")
    before = report(folder).contents
    path = folder / "softmax-1" / "per_user.npz"
    with np.load(path) as stored:
        turned = {name: stored[name][::-1] for name in stored.files}
    np.savez(path, **turned)
    after = report(folder).contents
    assert page(replace(after, made=before.made)) == page(before)


def test_figure_5_is_shown_with_its_numbers_where_it_was_made(some: Callable[..., Path]) -> None:
    from seqaug.report.figures import scatter

    folder = some("w0.1-0", "w0.2-0")
    made = folder / "reproduce-fig5-0a1b2c3d"
    made.mkdir()
    (made / "fig5-a.svg").write_text(scatter([[0, 0], [1, 1]], ["u", "v"], title="the picture", note="mean cosine 0.412"))
    (made / "fig5-b.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")

    def known(mean: float) -> dict[str, Any]:
        return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "how": ""}

    variants = {"simdiffrec": {"within": known(0.4123), "random": known(0.05), "above": known(0.3623)}}
    result = {
        "artefact": "fig5", "figures": ["fig5-a.svg", "fig5-b.svg", "gone.svg"], "runs": [],
        "closeness": {"world": {"variants": variants, "difference": known(-0.0321)}},
    }  # fmt: skip
    (made / "result.json").write_text(json.dumps(result))
    found = report(folder)
    assert "figures" in ids(found)
    words = read(found.path)
    assert "the picture" in words.text and "0.4123" in words.text and "−0.0321" in words.text
    assert "script" not in words.tags, "a picture that is not ours is not embedded"
    (made / "result.json").write_text(json.dumps({**result, "artefact": "table2"}))
    assert "figures" not in ids(report(folder))


def test_the_page_of_a_reproduction_has_its_columns(some: Callable[..., Path]) -> None:
    folder = some("softmax-0", "w0.1-0") / "reproduce-table2-0a1b2c3d"
    folder.mkdir()
    marks = {name: json.loads((folder.parent / name / "metrics.json").read_text())["hash"] for name in ("softmax-0", "w0.1-0")}
    listed = [
        {"column": column, "hash": marks[name], "folder": f"runs/{name}"}
        for column, name in (("A", "softmax-0"), ("B", "w0.1-0"))
    ]
    result = {"artefact": "table2", "title": "Table 2", "columns": ["B", "A"], "runs": listed, "budget": "budget 30m: 1 seed"}
    (folder / "result.json").write_text(json.dumps(result))
    found = report(folder).contents
    assert found.title == "Table 2 on world" and [one.method for one in found.scores] == ["B", "A"]
    assert "budget 30m: 1 seed" in found.notes


# ---- what is not trusted ----


def test_names_are_escaped(some: Callable[..., Path]) -> None:
    folder = some("softmax-0", "bce-0", "popularity-0")
    evil = "<script>alert(1)</script>"
    for name in ("softmax-0", "bce-0", "popularity-0"):
        for file in ("metrics.json", "resolved.json", "environment.json", "events.jsonl"):
            path = folder / name / file
            text = path.read_text().replace("sasrec", evil).replace('"world"', f'"{evil}"')
            if file in ("metrics.json", "events.jsonl"):
                text = text.replace('"recommendation"', f'"{evil}"')
            path.write_text(text)
    with (folder / "softmax-0" / "command.txt").open("a") as file:
        file.write(f"seqaug run {evil}\n")
    stored = json.loads((folder / "bce-0" / "metrics.json").read_text())
    (folder / "bce-0" / "metrics.json").write_text(json.dumps({**stored, "note": evil, "device": evil}))
    text = report(folder).path.read_text()
    assert "<script" not in text and "&lt;script&gt;" in text
    assert not Markup(text).wrong


def test_the_page_is_a_function_of_its_contents(runs: Path, tmp_path: Path) -> None:
    one, two = (report(runs, out=tmp_path / f"{n}.html").contents for n in (1, 2))
    assert page(one) == page(replace(two, made=one.made))


# ---- refusals ----


def test_where_there_is_no_run_the_reader_is_told(tmp_path: Path, some: Callable[..., Path]) -> None:
    with pytest.raises(SeqaugError, match="there is nothing at"):
        report(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(SeqaugError, match="is a file"):
        report(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SeqaugError, match="no finished run in"):
        report(tmp_path / "empty")
    folder = some("softmax-0")
    (folder / "softmax-0" / "metrics.json").unlink()
    with pytest.raises(SeqaugError, match=r"1 run did not come to an end and is not shown: softmax-0"):
        report(folder)
    with pytest.raises(SeqaugError, match="not finished"):
        report(folder / "softmax-0")


def test_a_result_that_is_no_run_of_ours_is_refused_with_what_it_lacks(some: Callable[..., Path]) -> None:
    folder = some("softmax-0") / "softmax-0"
    stored = json.loads((folder / "metrics.json").read_text())
    del stored["seconds"], stored["test"]["hr@10"]
    (folder / "metrics.json").write_text(json.dumps(stored))
    with pytest.raises(SeqaugError, match=re.escape("seconds, seconds.train, seconds.evaluate, seconds.per_epoch, test.hr@10")):
        report(folder)


def test_a_matrix_without_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "matrix.json").write_text(json.dumps({"members": [{"hash": "a", "variant": "v", "folder": "runs/x"}]}))
    with pytest.raises(SeqaugError, match=r"no run that .* names is finished"):
        report(tmp_path)


def test_a_page_that_cannot_be_written_is_said(some: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    with pytest.raises(SeqaugError, match=r"cannot be written.*Choose another --out"):
        report(some("softmax-0"), out=tmp_path / "blocked" / "page.html")


# ---- the committed results ----


def test_the_committed_results_have_a_page(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2] / "docs" / "results"
    found = report(root, out=tmp_path / "page.html")
    assert found.seconds < 60
    assert len(found.contents.runs) == len([one for one in root.iterdir() if (one / "metrics.json").exists()])
    words = read(found.path)
    assert not words.wrong
    assert "ladder" in ids(found)
    for record in map(
        Record, [root / "sasrec-beauty-0"], [json.loads((root / "sasrec-beauty-0" / "metrics.json").read_text())]
    ):
        assert f"{record.metrics['test']['ndcg@10']:.4f}" in words.text
    assert find("movietweetings").sha256 in words.text
