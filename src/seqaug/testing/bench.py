"""A plugin on the workbench: placed in a host, and asked to do what its kind does.

One class a kind says how a plugin of that kind is asked, what it answers with and what a right answer looks like; checks that
say the same thing of several kinds are written once against these.

N positions, B sequences, D width, V items, M negatives per position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from ..core.items import ItemScores
from ..core.registries import REGISTRIES
from ..core.registry import Registry
from ..core.seeds import derived
from ..core.step import Step
from ..core.views import Evidence, View
from ..data.batch import Batch
from ..data.samples import Kind, Samples
from ..data.split import Histories
from ..errors import PluginError, RecipeError, SeqaugError
from ..recipes.chosen import build
from .hosts import SPAN, STEPS, Host, Placed, host_of, ways_to_place
from .subject import Subject
from .watching import WatchedGenerators
from .worlds import DIM, MAX_LENGTH, MIXED, USUAL, Scene, Size, evidence_of

__all__ = ["KINDS", "Answer", "Bench", "Situation", "bench_of", "finite", "shaped"]

COUNT = 3
"""Negatives per position that samplers are asked for."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a plugin has answered: tensors by name, and whether anybody drew from a generator meanwhile.

    raw: the answer as the plugin gave it, where the tensors are made from it. left: the states of the generators afterwards.
    """

    tensors: Mapping[str, Tensor]
    drew: bool = False
    raw: Any = None
    left: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class Situation:
    """A placed plugin and what it is shown: a scene, or the batch of a step."""

    placed: Placed
    scene: Scene
    batch: Batch | None = None
    samples: Samples | None = None

    @property
    def plugin(self) -> Any:
        return self.placed.plugin

    @property
    def layout(self) -> Any:
        """Of the scene, or of the batch where there is one."""
        return self.scene.layout if self.batch is None else self.batch.layout


def _departure(subject: Subject) -> PluginError | None:
    """How the class departs from its interface, told by a door of its own: the class need not be registered."""
    door: Registry[Any] = Registry(subject.kind, REGISTRIES[subject.kind].protocol_path)
    name = subject.plugin.__qualname__
    door.register(name)(subject.plugin)
    try:
        door.get(name)
    except PluginError as error:
        return error
    return None


class Bench:
    """Everything that checks do with one plugin.

    departure: how its class departs from its interface. obstacle: why it cannot be made and placed; None where it can.
    """

    learns: ClassVar[bool] = False
    """Whether plugins of this kind are parts, which own parameters."""
    sorts_of_rows: ClassVar[tuple[Kind, ...]] = ("sequences",)
    """The sorts of training rows that are tried until the plugin works on one; `rows_of` is that."""
    rows_of: Kind = "sequences"

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.departure = _departure(subject)
        self.obstacle: SeqaugError | None = self.departure
        self._host: Host | None = None
        if self.departure is not None:
            return
        try:
            self._host = self._found()
        except SeqaugError as error:
            self.obstacle = error

    def _found(self) -> Host:
        """The first host in which the plugin works; the first that takes it, where it works in none."""
        refusals: list[SeqaugError] = []
        taken: Host | None = None
        for rows_of, (name, head) in product(self.sorts_of_rows, ways_to_place(self.subject)):
            self.rows_of = rows_of
            try:
                host = host_of(self.subject, name, head)
                situation = self.situation(host=host)
                taken = taken or host
                self.ask(situation)
            except (RecipeError, PluginError) as error:
                refusals.append(error)
                continue
            except (Exception, SystemExit):  # it works wrongly: the checks will say how
                pass
            return host
        self.rows_of = self.sorts_of_rows[0]
        if taken is not None:
            return taken
        raise refusals[0]

    @property
    def host(self) -> Host:
        """Where the plugin stands."""
        assert self._host is not None, "there is an obstacle"
        return self._host

    @property
    def kind(self) -> str:
        return self.subject.kind

    # ---- what it is shown ----

    def _spans(self, host: Host) -> bool:
        return host.name == "generating" and "span" in host.chosen.signature.given

    def situation(
        self,
        lengths: Sequence[int] = MIXED,
        *,
        size: Size = USUAL,
        seed: int = 0,
        item: int | None = None,
        device: str = "cpu",
        host: Host | None = None,
        init: int = 0,
    ) -> Situation:
        """A new plugin before sequences of these lengths (of the one length that it takes, where it takes no other).

        seed: of the sequences. init: of the weights of the plugin and its host.
        """
        host = host or self.host
        placed = host.placed(size, device=device, seed=init)
        if self._spans(host):
            lengths = [SPAN] * len(lengths)
        scene = Scene.drawn(lengths, placed.histories, placed.assembly.model.items, seed=seed, steps=STEPS, item=item)
        return Situation(placed, scene)

    def edges(self) -> dict[str, Callable[[], Situation]]:
        """The situations at which plugins break, by what they are."""
        longest = MAX_LENGTH
        return {
            "a batch of one sequence": lambda: self.situation([7]),
            "sequences of one item": lambda: self.situation([1, 1, 1]),
            "one sequence of one item": lambda: self.situation([1]),
            "sequences of max_length": lambda: self.situation([longest, longest]),
            "sequences of one item again and again": lambda: self.situation(item=2),
        }

    def disturbed(self, situation: Situation) -> Situation:
        """With a little noise on the plugin's weights, so that a layer that begins at zero hides nothing."""
        draw = Generator(situation.placed.device).manual_seed(1)
        with torch.no_grad():
            for one in situation.plugin.parameters():
                one.add_(0.05 * torch.randn(one.shape, generator=draw, device=draw.device))
        return situation

    def with_scene(self, situation: Situation, scene: Scene) -> Situation:
        """The same plugin before other sequences."""
        return replace(situation, scene=scene)

    def with_options(self, **options: Any) -> Situation:
        """A plugin with these options besides the subject's, before a usual batch. Raises RecipeError where they are wrong."""
        subject = Subject(self.subject.plugin, kind=self.kind, options={**self.subject.options, **options})
        return self.situation(host=host_of(subject, self.host.name, "main"))

    def made_alone(self) -> Any:
        """The plugin made as a planner does to ask for its view names: without a model, without data."""
        given = {"dim": DIM, "max_length": MAX_LENGTH, "num_items": USUAL.items, "steps": STEPS, "span": SPAN}
        return build(self.host.chosen, given, [])

    # ---- what it is asked ----

    def ask(self, situation: Situation, seed: int = 0) -> Answer:
        """Have it do its work, drawing under `seed`."""
        draw = self.generator(situation.placed.device, seed)
        before = draw.get_state()
        tensors = self.answer(situation, draw)
        return Answer(tensors, not torch.equal(before, draw.get_state()), left=(draw.get_state(),))

    def generator(self, device: torch.device, seed: int) -> Generator:
        """As a step hands it over: seeded, on the device of the batch."""
        return Generator(device).manual_seed(derived(seed, "kit"))

    def answer(self, situation: Situation, draw: Generator) -> Mapping[str, Tensor]:
        """What the plugin gives, by name."""
        raise NotImplementedError

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        """What is wrong with the shape, type, device or values of an answer."""
        raise NotImplementedError

    def watched(self, situation: Situation) -> dict[str, Tensor]:
        """Everything that nobody may change, by name."""
        placed = situation.placed
        found = dict(situation.scene.tensors)
        found |= {f"model.{name}": one for name, one in placed.assembly.model.state_dict(keep_vars=True).items()}
        found["table.popularity"] = placed.assembly.model.items.popularity
        found["histories.items"] = placed.histories.items
        found["histories.offsets"] = placed.histories.offsets
        if situation.batch is not None:
            batch = situation.batch
            found |= {f"batch.{name}": getattr(batch, name) for name in ("rows", "users", "items", "targets")}
        if situation.samples is not None:
            found["samples.popularity"] = situation.samples.popularity
        return found

    def evidence(self, situation: Situation, **what: bool) -> Evidence:
        """What may be known of the situation's scene."""
        placed = situation.placed
        table = placed.assembly.model.items
        return evidence_of(situation.scene, placed.histories, table.popularity, table, **what)


