"""Metrics on ranks: one held-out item per user, so a rank says everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["CUTOFFS", "METRICS", "metrics", "per_user"]

CUTOFFS = (5, 10, 20)
METRICS = tuple(f"{name}@{k}" for name in ("hr", "ndcg", "mrr") for k in CUTOFFS)
"""The nine that every run reports."""


def per_user(rank: NDArray[np.int64], name: str) -> NDArray[np.float64]:
    """(R,) ranks, 1 is best -> (R,) one metric of each user, in [0, 1]. name: "hr@10", "ndcg@5", "mrr@20", ...

    hr = 1 where rank <= k; ndcg = 1 / log2(rank + 1) there (the ideal is 1); mrr = 1 / rank there; 0 elsewhere.
    """
    kind, _, cutoff = name.partition("@")
    hit = rank <= int(cutoff)
    if kind == "hr":
        return hit.astype(np.float64)
    if kind == "ndcg":
        return np.where(hit, 1 / np.log2(rank + 1.0), 0.0)
    if kind == "mrr":
        return np.where(hit, 1 / rank, 0.0)
    raise ValueError(f"no metric is called {name!r}; known: {', '.join(METRICS)}")


def metrics(rank: NDArray[np.int64], names: Sequence[str] = METRICS) -> dict[str, float]:
    """The mean of each metric over all users, cold targets included."""
    assert len(rank), "there is no user to average over"
    return {name: float(per_user(rank, name).mean()) for name in names}
