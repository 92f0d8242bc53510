"""When to stop, and which weights were best."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

__all__ = ["EarlyStop"]


class EarlyStop:
    """Keeps the weights of the best validation and says when `patience` validations in a row have brought nothing better.

    A tie is no improvement: of equal validations the earliest is kept.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best = -math.inf
        self.best_epoch = -1
        self.without = 0
        self.weights: dict[str, Tensor] = {}

    def see(self, value: float, epoch: int, model: nn.Module) -> bool:
        """Note one validation; True where it is the best so far, whose weights are then copied."""
        if not value > self.best:
            self.without += 1
            return False
        self.best, self.best_epoch, self.without = value, epoch, 0
        self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        return True

    @property
    def exhausted(self) -> bool:
        return self.without >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Put the best weights back. Nothing was validated: the weights stay as they are."""
        if self.weights:
            model.load_state_dict(self.weights)

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "without": self.without, "weights": self.weights}

    def load(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch, self.without = state["best"], state["best_epoch"], state["without"]
        self.weights = state["weights"]
