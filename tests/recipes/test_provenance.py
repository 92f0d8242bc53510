"""Every value of every recipe says where it comes from."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from seqaug.recipes.load import RecipeSource, load_recipe, recipe_names
from seqaug.recipes.patches import Patch
from seqaug.recipes.plan import make_plan
from seqaug.recipes.provenance import SOURCES, Tag, provenance, source_of, tags


def of(name: str, path: str, **asked: object) -> Tag:
    source = load_recipe(name)
    plan = make_plan(source, **{"data": None, **asked})  # type: ignore[arg-type]
    return provenance(source, plan)[path]


def variants() -> list[tuple[str, str | None]]:
    plans = {name: make_plan(load_recipe(name), data=None) for name in recipe_names()}
    return [(name, variant) for name, plan in plans.items() for variant in (None, *plan.variants)]


@pytest.mark.parametrize(("name", "data"), variants())
def test_every_value_of_every_recipe_on_every_data_set_is_tagged(name: str, data: str | None) -> None:
    source = load_recipe(name)
    plan = make_plan(source, data=data)
    found = provenance(source, plan)
    values = [path for path in plan.origins if path.partition(".")[0] not in ("name", "paper", "handles")]
    assert list(found) == values and len(values) > 5
    assert all(tag.source in SOURCES and tag.detail for tag in found.values())
    assert not any(tag.source == "user" for tag in found.values())


def test_nearly_every_value_that_a_recipe_sets_has_words_of_its_own() -> None:
    """What falls back on "does not say" are lists of parts and weights of stages."""
    silent = set()
    for name, data in variants():
        source = load_recipe(name)
        found = provenance(source, make_plan(source, data=data))
        silent |= {path for path, tag in found.items() if tag.detail.endswith("the recipe does not say")}
    assert all(path.startswith("stages.") for path in silent)


LENGTH = "SimDiffRec's paper 5.1, whose tables compare the methods at one length; code: 50"


@pytest.mark.parametrize(
    ("name", "data", "path", "tag"),
    [
        ("simdiffrec", None, "data.max_length", Tag("paper", "paper 5.1: 50 on the Amazon sets and Yelp")),
        ("simdiffrec", None, "items.dim", Tag("released code", "released code: hidden_size")),
        ("simdiffrec", None, "items.std", Tag("assumed", "our default")),
        ("simdiffrec", None, "encoders.main.attention_dropout", Tag("assumed", "the plugin's default")),
        ("simdiffrec", None, "augmenters.diffused.corrupt.use", Tag("paper", "paper 4.1")),
        ("simdiffrec", "beauty", "objectives.contrast.weight", Tag("paper", "variant beauty: paper 5.4: alpha")),
        ("simdiffrec", "beauty", "objectives.contrast.temperature", Tag("released code", "released code")),
        ("simdiffrec", "yelp", "objectives.denoising.weight", Tag("assumed", "variant yelp: assumed: likewise")),
        ("sasrec", None, "training.batch_size", Tag("assumed", "as simdiffrec")),
        ("sasrec", None, "items.dim", Tag("released code", "RecBole; the paper has 50")),
        ("bert4rec", None, "encoders.main.attention_dropout", Tag("released code", "RecBole, replication; authors: on ml-1m")),
        ("cadirec", None, "diffusions.main.noise.scale", Tag("released code", "released code")),
        ("dreamrec", None, "stages.1.updates.0.moves", Tag("paper", "paper: one loss for all")),
        ("dreamrec", None, "stages.0.epochs", Tag("released code", "released code: none; the stage is left out")),
        ("dreamrec", "movietweetings", "stages.0.epochs", Tag("assumed", "variant movietweetings: the stage is switched on")),
        ("ecl_sr", None, "stages.1.updates.0.weights.contrast", Tag("released code", "authors: the other two weights are 0")),
        ("mclrec", None, "stages.0.updates.1.weights.margin", Tag("released code", "code: not times beta")),
        ("duorec", "ml-1m", "data.max_length", Tag("paper", f"variant ml-1m: {LENGTH}")),
    ],
)  # fmt: skip
def test_what_the_recipes_say_is_what_the_tags_say(name: str, data: str | None, path: str, tag: Tag) -> None:
    assert of(name, path, data=data) == tag


def test_an_ablation_is_tagged_by_its_own_line() -> None:
    assert of("simdiffrec", "augmenters.diffused.replace.ratio", ablation="w/o c_aug") == Tag(
        "paper", "ablation w/o c_aug: paper 5.3: positions at random"
    )
    assert of("simdiffrec", "augmenters.diffused.replace.use", ablation="w/o c_aug").source == "paper"
    assert of("simdiffrec", "diffusions.main.noise.use", ablation="w/o k_noise").source == "assumed"
    assert of("simdiffrec", "diffusions.main.noise.scale", ablation="w/o k_noise") == Tag("assumed", "the plugin's default")
    assert of("mclrec", "objectives.margin.weight", ablation="w/o r").detail == "ablation w/o r: paper 4"


@pytest.mark.parametrize("origin", ["-s", "flag --noise", "environment SEQAUG_SET", "axis noise", "budget 30m"])
def test_what_the_user_sets_is_the_users(origin: str) -> None:
    patch = Patch("objectives.contrast.weight", 0.3, origin)
    assert of("simdiffrec", "objectives.contrast.weight", data="beauty", patches=[patch]) == Tag("user", origin)


def test_a_plugin_put_in_by_the_user_takes_its_defaults_from_the_plugin() -> None:
    patch = Patch("noise", {"use": "gaussian"}, "flag --noise")
    assert of("simdiffrec", "diffusions.main.noise.use", patches=[patch]) == Tag("user", "flag --noise")
    assert of("simdiffrec", "diffusions.main.noise.scale", patches=[patch]) == Tag("assumed", "the plugin's default")


def test_a_value_that_the_paper_sweeps_is_the_papers() -> None:
    patch = Patch("objectives.contrast.weight", 0.3, "paper 5.4, figure 3")
    assert of("simdiffrec", "objectives.contrast.weight", patches=[patch]).source == "paper"


def test_a_stored_run_gives_the_same_tags() -> None:
    source = load_recipe("simdiffrec")
    plan = make_plan(source, data="beauty", ablation="w/o c_aug", patches=[Patch("training.epochs", 3, "-s")])
    stored = json.loads(json.dumps({"origins": plan.origins}))
    assert tags(source.text, stored["origins"]) == provenance(source, plan)


def test_the_paper_settles_some_forty_values_of_simdiffrec_on_beauty() -> None:
    source = load_recipe("simdiffrec")
    counts = Counter(tag.source for tag in provenance(source, make_plan(source, data="beauty")).values())
    assert counts["paper"] > 25 and counts["released code"] > 15 and counts["assumed"] > 10 and not counts["user"]


# ---- reading comments ----

OWN = """
name = "mine" # no value

