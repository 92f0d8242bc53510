"""What a training step of each recipe asks of an accelerator: operations, copies, and what would make the host wait.

    python benchmarks/launches.py --data beauty
    python benchmarks/launches.py --recipes sasrec simdiffrec --kinds 10 --json

Needs no GPU: the steps run on a rehearsed one (seqaug.testing.accelerator), with real batches and real numbers. A step of a
model of this size takes a GPU about as long as it takes the host to start its operations, some 5 to 10 microseconds each;
attention and dropout count as the one kernel a GPU has for them, everything else as torch's own operations, some of which are
several kernels. The first batches, which also look up what is kept for all others, are not counted.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

import torch
from timing import Batches, about

from seqaug.data.catalog import find
from seqaug.data.split import Split, leave_one_out
from seqaug.errors import did_you_mean
from seqaug.recipes.assemble import samples_of
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.plan import Plan, make_plan
from seqaug.testing.accelerator import DEVICE, accelerator

WARM = 1
"""Batches before those that count."""


def counted(plan: Plan, split: Split, *, batches: int, kinds: int) -> list[dict[str, Any]]:
    """A line for each stage that is trained: means over the batches. kinds: so many operations are named, the most frequent."""
    lines = []
    for stage in plan.stages:
        if not stage.epochs:
            continue
        with accelerator() as record:
            samples = samples_of(plan, split, DEVICE)
            # `Batches` wants a stage of an assembly, of which it only reads the name.
            run = Batches(plan, split, samples, stage, device=DEVICE)  # type: ignore[arg-type]
            for _ in range(min(WARM, len(run.positions) - 1)):
                run.step()
            record.clear()
            count = max(min(batches, len(run.positions) - WARM), 1)
            for _ in range(count):
                run.step()
        optimiser = sum(number for name, number in record.operations.items() if name.startswith(("_foreach", "_fused")))
        waits: Counter[str] = Counter()
        for (what, where), number in record.waits.items():
            waits[f"{what}: {where}"] += number
        lines.append(
            {
                "stage": stage.name,
                "batches": count,
                "operations": record.launched / count,
                "forward": (record.launched - record.backward - optimiser) / count,
                "backward": record.backward / count,
                "optimiser": optimiser / count,
                "waits": sum(waits.values()) / count,
                "where_it_waits": {where: number / count for where, number in waits.most_common()},
                "copies": record.copies / count,
                "bytes": record.bytes / count,
                "kinds": {name: number / count for name, number in record.operations.most_common(kinds)},
            }
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="movietweetings")
    parser.add_argument("--recipes", nargs="+", default=recipe_names(), metavar="RECIPE")
    parser.add_argument("--batches", type=int, default=2, help="of each stage that are counted")
    parser.add_argument("--kinds", type=int, default=0, help="so many kinds of operation are named")
    parser.add_argument("--quick", action="store_true", help="1 batch")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name in options.recipes:
        if name not in recipe_names():
            parser.error(f"no recipe is called {name!r}.{did_you_mean(name, recipe_names())}")
    if options.threads:
        torch.set_num_threads(options.threads)
    split = leave_one_out(find(options.data).sequences)
    rows = []
    if not options.json:
        print(f"a training step on {options.data}     operations  forward  backward  optimiser  waits  copies      KiB")
    for recipe in options.recipes:
        plan = make_plan(load_recipe(recipe), data=options.data)
        lines = counted(plan, split, batches=1 if options.quick else options.batches, kinds=options.kinds)
        rows.append({"recipe": recipe, "stages": lines})
        if not options.json and lines:
            print(shown(rows[-1]), flush=True)
    if options.json:
        print(json.dumps({**about(), "data": options.data, "rows": rows}, indent=1))


def shown(row: dict[str, Any]) -> str:
    """A line for each stage, and one for each thing that it waits for."""
    lines = []
    for one in row["stages"]:
        lines.append(
            f"  {row['recipe'] + ' ' + one['stage']:<30} {one['operations']:10,.0f} {one['forward']:8,.0f} "
            f"{one['backward']:9,.0f} {one['optimiser']:10,.0f} {one['waits']:6,.0f} {one['copies']:7,.0f} "
            f"{one['bytes'] / 1024:8,.0f}"
        )
        lines += [f"    waits {number:,.0f} x {where}" for where, number in one["where_it_waits"].items()]
        lines += [f"    {number:8,.0f} x {name}" for name, number in one["kinds"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
