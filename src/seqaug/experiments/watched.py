"""What happens while an augmenter makes a view: what its selectors chose, what they were told, whose views it read.

No augmenter is known here by name. A view is asked for on a step of its own, so that all that is noticed belongs to it; named
randomness makes it the view that any other step of the same seed would have had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..core.assembly import Assembly
from ..core.items import ItemScores
from ..core.seeds import Generators
from ..core.step import Step
from ..core.views import Evidence, View
from ..data.batch import Batch
from ..data.samples import Samples
from ..errors import RecipeError

__all__ = ["Seen", "Watch", "watching"]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One view of a batch of B sequences and N positions, and what was noticed while it was made.

    selected: (N,) bool, the positions that a selector chose for it; None where no selector chose, or the view has other
    positions than the batch. confidence: (N,) the probability of the most likely item at each position that something was
    predicted at, NaN elsewhere; None where nothing was. representation: (B,) cosine between the representations of the view
    and of the batch, None where their widths differ. restored: (B,) at how many positions the most likely item of the
    diffusion behind an untouched view is the original; None for other views. read: the views that it was made from.
    """

    view: View
    selected: Tensor | None
    confidence: Tensor | None
    representation: Tensor | None
    restored: Tensor | None
    read: tuple[str, ...]


class Watch:
    """Looks at the views of an assembly; see `watching`."""

    def __init__(self, assembly: Assembly, samples: Samples) -> None:
        self.assembly = assembly
        self.samples = samples
        self._generators = Generators(samples.device)
        self._step: _WatchedStep | None = None

    @torch.no_grad()
    def look(self, batch: Batch, name: str, *, encoder: str, seed: tuple[object, ...]) -> Seen:
        """The view of that name. encoder: whose representations are compared. seed: as a Step takes it."""
        step = _WatchedStep(self.assembly, self.samples, batch, epoch=0, seed=seed, generators=self._generators)
        self._step = step
        view = step.view(name)
        self._step = None
        selected = _selected(step, name)
        untouched = selected is None and _has_positions_of(view, batch) and torch.equal(view.items, batch.items)
        return Seen(
            view=view,
            selected=selected,
            confidence=_confidence(step, name, selected),
            representation=_cosines(step, name, encoder),
            restored=_restored(view) if untouched else None,
            read=tuple(dict.fromkeys(step.read[name])),
        )

    def note(self, evidence: Evidence, chosen: Tensor | None) -> None:
        """A selector of an augmenter chose, or (None) a sampler was asked."""
        if self._step is not None and self._step.making:
            self._step.asked[self._step.making[-1]].append((evidence, chosen))


@contextmanager
def watching(assembly: Assembly, samples: Samples) -> Iterator[Watch]:
    """A watch over the selectors and samplers of all augmenters. Inside the model is in training mode, as they know it."""
    watch = Watch(assembly, samples)
    model = assembly.model
    was_training = model.training
    watched: list[tuple[Any, str]] = []
    try:
        once = {id(plugin): (path, plugin) for path, plugin in assembly.plugins.items()}  # one may stand in two places
        for path, plugin in once.values():
            for method in ("select", "sample") if path.startswith("augmenters.") else ():
                if callable(getattr(plugin, method, None)) and _replaced(plugin, method, watch):
                    watched.append((plugin, method))
        for plugin in assembly.plugins.values():
            start_epoch = getattr(plugin, "start_epoch", None)
            if start_epoch is not None:
                start_epoch(model.items, 0)
        model.train()
        yield watch
    finally:
        model.train(was_training)
        for plugin, method in watched:
            delattr(plugin, method)


def _replaced(plugin: Any, method: str, watch: Watch) -> bool:
    """Let one object's method tell the watch. False where the object takes no attributes: then it stays unseen."""
    own = getattr(plugin, method)

    def told(evidence: Evidence, *rest: Any, **named: Any) -> Tensor:
        found: Tensor = own(evidence, *rest, **named)
        watch.note(evidence, found if method == "select" else None)
        return found

    try:
        setattr(plugin, method, told)
    except AttributeError:
        return False
    return True


class _WatchedStep(Step):
    """A step that remembers for which view what was asked. All three are by the name of the view that was being made."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.making: list[str] = []
        self.read: dict[str, list[str]] = defaultdict(list)
        self.asked: dict[str, list[tuple[Evidence, Tensor | None]]] = defaultdict(list)
        self.predicted: dict[str, list[ItemScores]] = defaultdict(list)

    def view(self, name: str) -> View:
        if self.making:
            self.read[self.making[-1]].append(name)
        self.making.append(name)
        try:
            return super().view(name)
        finally:
            self.making.pop()

    def scores(self, hidden: Tensor, head: str | None = None) -> ItemScores:
        found = super().scores(hidden, head)
        if self.making:
            self.predicted[self.making[-1]].append(found)
        return found


def _has_positions_of(view: View, batch: Batch) -> bool:
    return view.layout.counts == batch.layout.counts


def _selected(step: _WatchedStep, name: str) -> Tensor | None:
    """(N,) bool. The last choice that covers all that the view changes; else that of the view it was made from."""
    if name == "clean":
        return None
    view, batch = step.view(name), step.batch
    if not _has_positions_of(view, batch):
        return None
    choices = [chosen for _, chosen in step.asked[name] if chosen is not None and chosen.shape == batch.items.shape]
    if choices and bool((view.items == step.model.items.mask_id).any()):
        return view.edited  # what is masked is what was chosen, whatever was drawn on the way
    changed = view.items != batch.items
    for chosen in reversed(choices):
        if not bool((changed & ~chosen).any()):
            return chosen
    found = (_selected(step, source) for source in dict.fromkeys(step.read[name]))
    return next((one for one in found if one is not None and not bool((changed & ~one).any())), None)


def _confidence(step: _WatchedStep, name: str, selected: Tensor | None) -> Tensor | None:
    """(N,). From what selectors and samplers were told, else from what the augmenter asked of the catalogue itself."""
    size = step.batch.layout.num_positions
    if not _has_positions_of(step.view(name), step.batch):
        return None
    for evidence, _ in reversed(step.asked[name]):
        try:
            scores = evidence.scores
        except RecipeError:
            continue  # nothing had been predicted where it stood
        if scores.size == size:
            return scores.confidence()
    for scores in reversed(step.predicted[name]):
        if scores.size == size:
            return scores.confidence()
        if selected is not None and scores.size == int(selected.sum()):
            found = torch.full((size,), float("nan"), device=step.batch.items.device)
            found[selected] = scores.confidence()
            return found
    return None


def _cosines(step: _WatchedStep, name: str, encoder: str) -> Tensor | None:
    """(B,)"""
    own, original = step.representation(name, encoder), step.representation("clean", encoder)
    return functional.cosine_similarity(own, original, dim=1) if own.shape == original.shape else None


def _restored(view: View) -> Tensor | None:
    """(B,)"""
    restoration = view.restoration
    if restoration is None:
        return None
    best = restoration.scores.top(1)[0][:, 0]
    layout = restoration.layout
    found = torch.zeros(layout.num_sequences, dtype=torch.int64, device=best.device)
    return found.index_add_(0, layout.sequence, (best == restoration.items).long())
