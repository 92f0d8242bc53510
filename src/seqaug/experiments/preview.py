"""What a recipe's augmenters make of sequences, before or after training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.assembly import Assembly
from ..core.seeds import Generators
from ..data.batch import Batch
from ..data.samples import Samples
from ..data.split import Split
from ..errors import DataError, did_you_mean
from ..evaluation.augmentation import Augmented, ItemFacts, Tally, UserFacts, aligned, judged
from ..recipes.assemble import assembly_of, samples_of
from ..recipes.plan import Plan
from ..report.preview import MadeUpNumbers, Preview, PreviewedUser, ViewFacts
from .prepare import prepare
from .settings import RunSettings
from .trained import trained
from .watched import Seen, watching

__all__ = ["BLOCK", "Asked", "preview_recipe", "preview_run"]

BLOCK = 50
"""Users who share a batch. Which do follows from the seed alone, so that nobody's draws hang on who else is shown."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be seen: these users (names as in the data), `sample` more, and numbers over `over` users.

    seed: of the draws and of who is in the sample; None for that of the run or recipe. seen: is told (sequences done, of all).
    """

    users: Sequence[str] = ()
    sample: int = 3
    over: int = 1000
    seed: int | None = None
    seen: Callable[[int, int], None] = field(default=lambda done, of: None)


@dataclass(frozen=True, slots=True, eq=False)
class _Subject:
    """What is previewed. weights: where they come from, a sentence. notes: what is not as it was when they were trained."""

    plan: Plan
    split: Split
    assembly: Assembly
    data: str
    device: torch.device
    trained: bool
    weights: str
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> Samples:
        """The training rows, behind whatever context the model has."""
        return samples_of(self.plan, self.split, self.device).behind(self.assembly.model.context)


def preview_recipe(settings: RunSettings, asked: Asked) -> Preview:
    """The augmentations of a recipe with its initial weights.

    Raises RecipeError, DataError or PluginError as a run would; DataError where a user is not known or has no training row.
    """
    prepared = prepare(settings)
    assembly = assembly_of(prepared.plan, prepared.split, seed=settings.seed, device=prepared.device)
    weights = f"untrained: the initial weights of seed {settings.seed}. What a model would choose means nothing yet."
    subject = _Subject(prepared.plan, prepared.split, assembly, prepared.loaded.name, prepared.device, False, weights)
    return _preview(subject, asked, settings.seed)


def preview_run(
    folder: Path, asked: Asked, *, data: str | None = None, device: str = "cpu", threads: int | None = None
) -> Preview:
    """The augmentations of a finished run with its best weights. Raises as `trained` does, and DataError as above."""
    run = trained(folder, data=data, device=device, threads=threads)
    epoch = f"epoch {run.metrics['best_epoch']} of {run.metrics['epochs']}"
    weights = f"trained: the best weights of {folder} ({epoch}, seed {run.seed})."
    subject = _Subject(run.plan, run.split, run.assembly, run.loaded.name, run.device, True, weights, run.notes)
    return _preview(subject, asked, run.seed)


def _preview(subject: _Subject, asked: Asked, own_seed: int) -> Preview:
    assembly, split = subject.assembly, subject.split
    seed = own_seed if asked.seed is None else asked.seed
    users = [_user_named(split, name) for name in dict.fromkeys(asked.users)]
    looked = _Looked((), None, (), 0)
    items = ItemFacts.of(_vectors(assembly), split.popularity.numpy())
    if assembly.augmenters or assembly.model.context is not None:
        looked = _look(subject, items, users, asked, seed)
    numbers: set[int] = set()
    for one in looked.shown:
        numbers.update(
            one.original, () if one.follows is None else (one.follows,), *(view.items for view in one.views.values())
        )
    return Preview(
        recipe=subject.plan.name,
        data=subject.data,
        users=split.sequences.num_users,
        seed=seed,
        trained=subject.trained,
        weights=subject.weights,
        notes=(*subject.notes, *_notes(subject)),
        over=looked.over,
        similarity_at_random=items.similarity_at_random if looked.over else None,
        views=looked.views,
        made_up=looked.made_up,
        shown=looked.shown,
        names={item: _name(split, item) for item in sorted(numbers)},
    )


# ---- looking ----


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    views: tuple[ViewFacts, ...]
    made_up: MadeUpNumbers | None
    shown: tuple[PreviewedUser, ...]
    over: int


def _look(subject: _Subject, items: ItemFacts, users: Sequence[int], asked: Asked, seed: int) -> _Looked:
    """Block by block: all that the numbers need, and those in which somebody is shown."""
    assembly, samples = subject.assembly, subject.samples
    sequences = _Sequences(subject, samples, seed)
    places = [*dict.fromkeys([*(sequences.place_of(user) for user in users), *range(min(asked.sample, len(sequences)))])]
    over = min(asked.over, len(sequences))
    names = [f"{name}.{view}" for name, augmenter in assembly.augmenters.items() for view in augmenter.view_names]
    readings = [_Reading(subject, items, name) for name in names]
    made_up = _MadeUp(items)
    shown: dict[int, PreviewedUser] = {}
    with watching(assembly, samples) as watch:
        for begin in sorted({*range(0, over, BLOCK), *(place - place % BLOCK for place in places)}):
            block = sequences.block(begin)
            where = (seed, "preview", 0, begin // BLOCK)
            views: dict[str, list[Augmented]] = {}
            for reading in readings:
                seen = watch.look(block.batch, reading.name, encoder=reading.encoder, seed=where)
                views[reading.name] = reading.read(seen, block)
            for number, place in enumerate(range(begin, begin + len(block.originals))):
                own = {name: found[number] for name, found in views.items()}
                if place < over:
                    made_up.add(block.originals[number], block.facts[number])
                    for reading in readings:
                        reading.tally.add(own[reading.name])
                if place in places:
                    shown[place] = block.previewed(number, own)
            asked.seen(min(begin + BLOCK, over), over)
    return _Looked(
        views=tuple(reading.facts() for reading in readings),
        made_up=made_up.numbers() if assembly.model.context is not None else None,
        shown=tuple(shown[place] for place in places),
        over=over,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """The users of one batch: their sequences as lists, and what they really did. names: of the users, in the data."""

    batch: Batch
    originals: list[tuple[int, ...]]
    facts: list[UserFacts]
    names: list[str]

    def previewed(self, number: int, views: Mapping[str, Augmented]) -> PreviewedUser:
        original, user = self.originals[number], self.facts[number]
        end = user.begin + len(original) - user.made_up
        return PreviewedUser(
            user=self.names[number],
            history=len(user.history),
            begin=user.begin,
            made_up=user.made_up,
            original=original,
            follows=user.history[end] if end < len(user.history) else None,
            views=views,
        )


class _Sequences:
    """The longest training row of every user, in an order drawn from the seed, in blocks that are always the same."""

    def __init__(self, subject: _Subject, samples: Samples, seed: int) -> None:
        self.split = subject.split
        self.samples = samples
        lengths = self.split.train.lengths
        users = torch.arange(len(lengths))
        if samples.kind != "whole":
            users = users[lengths >= 2]
        # The rows of a user's prefixes lie one after the other, the shortest first.
        rows = torch.cumsum(lengths[users] - 1, 0) - 1 if samples.kind == "prefixes" else torch.arange(len(users))
        order = torch.randperm(len(users), generator=Generators().get("order", seed, "preview"))
        self.users, self.rows = users[order], rows[order]

    def __len__(self) -> int:
        return len(self.users)

    def place_of(self, user: int) -> int:
        """Where a user stands in the order. Raises DataError where the user makes no training row."""
        found = (self.users == user).nonzero()
        if len(found):
            return int(found[0, 0])
        name, length = self.split.sequences.user_ids[user], int(self.split.train.lengths[user])
        raise DataError(
            f"the user {str(name)!r} has {length} training item{'s' if length != 1 else ''} (the last two of a history are "
            "held out), which make no training row, so there is nothing to augment. Ask for one with at least 4 items in all."
        )

    def block(self, begin: int) -> _Block:
        """The users at `begin` and the next places, at most BLOCK of them."""
        users, train = self.users[begin : begin + BLOCK], self.split.train
        batch = self.samples.take(self.rows[begin : begin + BLOCK])
        assert torch.equal(batch.users.cpu(), users), "a row of another user"
        originals = _split(batch.items, batch.layout.counts)
        facts = []
        for user, original in zip(users.tolist(), originals, strict=True):
            history = train.of(user).tolist()
            end = len(history) - (self.samples.kind != "whole")
            real = min(end, self.samples.max_length)
            valid = int(self.split.valid.targets[user])
            facts.append(UserFacts(history, valid, begin=end - real, made_up=len(original) - real))
        return _Block(batch, originals, facts, [str(name) for name in self.split.sequences.user_ids[users.numpy()]])


# ---- reading a view ----


class _Reading:
    """One view over all blocks: what it is, and what it does to each sequence."""

    def __init__(self, subject: _Subject, items: ItemFacts, name: str) -> None:
        values, encoders = subject.plan.values, list(subject.plan.encoders)
        self.name = name
        self.use = str(values["augmenters"][name.partition(".")[0]]["use"])
        self.mask = subject.assembly.model.items.mask_id
        self.tally = Tally(items)
        self._items = items
        self._readers = list(_readers(subject, name))
        asked = [values["objectives"][reader].get("encoder") for reader, _ in self._readers]
        self.encoder = next((one for one in asked if one in encoders), "main" if "main" in encoders else encoders[0])
        self._own = False
        self._first: Seen | None = None

    def read(self, seen: Seen, block: _Block) -> list[Augmented]:
        """Every sequence of a block."""
        view, batch = seen.view, block.batch
        self._first = self._first or seen
        same = view.layout.counts == batch.layout.counts and torch.equal(view.items, batch.items)
        self._own = self._own or ((seen.selected is not None or not same) and view.representation is None)
        items, edited = (_split(one, view.layout.counts) for one in (view.items, view.edited))
        counts = batch.layout.counts
        selected = [None] * len(counts) if seen.selected is None else _split(seen.selected, counts)
        confidence = [None] * len(counts) if seen.confidence is None else _split(seen.confidence, counts)
        representation = [None] * len(counts) if seen.representation is None else seen.representation.tolist()
        restored = [None] * len(counts) if seen.restored is None else seen.restored.tolist()
        found = []
        for number, original in enumerate(block.originals):
            placed = aligned(original, items[number], mask=self.mask, selected=selected[number], edited=edited[number])
            found.append(
                Augmented(
                    original=original,
                    items=items[number],
                    placed=judged(placed, original, block.facts[number], self._items, mask=self.mask),
                    selected=selected[number],
                    confidence=confidence[number],
                    representation=representation[number],
                    restored=restored[number],
                )
            )
        return found

    def facts(self) -> ViewFacts:
        """What has been seen of it."""
        roles = [f"{option} of {objective}" for objective, option in self._readers]
        negative = any(option.startswith("negative") for _, option in self._readers)
        words = None if self._own else self._words()
        return ViewFacts(self.name, self.use, tuple(roles), negative, words, self.tally.numbers())

    def _words(self) -> str | None:
        """In the place of items, where the view has none of its own."""
        if self._first is None:
            return None
        view, read = self._first.view, self._first.read
        if view.representation is not None:
            whose = "the sequence" if read[:1] in ((), ("clean",)) else read[0]
            return f"the items of {whose}; its own is the representation, which is made from theirs and not by reading them"
        if view.ask_restoration is not None:
            return "the original items, with what the diffusion makes of them at a drawn step behind them, to learn from"
        if view.embedded is not None:
            return "the original items with other vectors in the place of the item table's; there are no other items to show"
        return "the original items read once more, with another dropout; there are no other items to show"


def _readers(subject: _Subject, view: str) -> Iterator[tuple[str, str]]:
    """(objective, option) of every objective in use that has the view's name in an option."""
    in_use = {term.name for stage in subject.assembly.stages for update in stage.updates for term in update.terms}
    for objective, options in subject.plan.values.get("objectives", {}).items():
        for option, value in options.items() if objective in in_use else ():
            if view in _strings(value):
                yield objective, option


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _strings(one)


