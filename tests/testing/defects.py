"""A planted defect for every check of the conformance kit: a plugin that is sound but for this one thing."""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import AfterValidator
from torch import Tensor, nn

from seqaug.api import Layout, View
from testing.sound import METHODS, SOUND, Denoiser, Encoder, Schedule

__all__ = ["DEFECTS", "Defect"]

ALL = tuple(SOUND)
PARTS = ("encoders", "denoisers", "heads")
STRATEGIES = tuple(kind for kind in ALL if kind not in PARTS)
HOSTED = ("augmenters", "objectives", "scorers", "rewriters")

Before = Callable[..., None]
After = Callable[..., Any]


@dataclass(frozen=True)
class Defect:
    """kind and check: which check catches it. make: the class, which needs a folder for what lies in a file."""

    kind: str
    check: str
    name: str
    make: Callable[[Path], type[Any]]


DEFECTS: list[Defect] = []


def plant(check: str, kind: str, cls: type[Any] | Callable[[Path], type[Any]]) -> None:
    make = (lambda _: cls) if isinstance(cls, type) else cls
    DEFECTS.append(Defect(kind, check, getattr(cls, "__name__", "made"), make))


def grafted(kind: str, name: str, *, before: Before | None = None, after: After | None = None, **attributes: Any) -> type[Any]:
    """The sound plugin of a kind, with something done before its work, or to its answer. Both get the plugin first; `after`
    gets the answer second, then the arguments."""
    sound = SOUND[kind]
    work = getattr(sound, METHODS[kind])

    @functools.wraps(work)
    def method(self: Any, *given: Any) -> Any:
        object.__setattr__(self, "calls", self.calls + 1)
        if before is not None:
            before(self, *given)
        answer = work(self, *given)
        return answer if after is None else after(self, answer, *given)

    return type(name, (sound,), {"__doc__": "Sound but for one thing.", "calls": 0, METHODS[kind]: method, **attributes})


# ---- what the arguments of each kind's work hold ----


def table_of(kind: str, given: tuple[Any, ...]) -> Any:
    return {
        "noise_sources": lambda: given[2],
        "augmenters": lambda: given[0].model.items,
        "objectives": lambda: given[0].model.items,
    }.get(kind, lambda: given[0].items)()


def handed(kind: str, given: tuple[Any, ...]) -> Tensor:
    """The first tensor that a plugin is handed."""
    first = given[0]
    if kind in ("augmenters", "objectives"):
        return first.batch.items  # type: ignore[no-any-return]
    if kind in ("scorers", "rewriters"):
        return given[1].items  # type: ignore[no-any-return]
    return first if isinstance(first, Tensor) else first.items


def catalogue_of(kind: str, given: tuple[Any, ...]) -> int:
    if kind in ("position_selectors", "negative_samplers"):
        return int(given[0].num_items)
    return int(table_of(kind, given).num_items)


def perturbed(kind: str, answer: Any) -> Any:
    """Another answer of the same shape, type and range."""

    def other_ids(ids: Tensor) -> Tensor:
        return torch.where(ids > 1, ids - 1, ids + 1)

    if kind == "position_selectors":
        return ~answer
    if kind in ("negative_samplers", "rewriters"):
        return other_ids(answer)
    if kind == "schedules":
        return answer[0] * 0.99, answer[1]
    if kind == "augmenters":
        return tuple(replace(view, items=other_ids(view.items), edited=torch.ones_like(view.edited)) for view in answer)
    return -answer if kind == "scorers" else answer + 1


# ---- the contract ----

shifted = AfterValidator(lambda value: value + 1)
Shifting = Annotated[int, shifted]


def without_its_method(kind: str) -> type[Any]:
    return type("WithoutItsMethod", (nn.Module,) if kind in PARTS else (), {"__doc__": "It does nothing."})


def with_constructor(kind: str, name: str, part: Any, strategy: Any) -> type[Any]:
    return type(
        name, (SOUND[kind],), {"__doc__": "Sound but for its constructor.", "__init__": part if kind in PARTS else strategy}
    )


