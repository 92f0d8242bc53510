"""One batch of training rows or of histories to score."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .layout import Layout

__all__ = ["Batch"]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B histories in ragged form, and what followed each of their positions.

    rows: (B,) numbers of the samples, for whoever looks up others like them, and always on the host, where they are looked up.
    users: (B,) row of the user in the data.
    items: (N,) ids in 1..V, oldest first. targets: (N,) the item that followed each position, 0 where none is to be predicted:
    samples = "sequences" know every position's target, "prefixes" only the last one's (or every one's, by option),
    "whole" none, and neither do the histories that a scorer gets.
    """

    rows: Tensor
    users: Tensor
    layout: Layout
    items: Tensor
    targets: Tensor
    predicted: Tensor | None = None
    """(M,) flat indices of the positions with a target, or None when every position has one."""

    @property
    def size(self) -> int:
        """B."""
        return self.layout.num_sequences

    def to(self, device: torch.device | str) -> Batch:
        device = torch.device(device)
        if device == self.items.device:
            return self
        if self.items.device.type != "cpu":
            return replace(
                self,
                users=self.users.to(device),
                layout=self.layout.to(device),
                items=self.items.to(device),
                targets=self.targets.to(device),
                predicted=None if self.predicted is None else self.predicted.to(device),
            )
        own = [self.users, self.items, self.targets, *([] if self.predicted is None else [self.predicted])]
        layout, (users, items, targets, *predicted) = self.layout.along(own, device)
        return replace(
            self,
            users=users,
            layout=layout,
            items=items,
            targets=targets,
            predicted=predicted[0] if predicted else None,
        )