def _split(flat: Tensor, counts: Sequence[int]) -> list[tuple[Any, ...]]:
    """(N,) -> one tuple a sequence."""
    found, values, begin = [], flat.tolist(), 0
    for count in counts:
        found.append(tuple(values[begin : begin + count]))
        begin += count
    return found


class _MadeUp:
    """Adds up what a rewriter has put in front of sequences."""

    def __init__(self, items: ItemFacts) -> None:
        self._items = items
        self._users = 0
        self._come_true: list[bool] = []
        self._similarity: list[float] = []
        self._drifts: dict[str, list[float]] = {"popularity_drift": [], "percentile_drift": []}

    def add(self, original: Sequence[int], user: UserFacts) -> None:
        self._users += 1
        made_up, real = original[: user.made_up], list(original[user.made_up :])
        for item in made_up:
            self._come_true.append(item == user.valid or item in user.history)
            self._similarity.append(float(self._items.similarity([item] * len(real), real).mean()))
            for name, scale in (("popularity_drift", self._items.log_popularity), ("percentile_drift", self._items.percentile)):
                self._drifts[name].append(float(scale[item] - scale[real].mean()))

    def numbers(self) -> MadeUpNumbers:
        return MadeUpNumbers(
            per_user=len(self._come_true) / max(self._users, 1),
            come_true=_mean(self._come_true),
            similarity=_mean(self._similarity),
            **{name: _mean(drifts) for name, drifts in self._drifts.items()},
        )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


