"""Where the dice come from: the same twice, anew, and whatever the global seeds."""

from __future__ import annotations

import torch

from ...core.registries import REGISTRIES
from ..bench import Answer, Bench
from ..check import check, require
from ..watching import RandomState, changed, copies, other_global_seeds

__all__ = ["answers_the_same_anew", "answers_the_same_twice", "changes_no_input", "draws_from_its_generator_only", "same"]

ALL = tuple(REGISTRIES)
STRATEGIES = tuple(kind for kind in ALL if kind not in ("encoders", "denoisers", "heads"))


def same(one: Answer, two: Answer) -> list[str]:
    """The names of what differs."""
    return [
        name
        for name, tensor in one.tensors.items()
        if name not in two.tensors or tensor.shape != two.tensors[name].shape or not torch.equal(tensor, two.tensors[name])
    ]


@check("answers the same twice under the same generator", *ALL)
def answers_the_same_twice(bench: Bench) -> None:
    """The same plugin is asked the same thing twice, its generator seeded alike: bit for bit the same, or no run can be
    repeated."""
    situation = bench.situation()
    differ = same(bench.ask(situation), bench.ask(situation))
    require(not differ, f"the second answer differs from the first in {', '.join(differ)}.")


@check("answers the same when it is made anew", *ALL)
def answers_the_same_anew(bench: Bench) -> None:
    """Two plugins made from the same options and seeds, while the global seeds of numpy and Python differ, give the same
    answer: a resumed run makes its plugins anew."""
    with other_global_seeds(1):
        one = bench.ask(bench.situation())
    with other_global_seeds(2):
        two = bench.ask(bench.situation())
    differ = same(one, two)
    require(not differ, f"a second plugin, made alike, answers otherwise in {', '.join(differ)}.")


@check("draws only from the generator that it is handed", *STRATEGIES)
def draws_from_its_generator_only(bench: Bench) -> None:
    """The plugin is asked under two settings of the global seeds of torch, numpy and Python: its answer is the same, and it
    leaves the global random state as it was. Otherwise exchanging one plugin would change what every other draws."""
    situation = bench.situation()
    answers = []
    for seed in (1, 2):
        with other_global_seeds(seed):
            before = RandomState.now()
            answers.append(bench.ask(situation))
            touched = RandomState.now().differs(before)
        require(not touched, f"it draws from the global random state of {' and '.join(touched)}.")
    differ = same(*answers)
    require(not differ, f"its answer follows the global seeds, in {', '.join(differ)}.")


@check("changes nothing that it is handed", *ALL)
def changes_no_input(bench: Bench) -> None:
    """Items, vectors, evidence, histories, popularity and every parameter of the model hold the same numbers afterwards."""
    situation = bench.situation()
    watched = bench.watched(situation)
    before = copies(watched)
    bench.ask(situation)
    now = changed(watched, before)
    require(not now, f"it changes {', '.join(now)} in place.")
