"""What an answer may hang on: its own sequence, and not who stands beside it, in which order, or how many."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...core.seeds import seeded
from ...errors import RecipeError
from ..bench import Answer, Bench, Situation
from ..check import check, not_asked, require
from ..watching import RandomState
from ..worlds import MIXED

__all__ = [
    "answers_alone_as_among_others",
    "does_not_depend_on_others",
    "does_not_mind_the_order",
    "does_not_mind_the_order_of_rows",
    "latest_agrees",
    "looks_at_the_condition",
    "looks_at_vectors_and_step",
    "reads_nothing_of_the_future",
    "says_what_it_predicts",
    "scores_alone_and_among_others",
]

STANDING = ("noise_sources", "position_selectors", "encoders", "denoisers", "heads")
PARTS = ("encoders", "denoisers", "heads")
KEPT = (0, 3)
"""The sequences that stay while the others are exchanged."""
ORDER = (4, 2, 5, 0, 3, 1)


def _close(one: Tensor, two: Tensor) -> bool:
    if one.shape != two.shape:
        return False
    return torch.allclose(one, two, rtol=1e-4, atol=1e-5) if one.is_floating_point() else torch.equal(one, two)


@check("answers for a sequence the same, whatever stands beside it", *STANDING)
def does_not_depend_on_others(bench: Bench) -> None:
    """Four of six sequences are exchanged for others of the same lengths; the generator is seeded alike. The answer for the
    two that stay is the same, parts in training included: a batch is a matter of speed, not of content."""
    other = bench.situation(seed=1).scene
    for training in (False, True) if bench.kind in PARTS else (False,):
        situation = bench.situation()
        exchanged = bench.with_scene(bench.situation(), situation.scene.with_others(other, KEPT))
        answers = []
        for one in (situation, exchanged):
            if training:
                one.plugin.train()
            with seeded(5):
                answers.append(bench.ask(one))
        places = situation.scene.places_of(KEPT)
        for name, tensor in answers[0].tensors.items():
            mine, theirs = tensor[places], answers[1].tensors[name][places]
            while_training = " while it is in training" if training else ""
            require(_close(mine, theirs), f"{name} of the sequences that stayed is another one{while_training}.")


@check("does not mind the order of the batch, if it draws nothing", *STANDING, "negative_samplers")
def does_not_mind_the_order(bench: Bench) -> None:
    """The sequences in another order: each gets the same answer. Who draws is left out, because a generator gives its numbers
    in order."""
    situation, usual = _without_draws(bench)
    scene, places = situation.scene.reordered(ORDER)
    other = bench.ask(bench.with_scene(bench.situation(), scene))
    for name, tensor in usual.tensors.items():
        require(_close(tensor[places], other.tensors[name]), f"{name} of a sequence depends on where it stands in the batch.")


@check("answers for a sequence the same alone as beside longer ones, if it draws nothing", *STANDING)
def answers_alone_as_among_others(bench: Bench) -> None:
    """Each sequence by itself: the same answer as in the batch. Where short sequences are padded up to the longest, this is
    where the padding shows."""
    situation, usual = _without_draws(bench)
    for row, length in enumerate(situation.layout.counts):
        scene, places = situation.scene.reordered((row,))
        alone = bench.ask(bench.with_scene(bench.situation(), scene))
        for name, tensor in usual.tensors.items():
            require(_close(tensor[places], alone.tensors[name]), f"{name} of a sequence of {length} is another one alone.")


def _without_draws(bench: Bench) -> tuple[Situation, Answer]:
    situation = bench.situation()
    before = RandomState.now()
    usual = bench.ask(situation)
    if usual.drew or RandomState.now().differs(before):
        not_asked("it draws, and a generator gives its numbers in order")
    return situation, usual


@check("does not mind the order of the rows, if nothing is drawn", "augmenters", "objectives")
def does_not_mind_the_order_of_rows(bench: Bench) -> None:
    """The rows of the batch in another order, parts in evaluation: the same views row by row, the same value."""
    rows = tuple(range(len(MIXED)))
    situation, other = (bench.situation(rows=one) for one in (rows, ORDER))  # type: ignore[call-arg]
    answers = []
    for one in (situation, other):
        one.placed.assembly.model.eval()
        answers.append(bench.ask(one))
    if answers[0].drew:
        not_asked("something is drawn, and a generator gives its numbers in order")
    if bench.kind == "objectives":
        first, second = (float(one.tensors["value"].detach()) for one in answers)
        require(abs(first - second) <= 1e-4 * max(1.0, abs(first)), f"its value is {first:g}, and {second:g} in another order.")
        return
    for name, view in answers[0].raw.items():
        mine, theirs = (
            _by_row(view.items, view.layout.counts),
            _by_row(answers[1].raw[name].items, answers[1].raw[name].layout.counts),
        )
        require([mine[row] for row in ORDER] == theirs, f"the view {name!r} of a row depends on where the row stands.")


def _by_row(flat: Tensor, counts: Sequence[int]) -> list[list[int]]:
    return [one.tolist() for one in torch.split(flat, list(counts))]


@check("scores a history the same alone and among others, if it draws nothing", "scorers")
def scores_alone_and_among_others(bench: Bench) -> None:
    """Six histories at once, in another order, and each by itself: the same best items. A ranking that hangs on the batch size
    cannot be compared with anybody's."""
    situation = bench.situation()
    together = bench.ask(situation)
    if together.drew:
        not_asked("it draws, and users share a draw by the block")
    for order in (ORDER, *((row,) for row in range(len(MIXED)))):
        scene, _ = situation.scene.reordered(order)
        other = bench.ask(bench.with_scene(bench.situation(), scene))
        rows = torch.tensor(order, device=scene.items.device)
        mine, theirs = together.tensors["their scores"][rows], other.tensors["their scores"]
        where = "in another order" if len(order) > 1 else "alone"
        require(_close(mine, theirs), f"histories that are scored {where} get other scores.")


