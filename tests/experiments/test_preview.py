"""What a preview says of an augmentation is what the augmentation does, and nothing of the test item."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from seqaug.core.assembly import Assembly
from seqaug.core.seeds import derived
from seqaug.core.step import Step
from seqaug.data.batch import Batch
from seqaug.data.sequences import UserSequences
from seqaug.data.split import leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.errors import DataError, SeqaugError
from seqaug.evaluation.augmentation import ViewNumbers
from seqaug.experiments import preview as module
from seqaug.experiments.prepare import prepare
from seqaug.experiments.preview import BLOCK, Asked, preview_recipe, preview_run
from seqaug.experiments.run import run
from seqaug.experiments.settings import RunSettings
from seqaug.experiments.watched import watching
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import recipe_names
from seqaug.recipes.plan import Patch
from seqaug.report.preview import Preview, document

OWN = Path(__file__).parents[1] / "methods" / "small"
SMALL = {
    "data.max_length": 12,
    "items.dim": 16,
    "encoders.main.dropout": 0.1,
    "training.batch_size": 64,
}
AUGMENTED = ["bert4rec", "cadirec", "cl4srec", "duorec", "ecl_sr", "mclrec", "simdiffrec"]

Make = Callable[..., RunSettings]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 users, 60 items, one user a line: three blocks, the last one smaller."""
    path = tmp_path_factory.mktemp("data") / "world.txt"
    path.write_text("".join(" ".join([user, *items]) + "\n" for user, items in toy_world(150, 60, 12)))
    return path


@pytest.fixture
def made(world: Path) -> Make:
    """Settings of a recipe, small, on the world; `values` are more patches."""

    def make(recipe: str = "simdiffrec", *, values: Mapping[str, Any] | None = None, **fields: Any) -> RunSettings:
        trains = recipe not in ("item_knn", "popularity")
        own = OWN / f"{recipe}.toml"
        small = (SMALL | (tomllib.loads(own.read_text()) if own.exists() else {})) if trains else {}
        patches = [Patch(path, value, "test") for path, value in (small | dict(values or {})).items()]
        return RunSettings(recipe=recipe, data=str(world), patches=patches, device="cpu", **fields)

    return make


def numbers(found: Preview) -> dict[str, ViewNumbers]:
    return {view.name: view.numbers for view in found.views}


def text(found: Preview) -> str:
    return json.dumps(document(found), allow_nan=False)


# ---- against naive loops ----