[data] # paper 2: everything below
max_length = 8
samples = "sequences" # released code: "a # b"

[encoders.main]
use = "gru" # likewise
"dropout" = 0.1 # it is mine
moves = [ # code: begins
  "a#b", # goes on
]
text = '''
# no comment
''' # authors

[[stages]] # paper 7
name = "a"
[[stages.updates]]
moves = [] # code: first of a
[[stages.updates]]
moves = [] # code: second of a
[[stages]]
name = "b"
[[stages.updates]]
moves = [] # code: first of b

[handles]
reader = "encoders.main"

[variants.there] # as here
reader = { use = "gru", dropout = 0.2 } # paper 9
"data.max_length" = 9
data.samples = "whole" # code

[ablations."w/o it"]
reader.dropout = 0.3 # paper 3
"""


@pytest.mark.parametrize(
    ("path", "origin", "tag"),
    [
        ("data.max_length", "recipe", Tag("paper", "paper 2: everything below")),
        ("data.samples", "recipe", Tag("released code", 'released code: "a # b"')),
        ("encoders.main.use", "recipe", Tag("released code", 'released code: "a # b"')),
        ("encoders.main.dropout", "recipe", Tag("assumed", "it is mine")),
        ("encoders.main.moves", "recipe", Tag("released code", "code: begins goes on")),
        ("encoders.main.text", "recipe", Tag("released code", "authors")),
        ("encoders.main.unheard_of", "recipe", Tag("assumed", "the recipe does not say")),
        ("stages.0.name", "recipe", Tag("paper", "paper 7")),
        ("stages.0.updates.1.moves", "recipe", Tag("released code", "code: second of a")),
        ("stages.1.updates.0.moves", "recipe", Tag("released code", "code: first of b")),
        ("stages.1.name", "recipe", Tag("assumed", "the recipe does not say")),
        ("encoders.main.dropout", "variant there", Tag("paper", "variant there: paper 9")),
        ("encoders.main.use", "variant there", Tag("paper", "variant there: paper 9")),
        ("data.max_length", "variant there", Tag("assumed", "variant there: as here")),
        ("data.samples", "variant there", Tag("released code", "variant there: code")),
        ("encoders.main.dropout", "ablation w/o it", Tag("paper", "ablation w/o it: paper 3")),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_comments_are_found_wherever_toml_allows_them(path: str, origin: str, tag: Tag, line_end: str) -> None:
    assert tags(OWN.replace("\n", line_end), {path: origin})[path] == tag


def test_in_a_recipe_of_the_users_own_what_has_no_comment_is_the_users() -> None:
    text = "[data]\nmax_length = 8\nsamples = 'whole' # assumed: anything\n"
    assert tags(text, {"data.max_length": "recipe"}, own=True)["data.max_length"].source == "user"
    assert tags(text, {"data.samples": "recipe"}, own=True)["data.samples"].source == "assumed"
    assert tags(text, {"data.max_length": "recipe"})["data.max_length"].source == "assumed"


def test_without_the_text_only_the_origins_speak() -> None:
    found = tags("", {"data.max_length": "recipe", "items.dim": "-s", "items.bias": "default"})
    assert [tag.source for tag in found.values()] == ["assumed", "user", "assumed"]


def test_a_recipe_from_a_file_is_the_users_own(tmp_path: object) -> None:
    library = load_recipe("popularity")
    text = library.text.replace("# as sasrec; no history is looked at", "")
    own = RecipeSource("popularity", text, library.table, tmp_path)  # type: ignore[arg-type]
    assert provenance(own, make_plan(own, data=None))["data.max_length"].source == "user"
    boxed = RecipeSource("popularity", text, library.table)
    assert provenance(boxed, make_plan(boxed, data=None))["data.max_length"].source == "assumed"


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ("paper 5.1", "paper"),
        ("paper: gamma", "paper"),
        ("papers on it", "assumed"),
        ("the paper's range", "paper"),
        ("released code; the paper has none", "released code"),
        ("every command of the released code: mlp1", "released code"),
        ("the nearest we have to the released code", "assumed"),
        ("coded by the authors", "assumed"),
        ("sasrec, one of the paper's backbones", "assumed"),
        ("Hidasi, code: lmbd", "released code"),
        ("issues of DuoRec: 0.5 is too much", "assumed"),
    ],
)
def test_the_first_words_decide(words: str, source: str) -> None:
    assert source_of(words) == source
