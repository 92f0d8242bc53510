"""Noise sources against brute force (specification, sections 3 and 19.2)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from builtin.worlds import drawing
from seqaug.builtin.noise_sources import GaussianNoise, MixtureNoise, SimilarityNoise
from seqaug.core.items import ItemTable
from seqaug.errors import RecipeError

V, D = 14, 5


@pytest.fixture
def table() -> ItemTable:
    torch.manual_seed(1)
    table = ItemTable(V, D)
    with torch.no_grad():
        table.weight[0] = 1e6  # neither the row of no item nor MASK may ever be a neighbour
        table.weight[V + 1] = 1e6
        table.weight[1 : V + 1] = torch.randn(V, D)
    return table


def by_hand(item: int, table: ItemTable, k: int, metric: str) -> Tensor:
    """The mean of the k most similar others, found one at a time."""
    own = table.weight[item]
    similar = []
    for other in range(1, V + 1):
        if other == item:
            continue
        value = float((own @ table.weight[other]).detach())
        if metric == "cosine":
            value /= float((own.norm() * table.weight[other].norm()).detach())
        similar.append((value, other))
    best = [other for _, other in sorted(similar, reverse=True)[:k]]
    return torch.stack([table.weight[other] for other in best]).mean(0)


def draw(source: SimilarityNoise, items: Tensor, table: ItemTable) -> Tensor:
    return source.draw(table(items), items, table, drawing())


@pytest.mark.parametrize("metric", ["dot", "cosine"])
@pytest.mark.parametrize("refresh", ["step", "epoch"])
@pytest.mark.parametrize("k", [1, 4, V - 1])
def test_similarity_noise_is_the_mean_of_the_k_most_similar_others(table: ItemTable, metric: str, refresh: str, k: int) -> None:
    items = torch.arange(1, V + 1).repeat(2)
    noise = draw(SimilarityNoise(k=k, metric=metric, refresh=refresh), items, table)  # type: ignore[arg-type]
    for n, item in enumerate(items.tolist()):
        assert torch.allclose(noise[n], by_hand(item, table, k, metric), atol=1e-5)


def test_an_item_with_a_small_vector_is_not_among_its_own_nearest_and_still_has_k_neighbours(table: ItemTable) -> None:
    with torch.no_grad():
        table.weight[3] *= 1e-3
    near = SimilarityNoise(k=3).neighbours(torch.tensor([3]), table)
    assert 3 not in near and len(set(near[0].tolist())) == 3
    assert torch.allclose(draw(SimilarityNoise(k=3), torch.tensor([3]), table)[0], by_hand(3, table, 3, "dot"), atol=1e-5)


def test_with_all_others_the_noise_is_the_sum_of_all_without_the_item(table: ItemTable) -> None:
    items = torch.tensor([2, 7])
    expected = (table.catalogue.sum(0) - table(items)) / (V - 1)
    assert torch.allclose(draw(SimilarityNoise(k=V - 1), items, table), expected, atol=1e-5)


def test_the_same_item_has_the_same_noise_whoever_else_is_in_the_batch(table: ItemTable) -> None:
    source = SimilarityNoise(k=4)
    one = draw(source, torch.tensor([5, 9, 5]), table)
    other = draw(source, torch.tensor([1, 2, 5]), table)
    assert torch.equal(one[0], one[2])
    assert torch.allclose(one[0], other[2], atol=1e-6)


def test_the_gradient_goes_through_the_mean_to_the_neighbours_only(table: ItemTable) -> None:
    source, item = SimilarityNoise(k=3), torch.tensor([6])
    near = source.neighbours(item, table)[0].tolist()
    draw(source, item, table).sum().backward()
    assert table.weight.grad is not None
    for row in range(V + 2):
        expected = torch.full((D,), 1 / 3 if row in near else 0.0)
        assert torch.allclose(table.weight.grad[row], expected)


def test_a_bias_of_popular_items_does_not_make_them_similar() -> None:
    torch.manual_seed(0)
    table = ItemTable(V, D, bias=True)
    assert table.bias is not None
    before = SimilarityNoise(k=3).neighbours(torch.arange(1, V + 1), table)
    with torch.no_grad():
        table.bias[4] = 100.0
    assert torch.equal(before, SimilarityNoise(k=3).neighbours(torch.arange(1, V + 1), table))


def test_more_neighbours_than_there_are_others_is_refused(table: ItemTable) -> None:
    with pytest.raises(RecipeError, match="only 13 others"):
        draw(SimilarityNoise(k=V), torch.tensor([1]), table)


def test_neighbours_kept_for_an_epoch_change_at_its_start_only(table: ItemTable) -> None:
    source, items = SimilarityNoise(k=2, refresh="epoch"), torch.arange(1, V + 1)
    source.start_epoch(table, 0)
    draw(source, items, table)
    before = source.neighbours(items, table)
    with torch.no_grad():
        table.catalogue.copy_(table.catalogue.roll(3, dims=1) * torch.linspace(-1, 1, V)[:, None])
    assert not torch.equal(before, source.neighbours(items, table))
    stale = table.weight[before].mean(1)
    assert torch.allclose(draw(source, items, table), stale, atol=1e-6)
    source.start_epoch(table, 1)
    fresh = table.weight[source.neighbours(items, table)].mean(1)
    assert torch.allclose(draw(source, items, table), fresh, atol=1e-6)


def test_gaussian_noise_has_its_standard_deviation_and_only_its_generator(table: ItemTable) -> None:
    items = torch.ones(4000, dtype=torch.int64)
    state = torch.get_rng_state()
    noise = GaussianNoise(scale=2.0).draw(table(items), items, table, drawing(3))
    assert torch.equal(state, torch.get_rng_state())
    assert float(noise.std()) == pytest.approx(2.0, rel=0.02) and abs(float(noise.mean())) < 0.05
    assert torch.equal(noise, GaussianNoise(scale=2.0).draw(table(items), items, table, drawing(3)))
    assert torch.equal(noise, GaussianNoise(scale=2.0).prior((4000, D), drawing(3)))


def test_a_mixture_weighs_its_two_sources(table: ItemTable) -> None:
    items = torch.tensor([1, 5, 2])
    first, second = SimilarityNoise(k=2), GaussianNoise()
    mixed = MixtureNoise(first=first, second=second, share=0.25).draw(table(items), items, table, drawing(2))
    expected = 0.25 * draw(first, items, table) + 0.75 * second.draw(table(items), items, table, drawing(2))
    assert torch.allclose(mixed, expected)
