"""One optimiser per part, so that an update can move some parts and leave the others alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ..core.assembly import Update
from ..core.recommender import Recommender
from ..core.world import ALONE, World

__all__ = ["Optimisers"]


class Optimisers:
    """One Adam for each part that any update moves. Adam works element by element, so this equals one Adam over all of them.

    learning_rate > 0, weight_decay >= 0 (added to the gradient).
    """

    def __init__(self, model: Recommender, updates: Iterable[Update], *, learning_rate: float, weight_decay: float) -> None:
        self._parts = model.parts()
        self._in_shares = model.run_in_shares()
        moved = [name for name in self._parts if any(name in update.moves for update in updates)]
        self._adams = {
            name: torch.optim.Adam(
                list(self._parts[name].parameters()), lr=learning_rate, weight_decay=weight_decay, fused=True
            )
            for name in moved
            if any(True for _ in self._parts[name].parameters())
        }

    def prepare(self, update: Update) -> None:
        """Clear the gradients; parts that `update` does not move get none while it runs."""
        for name, part in self._parts.items():
            moves = name in update.moves
            for parameter in part.parameters():
                parameter.grad = None
                parameter.requires_grad_(moves)

    def apply(self, update: Update, loss: Tensor, world: World = ALONE) -> None:
        """Backward, and one step of every part that `update` moves. A loss that no parameter feeds moves nothing."""
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
            world.sum_gradients(self._in_shares)
        for name in update.moves:
            if name in self._adams:
                self._adams[name].step()

    def state(self) -> dict[str, Any]:
        """As `torch.save` takes it and `torch.load(weights_only=True)` gives it back."""
        return {name: adam.state_dict() for name, adam in self._adams.items()}

    def load(self, state: dict[str, Any]) -> None:
        for name, adam in self._adams.items():
            adam.load_state_dict(state[name])
