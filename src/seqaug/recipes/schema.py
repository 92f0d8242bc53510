"""The parts of a recipe that are not plugins: data, items, training, and what the recipe adds to an objective or a stage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DataOptions", "ItemsOptions", "Monitor", "Share", "StageOptions", "TrainingOptions", "UpdateOptions"]

Monitor = Literal[
    "hr@5", "hr@10", "hr@20", "ndcg@5", "ndcg@10", "ndcg@20", "mrr@5", "mrr@10", "mrr@20"
]  # fmt: skip
"""What training is judged by, on the validation items with seen items kept; more is better."""


class _Table(BaseModel):
    # Strict, because "64" for 64 is a slip of the pen and not a wish; frozen, because a plan is not changed but made anew.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class DataOptions(_Table):
    """`[data]`: how the training part of a data set becomes samples.

    max_length: only the latest so many items of a history are read. samples: one row a user, in which every position predicts
    (`sequences`); one row per prefix (`prefixes`); or all training items without targets (`whole`).
    prefix_targets: whether a prefix predicts at its `last` position or at `all` of them.
    """

    max_length: Annotated[int, Field(ge=1)] = 50
    samples: Literal["sequences", "prefixes", "whole"] = "sequences"
    prefix_targets: Literal["last", "all"] = "last"


class ItemsOptions(_Table):
    """`[items]`: the item table. dim: D, the width of every vector. bias: an output bias per item. std: of vectors at first."""

    dim: Annotated[int, Field(ge=1)] = 64
    bias: bool = False
    std: Annotated[float, Field(gt=0)] = 0.02


class TrainingOptions(_Table):
    """`[training]`: Adam, and when to stop.

    epochs: at most so many. validate_every: in epochs. patience: stop after so many validations without a better `monitor`.
    """

    epochs: Annotated[int, Field(ge=1)] = 300
    batch_size: Annotated[int, Field(ge=1)] = 256
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    validate_every: Annotated[int, Field(ge=1)] = 1
    patience: Annotated[int, Field(ge=1)] = 10
    monitor: Monitor = "ndcg@10"


class Share(_Table):
    """What the recipe adds to an objective's table: its weight in the total, and the epoch (0 is the first) it counts from."""

    weight: float = 1.0
    from_epoch: Annotated[int, Field(ge=0)] = 0


class UpdateOptions(_Table):
    """`[[stages.updates]]`: these objectives move these parts.

    moves: all parts where not given. weights: those of the objectives' own tables where not given.
    """

    moves: list[str] | None = None
    weights: dict[str, float] | None = None


class StageOptions(_Table):
    """`[[stages]]`. What is not given is as in `[training]`.

    epochs: at most so many; 0 leaves the stage out. monitor: "loss" goes by the training loss (less is better) and validates
    nothing. min_length: only users with so many training items make rows. reset: parts that start again from their initial
    weights. rewrite: a `[rewriters.NAME]` that runs when the stage begins, or "none"; what it makes stands in front of the
    rows of this stage and of all after it. updates: one that moves everything where not given.
    """

    name: str
    epochs: Annotated[int, Field(ge=0)] | None = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    validate_every: Annotated[int, Field(ge=1)] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    monitor: Literal[Monitor, "loss"] | None = None
    min_length: Annotated[int, Field(ge=1)] = 1
    reset: list[str] = []
    rewrite: str = "none"
    updates: Annotated[list[UpdateOptions], Field(min_length=1)] = [UpdateOptions()]
