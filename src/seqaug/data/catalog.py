"""Data sets by name: the known ones, and those that the user has imported.

A name is looked for in the folders of $SEQAUG_DATA, then on the user's shelf (`seqaug.data.shelf`), then in the package.
Nothing is fetched unless `fetch` is called.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import DataError, did_you_mean
from . import shelf
from .download import Progress, download
from .formats.titles import read_titles, titles_through
from .known import KNOWN, KnownData, fingerprint, what_differs
from .readers import Columns, Duplicates, Order, Reading, format_of, prepared, read
from .sequences import Statistics, UserSequences

__all__ = [
    "KNOWN",
    "Entry",
    "KnownData",
    "Loaded",
    "Place",
    "data_names",
    "entries",
    "fetch",
    "find",
    "find_by_hash",
    "import_file",
    "places",
    "what_differs",
    "where",
]

BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A data set, ready for use.

    sha256: that of the sequences as they are here, after all options. path: the file or folder they came from.
    options: what was asked for beyond the data set's own preparation, fit for JSON.
    `find_by_hash(sha256, hint=reference, options=options)` gives the same again.
    """

    name: str
    sequences: UserSequences
    sha256: str
    path: Path
    format: str
    notes: list[str]
    dropped_users: int
    options: dict[str, Any]
    known: KnownData | None

    @property
    def reference(self) -> str:
        """What finds it again: its name, or for a file the absolute path."""
        return str(self.path.absolute()) if self.known is None and self.format != "shelf" else self.name


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the catalogue. where: None when it is not on this machine."""

    name: str
    about: str
    terms: str
    imported: bool
    where: Path | None
    bundled: bool
    statistics: Statistics | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which data sets are looked for."""

    label: str
    path: Path
    exists: bool


def places() -> list[Place]:
    """Where data sets are looked for, in this order."""
    own = [Path(folder).expanduser() for folder in os.environ.get("SEQAUG_DATA", "").split(os.pathsep) if folder]
    labelled = [("SEQAUG_DATA", folder) for folder in own] + [("your data sets", shelf.data_folder()), ("the package", BUNDLED)]
    return [Place(label, path, path.is_dir()) for label, path in labelled]


def data_names() -> list[str]:
    """Every name that `find` takes: the known ones in the order of the catalogue, then the imported ones."""
    imported = {name for place in places() for name in shelf.shelved(place.path)} - set(KNOWN)
    return [*KNOWN, *sorted(imported)]


def entries() -> list[Entry]:
    """The catalogue with what is here and what is not. Reads no data; a damaged shelf entry has no statistics."""
    return [_entry(name) for name in data_names()]


def where(name: str) -> Path | None:
    """The file or folder that `name` would be read from; None for a known data set that is not on this machine.

    Raises DataError for a name that nobody knows.
    """
    if name not in data_names():
        raise _unknown(name)
    return next(_copies(name), None)


def find(
    name_or_path: str | Path,
    *,
    columns: Columns | None = None,
    duplicates: Duplicates | None = None,
    k_core: int | None = None,
    min_rating: float | None = None,
    period: tuple[str, str] | None = None,
    order: Order = "time",
    titles: str | Path | None = None,
) -> Loaded:
    """The data set of that name, or in that file. A name wins over a file in the current folder; `./beauty` is the file.

    duplicates, k_core: None for the data set's own preparation (a file: all kept, no k-core). The other options are for
    files only. A known data set is compared with its expected hash, else with its expected counts.
    Raises DataError where there is no such data set, or it is not here, or it is not what its name says.
    """
    of_files = {"columns": columns, "min_rating": min_rating, "period": period, "titles": titles}
    asked = {name: value for name, value in of_files.items() if value is not None} | (
        {} if order == "time" else {"order": order}
    )
    name = name_or_path if isinstance(name_or_path, str) else None
    if name is not None and name in data_names():
        if asked:
            raise DataError(f"{', '.join(asked)}: only for files. The data set {name} is prepared already.")
        return _find_named(name, duplicates, k_core)
    path = Path(name_or_path).expanduser()
    if name is not None and not path.exists() and path.name == name and "." not in name:
        raise _unknown(name)
    reading = read(
        path,
        columns=columns,
        duplicates=duplicates or "keep",
        k_core=k_core or 0,
        min_rating=min_rating,
        period=period,
        order=order,
        titles=titles,
    )
    same = next((known.name for known in KNOWN.values() if reading.sequences.sha256 in known.sha256), None)
    if same:
        reading.notes.append(f"these are the sequences of the known data set {same}")
    options = {"duplicates": duplicates, "k_core": k_core or None, "min_rating": min_rating, "period": period, "order": order}
    return Loaded(
        name=path.name.removesuffix(".gz").rsplit(".", 1)[0],
        sequences=reading.sequences,
        sha256=reading.sequences.sha256,
        path=path,
        format=reading.format,
        notes=reading.notes,
        dropped_users=reading.dropped_users,
        options=_options(options, columns, titles),
        known=None,
    )


