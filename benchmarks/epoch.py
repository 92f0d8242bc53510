"""How long an epoch takes, as a multiple of what its arithmetic needs.

    python benchmarks/epoch.py --data beauty
    python benchmarks/epoch.py --data beauty --and-bfloat16
    python benchmarks/epoch.py --data beauty --memory simdiffrec

Everything is timed in one process, interleaved, because the machine drifts: the floor (the bare catalogue products of an epoch
of sasrec in its real batch shapes: scores, gradient of the states, gradient of the items, into reused buffers) and one training
epoch of each recipe, with `--and-bfloat16` another one of it in bfloat16. Ratios are of medians; the smallest and largest time
stand beside them. `--memory` trains one epoch and validates once in a process of its own and prints its peak resident memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable

import torch

from seqaug.core.assembly import Assembly
from seqaug.data.catalog import find
from seqaug.data.samples import Samples
from seqaug.data.split import Split, leave_one_out
from seqaug.evaluation.metrics import metrics
from seqaug.evaluation.ranking import rank_held_out
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, Plan, make_plan
from seqaug.training.fit import EpochReport, Fit


def products(samples: Samples, batch_size: int, dim: int) -> tuple[float, int]:
    """Seconds of the three products of every batch of an epoch, and how many positions that is."""
    shapes = [batch.layout.num_positions for batch in samples.batches(batch_size, torch.Generator().manual_seed(0))]
    longest, width, device = max(shapes), samples.num_items, samples.device
    items = torch.randn(width, dim, device=device)
    states = torch.randn(longest, dim, device=device)
    scores = torch.empty(longest, width, device=device)
    to_states, to_items = torch.empty_like(states), torch.empty_like(items)
    torch.mm(states, items.t(), out=scores)  # first touch is not arithmetic
    synchronise(device)
    began = time.perf_counter()
    for count in shapes:
        torch.mm(states[:count], items.t(), out=scores[:count])
        torch.mm(scores[:count], items, out=to_states[:count])
        torch.mm(scores[:count].t(), states[:count], out=to_items)
    synchronise(device)
    return time.perf_counter() - began, sum(shapes)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Training:
    """One recipe on one data set, an epoch at a time."""

    def __init__(self, recipe: str, data: str, split: Split, patches: list[Patch], device: str, precision: str) -> None:
        self.plan: Plan = make_plan(
            load_recipe(recipe), data=data, patches=[*patches, Patch("training.epochs", 10_000, "benchmark")]
        )
        self.split = split
        self.device = torch.device(device)
        self.assembly: Assembly = assembly_of(self.plan, split, seed=0, device=self.device)
        self.samples = samples_of(self.plan, split, self.device)
        fit = Fit(
            self.assembly,
            self.samples,
            seed=0,
            options=self.plan.training,
            validate=lambda: {self.plan.training.monitor: 0.0},
            precision=precision,  # type: ignore[arg-type]
        )
        self._reports = fit.reports()

    def epoch(self) -> float:
        """Seconds of training, without validation."""
        for report in self._reports:
            if isinstance(report, EpochReport):
                return report.seconds_train
        raise RuntimeError("the training ended before the benchmark did")

    def validation(self) -> float:
        began = time.perf_counter()
        metrics(rank_held_out(self.assembly, self.split.valid, seed=0, device=self.device).rank)
        return time.perf_counter() - began


def in_half(recipe: str) -> str:
    return f"{recipe}, bfloat16"


def patch(text: str) -> Patch:
    from seqaug.recipes.plan import parse_set

    path, value = parse_set(text)
    return Patch(path, value, "benchmark")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="movietweetings")
    parser.add_argument("--recipes", nargs="+", default=["sasrec", "simdiffrec"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--and-bfloat16", action="store_true", help="each recipe in both precisions, in turns")
    parser.add_argument("-s", "--set", action="append", default=[], type=patch, dest="patches")
    parser.add_argument("--memory", metavar="RECIPE", help="one epoch and one validation of this recipe; prints peak memory")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    split = leave_one_out(find(arguments.data).sequences)

    def training(recipe: str, precision: str = arguments.precision) -> Training:
        return Training(recipe, arguments.data, split, arguments.patches, arguments.device, precision)

    if arguments.memory:
        one = training(arguments.memory)
        one.epoch()
        one.validation()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        found = {"recipe": arguments.memory, "data": arguments.data, "peak_resident_bytes": peak}
        if one.device.type == "cuda":
            found["peak_device_bytes"] = torch.cuda.max_memory_allocated()
        print(json.dumps(found))
        return

    runs = {recipe: training(recipe) for recipe in arguments.recipes}
    half = {recipe: training(recipe, "bfloat16") for recipe in arguments.recipes if arguments.and_bfloat16}
    floor_of = Samples(split, max_length=50, device=arguments.device)
    timed: dict[str, Callable[[], float]] = {"floor": lambda: products(floor_of, 256, 64)[0]}
    for recipe, run in runs.items():
        timed[recipe] = run.epoch
        if recipe in half:
            timed[in_half(recipe)] = half[recipe].epoch
    timed["validation"] = runs[arguments.recipes[0]].validation
    times: dict[str, list[float]] = {name: [] for name in timed}
    for repeat in range(arguments.repeats + 1):
        for name, measure in timed.items():
            seconds = measure()
            if repeat:  # the first round warms memory and caches
                times[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    found = {
        "data": arguments.data,
        "device": arguments.device,
        "precision": arguments.precision,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "positions": products(floor_of, 256, 64)[1],
        "seconds": {name: {"median": medians[name], "min": min(values), "max": max(values)} for name, values in times.items()},
        "times_the_floor": {name: medians[name] / medians["floor"] for name in runs},
        "times_the_first_recipe": {name: medians[name] / medians[arguments.recipes[0]] for name in runs},
        "times_faster_in_bfloat16": {name: medians[name] / medians[in_half(name)] for name in half},
    }
    if arguments.json:
        print(json.dumps(found))
        return
    print(
        f"{arguments.data}, {found['positions']:,} positions, {found['threads']} threads, "
        f"{arguments.device}, {arguments.precision}"
    )
    for name, values in times.items():
        ratio = f"{medians[name] / medians['floor']:6.2f} x floor" if name not in ("floor", "validation") else ""
        print(f"  {name:<22} {medians[name]:8.2f} s  ({min(values):.2f} - {max(values):.2f})  {ratio}")


if __name__ == "__main__":
    sys.exit(main())
