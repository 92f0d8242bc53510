"""What a diffusion makes up in front of histories, in a toy world where it can be told whether that makes sense.

    python benchmarks/made_up.py                     # about five minutes on one core
    python benchmarks/made_up.py --epochs 20         # less of it

Users of the toy world stay on a ring of ten items for a while, so what came before a history mostly lies on the ring of
its first item. diffuasr's first two stages are trained there; then every kind of guidance makes up a prefix for every
user, and the share of its items on that ring is printed, beside chance.
"""

from __future__ import annotations

import argparse
import sys

import torch
from torch import Tensor

from seqaug.builtin.rewriters import PrependGenerated
from seqaug.core.blocks import quiet
from seqaug.data.split import Split, leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.evaluation.metrics import metrics
from seqaug.evaluation.ranking import rank_held_out
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, make_plan
from seqaug.training.fit import EpochReport, Fit

RING = 10
ITEMS = 100
LENGTH = 22


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=200, help="of the diffusion")
    parser.add_argument("--span", type=int, default=5, help="items that are made up")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    split = leave_one_out(toy_world(num_users=1500, num_items=ITEMS, max_length=LENGTH))
    values = {
        "data.max_length": LENGTH,
        "training.batch_size": 64,
        "training.learning_rate": 5e-3,
        "encoders.main.dropout": 0.1,
        "diffusions.main.span": options.span,
        "stages.0.epochs": 6,
        "stages.1.epochs": options.epochs,
        "stages.1.patience": options.epochs,
        "stages.1.batch_size": 64,
        "stages.1.learning_rate": 2e-3,
        "stages.1.min_length": options.span + 3,
        "stages.2.epochs": 0,
    }
    plan = make_plan(
        load_recipe("diffuasr"), data=None, patches=[Patch(path, value, "benchmark") for path, value in values.items()]
    )
    made = assembly_of(plan, split, seed=options.seed)

    def validate() -> dict[str, float]:
        return metrics(rank_held_out(made, split.valid, seed=options.seed).rank)

    fit = Fit(made, samples_of(plan, split), seed=options.seed, options=plan.training, validate=validate)
    steps = 0
    for report in fit.reports():
        if not isinstance(report, EpochReport):
            steps += report.stage == "diffusion"
        elif report.valid is not None:
            print(f"{report.stage} {report.epoch + 1}: ndcg@10 {report.valid['ndcg@10']:.4f}", file=sys.stderr, flush=True)
        elif report.stopping or report.epoch % 20 == 0:
            print(f"{report.stage} {report.epoch + 1}: {report.losses['generation']:.4f}", file=sys.stderr, flush=True)
    print(f"{steps} steps of the diffusion; chance is {RING / ITEMS:.1%} of a ring")
    for guidance in ("none", "classifier_free", "classifier_guided"):
        rewriter = PrependGenerated(guidance=guidance)  # type: ignore[arg-type]
        with quiet(made.model), torch.no_grad():
            prefixes = rewriter.rewrite(made.model, split.train, torch.Generator().manual_seed(options.seed))
        shares = on_ring(prefixes, split)
        by_place = ", ".join(f"{share:.1%}" for share in shares.tolist())
        print(f"{guidance:<18} {shares.mean():.1%} on the ring of the first item; by place, oldest first: {by_place}")


def on_ring(prefixes: Tensor, split: Split) -> Tensor:
    """(U, M) -> (M,) the share of users whose made-up item at that place lies on the ring of their first item."""
    names = torch.tensor([0, *(int(name) for name in list(split.sequences.item_ids)[1:])])
    ring = (names - 1).div(RING, rounding_mode="floor")
    first = split.train.items[split.train.offsets[:-1]]
    return (ring[prefixes] == ring[first][:, None]).double().mean(0)


if __name__ == "__main__":
    main()
