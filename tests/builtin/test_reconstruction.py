"""Telling what stood in the holes, which items were replaced, and what comes behind the latest (bert4rec, ecl_sr)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from builtin.worlds import DIM, MAX_LENGTH, assembly_of, batch_of, drawing, model_of, step_of, toy
from seqaug.builtin.augmenters.dropout import DropoutView
from seqaug.builtin.encoders.transformer import TransformerEncoder
from seqaug.builtin.heads import LinearHead
from seqaug.builtin.objectives.info_nce import InfoNce
from seqaug.builtin.objectives.reconstruction import Reconstruction
from seqaug.builtin.objectives.replaced_item import ReplacedItem
from seqaug.builtin.scorers import MaskedPosition
from seqaug.core.recommender import Recommender
from seqaug.core.step import Step
from seqaug.core.views import View
from seqaug.data.batch import Batch
from seqaug.data.layout import Layout
from seqaug.errors import RecipeError

V = 20
MASK = V + 1
SAMPLES = toy(num_items=V)
BATCH = batch_of([3, 1, 4, 1, 5], [9], [2, 6, 5])


@dataclass
class Given:
    """An augmenter whose one view is what the test says."""

    made: View
    view_names: tuple[str, ...] = ("view",)

    def views(self, step: Step) -> tuple[View, ...]:
        return (self.made,)


def model(*, causal: bool = False, dropout: float = 0.0, width: int = 1) -> Recommender:
    torch.manual_seed(4)
    made = model_of(V, TransformerEncoder(DIM, MAX_LENGTH, inner=16, causal=causal, dropout=dropout))
    made.heads["critic"] = LinearHead(DIM, width=width, bias=False)
    made.heads["output"] = LinearHead(DIM, activation="gelu", norm="layer")
    return made


def step_on(view: View, batch: Batch = BATCH, own: Recommender | None = None, **plugins: object) -> Step:
    return step_of(assembly_of(own or model(), given=Given(view), **plugins), SAMPLES, batch)


def masked(*holes: int, batch: Batch = BATCH) -> View:
    edited = torch.zeros(len(batch.items), dtype=torch.bool)
    edited[list(holes)] = True
    return View(batch.layout, batch.items.masked_fill(edited, MASK), edited)


def replaced(**items: int) -> View:
    """`at_3=7`: item 7 at position 3."""
    now = BATCH.items.clone()
    for place, item in items.items():
        now[int(place.removeprefix("at_"))] = item
    return View(BATCH.layout, now, now != BATCH.items)


def elsewhere() -> View:
    layout = Layout.of([4, 1, 3])
    return View(layout, torch.ones(8, dtype=torch.int64), torch.ones(8, dtype=torch.bool))


# ---- reconstruction ----


@pytest.mark.parametrize("head", [None, "output"])
def test_reconstruction_is_the_mean_of_minus_log_softmax_at_the_holes(head: str | None) -> None:
    step = step_on(masked(1, 5, 8))
    hidden = step.hidden("given.view")
    expected = 0.0
    for place in (1, 5, 8):
        state = hidden[place] if head is None else step.model.heads[head](hidden[place])
        scores = [float((state @ step.model.items.weight[item]).detach()) for item in range(1, V + 1)]
        expected += math.log(sum(math.exp(score) for score in scores)) - scores[int(BATCH.items[place]) - 1]
    found = Reconstruction(view="given.view", head=head)(step)  # type: ignore[arg-type]
    assert float(found) == pytest.approx(expected / 3, rel=1e-5)


def test_the_other_positions_contribute_nothing() -> None:
    """specification of bert4rec, must show 2."""
    step = step_on(masked(1, 5))
    hidden = step.hidden("given.view")
    hidden.retain_grad()
    Reconstruction(view="given.view")(step).backward()  # type: ignore[arg-type, no-untyped-call]
    assert hidden.grad is not None
    assert (hidden.grad.abs().amax(1) > 0).nonzero()[:, 0].tolist() == [1, 5]


def test_without_holes_reconstruction_is_zero_and_still_has_a_gradient() -> None:
    step = step_on(masked())
    loss = Reconstruction(view="given.view")(step)  # type: ignore[arg-type]
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss) == 0
    assert all(p.grad is None or not p.grad.isnan().any() for p in step.model.parameters())


def test_reconstruction_is_about_log_v_when_nothing_has_been_learnt() -> None:
    fresh = model()
    with torch.no_grad():
        fresh.items.weight[1:].normal_(0, 0.02, generator=drawing())
    found = Reconstruction(view="given.view", head="output")(step_on(masked(0, 3, 5, 7), own=fresh))  # type: ignore[arg-type]
    assert float(found) == pytest.approx(math.log(V), abs=0.1)


@pytest.mark.parametrize("objective", [Reconstruction, ReplacedItem])
def test_a_view_with_other_positions_is_refused(objective: Any) -> None:
    head = {"head": "critic"} if objective is ReplacedItem else {}
    with pytest.raises(RecipeError, match="has other positions than the batch"):
        objective(view="given.view", **head)(step_on(elsewhere()))


# ---- replaced_item ----


def replaced_item(**options: Any) -> ReplacedItem:
    return ReplacedItem(view="given.view", head="critic", **options)  # type: ignore[arg-type]


def test_replaced_item_is_binary_cross_entropy_over_all_positions() -> None:
    """specification of ecl_sr, section 4: input E[s~] + f(s), the same f again, a linear map, a sigmoid."""
    step = step_on(replaced(at_2=8, at_5=1), own=model(causal=True))
    items, encoder, critic = step.model.items, step.model.encoders["main"], step.model.heads["critic"]
    clean = encoder(items(BATCH.items), BATCH.layout)
    states = encoder(items(step.view("given.view").items) + clean, BATCH.layout)
    rho = torch.sigmoid(critic(states))[:, 0].tolist()
    labels = [place in (2, 5) for place in range(9)]
    expected = -sum(math.log(p) if label else math.log(1 - p) for p, label in zip(rho, labels, strict=True)) / 9
    assert float(replaced_item()(step)) == pytest.approx(expected, rel=1e-5)


def test_replaced_and_original_labels_are_as_many_as_there_are_positions() -> None:
    """specification of ecl_sr, must show 2: a slot with its own item again is "original"."""
    view = replaced(at_2=8, at_4=int(BATCH.items[4]), at_5=1)
    assert int(view.edited.sum()) + int((~view.edited).sum()) == BATCH.layout.num_positions
    assert view.edited.nonzero()[:, 0].tolist() == [2, 5]


def test_with_a_perfect_generator_every_label_is_original() -> None:
    """specification of ecl_sr, must show 2."""
    step = step_on(replaced())
    expected = functional.softplus(replaced_item().logits(step)).mean()
    assert float(replaced_item()(step)) == pytest.approx(float(expected), rel=1e-6)


def test_replaced_item_is_log_two_when_nothing_has_been_learnt() -> None:
    own = model()
    with torch.no_grad():
        own.heads["critic"].map.weight.zero_()  # type: ignore[union-attr, operator]
    assert float(replaced_item()(step_on(replaced(at_2=8), own=own))) == pytest.approx(math.log(2))


def test_replaced_item_reaches_the_encoder_through_the_original_too() -> None:
    step = step_on(replaced(at_2=8))
    clean = step.hidden("clean")
    clean.retain_grad()
    replaced_item()(step).backward()  # type: ignore[no-untyped-call]
    assert clean.grad is not None and bool((clean.grad != 0).any())
    assert bool((step.model.items.weight.grad[8] != 0).any())  # type: ignore[index]


def test_the_discriminator_is_causal_where_its_encoder_is() -> None:
    """specification of ecl_sr, must show 7."""
    own = model(causal=True)
    before = replaced_item().logits(step_on(replaced(at_1=7), own=own))
    after = replaced_item().logits(step_on(replaced(at_1=7, at_3=9), own=own))
    moved = ((before - after).abs() > 1e-6).tolist()
    assert moved == [place in (3, 4) for place in range(9)]


def test_the_discriminator_reads_each_sequence_alone() -> None:
    """specification of ecl_sr, must show 7: there is nothing beside the sequence that could be padding."""
    own = model(causal=True)
    together = replaced_item().logits(step_on(replaced(at_1=7), own=own))
    batch = batch_of([3, 1, 4, 1, 5])
    items = torch.tensor([3, 7, 4, 1, 5])
    alone = replaced_item().logits(step_on(View(batch.layout, items, items != batch.items), batch, own))
    assert torch.allclose(together[:5], alone, atol=1e-5)


class Dice(nn.Module):
    """Draws its states as dropout draws its masks."""

    def forward(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        return torch.rand_like(embedded)


def test_the_second_pass_has_a_dropout_of_its_own() -> None:
    own = model()
    own.encoders["main"] = Dice()
    step = step_on(replaced(), own=own)
    found = replaced_item().logits(step)
    assert not torch.allclose(found, own.heads["critic"](step.hidden("clean"))[:, 0])
    assert torch.equal(found, replaced_item().logits(step))


def test_a_critic_of_another_width_is_refused() -> None:
    with pytest.raises(RecipeError, match="'critic' gives 3 numbers a position; it needs width = 1"):
        replaced_item()(step_on(replaced(at_2=8), own=model(width=3)))


# ---- masked_position ----


@pytest.mark.parametrize("max_length", [1, 2, 4, MAX_LENGTH])
def test_one_mask_stands_behind_the_latest_item_and_as_many_items_before_it_as_fit(max_length: int) -> None:
    """specification of bert4rec, must show 2 and section 6."""
    own = model()
    own.max_length = max_length
    sequences = [part.tolist()[-max_length:] for part in BATCH.items.split(BATCH.layout.counts)]
    layout, items = MaskedPosition().asked(own, batch_of(*sequences))
    for asked, given in zip(items.split(layout.counts), sequences, strict=True):
        kept = given[max(0, len(given) + 1 - max_length) :]
        assert asked.tolist() == [*kept, MASK] and len(asked) == min(len(given) + 1, max_length)


def test_the_scores_are_those_of_the_state_at_the_mask_and_of_items_only() -> None:
    """specification of bert4rec, must show 3: neither the mask nor a pad can be recommended."""
    own = model().eval()
    scorer = MaskedPosition(head="output")  # type: ignore[arg-type]
    found = scorer.score(own, BATCH, drawing()).of(torch.arange(1, V + 1).expand(3, -1))
    for row, given in enumerate(BATCH.items.split(BATCH.layout.counts)):
        asked = torch.cat([given, torch.tensor([MASK])])
        state = own.encode(own.items(asked), Layout.of([len(asked)]))[-1]
        assert torch.allclose(found[row], own.heads["output"](state) @ own.items.weight[1 : V + 1].t(), atol=1e-5)
    assert scorer.score(own, BATCH, drawing()).num_items == V


def test_the_output_transform_is_a_norm_of_a_gelu_of_a_linear_map() -> None:
    """specification of bert4rec, section 1."""
    head = LinearHead(DIM, activation="gelu", norm="layer")
    hidden = torch.randn(5, DIM, generator=drawing())
    before = hidden @ head.map.weight.t() + head.map.bias
    gelu = 0.5 * before * (1 + torch.erf(before / math.sqrt(2)))
    expected = (gelu - gelu.mean(1, keepdim=True)) / gelu.var(1, keepdim=True, unbiased=False).sqrt()
    assert torch.allclose(head(hidden), expected, atol=1e-4)


# ---- info_nce over the latest states ----


class States(nn.Module):
    """States that the test says, whatever is read."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states

    def forward(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        return self.states


@pytest.mark.parametrize("last", [1, 2, 3, 10])
def test_info_nce_compares_means_of_the_latest_states(last: int) -> None:
    """specification of ecl_sr, section 4.2; a shorter sequence has the mean of all its states."""
    states = torch.randn(9, DIM, generator=drawing(2))
    own = model()
    own.encoders["main"] = States(states)
    objective = InfoNce(positive="again.again", in_batch="positives", last=last)  # type: ignore[arg-type]
    found = objective(step_of(assembly_of(own, again=DropoutView()), SAMPLES, BATCH))
    means = torch.stack([part[-last:].mean(0) for part in states.split(BATCH.layout.counts)])
    logits = functional.cosine_similarity(means[:, None], means[None, :], dim=2) / 0.05
    expected = functional.cross_entropy(logits, torch.arange(3))
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)


