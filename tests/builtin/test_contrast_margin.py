"""The regulariser against its written formula, by hand and by loops; and contrasts of several pairs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from builtin.test_objectives import cosine, random_views, step_with
from builtin.worlds import DIM, assembly_of, model_of, step_of, toy
from seqaug.builtin.augmenters.dropout import DropoutView
from seqaug.builtin.objectives.contrast_margin import ContrastMargin
from seqaug.builtin.objectives.nt_xent import NtXent
from seqaug.errors import RecipeError

V = 20


def margin(**options: Any) -> ContrastMargin:
    return ContrastMargin(first="given.a", second="given.b", **options)  # type: ignore[arg-type]


def similarities(first: Tensor, second: Tensor, similarity: str) -> tuple[list[float], list[list[float]]]:
    """The positive and the negatives of each of the 2 B representations."""
    size, every = len(first), [*first, *second]
    like = cosine if similarity == "cosine" else lambda a, b: float(a @ b)
    partner = [(i + size) % (2 * size) for i in range(2 * size)]
    positives = [like(every[i], every[partner[i]]) for i in range(2 * size)]
    negatives = [[like(every[i], every[j]) for j in range(2 * size) if j not in (i, partner[i])] for i in range(2 * size)]
    return positives, negatives


def margin_by_hand(positives: list[float], negatives: list[list[float]], scope: str) -> float:
    above, below = [], []
    for positive, against in zip(positives, negatives, strict=True):
        lowest, hardest = positive, max(against)
        if scope == "batch":
            lowest, hardest = min(positives), max(max(one) for one in negatives)
        above.append(max(positive - min(lowest, hardest), 0))
        below += [max(max(lowest, hardest) - one, 0) for one in against]
    return sum(above) / len(above) + sum(below) / len(below)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("scope", ["row", "batch"])
@pytest.mark.parametrize("size", [2, 5])
def test_the_margin_is_its_definition(similarity: str, scope: str, size: int) -> None:
    views = random_views("a", "b", size=size)
    expected = margin_by_hand(*similarities(views["a"], views["b"], similarity), scope)
    found = margin(similarity=similarity, scope=scope)(step_with(views))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_positive_of_three_and_negatives_of_one_and_two_cost_two_and_a_half() -> None:
    """o_min = 2, o_max = 3: 3 - 2 above, the mean of 2 and 1 below. Every row of these views has these similarities."""
    gram = torch.tensor([[4.0, 1, 3, 2], [1, 4, 2, 3], [3, 2, 4, 1], [2, 3, 1, 4]])
    vectors = torch.zeros(4, DIM)
    vectors[:, :4] = torch.linalg.cholesky(gram + 1e-6 * torch.eye(4))
    views = {"a": vectors[:2], "b": vectors[2:]}
    positives, negatives = similarities(views["a"], views["b"], "dot")
    assert positives == pytest.approx([3] * 4, abs=1e-3)
    assert [sorted(one) for one in negatives] == [pytest.approx([1, 2], abs=1e-3)] * 4
    assert margin_by_hand([3.0], [[1.0, 2.0]], "row") == 2.5
    assert float(margin()(step_with(views))) == pytest.approx(2.5, abs=1e-3)


@pytest.mark.parametrize("scope", ["row", "batch"])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_equal_similarities_cost_nothing_and_no_similarities_cost_less(scope: str, size: int) -> None:
    same = torch.ones(size, DIM)
    assert float(margin(scope=scope)(step_with({"a": same, "b": same}))) == 0
    for seed in range(5):
        assert float(margin(scope=scope)(step_with(random_views("a", "b", size=size, seed=seed)))) >= 0


def test_it_pushes_the_other_way_than_the_contrast() -> None:
    """One small step down the margin brings the positives down where they stand above; a contrast brings them up."""
    for objective, sign in ((margin(), -1), (NtXent(first="given.a", second="given.b"), 1)):  # type: ignore[arg-type]
        basis = torch.eye(DIM)
        a, b = (2 * basis[:3]).requires_grad_(), (2 * basis[:3] + 0.1).requires_grad_()
        objective(step_with({"a": a, "b": b})).backward()  # type: ignore[no-untyped-call]
        assert a.grad is not None and b.grad is not None
        moved = ((a - 0.01 * a.grad) * (b - 0.01 * b.grad)).sum(1) - (a * b).sum(1)
        assert (sign * moved > 0).all()


def test_a_batch_of_one_row_has_a_gradient_and_it_is_zero() -> None:
    a, b = (one.requires_grad_() for one in random_views("a", "b", size=1).values())
    margin()(step_with({"a": a, "b": b})).backward()  # type: ignore[no-untyped-call]
    assert a.grad is not None and not a.grad.any()


# ---- several pairs ----


@pytest.mark.parametrize("kind", [ContrastMargin, NtXent])
def test_further_pairs_add_their_terms(kind: type[Any]) -> None:
    views = random_views("a", "b", "c")
    step = step_with(views)
    both = kind(first="given.a", second="given.b", also=(("given.b", "given.c"), ("given.a", "given.c")))
    alone = [kind(first=f"given.{one}", second=f"given.{other}")(step) for one, other in ("ab", "bc", "ac")]
    assert float(both(step)) == pytest.approx(float(sum(alone)), rel=1e-6)
    for one, other in ("ab", "bc", "ac"):
        pair, back = kind(first=f"given.{one}", second=f"given.{other}"), kind(first=f"given.{other}", second=f"given.{one}")
        assert float(pair(step)) == pytest.approx(float(back(step)), rel=1e-5)


# ---- rows of one target ----


def test_rows_of_one_target_are_negatives_unless_excluded() -> None:
    """Worked out from the rows that remain: without the other rows of its target, a row asks a smaller batch."""
    samples = toy(num_users=30, num_items=6, kind="prefixes")
    model = model_of(6).eval()
    assembly = assembly_of(model, again=DropoutView())
    batch = samples.take(torch.arange(12))
    step = step_of(assembly, samples, batch)
    targets = batch.targets[batch.layout.last()]
    assert len(set(targets.tolist())) < len(targets), "some rows share a target"
    one = step.representation().detach()
    every = torch.cat([one, one])
    terms = {True: 0.0, False: 0.0}
    for excluded in terms:
        for i in range(24):
            partner = (i + 12) % 24
            kept = [j for j in range(24) if j == partner or (j != i and not (excluded and targets[j % 12] == targets[i % 12]))]
            logits = every[kept] @ every[i]
            terms[excluded] += float(torch.logsumexp(logits, 0) - every[partner] @ every[i]) / 24
    for excluded, expected in terms.items():
        found = NtXent(first="clean", second="again.again", exclude_same_target=excluded)(step)  # type: ignore[arg-type]
        assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert terms[True] < terms[False]


def test_rows_without_targets_have_none_in_common() -> None:
    samples = toy(kind="whole")
    step = step_of(assembly_of(model_of(samples.num_items), again=DropoutView()), samples)
    with pytest.raises(RecipeError, match='"whole" gives no targets'):
        NtXent(first="clean", second="again.again", exclude_same_target=True)(step)  # type: ignore[arg-type]
