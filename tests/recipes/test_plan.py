"""Planning: everything decided, every problem at once, who set what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from seqaug.api import EncoderName, HeadName, ViewName
from seqaug.errors import PluginError, RecipeError
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, Plan, make_plan, plan_from

from .conftest import SMALL

Planner = Callable[..., Plan]
Mark = Callable[[str, str, type], None]


def problems(plan: Planner, *given: Any, **named: Any) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        plan(*given, **named)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def test_everything_is_filled_in_as_json_would_hold_it(plan: Planner) -> None:
    values = plan().values
    assert json.loads(json.dumps(values)) == values
    assert values["data"] == {"max_length": 50, "samples": "sequences", "prefix_targets": "last"}
    assert values["objectives"]["recommendation"] == {
        "use": "next_item_softmax",
        "weight": 0.5,
        "from_epoch": 0,
        "view": "clean",
        "encoder": "main",
        "head": None,
    }


@pytest.mark.parametrize("recipe", ["simdiffrec", "sasrec", "cl4srec"])
def test_a_plan_made_again_from_its_values_is_equal(recipe: str) -> None:
    source = load_recipe(recipe)
    patches = [Patch("objectives.recommendation", {"use": "next_item_bce", "count": 2}, "-s")]
    first = make_plan(source, data="beauty", patches=patches)
    again = plan_from(json.loads(json.dumps(first.values)))
    assert again == first
    assert again.values == first.values
    assert again.stages == first.stages
    assert first != make_plan(source, data="beauty")


def test_stages_survive_being_planned_again(plan: Planner) -> None:
    text = SMALL + '[[stages]]\nname = "warm"\nepochs = 2\n[[stages]]\nname = "main"\n[[stages.updates]]\nmoves = ["items"]\n'
    first = plan(text)
    assert [(stage.name, stage.epochs) for stage in first.stages] == [("warm", 2), ("main", 300)]
    assert [update.moves for stage in first.stages for update in stage.updates] == [("items", "encoders.main"), ("items",)]
    assert plan_from(first.values) == first
    assert plan_from(first.values).stages == first.stages


def test_without_stages_one_update_moves_every_part_with_the_objectives_own_weights() -> None:
    (stage,) = make_plan(load_recipe("simdiffrec"), data=None).stages
    assert (stage.name, stage.epochs) == ("main", 300)
    (update,) = stage.updates
    assert update.moves == ("items", "encoders.main", "diffusions.main")
    assert update.weights == {"recommendation": 1.0, "contrast": 0.1, "denoising": 0.1}


def test_precedence_rises_from_default_to_the_last_patch() -> None:
    table = load_recipe("simdiffrec")
    path = "objectives.contrast.weight"

    def weight(**named: Any) -> tuple[object, str]:
        made = make_plan(table, **named)
        return made.objectives["contrast"].share.weight, made.origins[path]

    assert weight(data=None) == (0.1, "recipe")
    assert weight(data="a set without a variant") == (0.1, "recipe")
    assert weight(data="beauty") == (0.4, "variant beauty")
    environment, setting, flag = Patch(path, 0.2, "environment"), Patch(path, 0.3, "-s"), Patch(path, 0.5, "flag")
    assert weight(data="beauty", patches=[environment]) == (0.2, "environment")
    assert weight(data="beauty", patches=[environment, setting]) == (0.3, "-s")
    assert weight(data="beauty", patches=[environment, setting, flag]) == (0.5, "flag")


def test_an_ablation_goes_over_the_variant_and_under_the_patches() -> None:
    source = load_recipe("simdiffrec")
    made = make_plan(source, data="beauty", ablation="w/o k_noise")
    assert made.values["diffusions"]["main"]["noise"] == {"use": "gaussian", "scale": 1.0}
    assert made.origins["diffusions.main.noise.use"] == "ablation w/o k_noise"
    assert made.origins["diffusions.main.noise.scale"] == "plugin default"
    over = make_plan(
        source, data="beauty", ablation="w/o k_noise", patches=[Patch("noise", {"use": "similarity", "k": 3}, "-s")]
    )
    assert over.values["diffusions"]["main"]["noise"]["use"] == "similarity"


def test_who_set_each_value_is_known(plan: Planner) -> None:
    origins = plan(SMALL, ("encoders.main.hidden", 32)).origins
    assert origins["encoders.main.use"] == "recipe"
    assert origins["encoders.main.hidden"] == "-s"
    assert origins["encoders.main.layers"] == "plugin default"
    assert origins["objectives.recommendation.from_epoch"] == "default"
    assert origins["training.epochs"] == "default"


def test_every_plugin_of_a_plan_is_listed_with_its_path() -> None:
    used = {one.path: str(one.info) for one in make_plan(load_recipe("simdiffrec"), data=None).plugins()}
    assert used["diffusions.main.noise"] == "similarity (built in)"
    assert used["augmenters.diffused.negative"] == "rank (built in)"
    assert "diffusions.main" not in used


def test_all_problems_are_found_at_once_each_with_its_path(plan: Planner) -> None:
    text = """