def shaped(
    name: str, value: object, shape: tuple[int, ...], dtypes: tuple[torch.dtype, ...], device: torch.device
) -> list[str]:
    """What is wrong with a tensor; nothing where it is as expected."""
    if not isinstance(value, Tensor):
        return [f"{name} is a {type(value).__name__}, and a tensor was expected"]
    found = []
    if tuple(value.shape) != shape:
        found.append(f"{name} has shape {tuple(value.shape)}, and {shape} was expected")
    if value.dtype not in dtypes:
        expected = " or ".join(str(one).removeprefix("torch.") for one in dtypes)
        found.append(f"{name} is {str(value.dtype).removeprefix('torch.')}, and {expected} was expected")
    if value.device.type != device.type:
        found.append(f"{name} is on {value.device}, and its input on {device}")
    return found


def finite(name: str, value: Tensor) -> list[str]:
    """What is wrong with its numbers."""
    return [] if bool(torch.isfinite(value).all()) else [f"{name} holds a NaN or an infinity"]


class _NoiseSources(Bench):
    def answer(self, situation: Situation, draw: Generator) -> Mapping[str, Tensor]:
        scene = situation.scene
        table = situation.placed.assembly.model.items
        return {"noise": situation.plugin.draw(scene.clean, scene.items, table, draw)}

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        clean = situation.scene.clean
        noise = answer.tensors["noise"]
        found = shaped("the noise", noise, tuple(clean.shape), (clean.dtype,), clean.device)
        return found or finite("the noise", noise)


