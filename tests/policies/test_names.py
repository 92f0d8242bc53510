"""A method is a recipe. Nothing in the source is named after one."""

from __future__ import annotations

import ast
import re

import pytest

from policies.tree import modules

METHODS = (
    "sasrec",
    "bert4rec",
    "cl4srec",
    "duorec",
    "mclrec",
    "eclsr",
    "diffuasr",
    "dreamrec",
    "cadirec",
    "simdiffrec",
    "simdiff",
    "cadi",
)
# Words that would be a method only when they stand alone: "ecl" is a part of "decline".
WHOLE_WORDS = {"ecl", "duo", "mcl"}
EMPTY_WORDS = {"base", "abstract", "manager", "util", "utils", "helper", "helpers"}


def words(identifier: str) -> list[str]:
    """`ConfidenceSelector` and `confidence_selector` -> ["confidence", "selector"]."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", identifier)]


def method_in(identifier: str) -> str | None:
    """The method that an identifier is named after, in whichever spelling."""
    flat = identifier.replace("_", "").lower()
    for method in METHODS:
        if method in flat:
            return method
    return next((word for word in words(identifier) if word in WHOLE_WORDS), None)


@pytest.mark.parametrize(
    "spelling", ["SimDiffRec", "sim_diff_rec", "SIMDIFFRECLoss", "train_cl4srec", "ECLSRCritic", "ecl_sr", "DuoView"]
)
def test_spellings_of_methods_are_recognised(spelling: str) -> None:
    assert method_in(spelling) is not None


@pytest.mark.parametrize("name", ["Diffusion", "similarity", "decline", "SimilarityNoise", "cascade_rate", "duration"])
def test_ordinary_names_are_not_taken_for_methods(name: str) -> None:
    assert method_in(name) is None


def defined_names() -> list[tuple[str, str]]:
    """(where, name) of every class, function and module in src."""
    found = []
    for module in modules().values():
        found.append((module.at(1), module.name.split(".")[-1]))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((module.at(node.lineno), node.name))
    return found


def test_no_class_function_or_module_is_named_after_a_method() -> None:
    wrong = [f"{where}: {name}" for where, name in defined_names() if method_in(name)]
    assert not wrong, "\n".join(wrong)


def test_no_class_or_module_has_an_empty_word_in_its_name() -> None:
    wrong = [f"{where}: {name}" for where, name in defined_names() if EMPTY_WORDS & set(words(name))]
    assert not wrong, "\n".join(wrong)
