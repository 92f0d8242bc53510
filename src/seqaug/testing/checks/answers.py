"""What comes back: shape, type, device and range; at the edges as well."""

from __future__ import annotations

import torch

from ...core.names import ViewName
from ...core.registries import REGISTRIES
from ...errors import RecipeError, SeqaugError
from ..bench import Answer, Bench, finite, shaped
from ..check import Finding, check, in_words, not_asked, require
from ..watching import other_global_seeds
from ..worlds import FEW

__all__ = [
    "answers_in_shape",
    "asks_for_no_targets",
    "carries_a_diffusion",
    "copes_with_edges",
    "copes_with_few_items",
    "ends_noisier",
    "every_item_has_a_rank",
    "gives_ids_of_the_catalogue",
    "gives_the_count",
    "has_a_prior",
    "has_any_number_of_steps",
    "is_finite_in_half_precision",
    "keeps_max_length",
    "knows_mask",
    "makes_up_ids",
    "makes_views_without_gradients",
    "maps_each_vector",
    "marks_what_it_edited",
    "mixes_in_items_only",
    "names_its_views",
    "noise_rises",
    "says_what_it_lacks",
    "says_where_its_context_stands",
    "signal_falls",
    "works_on_every_sort_of_row",
]

ALL = tuple(REGISTRIES)
ON_SEQUENCES = tuple(kind for kind in ALL if kind != "schedules")
ON_THE_CATALOGUE = (
    "noise_sources", "position_selectors", "negative_samplers", "augmenters", "objectives", "scorers", "rewriters",
)  # fmt: skip


@check("answers in the shape, type and place that its interface says", *ALL)
def answers_in_shape(bench: Bench) -> None:
    """A usual batch, its sequences of one item up to max_length: the answer has the rows, the type and finite numbers as the
    interface says, and lies on the device of what was handed in."""
    situation = bench.situation()
    problems = bench.problems(situation, bench.ask(situation))
    require(not problems, "; ".join(problems))


@check("copes with the edges: one sequence, one item, max_length, one item again and again", *ON_SEQUENCES)
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
        except (Exception, SystemExit) as error:
            raise Finding(f"with {what} {in_words(error)}") from error
        wrong += [f"{what}: {problem}" for problem in problems]
    require(not wrong, "; ".join(wrong))


@check("copes with a catalogue of five items, or says in words that it cannot", *ON_THE_CATALOGUE)
def copes_with_few_items(bench: Bench) -> None:
    """V = 5. Who needs more (k = 25 neighbours, rank 10) refuses with a SeqaugError that says so; an IndexError, or ids that
    nobody has, are no answer."""
    try:
        situation = bench.situation(size=FEW)
        problems = bench.problems(situation, bench.ask(situation))
    except SeqaugError:
        return
    require(not problems, "; ".join(problems))
    for name, one in bench.ask(situation).tensors.items():
        if name == "sampled":
            low, high = int(one.min()), int(one.max())
            require(low >= 1 and high <= FEW.items, f"ids of {low}..{high} came back, of a catalogue of 1..{FEW.items}.")


# ---- position selectors and negative samplers ----


@check("says in words what it lacks where nothing was predicted or noised yet", "position_selectors", "negative_samplers")
def says_what_it_lacks(bench: Bench) -> None:
    """Evidence without scores and without corrupted positions: an answer, or a RecipeError that says what is missing (asking
    `evidence.scores` raises it by itself); never an AttributeError."""
    for scored, corrupted in ((False, True), (True, False), (False, False)):
        situation = bench.situation()
        evidence = bench.evidence(situation, scored=scored, corrupted=corrupted)
        draw = bench.generator(situation.placed.device, 0)
        plugin = situation.plugin
        try:
            given = plugin.select(evidence, draw) if bench.kind == "position_selectors" else plugin.sample(evidence, 1, draw)
        except SeqaugError:
            continue
        require(isinstance(given, torch.Tensor), f"it gives a {type(given).__name__} then.")


