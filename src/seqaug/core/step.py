"""One training step: everything that can be asked of a batch, computed when first asked for and kept until the step ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from ..data.batch import Batch
from ..data.layout import Layout
from ..errors import RecipeError, UnknownName, did_you_mean
from .items import ItemScores
from .seeds import Generators, derived, seeded
from .views import Evidence, View

if TYPE_CHECKING:
    from ..data.samples import Samples
    from .assembly import Assembly
    from .recommender import Recommender

__all__ = ["Step"]


class Step:
    """A batch on which views, hidden states and representations are computed on first request.

    seed: (run seed, stage, epoch, batch), under which every plugin draws; `update` is the position of the update in its
    stage, which only dropout depends on, so that views repeat between the updates of one batch.
    """

    def __init__(
        self,
        assembly: Assembly,
        samples: Samples,
        batch: Batch,
        *,
        epoch: int,
        seed: tuple[object, ...],
        update: int = 0,
        generators: Generators | None = None,
    ) -> None:
        self.assembly = assembly
        self.model: Recommender = assembly.model
        self.samples = samples
        self.batch = batch
        self.epoch = epoch
        self.update = update
        self.records: dict[str, tuple[Tensor, Tensor]] = {}
        self._seed = seed
        self._generators = generators or Generators(batch.items.device)
        self._host_generators = self._generators if self._generators.device.type == "cpu" else Generators()
        self._views: dict[str, View] = {}
        self._promised: dict[str, Callable[[], View]] = {}
        self._hidden: dict[tuple[str, str], Tensor] = {}
        self._latest: dict[tuple[str, str], Tensor] = {}
        self._under_way: list[str] = []

    # ---- what augmenters and objectives ask ----

    def view(self, name: str) -> View:
        """The view called "clean" or "<augmenter>.<view>", made by its augmenter on first request.

        Raises UnknownName where no augmenter makes it, RecipeError where views need each other in a ring.
        """
        found = self._views.get(name)
        if found is not None:
            return found
        if name == "clean":
            edited = torch.zeros(self.batch.layout.num_positions, dtype=torch.bool, device=self.batch.items.device)
            found = self._views["clean"] = View(self.batch.layout, self.batch.items, edited)
            return found
        owner = name.partition(".")[0]
        augmenter = self.assembly.augmenters.get(owner)
        known = [f"{own}.{view}" for own, one in self.assembly.augmenters.items() for view in one.view_names]
        if augmenter is None or name not in known:
            raise UnknownName(
                f"no augmenter makes a view {name!r}.{did_you_mean(name, known)} Known: {', '.join(['clean', *known])}"
            )
        if owner in self._under_way:
            ring = " -> ".join([*self._under_way[self._under_way.index(owner) :], owner])
            raise RecipeError(f"the views of these augmenters need each other in a ring: {ring}")
        self._under_way.append(owner)
        try:
            if name not in self._promised:
                made = augmenter.views(self)
                assert len(made) == len(augmenter.view_names), f"{owner!r} promised {augmenter.view_names}, made {len(made)}"
                for short, view in zip(augmenter.view_names, made, strict=True):
                    self._promised[f"{owner}.{short}"] = view if callable(view) else partial(_itself, view)
            self._views[name] = self._promised[name]()
        finally:
            self._under_way.pop()
        return self._views[name]

    def embedded(self, view: str = "clean") -> Tensor:
        """(N', D) the item vectors of a view."""
        seen = self.view(view)
        return seen.embedded if seen.embedded is not None else self.model.items(seen.items)

    def hidden(self, view: str = "clean", encoder: str = "main") -> Tensor:
        """(N', D) the states of an encoder on a view. Dropout follows (seed, update, encoder, view)."""
        key = (view, encoder)
        found = self._hidden.get(key)
        if found is None:
            seen = self.view(view)
            embedded = self.embedded(view)
            with self.dropout(f"encoders.{encoder}", view):
                found = self._hidden[key] = self.model.encode(embedded, seen.layout, encoder)
        return found

    def representation(self, view: str = "clean", encoder: str = "main", last: int = 1) -> Tensor:
        """(B, D) the view's own representation, or the mean of the states at each sequence's latest `last` positions."""
        seen = self.view(view)
        if seen.representation is not None:
            return seen.representation
        if last == 1 and self.samples.only_last:
            return self._last_state(view, encoder)
        hidden = self.hidden(view, encoder)
        return hidden[seen.layout.last()] if last == 1 else seen.layout.mean(hidden, last)

    def _last_state(self, view: str, encoder: str) -> Tensor:
        """(B, D). Rows that predict at their last position only have no use for the other states.

        A pass of its own even where all states are known: what is drawn must not hang on who asked before.
        """
        key = (view, encoder)
        found = self._latest.get(key)
        if found is None:
            embedded = self.embedded(view)
            with self.dropout(f"encoders.{encoder}", view):
                found = self._latest[key] = self.model.latest(embedded, self.view(view).layout, encoder)
        return found

    def aligned(self, view: str, otherwise: str) -> View:
        """The view of that name, which has to have the positions of the batch; else RecipeError, saying what is lost."""
        seen = self.view(view)
        if seen.layout.counts != self.batch.layout.counts:
            raise RecipeError(f"the view {str(view)!r} has other positions than the batch, so {otherwise}.")
        return seen

    def predicting(self, view: str = "clean", encoder: str = "main") -> tuple[Tensor, Tensor]:
        """(M, D) the states from which the batch's next items are to be told, and those items (M,).

        view: has the positions of the batch, else RecipeError; also where the batch has no targets (samples = "whole").
        """
        batch = self.batch
        self.aligned(view, "their next items are not known")
        if batch.predicted is None:
            return self.hidden(view, encoder), batch.targets
        if not len(batch.predicted):
            raise RecipeError('data.samples = "whole" gives no next items to predict; use "sequences" or "prefixes".')
        targets = batch.targets[batch.predicted]
        if self.samples.only_last:
            return self.representation(view, encoder), targets
        return self.hidden(view, encoder)[batch.predicted], targets

    def scores(self, hidden: Tensor, head: str | None = None) -> ItemScores:
        """The catalogue as seen from `hidden` (M, D), through a head where one is named."""
        return self.model.scores(hidden, head)

    def evidence(
        self,
        layout: Layout,
        items: Tensor,
        targets: Tensor,
        *,
        corrupted: Tensor | None = None,
        scores: Callable[[], ItemScores] | None = None,
    ) -> Evidence:
        """What selectors and samplers may know about these positions; every field as in `Evidence`.

        scores: called when somebody asks for them; None where nothing has been predicted yet.
        """
        evidence = Evidence(
            layout=layout,
            users=self.batch.users,
            items=items,
            targets=targets,
            histories=self.samples.histories,
            popularity=self.samples.popularity,
            num_items=self.samples.num_items,
            corrupted=corrupted,
        )
        return evidence if scores is None else replace(evidence, ask_scores=scores)

    def generator(self, plugin: object) -> Generator:
        """The generator of a plugin of this assembly, seeded by (seed, its path in the recipe)."""
        slot = self.assembly.slots[id(plugin)]
        return self._generators.get(slot, *self._seed)

    def host_generator(self, plugin: object) -> Generator:
        """As `generator`, but of the host, where the rows of the data are looked up."""
        return self._host_generators.get(self.assembly.slots[id(plugin)], *self._seed)

    def dropout(self, part: str, view: str) -> AbstractContextManager[None]:
        """A context in which dropout follows (seed, update, part, view)."""
        return seeded(derived(*self._seed, "dropout", self.update, part, view), self.batch.items.device)

    def record(self, name: str, amount: Tensor, out_of: Tensor) -> None:
        """Note a share (`amount` of `out_of`, summed over the epoch) for the epoch's report, e.g. "identity_rate"."""
        self.records[name] = (amount.detach(), out_of.detach())


def _itself(view: View) -> View:
    return view
