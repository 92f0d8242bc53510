"""Named randomness: whoever draws was handed a generator."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from policies.tree import modules

# Functions of torch and methods of tensors that draw. All of them take `generator=`, but for the *_like ones,
# which older versions of torch cannot give one: those have no place here at all.
DRAW = {
    "rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal", "poisson",
    "rand_like", "randn_like", "randint_like",
    "bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_",
}  # fmt: skip
# What is seeded from outside, under `seeded(...)`, because torch's own modules draw from the global state too: initialisation
# (under the run's seed and the part's name) and dropout (under the forward pass's).
INITIALISERS = ("init.", "nn.init.", "torch.nn.init.")
SEEDED_FROM_OUTSIDE = ("Dropout.forward", "__init__", "initialise_")
# The modules that may touch the global state, and that put it back: the second to see whether a plugin touches it.
KEEPERS = ("seqaug.core.seeds", "seqaug.testing.watching")


def calls(node: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of the class and function that it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield inside, child
        named = isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        yield from calls(child, f"{inside}.{child.name}" if named else inside)


def unseeded(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, call) of every draw that no generator was handed to."""
    found = []
    for inside, node in calls(tree):
        called = ast.unparse(node.func)
        name = called.rpartition(".")[2]
        keywords = {keyword.arg for keyword in node.keywords}
        numpy_random = ".random." in called and called.split(".")[0] in ("np", "numpy")
        if numpy_random:
            if not (name in ("default_rng", "Generator", "SeedSequence", "PCG64") and (node.args or node.keywords)):
                found.append((node.lineno, called))
        elif called.startswith("random."):
            if not (name == "Random" and node.args):
                found.append((node.lineno, called))
        elif name in ("manual_seed", "manual_seed_all", "seed") and called.split(".")[0] == "torch":
            found.append((node.lineno, called))
        elif inside.endswith(SEEDED_FROM_OUTSIDE):
            continue
        elif "." in called and name in DRAW and not called.startswith(INITIALISERS) and "generator" not in keywords:
            # Draws of a numpy Generator are methods too; by custom it is called `rng` here.
            if "rng" not in called.split("."):
                found.append((node.lineno, called))
    return found


@pytest.mark.parametrize(
    "line",
    [
        "torch.rand_like(logits)",
        "torch.randperm(5)",
        "mask.bernoulli_(0.5)",
        "np.random.rand(3)",
        "random.choice(x)",
        "np.random.default_rng()",
    ],
)
def test_a_draw_without_a_generator_is_found(line: str) -> None:
    assert unseeded(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        "torch.randperm(5, generator=generator)",
        "nn.init.normal_(weight, std=0.02)",
        "np.random.default_rng(seed)",
        "torch.normal(0, 1, (3,), generator=generator)",
        "random.Random(seed)",
        "class Table:\n    def __init__(self):\n        self.weight = torch.empty(3).normal_()",
        "class Dropout:\n    def forward(self, values):\n        return torch.empty(3).random_()",
    ],
)
def test_a_draw_with_a_generator_passes(line: str) -> None:
    assert not unseeded(ast.parse(line))


def test_every_draw_in_the_source_has_a_generator() -> None:
    wrong = [
        f"{module.at(line)}: {called}"
        for module in modules().values()
        if module.name not in KEEPERS
        for line, called in unseeded(module.tree)
    ]
    assert not wrong, "\n".join(wrong)