@check("knows MASK, which may stand among the items, for what it is", "position_selectors", "negative_samplers")
def knows_mask(bench: Bench) -> None:
    """A third of the items is MASK, V + 1, as in a masked view: nothing is looked up outside of a table, and no sampler gives
    MASK back."""
    situation = bench.situation()
    items = situation.scene.items
    mask = situation.placed.assembly.model.items.mask_id
    items[::3] = mask
    answer = bench.ask(situation)
    problems = bench.problems(situation, answer)
    require(not problems, "; ".join(problems))
    if bench.kind == "negative_samplers":
        ids = answer.tensors["sampled"]
        require(int(ids.max()) < mask, "it gives MASK back as if it were an item.")


@check("gives ids of 1..V, never 0 and never MASK", "negative_samplers")
def gives_ids_of_the_catalogue(bench: Bench) -> None:
    """Draws for many batches: every id is one of an item. 0 is no item, and V + 1 is MASK."""
    for seed in range(12):
        situation = bench.situation(seed=seed)
        ids = bench.ask(situation, seed).tensors["sampled"]
        most = situation.placed.histories.num_items
        low, high = int(ids.min()), int(ids.max())
        require(low >= 1 and high <= most, f"ids of {low}..{high} came back, of a catalogue of 1..{most}.")


@check("gives as many negatives as it is asked for", "negative_samplers")
def gives_the_count(bench: Bench) -> None:
    """count = 1, 2 and 7, at positions where the target is known and where it is not (0)."""
    for count in (1, 2, 7):
        for known in (True, False):
            situation = bench.situation()
            if not known:
                situation.scene.targets.zero_()
            draw = bench.generator(situation.placed.device, 0)
            try:
                ids = situation.plugin.sample(bench.evidence(situation), count, draw)
            except SeqaugError as error:
                require(count > 1, f"it cannot give a single one: {error}")
                continue
            items = situation.scene.items
            wrong = shaped("the sample", ids, (len(items), count), (torch.int64,), items.device)
            wrong += [] if wrong or int(ids.min()) >= 1 else ["it gives the id 0"]
            where = "" if known else ", where no target is known"
            require(not wrong, f"asked for {count}{where}: {'; '.join(wrong)}.")


# ---- noise sources and heads ----


@check("mixes in nobody's vector: row 0 of the table is no item", "noise_sources")
def mixes_in_items_only(bench: Bench) -> None:
    """Row 0 of the table gets other numbers: the noise stays as it was. Items have ids from 1 to V; who draws from 0 to V - 1
    mixes in the zeros of nobody, and never the last item. On five items, where those are enough for it."""
    try:
        situation = bench.situation(size=FEW)
        bench.ask(situation)
    except SeqaugError:
        situation = bench.situation()
    table = situation.placed.assembly.model.items
    for seed in range(4):
        answers = []
        for nobody in (0.0, 1000.0):
            with torch.no_grad():
                table.weight[0] = nobody
            with other_global_seeds(1):
                answers.append(bench.ask(situation, seed).tensors["noise"])
        require(torch.equal(*answers), "the noise changes with row 0 of the table: the ids of items go from 1 to V.")


@check("has a prior of any shape, if it has one", "noise_sources")
def has_a_prior(bench: Bench) -> None:
    """`prior(shape, generator)` is what a reverse chain starts from where no item is known: finite numbers of that shape, the
    same under the same generator."""
    situation = bench.situation()
    if not hasattr(situation.plugin, "prior"):
        not_asked("it has no prior, so scorers that start from noise alone refuse it")
    for shape in ((4, 8), (1, 64), (30, 2)):
        one, two = (situation.plugin.prior(shape, bench.generator(situation.placed.device, 0)) for _ in range(2))
        wrong = shaped("the prior", one, shape, (torch.float32,), situation.placed.device)
        wrong = wrong or finite("the prior", one)
        require(not wrong, "; ".join(wrong))
        require(torch.equal(one, two), "two draws of the prior under the same generator differ.")


