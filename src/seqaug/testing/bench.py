"""A plugin on the workbench: placed in a host, and asked to do what its kind does.

One class a kind says how a plugin of that kind is asked, what it answers with and what a right answer looks like; checks that
say the same thing of several kinds are written once against these.

N positions, B sequences, D width, V items, M negatives per position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import torch
from torch import Generator, Tensor

from ..core.seeds import derived
from ..core.views import Evidence
from ..data.batch import Batch
from ..data.samples import Samples
from ..errors import PluginError, RecipeError, SeqaugError
from .hosts import SPAN, STEPS, Host, Placed, host_of, ways_to_place
from .subject import Subject
from .worlds import MAX_LENGTH, MIXED, USUAL, Scene, Size, evidence_of

__all__ = ["KINDS", "Answer", "Bench", "Situation", "bench_of", "finite", "shaped"]

COUNT = 3
"""Negatives per position that samplers are asked for."""

Per = Literal["position", "sequence", "whole"]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a plugin has answered: tensors by name, and whether it drew from a generator that it was handed."""

    tensors: Mapping[str, Tensor]
    drew: bool = False


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


class Bench:
    """Everything that checks do with one plugin."""

    per: ClassVar[Per] = "position"
    """What a row of an answer belongs to."""
    learns: ClassVar[bool] = False
    """Whether plugins of this kind are parts, which own parameters."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.obstacle: SeqaugError | None = None
        self._host: Host | None = None
        try:
            self._host = self._found()
        except SeqaugError as error:
            self.obstacle = error

    def _found(self) -> Host:
        """The first host in which the plugin works; the first that takes it, where it works in none."""
        refusals: list[SeqaugError] = []
        taken: Host | None = None
        for name, head in ways_to_place(self.subject):
            try:
                host = host_of(self.subject, name, head)
                situation = self.situation(host=host)
                taken = taken or host
                self.ask(situation)
            except (RecipeError, PluginError) as error:
                refusals.append(error)
                continue
            except Exception:  # it works wrongly: the checks will say how
                pass
            return host
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

    @property
    def span(self) -> int | None:
        """The one length that it takes, where it takes no other."""
        return SPAN if self._spans(self.host) else None

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
    ) -> Situation:
        """A new plugin before sequences of these lengths (of the one length that it takes, where it takes no other).

        seed: of the sequences; the plugin and its host are always initialised alike.
        """
        host = host or self.host
        placed = host.placed(size, device=device)
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

    # ---- what it is asked ----

    def ask(self, situation: Situation, seed: int = 0) -> Answer:
        """Have it do its work, drawing under `seed`."""
        draw = self.generator(situation.placed.device, seed)
        before = draw.get_state()
        tensors = self.answer(situation, draw)
        return Answer(tensors, not torch.equal(before, draw.get_state()))

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
        return {"guess": situation.plugin(scene.noised, scene.step, scene.condition, scene.layout)}

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
    per = "whole"

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


KINDS: dict[str, type[Bench]] = {
    "noise_sources": _NoiseSources,
    "position_selectors": _PositionSelectors,
    "negative_samplers": _NegativeSamplers,
    "encoders": _Encoders,
    "denoisers": _Denoisers,
    "heads": _Heads,
    "schedules": _Schedules,
}


@lru_cache(maxsize=16)
def bench_of(subject: Subject) -> Bench:
    """The bench of a subject, made once for all its checks."""
    return KINDS[subject.kind](subject)