def find_by_hash(sha256: str, *, hint: str | Path | None = None, options: Mapping[str, Any] | None = None) -> Loaded:
    """The data set whose sequences have this hash.

    hint, options: where it was and how it was prepared (`Loaded.reference`, `Loaded.options`), tried first; then every
    data set on this machine, with those options and without.
    Raises DataError, listing what was tried, where there is none.
    """
    wanted = dict(options or {})
    tried: list[str] = []
    if hint is not None:
        try:
            loaded = find(hint, **_arguments(wanted))
            if loaded.sha256 == sha256:
                return loaded
            tried.append(f"{hint} (now {loaded.sha256[:12]}…)")
        except DataError as reason:
            tried.append(f"{hint} ({reason})")
    simple = {name: wanted[name] for name in ("duplicates", "k_core") if name in wanted}
    for name in data_names():
        for attempt in [simple, {}] if simple else [{}]:
            try:
                loaded = find(name, **attempt)
            except DataError:
                continue
            if loaded.sha256 == sha256:
                return loaded
            tried.append(f"{name}{' with the same options' if attempt else ''}")
    raise DataError(
        f"no data set on this machine has the sequences {sha256[:12]}…. Tried: {'; '.join(tried) or 'none is here'}. "
        "Name the file with --data, or import it."
    )


def import_file(
    path: str | Path,
    name: str,
    *,
    columns: Columns | None = None,
    duplicates: Duplicates = "keep",
    k_core: int = 0,
    min_rating: float | None = None,
    period: tuple[str, str] | None = None,
    order: Order = "time",
    titles: str | Path | None = None,
    replace: bool = False,
) -> Loaded:
    """Read a file once and keep it under `name`, for `find(name)`.

    The name of a known data set is for that data set only: its official file, fetched by hand, or the form in circulation.
    Raises DataError for a name that is taken (unless `replace`), a name that cannot be one, or a file that `read` refuses.
    """
    shelf.check_name(name)
    path = Path(path).expanduser()
    options = {"duplicates": duplicates, "k_core": k_core or None, "min_rating": min_rating, "period": period, "order": order}
    asked = _options(options, columns, titles)
    place = shelf.data_folder() / name
    if place.exists() and not replace:
        raise DataError(f"there is a data set {name!r} already ({place}). Choose another name, or replace it with --replace.")
    if name in KNOWN:
        if asked:
            raise DataError(f"{', '.join(asked)}: {name} is a known data set with its own preparation. Choose another name.")
        reading, source = _official(path, KNOWN[name]), str(path.absolute())
        notes = _verified(reading.sequences, KNOWN[name], path, "Import it under a name of your own to use it as it is.")
        reading.notes.extend(notes)
    else:
        reading, source = (
            read(
                path,
                columns=columns,
                duplicates=duplicates,
                k_core=k_core,
                min_rating=min_rating,
                period=period,
                order=order,
                titles=titles,
            ),
            str(path.absolute()),
        )
    _shelve(place, reading, source, path, asked)
    return _on_shelf(name, place)