@check("maps each vector by itself, whatever stands before the last dimension", "heads")
def maps_each_vector(bench: Bench) -> None:
    """(N, D), (1, N, D) and (N, 1, D) give the same numbers, (0, D) gives none: a head does not know what the rows are."""
    situation = bench.situation()
    head, hidden = situation.plugin, situation.scene.hidden
    flat = head(hidden)
    for before in (0, 1):
        given = hidden.unsqueeze(before)
        made = head(given).squeeze(before)
        require(
            made.shape == flat.shape and torch.allclose(made, flat, rtol=1e-4, atol=1e-5),
            f"given {tuple(given.shape)} it does not say what it says of {tuple(hidden.shape)}.",
        )
    require(head(hidden[:0]).shape == (0, flat.shape[1]), "given no row at all, it does not give none.")


# ---- schedules ----


def _coefficients(bench: Bench) -> tuple[torch.Tensor, torch.Tensor]:
    answer = bench.ask(bench.situation())
    return answer.tensors["signal"], answer.tensors["noise"]


@check("lets the signal fall and never rise, from at most 1 to at least 0", "schedules")
def signal_falls(bench: Bench) -> None:
    """A_1 >= A_2 >= ... >= A_T in [0, 1]: there is never more of the clean vector than a step before."""
    signal, _ = _coefficients(bench)
    rises = (signal.diff() > 1e-12).nonzero().flatten().tolist()
    require(not rises, f"it rises after t = {[one + 1 for one in rises[:3]]}.")
    require(bool(signal.min() >= 0 and signal.max() <= 1), f"it lies in {float(signal.min()):g}..{float(signal.max()):g}.")


@check("lets the noise rise and never fall, from at least 0", "schedules")
def noise_rises(bench: Bench) -> None:
    """0 <= C_1 <= C_2 <= ... <= C_T: a later step is never less noisy."""
    _, noise = _coefficients(bench)
    falls = (noise.diff() < -1e-12).nonzero().flatten().tolist()
    require(not falls, f"it falls after t = {[one + 1 for one in falls[:3]]}.")
    require(bool(noise.min() >= 0), f"it begins at {float(noise.min()):g}.")


@check("ends noisier than it begins", "schedules")
def ends_noisier(bench: Bench) -> None:
    """C_T / A_T > C_1 / A_1, and some signal is left at t = 1: a walk along the steps gets somewhere."""
    signal, noise = _coefficients(bench)
    require(bool(signal[0] > 0), "A_1 is 0: nothing is left after the first step.")
    # Multiplied out, because A_T may be 0.
    require(
        bool(noise[-1] * signal[0] > noise[0] * signal[-1]),
        f"A goes from {float(signal[0]):g} to {float(signal[-1]):g}, C from {float(noise[0]):g} to {float(noise[-1]):g}.",
    )


@check("has as many steps as it is told, few or many", "schedules")
def has_any_number_of_steps(bench: Bench) -> None:
    """Where it has an option `steps`: 2, 10 and 1,000 of them, as far as its own bounds allow, each finite."""
    if "steps" not in bench.host.chosen.signature.options:
        not_asked("it has no option `steps`")
    for steps in (2, 10, 1000):
        try:
            situation = bench.with_options(steps=steps)
        except RecipeError:
            continue  # within its own bounds
        answer = bench.ask(situation)
        require(situation.plugin.steps == steps, f"steps = {steps} becomes {situation.plugin.steps}.")
        problems = bench.problems(situation, answer)
        require(not problems, f"with steps = {steps}: " + "; ".join(problems))


