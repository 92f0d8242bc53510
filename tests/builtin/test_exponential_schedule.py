"""The schedules of dreamrec (specification, sections 3 and 7.1-7.2)."""

from __future__ import annotations

import math

import pytest
import torch

from seqaug.builtin.schedules import CosineSchedule, ExponentialSchedule, LinearSchedule, SqrtSchedule
from seqaug.core.protocols import Schedule

PUBLISHED = [  # the released commands: YooChoose, Zhihu, KuaiRec; and the fourth that the code has
    ExponentialSchedule(steps=500),
    LinearSchedule(steps=500, zero_terminal_snr=False),
    CosineSchedule(steps=2000, max_rate=0.9999),
    SqrtSchedule(steps=200),
]


@pytest.mark.parametrize("steps", [2, 50, 500, 2000])
def test_the_exponential_schedule_is_the_product_written_out(steps: int) -> None:
    A, C = ExponentialSchedule(steps=steps).coefficients()
    left = 1.0
    for i in range(steps):
        x = 1 + i * 2 * steps / (steps - 1)
        left *= 1 - (1 - math.exp(-0.1 / steps - x * 0.5 * (10 - 0.1) / steps**2))
        assert float(A[i]) ** 2 == pytest.approx(left, rel=1e-9)
        assert float(A[i]) ** 2 + float(C[i]) ** 2 == pytest.approx(1, abs=1e-12)


def test_the_exponential_schedule_has_the_values_of_the_specification() -> None:
    A, _ = ExponentialSchedule(steps=500).coefficients()
    retained = torch.cat([torch.ones(1, dtype=torch.float64), A**2])
    rates = 1 - retained[1:] / retained[:-1]
    assert float(rates[0]) == pytest.approx(2.2e-4, rel=0.01)
    assert float(rates[-1]) == pytest.approx(0.0198, rel=0.01)
    assert float(retained[-1]) == pytest.approx(0.0063, rel=0.01)


def test_linear_rates_leave_a_little_signal_at_500_steps() -> None:
    A, _ = LinearSchedule(steps=500, zero_terminal_snr=False).coefficients()
    assert float(A[-1]) ** 2 == pytest.approx(0.0064, rel=0.01)
    assert float(A[-1]) == pytest.approx(0.080, rel=0.01)


def test_the_released_floor_under_the_cosine_rates_is_felt_in_the_first_steps_only() -> None:
    """The released code lifts every rate to 1e-4 at least, ours does not: docs/methods/dreamrec.md, row 7."""
    A, _ = CosineSchedule(steps=2000, max_rate=0.9999).coefficients()
    retained = torch.cat([torch.ones(1, dtype=torch.float64), A**2])
    rates = 1 - retained[1:] / retained[:-1]
    lifted = torch.sqrt(torch.cumprod(1 - rates.clamp(min=1e-4), 0))
    assert int((rates < 1e-4).sum()) == 66
    assert float((lifted - A).abs().max()) < 1.5e-3


@pytest.mark.parametrize("schedule", PUBLISHED)
def test_one_step_kernels_compose_to_the_closed_form(schedule: Schedule) -> None:
    """x_t = sqrt(1 - b_t) x_{t-1} + sqrt(b_t) noise has mean A_t x_0 and variance C_t^2."""
    A, C = (coefficient.tolist() for coefficient in schedule.coefficients())
    mean, variance, before = 1.0, 0.0, 1.0
    for signal, noise in zip(A, C, strict=True):
        rate = 1 - (signal / before) ** 2
        mean, variance, before = math.sqrt(1 - rate) * mean, (1 - rate) * variance + rate, signal
        assert mean == pytest.approx(signal, rel=1e-9) and variance == pytest.approx(noise**2, abs=1e-10)


@pytest.mark.parametrize("schedule", PUBLISHED)
def test_the_posterior_of_a_clean_vector_keeps_the_mean_of_its_step(schedule: Schedule) -> None:
    """c_1 + c_2 A_n = A_{n-1} for every n, and nothing is left to draw at the last."""
    A, C = (
        torch.cat([first, part]) for first, part in zip((torch.ones(1), torch.zeros(1)), schedule.coefficients(), strict=True)
    )
    A, C = A.double(), C.double()
    rate = 1 - (A[1:] / A[:-1]) ** 2
    c_1 = rate * A[:-1] / C[1:] ** 2
    c_2 = C[:-1] ** 2 * torch.sqrt(1 - rate) / C[1:] ** 2
    assert float((c_1 + c_2 * A[1:] - A[:-1]).abs().max()) < 1e-10
    assert float(rate[0] * C[0] ** 2 / C[1] ** 2) == 0 and float(c_2[0]) == 0


def test_exponential_rates_that_fall_are_refused() -> None:
    with pytest.raises(ValueError, match="larger than highest"):
        ExponentialSchedule(lowest=3, highest=2)
