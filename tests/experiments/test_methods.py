"""Which runs are seeds of one method, and what it is called."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from seqaug.experiments.methods import methods_of
from seqaug.experiments.records import Record

PROTOCOL = {
    "split": "leave-one-out", "candidates": "all items", "num_candidates": 40, "ties": "pessimistic",
    "samples": "sequences", "loss": {"recommendation": {"objective": "next_item_softmax", "weight": 1.0}},
}  # fmt: skip
VALUES = {"items": {"dim": 8}, "training": {"epochs": 3}, "noise": {"use": "similarity", "k": 3}}
PAPER = {"items.dim": "recipe", "training.epochs": "variant toy", "noise.use": "recipe", "noise.k": "plugin default"}


class Kept(Record):
    """A record whose resolved.json is given."""

    resolved: Any = None


def record(
    name: str = "run",
    recipe: str = "simdiffrec",
    *,
    seed: int = 0,
    data: str = "toy",
    sha256: str = "aa",
    changed: dict[str, tuple[Any, str]] | None = None,
    resolved: bool = True,
    plugin: str = "1",
    **metrics: Any,
) -> Record:
    values, origins = copy.deepcopy(VALUES), dict(PAPER)
    for path, (value, origin) in (changed or {}).items():
        table, key = path.split(".")
        values[table][key] = value
        origins[path] = origin
    protocol = {**PROTOCOL, "seeds": [seed], **metrics.pop("protocol", {})}
    found = Kept(
        Path("runs") / name,
        {
            "recipe": recipe, "data": {"name": data, "sha256": sha256}, "seed": seed, "protocol": protocol, "parameters": 5,
            "hash": f"{name}-{seed}", **metrics,
        },
    )  # fmt: skip
    identity = {"recipe": values, "data": sha256, "seed": seed, "precision": "float32", "plugins": {"noise": plugin}}
    vars(found)["resolved"] = {"identity": identity, "values": values, "origins": origins} if resolved else None
    return found


def named(*records: Record) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(method.name, method.data, method.seeds) for method in methods_of(records)[0]]


def test_runs_that_differ_in_the_seed_alone_are_one_method() -> None:
    assert named(record(seed=2), record(seed=0), record(seed=1)) == [("simdiffrec", "toy", (0, 1, 2))]


def test_another_value_another_plugin_source_or_other_data_is_another_method() -> None:
    found = named(record(), record("b", changed={"items.dim": (16, "-s")}), record("c", plugin="2"), record("d", data="big"))
    assert len(found) == 4 and len({(name, data) for name, data, _ in found}) == 4


def test_a_method_is_called_after_what_somebody_changed() -> None:
    found = named(
        record(),
        record("b", changed={"items.dim": (16, "-s")}),
        record("c", changed={"noise.use": ("gaussian", "flag --noise")}),
        record("d", changed={"noise.k": (9, "ablation w/o k_noise")}),
    )
    assert [name for name, _, _ in found] == [
        "simdiffrec",
        "simdiffrec, items.dim=16",
        "simdiffrec, gaussian",
        "simdiffrec w/o k_noise",
    ]


def test_what_all_runs_of_a_recipe_have_changed_is_not_said() -> None:
    short = {"training.epochs": (2, "flag --epochs")}
    found = named(
        record(changed=short), record("b", changed={**short, "items.dim": (16, "-s")}), record("c", "sasrec", changed={})
    )
    assert [name for name, _, _ in found] == ["simdiffrec", "simdiffrec, items.dim=16", "sasrec"]


def test_a_variant_of_the_recipe_is_no_change() -> None:
    assert named(record(changed={"items.dim": (16, "variant toy")})) == [("simdiffrec", "toy", (0,))]


def test_the_name_of_a_matrix_wins() -> None:
    methods, _ = methods_of([record("a")], {"a-0": "<mine>"})
    assert methods[0].name == "<mine>"


def test_what_has_no_resolved_values_is_told_apart_by_its_protocol_and_then_by_its_folder() -> None:
    plain = {"loss": {"recommendation": {"objective": "next_item_bce", "weight": 1.0}}}
    found = named(record("a", "sasrec", resolved=False), record("b", "sasrec", resolved=False, protocol=plain))
    assert [name for name, _, _ in found] == ["sasrec, next_item_softmax", "sasrec, next_item_bce"]
    found = named(record("a", "sasrec", resolved=False), record("b", "sasrec", resolved=False, note="stopped"))
    assert [name for name, _, _ in found] == ["sasrec, a", "sasrec, b"]


def test_data_of_one_name_and_two_hashes_are_two_data_sets() -> None:
    found = named(record(), record("b", sha256="bb"))
    assert [data for _, data, _ in found] == ["toy (aa)", "toy (bb)"]


def test_unlike_protocols_never_share_a_row() -> None:
    found = named(record(), record("b", protocol={"ties": "optimistic"}))
    assert [data for _, data, _ in found] == ["toy, protocol 1", "toy, protocol 2"]


def test_one_run_in_two_places_counts_once() -> None:
    methods, notes = methods_of([record("a", hash="x"), record("b", hash="x")])
    assert len(methods) == 1 and methods[0].seeds == (0,)
    assert notes == ["b is the run of a once more, and counts once."]
