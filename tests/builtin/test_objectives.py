"""Objectives against naive loops, and the values that can be told beforehand (specifications, sections 10-11 and 19)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from builtin.worlds import DIM, assembly_of, batch_of, drawing, model_of, step_of, toy
from seqaug.builtin.negative_samplers import RankedItem, UniformItems
from seqaug.builtin.objectives.contrast_margin import ContrastMargin
from seqaug.builtin.objectives.denoising import Denoising
from seqaug.builtin.objectives.info_nce import InfoNce
from seqaug.builtin.objectives.next_item_bce import NextItemBce
from seqaug.builtin.objectives.next_item_softmax import NextItemSoftmax
from seqaug.builtin.objectives.nt_xent import NtXent
from seqaug.core.items import ItemScores
from seqaug.core.names import ViewName
from seqaug.core.step import Step
from seqaug.core.views import Evidence, Restoration, View
from seqaug.errors import RecipeError

V = 20
SAMPLES = toy(num_items=V)


@dataclass
class Given:
    """An augmenter whose views are what the test says."""

    made: dict[str, View]

    @property
    def view_names(self) -> tuple[str, ...]:
        return tuple(self.made)

    def views(self, step: Step) -> tuple[View, ...]:
        return tuple(self.made.values())


def step_with(representations: dict[str, Tensor], users: list[int] | None = None, **plugins: object) -> Step:
    """A step on B sequences whose views have these representations."""
    size = len(next(iter(representations.values())))
    batch = batch_of(*[[1, 2]] * size, users=users)
    views = {
        name: View(batch.layout, batch.items, torch.zeros(2 * size, dtype=torch.bool), representation=vectors)
        for name, vectors in representations.items()
    }
    return step_of(assembly_of(model_of(V), given=Given(views), **plugins), SAMPLES, batch)


def random_views(*names: str, size: int = 6, seed: int = 0) -> dict[str, Tensor]:
    draw = drawing(seed)
    return {name: torch.randn(size, DIM, generator=draw) for name in names}


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


# ---- info_nce ----


def info_nce_by_hand(
    views: dict[str, Tensor], users: list[int], *, temperature: float, others_too: bool, same_user_out: bool, similarity: str
) -> float:
    like = cosine if similarity == "cosine" else lambda a, b: float(a @ b)
    anchor, positive, negative = views["a"], views["p"], views["n"]
    total = 0.0
    for u in range(len(anchor)):
        own = math.exp(like(anchor[u], positive[u]) / temperature)
        against = math.exp(like(anchor[u], negative[u]) / temperature)
        for v in range(len(anchor)):
            if v == u or (same_user_out and users[v] == users[u]):
                continue
            against += math.exp(like(anchor[u], positive[v]) / temperature)
            if others_too:
                against += math.exp(like(anchor[u], negative[v]) / temperature)
        total += -math.log(own / (own + against))
    return total / len(anchor)


@pytest.mark.parametrize("in_batch", ["positives_and_negatives", "positives"])
@pytest.mark.parametrize("same_user_out", [True, False])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_info_nce_is_equation_17(in_batch: str, same_user_out: bool, similarity: str) -> None:
    views, users = random_views("a", "p", "n"), [0, 1, 1, 2, 3, 1]
    objective = InfoNce(
        anchor="given.a",  # type: ignore[arg-type]
        positive="given.p",  # type: ignore[arg-type]
        negatives=("given.n",),  # type: ignore[arg-type]
        temperature=0.7,
        in_batch=in_batch,  # type: ignore[arg-type]
        similarity=similarity,  # type: ignore[arg-type]
        exclude_same_user=same_user_out,
    )
    expected = info_nce_by_hand(
        views,
        users,
        temperature=0.7,
        others_too=in_batch == "positives_and_negatives",
        same_user_out=same_user_out,
        similarity=similarity,
    )
    assert float(objective(step_with(views, users))) == pytest.approx(expected, rel=1e-5)


def contrast(*negatives: str, **options: Any) -> InfoNce:
    return InfoNce(anchor="given.a", positive="given.p", negatives=negatives, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 2, 7])
def test_info_nce_is_log_of_its_candidates_when_nothing_tells_them_apart(size: int) -> None:
    same = torch.ones(size, DIM)
    step = step_with({"a": same, "p": same, "n": same, "m": same})
    for views in range(3):
        names = ("given.n", "given.m")[:views]
        assert float(contrast(*names)(step)) == pytest.approx(math.log(size * (1 + views)), abs=1e-5)
        assert float(contrast(*names, in_batch="positives")(step)) == pytest.approx(math.log(size + views), abs=1e-5)


def test_info_nce_of_orthogonal_views_is_what_the_specification_says() -> None:
    """h+ = h and everything else orthogonal: log(1 + (2 B - 1) e^{-1 / tau})."""
    size = 2
    basis = torch.eye(DIM)
    step = step_with({"a": basis[:size], "p": 3 * basis[:size], "n": basis[size : 2 * size]})
    logits = contrast("given.n").logits(basis[:size], basis[:size], [basis[size : 2 * size]], torch.arange(size))
    assert logits.shape == (size, 2 * size)
    for temperature in (0.2, 0.5, 2.0):
        expected = math.log(1 + (2 * size - 1) * math.exp(-1 / temperature))
        assert float(contrast("given.n", temperature=temperature)(step)) == pytest.approx(expected, rel=1e-4)
    assert float(contrast("given.n", temperature=0.05)(step)) == pytest.approx(0, abs=1e-6)


def test_info_nce_of_one_sequence_is_equation_17_without_others() -> None:
    views = random_views("a", "p", "n", size=1)
    own, hard = cosine(views["a"][0], views["p"][0]) / 0.5, cosine(views["a"][0], views["n"][0]) / 0.5
    expected = -math.log(math.exp(own) / (math.exp(own) + math.exp(hard)))
    assert float(contrast("given.n", temperature=0.5)(step_with(views))) == pytest.approx(expected, rel=1e-5)


def test_info_nce_does_not_depend_on_the_order_of_the_batch() -> None:
    views = random_views("a", "p", "n")
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = {name: vectors[order] for name, vectors in views.items()}
    assert torch.allclose(contrast("given.n")(step_with(views)), contrast("given.n")(step_with(shuffled)), atol=1e-5)


def test_info_nce_moves_anchors_positives_and_negatives() -> None:
    views = {name: vectors.requires_grad_() for name, vectors in random_views("a", "p", "n").items()}
    contrast("given.n", temperature=1.0)(step_with(views)).backward()
    assert all(vectors.grad is not None and vectors.grad.abs().sum() > 0 for vectors in views.values())


def test_info_nce_is_finite_for_extreme_similarities() -> None:
    same = torch.eye(DIM)[:4] * 100
    loss = contrast("given.n", similarity="dot", temperature=0.01)(step_with({"a": same, "p": same, "n": -same}))
    assert float(loss) == pytest.approx(0, abs=1e-6)


# ---- nt_xent ----


def pairs(**options: Any) -> NtXent:
    return NtXent(first="given.a", second="given.b", **options)  # type: ignore[arg-type]


def nt_xent_by_hand(
    first: Tensor, second: Tensor, users: list[int], temperature: float, similarity: str, same_user_out: bool
) -> float:
    like = cosine if similarity == "cosine" else lambda a, b: float(a @ b)
    size, every = len(first), [*first, *second]
    total = 0.0
    for i in range(2 * size):
        partner = (i + size) % (2 * size)
        own = math.exp(like(every[i], every[partner]) / temperature)
        against = sum(
            math.exp(like(every[i], every[j]) / temperature)
            for j in range(2 * size)
            if j not in (i, partner) and not (same_user_out and users[j % size] == users[i % size])
        )
        total += -math.log(own / (own + against))
    return total / (2 * size)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("same_user_out", [True, False])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_nt_xent_is_its_definition(similarity: str, same_user_out: bool, size: int) -> None:
    views, users = random_views("a", "b", size=size), [0, 1, 0, 2, 0][:size]
    objective = pairs(temperature=2.0, similarity=similarity, exclude_same_user=same_user_out)
    expected = nt_xent_by_hand(views["a"], views["b"], users, 2.0, similarity, same_user_out)
    assert float(objective(step_with(views, users))) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_nt_xent_is_symmetric_and_does_not_depend_on_the_order_of_the_batch() -> None:
    views = random_views("a", "b")
    swapped = {"a": views["b"], "b": views["a"]}
    order = torch.tensor([2, 0, 5, 4, 1, 3])
    shuffled = {name: vectors[order] for name, vectors in views.items()}
    loss = pairs()(step_with(views))
    assert torch.allclose(loss, pairs()(step_with(swapped)), atol=1e-5)
    assert torch.allclose(loss, pairs()(step_with(shuffled)), atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 9])
def test_nt_xent_is_log_of_two_b_minus_one_when_all_are_equal(size: int) -> None:
    same = torch.ones(size, DIM)
    assert float(pairs()(step_with({"a": same, "b": same}))) == pytest.approx(math.log(2 * size - 1), abs=1e-5)


# ---- next item ----


def naive_nll(hidden: Tensor, targets: Tensor, table: Tensor) -> float:
    total = 0.0
    for vector, target in zip(hidden, targets.tolist(), strict=True):
        scores = [float(vector @ table[item]) for item in range(1, V + 1)]
        top = max(scores)
        total += top + math.log(sum(math.exp(score - top) for score in scores)) - scores[target - 1]
    return total / len(targets)


@pytest.mark.parametrize("kind", ["sequences", "prefixes"])
def test_next_item_softmax_is_the_cross_entropy_at_the_positions_that_predict(kind: str) -> None:
    samples, model = toy(num_items=V, kind=kind), model_of(V).eval()  # type: ignore[arg-type]
    step = step_of(assembly_of(model), samples, samples.take(torch.arange(5)))
    batch = step.batch
    chosen = torch.arange(len(batch.items)) if kind == "sequences" else batch.layout.last()
    with torch.no_grad():
        expected = naive_nll(step.hidden()[chosen], batch.targets[chosen], model.items.weight)
        assert float(NextItemSoftmax()(step)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("objective", [NextItemSoftmax(), NextItemBce(negatives=UniformItems())])
def test_whole_samples_have_no_next_items(objective: NextItemSoftmax | NextItemBce) -> None:
    samples = toy(num_items=V, kind="whole")
    step = step_of(assembly_of(model_of(V), loss=objective), samples)
    with pytest.raises(RecipeError, match="no next items to predict"):
        objective(step)


@pytest.mark.parametrize(
    "objective", [NextItemSoftmax(view="given.short"), NextItemBce(view="given.short", negatives=UniformItems())]
)  # type: ignore[arg-type]
def test_a_view_with_other_positions_has_no_known_next_items(objective: NextItemSoftmax | NextItemBce) -> None:
    short = batch_of([1, 2], [3])
    view = View(short.layout, short.items, torch.zeros(3, dtype=torch.bool))
    step = step_of(assembly_of(model_of(V), given=Given({"short": view}), loss=objective), SAMPLES, batch_of([1, 2, 3], [4]))
    with pytest.raises(RecipeError, match="other positions than the batch"):
        objective(step)


@pytest.mark.parametrize("kind", ["sequences", "prefixes"])
@pytest.mark.parametrize("count", [1, 3])
def test_next_item_bce_is_equation_3(kind: str, count: int) -> None:
    samples, model = toy(num_items=V, kind=kind), model_of(V).eval()  # type: ignore[arg-type]
    objective = NextItemBce(negatives=UniformItems(exclude="history"), count=count)
    assembly = assembly_of(model, loss=objective)
    step = step_of(assembly, samples, samples.take(torch.arange(5)))
    batch, asked = step.batch, []
    drawn = objective.negatives.sample

    def kept(*arguments: Any) -> Tensor:
        asked.append((arguments[0], drawn(*arguments)))
        return asked[-1][1]

    objective.negatives.sample = kept  # type: ignore[method-assign]
    with torch.no_grad():
        loss = float(objective(step))
        total = float(NextItemBce(negatives=objective.negatives, count=count, reduction="sum")(step))
    (evidence, negatives), (_, again) = asked
    chosen = torch.arange(len(batch.items)) if kind == "sequences" else batch.layout.last()
    assert torch.equal(negatives, again) and negatives.shape == (len(chosen), count)
    assert torch.equal(evidence.targets, batch.targets[chosen])
    hidden, weight, expected = step.hidden()[chosen].detach().double(), model.items.weight.detach().double(), 0.0
    for n in range(len(chosen)):
        user = int(batch.users[batch.layout.sequence[chosen[n]]])
        assert int(evidence.users[evidence.layout.sequence[n]]) == user
        assert not set(negatives[n].tolist()) & set(samples.histories.of(user).tolist())
        expected -= math.log(1 / (1 + math.exp(-float(hidden[n] @ weight[evidence.targets[n]]))))
        for item in negatives[n].tolist():
            expected -= math.log(1 - 1 / (1 + math.exp(-float(hidden[n] @ weight[item]))))
    assert loss == pytest.approx(expected / len(chosen), rel=1e-4)
    assert total == pytest.approx(expected, rel=1e-4)


def test_negatives_are_asked_for_the_users_of_the_positions_that_predict() -> None:
    told: list[Evidence] = []

    class Listening:
        def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
            told.append(evidence)
            return evidence.targets[:, None]

    objective = NextItemBce(negatives=Listening())
    batch = replace(batch_of([1, 2, 3], [4], [5, 6], users=[7, 3, 5]), predicted=torch.tensor([1, 2, 5]))
    objective(step_of(assembly_of(model_of(V), loss=objective), SAMPLES, batch))
    (evidence,) = told
    assert evidence.users[evidence.layout.sequence].tolist() == [7, 7, 5]
    assert torch.equal(evidence.items, batch.items[[1, 2, 5]]) and torch.equal(evidence.targets, batch.targets[[1, 2, 5]])


def test_next_item_bce_starts_at_two_log_two_and_learns_through_both_items() -> None:
    model = model_of(V)
    objective = NextItemBce(negatives=UniformItems(exclude="target"))
    with torch.no_grad():
        model.items.weight[1:].mul_(1e-4)
    loss = objective(step_of(assembly_of(model, loss=objective), SAMPLES))
    assert float(loss.detach()) == pytest.approx(2 * math.log(2), abs=1e-3)
    loss.backward()
    assert model.items.weight.grad is not None and model.items.weight.grad[0].abs().sum() == 0


def test_ranked_negatives_stand_against_the_states_own_scores() -> None:
    model = model_of(V).eval()
    objective = NextItemBce(negatives=RankedItem(rank=1))
    step = step_of(assembly_of(model, loss=objective), SAMPLES)
    hidden, targets = step.hidden().detach(), step.batch.targets
    scores = hidden @ model.items.catalogue.detach().t()
    own = scores.gather(1, targets[:, None] - 1)[:, 0]
    hardest = scores.scatter(1, targets[:, None] - 1, float("-inf")).amax(1)
    expected = (torch.nn.functional.softplus(-own) + torch.nn.functional.softplus(hardest)).mean()
    assert torch.allclose(objective(step), expected, rtol=1e-5)


# ---- denoising ----


def restored_step(corrupted: Tensor | None = None) -> tuple[Step, Restoration]:
    batch, model = batch_of([1, 2, 3], [4, 5]), model_of(V)
    draw = drawing(1)
    clean = model.items(batch.items)
    restored = torch.randn(5, DIM, generator=draw).requires_grad_()
    made = Restoration(
        batch.layout, batch.items, clean, clean, restored, torch.tensor([1, 2]), corrupted, ItemScores(restored, model.items)
    )
    view = View(batch.layout, batch.items, torch.zeros(5, dtype=torch.bool), ask_restoration=lambda: made)
    return step_of(assembly_of(model, given=Given({"v": view})), SAMPLES, batch), made


def denoising(**options: Any) -> Denoising:
    return Denoising(view="given.v", **options)  # type: ignore[arg-type]


def test_denoising_is_the_rounding_loss_at_real_positions() -> None:
    step, made = restored_step()
    expected = naive_nll(made.restored.detach(), made.items, step.model.items.weight.detach())
    assert float(denoising()(step).detach()) == pytest.approx(expected, rel=1e-5)


def test_denoising_adds_the_squared_error_of_equation_13() -> None:
    step, made = restored_step()
    error = sum(float(((made.restored[n] - made.clean[n]) ** 2).sum().detach()) for n in range(5)) / 5
    difference = float((denoising(squared_error=0.5)(step) - denoising()(step)).detach())
    assert difference == pytest.approx(0.5 * error, rel=1e-4)


def test_the_squared_error_reaches_the_item_vectors_only_when_told_to() -> None:
    for detach in (True, False):
        step, _ = restored_step()
        before = torch.autograd.grad(denoising()(step), step.model.items.weight, retain_graph=True)[0]
        after = torch.autograd.grad(denoising(squared_error=1.0, detach_target=detach)(step), step.model.items.weight)[0]
        assert torch.allclose(before, after) == detach


def test_denoising_can_be_asked_at_the_corrupted_positions_only() -> None:
    corrupted = torch.tensor([True, False, False, True, False])
    step, made = restored_step(corrupted)
    expected = naive_nll(made.restored.detach()[corrupted], made.items[corrupted], step.model.items.weight.detach())
    assert float(denoising(positions="corrupted")(step)) == pytest.approx(expected, rel=1e-5)
    error = (made.restored - made.clean).square().sum(1)[corrupted].mean()
    difference = denoising(positions="corrupted", squared_error=1.0)(step) - denoising(positions="corrupted")(step)
    assert torch.allclose(difference, error, rtol=1e-4)
    nothing, _ = restored_step(torch.zeros(5, dtype=torch.bool))
    assert float(denoising(positions="corrupted", squared_error=1.0)(nothing)) == 0


def test_denoising_needs_a_view_from_a_diffusion() -> None:
    with pytest.raises(RecipeError, match="comes from no diffusion"):
        Denoising(view="clean")(step_of(assembly_of(model_of(V)), SAMPLES))  # type: ignore[arg-type]


def test_prefixes_ask_only_where_they_predict() -> None:
    """The loss of a row is that of its last state and of no other, to the last weight."""
    samples, model = toy(num_items=V, kind="prefixes"), model_of(V).eval()
    step = step_of(assembly_of(model), samples)
    last = step.batch.layout.last()
    expected = step.scores(step.hidden()[last]).nll(step.batch.targets[last])
    found = NextItemSoftmax()(step)
    assert torch.allclose(found, expected, rtol=1e-6)
    moved = [parameter for part in ("items", "encoders.main") for parameter in model.parts()[part].parameters()]
    for one, two in zip(torch.autograd.grad(found, moved), torch.autograd.grad(expected, moved), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


def test_an_output_head_stands_between_states_and_items() -> None:
    model = model_of(V).eval()
    model.heads["twice"] = torch.nn.Linear(DIM, DIM, bias=False)
    with torch.no_grad():
        model.heads["twice"].weight.copy_(2 * torch.eye(DIM))
    step = step_of(assembly_of(model), SAMPLES)
    expected = step.scores(2 * step.hidden()).nll(step.batch.targets)
    assert torch.allclose(NextItemSoftmax(head="twice")(step), expected)  # type: ignore[arg-type]


# ---- what cannot be compared ----


@pytest.mark.parametrize(
    "contrast",
    [
        InfoNce(positive=ViewName("given.p"), anchor=ViewName("given.a")),
        NtXent(first=ViewName("given.a"), second=ViewName("given.p")),
        ContrastMargin(first=ViewName("given.a"), second=ViewName("given.p")),
    ],
    ids=lambda one: type(one).__name__,
)
def test_representations_of_different_widths_are_refused_in_words(contrast: Any) -> None:
    views = random_views("a", "p")
    views["p"] = views["p"][:, :3]
    with pytest.raises(RecipeError, match=rf"that of 'given.a' has {DIM} and that of 'given.p' has 3 numbers"):
        contrast(step_with(views))
