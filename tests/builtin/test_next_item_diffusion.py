"""The loss of dreamrec (specification, sections 3 and 7.2-7.3)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from builtin.worlds import DIM, MAX_LENGTH, assembly_of, model_of, step_of, toy
from seqaug.builtin.denoisers.concatenated import ConcatenatedDenoiser
from seqaug.builtin.noise_sources import GaussianNoise
from seqaug.builtin.objectives.next_item_diffusion import NextItemDiffusion
from seqaug.builtin.schedules import ExponentialSchedule
from seqaug.core.diffusion import Diffusion
from seqaug.core.recommender import Recommender
from seqaug.core.step import Step
from seqaug.data.batch import Batch
from seqaug.data.layout import Layout
from seqaug.data.samples import Kind
from seqaug.errors import RecipeError

V, T = 20, 50


def world(null_condition: bool = True, **options: Any) -> Recommender:
    torch.manual_seed(0)
    diffusion = Diffusion(
        DIM,
        MAX_LENGTH,
        schedule=ExponentialSchedule(steps=T),
        noise=GaussianNoise(),
        denoiser=ConcatenatedDenoiser(DIM),
        time_embedding="none",
        null_condition=null_condition,
        **options,
    )
    return model_of(V, diffusion=diffusion)


def asked(
    objective: NextItemDiffusion, model: Recommender | None = None, batch: Batch | None = None, kind: Kind = "prefixes"
) -> Step:
    return step_of(assembly_of((model or world()).eval(), term=objective), toy(num_items=V, kind=kind), batch)


@pytest.mark.parametrize("kind", ["prefixes", "sequences"])
@torch.no_grad()
def test_the_loss_is_the_mean_squared_error_of_every_known_next_item_written_out(kind: Kind) -> None:
    objective = NextItemDiffusion(drop_condition=0.5)
    step = asked(objective, kind=kind)
    model, batch = step.model, step.batch
    diffusion, hidden = model.diffusion(), model.encode(model.items(batch.items), batch.layout)
    places = [n for n in range(len(batch.items)) if batch.targets[n] > 0]
    assert len(places) == (batch.size if kind == "prefixes" else len(batch.items))
    draw = step.generator(objective)
    t = torch.randint(1, T + 1, (len(places),), generator=draw)
    dropped = torch.rand(len(places), generator=draw) < 0.5
    noise = torch.randn(len(places), DIM, generator=step.generator(diffusion.noise))
    A, C = ExponentialSchedule(steps=T).coefficients()
    total = 0.0
    for m, n in enumerate(places):
        clean = model.items.weight[batch.targets[n]]
        noised = A[t[m] - 1].float() * clean + C[t[m] - 1].float() * noise[m]
        told = diffusion.null if dropped[m] else hidden[n]
        assert isinstance(told, Tensor)
        tau = diffusion.denoiser.time(t[m : m + 1])[0]  # type: ignore[operator]
        restored = diffusion.denoiser.maps(torch.cat([noised, told, tau]))  # type: ignore[operator]
        total += float((restored - clean).square().sum())
    assert 0 < int(dropped.sum()) < len(places)
    assert float(objective(step)) == pytest.approx(total / (len(places) * DIM), rel=1e-4)


def test_with_every_condition_dropped_the_loss_does_not_know_the_history() -> None:
    objective = NextItemDiffusion(drop_condition=1.0)
    step = asked(objective)
    batch = step.batch
    others = Batch(batch.rows, batch.users, batch.layout, batch.items % V + 1, batch.targets, batch.predicted)
    assert torch.equal(objective(step), objective(asked(objective, batch=others)))
    kept = NextItemDiffusion(drop_condition=0.0)
    assert not torch.allclose(kept(asked(kept)), kept(asked(kept, batch=others)))


def null_gradient(objective: NextItemDiffusion) -> float:
    step = asked(objective)
    objective(step).backward()  # type: ignore[no-untyped-call]
    null = step.model.diffusion().null
    assert null is not None
    return 0.0 if null.grad is None else float(null.grad.abs().sum())


def test_the_null_condition_learns_only_where_a_condition_was_dropped() -> None:
    assert null_gradient(NextItemDiffusion(drop_condition=0.0)) == 0
    assert null_gradient(NextItemDiffusion(drop_condition=1e-6)) == 0  # none of these few targets
    assert null_gradient(NextItemDiffusion(drop_condition=0.5)) > 0


def test_where_every_condition_is_dropped_the_encoder_does_not_learn() -> None:
    for probability, learns in ((1.0, False), (0.5, True)):
        objective = NextItemDiffusion(drop_condition=probability)
        step = asked(objective)
        objective(step).backward()  # type: ignore[no-untyped-call]
        moved = [p.grad is not None and bool((p.grad != 0).any()) for p in step.model.encoders.parameters()]
        assert any(moved) == learns


def test_as_a_target_an_item_learns_unless_told_otherwise() -> None:
    """With a denoiser that answers zero, the error is the target's own length: all gradient is the target's."""
    gradients = []
    for detach in (False, True):
        objective = NextItemDiffusion(detach_target=detach)
        step = asked(objective)
        with torch.no_grad():
            for parameter in step.model.diffusion().denoiser.maps.parameters():  # type: ignore[union-attr]
                parameter.zero_()
        loss = objective(step)
        assert loss.item() == pytest.approx(step.model.items(step.batch.targets[step.batch.predicted]).square().mean().item())
        loss.backward()  # type: ignore[no-untyped-call]
        table = step.model.items.weight.grad
        gradients.append(0.0 if table is None else float(table.abs().sum()))
    assert gradients[0] > 0 and gradients[1] == 0


def test_standardised_the_size_of_the_table_does_not_matter() -> None:
    """Every condition is dropped, because the states come from the table too."""
    found = []
    for standardised in (True, False):
        for times in (1.0, 0.01):
            objective = NextItemDiffusion(drop_condition=1.0, standardised=standardised)
            step = asked(objective)
            with torch.no_grad():
                step.model.items.weight.mul_(times)
            found.append(objective(step).item())
    assert found[0] == pytest.approx(found[1], rel=1e-4) and found[2] != pytest.approx(found[3], rel=0.05)


def test_the_noised_vectors_have_the_mean_and_the_variance_of_their_step() -> None:
    diffusion = world().diffusion()
    A, C = ExponentialSchedule(steps=T).coefficients()
    layout = Layout.of([1] * 20_000)
    clean = torch.linspace(-1, 1, DIM).expand(20_000, DIM)
    noise = diffusion.noise.draw(clean, torch.ones(20_000), world().items, torch.Generator().manual_seed(0))
    for t in (1, 20, T):
        noised = diffusion.mix(clean, noise, torch.full((20_000,), t), layout)
        assert torch.allclose(noised.mean(0), A[t - 1].float() * clean[0], atol=0.03)
        assert torch.allclose(noised.var(0), (C[t - 1] ** 2).float().expand(DIM), rtol=0.05, atol=1e-4)


def test_it_notes_how_far_the_targets_are_apart() -> None:
    objective = NextItemDiffusion()
    step = asked(objective)
    objective(step)
    targets = step.model.items(step.batch.targets[step.batch.predicted])
    spread, out_of = step.records["target_std"]
    assert float(spread) == pytest.approx(float(((targets - targets.mean(0)) ** 2).mean(0).sqrt().mean()), rel=1e-5)
    assert float(out_of) == 1
    with torch.no_grad():
        step.model.items.weight[1:] = step.model.items.weight[1]
    objective(step)
    assert float(step.records["target_std"][0]) == 0


def test_a_batch_of_one_row_works() -> None:
    objective = NextItemDiffusion()
    samples = toy(num_items=V, kind="prefixes")
    assert torch.isfinite(objective(asked(objective, batch=samples.take(torch.tensor([0])))))


def test_start_noise_disturbs_what_is_noised_and_not_the_target() -> None:
    objective = NextItemDiffusion()
    plain, started = (asked(objective, world(start_noise=noisy)) for noisy in (False, True))
    assert not torch.equal(objective(plain), objective(started))
    with torch.no_grad():
        for parameter in (*plain.model.diffusion().denoiser.parameters(), *started.model.diffusion().denoiser.parameters()):
            parameter.zero_()
    assert torch.equal(objective(plain), objective(started))


def test_what_cannot_be_learnt_is_refused_in_words() -> None:
    with pytest.raises(RecipeError, match="nothing to put in their place"):
        NextItemDiffusion().bind(world(null_condition=False))
    NextItemDiffusion(drop_condition=0.0).bind(world(null_condition=False))
    objective = NextItemDiffusion()
    with pytest.raises(RecipeError, match="no next items"):
        objective(asked(objective, kind="whole"))
