"""What comes back: shape, type, device and range; at the edges as well."""

from __future__ import annotations

from ...errors import SeqaugError
from ..bench import Bench
from ..check import check, require

__all__ = ["answers_in_shape", "copes_with_edges", "gives_ids_of_the_catalogue"]

STANDING = ("noise_sources", "position_selectors", "negative_samplers", "encoders", "denoisers", "heads")


@check("answers in the shape, type and place that its interface says", *STANDING)
def answers_in_shape(bench: Bench) -> None:
    """A usual batch of six sequences of one item up to max_length: the answer has a row for each position, the expected type,
    finite numbers, and lies on the device of what was handed in."""
    situation = bench.situation()
    problems = bench.problems(situation, bench.ask(situation))
    require(not problems, "; ".join(problems))


@check("copes with the edges: one sequence, one item, max_length, one item again and again", *STANDING)
def copes_with_edges(bench: Bench) -> None:
    """Batches of one sequence, sequences of a single item, of exactly max_length, and of the same item throughout. A refusal in
    words (a SeqaugError) is an answer; anything else that is raised is not."""
    wrong = []
    for what, make in bench.edges().items():
        situation = make()
        try:
            problems = bench.problems(situation, bench.ask(situation))
        except SeqaugError:
            continue
        wrong += [f"{what}: {problem}" for problem in problems]
    require(not wrong, "; ".join(wrong))


@check("gives ids of 1..V, never 0 and never MASK", "negative_samplers")
def gives_ids_of_the_catalogue(bench: Bench) -> None:
    """Many draws of a usual batch: every id is one of an item. 0 is no item, and V + 1 is MASK."""
    for seed in range(20):
        situation = bench.situation(seed=seed)
        ids = bench.ask(situation, seed).tensors["sampled"]
        most = situation.placed.histories.num_items
        low, high = int(ids.min()), int(ids.max())
        require(1 <= low and high <= most, f"ids of {low}..{high} came back, of a catalogue of 1..{most}.")