class _PositionSelectors(Bench):
    def answer(self, situation: Situation, draw: Generator) -> Mapping[str, Tensor]:
        return {"selected": situation.plugin.select(self.evidence(situation), draw)}

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        items = situation.scene.items
        return shaped("the selection", answer.tensors["selected"], tuple(items.shape), (torch.bool,), items.device)


class _NegativeSamplers(Bench):
    def answer(self, situation: Situation, draw: Generator) -> Mapping[str, Tensor]:
        return {"sampled": situation.plugin.sample(self.evidence(situation), COUNT, draw)}

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        items = situation.scene.items
        return shaped("the sample", answer.tensors["sampled"], (len(items), COUNT), (torch.int64,), items.device)


class _Parts(Bench):
    learns = True


class _Encoders(_Parts):
    def answer(self, situation: Situation, draw: Generator) -> Mapping[str, Tensor]:
        return {"states": situation.plugin(situation.scene.clean, situation.scene.layout)}

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        clean = situation.scene.clean
        states = answer.tensors["states"]
        found = shaped("the states", states, tuple(clean.shape), (clean.dtype,), clean.device)
        return found or finite("the states", states)


class _Denoisers(_Parts):
    def answer(self, situation: Situation, draw: Generator) -> Mapping[str, Tensor]:
        scene = situation.scene
        try:
            guess = situation.plugin(scene.noised, scene.step, scene.condition, scene.layout)
        except RecipeError:  # it takes no condition, and says so
            guess = situation.plugin(scene.noised, scene.step, None, scene.layout)
        return {"guess": guess}

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        noised = situation.scene.noised
        guess = answer.tensors["guess"]
        found = shaped("the guess", guess, tuple(noised.shape), (noised.dtype,), noised.device)
        return found or finite("the guess", guess)


class _Heads(_Parts):
    def answer(self, situation: Situation, draw: Generator) -> Mapping[str, Tensor]:
        return {"mapped": situation.plugin(situation.scene.hidden)}

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        hidden, mapped = situation.scene.hidden, answer.tensors["mapped"]
        width = mapped.shape[-1] if isinstance(mapped, Tensor) and mapped.dim() else 1
        found = shaped("the mapped states", mapped, (len(hidden), width), (hidden.dtype,), hidden.device)
        return found or finite("the mapped states", mapped)


class _Schedules(Bench):
    def answer(self, situation: Situation, draw: Generator) -> Mapping[str, Tensor]:
        signal, noise = situation.plugin.coefficients()
        return {"signal": signal, "noise": noise}

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        steps, host = situation.plugin.steps, torch.device("cpu")
        found = []
        for name, one in answer.tensors.items():
            wrong = shaped(f"the {name}", one, (steps,), (torch.float64,), host)
            found += wrong or finite(f"the {name}", one)
        return found


