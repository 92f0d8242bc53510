"""The data sets themselves: their counts as published, through every way in."""

from __future__ import annotations

import gzip
import json
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from seqaug.data import catalog
from seqaug.data.known import KNOWN, fingerprint, what_differs
from seqaug.data.readers import read
from seqaug.data.sequences import UserSequences


@pytest.fixture
def found(real_data: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real data is where SEQAUG_DATA points; home is empty."""
    monkeypatch.setenv("SEQAUG_DATA", str(real_data))
    return real_data


@cache
def loaded(name: str) -> catalog.Loaded:
    """Read once for all tests. Only inside tests that use `found`."""
    return catalog.find(name)


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_data_set_has_the_published_counts_and_the_recorded_hashes(name: str, found: Path) -> None:
    sequences = loaded(name).sequences
    assert what_differs(sequences, KNOWN[name]) == []
    assert sequences.statistics().sparsity == pytest.approx(KNOWN[name].statistics.sparsity)
    assert loaded(name).sha256 == KNOWN[name].sha256[0]
    assert fingerprint(sequences) == KNOWN[name].fingerprint
    assert loaded(name).path.is_relative_to(found)


@pytest.mark.parametrize(
    ("name", "item", "title"),
    [
        ("beauty", "1", "OPI Nail Lacquer, Simmer and Shimmer, 0.5-Fluid Ounce"),
        ("ml-1m", "1", "Toy Story (1995)"),
        ("ml-1m-5core", "1", "Raiders of the Lost Ark (1981)"),
        ("movietweetings", "0104257", "A Few Good Men (1992)"),
    ],
)
def test_titles_belong_to_their_items(name: str, item: str, title: str, found: Path) -> None:
    assert loaded(name).sequences.titles[item] == title


def test_a_key_phrase_is_not_a_title(found: Path) -> None:
    assert not loaded("toys").sequences.titles


def test_a_known_data_set_is_found_by_its_hash(found: Path) -> None:
    assert catalog.find_by_hash(KNOWN["beauty"].sha256[0]).name == "beauty"


def test_the_5_core_of_ml_1m_is_the_file_that_most_papers_train_on(found: Path) -> None:
    core = loaded("ml-1m").sequences.k_core(5)
    assert what_differs(core, KNOWN["ml-1m-5core"]) == []
    assert fingerprint(core) == KNOWN["ml-1m-5core"].fingerprint == fingerprint(loaded("ml-1m-5core").sequences)
    assert core.sha256 == KNOWN["ml-1m-5core"].sha256[1]


def test_online_retail_has_its_counts_before_and_after_preparation(real_data: Path) -> None:
    table = real_data / "online-retail" / "events.csv.gz"
    whole = read(table)
    assert whole.dropped_users == 124 and whole.sequences.num_items == 3_659
    assert "duplicates: all kept (130,144 of 396,370 actions repeat an item that the user had before)" in whole.notes
    counts = read(table, duplicates="first", k_core=5).sequences.statistics()
    assert (counts.users, counts.items, counts.actions, counts.longest) == (4_074, 3_145, 264_514, 1_741)
    assert len(whole.sequences.titles) == 3_659


def test_ml_latest_small_has_its_counts(real_data: Path) -> None:
    table = real_data / "ml-latest-small" / "ratings.csv.gz"
    sequences = read(table).sequences
    whole, core = sequences.statistics(), read(table, k_core=5).sequences.statistics()
    assert (whole.users, whole.items, whole.actions, whole.longest) == (610, 9_724, 100_836, 2_698)
    assert (core.users, core.items, core.actions, core.longest) == (610, 3_650, 90_274, 2_132)
    assert sequences.titles["1"] == "Toy Story (1995)"


def shuffled(sequences: UserSequences) -> list[tuple[str, str, int]]:
    """(user, item, time) rows by item, as Amazon's files stand; times a day apart, so no ties."""
    users = np.repeat(np.arange(sequences.num_users), sequences.lengths)
    places = np.arange(sequences.num_actions) - np.repeat(sequences.offsets[:-1], sequences.lengths)
    order = np.argsort(sequences.items, kind="stable")
    triples = zip(users[order].tolist(), sequences.items[order].tolist(), places[order].tolist(), strict=True)
    return [(f"A{user:07}", f"B{item:09}", 86_400 * place) for user, item, place in triples]


def test_reviews_as_amazon_gives_them_become_the_known_data_set(found: Path, home: Path, tmp_path: Path) -> None:
    rows = shuffled(loaded("toys").sequences)
    lines = [json.dumps({"reviewerID": user, "asin": item, "unixReviewTime": time}) for user, item, time in rows]
    (tmp_path / "reviews.json.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 1))
    imported = catalog.import_file(tmp_path / "reviews.json.gz", "toys").sequences
    assert what_differs(imported, KNOWN["toys"]) == []
    assert fingerprint(imported) == KNOWN["toys"].fingerprint
    assert catalog.where("toys") == found / "toys" / "sequences.txt.gz"  # SEQAUG_DATA comes first


def test_an_archive_as_grouplens_gives_it_becomes_both_known_data_sets(
    found: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = loaded("ml-1m").sequences
    text = "".join(
        f"{user}::{item}::3::{956_703_932 + place}\n" for user, items in sequences for place, item in enumerate(items)
    )
    with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w") as members:
        members.writestr("ml-1m/ratings.dat", text)
        members.writestr("ml-1m/movies.dat", gzip.decompress((found / "ml-1m" / "movies.dat.gz").read_bytes()))
    monkeypatch.delenv("SEQAUG_DATA")
    assert catalog.import_file(tmp_path / "ml-1m.zip", "ml-1m").sha256 == KNOWN["ml-1m"].sha256[0]
    core = catalog.find("ml-1m-5core")
    assert core.sha256 == KNOWN["ml-1m-5core"].sha256[1] and len(core.sequences.titles) == 3_416


def test_reviews_of_yelp_are_cut_to_2019_and_their_5_core(found: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = loaded("yelp").sequences
    lines = [
        json.dumps({"user_id": user, "business_id": item, "date": f"2019-06-01 00:{place // 60:02}:{place % 60:02}"})
        for user, items in sequences
        for place, item in enumerate(items)
    ]
    too_early = [json.dumps({"user_id": "early", "business_id": "1", "date": "2018-12-31 23:59:59"})] * 5
    too_late = [json.dumps({"user_id": "late", "business_id": "1", "date": "2019-12-31 00:00:01"})] * 5
    (tmp_path / "review.json").write_text("\n".join([*too_early, *lines, *too_late]), encoding="utf-8")
    monkeypatch.delenv("SEQAUG_DATA")
    assert catalog.import_file(tmp_path / "review.json", "yelp").sha256 == KNOWN["yelp"].sha256[0]