def part_fails(self: Any, dim: int, /) -> None:
    raise RuntimeError("no licence")


def strategy_fails(self: Any) -> None:
    raise RuntimeError("no licence")


def part_shifts(self: Any, dim: int, /, *, k: Shifting = 1) -> None:
    type(self).__mro__[1].__init__(self, dim)  # type: ignore[misc]


def strategy_shifts(self: Any, *, k: Shifting = 1) -> None:
    type(self).__mro__[1].__init__(self)  # type: ignore[misc]


def part_takes_all(self: Any, dim: int, /, **options: int) -> None:
    type(self).__mro__[1].__init__(self, dim)  # type: ignore[misc]


def strategy_takes_all(self: Any, **options: int) -> None:
    type(self).__mro__[1].__init__(self)  # type: ignore[misc]


def with_a_stray_import(kind: str) -> Callable[[Path], type[Any]]:
    def made(folder: Path) -> type[Any]:
        file = folder / "stray.py"
        file.write_text("import seqaug.core.items\n", encoding="utf-8")
        module = sys.modules["stray_plugin"] = ModuleType("stray_plugin")
        module.__file__ = str(file)
        return type("Stray", (SOUND[kind],), {"__doc__": "Imports what it should not.", "__module__": "stray_plugin"})

    return made


for kind in ALL:
    plant("keeps the interface of its kind", kind, without_its_method(kind))
    plant(
        "says in its docstring what it is, and in its signature what each option takes",
        kind,
        type("Silent", (SOUND[kind],), {}),
    )
    plant("imports nothing of seqaug but seqaug.api", kind, with_a_stray_import(kind))
    plant(
        "can be made and placed in a recipe, its options at their defaults",
        kind,
        with_constructor(kind, "Failing", part_fails, strategy_fails),
    )
    plant(
        "takes the options that it describes, and gives them back the same",
        kind,
        with_constructor(kind, "Shifts", part_shifts, strategy_shifts),
    )
    plant(
        "refuses an option that it does not have", kind, with_constructor(kind, "TakesAll", part_takes_all, strategy_takes_all)
    )


class Vague(SOUND["noise_sources"]):  # type: ignore[misc]
    """An option that takes everything."""

    def __init__(self, *, anything: Any = 1) -> None:
        self.anything = anything


plant("says in its docstring what it is, and in its signature what each option takes", "noise_sources", Vague)


class Choosy(SOUND["noise_sources"]):  # type: ignore[misc]
    """An option without a default, that nobody can know."""

    def __init__(self, *, strength: float) -> None:
        self.strength = strength


plant("can be made and placed in a recipe, its options at their defaults", "noise_sources", Choosy)


# ---- answers ----

MISSHAPEN: dict[str, After] = {
    "encoders": lambda self, answer, *_: answer[:-1],
    "noise_sources": lambda self, answer, *_: answer[:, :-1],
    "position_selectors": lambda self, answer, *_: answer.long(),
    "negative_samplers": lambda self, answer, *_: answer.int(),
    "schedules": lambda self, answer, *_: (answer[0].float(), answer[1]),
    "denoisers": lambda self, answer, *_: answer * float("nan"),
    "heads": lambda self, answer, *_: answer[1:],
    "augmenters": lambda self, answer, *_: tuple(replace(view, edited=view.edited.long()) for view in answer),
    "objectives": lambda self, answer, *_: answer[None],
    "scorers": lambda self, answer, *_: answer[:, :-1],
    "rewriters": lambda self, answer, *_: answer.int(),
}
for kind, after in MISSHAPEN.items():
    plant("answers in the shape, type and place that its interface says", kind, grafted(kind, "Misshapen", after=after))


def fails_at_the_edge(kind: str) -> type[Any]:
    def before(self: Any, *given: Any) -> None:
        rows = given[1].num_users if kind == "rewriters" else len(handed(kind, given))
        if rows == 1:
            raise IndexError("index 1 is out of bounds")

    return grafted(kind, "FailsForOne", before=before)


