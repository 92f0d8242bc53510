"""Which runs are seeds of one method, and what a table calls it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .records import PROTOCOL, Record

__all__ = ["Method", "methods_of"]

_OF_THE_RECIPE = ("recipe", "default", "plugin default")
_FOLLOWS_THE_MACHINE = ("seeds", "users", "num_candidates", "targets_never_trained")


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """Runs that differ in nothing but the seed, by seed. name: unique on its data. data: one for all measured alike."""

    name: str
    data: str
    records: tuple[Record, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(record.seed for record in self.records)

    @property
    def first(self) -> Record:
        return self.records[0]


def methods_of(records: Iterable[Record], named: Mapping[str, str] | None = None) -> tuple[list[Method], list[str]]:
    """The methods in the order of their first runs, and what was left aside, in sentences.

    Equal is who has the same resolved values, plugin sources and precision; where resolved.json was not kept, the same recipe,
    protocol and number of parameters. A name is that of the recipe with what was changed in it, as far as methods here differ
    in that. named: hash of a run -> what it is called whatever it is.
    """
    kept, notes = _without_repetition(records)
    rows = _rows(kept)
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in kept:
        groups.setdefault((rows[id(record)], _identity(record)), []).append(record)
    methods = []
    for (row, _), members in groups.items():
        by_seed: dict[int, Record] = {}
        for record in members:
            if record.seed in by_seed:
                notes.append(f"{record.folder.name} repeats {by_seed[record.seed].folder.name}, which is shown.")
            by_seed.setdefault(record.seed, record)
        methods.append(Method("", row, tuple(by_seed[seed] for seed in sorted(by_seed))))
    return _named(methods, named or {}), notes


def _without_repetition(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """Runs of one hash are one run, wherever they lie."""
    found: dict[str, Record] = {}
    notes = []
    for record in records:
        mark = record.hash or str(record.folder)
        if mark in found:
            notes.append(f"{record.folder.name} is the run of {found[mark].folder.name} once more, and counts once.")
        found.setdefault(mark, record)
    return list(found.values()), notes


def _rows(records: Sequence[Record]) -> dict[int, str]:
    """id of a record -> the name of its data; with the hash, or a number, where one name stands for unlike things."""
    alike = {id(record): (record.metrics["data"]["sha256"], _text(_measured(record))) for record in records}
    names: dict[str, list[tuple[str, str]]] = {}
    for record in records:
        known = names.setdefault(record.data, [])
        if alike[id(record)] not in known:
            known.append(alike[id(record)])
    found = {}
    for record in records:
        known = names[record.data]
        sha, _ = alike[id(record)]
        name = record.data
        if len({one for one, _ in known}) > 1:
            name += f" ({sha[:8]})"
        same = [one for one in known if one[0] == sha]
        if len(same) > 1:
            name += f", protocol {same.index(alike[id(record)]) + 1}"
        found[id(record)] = name
    return found


def _measured(record: Record) -> dict[str, Any]:
    return {key: record.metrics["protocol"].get(key) for key in PROTOCOL}


def _identity(record: Record) -> str:
    if record.resolved is not None:
        identity = record.resolved["identity"]
        return _text({key: value for key, value in identity.items() if key not in ("seed", "data")})
    known = ("recipe", "parameters", "precision", "note")
    return _text({**{key: record.metrics.get(key) for key in known}, "protocol": _protocol(record)})


def _protocol(record: Record) -> dict[str, Any]:
    return {key: value for key, value in record.metrics["protocol"].items() if key not in _FOLLOWS_THE_MACHINE}


def _named(methods: Sequence[Method], named: Mapping[str, str]) -> list[Method]:
    """Give each method a name that no other on its data has."""
    changes = [_changes(method.first) for method in methods]
    of_recipe: dict[str, list[set[tuple[str, str]]]] = {}
    for method, change in zip(methods, changes, strict=True):
        of_recipe.setdefault(method.first.recipe, []).append(set(change.items()))
    common = {recipe: set.intersection(*some) for recipe, some in of_recipe.items()}
    found = []
    for method, change in zip(methods, changes, strict=True):
        given = next((named[mark] for record in method.records if (mark := record.hash or "") in named), None)
        told = [one for one in change.items() if one not in common[method.first.recipe] or one[0].startswith("ablation ")]
        # What was left out stands first.
        told.sort(key=lambda one: not one[0].startswith("ablation "))
        name = ", ".join([method.first.recipe, *dict.fromkeys(text for _, text in told)]).replace(", w/o", " w/o")
        found.append(replace(method, name=given or name))
    for tell in (_by_protocol, _by_folder):
        found = tell(found)
    return found


def _changes(record: Record) -> dict[str, str]:
    """What somebody changed in the recipe, by path: "contrast.weight=0.2", "gaussian", "w/o k_noise"."""
    if record.resolved is None:
        return {}
    values = dict(_places(record.resolved["values"]))
    found = {}
    for path, origin in record.resolved.get("origins", {}).items():
        if origin in _OF_THE_RECIPE or origin.startswith("variant "):
            continue
        if origin.startswith("ablation "):
            found[origin] = origin.removeprefix("ablation ")
            continue
        keys, value = path.split("."), values.get(path)
        text = value if isinstance(value, str) else _text(value)
        found[path] = text if keys[-1] == "use" else f"{'.'.join(keys[-2:])}={text}"
    return found


def _by_protocol(methods: Sequence[Method]) -> list[Method]:
    """Methods of one name get what their protocols differ in: the loss, the samples."""
    return _told_apart(methods, lambda method: dict(_leaves(_protocol(method.first))))


def _by_folder(methods: Sequence[Method]) -> list[Method]:
    return _told_apart(methods, lambda method: {"folder": method.first.folder.name})


def _told_apart(methods: Sequence[Method], facts: Any) -> list[Method]:
    found = []
    for method in methods:
        twins = [facts(one) for one in methods if (one.name, one.data) == (method.name, method.data)]
        if len(twins) == 1:
            found.append(method)
            continue
        own = facts(method)
        telling = [str(value) for path, value in own.items() if any(twin.get(path) != value for twin in twins)]
        found.append(replace(method, name=", ".join([method.name, *telling])))
    return found


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}")
    else:
        yield path, value if isinstance(value, str | int | float | bool | None) else _text(value)


def _places(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of everything in tables and lists, they themselves included."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        place = f"{path}.{key}" if path else str(key)
        yield place, one
        yield from _places(one, place)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
