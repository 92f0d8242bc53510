"""The conformance kit as its users meet it: subjects, outcomes, cases of a test, fixtures and strategies."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from pydantic import Field

from seqaug.api import (
    Batch,
    Evidence,
    Generator,
    HeadName,
    Histories,
    ItemTable,
    Layout,
    NegativeSampler,
    Recommender,
    Step,
    Tensor,
    ViewName,
    noise_sources,
    position_selectors,
)
from seqaug.builtin.noise_sources import GaussianNoise, SimilarityNoise
from seqaug.builtin.position_selectors import RandomPositions
from seqaug.core.registries import REGISTRIES
from seqaug.data.samples import Samples
from seqaug.errors import PluginError, RecipeError
from seqaug.testing import Check, Outcome, Subject, check_plugin, checks_of, hosts, parametrize_with_checks
from seqaug.testing.bench import bench_of
from seqaug.testing.hosts import VIEWS, filled_in
from seqaug.testing.parametrized import BoundCheck
from seqaug.testing.strategies import batches, evidences, layouts
from seqaug.testing.watching import Settings, settings_kept
from testing.sound import SOUND

# ---- subjects ----


def test_the_kind_of_a_built_in_is_known_from_its_entry_point_or_mark() -> None:
    assert Subject(GaussianNoise).kind == "noise_sources"
    assert Subject(RandomPositions).kind == "position_selectors"


def test_a_class_that_nothing_marks_needs_its_kind_said() -> None:
    with pytest.raises(PluginError, match=r"Sampler is marked as no kind of plugin.*kind="):
        Subject(SOUND["negative_samplers"])
    assert Subject(SOUND["negative_samplers"], kind="negative_samplers").kind == "negative_samplers"


def test_a_class_of_two_kinds_needs_its_kind_said() -> None:
    class Both:
        """Both."""

    noise_sources.register("both of the kit's test")(Both)
    position_selectors.register("both of the kit's test")(Both)
    try:
        with pytest.raises(PluginError, match=r"several kinds \(noise_sources, position_selectors\)"):
            Subject(Both)
    finally:
        noise_sources.forget(__name__)
        position_selectors.forget(__name__)


def test_an_unknown_kind_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'noise_sources'"):
        Subject(GaussianNoise, kind="noise_source")
    with pytest.raises(RecipeError, match="Did you mean 'noise_sources'"):
        checks_of("noise_source")


def test_what_is_no_class_is_refused() -> None:
    with pytest.raises(PluginError, match="a class is checked"):
        Subject(GaussianNoise())  # type: ignore[arg-type]


# ---- checks and outcomes ----


@pytest.mark.parametrize("kind", list(REGISTRIES))
def test_each_kind_has_some_fifteen_checks_or_more_each_with_a_sentence_of_its_own(kind: str) -> None:
    checks = checks_of(kind)
    assert len(checks) >= 15
    assert len({one.name for one in checks}) == len(checks)
    assert all(one.kind == kind and one.why.endswith((".", '."')) and one.name[0].islower() for one in checks)


def test_check_plugin_gives_an_outcome_for_every_check_in_their_order() -> None:
    outcomes = check_plugin(GaussianNoise)
    assert [one.check for one in outcomes] == list(checks_of("noise_sources"))
    assert {one.state for one in outcomes} <= {"passed", "skipped"}
    assert all(one.message for one in outcomes if one.state == "skipped")


def test_options_reach_the_plugin() -> None:
    assert bench_of(Subject(SimilarityNoise, options={"k": 7})).situation().plugin.k == 7


def test_a_wrong_option_is_a_finding_and_the_rest_is_left() -> None:
    by_name = {one.check.name: one for one in check_plugin(SimilarityNoise, options={"q": 7})}
    made = by_name.pop("can be made and placed in a recipe, its options at their defaults")
    assert made.state == "failed" and "no option 'q'" in made.message
    assert by_name["changes nothing that it is handed"] == Outcome(
        by_name["changes nothing that it is handed"].check, "skipped", "it cannot be made; another check says why"
    )


class Needing:
    """Options of every type that the kit fills in."""

    def __init__(
        self, *, first: ViewName, others: tuple[ViewName, ...], head: HeadName, sampler: NegativeSampler, k: int = 3
    ) -> None:
        self.given = (first, others, head, sampler, k)

    def __call__(self, step: Step, /) -> Tensor:
        return torch.zeros(())


def test_options_without_a_default_are_filled_in_by_their_type() -> None:
    assert filled_in(Subject(Needing, kind="objectives")) == {
        "first": VIEWS[0],
        "others": [VIEWS[1]],
        "head": "main",
        "sampler": "seqaug/uniform",
    }


class OnWholeRows:
    """Looks at rows without targets only, and says so."""

    def __call__(self, step: Step, /) -> Tensor:
        if step.samples.kind != "whole":
            raise RecipeError('it wants data.samples = "whole".')
        return step.hidden("clean").square().mean() + step.representation("clean")[:, 0].mean()


def test_a_plugin_that_works_on_one_sort_of_rows_only_is_checked_on_that() -> None:
    outcomes = check_plugin(OnWholeRows, kind="objectives")
    assert not [one.message for one in outcomes if one.state == "failed"]


class Choosy:
    """An option that only its author can choose. strength: whatever."""

    def __init__(self, *, strength: Annotated[float, Field(gt=0)]) -> None:
        self.strength = strength

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        return self.strength * torch.randn(clean.shape, generator=generator)


def test_an_option_that_the_kit_cannot_know_is_asked_for_by_name() -> None:
    (made,) = [one for one in check_plugin(Choosy, kind="noise_sources") if "can be made" in one.check.name]
    assert made.state == "failed"
    assert "options={'strength': ...}" in made.message and "NAME:strength=VALUE" in made.message
    assert all(one.state != "failed" for one in check_plugin(Choosy, kind="noise_sources", options={"strength": 2.0}))


def test_checking_leaves_the_global_random_state_as_it_was() -> None:
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # type: ignore[index,union-attr]
    check_plugin(SOUND["heads"], kind="heads")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index,call-overload]
    assert random.getstate() == before[2]


def test_a_stranger_who_shares_a_name_with_the_kits_own_plugins_disturbs_nobody() -> None:
    hosts._bare.cache_clear()
    registries = [REGISTRIES[kind] for kind in ("encoders", "noise_sources", "negative_samplers")]
    for registry, name in zip(registries, ("transformer", "similarity", "uniform"), strict=True):
        registry.register(name)(type("Namesake", (SOUND[registry.kind],), {"__doc__": "Of the same name."}))
    try:
        assert all(one.state != "failed" for one in check_plugin(GaussianNoise))
    finally:
        for registry in registries:
            registry.forget(SOUND[registry.kind].__module__)
            registry.forget(__name__)


class Exits:
    """Ends the process when it is asked."""

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        torch.set_grad_enabled(False)
        raise SystemExit(3)


def test_a_plugin_that_ends_the_process_or_changes_torch_ends_and_changes_nothing() -> None:
    outcomes = check_plugin(Exits, kind="noise_sources")
    assert "it raises SystemExit: 3" in next(one.message for one in outcomes if one.check.name.startswith("answers in"))
    assert torch.is_grad_enabled()


def test_torchs_settings_are_put_back_as_they_were_warnings_only_among_them() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        before = Settings.now()
        with settings_kept():
            torch.use_deterministic_algorithms(True)
        assert Settings.now() == before and torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


# ---- as cases of a test ----


class MovesItsInput:
    """Noise that is the input, moved in place."""

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        return clean.add_(1)


def bound(name: str, plugin: type) -> BoundCheck:
    subject = Subject(plugin, kind="noise_sources")
    (one,) = [each for each in checks_of("noise_sources") if each.name == name]
    return BoundCheck(one, subject)


def test_a_failing_case_says_what_was_asked_and_what_was_found() -> None:
    with pytest.raises(pytest.fail.Exception) as caught:
        bound("changes nothing that it is handed", MovesItsInput)()
    assert str(caught.value) == (
        "MovesItsInput does not keep this: it changes nothing that it is handed.\nit changes clean in place."
    )


def test_what_the_plugin_raises_is_shown_with_its_own_traceback() -> None:
    with pytest.raises(AssertionError, match=r"it raises RuntimeError: a leaf Variable.*test_kit\.py") as caught:
        bound("passes on gradients that are finite", MovesItsInput)()
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_case_that_says_nothing_of_the_plugin_is_skipped_with_the_reason() -> None:
    with pytest.raises(pytest.skip.Exception, match="it has no prior"):
        bound("has a prior of any shape, if it has one", MovesItsInput)()


def test_a_case_is_called_by_the_plugin_its_options_and_the_sentence() -> None:
    mark = parametrize_with_checks(GaussianNoise, Subject(SimilarityNoise, options={"k": 3}))
    ids = [one.id for one in mark.args[1]]
    assert "GaussianNoise: changes nothing that it is handed" in ids
    assert "SimilarityNoise(k=3): changes nothing that it is handed" in ids
    assert len(ids) == 2 * len(checks_of("noise_sources"))


def test_a_suite_of_ones_own_fails_where_a_check_does(tmp_path: Path) -> None:
    file = tmp_path / "test_mine.py"
    file.write_text(
        "from seqaug.api import position_selectors\nfrom seqaug.testing import parametrize_with_checks\nimport torch\n\n"
        "@position_selectors.register('mine')\nclass Mine:\n    '''A coin for each position.'''\n"
        "    def select(self, evidence, generator):\n        return torch.rand_like(evidence.items.float()) < 0.5\n\n"
        "@parametrize_with_checks(Mine)\ndef test_conformance(check):\n    check()\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Mine does not keep this: it draws only from the generator that it is handed." in done.stdout
    assert "it draws from the global random state of torch." in done.stdout
    assert "[Mine: answers in the shape" not in done.stdout


# ---- what it costs to have it ----


def test_importing_the_kit_and_starting_pytest_import_no_torch(tmp_path: Path) -> None:
    (tmp_path / "test_light.py").write_text(
        "import sys\n\ndef test_light():\n    assert 'seqaug.testing.pytest_plugin' in sys.modules\n"
        "    assert not {'torch', 'pydantic', 'hypothesis.strategies', 'numpy'} & set(sys.modules)\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    program = (
        "import sys, json, seqaug.testing; print(json.dumps([name for name in ('torch', 'pytest') if name in sys.modules]))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(loaded.stdout) == []


# ---- fixtures ----


def test_the_fixtures_are_parts_of_one_world(
    seqaug_assembly: object,
    seqaug_batch: Batch,
    seqaug_evidence: Evidence,
    seqaug_generator: Generator,
    seqaug_histories: Histories,
    seqaug_layout: Layout,
    seqaug_model: Recommender,
    seqaug_samples: Samples,
    seqaug_step: Step,
    seqaug_table: ItemTable,
) -> None:
    assert seqaug_model.items is seqaug_table and seqaug_step.model is seqaug_model
    assert seqaug_step.assembly is seqaug_assembly and seqaug_step.batch is seqaug_batch
    assert seqaug_evidence.layout is seqaug_layout and seqaug_evidence.histories is seqaug_histories
    assert seqaug_evidence.num_items == seqaug_table.num_items == seqaug_histories.num_items == seqaug_samples.num_items
    assert seqaug_evidence.scores.num_items == seqaug_table.num_items and seqaug_evidence.corrupted is not None
    assert 1 in seqaug_batch.layout.counts and seqaug_batch.layout.counts.count(12) >= 2
    assert seqaug_step.view("diffused.positive").items.shape == seqaug_batch.items.shape
    assert seqaug_generator.initial_seed() == 0


def test_a_fixture_is_made_anew_for_each_test(seqaug_table: ItemTable) -> None:
    assert bool(seqaug_table.weight[1].any())
    with torch.no_grad():
        seqaug_table.weight.zero_()


def test_what_another_test_did_to_a_fixture_is_gone(seqaug_table: ItemTable) -> None:
    assert bool(seqaug_table.weight[1].any())


# ---- strategies ----


@given(layouts(max_sequences=4, max_length=5))
@settings(max_examples=30, deadline=None)
def test_layouts_are_within_their_bounds(layout: Layout) -> None:
    assert 1 <= layout.num_sequences <= 4 and 1 <= layout.longest <= 5


@given(batches(num_items=9, targets=False))
@settings(max_examples=30, deadline=None)
def test_batches_hold_ids_and_targets_only_where_wanted(batch: Batch) -> None:
    assert int(batch.items.min()) >= 1 and int(batch.items.max()) <= 9
    assert not batch.targets.any() and batch.predicted is not None and not len(batch.predicted)


@given(evidences(num_items=15))
@settings(max_examples=30, deadline=None)
def test_evidences_agree_with_themselves(evidence: Evidence) -> None:
    layout = evidence.layout
    assert len(evidence.items) == len(evidence.targets) == layout.num_positions
    users = evidence.users[layout.sequence]
    assert bool(evidence.histories.contains(users, evidence.items[:, None]).all())
    assert int(evidence.popularity.sum()) == len(evidence.histories.items) and int(evidence.popularity[0]) == 0
    assert evidence.scores.size == layout.num_positions and evidence.scores.num_items == 15
    ids, _ = evidence.scores.top(15)
    assert bool((ids.sort(1).values == torch.arange(1, 16)).all())


def test_the_parts_of_the_kit_say_what_they_are() -> None:
    one: Check = checks_of("schedules")[0]
    assert str(one) == "keeps the interface of its kind"
    assert repr(Subject(SimilarityNoise, options={"k": 3})) == "Subject(SimilarityNoise(k=3), kind='noise_sources')"


def test_what_a_second_module_of_a_package_imports_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "two_modules"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from seqaug.api import Tensor\nfrom .table import K\n\n\nclass Still:\n"
        '    """No noise."""\n\n    def draw(self, clean, items, table, generator):\n        return clean * 0 * K\n'
    )
    (package / "table.py").write_text("# a constant\nfrom seqaug.core.seeds import derived\n\nK = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    from importlib import import_module

    try:
        still = import_module("two_modules").Still
        found = {one.check.name: one for one in check_plugin(still, kind="noise_sources")}
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "two_modules"]:
            del sys.modules[name]
    one = found["imports nothing of seqaug but seqaug.api"]
    assert one.state == "failed"
    assert "seqaug.core.seeds (table.py:2)" in one.message
