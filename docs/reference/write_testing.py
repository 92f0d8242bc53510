"""Writes docs/reference/testing.md from the checks themselves: `python docs/write_references.py testing`."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

from reference_markdown import code, prose, table, written_by

from seqaug.core.registries import REGISTRIES
from seqaug.testing import Check, checks_of, pytest_plugin, strategies
from seqaug.testing.hosts import DEFAULT_PLUGINS, VIEWS

PAGE = Path(__file__).with_name("testing.md")

CHAPTERS = {
    "contract": "The contract",
    "answers": "The answer",
    "randomness": "The dice, and what is left behind",
    "independence": "The others in the batch",
    "learning": "Who learns",
    "cost": "The cost",
}
"""A module of seqaug.testing.checks -> the heading of its checks."""

HEAD = """\
# Testing plugins

`seqaug.testing` is the conformance kit: what seqaug asks of every plugin of a kind, as checks that you can run. Each
has a name that reads as a sentence about the plugin ("draws only from the generator that it is handed"), and takes a
fraction of a second on one core. A plugin that passes them works in any recipe, can be repeated and resumed, and can
be exchanged for another without moving anybody else's dice. That it means what you want it to mean only your own
tests can say.

There are three ways to run them.

## At the command line

<!-- file my_noise.py -->
```python
import torch
from seqaug.api import Generator, ItemTable, Tensor, noise_sources


@noise_sources.register("my-noise")
class MyNoise:
    \"\"\"Uniform noise in a cube around nothing.\"\"\"

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        return 2 * torch.rand(clean.shape, generator=generator, device=clean.device) - 1
```

<!-- run -->
```bash
seqaug plugins check my_noise.py      # every plugin that a file marks
seqaug plugins check similarity:k=3   # an installed one, with options
```

A row for each check: `passed`, `failed` with what was found, or `skipped` with the reason. Exit code 5 where one
failed, so that it can stand in a CI job; `--json` for machines, `-v` for what each failed check does.

## In a test file

`pip install "seqaug[testing]"` brings pytest and hypothesis.

<!-- file test_my_noise.py -->
```python
from collections.abc import Callable

from my_noise import MyNoise

from seqaug.testing import parametrize_with_checks


@parametrize_with_checks(MyNoise)
def test_conformance(check: Callable[[], object]) -> None:
    check()
```

<!-- run -->
```bash
pytest -q test_my_noise.py
```

Each check is a case of its own, with its sentence for a name. The kind is found from the decorator or from the entry
point; where neither exists, or options are wanted, a `Subject` says so: `Subject(MyNoise, kind="noise_sources",
options={"scale": 2.0})`. Several plugins may stand in one call. `check_plugin(MyNoise)` runs the same checks without
pytest and gives their outcomes:

<!-- run -->
```python
from my_noise import MyNoise

from seqaug.testing import check_plugin, checks_of

outcomes = check_plugin(MyNoise)
assert [one.check.name for one in outcomes if one.state == "failed"] == []
print(len(checks_of("noise_sources")), "checks of a noise source")
```

## With fixtures, in tests of your own

pytest knows these wherever seqaug is installed (its startup does not import torch for them):

"""

FIXTURES_END = """
They are parts of one world: the batch has rows of the histories, the scores of the evidence are those of the table,
the step is that of the batch.

<!-- file test_mine.py -->
```python
from hypothesis import given
from my_noise import MyNoise

from seqaug.api import Evidence, Generator, ItemTable, Layout
from seqaug.testing.strategies import evidences


def test_my_noise_stays_in_its_cube(seqaug_layout: Layout, seqaug_table: ItemTable, seqaug_generator: Generator) -> None:
    items = seqaug_layout.from_start + 1
    noise = MyNoise().draw(seqaug_table(items), items, seqaug_table, seqaug_generator)
    assert noise.abs().max() <= 1


@given(evidences(num_items=30))
def test_a_property_of_whatever_is_drawn(evidence: Evidence) -> None:
    assert evidence.items.max() <= evidence.num_items
```

<!-- run -->
```bash
pytest -q test_mine.py
```

`seqaug.testing.strategies` holds strategies for hypothesis; examples shrink towards one sequence of one item:

"""

PLACED = """
## How a plugin is placed

