"""Tensors of the host on another device: what arrives, and by how many copies."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqaug.data.batch import Batch
from seqaug.data.layout import Layout
from seqaug.data.transfer import sent
from seqaug.testing.accelerator import DEVICE, accelerator

KINDS = {
    torch.int64: lambda size: torch.arange(size) * 10**12,
    torch.bool: lambda size: torch.arange(size) % 3 == 1,
    torch.float32: lambda size: torch.arange(size) / 7,
    torch.float64: lambda size: torch.arange(size, dtype=torch.float64) / 7,
    torch.int32: lambda size: torch.arange(size, dtype=torch.int32),
}


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(list(KINDS)), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=6))
def test_tensors_of_any_type_and_shape_arrive_as_they_were_by_one_copy(wanted: list[tuple[torch.dtype, int, int]]) -> None:
    tensors = [KINDS[kind](rows * columns).view(rows, columns) for kind, rows, columns in wanted]
    with accelerator() as record:
        there = sent(tensors, DEVICE)
        assert record.copies == 1 and not record.waits and not record.launched
        for one, other in zip(there, tensors, strict=True):
            assert one.device == DEVICE and one.dtype == other.dtype
            assert torch.equal(one.cpu(), other)


def test_on_the_host_nothing_is_copied() -> None:
    tensors = [torch.arange(3), torch.ones(2)]
    assert all(one is other for one, other in zip(sent(tensors, torch.device("cpu")), tensors, strict=True))


def test_a_batch_goes_by_one_copy_and_its_rows_stay() -> None:
    layout = Layout.of([2, 1])
    batch = Batch(torch.tensor([5, 6]), torch.tensor([1, 0]), layout, torch.tensor([3, 4, 5]), torch.tensor([4, 6, 0]))
    with accelerator() as record:
        there = batch.to(DEVICE)
        assert record.copies == 1 and not record.waits
        assert there.items.device == there.users.device == there.layout.sequence.device == DEVICE
        assert there.predicted is None and there.rows is batch.rows
        assert there.to(DEVICE) is there
        back = there.to("cpu")
        assert back.targets.tolist() == [4, 6, 0] and back.layout.device.type == "cpu"
        only = Batch(batch.rows, batch.users, layout, batch.items, batch.targets, torch.tensor([1])).to(DEVICE)
        assert only.predicted is not None and only.predicted.tolist() == [1]
    assert batch.to("cpu") is batch
