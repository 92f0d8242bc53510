"""The ragged shape: every derived index against a loop over sequences."""

from __future__ import annotations

from copy import deepcopy
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqaug.core.blocks import TransformerBlocks
from seqaug.core.seeds import seeded
from seqaug.data import layout as layout_module
from seqaug.data.layout import Layout
from seqaug.testing.accelerator import DEVICE, accelerator

lengths = st.lists(st.integers(1, 9), min_size=1, max_size=8)


@given(lengths)
def test_every_index_is_what_a_loop_over_the_sequences_finds(counts: list[int]) -> None:
    layout = Layout.of(counts)
    cells = [(b, i, count - 1 - i) for b, count in enumerate(counts) for i in range(count)]
    assert (layout.num_sequences, layout.num_positions, layout.longest) == (len(counts), sum(counts), max(counts))
    assert layout.sequence.tolist() == [b for b, _, _ in cells]
    assert layout.from_start.tolist() == [i for _, i, _ in cells]
    assert layout.from_end.tolist() == [j for _, _, j in cells]
    ends = torch.tensor(counts).cumsum(0)
    assert layout.last().tolist() == (ends - 1).tolist()
    assert layout.first().tolist() == [0, *ends[:-1].tolist()]
    assert layout.offsets.tolist() == [0, *ends.tolist()]


@given(lengths)
def test_packed_undoes_padded(counts: list[int]) -> None:
    layout = Layout.of(counts)
    flat = torch.randn(layout.num_positions, 3)
    rectangle = layout.padded(flat, fill=-7)
    assert rectangle.shape == (len(counts), max(counts), 3)
    assert torch.equal(layout.packed(rectangle), flat)
    assert (rectangle == -7).all(-1).sum() == len(counts) * max(counts) - sum(counts)


@given(lengths)
def test_groups_hold_every_position_once_and_waste_at_most_half(counts: list[int]) -> None:
    layout = Layout.of(counts)
    flat = torch.arange(layout.num_positions)
    seen = [g.index if g.real is None else g.index[g.real] for g in layout.groups()]
    assert torch.equal(torch.cat([one.flatten() for one in seen]).sort().values, flat)
    assert sum(g.index.numel() for g in layout.groups()) <= 2 * layout.num_positions
    assert torch.equal(layout.ungrouped([flat[g.index] for g in layout.groups()]), flat)
    for group in layout.groups():
        assert torch.equal(layout.sequence[group.index], group.sequences[:, None].expand_as(group.index))


@given(lengths, st.integers(1, 60))
def test_an_accelerator_joins_groups_up_to_a_number_of_cells(counts: list[int], cells: int) -> None:
    layout = Layout.of(counts)
    own = len(layout.groups())
    with mock.patch.dict(layout_module.MERGED_CELLS, cpu=cells):
        joined = Layout.of(counts)
        groups = joined.groups()
    flat = torch.arange(joined.num_positions)
    assert 1 <= len(groups) <= own
    seen = [one.index if one.real is None else one.index[one.real] for one in groups]
    assert torch.equal(torch.cat([one.flatten() for one in seen]).sort().values, flat)
    assert torch.equal(joined.ungrouped([flat[one.index] for one in groups]), flat)
    assert torch.equal(joined.in_order([one.sequences for one in groups]), torch.arange(joined.num_sequences))
    if len(counts) * max(counts) <= cells:
        assert len(groups) == 1
    # What was joined keeps the bound; what was too large alone stays alone.
    alike = {frozenset(one.sequences.tolist()) for one in layout.groups()}
    assert all(one.index.numel() <= cells or frozenset(one.sequences.tolist()) in alike for one in groups)


