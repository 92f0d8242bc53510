"""What a finished run reports: metrics.json, as a function of what happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..data.sequences import UserSequences
from ..evaluation.metrics import metrics
from ..evaluation.ranking import Ranks
from .environment import now, peak_device_memory, peak_memory
from .files import replacing

if TYPE_CHECKING:
    from ..core.assembly import Assembly
    from .prepare import Prepared

__all__ = ["protocol", "result", "scores", "write_per_user"]


def scores(valid: Ranks, test: Ranks) -> dict[str, dict[str, float]]:
    """The nine metrics of `valid` and `test` (seen items kept) and of `test_unseen` (seen items removed)."""
    return {"valid": metrics(valid.rank), "test": metrics(test.rank), "test_unseen": metrics(test.rank_unseen)}


def result(
    prepared: Prepared,
    assembly: Assembly,
    *,
    valid: Ranks,
    test: Ranks,
    best_epoch: int,
    events: Sequence[Mapping[str, Any]],
    seconds_evaluate: float,
    peak_before: int,
    threads: int,
) -> dict[str, Any]:
    """metrics.json. Epochs count from 1; seconds are of all starts of the run together.

    seconds_evaluate: of the final ranking; validations between epochs are in the events. peak_before: the most memory an
    earlier, interrupted start has had.
    """
    settings, plan, loaded = prepared.settings, prepared.plan, prepared.loaded
    sequences = loaded.sequences
    train = sum(float(event["seconds"]["train"]) for event in events)
    validate = sum(float(event["seconds"]["valid"]) for event in events)
    found: dict[str, Any] = {
        "schema": 1,
        "seqaug": __version__,
        "recipe": plan.name,
        "data": {
            "name": loaded.name,
            "sha256": loaded.sha256,
            "users": sequences.num_users,
            "items": sequences.num_items,
            "actions": sequences.num_actions,
        },
        "seed": settings.seed,
        "best_epoch": best_epoch,
        "epochs": len(events),
        **scores(valid, test),
        "protocol": protocol(prepared, assembly),
        "seconds": {
            "train": round(train, 3),
            "evaluate": round(validate + seconds_evaluate, 3),
            "per_epoch": round(train / len(events), 3) if events else 0.0,
        },
        "peak_memory_bytes": max(peak_before, peak_memory()),
        "parameters": _trained(assembly),
        "device": str(prepared.device),
        "precision": settings.precision,
        "threads": threads,
        "finished": now(),
    }
    on_device = peak_device_memory(prepared.device)
    if on_device is not None:
        found["peak_device_memory_bytes"] = on_device
    return found


def _trained(assembly: Assembly) -> int:
    """How many numbers any stage moves."""
    moved = {name for stage in assembly.stages for update in stage.updates for name in update.moves}
    parts = assembly.model.parts()
    return sum(parameter.numel() for name in moved for parameter in parts[name].parameters())


def protocol(prepared: Prepared, assembly: Assembly) -> dict[str, Any]:
    """How the numbers came about: two results compare only where these agree (the loss and the seed excepted)."""
    plan, split = prepared.plan, prepared.split
    objectives = plan.values.get("objectives", {})
    losses = {
        term.name: {
            "objective": objectives.get(term.name, {}).get("use", term.name),
            "weight": term.weight,
            "from_epoch": term.from_epoch,
        }
        for stage in assembly.stages
        for update in stage.updates
        for term in update.terms
    }
    cold = int((split.popularity[split.test.targets] == 0).sum())
    return {
        "split": "leave-one-out by user: the last item is the test, the one before it the validation, the rest is training",
        "users": {"valid": len(split.valid.users), "test": len(split.test.users)},
        "seen_items": {"valid": "kept", "test": "kept", "test_unseen": "removed"},
        "candidates": "all items",
        "num_candidates": split.sequences.num_items,
        "targets_never_trained": cold,
        "ties": "pessimistic: the target comes last among equal scores",
        "average": "over all users, targets that were never trained included",
        "selection": {"metric": plan.training.monitor, "on": "valid", "seen_items": "kept", "weights": "best validation"},
        "samples": plan.data.samples,
        "prefix_targets": plan.data.prefix_targets,
        "max_length": plan.data.max_length,
        "made_up_context": assembly.scoring_context is not None,
        "loss": losses,
        "seeds": [prepared.settings.seed],
    }


def write_per_user(path: Path, sequences: UserSequences, ranks: Ranks) -> None:
    """per_user.npz: `user`, `target` as the source names them (numpy U strings); `rank`, `rank_unseen` (int64, 1 is best)."""
    with replacing(path) as file:
        np.savez_compressed(
            file,
            user=_strings(sequences.user_ids[ranks.users]),
            target=_strings(sequences.item_ids[ranks.targets]),
            rank=ranks.rank.astype(np.int64),
            rank_unseen=ranks.rank_unseen.astype(np.int64),
        )


def _strings(names: Iterable[str]) -> np.ndarray[Any, np.dtype[np.str_]]:
    return np.asarray(names, dtype=np.str_)
