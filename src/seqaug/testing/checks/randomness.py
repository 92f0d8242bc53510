"""Where the dice come from, and what is left behind: the same twice, anew, and whatever the global seeds."""

from __future__ import annotations

import torch
from torch import Generator

from ...core.registries import REGISTRIES
from ..bench import Answer, Bench, Situation
from ..check import check, require
from ..hosts import VIEWS
from ..watching import RandomState, Settings, changed, copies, other_global_seeds

__all__ = [
    "answers_the_same_anew",
    "answers_the_same_twice",
    "begins_an_epoch_anew",
    "changes_no_input",
    "changes_no_view",
    "draws_dropout_from_torch",
    "draws_from_its_generator_only",
    "draws_nothing_in_evaluation",
    "leaves_parts_in_their_mode",
    "leaves_settings",
    "leaves_the_seed_alone",
    "same",
]

ALL = tuple(REGISTRIES)
ON_SEQUENCES = tuple(kind for kind in ALL if kind != "schedules")
PARTS = ("encoders", "denoisers", "heads")
STRATEGIES = tuple(kind for kind in ALL if kind not in PARTS)
HOSTED = ("augmenters", "objectives", "scorers", "rewriters")


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
    _same_under_other_seeds(bench, bench.situation())


@check("leaves the seed of its generator alone", *(kind for kind in STRATEGIES if kind != "schedules"))
def leaves_the_seed_alone(bench: Bench) -> None:
    """Under two seeds the generator stands at two places afterwards: whoever calls `manual_seed` on it makes every batch, every
    epoch and every seed of an experiment draw the same."""
    situation = bench.situation()
    one, two = bench.ask(situation, seed=1), bench.ask(situation, seed=2)
    stuck = any(torch.equal(first, second) for first, second in zip(one.left, two.left, strict=True))
    require(not stuck, "after two different seeds a generator stands at the same place: it was seeded anew.")


@check("draws nothing when it is not training", *PARTS)
def draws_nothing_in_evaluation(bench: Bench) -> None:
    """In evaluation (`eval()`) the answer is the same whatever the global seeds, and they stay where they are: dropout that
    is not off then makes scores a matter of luck."""
    situation = bench.situation()
    situation.plugin.eval()
    _same_under_other_seeds(bench, situation)


def _same_under_other_seeds(bench: Bench, situation: Situation) -> None:
    answers = []
    for seed in (1, 2):
        with other_global_seeds(seed):
            before = RandomState.now()
            answers.append(bench.ask(situation))
            touched = RandomState.now().differs(before)
        require(not touched, f"it draws from the global random state of {' and '.join(touched)}.")
    differ = same(*answers)
    require(not differ, f"its answer follows the global seeds, in {', '.join(differ)}.")


@check("draws its dropout from torch alone, which a step has seeded", *PARTS)
def draws_dropout_from_torch(bench: Bench) -> None:
    """In training, under the same seed of torch and others of numpy and Python, the answer is the same: dropout follows the
    seed that a step sets for each forward pass, and nothing else."""
    situation = bench.situation()
    situation.plugin.train()
    answers = []
    for seed in (1, 2):
        with other_global_seeds(seed):
            torch_as = Generator().manual_seed(7).get_state()
            torch.set_rng_state(torch_as)
            before = RandomState.now()
            answers.append(bench.ask(situation))
            touched = [one for one in RandomState.now().differs(before) if one != "torch"]
        require(not touched, f"it draws from the global random state of {' and '.join(touched)}.")
    require(not same(*answers), "its answer does not follow torch's seed.")


@check("changes nothing that it is handed", *ON_SEQUENCES)
def changes_no_input(bench: Bench) -> None:
    """Items, vectors, evidence, histories, popularity and every parameter of the model hold the same numbers afterwards."""
    situation = bench.situation()
    watched = bench.watched(situation)
    before = copies(watched)
    bench.ask(situation)
    now = changed(watched, before)
    require(not now, f"it changes {', '.join(now)} in place.")


@check("leaves torch's settings as they were", *ALL)
def leaves_settings(bench: Bench) -> None:
    """Whether gradients are on, the default dtype, the number of threads, deterministic algorithms and the precision of
    products belong to the whole process: what a plugin needs of them it sets for itself, in a `with`."""
    before = Settings.now()
    bench.ask(bench.situation())
    now = before.differs(Settings.now())
    require(not now, f"it changes {', '.join(now)}.")


@check("changes no view that others look at, too", "augmenters", "objectives")
def changes_no_view(bench: Bench) -> None:
    """The views of the host's own augmenters are made first; after the plugin was asked in the same step, their items, edits
    and vectors hold the same numbers: a view is made once and read by everybody."""
    situation = bench.situation()
    step, _ = bench.step(situation)  # type: ignore[attr-defined]
    views = {name: step.view(name) for name in ("clean", *VIEWS)}
    watched = {
        f"{name}.{part}": tensor
        for name, view in views.items()
        for part in ("items", "edited", "embedded", "representation")
        if (tensor := getattr(view, part)) is not None
    }
    before = copies(watched)
    bench.told(situation, step)  # type: ignore[attr-defined]
    now = changed(watched, before)
    require(not now, f"it changes {', '.join(now)} in place.")


@check("begins an epoch without a memory of the last one", *ALL)
def begins_an_epoch_anew(bench: Bench) -> None:
    """A plugin that has worked through an epoch, and one that was made when the next epoch began (as on resuming), are asked
    the same, the item vectors having moved meanwhile: the same answer. What is kept from step to step is rebuilt in
    `start_epoch(table, epoch)`."""
    worked, fresh = bench.situation(), bench.situation()
    _start_epoch(worked, 0)
    bench.ask(worked, seed=1)
    bench.ask(worked, seed=2)
    for one in (worked, fresh):
        with torch.no_grad():
            one.placed.assembly.model.items.weight.mul_(torch.linspace(-1, 1, one.placed.assembly.model.items.dim))
        _start_epoch(one, 1)
    answers = []
    for one in (worked, fresh):
        with other_global_seeds(1):  # who draws from those is found elsewhere, and has no memory for that
            answers.append(bench.ask(one, seed=3))
    differ = same(*answers)
    require(not differ, f"what it did before still shows in {', '.join(differ)}.")


def _start_epoch(situation: Situation, epoch: int) -> None:
    assembly = situation.placed.assembly
    for plugin in assembly.plugins.values():
        start = getattr(plugin, "start_epoch", None)
        if start is not None:
            start(assembly.model.items, epoch)


@check("leaves every part in its mode", *HOSTED)
def leaves_parts_in_their_mode(bench: Bench) -> None:
    """Which parts are in training, and which parameters want a gradient, is the same afterwards: whoever quietens a part puts
    it back (`seqaug.api.quiet`)."""
    situation = bench.situation()
    model = situation.placed.assembly.model

    def modes() -> dict[str, bool]:
        found = {f"{name or 'the model'}.training": part.training for name, part in model.named_modules()}
        return found | {f"{name}.requires_grad": one.requires_grad for name, one in model.named_parameters()}

    for training in (True, False):
        model.train(training)
        before = modes()
        bench.ask(situation)
        after = modes()
        differ = [name for name in before if before[name] != after[name]]
        require(not differ, f"it leaves {', '.join(differ[:3])} changed.")
