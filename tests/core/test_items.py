"""The catalogue primitive against the naive computation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seqaug.core import items as items_module
from seqaug.core.items import ItemScores, ItemTable
from seqaug.data.split import Histories
from seqaug.errors import Diverged


def world(size: int = 37, num_items: int = 23, dim: int = 8, *, bias: bool = False, seed: int = 0) -> tuple[Tensor, ItemTable]:
    torch.manual_seed(seed)
    table = ItemTable(num_items, dim, bias=bias)
    with torch.no_grad():
        table.weight[1:].normal_(0, 1)
        if table.bias is not None:
            table.bias.normal_(0, 1)
    return torch.randn(size, dim, requires_grad=True), table


def naive(hidden: Tensor, table: ItemTable) -> Tensor:
    scores = hidden @ table.weight[1 : table.num_items + 1].t()
    return scores if table.bias is None else scores + table.bias


def test_the_spread_is_that_of_all_numbers_of_scored_items_and_never_zero() -> None:
    _, table = world()
    numbers = table.weight[1:24].detach().flatten()
    assert float(table.spread) == pytest.approx(float(((numbers - numbers.mean()) ** 2).sum() / (len(numbers) - 1)) ** 0.5)
    assert not table.spread.requires_grad
    with torch.no_grad():
        table.weight.zero_()
    assert float(table.spread) > 0


@pytest.fixture(params=[1, 5, 4096], ids=["1-row chunks", "5-row chunks", "one chunk"])
def chunked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    rows: int = request.param
    monkeypatch.setattr(items_module, "LEAST_ROWS", rows)
    monkeypatch.setattr(items_module, "CHUNK_BYTES", {"cpu": 0, "cuda": 0})
    return rows


@pytest.mark.parametrize("bias", [False, True])
def test_nll_and_its_gradients_are_those_of_the_naive_cross_entropy(chunked: int, bias: bool) -> None:
    hidden, table = world(bias=bias)
    targets = torch.randint(1, 24, (37,))
    weights = torch.rand(37)
    for given_weights in (None, weights):
        parameters = [hidden, *table.parameters()]
        terms = torch.nn.functional.cross_entropy(naive(hidden, table), targets - 1, reduction="none")
        expected = terms.mean() if given_weights is None else (terms * weights).sum()
        wanted = torch.autograd.grad(3 * expected, parameters)
        found = ItemScores(hidden, table).nll(targets, given_weights)
        assert torch.allclose(found, expected, atol=1e-5)
        for got, want in zip(torch.autograd.grad(3 * found, parameters), wanted, strict=True):
            assert torch.allclose(got, want, atol=1e-5)


def test_nll_without_gradients_makes_none() -> None:
    hidden, table = world()
    with torch.no_grad():
        assert not ItemScores(hidden, table).nll(torch.ones(37, dtype=torch.int64)).requires_grad


def test_nll_of_a_frozen_table_moves_only_the_vectors() -> None:
    hidden, table = world()
    table.requires_grad_(False)
    ItemScores(hidden, table).nll(torch.ones(37, dtype=torch.int64)).backward()
    assert table.weight.grad is None
    assert hidden.grad is not None and hidden.grad.abs().sum() > 0


def test_the_rows_of_nothing_and_of_mask_get_no_gradient() -> None:
    hidden, table = world()
    ItemScores(hidden, table).nll(torch.ones(37, dtype=torch.int64)).backward()
    assert table.weight.grad is not None
    assert table.weight.grad[0].abs().sum() == 0
    assert table.weight.grad[table.mask_id].abs().sum() == 0
    assert (table.weight.grad[1 : table.mask_id].abs().sum(1) > 0).all()


def test_nll_is_about_log_v_at_initialisation() -> None:
    table = ItemTable(5000, 64)
    hidden = torch.nn.functional.layer_norm(torch.randn(64, 64), (64,))
    loss = ItemScores(hidden, table).nll(torch.randint(1, 5001, (64,)))
    assert loss.item() == pytest.approx(math.log(5000), abs=0.1)


def test_top_confidence_and_log_sum_exp_are_those_of_the_written_out_scores(chunked: int) -> None:
    hidden, table = world()
    scores = naive(hidden, table)
    asked = ItemScores(hidden, table)
    assert torch.allclose(asked.confidence(), scores.softmax(1).amax(1), atol=1e-6)
    assert torch.allclose(asked.log_sum_exp(), scores.logsumexp(1), atol=1e-5)
    for k in (1, 5, 23):
        ids, values = asked.top(k)
        best = scores.topk(k)
        assert torch.equal(ids, best.indices + 1)
        assert torch.allclose(values, best.values, atol=1e-5)
        assert not values.requires_grad


def test_confidence_of_constant_scores_is_one_over_v() -> None:
    table = ItemTable(50, 4)
    assert torch.allclose(ItemScores(torch.zeros(3, 4), table).confidence(), torch.full((3,), 1 / 50))


def test_of_reads_single_scores_with_gradient() -> None:
    hidden, table = world(bias=True)
    ids = torch.randint(1, 24, (37, 4))
    found = ItemScores(hidden, table).of(ids)
    assert torch.allclose(found, naive(hidden, table).gather(1, ids - 1), atol=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), hidden)
    assert torch.allclose(gradient, table(ids).sum(1), atol=1e-5)


def brute_force_rank(scores: Tensor, target: int, seen: set[int]) -> int:
    """Count, one by one, who stands before the target."""
    if target in seen:
        return scores.numel() + 1
    rank = 1
    for item in range(1, scores.numel() + 1):
        if item != target and item not in seen and scores[item - 1] >= scores[target - 1]:
            rank += 1
    return rank


@settings(max_examples=60, deadline=None)
@given(data=st.data(), num_items=st.integers(2, 9), size=st.integers(1, 6))
def test_ranks_equal_a_count_one_by_one_with_ties_and_seen_items(data: st.DataObject, num_items: int, size: int) -> None:
    whole = st.integers(-2, 2).map(float)
    scores = torch.tensor(
        data.draw(st.lists(st.lists(whole, min_size=num_items, max_size=num_items), min_size=size, max_size=size))
    )
    targets = torch.tensor(data.draw(st.lists(st.integers(1, num_items), min_size=size, max_size=size)))
    seen = data.draw(st.lists(st.lists(st.integers(1, num_items), max_size=5), min_size=size, max_size=size))
    lengths = torch.tensor([0, *map(len, seen)])
    flat = torch.tensor([item for one in seen for item in one], dtype=torch.int64)
    rank, unseen = ItemScores.dense(scores).rank_of(targets, Histories(lengths.cumsum(0), flat, num_items))
    for row in range(size):
        assert rank[row] == brute_force_rank(scores[row], int(targets[row]), set())
        assert unseen[row] == brute_force_rank(scores[row], int(targets[row]), set(seen[row]))


def test_ranks_of_a_product_equal_ranks_of_the_written_out_scores(chunked: int) -> None:
    hidden, table = world()
    targets = torch.randint(1, 24, (37,))
    product, _ = ItemScores(hidden, table).rank_of(targets)
    dense, _ = ItemScores.dense(naive(hidden, table).detach()).rank_of(targets)
    assert torch.equal(product, dense)


def test_a_constant_scorer_ranks_every_target_last() -> None:
    rank, _ = ItemScores.dense(torch.zeros(4, 30)).rank_of(torch.tensor([1, 7, 15, 30]))
    assert rank.tolist() == [30] * 4


def test_ranks_do_not_change_when_a_constant_is_added_to_all_scores() -> None:
    scores = torch.randint(-50, 50, (8, 40)).float()
    targets = torch.randint(1, 41, (8,))
    assert torch.equal(ItemScores.dense(scores).rank_of(targets)[0], ItemScores.dense(scores + 128).rank_of(targets)[0])


@pytest.mark.parametrize("where", ["target", "another item"])
def test_a_nan_is_an_error_and_never_rank_one(where: str) -> None:
    scores = torch.zeros(2, 5)
    scores[1, 2 if where == "target" else 4] = math.nan
    with pytest.raises(Diverged, match="NaN"):
        ItemScores.dense(scores).rank_of(torch.tensor([1, 3]))


def test_an_infinite_score_of_the_target_is_rank_one() -> None:
    scores = torch.randn(2, 5)
    scores[[0, 1], [0, 2]] = math.inf
    assert ItemScores.dense(scores).rank_of(torch.tensor([1, 3]))[0].tolist() == [1, 1]


class Largest(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation returns."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple) else (made,):
            if isinstance(one, Tensor):
                self.bytes = max(self.bytes, one.numel() * one.element_size())
        return made


def test_the_largest_thing_written_down_stays_inside_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 positions x 500 items would be 40 MB; with a budget of 128 KiB only the inputs' own shapes are larger."""
    monkeypatch.setattr(items_module, "CHUNK_BYTES", {"cpu": 128 * 1024, "cuda": 128 * 1024})
    hidden, table = world(20_000, 500, 4)
    targets = torch.randint(1, 501, (20_000,))
    with Largest() as watched:
        scores = ItemScores(hidden, table)
        scores.nll(targets)
        scores.confidence()
        scores.rank_of(targets)
    kept_best = 20_000 * items_module.KEPT_BEST * 8
    assert watched.bytes <= max(kept_best, hidden.numel() * 4)


