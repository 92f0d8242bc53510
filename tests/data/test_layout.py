"""The ragged shape: every derived index against a loop over sequences."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from seqaug.data.layout import Layout

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