def fails_for_few_items(kind: str) -> type[Any]:
    def before(self: Any, *given: Any) -> None:
        if catalogue_of(kind, given) < 10:
            raise IndexError("index 10 is out of bounds")

    return grafted(kind, "FailsForFewItems", before=before)


for kind in ALL:
    if kind != "schedules":
        plant(
            "copes with the edges: one sequence, one item, max_length, one item again and again", kind, fails_at_the_edge(kind)
        )
    if kind not in (*PARTS, "schedules"):
        plant("copes with a catalogue of five items, or says in words that it cannot", kind, fails_for_few_items(kind))

for kind in ("position_selectors", "negative_samplers"):
    plant(
        "says in words what it lacks where nothing was predicted or noised yet",
        kind,
        grafted(kind, "TakesCorruptionForGranted", before=lambda self, evidence, *_: evidence.corrupted.any()),
    )
plant(
    "knows MASK, which may stand among the items, for what it is",
    "position_selectors",
    grafted("position_selectors", "LooksUpMask", before=lambda self, evidence, *_: evidence.popularity[evidence.items]),
)
plant(
    "knows MASK, which may stand among the items, for what it is",
    "negative_samplers",
    grafted(
        "negative_samplers", "GivesMask", after=lambda self, answer, evidence, *_: evidence.items[:, None].expand_as(answer)
    ),
)
plant(
    "gives ids of 1..V, never 0 and never MASK",
    "negative_samplers",
    grafted("negative_samplers", "GivesZero", after=lambda self, answer, *_: answer - 1),
)
plant(
    "gives as many negatives as it is asked for",
    "negative_samplers",
    grafted("negative_samplers", "AlwaysThree", after=lambda self, answer, *_: answer[:, :1].expand(-1, 3)),
)
plant(
    "mixes in nobody's vector: row 0 of the table is no item",
    "noise_sources",
    grafted(
        "noise_sources",
        "CountsFromZero",
        after=lambda self, answer, clean, items, table, draw: answer + table((items - 1) % table.num_items),
    ),
)
plant(
    "has a prior of any shape, if it has one",
    "noise_sources",
    grafted("noise_sources", "FlatPrior", prior=lambda self, shape, generator: torch.zeros(shape[0] * shape[1])),
)
plant(
    "maps each vector by itself, whatever stands before the last dimension",
    "heads",
    grafted("heads", "CountsDimensions", after=lambda self, answer, hidden: answer + hidden.dim()),
)


