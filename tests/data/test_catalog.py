"""Data sets by name: finding, importing, fetching, and finding again."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.conftest import Server
from seqaug.data import catalog, shelf
from seqaug.data.known import KNOWN, Address, KnownData, fingerprint
from seqaug.data.readers import Columns, read
from seqaug.data.sequences import UserSequences
from seqaug.errors import DataError

NAMES = ["beauty", "toys", "sports", "yelp", "ml-1m", "ml-1m-5core", "movietweetings"]

# A ratings.dat of 8 users and 9 films; film 99 is rated twice only, so the 5-core is smaller.
RATINGS = "".join(f"{user}::{film}::4::{100 * user + film}\n" for user in range(1, 9) for film in range(1, 9)) + (
    "1::99::1::5\n2::99::1::5\n"
)
MOVIES = "".join(f"{film}::Film {film} &amp; more::Drama\n" for film in range(1, 100)).encode("latin-1")


def archive() -> bytes:
    """What GroupLens sends: a zip with a folder inside."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as members:
        members.writestr("ml-1m/README", "read me")
        members.writestr("ml-1m/movies.dat", MOVIES)
        members.writestr("ml-1m/ratings.dat", RATINGS)
    return packed.getvalue()


def message(call: object, *arguments: object, **options: object) -> str:
    with pytest.raises(DataError) as refusal:
        call(*arguments, **options)  # type: ignore[operator]
    assert refusal.value.exit_code == 3
    return str(refusal.value)