@pytest.mark.parametrize("positions", [3, 64, 200])
def test_the_products_in_bfloat16_stay_near_float32(positions: int) -> None:
    hidden, table = world(positions, 100, 16)
    targets = torch.randint(1, 101, (positions,))
    exact = ItemScores(hidden, table).nll(targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = ItemScores(hidden, table).nll(targets)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(exact.item(), rel=0.02)
    wanted = torch.autograd.grad(exact, [hidden, table.weight])
    for got, want in zip(torch.autograd.grad(half, [hidden, table.weight]), wanted, strict=True):
        assert got.shape == want.shape
        assert torch.nn.functional.cosine_similarity(got.flatten(), want.flatten(), dim=0) > 0.99


def test_products_in_bfloat16_have_few_shapes_however_ragged_the_batches_are() -> None:
    """For each new number of rows a kernel would be compiled, and kept."""
    rows = set()

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func._schema.name == "aten::mm" and args[0].dtype == torch.bfloat16:
                rows.update(size for one in args for size in one.shape if size not in (100, 16))
            return func(*args, **(kwargs or {}))

    with Products(), torch.autocast("cpu", dtype=torch.bfloat16):
        for positions in range(1, 300, 7):
            hidden, table = world(positions, 100, 16)
            ItemScores(hidden, table).nll(torch.ones(positions, dtype=torch.int64)).backward()
    assert rows == {64, 128, 192, 256, 320}


@pytest.mark.parametrize("num_items", [1_023, 1_500, 5_000, 20_011])
@pytest.mark.parametrize("k", [1, 8, 26, 64])
def test_the_best_of_a_long_row_are_those_of_topk(num_items: int, k: int) -> None:
    scores = torch.randn(20, num_items)
    wanted = torch.topk(scores, k, dim=1)
    items, values = ItemScores.dense(scores).top(k)
    assert torch.equal(values, wanted.values)
    assert torch.equal(items, wanted.indices + 1)


@pytest.mark.parametrize("half", [False, True])
def test_the_loss_of_a_target_too_unlikely_for_32_bits_is_exact(half: bool) -> None:
    """exp(-400) is 0 in 32 bits, so that its logarithm has to come from somewhere else."""
    table = ItemTable(30, 4, bias=True)
    with torch.no_grad():
        table.weight.zero_()
        assert table.bias is not None
        table.bias.zero_()[6] = -400
    hidden = torch.zeros(3, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        loss = ItemScores(hidden, table).nll(torch.tensor([7, 1, 7]), torch.tensor([1.0, 0.0, 1.0]))
    assert loss.item() == pytest.approx(2 * (400 + math.log(29)), rel=1e-6)


def test_buffers_of_two_kinds_stand_side_by_side_and_one_catalogue_at_a_time() -> None:
    device = torch.device("cpu")
    single = items_module._buffer(device, 20, 50)
    half = items_module._buffer(device, 20, 50, torch.bfloat16)
    assert items_module._buffer(device, 10, 50).data_ptr() == single.data_ptr()
    assert items_module._buffer(device, 10, 50, torch.bfloat16).data_ptr() == half.data_ptr()
    assert items_module._buffer(device, 10, 60).shape == (10, 60)
    assert sum(kept.device == device and kept.dtype == torch.float32 for kept in items_module._buffers.values()) == 1


@pytest.mark.parametrize("form", ["dense", "chunked", "expanded"])
def test_scores_that_somebody_keeps_are_not_written_to(form: str) -> None:
    kept = torch.randn(1, 30).expand(6, 30) if form == "expanded" else torch.randn(6, 30)
    before = kept.clone()
    scores = ItemScores.dense(kept) if form == "dense" else ItemScores.chunked(6, 30, lambda part: kept[part])
    targets = torch.arange(1, 7)
    wanted = (before >= before.gather(1, targets[:, None] - 1)).sum(1)
    assert torch.equal(scores.rank_of(targets)[0], wanted)
    assert torch.allclose(scores.log_sum_exp(), torch.logsumexp(before, 1))
    assert torch.equal(kept, before)


def test_the_bias_learns_in_bfloat16_what_it_learns_in_single_precision() -> None:
    hidden, _ = world(150, 100, 16)
    table = ItemTable(100, 16, bias=True)
    targets = torch.randint(1, 101, (150,))
    assert table.bias is not None
    exact = torch.autograd.grad(ItemScores(hidden, table).nll(targets), table.bias)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ItemScores(hidden, table).nll(targets)
    half = torch.autograd.grad(loss, table.bias)[0]
    assert torch.allclose(half, exact, atol=0.02 * exact.abs().max().item())