@check("carries a diffusion there and back", "schedules")
def carries_a_diffusion(bench: Bench) -> None:
    """In a diffusion, vectors are noised at every step and walked back from the last one by both kinds of chain: the numbers
    stay finite, and no posterior has a negative variance."""
    situation = bench.situation()
    diffusion = situation.placed.assembly.model.diffusion("main")
    scene = situation.scene
    for now in range(1, diffusion.steps + 1):
        posterior = diffusion.posterior(now, now - 1)
        require(all(abs(one) < float("inf") for one in posterior) and posterior[2] >= 0, f"at t = {now}: {posterior}.")
    times = diffusion.chain_times(min(5, diffusion.steps))
    with torch.no_grad():
        start = diffusion.mix(
            scene.clean, scene.noised, diffusion.last_step(len(scene.users), scene.items.device), scene.layout
        )
        back = diffusion.chain(start, scene.layout, times=times, method="ddim")
    wrong = finite("what a chain of five steps ends with", back)
    require(not wrong, "; ".join(wrong))


# ---- augmenters ----


@check("names its views before it has seen any data, and makes as many", "augmenters")
def names_its_views(bench: Bench) -> None:
    """`view_names` is a tuple of different names without a dot, the same before and after views were made; `views` gives one
    view, or a promise of one, for each."""
    plugin = bench.made_alone()
    names = plugin.view_names
    fine = isinstance(names, tuple) and names and all(isinstance(one, str) and one and "." not in one for one in names)
    require(bool(fine) and len(set(names)) == len(names), f"view_names is {names!r}.")
    situation = bench.situation()
    step, _ = bench.step(situation)  # type: ignore[attr-defined]
    made = situation.plugin.views(step)
    require(isinstance(made, tuple | list), f"views gives a {type(made).__name__}, and a tuple of views was expected.")
    require(len(made) == len(names), f"it names {len(names)} views ({', '.join(names)}) and makes {len(made)}.")
    require(situation.plugin.view_names == names, f"its view_names were {names!r} and are {situation.plugin.view_names!r}.")


@check("marks every position that it has edited", "augmenters")
def marks_what_it_edited(bench: Bench) -> None:
    """In views that have the positions of the batch, an item that is neither the batch's nor that of a view which it was told
    to read stands at a position marked `edited`: previews and objectives go by the mark."""
    asked = False
    for seed in range(3):
        situation = bench.situation(seed=seed)
        assert situation.batch is not None
        step, _ = bench.step(situation, seed)  # type: ignore[attr-defined]
        _, views = bench.told(situation, step)  # type: ignore[attr-defined]
        counts = situation.batch.layout.counts
        read = [one for one in map(step.view, ("clean", *_views_read(bench))) if one.layout.counts == counts]
        for name, view in views.items():
            if view.layout.counts == counts:
                asked = True
                silent = ~view.edited
                for one in read:
                    silent = silent & (view.items != one.items)
                require(not bool(silent.any()), f"{name!r} differs at {int(silent.sum())} positions that are not marked.")
    if not asked:
        not_asked("its views have other positions than the batch")


def _views_read(bench: Bench) -> list[str]:
    """The views that options of the plugin name."""
    found: list[str] = []
    for option in bench.host.chosen.signature.options.values():
        given = bench.host.resolved.get(option.name)
        if option.name_type is ViewName and given is not None:
            nested = [given] if isinstance(given, str) else given
            found += [one for each in nested for one in ([each] if isinstance(each, str) else each)]
    return found


@check("keeps its views within max_length", "augmenters")
def keeps_max_length(bench: Bench) -> None:
    """Rows of exactly max_length, under many seeds: what an insertion makes longer loses its oldest items."""
    situation = bench.edges()["rows of max_length"]()
    most = situation.placed.assembly.model.max_length
    for seed in range(8):
        for name, view in bench.ask(situation, seed).raw.items():
            require(view.layout.longest <= most, f"{name!r} has a sequence of {view.layout.longest}, and max_length is {most}.")


@check("makes its views where no gradient is wanted, too", "augmenters")
def makes_views_without_gradients(bench: Bench) -> None:
    """Under `torch.no_grad()`, as previews ask for them: the same items as with gradients, and no gradient on anything."""
    situation = bench.situation()
    usual = bench.ask(situation)
    with torch.no_grad():
        quiet = bench.ask(situation)
    for name, one in quiet.tensors.items():
        require(not one.requires_grad, f"{name} wants a gradient.")
        if not one.is_floating_point():
            require(torch.equal(one, usual.tensors[name]), f"{name} is another one without gradients.")


