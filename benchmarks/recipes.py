"""What each recipe of the library costs: training, full ranking, memory and the wait for the first batch.

    python benchmarks/recipes.py --data beauty
    python benchmarks/recipes.py --recipes sasrec simdiffrec --json
    python benchmarks/recipes.py --quick

A recipe's floor is its own: every product with the catalogue that its batches really make is watched once, then bare products
of these shapes are timed into reused buffers, in turns with the batches themselves. `floor` joins the chunks of a batch into
one product; `chunks` repeats them as they are made, which is the less forgiving bound. Ratios are medians over the batches. The
encoder, the softmax and the optimiser are not in the floor. An epoch is reckoned from some batches by their positions; every
stage of a recipe is a line. Ranking gives both protocols, seen items kept and removed, in one pass. Memory and the first batch
come from a process of their own that does what `seqaug run` does, its rehearsal included, from the start of Python on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from timing import Batches, Floor, Watched, about, clock, synchronise, watched

from seqaug.data.catalog import find
from seqaug.data.split import Split, leave_one_out
from seqaug.errors import did_you_mean
from seqaug.evaluation.ranking import rank_held_out
from seqaug.experiments.rehearse import first_users
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.plan import Plan, make_plan

WARM = 2
"""Batches before those that count: memory is touched for the first time."""

PROBE = 64
"""Users who are ranked to see how many can be within the time."""


def training(plan: Plan, split: Split, *, batches: int, seconds: float, device: str) -> list[dict[str, Any]]:
    """A line per stage. seconds: the most that the batches of a stage take, but there are always two."""
    samples = samples_of(plan, split, device)
    lines = []
    for stage in assembly_of(plan, split, seed=0, device=device).stages:
        run = Batches(plan, split, samples, stage, device=device)
        again = Batches(plan, split, samples, stage, device=device)
        count = min(batches, max(len(run.positions) - WARM, 1))
        warm = min(WARM, len(run.positions) - 1)
        for _ in range(warm):
            run.step()
        asked: list[Watched] = []
        began = time.perf_counter()
        for number in range(warm + count):
            with watched(split.sequences.num_items) as found:
                again.step()
            asked.append(found)
            if number > warm and time.perf_counter() - began > seconds:
                break
        asked = asked[warm:]
        floor = Floor(split.sequences.num_items, [one for found in asked for one in found.joined], device)
        for found in asked[:1] * 2:
            floor.seconds(found.joined)
        times: dict[str, list[float]] = {"step": [], "floor": [], "chunks": []}
        for found in asked:
            times["step"].append(run.step())
            times["floor"].append(floor.seconds(found.joined))
            times["chunks"].append(floor.seconds(found.chunks))
        share = sum(run.positions) / sum(run.positions[warm : warm + len(asked)])
        epoch = {name: sum(values) * share for name, values in times.items()}
        products, amounts = asked[0].joined, [sum(one.rows for one in each.joined) for each in asked]
        lines.append(
            {
                "stage": stage.name,
                "rows": run.samples.num_rows,
                "positions": sum(run.positions),
                "batch_size": run.size,
                "batches": len(run.positions),
                "batches_timed": len(asked),
                "products_per_batch": len(products),
                "rows_of_products_per_batch": sum(one.rows for one in products),
                "seconds_per_epoch": epoch["step"],
                "users_per_second": run.samples.num_users / epoch["step"],
                "floor_seconds_per_epoch": epoch["floor"],
                "times_the_floor": ratio(times["step"], times["floor"], amounts),
                "times_the_chunks": ratio(times["step"], times["chunks"], amounts),
            }
        )
    return lines


def ratio(ours: list[float], floor: list[float], amounts: list[int] | None = None) -> dict[str, float] | None:
    """Median, least and most over the batches; None where a batch asks nothing of the catalogue.

    quiet: the least of ours over the least of the floor, which other work on the machine moves least. amounts: how much there
    is in each batch, where that differs.
    """
    if min(floor) < 1e-5:
        return None
    found = [mine / bare for mine, bare in zip(ours, floor, strict=True)]
    mine, bare = (
        min(one / amount for one, amount in zip(times, amounts or [1] * len(times), strict=True)) for times in (ours, floor)
    )
    return {"median": statistics.median(found), "min": min(found), "max": max(found), "quiet": mine / bare}


def evaluation(
    plan: Plan, split: Split, *, seconds: float, repeats: int, device: str, users: int | None = None
) -> dict[str, Any]:
    """Full ranking of `users` of the test, by default as many as the seconds allow."""
    assembly = assembly_of(plan, split, seed=0, device=device)

    def rank(users: int) -> float:
        synchronise(torch.device(device))
        began = clock()
        rank_held_out(assembly, first_users(split.test, users), seed=0, device=device)
        return clock() - began

    everyone = len(split.test.users)
    if users is None:
        probe = min(PROBE, everyone)
        per_user = min(rank(probe) for _ in range(2)) / probe
        users = max(probe, int(seconds / (repeats + 2) / per_user))
    users = min(users, everyone)
    with watched(split.sequences.num_items) as asked:
        rank(users)
    floor = Floor(split.sequences.num_items, asked.joined, device)
    floor.seconds(asked.joined)
    rank(users)
    ours, bare = [], []
    for _ in range(repeats):
        ours.append(rank(users))
        bare.append(floor.seconds(asked.joined))
    return {
        "users": everyone,
        "users_timed": users,
        "seconds": statistics.median(ours) / users * everyone,
        "users_per_second": users / statistics.median(ours),
        "product_users_per_second": users / statistics.median(bare) if asked.joined else None,
        "times_the_product": ratio(ours, bare),
    }


def alone(recipe: str, data: str, *, batches: int, device: str, threads: int | None) -> dict[str, Any]:
    """The first batches of a run in a process of its own. Raises SystemExit with its last words where it fails."""
    script = str(Path(__file__).with_name("first_batch.py"))
    words = [sys.executable, script, recipe, "--data", data, "--batches", str(batches), "--device", device]
    words += ["--threads", str(threads)] if threads else []
    done = subprocess.run([*words, "--began", str(time.time())], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"a run of {recipe} on {data} ended with {done.returncode}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(recipe: str, data: str, split: Split, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one recipe."""
    plan = make_plan(load_recipe(recipe), data=data)
    limits = {"seconds": options.seconds, "device": options.device}
    return {
        "recipe": recipe,
        "training": training(plan, split, batches=options.batches, **limits),
        "evaluation": evaluation(plan, split, repeats=options.repeats, **limits),
        **alone(recipe, data, batches=options.batches, device=options.device, threads=options.threads),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="movietweetings")
    parser.add_argument("--recipes", nargs="+", default=recipe_names(), metavar="RECIPE")
    parser.add_argument("--batches", type=int, default=12, help="of each stage that are timed")
    parser.add_argument("--repeats", type=int, default=3, help="of the ranking")
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="about the most for the batches of a stage, and for the rankings"
    )
    parser.add_argument("--quick", action="store_true", help="2 batches, 1 repeat, 1 second")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name in options.recipes:
        if name not in recipe_names():
            parser.error(f"no recipe is called {name!r}.{did_you_mean(name, recipe_names())}")
    if options.quick:
        options.batches, options.repeats, options.seconds = 2, 1, 1.0
    if options.threads:
        torch.set_num_threads(options.threads)
    split = leave_one_out(find(options.data).sequences)
    facts = {
        **about(options.device),
        "data": options.data,
        "users": split.sequences.num_users,
        "items": split.sequences.num_items,
    }
    if not options.json:
        print(
            f"{options.data}: {facts['users']:,} users, {facts['items']:,} items; {facts['threads']} threads, torch "
            f"{facts['torch']}, {facts['gflops_of_a_product']} GFLOP/s in a product, load {facts['load']}"
        )
    rows = []
    for recipe in options.recipes:
        rows.append(measured(recipe, options.data, split, options))
        if not options.json:
            print(shown(rows[-1]), flush=True)
    if options.json:
        print(json.dumps({**facts, "rows": rows}, indent=1))


def shown(row: dict[str, Any]) -> str:
    """A line for each stage, and one for the ranking."""
    lines = [
        f"  {row['recipe'] + ' ' + one['stage']:<22} {one['seconds_per_epoch']:8.2f} s an epoch "
        f"{one['users_per_second']:9,.0f} users/s   {times(one['times_the_floor'])} its floor   "
        f"{times(one['times_the_chunks'])} its chunks   ({one['batches_timed']} of {one['batches']} batches, "
        f"{one['rows_of_products_per_batch']:,} rows in {one['products_per_batch']} products)"
        for one in row["training"]
    ]
    ranked, first = row["evaluation"], row["seconds_to_first_batch"]
    lines.append(
        f"  {row['recipe']:<22} {ranked['seconds']:8.2f} s a ranking {ranked['users_per_second']:8,.0f} users/s   "
        f"{times(ranked['times_the_product'])} its products ({ranked['users_timed']:,} users)   "
        f"peak {row['peak_bytes'] / 2**20:,.0f} MiB{'' if first is None else f', first batch after {first:.1f} s'}"
    )
    return "\n".join(lines)


def times(found: dict[str, float] | None) -> str:
    return "      no" if found is None else f"{found['median']:6.2f} x"


if __name__ == "__main__":
    main()
