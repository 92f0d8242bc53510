"""The rehearsed accelerator sees what makes a host wait, and refuses what a GPU would refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqaug.testing.accelerator import DEVICE, accelerator

WAITS: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "bool": lambda x: bool((x > 0).any()),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: torch.unique(x),
    "a mask that chooses": lambda x: x[x > 0],
    "a mask that is written to": lambda x: x.index_put((x > 0,), torch.zeros((), device=DEVICE)),
    "masked_select": lambda x: x.masked_select(x > 0),
    "equal": lambda x: torch.equal(x, x + 0),
    "indices of the host": lambda x: x[torch.tensor([0, 1])],
    "an unknown number of repeats": lambda x: torch.repeat_interleave(x, torch.ones(3, dtype=torch.int64, device=DEVICE)),
    "numbers of Python": lambda x: torch.tensor([1.0, 2.0], device=DEVICE),
    "a copy that is waited for": lambda x: torch.ones(3).to(DEVICE),
    "a copy into what is there": lambda x: x.copy_(torch.ones(3)),
}
GOES_ON: dict[str, Callable[[Tensor], object]] = {
    "a product": lambda x: x @ x,
    "a choice": lambda x: torch.where(x > 0, x, 0),
    "indices of the device": lambda x: x[torch.arange(2, device=DEVICE)],
    "a known number of repeats": lambda x: torch.repeat_interleave(
        x, torch.ones(3, dtype=torch.int64, device=DEVICE), output_size=3
    ),
    "a copy that is not waited for": lambda x: torch.ones(3).to(DEVICE, non_blocking=True),
    "a draw": lambda x: torch.rand(3, generator=torch.Generator(DEVICE).manual_seed(0), device=DEVICE),
    "a sort": lambda x: x.sort(),
    "a fill": lambda x: torch.zeros(3, device=DEVICE).fill_(2.0),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_makes_the_host_wait_is_seen(name: str) -> None:
    with accelerator() as record:
        there = torch.arange(3.0, device=DEVICE)
        assert not record.waits
        WAITS[name](there)
        assert record.waits


@pytest.mark.parametrize("name", GOES_ON)
def test_what_the_host_need_not_wait_for_is_not_blamed(name: str) -> None:
    with accelerator() as record:
        GOES_ON[name](torch.arange(3.0, device=DEVICE))
        assert not record.waits and record.launched >= 1


def test_tensors_of_two_devices_are_not_mixed_but_for_single_numbers() -> None:
    with accelerator():
        there = torch.arange(3.0, device=DEVICE)
        with pytest.raises(RuntimeError, match="are mixed"):
            there + torch.ones(3)
        assert (there + torch.tensor(1.0)).tolist() == [1.0, 2.0, 3.0]


def test_its_numbers_and_gradients_are_those_of_the_host() -> None:
    def answered(device: torch.device) -> list[Tensor]:
        dice = torch.Generator(device).manual_seed(3)
        left = torch.randn(2, 1, 4, 3, generator=dice, device=device, requires_grad=True)
        weight = torch.nn.Parameter(torch.randn(3, 3, generator=dice, device=device))
        adam = torch.optim.Adam([weight], lr=0.1, fused=True)
        mixed = functional.scaled_dot_product_attention(left @ weight, left, left, is_causal=True)
        parts = mixed.flatten(1).split(6, dim=1)
        loss = (parts[0].exp().mean() + parts[1].square().sum()) / 7
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        assert left.grad is not None
        return [one.detach().cpu() for one in (loss, left.grad, weight)]

    with accelerator() as record:
        there = answered(DEVICE)
        assert record.operations["scaled_dot_product_attention"] == 1
        assert record.operations["scaled_dot_product_attention_backward"] == 1
        assert record.operations["_fused_adam_"] == 1
    for one, other in zip(there, answered(torch.device("cpu")), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)


def test_looking_at_a_tensor_in_another_way_launches_nothing() -> None:
    with accelerator() as record:
        there = torch.zeros(4, 6, device=DEVICE)
        before = record.launched
        there.view(24)[3:].view(torch.int32), there.t().unsqueeze(0).expand(2, -1, -1), there.unbind()
        assert record.launched == before


def test_copies_and_their_bytes_are_counted() -> None:
    with accelerator() as record:
        torch.zeros(10).to(DEVICE)
        torch.zeros(3, dtype=torch.int64).to(DEVICE, non_blocking=True)
        assert (record.copies, record.bytes) == (2, 64)
        assert list(record.waits.values()) == [1]


def test_afterwards_torch_is_as_it_was() -> None:
    before = torch.Generator, torch.autocast, torch.is_autocast_enabled
    with accelerator():
        kept = torch.zeros(2, device=DEVICE)
    assert (torch.Generator, torch.autocast, torch.is_autocast_enabled) == before
    assert torch.zeros(2, device="meta").is_meta
    with pytest.raises(RuntimeError, match="outside of `accelerator"):
        kept + 1