The kit makes a plugin as a run does: its options are read from its signature, the assembly supplies `dim` (64),
`max_length` (12), `num_items`, `steps` and `span`, and the plugin stands in a small recipe with a transformer, a
diffusion, heads and two augmenters, assembled in a toy world of some fifty users and sixty items. Augmenters,
objectives, scorers and rewriters are asked there, in a real step; `bind` and `know` are called. There are two such
recipes, tried in turn until the plugin takes one: one whose diffusion noises whole sequences, and one whose diffusion
makes up spans out of pure noise.

Options are at their defaults, unless you give them. One that has none is filled in by its type:

"""

ASKED = """
A plain value without a default is for its author to know: the check that the plugin can be made then names the option
to give (`Subject(..., options={"k": 30})`, `NAME:k=30`).

## What is asked

A check that does not apply to a plugin is skipped with the reason: who draws cannot be asked to give the same
whatever the order of the batch, and where there is no GPU nothing can be compared with one. A refusal in words, a
`SeqaugError`, is an answer wherever a plugin may lack something.

"""


def text() -> str:
    """The whole page."""
    pieces = [written_by("reference/write_testing.py", "the docstrings of src/seqaug/testing"), HEAD]
    pieces.append(_fixtures())
    pieces += [FIXTURES_END, _strategies(), PLACED, _fillings(), ASKED, _chapters(), _kinds()]
    return "".join(pieces).rstrip() + "\n"


def _fixtures() -> str:
    rows = [[code(name), prose(_said(getattr(pytest_plugin, name)))] for name in pytest_plugin.__all__]
    return "\n".join(table(["fixture", "what"], rows))


def _strategies() -> str:
    rows = []
    for name in sorted(strategies.__all__):
        function = getattr(strategies, name)
        options = ", ".join(f"{one.name}={one.default!r}" for one in inspect.signature(function).parameters.values())
        rows.append([code(f"{name}({options})"), prose(_said(function))])
    return "\n".join(table(["strategy", "what"], rows))


def _said(thing: object) -> str:
    return " ".join(inspect.cleandoc(thing.__doc__ or "").split())


def _fillings() -> str:
    rows = [[code("ViewName"), "the host's views in turn: " + ", ".join(map(code, VIEWS))]]
    rows += [[code("EncoderName") + ", " + code("DiffusionName"), code("main")]]
    rows += [[code("HeadName"), code("main") + ", a linear map; " + code("logit") + ", of width 1, where that is refused"]]
    rows += [
        [f"{REGISTRIES[kind].a_noun} (`{REGISTRIES[kind].protocol.__name__}`)", code(name.removeprefix("seqaug/"))]
        for kind, name in DEFAULT_PLUGINS.items()
    ]
    return "\n".join(table(["type", "what it gets"], rows))


def _chapters() -> str:
    found = []
    for module, heading in CHAPTERS.items():
        said = _said(import_module(f"seqaug.testing.checks.{module}"))
        found.append(f"### {heading}\n\n{prose(said)}\n\n")
        for check, kinds in _checks_in(module).items():
            found.append(f"**{_sentence(check.name)}** {prose(check.why)}\n{_of(kinds)}\n\n")
    return "".join(found)


def _checks_in(module: str) -> dict[Check, list[str]]:
    """The checks of a module, each once, with their kinds, in the order in which they were written."""
    kinds: dict[str, list[str]] = {}
    first: dict[str, Check] = {}
    for kind in REGISTRIES:
        for check in checks_of(kind):
            if check.function.__module__.endswith(f".{module}"):
                first.setdefault(check.name, check)
                kinds.setdefault(check.name, []).append(kind)
    ordered = sorted(first.values(), key=lambda check: check.function.__code__.co_firstlineno)
    return {check: kinds[check.name] for check in ordered}


def _sentence(name: str) -> str:
    return prose(name[0].upper() + name[1:]) + "."


def _of(kinds: list[str]) -> str:
    if len(kinds) == len(REGISTRIES):
        return "*All kinds.*"
    missing = [kind for kind in REGISTRIES if kind not in kinds]
    if len(missing) <= 3:
        return f"*All kinds but {', '.join(map(code, missing))}.*"
    return f"*Of {', '.join(map(code, kinds))}.*"


def _kinds() -> str:
    rows = [[code(kind), str(len(checks_of(kind))), _only(kind)] for kind in REGISTRIES]
    head = "### By kind\n\nHow many checks each kind has, and those that it alone has:\n\n"
    return head + "\n".join(table(["kind", "checks", "its own"], rows))


def _only(kind: str) -> str:
    others = {check.name for other in REGISTRIES if other != kind for check in checks_of(other)}
    own = [prose(check.name) for check in checks_of(kind) if check.name not in others]
    return "; ".join(own)
