"""How near the items of a sequence are: cosines against a naive loop, and a world in which the answer is known."""

from __future__ import annotations

import sys
from itertools import combinations

import numpy as np
import pytest
import torch

from seqaug.data.split import Histories
from seqaug.errors import DataError
from seqaug.experiments.embeddings import closeness, dealt, picture, sampled, within
from seqaug.report.projection import principal, projected


def histories(*sequences: list[int]) -> Histories:
    flat = [item for one in sequences for item in one]
    offsets = np.cumsum([0, *map(len, sequences)])
    return Histories(torch.tensor(offsets), torch.tensor(flat), max(flat))


def clustered(noise: float, *, drift: float = 0.0, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Twenty sequences of six items of their own, around a direction each; `drift` is common to all items."""
    generator = np.random.default_rng(seed)
    vectors = np.zeros((121, 16))
    sequences = [np.arange(1 + 6 * row, 7 + 6 * row) for row in range(20)]
    for items in sequences:
        vectors[items] = generator.normal(size=16) + noise * generator.normal(size=(6, 16)) + drift
    return vectors, sequences


def test_the_mean_cosine_is_that_of_a_loop_over_pairs() -> None:
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(10, 4))
    vectors[3] = 0
    sequences = [np.asarray([1, 2]), np.asarray([4, 5, 6, 9]), np.asarray([3, 7, 8])]

    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        both = np.linalg.norm(one) * np.linalg.norm(other)
        return float(one @ other / both) if both else 0.0

    slow = [np.mean([cosine(vectors[i], vectors[j]) for i, j in combinations(items.tolist(), 2)]) for items in sequences]
    assert within(vectors, sequences) == pytest.approx(slow)


def test_equal_vectors_are_as_near_as_can_be() -> None:
    assert within(np.ones((4, 3)), [np.asarray([1, 2, 3])]) == pytest.approx([1.0])


def test_dealing_keeps_the_items_and_the_lengths() -> None:
    _, sequences = clustered(1.0)
    found = dealt(sequences, np.random.default_rng(0))
    assert [len(one) for one in found] == [len(one) for one in sequences]
    assert sorted(np.concatenate(found).tolist()) == sorted(np.concatenate(sequences).tolist())
    assert any((one != other).any() for one, other in zip(found, sequences, strict=True))


def test_what_all_vectors_share_counts_for_nothing() -> None:
    """A common direction raises the cosine within a sequence, and that of random pairs as much."""
    near, sequences = clustered(0.5)
    tight = closeness({"full": [near]}, sequences, [0])
    assert tight.within["full"].value > 0.7 and abs(tight.random["full"].value) < 0.1
    far, _ = clustered(50.0, drift=300.0)
    drifted = closeness({"full": [far]}, sequences, [0])
    assert drifted.within["full"].value > 0.9 and abs(drifted.above["full"].value) < 0.01


def test_two_variants_are_compared_on_the_same_sequences() -> None:
    sequences = clustered(1.0)[1]
    tables = {"full": [clustered(0.5, seed=s)[0] for s in (1, 2, 3)], "w/o": [clustered(1.5, seed=s)[0] for s in (1, 2, 3)]}
    found = closeness(tables, sequences, [0, 1, 2])
    assert found.difference is not None and found.difference.low is not None and found.difference.low > 0.1
    assert found.difference.value == pytest.approx(found.above["full"].value - found.above["w/o"].value)
    assert found.difference.how.startswith("Student's t over 3 seeds")
    assert found.document()["variants"]["w/o"]["within"]["mean"] == found.within["w/o"].value
    same = closeness({"full": tables["full"], "again": tables["full"]}, sequences, [0, 1, 2])
    assert same.difference is not None and same.difference.value == 0


def test_sequences_are_drawn_by_a_seed_and_are_long_enough() -> None:
    every = histories([1, 2, 3, 4, 5], [1, 1, 1, 2, 2], [6, 7, 8, 9, 10, 6], [1, 2, 3, 4, 9])
    found = sampled(every, count=10)
    assert sorted(map(tuple, found)) == [(1, 2, 3, 4, 5), (1, 2, 3, 4, 9), (6, 7, 8, 9, 10)]
    assert len(sampled(every, count=2)) == 2
    assert [tuple(one) for one in sampled(every, seed=3)] == [tuple(one) for one in sampled(every, seed=3)]
    with pytest.raises(DataError, match="no user has 5 different"):
        sampled(histories([1, 2], [3]))


def test_a_picture_has_a_point_for_each_item_of_eight_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, sequences = clustered(0.3)
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    found = picture(vectors, sequences)
    assert found.how == "PCA" and found.points.shape == (48, 2) and len(found.groups) == 48
    assert len(set(found.groups)) == 8 and found.groups[0] == "sequence 1"


def test_without_scikit_learn_the_plane_is_that_of_the_largest_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    flat = generator.normal(size=(50, 2)) * [3.0, 1.0]
    turned = flat @ np.linalg.qr(generator.normal(size=(5, 5)))[0][:2]
    found = principal(turned)
    assert np.linalg.norm(found[:, None] - found[None], axis=2) == pytest.approx(
        np.linalg.norm(flat[:, None] - flat[None], axis=2), abs=1e-9
    )
    assert found[:, 0].var() > found[:, 1].var()
    assert principal(turned[::-1])[::-1] == pytest.approx(found, abs=1e-9)
    assert principal(np.ones((3, 4))).tolist() == np.zeros((3, 2)).tolist()
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    assert projected(turned, seed=0)[1] == "PCA"


def test_with_scikit_learn_it_is_t_sne_and_neighbours_stay_together() -> None:
    pytest.importorskip("sklearn")
    vectors, sequences = clustered(0.1)
    found = picture(vectors, sequences)
    assert found.how == "t-SNE"
    again = picture(vectors, sequences)
    assert (again.points == found.points).all()
    centres = {name: found.points[[one == name for one in found.groups]].mean(axis=0) for name in set(found.groups)}
    nearest = [min(centres, key=lambda name: np.linalg.norm(centres[name] - point)) for point in found.points]
    assert np.mean([one == other for one, other in zip(nearest, found.groups, strict=True)]) > 0.95
