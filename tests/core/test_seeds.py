"""Named randomness: the global state follows a seed inside and stands where it stood after."""

from __future__ import annotations

import pytest
import torch

from seqaug.core.seeds import seed_global, seeded


def test_what_is_drawn_inside_follows_the_seed_and_what_is_drawn_after_does_not() -> None:
    torch.default_generator.manual_seed(5)
    undisturbed = torch.rand(2, generator=torch.default_generator)
    torch.default_generator.manual_seed(5)
    with seeded(1):
        first = torch.rand(3, generator=torch.default_generator)
    with seeded(1), pytest.raises(ValueError, match="inside"):
        again = torch.rand(3, generator=torch.default_generator)
        raise ValueError("inside")
    assert torch.equal(first, again)
    assert torch.equal(torch.rand(2, generator=torch.default_generator), undisturbed)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_the_device_that_is_named_is_seeded_and_put_back_without_waiting_for_it() -> None:
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        seed_global(3, device)
        undisturbed = torch.empty(4, device=device).uniform_().cpu()
        seed_global(3, device)
        torch.cuda.set_sync_debug_mode("error")
        try:
            with seeded(1, device):
                first = torch.empty(4, device=device).uniform_()
            with seeded(1, device):
                again = torch.empty(4, device=device).uniform_()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert torch.equal(first.cpu(), again.cpu())
        assert torch.equal(torch.empty(4, device=device).uniform_().cpu(), undisturbed)