@pytest.mark.parametrize("cells", [0, 20, 10**6])
@pytest.mark.parametrize("counts", [[1], [1, 1, 1], [3, 1, 9, 2, 5, 1, 8], [4, 4, 4]])
def test_attention_is_the_same_in_one_rectangle_as_in_many_there_and_here(counts: list[int], cells: int) -> None:
    with seeded(3):
        blocks = TransformerBlocks(8, layers=2, heads=2, inner=8, dropout=0.0)
        flat = torch.randn(sum(counts), 8)

    def answered(device: torch.device, causal: bool) -> list[Tensor]:
        layout = Layout.of(counts, device)
        hidden = flat.clone().to(device).requires_grad_()
        own = deepcopy(blocks).to(device)
        states = own(hidden, layout, causal)
        latest = own.latest(hidden, layout)
        assert torch.allclose(own(hidden, layout).cpu()[Layout.of(counts).last()], latest.cpu(), atol=1e-5)
        (states.square().sum() + latest.sum()).backward()
        assert hidden.grad is not None
        gradients = [one.grad for one in own.parameters() if one.grad is not None]
        return [one.detach().cpu() for one in (states, latest, hidden.grad, *gradients)]

    for causal in (True, False):
        usual = answered(torch.device("cpu"), causal)
        with mock.patch.dict(layout_module.MERGED_CELLS, cpu=cells, cuda=cells):
            joined = answered(torch.device("cpu"), causal)
            with accelerator():
                there = answered(DEVICE, causal)
        for one, two, three in zip(usual, joined, there, strict=True):
            assert torch.allclose(one, two, rtol=1e-4, atol=1e-4)
            assert torch.allclose(one, three, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(lengths, st.integers(1, 9))
def test_what_a_layout_knows_is_the_same_on_another_device(counts: list[int], max_length: int) -> None:
    here = Layout.of(counts)
    with accelerator() as record:
        there = Layout.of(counts, DEVICE)
        names = ("lengths", "offsets", "sequence", "from_start", "from_end")
        for name in names:
            assert getattr(there, name).tolist() == getattr(here, name).tolist()
        assert (there.first().tolist(), there.last().tolist()) == (here.first().tolist(), here.last().tolist())
        assert record.copies == 1
        flat = torch.randn(here.num_positions, 2)
        assert torch.allclose(there.mean(flat.to(DEVICE)).cpu(), here.mean(flat), atol=1e-6)
        cut, index = there.latest(max_length)
        usual, places = here.latest(max_length)
        assert cut.counts == usual.counts and index.tolist() == places.tolist()
        assert cut.sequence.tolist() == usual.sequence.tolist()


@given(lengths, st.data())
def test_top_marks_the_best_counts_of_each_sequence(counts: list[int], data: st.DataObject) -> None:
    layout = Layout.of(counts)
    scores = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=sum(counts), max_size=sum(counts)))).float()
    wanted = torch.tensor(data.draw(st.lists(st.integers(0, 10), min_size=len(counts), max_size=len(counts))))
    marked = layout.top(scores, wanted)
    for b, count in enumerate(counts):
        own = layout.sequence == b
        expected = sorted(range(count), key=lambda i, s=scores[own]: (-s[i].item(), i))[: int(wanted[b])]
        assert marked[own].nonzero().squeeze(1).tolist() == sorted(expected)


@given(lengths, st.integers(1, 10))
def test_the_mean_over_the_latest_positions_is_the_mean_of_that_slice(counts: list[int], last: int) -> None:
    layout = Layout.of(counts)
    flat = torch.randn(layout.num_positions, 2)
    parts = flat.split(counts)
    assert torch.allclose(layout.mean(flat), torch.stack([part.mean(0) for part in parts]), atol=1e-6)
    assert torch.allclose(layout.mean(flat, last), torch.stack([part[-last:].mean(0) for part in parts]), atol=1e-6)


@given(lengths, st.integers(1, 10))
def test_latest_keeps_the_end_of_each_sequence(counts: list[int], max_length: int) -> None:
    layout = Layout.of(counts)
    kept, index = layout.latest(max_length)
    flat = torch.arange(layout.num_positions)
    expected = torch.cat([part[-max_length:] for part in flat.split(counts)])
    assert torch.equal(flat[index], expected)
    assert kept.counts == tuple(min(count, max_length) for count in counts)


@given(counts=lengths)
def test_a_row_repeated_stands_at_every_position_and_its_gradient_is_their_sum(counts: list[int]) -> None:
    layout = Layout.of(counts)
    rows = torch.randn(len(counts), 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(sum(counts), 3, dtype=torch.float64)
    found = layout.repeated(rows)
    assert torch.equal(found, torch.cat([row.expand(count, -1) for row, count in zip(rows, counts, strict=True)]))
    (gradient,) = torch.autograd.grad((found * weights).sum(), rows)
    assert torch.allclose(gradient, torch.stack([part.sum(0) for part in weights.split(counts)]))