def fetch(name: str, progress: Progress | None = None, *, address: str | None = None, again: bool = False) -> Loaded:
    """Bring a known data set from its official address, or from a mirror's `address`, and put it on the shelf.

    What is here already is not fetched `again` unless asked for. progress: called with the bytes that have arrived and
    the bytes in all (None where unknown). A download that broke off goes on where it stopped.
    Raises DataError where there is nothing to fetch, the address fails, or the file is not the expected one.
    """
    if name not in KNOWN:
        if name in data_names():
            raise DataError(f"{name} was imported from a file; there is no address to fetch it from.")
        raise _unknown(name)
    data = KNOWN[name]
    here = where(name)
    if here is not None and (not again or (data.address is None and not data.by_hand)):
        return find(name)
    if data.part_of:
        fetch(data.part_of, progress, address=address, again=again)
        return find(name)
    if data.by_hand:
        raise DataError(data.by_hand)
    assert data.address is not None, f"{name} is neither in the package nor anywhere else"
    url = address or data.address.url
    file = shelf.downloads_folder() / Path(data.address.url).name
    download(
        url,
        file,
        progress=progress,
        sha256=data.address.sha256,
        md5=data.address.md5,
        alternative=f"Fetch it elsewhere and run `seqaug data import FILE --name {name}`.",
    )
    try:
        reading = _official(file, data)
        reading.notes.extend(_verified(reading.sequences, data, file, "It was deleted."))
        place = shelf.data_folder() / name
        _shelve(place, reading, url, file, {})
    finally:
        # What was turned into sequences is no longer needed, and what could not be would only fail again.
        file.unlink(missing_ok=True)
    return _on_shelf(name, place)


def _entry(name: str) -> Entry:
    here = where(name)
    known = KNOWN.get(name)
    if known is not None:
        bundled = here is not None and here.is_relative_to(BUNDLED)
        address = known.address.url if known.address else None
        return Entry(name, known.about, known.terms, False, here, bundled, known.statistics, address)
    assert here is not None
    try:
        facts = shelf.about(here)
        about = f"imported from {facts.get('source', 'a file')}"
        counts = {field.name: facts["statistics"][field.name] for field in fields(Statistics)}
        return Entry(name, about, "", True, here, False, Statistics(**counts), None)
    except (DataError, KeyError, TypeError):
        return Entry(name, "damaged", "", True, here, False, None, None)


def _copies(name: str) -> Iterator[Path]:
    """Every place on this machine that holds `name`, best first."""
    known = KNOWN.get(name)
    for place in places():
        if name in shelf.shelved(place.path):
            yield place.path / name
        for file in known.files if known else ():
            yield from (path for path in (place.path / file, place.path / f"{file}.gz") if path.is_file())
    if known and known.part_of:
        yield from _copies(known.part_of)


def _find_named(name: str, duplicates: Duplicates | None, k_core: int | None) -> Loaded:
    known = KNOWN.get(name)
    own_core = known.k_core if known else 0
    core = own_core if k_core is None else k_core
    # A shelf keeps the prepared form, of which a smaller core than its own cannot be had.
    path = next((path for path in _copies(name) if core >= own_core or path.is_file()), None)
    if path is None:
        raise _not_here(name, smaller=next(_copies(name), None))
    if path.is_file():
        assert known is not None
        reading = read(path, k_core=own_core)
        notes = [note for note in reading.notes if not note.startswith(("titles: ", "no titles: "))]
        loaded = _loaded(name, _with_titles(reading.sequences, known, path), path, reading.format, notes, reading.dropped_users)
    else:
        loaded = _on_shelf(name, path)
        if path.name != name:
            sequences, dropped, notes = prepared(loaded.sequences, k_core=own_core, source=name)
            loaded = _loaded(name, sequences, path, loaded.format, [*loaded.notes, *notes], dropped)
    if known:
        advice = f"To use it as it is, name the file: --data {path}" if path.is_file() else f"Delete {path} and fetch it again."
        loaded.notes.extend(_verified(loaded.sequences, known, path, advice))
    if core == own_core and duplicates in (None, "keep"):
        return loaded
    options = {"duplicates": duplicates, "k_core": k_core}
    if core < own_core:
        raw = read(path, duplicates=duplicates or "keep", k_core=core)
        sequences, dropped, notes = _with_titles(raw.sequences, known, path), raw.dropped_users, raw.notes
    else:
        sequences, dropped, notes = prepared(loaded.sequences, duplicates=duplicates or "keep", k_core=core, source=name)
    return _loaded(name, sequences, path, loaded.format, notes, dropped, _options(options, None, None))


def _loaded(
    name: str,
    sequences: UserSequences,
    path: Path,
    format: str,
    notes: list[str],
    dropped_users: int,
    options: dict[str, Any] | None = None,
) -> Loaded:
    return Loaded(name, sequences, sequences.sha256, path, format, notes, dropped_users, options or {}, KNOWN.get(name))


def _on_shelf(name: str, place: Path) -> Loaded:
    sequences = shelf.load(place)
    facts = shelf.about(place)
    notes = [str(note) for note in facts.get("notes", [])]
    return _loaded(name, sequences, place, "shelf", notes, int(facts.get("dropped_users", 0)))


