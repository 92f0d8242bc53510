"""Which runs a page is about: one, all that lie in a folder, those of an ablation or of a reproduction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import SeqaugError
from ..evaluation.intervals import Estimate
from ..evaluation.metrics import METRICS
from ..report.contents import Closeness
from ..report.svg import embedded
from .folder import read_json
from .records import Record, find_records, read_record

__all__ = ["Source", "runs_in"]


@dataclass(frozen=True, slots=True)
class Source:
    """Finished runs, and what is known of them together.

    named: hash of a run -> its column; order: of the columns; reference, title: of a matrix, nothing elsewhere. pictures,
    closeness: figure 5 where it was made. notes: what is not there, in sentences.
    """

    records: tuple[Record, ...]
    named: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    reference: str | None = None
    title: str = ""
    pictures: tuple[str, ...] = ()
    closeness: tuple[Closeness, ...] = ()
    notes: tuple[str, ...] = ()


def runs_in(folder: Path) -> Source:
    """The finished runs that `folder` stands for. Raises SeqaugError, in words, where there are none."""
    if not folder.exists():
        raise SeqaugError(f"there is nothing at {folder}: a run folder, or a folder of runs, was expected.")
    if not folder.is_dir():
        raise SeqaugError(f"{folder} is a file: a run folder, or a folder of runs, was expected.")
    if (folder / "metrics.json").exists() or (folder / "resolved.json").exists():
        source = Source((read_record(folder),))
    elif (folder / "matrix.json").exists():
        source = _of_a_matrix(folder)
    elif (folder / "result.json").exists():
        source = _of_a_reproduction(folder)
    else:
        source = _below(folder)
    for record in source.records:
        _check(record)
    return source


def _check(record: Record) -> None:
    """Raises SeqaugError where a result lacks what every run of seqaug writes."""
    found = record.metrics
    missing = [key for key in ("best_epoch", "epochs", "seconds", "valid", "test_unseen") if key not in found]
    missing += [f"data.{key}" for key in ("sha256", "users", "items", "actions") if key not in found["data"]]
    missing += [f"seconds.{key}" for key in ("train", "evaluate", "per_epoch") if key not in found.get("seconds", {})]
    missing += [f"test.{name}" for name in METRICS if name not in found["test"]]
    if missing:
        raise SeqaugError(f"{record.folder / 'metrics.json'} is not the result of a run: it has no {', '.join(missing)}.")


def _below(folder: Path) -> Source:
    """Run folders right below, with the figures of the reproductions there."""
    found = find_records(folder)
    below = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    waiting = [path.name for path in below if (path / "resolved.json").exists() and not (path / "metrics.json").exists()]
    told = f"{_count(len(waiting), 'run')} did not come to an end and {'is' if len(waiting) == 1 else 'are'} not shown: "
    notes = (f"{told}{', '.join(waiting)}.",) if waiting else ()
    if not found:
        more = f" {notes[0]}" if notes else ""
        raise SeqaugError(f"no finished run in {folder}, nor in the folders right below it.{more}")
    source = Source(tuple(found), notes=notes)
    for path in below:
        if path.name.startswith("reproduce-fig5-") and (path / "result.json").exists():
            made = _figure_5(path, read_json(path / "result.json"))
            source = replace(
                source, pictures=(*source.pictures, *made.pictures), closeness=(*source.closeness, *made.closeness)
            )
    return source


def _of_a_matrix(folder: Path) -> Source:
    """The runs that an ablation's matrix.json names."""
    matrix = read_json(folder / "matrix.json")
    members = matrix.get("members", [])
    source = _members(folder, ((one["hash"], one["variant"], one["folder"]) for one in members))
    missing = sum(_place(folder, one["folder"]) is None for one in members)
    if missing:
        told = f"{missing} of the {_count(len(members), 'run')} of this matrix are not finished, or not here."
        source = replace(source, notes=(*source.notes, told))
    return replace(
        source,
        order=tuple(str(name) for name in matrix.get("variants", ())),
        reference=matrix.get("reference"),
        title=f"Ablation of {matrix['recipe']}" if matrix.get("recipe") else "",
    )


def _of_a_reproduction(folder: Path) -> Source:
    """The runs that a reproduction's result.json names."""
    result = read_json(folder / "result.json")
    if "artefact" not in result or "runs" not in result:
        raise SeqaugError(f"{folder} holds no runs: its result.json is not that of a reproduction.")
    source = _members(folder, ((one["hash"], one["column"], one["folder"]) for one in result["runs"]))
    made = _figure_5(folder, result)
    comparison = result.get("comparison") or {}
    return replace(
        source,
        order=tuple(str(name) for name in result.get("columns", ())),
        reference=comparison.get("reference"),
        title=str(result.get("title", "")),
        pictures=made.pictures,
        closeness=made.closeness,
        notes=(*source.notes, *([str(result["budget"])] if result.get("budget") else [])),
    )


def _members(folder: Path, members: Iterable[tuple[str, str, str]]) -> Source:
    """members: (hash, column, folder). Raises SeqaugError where no run of them is here."""
    records: dict[str, Record] = {}
    named: dict[str, str] = {}
    notes: dict[str, None] = {}
    for mark, column, written in members:
        place = _place(folder, written)
        if place is None:
            continue
        if mark not in records:
            records[mark], named[mark] = read_record(place), column
        elif named[mark] != column:
            notes[f"{column} is the same run as {named[mark]}: nothing was exchanged between them."] = None
    if not records:
        raise SeqaugError(f"no run that {folder} names is finished, or its folder is not here.")
    return Source(tuple(records.values()), named, notes=tuple(notes))


def _place(folder: Path, written: str) -> Path | None:
    """Where a finished run lies. Its folder was written as seen from where the command ran; it usually lies beside `folder`."""
    places = (Path(written), folder.parent / Path(written).name, folder / Path(written).name)
    return next((one for one in places if (one / "metrics.json").exists()), None)


def _figure_5(folder: Path, result: Mapping[str, Any]) -> Source:
    """The pictures and the numbers of figure 5, nothing of any other artefact."""
    if result.get("artefact") != "fig5":
        return Source(())
    files = [folder / Path(str(name)).name for name in result.get("figures", ())]
    drawn = (embedded(file.read_text(encoding="utf-8")) for file in files if file.exists())
    closeness = []
    for data, one in result.get("closeness", {}).items():
        rows = tuple(
            (str(name), _estimate(known["within"]), _estimate(known["random"]), _estimate(known["above"]))
            for name, known in one["variants"].items()
        )
        closeness.append(Closeness(str(data), rows, None if one["difference"] is None else _estimate(one["difference"])))
    return Source((), pictures=tuple(one for one in drawn if one is not None), closeness=tuple(closeness))


def _estimate(known: Mapping[str, Any]) -> Estimate:
    return Estimate(known["mean"], known["low"], known["high"], str(known.get("how", "")))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
