"""How cost grows: with the catalogue, the length of histories, the number of users and the size of a batch.

    python benchmarks/growth.py
    python benchmarks/growth.py --over items users --recipes sasrec --json
    python benchmarks/growth.py --quick

Every point is a process of its own, so that its memory is its own: a made-up data set, a recipe with narrow vectors, whole
epochs. Printed are the seconds of an epoch (the least of some, for the machine is shared), and by how much memory the process
grew beyond what it had with the data read. Below a curve stands the exponent of its upper half, a straight line fitted to the
logarithms, where 1 is linear and small sizes hide in what a batch costs anyway: of the seconds, and of the seconds times the
rate of a matrix product at that moment. After it, how many bytes the last step of the curve took for each item, user or row
more, beside what a matrix of positions by items (one batch, 32 bits a number) would have taken.

A curve in one of the two cannot tell whether anything grows with their product. The grid can: the rows of a batch and the
catalogue both vary, and whatever is a sum of something of the rows and something of the catalogue falls out of the difference
of the differences of its corners. What is left, for each position and item, is 4 bytes for every matrix that is written down.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import Batches, about, rate_of_a_product

from seqaug.data.samples import Samples
from seqaug.data.sequences import UserSequences
from seqaug.data.split import leave_one_out
from seqaug.experiments.environment import memory_now, peak_memory
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, make_plan

FIXED = {
    "items": {"users": 64, "length": 5, "batch": 64},
    "length": {"items": 10_000, "users": 128, "batch": 32},
    "users": {"items": 1_000, "length": 5, "batch": 256},
    "batch": {"items": 30_000, "users": 1_024, "length": 5},
}
SIZES = {
    "items": [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000],
    "length": [10, 20, 50, 100, 200],
    "users": [500, 1_000, 2_000, 4_000, 8_000, 16_000],
    "batch": [32, 64, 128, 256, 512, 1_024],
}
QUICK = {"items": [1_000, 10_000], "length": [10, 20], "users": [100, 200], "batch": [32, 64]}
GRID: dict[str, Any] = {"items": [5_000, 45_000], "batch": [1_024, 2_048, 4_096], "users": 4_096, "length": 5}
QUICK_GRID: dict[str, Any] = {"items": [1_000, 3_000], "batch": [32, 64, 128], "users": 128, "length": 5}
NAMES = {"items": "items in the catalogue", "length": "length of histories", "users": "users", "batch": "rows of a batch"}


def made_up(users: int, items: int, length: int) -> UserSequences:
    """Users with `length` training positions each, items drawn evenly; the catalogue is there whether drawn or not."""
    actions = users * (length + 3)  # the target of the last position, validation and test come on top
    return UserSequences(
        offsets=np.arange(0, actions + 1, length + 3),
        items=np.random.default_rng(0).integers(1, items + 1, actions),
        user_ids=np.arange(users).astype(np.str_),
        item_ids=np.concatenate([[""], np.arange(1, items + 1).astype(np.str_)]),
        titles={},
    )


def point(recipe: str, sizes: dict[str, int], dim: int, threads: int | None, seconds: float) -> dict[str, Any]:
    """One point of a curve, in the process that calls it. seconds: until they have passed, more epochs are taken, six at most.

    The first, in which memory is touched for the first time, counts only where it took all of them.
    """
    if threads:
        torch.set_num_threads(threads)
    split = leave_one_out(made_up(sizes["users"], sizes["items"], sizes["length"]))
    changes = {"items.dim": dim, "training.batch_size": sizes["batch"], "data.max_length": max(sizes["length"], 10)}
    plan = make_plan(load_recipe(recipe), data=None, patches=[Patch(path, value, "growth") for path, value in changes.items()])
    rate = rate_of_a_product()
    # What the first optimiser imports is no business of the sizes, and would hide what small ones take.
    tiny = leave_one_out(made_up(8, 64, 5))
    Batches(plan, tiny, Samples(tiny, max_length=plan.data.max_length)).epoch()
    _forget_the_peak()
    before = memory_now(torch.device("cpu"))
    run = Batches(plan, split, Samples(split, max_length=plan.data.max_length))
    began = time.perf_counter()
    times = [run.epoch()]
    while len(times) < 6 and time.perf_counter() - began < seconds:
        times.append(run.epoch())
    times = times[1:] or times
    memory = max(peak_memory() - before, 0)
    rate = (rate + rate_of_a_product()) / 2  # a busy machine changes while it is measured
    return {
        **sizes,
        "positions": sum(run.positions),
        "epochs_timed": len(times),
        "seconds_per_epoch": min(times),
        "gflops_of_a_product": round(rate, 1),
        "gigaproducts_per_epoch": min(times) * rate,
        "memory_bytes": memory,
        "bytes_of_positions_by_items": 4 * max(run.positions) * sizes["items"],
    }


def _forget_the_peak() -> None:
    """Let the most resident memory begin anew: the matrices of the rate, 83 MiB, would hide what small sizes take.

    Where the system does not know how, they do.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def exponent(rows: list[dict[str, Any]], over: str, of: str) -> float:
    """The slope of log `of` against log `over` in the upper half of a curve, two points at least."""
    upper = rows[min(len(rows) // 2, len(rows) - 2) :]
    x, y = (np.log([max(one[name], 1e-12) for one in upper]) for name in (over, of))
    return float(np.polyfit(x, y, 1)[0])


def bytes_more(rows: list[dict[str, Any]], over: str, of: str) -> float:
    """How much a quantity grew for each unit more between the last two points."""
    before, after = rows[-2:]
    return float((after[of] - before[of]) / (after[over] - before[over]))


def in_grid(recipe: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the memory of a grid of three batch sizes by any number of catalogues, the smallest of both first, is made of.

    bytes_per_position_and_item: from its corners, so that any function of the one and any function of the other drop out.
    bytes_per_row and bytes_per_pair_of_rows: with the smallest catalogue, the parabola through the three batch sizes.
    """
    found = {(row["batch"], row["items"]): row["memory_bytes"] for row in rows}
    batches, items = (sorted({row[name] for row in rows}) for name in ("batch", "items"))
    least, most = (batches[0], items[0]), (batches[-1], items[-1])
    mixed = found[most] - found[least[0], most[1]] - found[most[0], least[1]] + found[least]
    pairs, each, _ = np.polyfit(batches, [found[size, items[0]] for size in batches], 2)
    return {
        "recipe": recipe,
        "bytes_per_position_and_item": mixed / (rows[0]["length"] * (most[0] - least[0]) * (most[1] - least[1])),
        "bytes_per_row": float(each),
        "bytes_per_pair_of_rows": float(pairs),
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["sasrec", "simdiffrec"], choices=["sasrec", "simdiffrec"])
    parser.add_argument("--over", nargs="+", default=[*SIZES, "grid"], choices=[*SIZES, "grid"])
    parser.add_argument("--dim", type=int, default=16, help="width of the vectors")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="about the most for a point, though one epoch is always timed"
    )
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--quick", action="store_true", help="two small points a curve")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    # The server has imported everything and done nothing, so a point starts at once and has its memory to itself.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["torch", "timing", "seqaug.data.samples", "seqaug.recipes.plan"])

    def measured(recipe: str, sizes: dict[str, int], seconds: float) -> dict[str, Any]:
        with processes.Pool(1) as pool:
            return dict(pool.apply(point, (recipe, sizes, options.dim, options.threads, seconds)))

    curves, grids = [], []
    for over in [over for over in options.over if over in SIZES]:
        for recipe in options.recipes:
            rows = []
            if not options.json:
                print(f"{recipe} over {NAMES[over]}: {', '.join(f'{value:,} {name}' for name, value in FIXED[over].items())}")
            for size in (QUICK if options.quick else SIZES)[over]:
                rows.append(measured(recipe, {**FIXED[over], over: size}, options.seconds))
                if not options.json:
                    print(shown(rows[-1], over), flush=True)
            curves.append({"recipe": recipe, "over": over, "fixed": FIXED[over], **fitted(rows, over), "rows": rows})
            if not options.json:
                fits = curves[-1]
                print(
                    f"  exponent {fits['exponent_of_seconds']:.2f}, at the rate of a product "
                    f"{fits['exponent_of_products']:.2f}; memory {fits['bytes_more']:,.0f} bytes for each more, "
                    f"a matrix {fits['matrix_bytes_more']:,.0f}"
                )
    for recipe in options.recipes if "grid" in options.over else ():
        grid = QUICK_GRID if options.quick else GRID
        rows = []
        for items in grid["items"]:
            for batch in grid["batch"]:
                sizes = {"items": items, "users": grid["users"], "length": grid["length"], "batch": batch}
                rows.append(measured(recipe, sizes, 0.0))
        grids.append(in_grid(recipe, rows))
        if not options.json:
            print(f"{recipe} over rows of a batch and items at once, {grid['users']:,} users, {grid['length']} length")
            for row in rows:
                print(f"  {row['batch']:>9,} rows{shown(row, 'items')}", flush=True)
            found = grids[-1]
            print(
                f"  {found['bytes_per_position_and_item']:.4f} bytes for each position and item (a matrix: 4), "
                f"{found['bytes_per_row']:,.0f} for each row, {found['bytes_per_pair_of_rows']:.1f} for each pair of rows"
            )
    if options.json:
        print(json.dumps({**about(), "dim": options.dim, "quick": options.quick, "curves": curves, "grids": grids}, indent=1))


def fitted(rows: list[dict[str, Any]], over: str) -> dict[str, float]:
    return {
        "exponent_of_seconds": exponent(rows, over, "seconds_per_epoch"),
        "exponent_of_products": exponent(rows, over, "gigaproducts_per_epoch"),
        "bytes_more": bytes_more(rows, over, "memory_bytes"),
        "matrix_bytes_more": bytes_more(rows, over, "bytes_of_positions_by_items"),
    }


def shown(row: dict[str, Any], over: str) -> str:
    return (
        f"  {row[over]:>9,}  {row['seconds_per_epoch']:8.3f} s an epoch   memory {row['memory_bytes'] / 2**20:8,.0f} MiB"
        f"   positions x items {row['bytes_of_positions_by_items'] / 2**20:8,.0f} MiB   at {row['gflops_of_a_product']} GFLOP/s"
    )


if __name__ == "__main__":
    main()
