"""Schedules against the numbers and the recursion of the paper (specification, sections 4 and 19.1)."""

from __future__ import annotations

import math

import pytest
import torch

from seqaug.builtin.schedules import ConvexSchedule, CosineSchedule, LinearSchedule, SqrtSchedule
from seqaug.core.protocols import Schedule

EVERY = [LinearSchedule(), LinearSchedule(zero_terminal_snr=False), CosineSchedule(), SqrtSchedule(), ConvexSchedule()]

# t, A_t, C_t of the linear schedule with zero terminal SNR: computed by hand for the specification, section 4.
TABLE = [
    (1, 0.99995, 0.01000),
    (2, 0.99989, 0.01486),
    (100, 0.94677, 0.32190),
    (250, 0.72217, 0.69171),
    (500, 0.27573, 0.96123),
    (750, 0.05186, 0.99865),
    (900, 0.01030, 0.99995),
    (999, 0.00006, 1.0),
    (1000, 0.0, 1.0),
]


@pytest.mark.parametrize("t, signal, noise", TABLE)
def test_the_linear_schedule_has_the_values_of_the_specification(t: int, signal: float, noise: float) -> None:
    A, C = LinearSchedule().coefficients()
    assert abs(float(A[t - 1]) - signal) < 1e-4
    assert abs(float(C[t - 1]) - noise) < 1e-4


def test_zero_terminal_snr_keeps_the_first_step_and_ends_in_pure_noise() -> None:
    A, C = LinearSchedule().coefficients()
    assert float(A[0]) == pytest.approx(math.sqrt(1 - 1e-4), abs=1e-15)
    assert float(A[-1]) == 0
    assert float(C[-1]) == 1


def test_without_zero_terminal_snr_a_little_signal_is_left() -> None:
    A, _ = LinearSchedule(zero_terminal_snr=False).coefficients()
    left = 1.0
    for i in range(1000):
        left *= 1 - (1e-4 + i * (0.02 - 1e-4) / 999)
    assert float(A[-1]) == pytest.approx(math.sqrt(left), rel=1e-12)


@pytest.mark.parametrize("schedule", EVERY)
def test_signal_falls_and_noise_rises_within_0_and_1(schedule: Schedule) -> None:
    A, C = schedule.coefficients()
    assert A.dtype == C.dtype == torch.float64
    assert A.shape == C.shape == (schedule.steps,)
    assert (A.diff() < 0).all() and (C.diff() >= 0).all()
    assert (A >= 0).all() and (A < 1).all() and (C > 0).all() and (C <= 1).all()


@pytest.mark.parametrize("schedule", EVERY[:4])
def test_variance_is_preserved(schedule: Schedule) -> None:
    A, C = schedule.coefficients()
    assert torch.allclose(A**2 + C**2, torch.ones_like(A), atol=1e-12)


def test_equation_9_is_equation_8_repeated() -> None:
    """With alpha_t = A_t / A_{t-1} and beta_t = C_t - alpha_t C_{t-1}, for a noise that stays the same along the chain."""
    A, C = (coefficient.tolist() for coefficient in LinearSchedule().coefficients())
    draw = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(5, dtype=torch.float64, generator=draw) for _ in range(2))
    state, before, level = clean, 1.0, 0.0
    for t in range(1000):
        alpha = A[t] / before
        beta = C[t] - alpha * level
        assert beta > 0
        state = alpha * state + beta * noise
        assert (state - (A[t] * clean + C[t] * noise)).abs().max() < 1e-9
        if t == 0:
            assert (state - clean).norm() <= 0.01 * noise.norm() + 5e-5 * clean.norm() + 1e-12
        before, level = A[t], C[t]
    assert torch.equal(state, noise)


def test_the_convex_schedule_is_equation_8_with_shares() -> None:
    A, C = (coefficient.tolist() for coefficient in ConvexSchedule().coefficients())
    clean, noise, state = 3.0, -1.0, 3.0
    for t in range(1000):
        rate = 1e-4 + t * (0.02 - 1e-4) / 999
        state = (1 - rate) * state + rate * noise
        assert state == pytest.approx(A[t] * clean + C[t] * noise, abs=1e-12)
    assert A[-1] == pytest.approx(4.0e-5, abs=5e-7)


def test_the_cosine_schedule_is_the_cosine() -> None:
    A, _ = CosineSchedule(steps=100).coefficients()

    def f(t: int) -> float:
        return math.cos((t / 100 + 0.008) / 1.008 * math.pi / 2) ** 2

    for t in range(1, 100):
        assert float(A[t - 1]) ** 2 == pytest.approx(f(t) / f(0), rel=1e-9)
    # The last step would remove everything; it is held to 0.999 of what is left.
    assert float(A[-1]) ** 2 == pytest.approx(float(A[-2]) ** 2 * 0.001, rel=1e-9)


@pytest.mark.parametrize(
    "t, retained",
    [(1, 0.9766), (10, 0.9086), (100, 0.6905), (250, 0.5049), (500, 0.2958), (750, 0.1353), (900, 0.0518), (999, 0.0005)],
)
def test_the_square_root_schedule_has_the_values_of_the_specification(t: int, retained: float) -> None:
    """The specification of cadirec, section 3, which counts t from 0."""
    A, _ = SqrtSchedule().coefficients()
    assert abs(float(A[t - 1]) ** 2 - retained) < 6e-5


def test_rates_that_fall_are_refused() -> None:
    with pytest.raises(ValueError, match="larger than last"):
        LinearSchedule(first=0.1, last=0.01)