@pytest.fixture
def small_movies(home: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownData:
    """A catalogue whose ml-1m is the eight users above, at the address of the test server; home is empty."""
    server.body = archive()
    ratings = tmp_path / "origin" / "ratings.dat"
    ratings.parent.mkdir()
    ratings.write_text(RATINGS, encoding="utf-8")

    def expected(name: str, k_core: int) -> KnownData:
        sequences = read(ratings, k_core=k_core).sequences
        return replace(
            KNOWN[name],
            statistics=sequences.statistics(),
            sha256=(sequences.sha256,),
            fingerprint=fingerprint(sequences),
            address=Address(server.url, "movie ratings in a zip", sha256=hashlib.sha256(server.body).hexdigest()),
        )

    known = {"ml-1m": expected("ml-1m", 0), "ml-1m-5core": expected("ml-1m-5core", 5)}
    monkeypatch.setattr(catalog, "KNOWN", known)
    return known["ml-1m"]


# --- what is there


def test_the_catalogue_names_the_seven_data_sets(home: Path) -> None:
    assert catalog.data_names() == NAMES == list(catalog.KNOWN)


def test_the_bundled_data_set_is_there_without_a_home_or_a_network(home: Path) -> None:
    loaded = catalog.find("movietweetings")
    counts = loaded.sequences.statistics()
    assert (counts.users, counts.items, counts.actions) == (4_333, 2_414, 68_055)
    assert loaded.sha256 == loaded.sequences.sha256 == KNOWN["movietweetings"].sha256[0]
    assert loaded.reference == "movietweetings" and loaded.options == {}
    assert len(loaded.sequences.titles) == 2_414  # every film has one
    assert not home.exists()


def test_the_bundled_data_set_travels_with_its_licence() -> None:
    folder = catalog.BUNDLED / "movietweetings-100k"
    assert "MIT License" in (folder / "LICENSE").read_text(encoding="utf-8")
    sums = {
        "ratings.dat.gz": "c0dd868c2632d10002ebc928ddc5345f33adeaa59eca52c2941c26a2c5e36fd6",
        "movies.dat.gz": "e63fb84bc734e3c574f135634a40d3cbafab22b8f94f5fc0b80f80d1d2076efc",
    }
    source = (folder / "SOURCE.md").read_text(encoding="utf-8")
    for name, expected in sums.items():
        assert hashlib.sha256(gzip.decompress((folder / name).read_bytes())).hexdigest() == expected
        assert expected in source


def test_a_smaller_core_of_the_bundled_data_set_can_be_asked_for(home: Path) -> None:
    whole = catalog.find("movietweetings", k_core=0)
    assert whole.sequences.num_actions == 87_887 and whole.dropped_users == 9_785
    assert whole.options == {"k_core": 0}
    ten = catalog.find("movietweetings", k_core=10, duplicates="first")
    assert (ten.sequences.lengths >= 10).all() and ten.options == {"k_core": 10, "duplicates": "first"}


def test_the_entries_say_what_is_here(home: Path) -> None:
    entries = {entry.name: entry for entry in catalog.entries()}
    assert list(entries) == NAMES
    assert entries["movietweetings"].bundled and entries["movietweetings"].where == catalog.where("movietweetings")
    assert entries["beauty"].where is None and entries["beauty"].address == KNOWN["beauty"].address.url  # type: ignore[union-attr]
    assert all(entry.terms for entry in entries.values())


def test_places_are_searched_in_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQAUG_DATA", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    paths = [place.path for place in catalog.places()]
    assert paths == [tmp_path / "one", tmp_path / "two", home / "data", catalog.BUNDLED]
    assert [place.exists for place in catalog.places()] == [False, False, False, True]
    folder = tmp_path / "two" / "movietweetings-100k"
    folder.mkdir(parents=True)
    packed = (catalog.BUNDLED / "movietweetings-100k" / "ratings.dat.gz").read_bytes()
    (folder / "ratings.dat").write_bytes(gzip.decompress(packed))
    assert catalog.where("movietweetings") == folder / "ratings.dat"
    assert catalog.find("movietweetings").path == folder / "ratings.dat"


def test_without_a_home_of_its_own_the_xdg_folders_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQAUG_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shelf.data_folder() == tmp_path / "share" / "seqaug" / "data"
    assert shelf.downloads_folder() == tmp_path / ".cache" / "seqaug" / "downloads"
    monkeypatch.setenv("SEQAUG_HOME", str(tmp_path / "own"))
    assert shelf.data_folder() == tmp_path / "own" / "data"


# --- what is not


def test_an_unknown_name_lists_the_known_ones_and_the_nearest(home: Path) -> None:
    text = message(catalog.find, "beuty")
    assert "no data set is called 'beuty'" in text and "Did you mean 'beauty'?" in text and ", ".join(NAMES) in text
    assert "Did you mean 'movietweetings'?" in message(catalog.where, "movietweeting")
    assert "no data set is called 'nothing'" in message(catalog.fetch, "nothing")


def test_a_known_data_set_that_is_not_here_says_how_to_get_it(home: Path) -> None:
    text = message(catalog.find, "toys")
    assert "seqaug data get toys" in text and "reviews_Toys_and_Games_5.json.gz" in text and str(home / "data") in text
    assert catalog.where("toys") is None


def test_what_needs_consent_is_explained_and_never_fetched(home: Path) -> None:
    for call in (catalog.find, catalog.fetch):
        text = message(call, "yelp")
        assert "https://www.yelp.com/dataset" in text and "--name yelp" in text and "terms" in text


def test_a_path_is_taken_where_no_data_set_has_that_name(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("1 a b c\n", encoding="utf-8")
    Path("movietweetings").write_text("1 a b c\n", encoding="utf-8")
    assert catalog.find("mine").sequences.num_users == 1
    assert catalog.find("movietweetings").sequences.num_users == 4_333
    assert catalog.find("./movietweetings").sequences.num_users == 1
    assert catalog.find(Path("movietweetings")).sequences.num_users == 1
    assert "there is no file" in message(catalog.find, "./missing")
    assert "there is no file" in message(catalog.find, "missing.csv")
    assert "is a folder" in message(catalog.find, str(tmp_path))


def test_a_file_that_only_bears_a_known_name_is_refused_with_what_differs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQAUG_DATA", str(tmp_path))
    (tmp_path / "beauty").mkdir()
    lines = "".join(f"{user} " + " ".join(map(str, range(6))) + "\n" for user in range(6))
    (tmp_path / "beauty" / "sequences.txt").write_text(lines, encoding="utf-8")
    text = message(catalog.find, "beauty")
    assert "is not the data set beauty" in text
    for difference in ("6 users instead of 22,363", "6 items instead of 12,101", "36 actions instead of 198,502"):
        assert difference in text
    assert f"--data {tmp_path / 'beauty' / 'sequences.txt'}" in text


def test_a_file_that_is_a_known_data_set_is_recognised(home: Path) -> None:
    loaded = catalog.find(catalog.BUNDLED / "movietweetings-100k" / "ratings.dat.gz", k_core=5)
    assert "these are the sequences of the known data set movietweetings" in loaded.notes


def test_options_of_files_are_refused_with_a_name(home: Path) -> None:
    assert "columns, min_rating: only for files" in message(
        catalog.find, "movietweetings", columns=Columns(user="u"), min_rating=3.0
    )


# --- importing


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "events.csv"
    rows = [f"u {user},0{item},{item}\n" for user in range(4) for item in range(user + 2)]
    path.write_text("customer_id,stock_code,invoice_date\n" + "".join(rows), encoding="utf-8")
    (tmp_path / "items.tsv").write_text("stock_code\tdescription\n00\tA &amp; B\n", encoding="utf-8")
    return path


def test_an_imported_file_is_found_by_its_name_unchanged(home: Path, table: Path) -> None:
    imported = catalog.import_file(table, "shop", duplicates="first", k_core=2)
    original = read(table, duplicates="first", k_core=2)
    table.unlink()
    found = catalog.find("shop")
    for name in ("offsets", "items", "user_ids", "item_ids"):
        assert np.array_equal(getattr(found.sequences, name), getattr(original.sequences, name))
    assert found.sequences.titles == {"00": "A & B"}
    assert found.sha256 == imported.sha256 == original.sequences.sha256
    assert found.path == home / "data" / "shop" and found.reference == "shop"
    assert found.notes == original.notes and found.dropped_users == original.dropped_users
    assert "shop" in catalog.data_names()


def test_what_was_imported_is_written_down(home: Path, table: Path) -> None:
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    loaded = catalog.import_file(table, "shop", k_core=2, min_rating=None)
    facts = json.loads((home / "data" / "shop" / "about.json").read_text(encoding="utf-8"))
    assert facts["name"] == "shop" and facts["source"] == str(table) and facts["source_sha256"] == digest
    assert facts["sha256"] == loaded.sha256 and facts["options"] == {"k_core": 2} and facts["format"] == "csv"
    assert facts["statistics"]["users"] == loaded.sequences.num_users and facts["titles"] == 1
    entry = catalog.entries()[-1]
    assert entry.name == "shop" and entry.imported and entry.statistics == loaded.sequences.statistics()
    assert str(table) in entry.about


def test_a_name_is_not_taken_twice_unless_asked_for(home: Path, table: Path) -> None:
    first = catalog.import_file(table, "shop")
    assert "there is a data set 'shop' already" in message(catalog.import_file, table, "shop")
    second = catalog.import_file(table, "shop", k_core=2, replace=True)
    assert second.sha256 != first.sha256 and catalog.find("shop").sha256 == second.sha256
    assert [entry.name for entry in (home / "data").iterdir()] == ["shop"]


@pytest.mark.parametrize("name", ["", "Shop", "../shop", "a b", ".hidden", "a/b", "x" * 65, "-k"])
def test_a_name_that_no_folder_can_have_is_refused(home: Path, table: Path, name: str) -> None:
    assert "cannot name a data set" in message(catalog.import_file, table, name)
    assert not home.exists()


def test_a_known_name_is_for_that_data_set_only(home: Path, table: Path) -> None:
    text = message(catalog.import_file, table, "ml-1m")
    assert "is not the data set ml-1m: it has 3 users instead of 6,040" in text and "a name of your own" in text
    assert "with its own preparation" in message(catalog.import_file, table, "toys", duplicates="first")
    assert not (home / "data").exists()


def test_a_failed_import_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("1 a b c\n1 a b c\n", encoding="utf-8")
    message(catalog.import_file, tmp_path / "bad", "bad")
    assert "bad" not in catalog.data_names() and not (home / "data" / "bad").exists()


@pytest.mark.parametrize("damage", ["cut", "swapped", "gone", "turned", "about", "listed"])
def test_damage_on_the_shelf_is_noticed(home: Path, table: Path, damage: str) -> None:
    catalog.import_file(table, "shop")
    place = home / "data" / "shop"
    if damage == "cut":
        content = (place / "items.npy").read_bytes()
        (place / "items.npy").write_bytes(content[: len(content) // 2])
    elif damage == "swapped":
        shelf.save(UserSequences.from_lists([("u", ["a", "b", "c"])]), home / "data" / "other", {})
        (home / "data" / "other" / "items.npy").rename(place / "items.npy")
    elif damage == "gone":
        (place / "item_ids.npy").unlink()
    elif damage == "turned":
        items = np.load(place / "items.npy")
        np.save(place / "items.npy", items[::-1])
    elif damage == "listed":
        facts = json.loads((place / "about.json").read_text(encoding="utf-8"))
        (place / "about.json").write_text(json.dumps(facts | {"files": []}), encoding="utf-8")
    else:
        (place / "about.json").write_text("{", encoding="utf-8")
    assert "is damaged" in message(catalog.find, "shop")
    assert any(entry.name == "shop" for entry in catalog.entries())


def packed(place: Path) -> None:
    """Turn what is shelved at `place` into the first form, as seqaug 0.1 wrote it."""
    names = ("offsets", "items", "user_ids", "item_ids")
    np.savez_compressed(place / "sequences.npz", **{name: np.load(place / f"{name}.npy") for name in names})
    for name in names:
        (place / f"{name}.npy").unlink()
    facts = json.loads((place / "about.json").read_text(encoding="utf-8"))
    del facts["files"]
    (place / "about.json").write_text(json.dumps(facts | {"schema": 1}), encoding="utf-8")


def test_a_data_set_shelved_in_the_first_form_is_still_read(home: Path, table: Path) -> None:
    imported = catalog.import_file(table, "shop")
    packed(home / "data" / "shop")
    found = catalog.find("shop")
    assert list(found.sequences) == list(imported.sequences) and found.sha256 == imported.sha256
    content = (home / "data" / "shop" / "sequences.npz").read_bytes()
    (home / "data" / "shop" / "sequences.npz").write_bytes(content[: len(content) // 2])
    assert "is damaged" in message(catalog.find, "shop")


def test_a_form_that_is_newer_than_this_version_is_refused(home: Path, table: Path) -> None:
    catalog.import_file(table, "shop")
    about = home / "data" / "shop" / "about.json"
    about.write_text(json.dumps(json.loads(about.read_text(encoding="utf-8")) | {"schema": 3}), encoding="utf-8")
    text = message(catalog.find, "shop")
    assert "of another version of seqaug" in text and "import it again" in text


def test_the_arrays_of_a_shelved_data_set_are_the_files_themselves(home: Path, table: Path) -> None:
    catalog.import_file(table, "shop")
    sequences = catalog.find("shop").sequences
    for array in (sequences.offsets, sequences.items, sequences.user_ids, sequences.item_ids):
        whole = array
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        assert isinstance(whole, np.memmap) and type(array) is np.ndarray
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[-1]
    computed = UserSequences.from_lists(list(sequences)).sha256
    assert sequences.sha256 == computed  # which was read, not computed


def test_a_data_set_that_is_in_use_can_be_replaced(home: Path, table: Path) -> None:
    first = catalog.import_file(table, "shop").sequences
    before = list(first)
    catalog.import_file(table, "shop", k_core=2, replace=True)
    assert list(first) == before and list(catalog.find("shop").sequences) != before


# --- fetching


def test_the_official_archive_becomes_sequences_with_titles(small_movies: KnownData, server: Server, home: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    loaded = catalog.fetch("ml-1m", lambda done, total: seen.append((done, total)))
    assert loaded.sha256 in small_movies.sha256 and loaded.sequences.title(1).startswith("Film ")
    assert seen[-1] == (len(server.body), len(server.body))
    assert catalog.where("ml-1m") == home / "data" / "ml-1m"
    assert list((home / "downloads").iterdir()) == []
    facts = json.loads((home / "data" / "ml-1m" / "about.json").read_text(encoding="utf-8"))
    assert facts["source"] == server.url and facts["source_sha256"] == hashlib.sha256(server.body).hexdigest()


def test_what_is_here_is_not_fetched_again_unless_asked_for(small_movies: KnownData, server: Server) -> None:
    catalog.fetch("ml-1m")
    catalog.fetch("ml-1m")
    assert len(server.asked) == 1
    catalog.fetch("ml-1m", again=True)
    assert len(server.asked) == 2


def test_the_core_is_made_of_the_whole_without_a_second_download(small_movies: KnownData, server: Server) -> None:
    core = catalog.fetch("ml-1m-5core")
    assert core.sequences.num_items == 8 and catalog.find("ml-1m").sequences.num_items == 9
    assert core.sha256 in catalog.KNOWN["ml-1m-5core"].sha256 and core.name == core.reference == "ml-1m-5core"
    assert len(server.asked) == 1
    assert "cannot be made of it" in message(catalog.find, "ml-1m-5core", k_core=3)


def test_a_broken_download_goes_on_with_the_next_command(small_movies: KnownData, server: Server, home: Path) -> None:
    body, server.body = server.body, b""
    server.cut_after = 0
    part = home / "downloads" / "file.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(body[:500])
    server.body = body
    assert "the same command goes on from there" in message(catalog.fetch, "ml-1m")
    server.cut_after = None
    assert catalog.fetch("ml-1m").sequences.num_users == 8
    assert server.asked[-1]["Range"] == "bytes=500-"


def test_another_file_at_the_address_is_refused_by_its_sum(small_movies: KnownData, server: Server, home: Path) -> None:
    server.body = server.body + b" "
    text = message(catalog.fetch, "ml-1m")
    assert "is not the expected file" in text and "seqaug data import FILE --name ml-1m" in text
    assert catalog.where("ml-1m") is None and list((home / "downloads").iterdir()) == []


def test_an_address_that_fails_names_itself_and_the_alternative(small_movies: KnownData, server: Server) -> None:
    url = server.url.replace("file", "gone")
    text = message(catalog.fetch, "ml-1m", address=url)
    assert f"{url} answered 404" in text and "seqaug data import FILE --name ml-1m" in text


def test_an_archive_fetched_by_hand_imports_under_its_own_name(small_movies: KnownData, home: Path, tmp_path: Path) -> None:
    (tmp_path / "ml-1m.zip").write_bytes(archive())
    assert catalog.import_file(tmp_path / "ml-1m.zip", "ml-1m").sha256 in small_movies.sha256
    assert catalog.find("ml-1m").sequences.num_actions == 66


def test_an_archive_without_ratings_is_refused(small_movies: KnownData, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as members:
        members.writestr("README", "nothing here")
    assert "has no ratings.dat inside" in message(catalog.import_file, tmp_path / "x.zip", "ml-1m")


def test_other_names_for_the_same_users_and_items_are_accepted(small_movies: KnownData, home: Path, tmp_path: Path) -> None:
    lines = [line.split("::") for line in RATINGS.splitlines()]
    renamed = "".join(f"user-{9 - int(user)}::tt{item}::{rating}::{time}\n" for user, item, rating, time in reversed(lines))
    (tmp_path / "renamed.dat").write_text(renamed, encoding="utf-8")
    loaded = catalog.import_file(tmp_path / "renamed.dat", "ml-1m")
    assert loaded.sha256 not in small_movies.sha256
    assert not any("counts are as expected" in note for note in loaded.notes)


def test_equal_counts_in_another_order_are_accepted_with_a_note(small_movies: KnownData, tmp_path: Path) -> None:
    (tmp_path / "other.dat").write_text(RATINGS.replace("1::99::1::5", "1::99::1::999"), encoding="utf-8")
    assert any("all counts are as expected" in note for note in catalog.import_file(tmp_path / "other.dat", "ml-1m").notes)


def test_the_bundled_data_set_needs_no_fetching(home: Path) -> None:
    assert catalog.fetch("movietweetings", again=True).name == "movietweetings"


def test_an_imported_data_set_has_no_address(home: Path, table: Path) -> None:
    catalog.import_file(table, "shop")
    assert "no address to fetch it from" in message(catalog.fetch, "shop")


# --- finding again


def test_a_data_set_is_found_by_its_hash(home: Path, table: Path) -> None:
    loaded = catalog.import_file(table, "shop")
    assert catalog.find_by_hash(loaded.sha256).name == "shop"
    assert catalog.find_by_hash(KNOWN["movietweetings"].sha256[0]).name == "movietweetings"


def test_a_file_and_its_options_are_found_again(home: Path, table: Path) -> None:
    columns, titles = Columns(item="stock_code"), table.with_name("items.tsv")
    loaded = catalog.find(table, columns=columns, duplicates="first", k_core=2, titles=titles)
    stored = json.loads(json.dumps(loaded.options))
    assert stored == {
        "columns": {"item": "stock_code"},
        "duplicates": "first",
        "k_core": 2,
        "titles": str(titles),
    }
    again = catalog.find_by_hash(loaded.sha256, hint=loaded.reference, options=stored)
    assert again.sha256 == loaded.sha256 and again.options == loaded.options


def test_a_data_set_that_moved_is_found_where_it_is_now(home: Path, table: Path) -> None:
    loaded = catalog.find(table)
    catalog.import_file(table, "shop")
    table.unlink()
    assert catalog.find_by_hash(loaded.sha256, hint=loaded.reference, options={}).name == "shop"


def test_options_of_a_known_data_set_are_part_of_finding_it_again(home: Path) -> None:
    loaded = catalog.find("movietweetings", k_core=10)
    assert catalog.find_by_hash(loaded.sha256, options=loaded.options).sequences.num_users == loaded.sequences.num_users


def test_a_hash_that_nothing_has_lists_what_was_tried(home: Path) -> None:
    text = message(catalog.find_by_hash, "0" * 64, hint="gone.csv")
    assert "000000000000…" in text and "gone.csv (there is no file gone.csv.)" in text and "movietweetings" in text


# --- the fingerprint


def test_the_fingerprint_sees_sequences_and_not_names() -> None:
    data = UserSequences.from_lists([("u", ["a", "b", "a"]), ("v", ["b", "c", "a"])])
    renamed = UserSequences.from_lists([("x", ["q", "r", "p"]), ("y", ["p", "q", "p"])])
    reordered = UserSequences.from_lists([("u", ["a", "a", "b"]), ("v", ["b", "c", "a"])])
    assert fingerprint(data) == fingerprint(renamed) != fingerprint(reordered)


@pytest.mark.skipif(sys.platform == "win32", reason="files cannot be limited there")
def test_an_import_that_finds_no_room_is_an_error_in_words_and_leaves_nothing(tmp_path: Path) -> None:
    import resource

    place = tmp_path / "shelf" / "big"
    sequences = UserSequences(
        offsets=np.array([0, 50_000]),
        items=np.ones(50_000, dtype=np.int64),
        user_ids=np.array(["u"]),
        item_ids=np.array(["", "a"]),
        titles={},
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # stands in for a full disk: the write is refused alike
    try:
        with pytest.raises(DataError, match=r"big cannot be written: .*no room .*the disk may be full"):
            shelf.save(sequences, place, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(place.parent.iterdir()) == []