class _Stepping(Bench):
    """What works on the batch of a step: rows of the toy world, in the order of its data."""

    sorts_of_rows = ("sequences", "prefixes", "whole")

    def situation(
        self,
        lengths: Sequence[int] = MIXED,
        *,
        size: Size = USUAL,
        seed: int = 0,
        item: int | None = None,
        device: str = "cpu",
        host: Host | None = None,
        init: int = 0,
        rows: Sequence[int] | None = None,
        rows_of: Kind | None = None,
    ) -> Situation:
        """As many rows as lengths; their lengths are those of the data, unless `rows` names them. Parts are in training."""
        usual = super().situation(lengths, size=size, seed=seed, device=device, host=host, init=init)
        samples = usual.placed.samples(rows_of or self.rows_of)
        if rows is None:
            rows = [(seed * len(lengths) + place) % samples.num_rows for place in range(len(lengths))]
        usual.placed.assembly.model.train()
        return replace(usual, batch=samples.take(torch.tensor(rows)), samples=samples)

    def edges(self) -> dict[str, Callable[[], Situation]]:
        every = self.situation()
        assert every.samples is not None
        whole = every.samples.take(torch.arange(every.samples.num_rows))
        short = [row for row, count in enumerate(whole.layout.counts) if count == 1][:3]
        full = [row for row, count in enumerate(whole.layout.counts) if count == MAX_LENGTH][:3]
        pieces = torch.split(whole.items, list(whole.layout.counts))
        dull = [row for row, piece in enumerate(pieces) if len(piece) > 2 and int(piece.min()) == int(piece.max())]
        assert len(short) > 1 and len(full) > 1 and dull, "the toy world has rows of every sort"
        return {
            "a batch of one row": lambda: self.situation(rows=full[:1]),
            "rows of one item": lambda: self.situation(rows=short),
            "one row of one item": lambda: self.situation(rows=short[:1]),
            "rows of max_length": lambda: self.situation(rows=full),
            "a row of one item again and again": lambda: self.situation(rows=dull),
        }

    def ask(self, situation: Situation, seed: int = 0) -> Answer:
        step, generators = self.step(situation, seed)
        tensors, raw = self.told(situation, step)
        return Answer(tensors, generators.drew, raw, generators.states)

    def step(self, situation: Situation, seed: int = 0) -> tuple[Step, WatchedGenerators]:
        """The step of the situation's batch, and the generators that it hands out."""
        placed, batch = situation.placed, situation.batch
        assert batch is not None and situation.samples is not None
        generators = WatchedGenerators(placed.device)
        step = Step(placed.assembly, situation.samples, batch, epoch=0, seed=(seed, "kit"), generators=generators)
        return step, generators

    def told(self, situation: Situation, step: Step) -> tuple[dict[str, Tensor], Any]:
        """What the plugin gives in a step, by name, and as it gave it."""
        raise NotImplementedError


class _Augmenters(_Stepping):
    def told(self, situation: Situation, step: Step) -> tuple[dict[str, Tensor], Any]:
        found: dict[str, Tensor] = {}
        views: dict[str, View] = {}
        for name in situation.plugin.view_names:
            view = views[name] = step.view(f"subject.{name}")
            found |= {f"{name}.items": view.items, f"{name}.edited": view.edited, f"{name}.lengths": view.layout.lengths}
            found |= {} if view.embedded is None else {f"{name}.embedded": view.embedded}
            found |= {} if view.representation is None else {f"{name}.representation": view.representation}
        return found, views

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        assert situation.batch is not None
        return [
            problem
            for name, view in answer.raw.items()
            for problem in _wrong_with_view(name, view, situation.batch, situation.placed.assembly.model.items.mask_id)
        ]


def _wrong_with_view(name: str, view: object, batch: Batch, mask: int) -> list[str]:
    if not isinstance(view, View):
        return [f"the view {name!r} is a {type(view).__name__}, and a View was expected"]
    device, count = batch.items.device, view.layout.num_positions
    if view.layout.num_sequences != batch.size:
        return [f"the view {name!r} has {view.layout.num_sequences} sequences, and the batch {batch.size}"]
    found = shaped(f"{name}.items", view.items, (count,), (torch.int64,), device)
    found += shaped(f"{name}.edited", view.edited, (count,), (torch.bool,), device)
    if view.embedded is not None:
        found += shaped(f"{name}.embedded", view.embedded, (count, DIM), (torch.float32,), device)
    if view.representation is not None:
        width = view.representation.shape[-1]
        found += shaped(f"{name}.representation", view.representation, (batch.size, width), (torch.float32,), device)
    if found:
        return found
    low, high = int(view.items.min()), int(view.items.max())
    if low < 1 or high > mask:
        found.append(f"{name}.items holds ids of {low}..{high}, and 1..{mask} (MASK) was expected")
    for part in ("embedded", "representation"):
        value = getattr(view, part)
        found += [] if value is None else finite(f"{name}.{part}", value)
    return found