def _shelve(place: Path, reading: Reading, source: str, file: Path, options: Mapping[str, Any]) -> None:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    facts = {
        "source": source,
        "source_sha256": digest,
        "format": reading.format,
        "options": dict(options),
        "notes": reading.notes,
        "dropped_users": reading.dropped_users,
    }
    shelf.save(reading.sequences, place, facts)


def _official(path: Path, known: KnownData) -> Reading:
    """The official file of a known data set, or the form in circulation, after the preparation that its counts are of."""
    if path.is_file() and zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory(prefix="seqaug-") as temporary:
            return read(_unzipped(path, Path(temporary)), k_core=known.k_core)
    timed = known.period is not None and format_of(path) != "sequences"
    return read(path, k_core=known.k_core, period=known.period if timed else None)


def _unzipped(archive: Path, folder: Path) -> Path:
    """ratings.dat of a MovieLens archive, movies.dat beside it."""
    try:
        with zipfile.ZipFile(archive) as members:
            for wanted in ("ratings.dat", "movies.dat"):
                inside = next((member for member in members.namelist() if Path(member).name == wanted), None)
                if inside is None:
                    raise DataError(f"{archive} has no {wanted} inside.")
                (folder / wanted).write_bytes(members.read(inside))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise DataError(f"{archive} is a broken zip archive ({error}).") from None
    return folder / "ratings.dat"


def _verified(sequences: UserSequences, known: KnownData, path: Path, advice: str) -> list[str]:
    """Notes on what is other than expected but harmless. Raises DataError where this is another data set."""
    if sequences.sha256 in known.sha256:
        return []
    differences = what_differs(sequences, known)
    if differences:
        raise DataError(f"{path} is not the data set {known.name}: it has {', '.join(differences)}. {advice}")
    if fingerprint(sequences) == known.fingerprint:
        return []
    return [
        f"{known.name}: all counts are as expected, but some histories are not those of the file in circulation; "
        "perhaps actions of one moment stand in another order"
    ]


def _with_titles(sequences: UserSequences, known: KnownData | None, path: Path) -> UserSequences:
    """The titles of a data set that numbers its items anew, where the two files they need stand beside it."""
    if known is None or known.titles is None or sequences.titles:
        return sequences
    found = [
        next((file for file in (path.with_name(name), path.with_name(f"{name}.gz")) if file.is_file()), None)
        for name in known.titles
    ]
    if found[0] is None or found[1] is None:
        return sequences
    titles = titles_through(found[1], read_titles(found[0]))
    return UserSequences(sequences.offsets, sequences.items, sequences.user_ids, sequences.item_ids, titles)


def _options(options: Mapping[str, Any], columns: Columns | None, titles: str | Path | None) -> dict[str, Any]:
    """Only what differs from doing nothing, fit for JSON."""
    defaults = {"duplicates": ("keep", None), "k_core": (None,), "min_rating": (None,), "period": (None,), "order": ("time",)}
    chosen = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value not in defaults[name]
    }
    if columns is not None and columns != Columns():
        chosen["columns"] = {role: name for role, name in asdict(columns).items() if name is not None}
    if titles is not None:
        chosen["titles"] = str(Path(titles).absolute())
    return chosen


def _arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """The opposite of `_options`: keyword arguments for `find`."""
    arguments = dict(options)
    if "columns" in arguments:
        arguments["columns"] = Columns(**arguments["columns"])
    if "period" in arguments:
        arguments["period"] = tuple(arguments["period"])
    return arguments


def _unknown(name: str) -> DataError:
    names = data_names()
    return DataError(
        f"no data set is called {name!r}, and there is no such file.{did_you_mean(name, names)}\n  known: {', '.join(names)}"
    )


def _not_here(name: str, smaller: Path | None) -> DataError:
    known = KNOWN[name]
    if smaller is not None:
        return DataError(f"the copy of {name} in {smaller} is its {known.k_core}-core; a smaller core cannot be made of it.")
    if known.by_hand:
        return DataError(f"the data set {name} is not on this machine.\n{known.by_hand}")
    searched = ", ".join(f"{place.path}{'' if place.exists else ' (no such folder)'}" for place in places())
    get = f"`seqaug data get {name}` fetches it from {known.address.url}. " if known.address else ""
    return DataError(f"the data set {name} is not on this machine. {get}Terms: {known.terms}. Looked in: {searched}.")