def contrast(own: Recommender, batch: Batch) -> tuple[Tensor, Tensor]:
    """The loss of ECL-SR's contrast and its logits (B, B)."""
    objective = InfoNce(
        positive="again.again",  # type: ignore[arg-type]
        in_batch="positives",
        exclude_same_user=False,
        last=10,
    )
    step = step_of(assembly_of(own, again=DropoutView()), SAMPLES, batch)
    vectors = [functional.normalize(step.representation(view, "main", 10), dim=1) for view in ("clean", "again.again")]
    return objective(step), objective.logits(vectors[0], vectors[1], [], batch.users)


def test_without_dropout_both_representations_are_one_and_cosine_one_is_a_logit_of_twenty() -> None:
    """specification of ecl_sr, must show 5."""
    _, logits = contrast(model(causal=True), BATCH)
    assert torch.allclose(logits.diagonal(), torch.tensor(20.0), atol=1e-3)
    assert torch.equal(logits.argmax(1), torch.arange(3))


def test_the_contrast_of_identical_rows_is_log_of_their_number() -> None:
    """specification of ecl_sr, must show 5."""
    loss, _ = contrast(model(causal=True), batch_of(*[[3, 1, 4]] * 6))
    assert float(loss.detach()) == pytest.approx(math.log(6), abs=1e-4)
