"""An epoch of ours beside an epoch of the usual way: every prefix a row of its own, every row padded to max_length.

    python benchmarks/others.py --data beauty
    python benchmarks/others.py --data beauty --recipes sasrec --steps 6 --json

The other side is written here, for this comparison, with the modules of torch that everybody uses: `sasrec` is a causal
transformer over padded prefixes whose last state meets all items in a softmax (as RecBole trains it); `simdiffrec` is one step
as the method's released code takes it: similarities of every padded position with every item, the rounding's scores, their
softmax, random scores of the same size in their place, and the scores of the recommendation loss, each of them
(256 x 50 x items) written down whole. Both take whole optimiser steps; an epoch is a step times the batches of an epoch of
prefixes. Ours is the recipe as it stands, timed batch by batch in the same process, interleaved. It is no claim about what the
two learn in an epoch: ours sees each (prefix, target) pair once as well, in fewer updates.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqaug.data.catalog import find
from seqaug.data.samples import Samples
from seqaug.data.split import Split, leave_one_out
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, make_plan
from seqaug.training.fit import BatchReport, Fit

BATCH, LENGTH, DIM, INNER, HEADS, LAYERS, DROPOUT = 256, 50, 64, 256, 2, 2, 0.2
TARGETS = {"sasrec": 10.0, "simdiffrec": 100.0}
"""How many times faster an epoch of ours is asked to be."""


class Padded(nn.Module):
    """Item and place embeddings, transformer layers; row 0 of the items is padding, at the left."""

    def __init__(self, num_items: int, steps: int = 1000) -> None:
        super().__init__()
        self.items = nn.Embedding(num_items + 2, DIM, padding_idx=0)
        nn.init.normal_(self.items.weight, std=0.02)
        self.places = nn.Embedding(LENGTH, DIM)
        self.time = nn.Embedding(steps + 1, DIM)
        self.norm = nn.LayerNorm(DIM)
        self.dropout = nn.Dropout(DROPOUT)
        layer = nn.TransformerEncoderLayer(DIM, HEADS, INNER, DROPOUT, "gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.register_buffer("future", torch.full((LENGTH, LENGTH), -10_000.0).triu(1), persistent=False)

    def encode(self, vectors: Tensor, ids: Tensor, *, causal: bool) -> Tensor:
        """vectors (B, L, D), ids (B, L) with 0 for padding -> (B, L, D)."""
        hidden = self.dropout(self.norm(vectors + self.places.weight))
        padding = torch.where(ids == 0, -10_000.0, 0.0)
        mask = padding[:, None, None, :] + (self.future if causal else 0)
        mask = mask.expand(-1, HEADS, LENGTH, -1).reshape(-1, LENGTH, LENGTH)
        found: Tensor = self.layers(hidden, mask=mask)
        return found


class Sasrec:
    """One step of softmax over all items at the last position of padded prefixes."""

    def __init__(self, split: Split) -> None:
        self.prefixes = Samples(split, kind="prefixes", max_length=LENGTH)
        self.model = Padded(self.prefixes.num_items)
        self.adam = torch.optim.Adam(self.model.parameters(), 1e-3)
        self.batches = self.prefixes.num_batches(BATCH)
        self._order = torch.Generator().manual_seed(0)

    def rows(self) -> tuple[Tensor, Tensor]:
        """ids (B, L), padded at the left, and the items that follow (B,)."""
        batch = self.prefixes.take(torch.randint(self.prefixes.num_rows, (BATCH,), generator=self._order))
        layout = batch.layout
        ids = torch.zeros(BATCH, LENGTH, dtype=torch.int64)
        ids[layout.sequence, LENGTH - 1 - layout.from_end] = batch.items
        return ids, batch.targets[layout.last()]

    def loss(self) -> Tensor:
        ids, targets = self.rows()
        hidden = self.model.encode(self.model.items(ids), ids, causal=True)
        return functional.cross_entropy(hidden[:, -1] @ self.model.items.weight[:-1].T, targets)

    def step(self) -> float:
        began = time.perf_counter()
        self.adam.zero_grad()
        self.loss().backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        return time.perf_counter() - began


class Simdiffrec(Sasrec):
    """One step as the released code takes it, positions x items written down whole each time."""

    def loss(self) -> Tensor:
        model, (ids, targets) = self.model, self.rows()
        items = model.items.weight[:-1]
        clean = model.items(ids)
        step = torch.randint(1, 1001, (BATCH,))
        kept = (1 - step / 1000).sqrt()[:, None, None]
        alike = clean.detach() @ items.detach().T  # (B, L, V)
        alike.scatter_(2, ids[:, :, None], torch.finfo(alike.dtype).min)
        noise = items[alike.topk(30).indices].mean(2)
        del alike
        noised = kept * clean + (1 - kept.square()).sqrt() * noise
        restored = model.encode(noised + model.time(step)[:, None], ids, causal=False)
        rounded = restored @ items.T  # (B, L, V)
        denoising = functional.cross_entropy(rounded.flatten(0, 1), ids.flatten())
        with torch.no_grad():
            shares = rounded.softmax(-1)  # (B, L, V)
            sure = shares.amax(-1).masked_fill(ids == 0, -1)
            random = torch.rand_like(rounded)  # (B, L, V), in the place of the scores
            best = random.topk(5).indices
            chosen = torch.zeros_like(ids, dtype=torch.bool).scatter_(1, sure.topk(10).indices, True) & (ids != 0)
            positive, negative = ids.where(~chosen, best[..., 0]), ids.where(~chosen, best[..., -1])
        views = [model.encode(model.items(one), one, causal=True) for one in (ids, positive, negative)]
        anchor, near, far = (functional.normalize(view[:, -1], dim=1) for view in views)
        contrast = functional.cross_entropy(torch.cat([anchor @ near.T, anchor @ far.T], 1) / 0.05, torch.arange(BATCH))
        following = torch.cat([ids[:, 1:], targets[:, None]], 1)
        scores = views[0] @ items.T  # (B, L, V)
        recommendation = functional.cross_entropy(scores.flatten(0, 1), following.flatten(), ignore_index=0)
        return recommendation + 0.1 * contrast + 0.1 * denoising


OTHERS: dict[str, type[Sasrec]] = {"sasrec": Sasrec, "simdiffrec": Simdiffrec}


class Ours:
    """A recipe, a batch at a time."""

    def __init__(self, recipe: str, data: str, split: Split) -> None:
        plan = make_plan(load_recipe(recipe), data=data, patches=[Patch("training.epochs", 10_000, "benchmark")])
        samples = samples_of(plan, split)
        fit = Fit(
            assembly_of(plan, split, seed=0),
            samples,
            seed=0,
            options=plan.training,
            validate=lambda: {plan.training.monitor: 0.0},
        )
        self.batches = samples.num_batches(plan.training.batch_size)
        self._reports = fit.reports()

    def step(self) -> float:
        began = time.perf_counter()
        while not isinstance(next(self._reports), BatchReport):
            began = time.perf_counter()
        return time.perf_counter() - began


def products() -> float:
    """GFLOP/s of a (1800 x 64) by (64 x 12101) product into a reused buffer: what the machine does now."""
    left, right, into = torch.randn(1800, 64), torch.randn(64, 12101), torch.empty(1800, 12101)
    times = []
    for _ in range(8):
        began = time.perf_counter()
        torch.mm(left, right, out=into)
        times.append(time.perf_counter() - began)
    return 2 * 1800 * 64 * 12101 / min(times) / 1e9


def compared(name: str, data: str, split: Split, steps: int, others: int) -> dict[str, object]:
    ours, other = Ours(name, data, split), OTHERS[name](split)
    timed: dict[str, list[float]] = {"ours": [], "other": []}
    sides: list[tuple[str, Callable[[], float], int]] = [("ours", ours.step, steps), ("other", other.step, others)]
    for _, step, _ in sides:
        step()  # memory is touched for the first time
    rounds = others
    for number in range(rounds):
        for side, step, count in sides:
            share = count * (number + 1) // rounds - count * number // rounds
            timed[side] += [step() for _ in range(share)]
    # Our batches differ in size, so their mean counts; those of the other side are all alike.
    epochs = {"ours": statistics.mean(timed["ours"]) * ours.batches, "other": statistics.median(timed["other"]) * other.batches}
    return {
        "recipe": name,
        "data": data,
        "ours": {"batches": ours.batches, "timed": len(timed["ours"]), "seconds_per_epoch": epochs["ours"]},
        "other": {"batches": other.batches, "timed": len(timed["other"]), "seconds_per_epoch": epochs["other"]},
        "times_faster": epochs["other"] / epochs["ours"],
        "asked": TARGETS[name],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="beauty")
    parser.add_argument("--recipes", nargs="+", default=["sasrec", "simdiffrec"], choices=list(OTHERS))
    parser.add_argument("--steps", type=int, default=44, help="batches of ours")
    parser.add_argument("--others", type=int, default=3, help="steps of the other side")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    split = leave_one_out(find(arguments.data).sequences)
    rows = [compared(name, arguments.data, split, arguments.steps, arguments.others) for name in arguments.recipes]
    about = {"threads": torch.get_num_threads(), "torch": torch.__version__, "gflops_of_a_product": round(products(), 1)}
    if arguments.json:
        print(json.dumps({**about, "rows": rows}, indent=2))
        return
    print(
        f"{arguments.data}, {about['threads']} threads, torch {about['torch']}, "
        f"{about['gflops_of_a_product']} GFLOP/s in a product"
    )
    for row in rows:
        sides = []
        for name, words in (("ours", "ours"), ("other", "padded prefixes")):
            side = row[name]
            assert isinstance(side, dict)
            sides.append(f"{words} {side['seconds_per_epoch']:8.1f} s an epoch ({side['timed']} of {side['batches']} batches)")
        print(f"  {row['recipe']:<12} {'   '.join(sides)}   {row['times_faster']:6.1f} times, {row['asked']:.0f} asked")


if __name__ == "__main__":
    sys.exit(main())