def signal_with_a_bump(self: Any, answer: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    signal = answer[0].clone()
    signal[10] = signal[9] + 0.001
    return signal, answer[1]


def noise_with_a_dip(self: Any, answer: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    noise = answer[1].clone()
    noise[10] = noise[9] - 0.001
    return answer[0], noise


def without_first_noise(self: Any, answer: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    noise = answer[1].clone()
    noise[0] = 0
    return answer[0], noise


class AtMostFifty(Schedule):
    """Silently takes fewer steps."""

    def __init__(self, *, steps: int = 20) -> None:
        super().__init__(steps=min(steps, 50))


plant(
    "lets the signal fall and never rise, from at most 1 to at least 0",
    "schedules",
    grafted("schedules", "Bump", after=signal_with_a_bump),
)
plant("lets the noise rise and never fall, from at least 0", "schedules", grafted("schedules", "Dip", after=noise_with_a_dip))
plant(
    "ends noisier than it begins",
    "schedules",
    grafted("schedules", "Stands", after=lambda self, answer: (answer[0] * 0 + 0.5, answer[1] * 0 + 0.5)),
)
plant("has as many steps as it is told, few or many", "schedules", AtMostFifty)
plant("carries a diffusion there and back", "schedules", grafted("schedules", "FirstStepClean", after=without_first_noise))


def doubled(self: Any, answer: tuple[View, ...], step: Any) -> tuple[View, ...]:
    """Every item twice, whatever max_length is."""
    made = []
    for view in answer:
        layout = Layout.of([2 * count for count in view.layout.counts], view.layout.device)
        made.append(View(layout, view.items.repeat_interleave(2), view.edited.repeat_interleave(2)))
    return tuple(made)


def fewer_without_gradients(self: Any, answer: tuple[View, ...], step: Any) -> tuple[View, ...]:
    return answer if torch.is_grad_enabled() else tuple(step.view("clean") for _ in answer)


def takes_targets_for_granted(self: Any, step: Any) -> None:
    if step.samples.kind == "whole":
        raise IndexError("there is no target 0")


plant(
    "names its views before it has seen any data, and makes as many",
    "augmenters",
    grafted("augmenters", "OneTooMany", after=lambda self, answer, step: (*answer, *answer)),
)
plant(
    "names its views before it has seen any data, and makes as many",
    "augmenters",
    grafted("augmenters", "Dotted", view_names=("a.b",)),
)
plant(
    "marks every position that it has edited",
    "augmenters",
    grafted(
        "augmenters",
        "Unmarked",
        after=lambda self, answer, step: tuple(replace(view, edited=torch.zeros_like(view.edited)) for view in answer),
    ),
)
plant("keeps its views within max_length", "augmenters", grafted("augmenters", "Doubled", after=doubled))
plant(
    "makes its views where no gradient is wanted, too",
    "augmenters",
    grafted("augmenters", "OtherWithoutGradients", after=fewer_without_gradients),
)
for kind in ("augmenters", "objectives"):
    plant(
        "works on rows of every sort, or says in words that it cannot",
        kind,
        grafted(kind, "TakesTargetsForGranted", before=takes_targets_for_granted),
    )


def with_a_nan(self: Any, answer: Tensor, *_: Any) -> Tensor:
    made = answer.clone()
    made[0, 0] = float("nan")
    return made


def knows_the_answer(self: Any, answer: Tensor, model: Any, histories: Any, generator: Any) -> Tensor:
    made = answer.clone()
    made[:, 0] += histories.targets[histories.layout.last()]
    return made


def beyond_the_catalogue(self: Any, answer: Tensor, model: Any, histories: Any, generator: Any) -> Tensor:
    return torch.full_like(answer, histories.num_items + 1)


plant("scores so that every item has a rank", "scorers", grafted("scorers", "NotANumber", after=with_a_nan))
plant("asks for no targets", "scorers", grafted("scorers", "KnowsTheAnswer", after=knows_the_answer))
plant("makes up ids of 1..V, and 0 for none", "rewriters", grafted("rewriters", "MakesUpMask", after=beyond_the_catalogue))
plant(
    "says whether its context also stands in front of what is scored",
    "rewriters",
    grafted("rewriters", "Perhaps", at_scoring="no"),
)

for kind in ("noise_sources", "encoders", "denoisers", "heads", "objectives"):
    plant(
        "gives finite numbers in half precision",
        kind,
        grafted(
            kind,
            "OverflowsInHalf",
            after=lambda self, answer, *_: answer * float("inf") if torch.is_autocast_enabled("cpu") else answer,
        ),
    )


# ---- randomness ----


def other_every_second_time(kind: str) -> After:
    return lambda self, answer, *_: perturbed(kind, answer) if self.calls % 2 == 0 else answer


def other_from_the_third_time(kind: str) -> After:
    return lambda self, answer, *_: perturbed(kind, answer) if self.calls >= 3 else answer


def by_pythons_dice(kind: str) -> type[Any]:
    """Draws a number of Python's when it is first asked, and keeps it."""

    def after(self: Any, answer: Any, *_: Any) -> Any:
        if not hasattr(self, "luck"):
            object.__setattr__(self, "luck", random.random() < 0.5)
        return perturbed(kind, answer) if self.luck else answer

    return grafted(kind, "ByPythonsDice", after=after)


def by_numpys_dice(self: Any, *_: Any) -> None:
    np.random.rand()


def by_numpys_dice_in_training(self: Any, *_: Any) -> None:
    if self.training:
        np.random.rand()


def dropout_never_off(self: Any, answer: Tensor, *_: Any) -> Tensor:
    return nn.functional.dropout(answer, 0.5, training=True)


def moves_in_place(kind: str) -> Before:
    def before(self: Any, *given: Any) -> None:
        tensor = handed(kind, given)
        with torch.no_grad():
            if tensor.is_floating_point():
                tensor.mul_(2)
            else:
                tensor.copy_(tensor.flip(0))

    return before


def turns_gradients_off(self: Any, answer: Any, *_: Any) -> Any:
    torch.set_grad_enabled(False)
    return answer


def likes_precision(self: Any, answer: Any, *_: Any) -> Any:
    torch.set_default_dtype(torch.float64)
    return answer


for kind in ALL:
    under_no_grad = kind in ("scorers", "rewriters")  # where gradients are off anyway, and put back by whoever turned them off
    after = likes_precision if under_no_grad else turns_gradients_off
    plant("leaves torch's settings as they were", kind, grafted(kind, "ChangesSettings", after=after))


def masks_the_views_of_others(self: Any, step: Any) -> None:
    view = step.view("edited.first")
    view.items.fill_(step.model.items.mask_id)


for kind in ("augmenters", "objectives"):
    plant("changes no view that others look at, too", kind, grafted(kind, "MasksOthersViews", before=masks_the_views_of_others))


def puts_to_sleep(kind: str) -> Before:
    def before(self: Any, *given: Any) -> None:
        model = given[0].model if kind in ("augmenters", "objectives") else given[0]
        model.eval()

    return before


for kind in ALL:
    plant("answers the same twice under the same generator", kind, grafted(kind, "Counts", after=other_every_second_time(kind)))
    plant("answers the same when it is made anew", kind, by_pythons_dice(kind))
    plant(
        "begins an epoch without a memory of the last one",
        kind,
        grafted(kind, "Remembers", after=other_from_the_third_time(kind)),
    )
    if kind != "schedules":
        plant("changes nothing that it is handed", kind, grafted(kind, "MovesInPlace", before=moves_in_place(kind)))
for kind in STRATEGIES:
    plant("draws only from the generator that it is handed", kind, grafted(kind, "ByNumpysDice", before=by_numpys_dice))
for kind in PARTS:
    plant("draws nothing when it is not training", kind, grafted(kind, "NeverQuiet", after=dropout_never_off))
    plant(
        "draws its dropout from torch alone, which a step has seeded",
        kind,
        grafted(kind, "TrainsByNumpysDice", before=by_numpys_dice_in_training),
    )
for kind in HOSTED:
    plant("leaves every part in its mode", kind, grafted(kind, "PutsToSleep", before=puts_to_sleep(kind)))


def seeds_it_anew(kind: str) -> Before:
    def before(self: Any, *given: Any) -> None:
        generator = given[0].generator(self) if kind in ("augmenters", "objectives") else given[-1]
        generator.manual_seed(0)

    return before


for kind in STRATEGIES:
    if kind != "schedules":
        plant("leaves the seed of its generator alone", kind, grafted(kind, "SeedsItAnew", before=seeds_it_anew(kind)))


class IgnoresTheGenerator(SOUND["position_selectors"]):  # type: ignore[misc]
    """A selector that throws dice of its own: the line in a released code that made its positions random."""

    def select(self, evidence: Any, generator: Any) -> Tensor:
        return torch.rand_like(evidence.items.float()) < 0.5


class KeepsItsNeighbours(SOUND["noise_sources"]):  # type: ignore[misc]
    """Keeps what it has looked up for ever, while the item vectors move."""

    def draw(self, clean: Tensor, items: Tensor, table: Any, generator: Any) -> Tensor:
        if not hasattr(self, "kept"):
            self.kept = table.weight.detach().clone()
        kept: Tensor = self.kept
        return kept[items]


plant("draws only from the generator that it is handed", "position_selectors", IgnoresTheGenerator)
plant("begins an epoch without a memory of the last one", "noise_sources", KeepsItsNeighbours)


# ---- independence ----


def positions(kind: str, answer: Tensor) -> Tensor:
    """(N, 1) or (N,) 0..N - 1."""
    places = torch.arange(len(answer))
    return places[:, None] if answer.dim() > 1 else places


def mixes_the_batch(self: Any, answer: Tensor, *given: Any) -> Tensor:
    return answer + given[0].detach().mean()


def by_the_sum_of_the_batch(self: Any, answer: Tensor, evidence: Any, generator: Any) -> Tensor:
    return (evidence.items * evidence.items.sum()) % 5 < 2


ADDED_BY_PLACE: dict[str, After] = {
    "noise_sources": lambda self, answer, clean, *_: clean + positions("", clean),
    "position_selectors": lambda self, answer, *_: positions("", answer) % 2 == 0,
    "negative_samplers": lambda self, answer, *_: (positions("", answer) % 5 + 1).expand_as(answer).clone(),
    **{kind: (lambda self, answer, *_: answer + positions("", answer)) for kind in PARTS},
}


class ByPlace:
    """Its generator is not touched."""


def quiet(kind: str, after: After) -> type[Any]:
    """As `grafted`, but without the work, which draws."""
    work = getattr(SOUND[kind], METHODS[kind])

    @functools.wraps(work)
    def method(self: Any, *given: Any) -> Any:
        count = given[1] if kind == "negative_samplers" else 1
        rows = len(handed(kind, given))
        empty = torch.zeros((rows, count)) if kind == "negative_samplers" else torch.zeros(rows)
        return after(self, empty, *given)

    return type("ByPlace", (SOUND[kind],), {"__doc__": "Goes by the place in the batch.", METHODS[kind]: method})


for kind in ("noise_sources", *PARTS):
    plant(
        "answers for a sequence the same, whatever stands beside it",
        kind,
        grafted(kind, "MixesTheBatch", after=mixes_the_batch),
    )
plant(
    "answers for a sequence the same, whatever stands beside it",
    "position_selectors",
    grafted("position_selectors", "ByTheSum", after=by_the_sum_of_the_batch),
)
for kind, after in ADDED_BY_PLACE.items():
    made = grafted(kind, "ByPlace", after=after) if kind in PARTS else quiet(kind, after)
    plant("does not mind the order of the batch, if it draws nothing", kind, made)


class Normalises(Encoder):
    """Batch normalisation over the positions: in training every sequence is seen by every other."""

    def __init__(self, dim: int, /) -> None:
        super().__init__(dim)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        normed: Tensor = self.norm(super().forward(embedded, layout))
        return normed


plant("answers for a sequence the same, whatever stands beside it", "encoders", Normalises)


def pads_to_the_longest(self: Any, answer: Tensor, *given: Any) -> Tensor:
    """Adds the mean over a row of the rectangle that the sequences are padded to, padding included."""
    layout = given[-1]
    return answer + layout.repeated(layout.padded(answer).mean(1))


def goes_by_the_size(self: Any, answer: Tensor, *given: Any) -> Tensor:
    return answer / len(answer)


class KnowsTheLongest(SOUND["position_selectors"]):  # type: ignore[misc]
    """A share of the longest sequence, whatever a sequence's own length."""

    def select(self, evidence: Any, generator: Any) -> Tensor:
        chosen: Tensor = evidence.layout.from_start < evidence.layout.longest // 4
        return chosen


for kind in ("encoders", "denoisers"):
    plant(
        "answers for a sequence the same alone as beside longer ones, if it draws nothing",
        kind,
        grafted(kind, "PadsToTheLongest", after=pads_to_the_longest),
    )
plant(
    "answers for a sequence the same alone as beside longer ones, if it draws nothing",
    "heads",
    grafted("heads", "GoesByTheSize", after=goes_by_the_size),
)
plant(
    "answers for a sequence the same alone as beside longer ones, if it draws nothing",
    "noise_sources",
    quiet("noise_sources", lambda self, answer, clean, *_: clean / len(clean)),
)
plant("answers for a sequence the same alone as beside longer ones, if it draws nothing", "position_selectors", KnowsTheLongest)


def every_other_row_masked(self: Any, answer: tuple[View, ...], step: Any) -> tuple[View, ...]:
    return tuple(
        replace(
            view,
            items=torch.where(view.layout.sequence % 2 == 0, step.model.items.mask_id, step.batch.items),
            edited=torch.ones_like(view.edited),
        )
        for view in answer
    )


plant(
    "does not mind the order of the rows, if nothing is drawn",
    "augmenters",
    grafted("augmenters", "EveryOtherRow", after=every_other_row_masked),
)
plant(
    "does not mind the order of the rows, if nothing is drawn",
    "objectives",
    grafted("objectives", "FirstRowOnly", after=lambda self, answer, step: step.representation()[0, 0]),
)
plant(
    "scores a history the same alone and among others, if it draws nothing",
    "scorers",
    grafted("scorers", "Standardised", after=lambda self, answer, *_: answer - answer.mean(0)),
)


class SeesAll(Encoder):
    """Reads the whole sequence at every position."""

    def forward(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        mapped: Tensor = self.map(self.dropout(embedded + layout.repeated(layout.mean(embedded))))
        return mapped


class OtherLatest(Encoder):
    """What it says is the latest state is the first one."""

    def latest(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        return self(embedded, layout)[layout.first()]


plant("reads nothing of the future, unless it says `causal = False`", "encoders", SeesAll)
plant("gives the same states through `latest` as in full, if it has one", "encoders", OtherLatest)


class ByCondition(Denoiser):
    """Tells the answer from the condition alone."""

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        told = torch.zeros_like(noised) if condition is None else layout.repeated(condition)
        mapped: Tensor = self.map(self.dropout(told))
        return mapped


class Centred(Denoiser):
    """Takes the mean of each sequence away, and with it the time embedding that is the same at all its positions."""

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        return super().forward(noised - layout.repeated(layout.mean(noised)), step, condition, layout)


class DeafToTheCondition(Denoiser):
    """Is told the condition and does not listen."""

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        return super().forward(noised, step, None, layout)


class NeedsACondition(Denoiser):
    """Breaks where there is none."""

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        return super().forward(noised + layout.repeated(condition * 1), step, condition, layout)  # type: ignore[operator]


class Velocity(Denoiser):
    """Predicts what no diffusion here knows."""

    predicts: Any = "velocity"


plant("looks at what it is to restore, and at the step", "denoisers", ByCondition)
plant("looks at what it is to restore, and at the step", "denoisers", Centred)
plant("looks at the condition, or says in words that it takes none; and likewise without one", "denoisers", DeafToTheCondition)
plant("looks at the condition, or says in words that it takes none; and likewise without one", "denoisers", NeedsACondition)
plant("says whether it predicts the clean vectors or the noise", "denoisers", Velocity)


# ---- learning ----


def keeps_a_parameter(self: Any, *_: Any) -> None:
    self.scale = {"of noise": nn.Parameter(torch.ones(1))}


def goes_backward(kind: str) -> Before:
    def before(self: Any, *given: Any) -> None:
        with torch.enable_grad():
            if kind in ("position_selectors", "negative_samplers"):
                given[0].scores.of(given[0].items.clamp(max=given[0].num_items)[:, None]).sum().backward()
            else:
                table_of(kind, given).weight.sum().backward()

    return before


def root_of_nothing(self: Any, answer: Tensor, *given: Any) -> Tensor:
    """Adds the root of 0, whose gradient is infinite."""
    return answer + torch.sqrt(given[0] - given[0].detach())


for kind in STRATEGIES:
    plant("owns no parameter: parts learn, strategies do not", kind, grafted(kind, "KeepsAParameter", before=keeps_a_parameter))
    if kind != "schedules":
        plant("leaves no gradient behind", kind, grafted(kind, "GoesBackward", before=goes_backward(kind)))
for kind in ("noise_sources", *PARTS):
    plant("passes on gradients that are finite", kind, grafted(kind, "RootOfNothing", after=root_of_nothing))


def part_with_an_idle_one(self: Any, dim: int, /) -> None:
    type(self).__mro__[1].__init__(self, dim)  # type: ignore[misc]
    self.idle = nn.Parameter(torch.ones(3))


def part_with_a_plain_tensor(self: Any, dim: int, /) -> None:
    type(self).__mro__[1].__init__(self, dim)  # type: ignore[misc]
    self.offset = torch.randn(dim)


def part_with_its_own_seed(self: Any, dim: int, /) -> None:
    torch.manual_seed(42)
    type(self).__mro__[1].__init__(self, dim)  # type: ignore[misc]


def with_part_constructor(kind: str, name: str, constructor: Any, after: After | None = None) -> type[Any]:
    return type(name, (SOUND[kind],), {**vars(grafted(kind, name, after=after)), "__init__": constructor})


for kind in PARTS:
    plant(
        "is a module, each of whose parameters gets a gradient",
        kind,
        with_part_constructor(kind, "IdleParameter", part_with_an_idle_one),
    )
    plant(
        "is saved whole: another one that is given its weights answers the same",
        kind,
        with_part_constructor(
            kind, "PlainTensor", part_with_a_plain_tensor, lambda self, answer, *_: answer + self.offset.to(answer)
        ),
    )
    plant(
        "is initialised under the seed of its assembly", kind, with_part_constructor(kind, "FortyTwo", part_with_its_own_seed)
    )

plant(
    "gives a number that something learns from",
    "objectives",
    grafted("objectives", "Detached", after=lambda self, answer, step: answer.detach()),
)
plant(
    "learns from rows of one item without a NaN",
    "objectives",
    grafted(
        "objectives", "Deviates", after=lambda self, answer, step: answer + 0 * step.hidden().var(0, correction=0).sqrt().sum()
    ),
)
plant(
    "gives views whose vectors have finite gradients",
    "augmenters",
    grafted(
        "augmenters",
        "RootOfNothing",
        after=lambda self, answer, step: tuple(
            replace(view, embedded=view.embedded + torch.sqrt(view.embedded - view.embedded.detach())) for view in answer
        ),
    ),
)


# ---- cost ----


def a_rectangle(kind: str, rows: Callable[[tuple[Any, ...]], int], columns: Callable[[tuple[Any, ...]], int]) -> type[Any]:
    def before(self: Any, *given: Any) -> None:
        torch.zeros(rows(given), columns(given))

    return grafted(kind, "WritesARectangle", before=before)


for kind in ("noise_sources", "position_selectors", "negative_samplers", "augmenters", "objectives"):
    plant(
        "never writes down positions x catalogue whole",
        kind,
        a_rectangle(
            kind, lambda given, kind=kind: len(handed(kind, given)), lambda given, kind=kind: catalogue_of(kind, given)
        ),
    )
for kind in ("scorers", "rewriters"):
    plant(
        "never writes down more than histories x catalogue",
        kind,
        a_rectangle(
            kind, lambda given, kind=kind: catalogue_of(kind, given), lambda given, kind=kind: catalogue_of(kind, given)
        ),
    )
for kind in ("noise_sources", "position_selectors", "negative_samplers", *PARTS):
    plant(
        "takes memory in proportion to the batch",
        kind,
        a_rectangle(kind, lambda given, kind=kind: len(handed(kind, given)), lambda given, kind=kind: len(handed(kind, given))),
    )


def loops_in_python(kind: str) -> Before:
    def before(self: Any, *given: Any) -> None:
        for one in handed(kind, given):
            one + 1

    return before


for kind in (*PARTS, "noise_sources", "position_selectors", "negative_samplers", "augmenters", "objectives", "scorers"):
    plant(
        "does as many operations for a large batch as for a small one",
        kind,
        grafted(kind, "LoopsInPython", before=loops_in_python(kind)),
    )


def stays_on_the_host(kind: str) -> After:
    def after(self: Any, answer: Any, *_: Any) -> Any:
        if kind == "augmenters":
            return tuple(replace(view, items=view.items.cpu()) for view in answer)
        return answer.cpu()

    return after


for kind in ALL:
    if kind != "schedules":
        plant("answers on the GPU as on the CPU", kind, grafted(kind, "StaysOnTheHost", after=stays_on_the_host(kind)))