paper = 3
colour = "red"
[data]
max_length = 0
[items]
dims = 64
[encoders.main]
use = "gru"
layers = "two"
[objectives.recommendation]
use = "next_item_softmx"
[objectives.other]
use = "next_item_softmax"
encoder = "mian"
view = "edited.first"
weight = "heavy"
[scorer]
use = "last_position"
head = "critic"
[training]
monitor = "ndgc@10"
[handles]
data = "encoders.main"
noise = "diffusions.main.noise"
[[stages]]
name = "main"
[[stages.updates]]
moves = ["itms"]
weights = { othr = 1.0 }
"""
    found = problems(plan, text)
    starts = [problem.partition(":")[0] for problem in found]
    assert sorted(starts) == sorted(
        [
            "paper",
            "colour",
            "name",
            "data.max_length",
            "items.dims",
            "encoders.main.layers",
            "objectives.recommendation",
            "objectives.other.encoder",
            "objectives.other.view",
            "objectives.other.weight",
            "scorer.head",
            "training.monitor",
            "handles.data",
            "handles.noise",
            "stages.0.updates.0.moves",
            "stages.0.updates.0.weights",
        ]
    )
    told = "\n".join(found)
    for hint in ["'dim'", "'next_item_softmax'", "'main'", "'ndcg@10'", "'items'", "'other'"]:
        assert f"Did you mean {hint}?" in told


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        ([("encoders.main.hiden", 3)], "encoders.main.hiden: the encoder 'gru' has no option 'hiden'. Did you mean 'hidden'?"),
        ([("objectives.recommendation.wieght", 1)], "Did you mean 'weight'?"),
        ([("encoder", "gruu")], "encoders.main: no encoder is called 'gruu'. Did you mean 'gru'? (set by -s)\n  known: gru"),
        ([("encoders.main", 3)], "encoders.main: should be an encoder, its name or a table"),
        ([("encoders.main.use", 3)], "does not say which encoder to `use`"),
        ([("training.epochs", 0)], "training.epochs: is 0; it should be greater than or equal to 1 (set by -s)"),
        ([("training", 3)], "training: should be a table, found 3"),
        ([("training.batch_size", 2.5)], "training.batch_size"),
        ([("objectives.recommendation.weight", float("nan"))], "objectives.recommendation.weight"),
        ([("objectives.recommendation.from_epoch", -1)], "objectives.recommendation.from_epoch"),
        ([("scorer.encoder", ["main"])], "scorer.encoder: is ['main']; it should be a name"),
        ([("objectives.recommendation.view", "nowhere.first")], "Known: clean"),
        ([("encodr", "gru")], "has no handle 'encodr'. Did you mean 'encoder'? Its handles: encoder, loss"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_what_would_do(plan: Planner, sets: list[tuple[str, Any]], says: str) -> None:
    told = "\n".join(problems(plan, SMALL, *sets))
    assert says in told
    assert "(set by -s)" in told


def test_a_recipe_whose_weights_are_all_0_has_nothing_to_learn(plan: Planner) -> None:
    (found,) = problems(plan, SMALL, ("objectives.recommendation.weight", 0))
    assert found == "objectives: every weight is 0, so there is nothing to learn"


def test_an_unknown_ablation_is_refused_with_those_there_are(plan: Planner) -> None:
    (found,) = problems(plan, SMALL + '[ablations]\n"w/o loss" = { encoder = "gru" }\n', ablation="w/o los")
    assert "Did you mean 'w/o loss'? Known: w/o loss" in found


def test_a_recipe_without_its_parts_is_told_which(plan: Planner) -> None:
    found = "\n".join(problems(plan, 'name = "x"\n'))
    for start in ["encoders: the recipe has none", "objectives: the recipe has none", "scorer: is missing"]:
        assert start in found


@pytest.mark.parametrize("name", ["items", "keys", "a b", "1st", "type"])
def test_a_name_that_the_model_could_not_keep_is_refused(plan: Planner, name: str) -> None:
    text = f'name = "x"\n[encoders."{name}"]\nuse = "gru"\n[objectives.r]\nuse = "next_item_softmax"\nencoder = "{name}"\n'
    found = problems(plan, text + f'[scorer]\nuse = "last_position"\nencoder = "{name}"\n')
    assert found == [f"encoders: {name!r} cannot be a name; take another of letters, digits, '_' and '-'"]


def test_what_a_constructor_refuses_is_told_with_its_path() -> None:
    with pytest.raises(RecipeError) as caught:
        make_plan(load_recipe("simdiffrec"), data=None, patches=[Patch("positions.count", 10, "-s")])
    assert caught.value.problems == (
        "augmenters.diffused.replace: ratio = 0.2 and count = 10 both say how many positions; give one of them",
    )


def test_none_takes_an_option_or_a_plugin_away() -> None:
    source = load_recipe("simdiffrec")
    counted = [Patch("positions.count", 10, "-s"), Patch("positions.ratio", "none", "-s")]
    assert make_plan(source, data=None, patches=counted).values["augmenters"]["diffused"]["replace"]["ratio"] is None
    without = [Patch("negatives", "none", "-s"), Patch("objectives.contrast.negatives", [], "-s")]
    made = make_plan(source, data=None, patches=without)
    assert made.values["augmenters"]["diffused"]["negative"] is None
    assert plan_from(made.values) == made


def test_none_is_a_position_selector_where_one_is_asked_for() -> None:
    made = make_plan(load_recipe("simdiffrec"), data=None, patches=[Patch("positions", "none", "-s")])
    assert made.values["augmenters"]["diffused"]["replace"]["use"] == "none"


def test_views_are_known_from_the_options_of_their_augmenter() -> None:
    source = load_recipe("simdiffrec")
    with pytest.raises(RecipeError) as caught:
        make_plan(source, data=None, patches=[Patch("augmenters.diffused.copies", 2, "-s")])
    assert "no augmenter makes a view 'diffused.positive'. Did you mean 'diffused.positive_" in str(caught.value)
    fine = [Patch("augmenters.diffused.copies", 2, "-s"), Patch("objectives.contrast.positive", "diffused.positive_2", "-s")]
    make_plan(source, data=None, patches=[*fine, Patch("objectives.contrast.negatives", ["diffused.negative_1"], "-s")])


def test_the_default_plugin_of_an_option_keeps_its_options_when_it_is_named_or_refined(plan: Planner) -> None:
    bce = ("objectives.recommendation", "next_item_bce")

    def negatives(*sets: tuple[str, Any]) -> object:
        return plan(SMALL, bce, *sets).values["objectives"]["recommendation"]["negatives"]

    path = "objectives.recommendation.negatives"
    assert negatives() == negatives((path, "uniform")) == {"use": "uniform", "exclude": "history"}
    assert negatives((f"{path}.exclude", "target")) == {"use": "uniform", "exclude": "target"}
    assert negatives((path, "popularity")) == {"use": "popularity", "power": 1.0, "exclude": "nothing"}


def test_a_handle_goes_with_the_plugin_that_it_belonged_to(plan: Planner) -> None:
    text = SMALL + '[augmenters.a]\nuse = "random_edits"\n[handles.x]\n'
    text = text.replace("[handles.x]\n", "").replace("[handles]", '[handles]\nnew = "augmenters.a.new_items"')
    assert plan(text).handles["new"] == "augmenters.a.new_items"
    assert "new" not in plan(text, ("augmenters.a", "dropout")).handles


def test_a_variant_that_is_no_table_is_refused(plan: Planner) -> None:
    (found,) = problems(plan, SMALL + "[variants]\nbeauty = 3\n", data="beauty")
    assert found == "variant beauty: should be a table of paths and values, found 3"


def test_a_rewriter_that_no_stage_can_use_is_refused(plan: Planner) -> None:
    assert "rewriters" in problems(plan, SMALL + '[rewriters.a]\nuse = "x"\n')[0]


# ---- strangers' plugins ----


class Critic:
    def __init__(
        self,
        *,
        view: ViewName,
        judge: EncoderName = EncoderName("main"),  # noqa: B008
        head: HeadName | None = None,
    ) -> None: ...

    def __call__(self, step: object, /) -> object: ...


class Fussy(Critic):
    def __init__(self, *, size: int = 1) -> None:
        raise ZeroDivisionError("this cannot be")


class Unready:
    def __init__(self, *, size: int = 1) -> None:
        if size < 0:
            self.view_names = ("never",)

    def views(self, step: object) -> tuple[()]:
        return ()


class Deep:
    def __init__(self, steps: int, /) -> None: ...

    def score(self, model: object, histories: object, generator: object) -> object: ...


EXTRA = '[objectives.extra]\nuse = "critic"\n'


def test_required_names_are_asked_for(plan: Planner, mark: Mark) -> None:
    mark("objectives", "critic", Critic)
    assert problems(plan, SMALL + EXTRA) == ["objectives.extra.view: is missing"]
    assert plan(SMALL + EXTRA + 'view = "clean"\n').origins["objectives.extra.judge"] == "plugin default"


def test_a_plugin_whose_constructor_breaks_is_at_fault_and_not_the_recipe(plan: Planner, mark: Mark) -> None:
    mark("objectives", "critic", Fussy)
    with pytest.raises(PluginError, match=r"objectives.extra: critic \(defined in .*\) cannot be made: ZeroDivisionError"):
        plan(SMALL + EXTRA)


def test_problems_of_the_recipe_and_of_plugins_are_told_together(plan: Planner, mark: Mark) -> None:
    mark("objectives", "critic", Fussy)
    found = problems(plan, SMALL + EXTRA, ("training.epochs", -1))
    assert [one.partition(":")[0] for one in found] == ["training.epochs", "objectives.extra"]


def test_an_attribute_that_was_promised_and_is_not_there_is_the_plugins_fault(plan: Planner, mark: Mark) -> None:
    mark("augmenters", "unready", Unready)
    with pytest.raises(PluginError, match="it has no attribute 'view_names'"):
        plan(SMALL + '[augmenters.a]\nuse = "unready"\n')


def test_steps_are_given_inside_a_diffusion_only(plan: Planner, mark: Mark) -> None:
    mark("scorers", "deep", Deep)
    assert problems(plan, SMALL, ("scorer", "deep")) == ["scorer: needs `steps`, which only stands inside a diffusion"]


class SpannedNoise:
    def __init__(self, span: int, /) -> None: ...

    def draw(self, clean: object, items: object, table: object, generator: object) -> object: ...


def test_a_span_is_given_inside_a_diffusion_that_has_one(plan: Planner, mark: Mark) -> None:
    mark("noise_sources", "spanned", SpannedNoise)
    diffusion = '[diffusions.main]\nschedule = "linear"\nnoise = "spanned"\ndenoiser = "mlp"\n'
    assert problems(plan, SMALL + diffusion) == [
        "diffusions.main.noise: needs `span`, which only stands inside a diffusion that has a `span`"
    ]
    assert plan(SMALL + diffusion + "span = 3\n").values["diffusions"]["main"]["span"] == 3
