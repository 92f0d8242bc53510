"""The data sets that seqaug knows by name: where they come from, on what terms, and how they are recognised."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np

from .sequences import Statistics, UserSequences

__all__ = ["KNOWN", "Address", "KnownData", "fingerprint", "what_differs"]


@dataclass(frozen=True, slots=True)
class Address:
    """An official file: where it is, what its bytes hash to where anybody has published that, and what is inside."""

    url: str
    content: Literal["movie ratings in a zip", "reviews"]
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class KnownData:
    """One known data set, as `--data NAME` prepares it.

    statistics: what the prepared sequences must count. sha256: hashes (`UserSequences.sha256`) of the forms in
    circulation; the official file names its users otherwise, so other hashes are possible. fingerprint: the same whatever
    users and items are called, see `fingerprint`. files: places inside a data folder, best first. k_core, period: the
    preparation of the official file. titles: where the data numbers its items anew, the file of titles beside it and the
    table that leads from the new names to those in it. part_of: the data set whose `k_core` this is. by_hand: how to get
    what cannot be fetched.
    """

    name: str
    about: str
    terms: str
    statistics: Statistics
    sha256: tuple[str, ...]
    fingerprint: str
    files: tuple[str, ...]
    address: Address | None = None
    k_core: int = 0
    period: tuple[str, str] | None = None
    titles: tuple[str, str] | None = None
    part_of: str | None = None
    by_hand: str = field(default="", repr=False)


def fingerprint(sequences: UserSequences) -> str:
    """A hash, in hex, that does not depend on what users and items are called or on the order of the users.

    Every item is replaced by how often it occurs; what the sorted multiset of those sequences hashes to. Another
    preparation, or the same with ties of time broken otherwise, has another fingerprint.
    """
    counts = np.bincount(sequences.items)[sequences.items].astype("<i8")
    bounds = zip(sequences.offsets[:-1], sequences.offsets[1:], strict=True)
    digests = sorted(hashlib.sha256(counts[start:end].tobytes()).digest() for start, end in bounds)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def what_differs(sequences: UserSequences, known: KnownData) -> list[str]:
    """In which counts the sequences differ from the expected ones, a sentence part each; empty where in none."""
    found, expected = sequences.statistics(), known.statistics
    names = {
        "users": "users",
        "items": "items",
        "actions": "actions",
        "shortest": "items in the shortest history",
        "median_length": "items in the median history",
        "longest": "items in the longest history",
        "repeats": "repeats",
    }
    return [
        f"{_shown(getattr(found, name))} {words} instead of {_shown(getattr(expected, name))}"
        for name, words in names.items()
        if getattr(found, name) != getattr(expected, name)
    ]


def _shown(count: float) -> str:
    return f"{int(count):,}" if count == int(count) else f"{count:,}"


def _statistics(users: int, items: int, actions: int, shortest: int, median: float, longest: int, repeats: int) -> Statistics:
    return Statistics(
        users=users,
        items=items,
        actions=actions,
        average_length=actions / users,
        median_length=float(median),
        shortest=shortest,
        longest=longest,
        sparsity=1 - actions / (users * items),
        repeats=repeats,
    )


AMAZON_TERMS = "no licence is stated; for research, citing He & McAuley (WWW 2016) and McAuley et al. (SIGIR 2015)"
AMAZON_FILES = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/"
MOVIELENS_TERMS = "GroupLens: research use, no redistribution, nothing commercial without permission"
# The two sums are those that many public projects pin; the md5 is the one that GroupLens itself publishes.
MOVIELENS_1M = Address(
    "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
    "movie ratings in a zip",
    sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    md5="c4d9eecfca2ab87c1945afe126590906",
)

KNOWN: Mapping[str, KnownData] = MappingProxyType(
    {
        data.name: data
        for data in (
            KnownData(
                name="beauty",
                about="Amazon Beauty, 2014, 5-core: reviews of cosmetics",
                terms=AMAZON_TERMS,
                statistics=_statistics(22_363, 12_101, 198_502, 5, 6, 204, 0),
                sha256=("226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8",),
                fingerprint="b1d8ba7356a55d792210b19a16783d48b12632fa38c17f5ce0146696afcc63ef",
                files=("beauty/sequences.txt",),
                address=Address(AMAZON_FILES + "reviews_Beauty_5.json.gz", "reviews"),
                k_core=5,
            ),
            KnownData(
                name="toys",
                about="Amazon Toys and Games, 2014, 5-core: reviews of toys",
                terms=AMAZON_TERMS,
                statistics=_statistics(19_412, 11_924, 167_597, 5, 6, 550, 0),
                sha256=("176c680c688d497598c4a89a03b402c0fe78d795e5db335c2e78dd5f2d778a3f",),
                fingerprint="dc0d854b80ec5a221b991842d33d2cfecdb19018c688448298d3628c0e48dbce",
                files=("toys/sequences.txt",),
                address=Address(AMAZON_FILES + "reviews_Toys_and_Games_5.json.gz", "reviews"),
                k_core=5,
            ),
            KnownData(
                name="sports",
                about="Amazon Sports and Outdoors, 2014, 5-core: reviews of sporting goods",
                terms=AMAZON_TERMS,
                statistics=_statistics(35_598, 18_357, 296_337, 5, 6, 296, 0),
                sha256=("2a095e0648872beb9982408958290f5d655db5be2911c3756b5446de9f0b8de2",),
                fingerprint="c238523731b5f5aa05888e2a23fa7d5e427b28a5f20572501c9651e8a8405880",
                files=("sports/sequences.txt",),
                address=Address(AMAZON_FILES + "reviews_Sports_and_Outdoors_5.json.gz", "reviews"),
                k_core=5,
            ),
            KnownData(
                name="yelp",
                about="Yelp Open Dataset, the reviews of 2019, 5-core; users do come back to a business",
                terms="Yelp Dataset Terms of Use, to be accepted in person: academic use, no redistribution",
                statistics=_statistics(30_431, 20_033, 316_354, 5, 7, 350, 11_830),
                sha256=("724b219106b81dd2349027da997334ddb6da9fe2f152ad6e0d97a93170f7caed",),
                fingerprint="f424daeebe51cb85ae51b9e7336a68e2a5938b15c07184c009d7f19169449bdc",
                files=("yelp/sequences.txt",),
                k_core=5,
                period=("2019-01-01 00:00:00", "2019-12-31 00:00:00"),
                by_hand=(
                    "Yelp gives its data to those who accept the terms of use, so seqaug cannot fetch it for you:\n"
                    "  1. open https://www.yelp.com/dataset (now https://business.yelp.com/data/resources/open-dataset/), "
                    "accept the terms and download the JSON files;\n"
                    "  2. unpack yelp_academic_dataset_review.json;\n"
                    "  3. run `seqaug data import yelp_academic_dataset_review.json --name yelp`, which keeps the reviews of "
                    "2019 and their 5-core and compares them with the expected counts.\n"
                    "Yelp removes businesses from later editions, so a newer download may not have these counts; import it "
                    "under a name of your own then."
                ),
            ),
            KnownData(
                name="ml-1m",
                about="MovieLens 1M, all ratings: films, long histories",
                terms=MOVIELENS_TERMS,
                statistics=_statistics(6_040, 3_706, 1_000_209, 20, 96, 2_314, 0),
                sha256=("cef283e2f982967fcad12bea37972ede779238f911ab5f2a84faf0939c0ddbf5",),
                fingerprint="34b2ae4e4a35f53bfb72f01e014a0f8c8ab4fcec3e7bf8bba355eebc0995e261",
                files=("ml-1m/sequences.txt", "ml-1m/ratings.dat"),
                address=MOVIELENS_1M,
            ),
            KnownData(
                name="ml-1m-5core",
                about="MovieLens 1M without the 290 films that have fewer than 5 ratings: what most papers train on",
                terms=MOVIELENS_TERMS,
                statistics=_statistics(6_040, 3_416, 999_611, 18, 96, 2_277, 0),
                # The file in circulation, with users and films numbered anew; and the 5-core of ml-1m under GroupLens' numbers.
                sha256=(
                    "f939258a859d16e43055e80bf8f7d66aeae3805fa21cb1b999fbafa9c6c5694b",
                    "1c0d25c60172984c1d8f3857a0ed12c24a63c674da021cde2c62816193ac8e10",
                ),
                fingerprint="601dc3bab47fcbf14715e2cc5cf8ce98a4afe03f8fc69eebf8da45cc4e37dca3",
                files=("ml-1m/sequences-5core.txt",),
                address=MOVIELENS_1M,
                k_core=5,
                titles=("movies.dat", "5core_item_ids.tsv"),
                part_of="ml-1m",
            ),
            KnownData(
                name="movietweetings",
                about="MovieTweetings, the first 100,000 ratings, 5-core: films rated on Twitter in 2013",
                terms="MIT; cite Dooms, De Pessemier, Martens (CrowdRec 2013)",
                statistics=_statistics(4_333, 2_414, 68_055, 5, 10, 275, 0),
                sha256=("cec144cfc39f6235760493de7e1672399e09bfb7b1e545b888d644b25c270381",),
                fingerprint="2731558670cf47f5011a5cf6a1c3528bced25b4ecb888e163bdd5739523fe7e7",
                files=("movietweetings-100k/ratings.dat", "movietweetings/ratings.dat"),
                k_core=5,
            ),
        )
    }
)