@check("reads nothing of the future, unless it says `causal = False`", "encoders")
def reads_nothing_of_the_future(bench: Bench) -> None:
    """The vectors from a position on are exchanged: the states before it stay as they were. With a target at every position, a
    state that has seen the next item would learn to copy it."""
    situation = bench.situation()
    if bench.host.resolved.get("causal") is False or getattr(situation.plugin, "causal", None) is False:
        not_asked("it is not causal, and says so")
    usual = bench.ask(situation).tensors["states"]
    layout = situation.scene.layout
    for place in (1, 2, 4, max(layout.counts) - 1):
        later = layout.from_start >= place
        clean = torch.where(later[:, None], situation.scene.noised, situation.scene.clean)
        with torch.no_grad():
            leaks = float((usual[~later] - situation.plugin(clean, layout)[~later]).abs().max())
        require(leaks <= 1e-5, f"states before position {place} change by {leaks:.2g} with what comes after.")


@check("gives the same states through `latest` as in full, if it has one", "encoders")
def latest_agrees(bench: Bench) -> None:
    """`latest(embedded, layout)` at usual and at edge lengths, against the full states at the latest positions."""
    situations: list[Situation] = [bench.situation(), *(make() for make in bench.edges().values())]
    if not hasattr(situations[0].plugin, "latest"):
        not_asked("it has no `latest`; the full states are used")
    for one in situations:
        clean, layout = one.scene.clean, one.scene.layout
        full = one.plugin(clean, layout)[layout.last()]
        short = one.plugin.latest(clean, layout)
        require(_close(full, short), f"`latest` says otherwise for lengths of {', '.join(map(str, layout.counts))}.")


@check("looks at what it is to restore, and at the step", "denoisers")
def looks_at_vectors_and_step(bench: Bench) -> None:
    """In a diffusion, other noised vectors give another guess, and so does another step; a denoiser that does not see the step
    cannot know how much noise to take away."""
    situation = bench.disturbed(bench.situation())
    diffusion, scene = situation.placed.assembly.model.diffusion("main"), situation.scene
    first = torch.ones_like(scene.step)
    last = torch.full_like(scene.step, diffusion.steps)

    def guess(noised: Tensor, step: Tensor) -> Tensor:
        try:
            return diffusion.predict(noised, step, scene.layout, scene.condition)
        except RecipeError:
            return diffusion.predict(noised, step, scene.layout)

    with torch.no_grad():
        usual, moved, later = guess(scene.noised, first), guess(scene.hidden, first), guess(scene.noised, last)
    require(not torch.equal(usual, moved), "other noised vectors get the same guess.")
    require(float((usual - later).abs().max()) > 1e-6, "the first and the last step get the same guess.")


@check("looks at the condition, or says in words that it takes none; and likewise without one", "denoisers")
def looks_at_the_condition(bench: Bench) -> None:
    """Another condition (B, D) gives another guess; None gives one as well. A RecipeError is an answer to either, but not to
    both."""
    situation = bench.disturbed(bench.situation())
    plugin, scene = situation.plugin, situation.scene
    other = scene.condition + 1.5 * scene.condition.roll(1, 1)
    guesses = []
    with torch.no_grad():
        for condition in (scene.condition, other, None):
            try:
                guesses.append(plugin(scene.noised, scene.step, condition, scene.layout))
            except RecipeError:
                guesses.append(None)
    told, otherwise, untold = guesses
    require(told is not None or untold is not None, "it is content neither with a condition nor without one.")
    require(told is None or not torch.equal(told, otherwise), "another condition gets the same guess.")
    wrong = [] if untold is None else bench.problems(situation, Answer({"guess": untold}))
    require(not wrong, "without a condition: " + "; ".join(wrong))


@check("says whether it predicts the clean vectors or the noise", "denoisers")
def says_what_it_predicts(bench: Bench) -> None:
    """`predicts` is "clean" or "noise", and a diffusion restores with it: the numbers are finite at every step."""
    situation = bench.situation()
    predicts = situation.plugin.predicts
    require(predicts in ("clean", "noise"), f'predicts is {predicts!r}, and "clean" or "noise" was expected.')
    diffusion, scene = situation.placed.assembly.model.diffusion("main"), situation.scene
    with torch.no_grad():
        for step in (1, diffusion.steps):
            at = torch.full_like(scene.step, step)
            try:
                guess = diffusion.restore(scene.noised, at, scene.layout, scene.condition)
            except RecipeError:
                guess = diffusion.restore(scene.noised, at, scene.layout)
            require(bool(torch.isfinite(guess).all()), f"what is restored from step {step} is not finite.")
