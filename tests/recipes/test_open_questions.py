"""Every key of section 18 of the specification of SimDiffRec is a path of the recipe, or out of reach on purpose."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import torch

from seqaug.recipes.assemble import assemble
from seqaug.recipes.load import load_recipe
from seqaug.recipes.patches import parse_plugin_flag, parse_set
from seqaug.recipes.plan import Patch, Plan, make_plan

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "simdiffrec.md"

KEYS = [
    "pos_neg_source", "num_positions", "select_pads", "confidence_t", "reverse", "denoiser", "schedule", "time_embedding",
    "diff_loss", "diff_loss_pads", "noise_grad", "noise_kind", "candidate_ids", "pos_exclude_original", "neg_exclude_original",
    "k_sample", "cl_inbatch", "cl_tau", "cl_same_user_mask", "cl_warmup_epochs", "sr_loss", "sr_loss_positions", "train_data",
    "pad_row", "attention_mask", "dropout", "valid_metric", "mask_seen", "batch", "lr", "epochs", "seeds",
    # per data set
    "L", "alpha", "beta", "k_noise",
]  # fmt: skip

OUT_OF_REACH = {"select_pads", "diff_loss_pads", "candidate_ids", "pad_row", "attention_mask", "mask_seen", "seeds"}


def rows() -> dict[str, tuple[str, str]]:
    """Key -> the cells "ours" and "the other answers"."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| key | ours |") :].split("\n\n")[0].splitlines()[2:]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert all(len(cells) == 3 for cells in found)
    return {cells[0].strip("`"): (cells[1], cells[2]) for cells in found}


def ours(key: str) -> list[tuple[str, object]]:
    """The `path = value` of a row."""
    found = []
    for code in re.findall(r"`([^`]+)`", rows()[key][0]):
        path, equals, value = code.partition(" = ")
        if equals:
            found.append((path, tomllib.loads(f"value = {value}")["value"]))
    return found


def others(key: str) -> list[str]:
    """The settings of a row, as typed after `seqaug run`."""
    return [code for code in re.findall(r"`([^`]+)`", rows()[key][1]) if code.startswith("-")]


def planned(settings: str = "") -> Plan:
    words = iter(shlex.split(settings))
    patches = []
    for word in words:
        if word == "-s":
            path, value = parse_set(next(words))
        else:
            path, value = word.removeprefix("--"), parse_plugin_flag(next(words))
        patches.append(Patch(path, value, word))
    return make_plan(load_recipe("simdiffrec"), data=None, patches=patches)


def at(plan: Plan, path: str) -> object:
    node: object = plan.values
    for key in path.split("."):
        assert isinstance(node, dict), path
        node = node[key]
    return node


REACHABLE = [key for key in KEYS if key not in OUT_OF_REACH]


def test_the_table_has_every_key_and_no_other() -> None:
    assert list(rows()) == KEYS


@pytest.mark.parametrize("key", sorted(OUT_OF_REACH))
def test_what_is_out_of_reach_says_why(key: str) -> None:
    assert rows()[key][0].startswith("by design: ")
    assert not ours(key) and not others(key)


@pytest.mark.parametrize("key", REACHABLE)
def test_what_the_table_calls_ours_is_what_the_recipe_says(key: str) -> None:
    plan = planned()
    assert ours(key)
    for path, value in ours(key):
        assert at(plan, path) == value, path


@pytest.mark.parametrize(("key", "settings"), [(key, settings) for key in REACHABLE for settings in others(key)])
def test_every_other_answer_is_planned_and_made_and_is_another_plan(key: str, settings: str) -> None:
    plan = planned(settings)
    assert plan != planned()
    assembly = assemble(plan, num_items=60, popularity=torch.ones(61), seed=0, device="cpu")
    assert assembly.stages[0].updates[0].terms


@pytest.mark.parametrize("key", REACHABLE)
def test_every_question_in_reach_has_another_answer_that_changes_one_of_its_paths(key: str) -> None:
    assert others(key)
    default = planned()
    for settings in others(key):
        other = planned(settings)
        # The path of a plugin that was exchanged may be gone with it, which is a change too.
        owners = {path.rpartition(".")[0] for path, _ in ours(key)}
        assert any(at(default, owner) != at(other, owner) for owner in owners), settings


def test_the_page_numbers_its_differences_as_the_specification_does() -> None:
    text = PAGE.read_text(encoding="utf-8")
    part = text[text.index("## Where we differ") :]
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", part, re.MULTILINE)] == list(range(1, 31))


def test_the_rows_that_the_source_refers_to_are_about_what_it_says() -> None:
    """The words of a row that comments in the source rely on."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    subject = {int(found[1]): found[2] for line in lines if (found := re.match(r"\| (\d+) \| ([^|]+) \|", line))}
    assert "confidence" in subject[4]
    assert "loss of the diffusion" in subject[6]
    assert "denoiser" in subject[8]