class _Objectives(_Stepping):
    def told(self, situation: Situation, step: Step) -> tuple[dict[str, Tensor], Any]:
        value = situation.plugin(step)
        return {"value": value}, value

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        value, device = answer.raw, situation.placed.device
        found = shaped("the value", value, (), (torch.float32, torch.float64), device)
        return found or finite("the value", value)


class _Scorers(Bench):
    def answer(self, situation: Situation, draw: Generator) -> Mapping[str, Tensor]:
        scores = self.scores(situation, draw)
        ids, values = scores.top(min(5, scores.num_items))
        return {"best items": ids, "their scores": values}

    @torch.no_grad()
    def scores(self, situation: Situation, draw: Generator) -> ItemScores:
        """What the scorer gives, as evaluation reads it."""
        return self.ranked(self.given(situation, draw))

    def ranked(self, given: ItemScores | Tensor) -> ItemScores:
        """Scores as evaluation reads them."""
        return given if isinstance(given, ItemScores) else ItemScores.dense(given)

    @torch.no_grad()
    def given(self, situation: Situation, draw: Generator) -> Any:
        """What the scorer gives."""
        return situation.plugin.score(situation.placed.assembly.model, situation.scene.batch(), draw)

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        given = self.given(situation, self.generator(situation.placed.device, 0))
        histories, device = situation.scene.layout.num_sequences, situation.placed.device
        items = situation.placed.histories.num_items
        if isinstance(given, ItemScores):
            if (given.size, given.num_items) != (histories, items):
                return [f"the scores are those of {given.num_items} items for {given.size} histories; {items} for {histories}"]
            return finite("the scores", answer.tensors["their scores"])
        found = shaped("the scores", given, (histories, items), (torch.float32, torch.float64), device)
        return found or finite("the scores", given)


class _Rewriters(Bench):
    @torch.no_grad()
    def answer(self, situation: Situation, draw: Generator) -> Mapping[str, Tensor]:
        placed = situation.placed
        return {"context": situation.plugin.rewrite(placed.assembly.model, placed.histories, draw)}

    def edges(self) -> dict[str, Callable[[], Situation]]:
        def of(users: Sequence[int]) -> Situation:
            usual = self.situation()
            return replace(usual, placed=replace(usual.placed, histories=_of_users(usual.placed.histories, users)))

        lengths = self.situation().placed.histories.lengths.tolist()
        by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
        return {
            "a single user": lambda: of([0]),
            "users of one item": lambda: of(by_length[:1]),
            "users of more than max_length items": lambda: of(by_length[-2:]),
        }

    def problems(self, situation: Situation, answer: Answer) -> list[str]:
        context, users = answer.tensors["context"], situation.placed.histories.num_users
        width = context.shape[-1] if isinstance(context, Tensor) and context.dim() else 1
        return shaped("the context", context, (users, width), (torch.int64,), situation.placed.device)


def _of_users(histories: Histories, users: Sequence[int]) -> Histories:
    pieces = [histories.of(user) for user in users]
    offsets = torch.tensor([0, *(len(piece) for piece in pieces)], device=histories.items.device).cumsum(0)
    return Histories(offsets, torch.cat(pieces), histories.num_items)


KINDS: dict[str, type[Bench]] = {
    "noise_sources": _NoiseSources,
    "position_selectors": _PositionSelectors,
    "negative_samplers": _NegativeSamplers,
    "encoders": _Encoders,
    "denoisers": _Denoisers,
    "heads": _Heads,
    "schedules": _Schedules,
    "augmenters": _Augmenters,
    "objectives": _Objectives,
    "scorers": _Scorers,
    "rewriters": _Rewriters,
}


@lru_cache(maxsize=16)
def bench_of(subject: Subject) -> Bench:
    """The bench of a subject, made once for all its checks."""
    return KINDS[subject.kind](subject)
