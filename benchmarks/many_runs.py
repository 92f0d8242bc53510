"""Whether several seeds of one recipe are faster together in one process than each in a process of its own.

    python benchmarks/many_runs.py
    python benchmarks/many_runs.py --recipes simdiffrec --rounds 9 --json

A round trains so many batches of every seed in each of these ways, one after the other, because the machine drifts:

processes     as --jobs N does: a process for each seed, one thread each, all at the same time
in turn       one process, a batch of one seed after a batch of another, every product on all cores
on one core   the same with one thread: what sharing a process saves is seen beside the number of seeds
threads       one process, a thread of Python for each seed, one thread of torch each

Ratios are of the time of `processes` in the same round: below 1 is faster than what --jobs does. What a process costs before
its first batch stands beside it, and what the same costs in a process that is there already; and whether the weights are those
of a seed that was trained alone, after the last round. On a busy machine threads of one product wait for one another, so that
`in turn` is far slower than on an idle one; the processor time, of all threads and processes together, says there what the work
costs, where the clock says who else was at work.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import torch
from timing import about
from torch import Tensor

from seqaug.data.catalog import find
from seqaug.data.split import Split, leave_one_out
from seqaug.experiments.environment import peak_memory
from seqaug.experiments.local_processes import cores
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, make_plan
from seqaug.training.fit import BatchReport, Fit

WAYS = ("processes", "in turn", "on one core", "threads")


class Seed:
    """One seed of a recipe, a batch at a time."""

    def __init__(self, recipe: str, data: str, split: Split, seed: int) -> None:
        plan = make_plan(load_recipe(recipe), data=data, patches=[Patch("training.epochs", 10_000, "benchmark")])
        self._model = assembly_of(plan, split, seed=seed)
        fit = Fit(
            self._model,
            samples_of(plan, split, torch.device("cpu")),
            seed=seed,
            options=plan.training,
            validate=lambda: {plan.training.monitor: 0.0},
        )
        self._reports = fit.reports()

    def step(self) -> None:
        while not isinstance(next(self._reports), BatchReport):
            pass

    def weights(self) -> Tensor:
        """All of them in a row."""
        return torch.cat([parameter.detach().flatten() for parameter in self._model.model.parameters()])


def alone(connection: Connection, recipe: str, data: str, seed: int) -> None:
    """A process with one seed: as many batches as it is told, then its weights and the most memory it has had."""
    torch.set_num_threads(1)
    training = Seed(recipe, data, leave_one_out(find(data).sequences), seed)
    connection.send("ready")
    while (batches := connection.recv()) is not None:
        began = time.process_time()
        for _ in range(batches):
            training.step()
        connection.send(time.process_time() - began)
    connection.send((training.weights().numpy(), peak_memory()))


class Processes:
    """Every seed in a process of its own. seconds: until all of them were ready to train."""

    def __init__(self, recipe: str, data: str, seeds: int) -> None:
        context = multiprocessing.get_context("spawn")
        # Read by the libraries of the new processes as they are loaded, as `--jobs` has it.
        os.environ["OMP_NUM_THREADS"] = "1"
        began = time.perf_counter()
        pipes = [context.Pipe() for _ in range(seeds)]
        self._processes = [
            context.Process(target=alone, args=(theirs, recipe, data, seed), daemon=True)
            for seed, (_, theirs) in enumerate(pipes)
        ]
        for process in self._processes:
            process.start()
        self._pipes = [own for own, _ in pipes]
        for pipe in self._pipes:
            pipe.recv()
        self.seconds = time.perf_counter() - began

    def train(self, batches: int) -> float:
        """Returns the processor time of all of them together."""
        for pipe in self._pipes:
            pipe.send(batches)
        return sum(float(pipe.recv()) for pipe in self._pipes)

    def end(self) -> tuple[list[Tensor], list[int]]:
        """Weights and peak memory of each."""
        for pipe in self._pipes:
            pipe.send(None)
        found = [pipe.recv() for pipe in self._pipes]
        for process in self._processes:
            process.join()
        return [torch.from_numpy(weights) for weights, _ in found], [memory for _, memory in found]


def in_turn(seeds: list[Seed], batches: int, threads: int) -> None:
    torch.set_num_threads(threads)
    for _ in range(batches):
        for seed in seeds:
            seed.step()


def threaded(seeds: list[Seed], batches: int) -> None:
    """Raises what a thread has raised."""
    failed: list[BaseException] = []

    def train(seed: Seed) -> None:
        torch.set_num_threads(1)
        try:
            for _ in range(batches):
                seed.step()
        except Exception as error:
            failed.append(error)

    workers = [threading.Thread(target=train, args=(seed,)) for seed in seeds]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failed:
        raise failed[0]


def measured(recipe: str, options: argparse.Namespace) -> dict[str, Any]:
    """One recipe, all ways."""
    number = options.seeds
    split = leave_one_out(find(options.data).sequences)
    processes = Processes(recipe, options.data, number)
    own: dict[str, list[Seed]] = {}
    began = time.perf_counter()
    for way in WAYS[1:]:
        own[way] = [Seed(recipe, options.data, split, seed) for seed in range(number)]
    one_more = (time.perf_counter() - began) / (number * len(own))
    broken: dict[str, str] = {}
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    work: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(options.rounds + 1):
        for way in WAYS:
            if way in broken:
                continue
            began, spent = time.perf_counter(), time.process_time()
            there = 0.0
            try:
                if way == "processes":
                    there = processes.train(options.batches)
                elif way == "threads":
                    threaded(own[way], options.batches)
                else:
                    in_turn(own[way], options.batches, options.threads if way == "in turn" else 1)
            except Exception as error:  # what breaks is a result: training was not made for threads
                broken[way] = f"{type(error).__name__}: {error}"
                continue
            if turn:  # the first round warms up
                times[way].append(time.perf_counter() - began)
                work[way].append(there or time.process_time() - spent)
    weights, memory = processes.end()
    rows: dict[str, dict[str, Any]] = {}
    for way in WAYS:
        if way in broken:
            rows[way] = {"broken": broken[way]}
            continue
        ratios = [mine / theirs for mine, theirs in zip(times[way], times["processes"], strict=True)]
        differences = [0.0] * number
        if way in own:
            pairs = zip(own[way], weights, strict=True)
            differences = [float((one.weights() - other).abs().max()) for one, other in pairs]
        rows[way] = {
            "seconds_of_a_batch_of_each": statistics.median(times[way]) / options.batches,
            "processor_seconds_of_a_batch_of_each": statistics.median(work[way]) / options.batches,
            "processor_ratio": statistics.median(work[way]) / statistics.median(work["processes"]),
            "ratio": statistics.median(ratios),
            "smallest": min(ratios),
            "largest": max(ratios),
            "weights_differ_by": max(differences),
        }
    return {
        "recipe": recipe,
        "ways": rows,
        "seconds_until_the_processes_train": processes.seconds,
        "seconds_of_one_more_seed_in_a_process": one_more,
        "peak_memory_of_a_process_bytes": max(memory),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="movietweetings")
    parser.add_argument("--recipes", nargs="+", default=["sasrec", "simdiffrec"])
    parser.add_argument("--seeds", type=int, default=cores(), help="trained at the same time; one on each core otherwise")
    parser.add_argument("--batches", type=int, default=4, help="of each seed in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cores(), help="of torch where the seeds take turns")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts = {**about(), "data": options.data, "seeds": options.seeds, "batches": options.batches, "rounds": options.rounds}
    found = [measured(recipe, options) for recipe in options.recipes]
    facts["load_at_the_end"] = round(os.getloadavg()[0], 1)
    if options.json:
        print(json.dumps({**facts, "recipes": found}, indent=2))
        return
    print(f"{options.data}, {options.seeds} seeds at a time, {options.rounds} rounds of {options.batches} batches of each")
    for one in found:
        heads = f"{'beside processes':>17} {'range':>12} {'processor time':>15}"
        print(f"\n{one['recipe']:<12} {'a batch of each':>16} {heads}  weights differ by")
        for way, row in one["ways"].items():
            if "broken" in row:
                print(f"{way:<12} broke: {row['broken']}")
                continue
            seconds = f"{1000 * row['seconds_of_a_batch_of_each']:.0f} ms"
            spread = f"{row['smallest']:.2f}-{row['largest']:.2f}"
            ratios = f"{row['ratio']:>17.2f} {spread:>12} {row['processor_ratio']:>15.2f}"
            print(f"{way:<12} {seconds:>16} {ratios}  {row['weights_differ_by']:.1e}")
        print(
            f"the processes were ready to train after {one['seconds_until_the_processes_train']:.1f} s; "
            f"one more seed in a process takes {one['seconds_of_one_more_seed_in_a_process']:.2f} s; "
            f"a process had at most {one['peak_memory_of_a_process_bytes'] / 2**20:.0f} MiB"
        )
    print("\n" + ", ".join(f"{name} {value}" for name, value in facts.items()))


if __name__ == "__main__":
    main()