class Naive:
    """The same users in the same blocks, with the views asked of plain steps."""

    def __init__(self, settings: RunSettings, seed: int = 0) -> None:
        prepared = prepare(settings)
        self.split = prepared.split
        self.assembly: Assembly = assembly_of(prepared.plan, self.split, seed=seed)
        self.samples = samples_of(prepared.plan, self.split)
        self.seed = seed
        lengths = self.split.train.lengths
        users = [user for user in range(len(lengths)) if lengths[user] >= 2 or self.samples.kind == "whole"]
        generator = torch.Generator().manual_seed(derived(seed, "preview", "order"))
        self.order = torch.randperm(len(users), generator=generator)
        everything = self.samples.take(torch.arange(self.samples.num_rows))
        self.rows = {user: row for row, user in enumerate(everything.users.tolist())}  # the last of each: the longest
        self.users = [users[place] for place in self.order.tolist()]

    def steps(self) -> list[tuple[Batch, Step]]:
        for plugin in self.assembly.plugins.values():
            if hasattr(plugin, "start_epoch"):
                plugin.start_epoch(self.assembly.model.items, 0)
        self.assembly.model.train()
        found = []
        for block in range(0, len(self.users), BLOCK):
            rows = torch.tensor([self.rows[user] for user in self.users[block : block + BLOCK]])
            batch = self.samples.take(rows)
            seed = (self.seed, "preview", 0, block // BLOCK)
            found.append((batch, Step(self.assembly, self.samples, batch, epoch=0, seed=seed)))
        return found


@torch.no_grad()
def test_the_numbers_of_restored_views_are_those_of_naive_loops(made: Make) -> None:
    settings = made("simdiffrec", values={"diffusions.main.noise.k": 3})
    found = numbers(preview_recipe(settings, Asked(sample=0)))
    naive = Naive(settings)
    table, popularity = naive.assembly.model.items.weight, naive.split.popularity
    selector = naive.assembly.plugins["augmenters.diffused.replace"]
    seen: dict[str, list[Any]] = {}
    for name in ("positive", "negative"):
        count: dict[str, list[float]] = {key: [] for key in ("same", "equal", "later", "had", "cosine", "drift", "selected")}
        for batch, step in naive.steps():
            view = step.view(f"diffused.{name}")
            denoising = naive.assembly.augmenters["diffused"]
            made_by = denoising.views(step)[0].__self__  # type: ignore[union-attr]
            chosen = selector.select(made_by.evidence(), step.generator(selector))  # type: ignore[attr-defined]
            begin = 0
            for user, length in zip(batch.users.tolist(), batch.layout.counts, strict=True):
                history = naive.split.train.of(user).tolist()
                valid = int(naive.split.valid.targets[user])
                first = len(history) - 1 - length
                count["equal"].append(
                    view.items[begin : begin + length].tolist() == batch.items[begin : begin + length].tolist()
                )
                for row in range(length):
                    then, now = int(batch.items[begin + row]), int(view.items[begin + row])
                    count["selected"].append(bool(chosen[begin + row]))
                    if not chosen[begin + row]:
                        assert then == now
                        continue
                    at = first + row
                    assert history[at] == then
                    count["same"].append(then == now)
                    count["later"].append(now in [*history[at + 1 :], valid])
                    count["had"].append(now in history[:at])
                    count["drift"].append(math.log(1 + int(popularity[now])) - math.log(1 + int(popularity[then])))
                    if then != now:
                        one, other = table[then], table[now]
                        count["cosine"].append(float(one @ other / (one.norm() * other.norm())))
                begin += length
        seen[name] = count["same"]
        told = found[f"diffused.{name}"]
        assert told.put_in == len(count["same"]) and told.sequences == len(naive.users)
        assert told.identity_rate == pytest.approx(np.mean(count["same"]))
        assert told.equal_views == pytest.approx(np.mean(count["equal"]))
        assert told.later_true == pytest.approx(np.mean(count["later"]))
        assert told.in_history == pytest.approx(np.mean(count["had"]))
        assert told.similarity == pytest.approx(np.mean(count["cosine"]), abs=1e-5)
        assert told.popularity_drift == pytest.approx(np.mean(count["drift"]))
        assert told.selected == pytest.approx(np.mean(count["selected"]))
    assert 0 < np.mean(seen["positive"]) < 1, "a world in which the identity rate says nothing"


@torch.no_grad()
def test_the_identity_rate_is_the_one_that_the_augmenter_records(made: Make) -> None:
    settings = made("simdiffrec", values={"diffusions.main.noise.k": 3})
    found = numbers(preview_recipe(settings, Asked(sample=0)))["diffused.positive"]
    amount = out_of = 0.0
    for _, step in Naive(settings).steps():
        step.view("diffused.positive")
        recorded = step.records["identity_rate"]
        amount, out_of = amount + float(recorded[0]), out_of + float(recorded[1])
    assert found.identity_rate == pytest.approx(amount / out_of)


@torch.no_grad()
def test_the_shares_of_random_edits_are_those_of_naive_counts(made: Make) -> None:
    settings = made("cl4srec", values={"augmenters.edited.operators": ["crop", "mask"]})
    found = numbers(preview_recipe(settings, Asked(sample=0)))
    naive = Naive(settings)
    mask = naive.assembly.model.items.mask_id
    for name in ("first", "second"):
        masked = missing = positions = equal = sequences = 0
        for batch, step in naive.steps():
            view = step.view(f"edited.{name}")
            masked += int((view.items == mask).sum())
            positions += batch.layout.num_positions
            missing += batch.layout.num_positions - view.layout.num_positions
            for original, now in zip(batch.items.split(batch.layout.counts), view.items.split(view.layout.counts), strict=True):
                equal += original.tolist() == now.tolist()
                sequences += 1
        told = found[f"edited.{name}"]
        assert told.masked == pytest.approx(masked / positions) and masked
        assert told.dropped == pytest.approx(missing / positions) and missing
        assert told.equal_views == pytest.approx(equal / sequences)
        assert told.moved == told.inserted == told.replaced == 0 and told.identity_rate is None


@torch.no_grad()
def test_recovered_holes_are_the_identity_rate_of_an_infilled_view(made: Make) -> None:
    settings = made("ecl_sr")
    found = numbers(preview_recipe(settings, Asked(sample=0)))
    amount = out_of = 0.0
    for _, step in Naive(settings).steps():
        step.view("filled.infilled")
        recorded = step.records["recovered_rate"]
        amount, out_of = amount + float(recorded[0]), out_of + float(recorded[1])
    infilled, masked = found["filled.infilled"], found["holes.masked"]
    assert infilled.put_in == out_of and infilled.identity_rate == pytest.approx(amount / out_of)
    assert infilled.selected == masked.selected == masked.masked
    assert infilled.confidence_selected is not None and infilled.confidence_elsewhere is None


@torch.no_grad()
def test_representations_are_compared_as_the_objectives_see_them(made: Make) -> None:
    settings = made("duorec")
    found = numbers(preview_recipe(settings, Asked(sample=0)))
    cosines = []
    for _, step in Naive(settings).steps():
        one, other = step.representation("again.again"), step.representation("clean")
        cosines += torch.nn.functional.cosine_similarity(one, other).tolist()
    assert found["again.again"].representation == pytest.approx(np.mean(cosines), abs=1e-6)
    assert found["again.again"].representation < 0.9999, "dropout does something"


def test_confidence_is_the_probability_of_the_most_likely_item(made: Make) -> None:
    found = preview_recipe(made("simdiffrec"), Asked(sample=5))
    for user in found.shown:
        view = user.views["diffused.positive"]
        assert view.confidence is not None and view.selected is not None
        assert all(1 / 60 <= confidence <= 1 for confidence in view.confidence)
        chosen = [c for c, here in zip(view.confidence, view.selected, strict=True) if here]
        left = [c for c, here in zip(view.confidence, view.selected, strict=True) if not here]
        assert min(chosen) >= max(left, default=0), "the selector takes the most confident positions"


# ---- draws ----


def test_a_preview_is_the_same_twice(made: Make) -> None:
    assert text(preview_recipe(made(), Asked())) == text(preview_recipe(made(), Asked()))


@pytest.mark.parametrize("recipe", ["simdiffrec", "cl4srec", "duorec"])
def test_what_is_shown_of_a_user_does_not_hang_on_who_else_is_shown(recipe: str, made: Make) -> None:
    whole = {user.user: user for user in preview_recipe(made(recipe), Asked(sample=200)).shown}
    some = list(whole)[60:64]
    assert len(whole) > 2 * BLOCK
    alone = preview_recipe(made(recipe), Asked(users=some[::-1], sample=0, over=1)).shown
    assert [user.user for user in alone] == some[::-1]
    for user in alone:
        assert {name: asdict(view) for name, view in user.views.items()} == {
            name: asdict(view) for name, view in whole[user.user].views.items()
        }


def test_another_seed_draws_others_and_keeps_the_weights(made: Make) -> None:
    first, second = (preview_recipe(made("cadirec"), Asked(seed=seed)) for seed in (0, 1))
    assert [user.user for user in first.shown] != [user.user for user in second.shown]
    assert first.similarity_at_random == second.similarity_at_random


def test_the_numbers_are_over_the_users_that_are_asked_for(made: Make) -> None:
    found = preview_recipe(made("cl4srec"), Asked(users=["9"], sample=2, over=7))
    assert found.over == 7 and all(view.numbers.sequences == 7 for view in found.views)
    assert len(found.shown) == 3 and found.shown[0].user == "9"
    told: list[tuple[int, int]] = []
    preview_recipe(made("cl4srec"), Asked(sample=0, over=70, seen=lambda done, of: told.append((done, of))))
    assert told == [(50, 70), (70, 70)]


# ---- the test item ----


def other_test_items(sequences: UserSequences) -> UserSequences:
    """The same data, every user's test item another one that is already known."""
    items = sequences.items.copy()
    last = sequences.offsets[1:] - 1
    items[last] = items[last] % sequences.num_items + 1
    return UserSequences(sequences.offsets, items, sequences.user_ids, sequences.item_ids, sequences.titles)


@pytest.mark.parametrize("recipe", AUGMENTED)
def test_the_test_item_changes_nothing(recipe: str, made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = made(recipe)
    before = text(preview_recipe(settings, Asked(sample=20)))

    def otherwise(asked: RunSettings) -> Any:
        prepared = prepare(asked)
        split = leave_one_out(other_test_items(prepared.loaded.sequences))
        assert not torch.equal(split.test.targets, prepared.split.test.targets)
        assert torch.equal(split.valid.targets, prepared.split.valid.targets)
        return replace(prepared, split=split)

    monkeypatch.setattr(module, "prepare", otherwise)
    assert text(preview_recipe(settings, Asked(sample=20))) == before


# ---- every recipe ----


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_has_a_preview(recipe: str, made: Make) -> None:
    found = preview_recipe(made(recipe), Asked(sample=4))
    assert json.loads(text(found))["recipe"] == recipe
    assert not found.trained and found.weights.startswith("untrained: ")
    if recipe in AUGMENTED:
        assert found.views and found.over == len(Naive(made(recipe)).users) and len(found.shown) == 4
        assert all(view.numbers.representation is not None for view in found.views)
    else:
        assert not found.views and not found.shown and found.notes and "has no augmenters" in found.notes[0]


@pytest.mark.parametrize("recipe", AUGMENTED)
def test_each_view_is_shown_item_by_item_or_told_in_words(recipe: str, made: Make) -> None:
    found = preview_recipe(made(recipe), Asked(sample=30))
    words = {view.name for view in found.views if view.words}
    assert (
        words
        == {
            "bert4rec": set(),
            "cadirec": {"diffused.restored"},
            "cl4srec": set(),
            "duorec": {"again.again"},
            "ecl_sr": {"again.again"},
            "mclrec": {"mapped_first.mapped", "mapped_second.mapped"},
            "simdiffrec": {"diffused.restored"},
        }[recipe]
    )
    for view in {view.name for view in found.views} - words:
        assert any(not user.views[view].equal for user in found.shown), view
    for user in found.shown:
        for view in user.views.values():
            assert tuple(one.item for one in view.placed) == view.items and view.original == user.original


def test_roles_come_from_the_objectives_in_use(made: Make) -> None:
    found = {view.name: view for view in preview_recipe(made("simdiffrec"), Asked(sample=0, over=1)).views}
    assert found["diffused.positive"].roles == ("positive of contrast",) and not found["diffused.positive"].negative
    assert found["diffused.negative"].roles == ("negatives of contrast",) and found["diffused.negative"].negative
    values = {"objectives.contrast.weight": 0.0}
    unread = {view.name: view for view in preview_recipe(made("simdiffrec", values=values), Asked(sample=0, over=1)).views}
    assert unread["diffused.negative"].roles == () and not unread["diffused.negative"].negative


def test_chosen_masks_are_those_that_are_in_the_view_however_they_came_about(made: Make) -> None:
    found = preview_recipe(made("bert4rec", values={"augmenters.holes.last": 0.5}), Asked(sample=30))
    for user in found.shown:
        view = user.views["holes.masked"]
        assert view.selected == tuple(one.what == "masked" for one in view.placed)


def test_ablations_with_other_selectors_still_show_what_was_selected(made: Make) -> None:
    settings = made("simdiffrec", values={"augmenters.diffused.replace": {"use": "random", "ratio": 0.5}})
    found = numbers(preview_recipe(settings, Asked(sample=0)))["diffused.negative"]
    assert found.selected is not None and found.selected > 0.35
    assert found.confidence_selected is not None and found.identity_rate == 0


def test_prefixes_show_each_user_s_longest(made: Make) -> None:
    rows, whole = (
        preview_recipe(made("cl4srec", values={"data.samples": samples}), Asked(sample=30))
        for samples in ("prefixes", "sequences")
    )
    assert [(user.user, user.original) for user in rows.shown] == [(user.user, user.original) for user in whole.shown]


def test_a_sequence_names_its_place_in_the_history(made: Make, world: Path) -> None:
    histories = {words[0]: words[1:] for words in map(str.split, world.read_text().splitlines())}
    for user in preview_recipe(made("cl4srec"), Asked(sample=150)).shown:
        train = histories[user.user][:-2]
        assert user.history == len(train) and user.made_up == 0
        assert len(user.original) == min(len(train) - 1, 12) and user.begin == len(train) - 1 - len(user.original)


def test_plugins_are_told_that_an_epoch_begins_as_training_tells_them(made: Make) -> None:
    prepared = prepare(made("simdiffrec"))
    assembly = assembly_of(prepared.plan, prepared.split, seed=0)
    told: list[int] = []

    class Told:
        def start_epoch(self, items: object, epoch: int) -> None:
            assert items is assembly.model.items
            told.append(epoch)

    assembly.plugins["augmenters.other"] = Told()
    with watching(assembly, samples_of(prepared.plan, prepared.split)):
        assert told == [0]


def test_nothing_stays_behind_on_the_assembly(made: Make) -> None:
    prepared = prepare(made("simdiffrec"))
    assembly = assembly_of(prepared.plan, prepared.split, seed=0)
    samples = samples_of(prepared.plan, prepared.split)
    assembly.model.eval()
    before = {path: dict(vars(plugin)) for path, plugin in assembly.plugins.items() if hasattr(plugin, "select")}
    batch = samples.take(torch.arange(4))
    with watching(assembly, samples) as watch:
        assert assembly.model.training
        watch.look(batch, "diffused.positive", encoder="main", seed=(0,))
    assert {path: dict(vars(assembly.plugins[path])) for path in before} == before
    assert not assembly.model.training


# ---- users ----


def test_an_unknown_user_is_a_data_error_that_suggests_another(made: Make) -> None:
    with pytest.raises(DataError, match=r"no user '1190' in the data. Did you mean '1[0-9]+'\? Users are called 1, 2, 3"):
        preview_recipe(made(), Asked(users=["1190"]))


def test_a_user_without_a_training_row_is_a_data_error_in_words(made: Make) -> None:
    with pytest.raises(DataError, match=r"the user '1' has 1 training item .* make no training row"):
        preview_recipe(made(), Asked(users=["1"]))


# ---- trained ----


@pytest.fixture(scope="module")
def finished(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "simdiffrec"
    patches = [
        Patch(path, value, "test") for path, value in (SMALL | {"training.epochs": 4, "diffusions.main.noise.k": 3}).items()
    ]
    list(run(RunSettings(recipe="simdiffrec", data=str(world), patches=patches, device="cpu", out=out, seed=3)))
    return out


def test_a_run_is_previewed_with_its_weights(finished: Path, made: Make) -> None:
    values = {"training.epochs": 4, "diffusions.main.noise.k": 3}
    found, untrained = preview_run(finished, Asked()), preview_recipe(made(values=values, seed=3), Asked())
    assert found.trained and found.weights.startswith("trained: the best weights of ") and found.seed == 3
    assert [user.user for user in found.shown] == [user.user for user in untrained.shown]
    assert [user.original for user in found.shown] == [user.original for user in untrained.shown]
    confidences = [numbers(one)["diffused.positive"].confidence_selected for one in (found, untrained)]
    assert confidences[0] != confidences[1], "what was learnt shows"
    vectors = torch.nn.functional.normalize(load_file(finished / "model.safetensors")["items.weight"][1:-1], dim=1)
    cosines = vectors @ vectors.t()
    others = ~torch.eye(len(vectors), dtype=torch.bool)
    assert found.similarity_at_random == pytest.approx(float(cosines[others].mean()), abs=1e-6)


def test_other_draws_of_a_run_keep_its_weights(finished: Path) -> None:
    one, other = preview_run(finished, Asked()), preview_run(finished, Asked(seed=4))
    assert one.similarity_at_random == other.similarity_at_random and one.seed != other.seed
    assert [user.user for user in one.shown] != [user.user for user in other.shown]


@pytest.mark.parametrize(
    ("lost", "message"),
    [("metrics.json", "not finished"), ("resolved.json", "not a run folder"), ("model.safetensors", "not its weights")],
)
def test_a_folder_without_what_it_takes_is_refused(finished: Path, tmp_path: Path, lost: str, message: str) -> None:
    for file in finished.iterdir():
        if file.name != lost:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(SeqaugError, match=message):
        preview_run(tmp_path, Asked())


def test_weights_that_do_not_fit_are_refused(finished: Path, tmp_path: Path) -> None:
    for file in finished.iterdir():
        (tmp_path / file.name).write_bytes(b"broken" if file.name == "model.safetensors" else file.read_bytes())
    with pytest.raises(SeqaugError, match=r"model\.safetensors does not fit"):
        preview_run(tmp_path, Asked())


def test_made_up_items_are_shown_and_counted_after_training(made: Make, tmp_path: Path) -> None:
    values = {"items.dim": 64, "training.epochs": 1, "stages.0.epochs": 1, "stages.1.epochs": 1}
    list(run(replace(made("diffuasr", values=values), out=tmp_path / "run")))
    found = preview_run(tmp_path / "run", Asked(sample=100, over=100))
    assert not found.views and found.made_up is not None and "may be made up" in found.notes[-1]
    counts = [user.made_up for user in found.shown]
    assert found.made_up.per_user == pytest.approx(np.mean(counts)) and max(counts) == 3
    split = leave_one_out(prepare(made("diffuasr", values=values)).loaded.sequences)
    come_true = []
    for user in found.shown:
        row = split.sequences.user_ids.tolist().index(user.user)
        taken = [*split.train.of(row).tolist(), int(split.valid.targets[row])]
        assert user.original[user.made_up :] == tuple(taken[user.begin : -2])
        come_true += [item in taken for item in user.original[: user.made_up]]
    assert found.made_up.come_true == pytest.approx(np.mean(come_true))