@check("works on rows of every sort, or says in words that it cannot", "augmenters", "objectives")
def works_on_every_sort_of_row(bench: Bench) -> None:
    """Rows that are whole sequences with a target everywhere, prefixes with a target at the end, and sequences without targets
    (data.samples = "sequences", "prefixes", "whole"): an answer, or a SeqaugError."""
    wrong = []
    for rows_of in ("sequences", "prefixes", "whole"):
        situation = bench.situation(rows_of=rows_of)  # type: ignore[call-arg]
        try:
            problems = bench.problems(situation, bench.ask(situation))
        except SeqaugError:
            continue
        wrong += [f'with samples = "{rows_of}": {problem}' for problem in problems]
    require(not wrong, "; ".join(wrong))


# ---- scorers and rewriters ----


@check("scores so that every item has a rank", "scorers")
def every_item_has_a_rank(bench: Bench) -> None:
    """Each item of the catalogue is ranked for each history, as evaluation does: ranks of 1..V, and no score is NaN."""
    situation = bench.situation()
    scores = bench.scores(situation, bench.generator(situation.placed.device, 0))  # type: ignore[attr-defined]
    most = situation.placed.histories.num_items
    for item in range(1, most + 1, 29):
        ranks, _ = scores.rank_of(torch.full((scores.size,), item, device=situation.placed.device))
        require(bool((ranks >= 1).all() and (ranks <= most).all()), f"the ranks of item {item} lie outside of 1..{most}.")


@check("asks for no targets", "scorers")
def asks_for_no_targets(bench: Bench) -> None:
    """The histories to score carry targets of 0. The same histories with other targets get the same scores: a scorer that read
    them would know the answer."""
    situation = bench.situation()
    draw = bench.generator(situation.placed.device, 0)
    usual = bench.scores(situation, draw).top(5)  # type: ignore[attr-defined]
    batch = situation.scene.batch()
    batch.targets.copy_(situation.scene.targets)
    with torch.no_grad():
        given = situation.plugin.score(situation.placed.assembly.model, batch, bench.generator(situation.placed.device, 0))
    again = bench.ranked(given).top(5)  # type: ignore[attr-defined]
    require(torch.equal(usual[0], again[0]) and torch.equal(usual[1], again[1]), "other targets give other scores.")


@check("makes up ids of 1..V, and 0 for none", "rewriters")
def makes_up_ids(bench: Bench) -> None:
    """Each row of the context holds items of the catalogue, 0 where there is none; never MASK."""
    situation = bench.situation()
    context = bench.ask(situation).tensors["context"]
    most = situation.placed.histories.num_items
    if not context.numel():
        return
    low, high = int(context.min()), int(context.max())
    require(low >= 0 and high <= most, f"ids of {low}..{high} came back, of a catalogue of 1..{most}.")


@check("says whether its context also stands in front of what is scored", "rewriters")
def says_where_its_context_stands(bench: Bench) -> None:
    """`at_scoring` is True or False, not something that only looks so."""
    at_scoring = bench.situation().plugin.at_scoring
    require(isinstance(at_scoring, bool), f"at_scoring is {at_scoring!r}, and True or False was expected.")


# ---- half precision ----


@check("gives finite numbers in half precision", "noise_sources", "encoders", "denoisers", "heads", "objectives")
def is_finite_in_half_precision(bench: Bench) -> None:
    """Under `torch.autocast` to bfloat16, as with --precision bfloat16: every number of the answer is finite."""
    situation = bench.situation()
    with torch.autocast(situation.placed.device.type, torch.bfloat16):
        answer: Answer = bench.ask(situation)
    wrong = [problem for name, one in answer.tensors.items() for problem in finite(name, one)]
    require(not wrong, "; ".join(wrong))