# ---- words and names ----


def _notes(subject: _Subject) -> Iterator[str]:
    plan, model = subject.plan, subject.assembly.model
    if not plan.augmenters and not plan.rewriters:
        yield f"{plan.name} has no augmenters: it is trained on the sequences as they are, so there is nothing to preview."
    elif not plan.augmenters:
        yield f"{plan.name} has no augmenters, so there are no views."
    for stage in subject.assembly.stages:
        if stage.rewrite is not None and model.context is None:
            use = plan.values["rewriters"][stage.rewrite]["use"]
            yield (
                f"The rewriter {stage.rewrite!r} ({use}) makes up items in front of the sequences when the stage "
                f"{stage.name!r} begins, with what the stages before it have learnt. They are to be seen in a finished run, "
                "not in an untrained recipe."
            )
        elif stage.rewrite is not None:
            yield f"The first items of a sequence may be made up, by the rewriter {stage.rewrite!r}; they are marked so."


def _user_named(split: Split, name: str) -> int:
    """The row of a user. Raises DataError where the data have no such user."""
    names = split.sequences.user_ids
    found = np.flatnonzero(names == name)
    if len(found):
        return int(found[0])
    known = names.tolist()
    example = ", ".join(known[:3])
    raise DataError(f"there is no user {name!r} in the data.{did_you_mean(name, known)} Users are called {example}, ...")


def _name(split: Split, item: int) -> tuple[str, str | None]:
    """(the source's name, title or None)"""
    if item > split.sequences.num_items:
        return "[MASK]", None
    name = str(split.sequences.item_ids[item])
    return name, split.sequences.titles.get(name)


def _vectors(assembly: Assembly) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(V + 2, D) the item table."""
    vectors: np.ndarray[Any, np.dtype[np.float32]] = assembly.model.items.weight.detach().float().cpu().numpy()
    return vectors
