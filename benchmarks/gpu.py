"""All that a visit to a GPU is for, part by part: tests, agreement with the CPU, seconds, a whole run, where the time goes.

    python benchmarks/gpu.py --into gpu.json                      # about ten minutes on a GPU
    python benchmarks/gpu.py --into gpu.json --parts run profile  # these again, the others are kept
    python benchmarks/gpu.py --device cpu --quick                 # what can be had without one, in a minute

Each part is a process of its own with a time limit, and is written to the file as soon as it has ended; parts that are there
already are not measured again unless they are named. A part that needs a GPU says so on the CPU. Needs the checkout and what
seqaug needs, pytest for the tests, and no data set: where beauty is not to be found, made-up histories of its shape stand in,
on which seconds mean something and quality does not.

tests      the tests marked cuda, and the conformance checks that compare devices
agreement  an epoch of every stage of every recipe, dropout off, on the CPU and there: the losses; and the ranking of the test
waits      what makes the host wait in the second and third batch, as torch says itself (torch.cuda.set_sync_debug_mode)
epochs     seconds an epoch of every stage of every recipe, float32 and bfloat16, and of a full ranking
run        `seqaug run simdiffrec` from beginning to end: seconds an epoch, in all, quality
profile    an epoch of simdiffrec: how busy the GPU was (nvidia-smi), kernels, time on them, time the host waited
plan       what Table 3 of the paper would take by that: three data sets, four variants, five seeds
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import ROOT, Batches, about

from seqaug.core.blocks import Dropout
from seqaug.data.catalog import data_names, find, where
from seqaug.data.sequences import UserSequences
from seqaug.data.split import Split, leave_one_out
from seqaug.evaluation.metrics import metrics
from seqaug.evaluation.ranking import rank_held_out
from seqaug.experiments.rehearse import first_users
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.plan import Plan, make_plan

LIMITS = {"tests": 150, "agreement": 240, "waits": 90, "epochs": 180, "run": 240, "profile": 90, "plan": 10}
"""Seconds after which a part is stopped."""

DRAWS_NOTHING = {("sasrec", "main"), ("diffuasr", "pretrain"), ("diffuasr", "main")}
"""Stages whose losses depend on no draw once there is no dropout. Elsewhere the CPU and a GPU throw other dice."""

TOLERANCE, OTHER_DICE = 1e-3, 0.1
"""By how much the mean loss of the first epoch may differ, as a share of it: with the same numbers in another order, and with
other dice."""

RANKED = 2048
"""Users whose ranking is compared."""

WHOLE, VARIANTS, SEEDS = "simdiffrec", 4, 5
"""The recipe of the whole run and of Table 3, with its rows and the seeds of each."""

TABLE_3 = {"beauty": 22_363, "toys": 19_412, "sports": 35_598}
"""Users of the data sets of Table 3. An epoch is launches, whose number goes with the batches and so with the users."""


def data_of(name: str) -> tuple[str, Split]:
    """The data set, or made-up histories of its shape where it is not to be found."""
    if name in data_names() and where(name) is not None:
        return name, leave_one_out(find(name).sequences)
    return f"made up in the shape of {name}", leave_one_out(made_up())


def made_up(num_users: int = 22_363, num_items: int = 12_101, mean: float = 8.9) -> UserSequences:
    """Histories of 5 and more items, most of them short, in which the next item is often the neighbour of the last one."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(4 + rng.geometric(1 / (mean - 4), num_users), 200)
    histories = []
    for user, length in enumerate(lengths):
        jumps = np.where(rng.random(length) < 0.5, 1, rng.integers(1, num_items, length))
        items = (rng.integers(num_items) + np.cumsum(jumps)) % num_items
        histories.append((str(user), [str(item) for item in items]))
    return UserSequences.from_lists(histories)


# ---- the parts ----


def tests(options: argparse.Namespace) -> dict[str, Any]:
    """How the tests that need a GPU end."""
    if options.device == "cpu":
        return skipped("the tests marked cuda")
    found = {}
    for name, words in (
        ("marked cuda", ["-m", "cuda", "tests/core", "tests/training", "tests/builtin", "tests/evaluation"]),
        ("conformance on the GPU", ["-k", "GPU", "tests/testing"]),
    ):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        lines = done.stdout.strip().splitlines()
        found[name] = {"code": done.returncode, "said": lines[-1] if lines else done.stderr[-300:]}
        if done.returncode:
            found[name]["failures"] = [line for line in lines if line.startswith(("FAILED", "ERROR"))][:20]
    return found


def agreement(options: argparse.Namespace) -> dict[str, Any]:
    """The losses of an epoch, and ranks, on the CPU and on the device."""
    name, split = data_of(options.data)
    limit = 200 if options.quick else 3000
    small = leave_one_out(cut(split, limit))
    rows = []
    for recipe, plan, stages in trained(options):
        for stage in stages:
            here, there = (losses(plan, small, stage, device) for device in ("cpu", options.device))
            tolerance = TOLERANCE if (recipe, stage) in DRAWS_NOTHING else OTHER_DICE
            apart = max(abs(there[term] - value) / max(abs(value), 1e-6) for term, value in here.items())
            rows.append({"what": f"{recipe} {stage}", "apart": apart, "tolerance": tolerance, "agrees": apart <= tolerance})
        ranked = []
        for device in ("cpu", options.device):
            assembly = assembly_of(plan, small, seed=0, device=device)
            ranked.append(rank_held_out(assembly, first_users(small.test, RANKED), seed=0, device=device))
        one, two = (metrics(each.rank)["ndcg@10"] for each in ranked)
        same = float((ranked[0].rank == ranked[1].rank).mean())
        # A chain of diffusion steps starts from dice of the device; all other rankings draw nothing.
        draws = recipe == "dreamrec"
        rows.append(
            {
                "what": f"{recipe} ranking",
                "apart": 1 - same,
                "ndcg": [one, two],
                "tolerance": None if draws else 0.01,
                "agrees": draws or same >= 0.99,
            }
        )
    return {"data": name, "users": limit, "rows": rows, "all_agree": all(row["agrees"] for row in rows)}


def losses(plan: Plan, split: Split, stage: str, device: str) -> dict[str, float]:
    """Of the first epoch of a stage, without dropout."""
    run = Batches(plan, split, samples_of(plan, split, device), named(stage), device=device)
    for part in run.assembly.model.modules():
        if isinstance(part, Dropout):
            part.probability = 0.0
    return run.losses()


def waits(options: argparse.Namespace) -> dict[str, Any]:
    """What torch itself says that the host waits for."""
    if options.device == "cpu":
        return skipped("waiting for a GPU; benchmarks/launches.py rehearses it")
    name, split = data_of(options.data)
    rows = []
    for recipe, plan, stages in trained(options):
        for stage in stages:
            samples = samples_of(plan, split, options.device)
            run = Batches(plan, split, samples, named(stage), device=options.device)
            run.steps(1)
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("warn")
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                for _ in range(2):
                    run.launch()
            torch.cuda.set_sync_debug_mode("default")
            places = Counter(
                f"{Path(one.filename).name}:{one.lineno}" for one in said if "synchroniz" in str(one.message).lower()
            )
            rows.append({"what": f"{recipe} {stage}", "waits": places.total() / 2, "where": dict(places)})
    return {"data": name, "rows": rows, "nothing_waits": not any(row["waits"] for row in rows)}


def epochs(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds an epoch, reckoned from as many batches as the time allows, and of a full ranking."""
    name, split = data_of(options.data)
    rows = []
    for recipe, plan, stages in trained(options):
        for stage in stages:
            row: dict[str, Any] = {"what": f"{recipe} {stage}"}
            for precision in ("float32", "bfloat16"):
                row[precision] = epoch_of(plan, split, stage, precision, options)
            rows.append(row)
        assembly = assembly_of(plan, split, seed=0, device=options.device)
        asked = first_users(split.test, 64 if options.quick else 4096)
        times = []
        for _ in range(1 if options.quick else 2):
            began = time.perf_counter()
            rank_held_out(assembly, asked, seed=0, device=options.device)
            times.append((time.perf_counter() - began) * len(split.test.users) / len(asked.users))
        rows.append({"what": f"{recipe} ranking", "float32": min(times)})
    return {"data": name, "users": split.sequences.num_users, "items": split.sequences.num_items, "rows": rows}


def epoch_of(plan: Plan, split: Split, stage: str, precision: Any, options: argparse.Namespace) -> float:
    """Seconds of an epoch of this stage."""
    samples = samples_of(plan, split, options.device)
    run = Batches(plan, split, samples, named(stage), device=options.device, precision=precision)
    total = len(run.positions)
    warm = min(1 if options.quick else 3, total - 1)
    run.steps(warm)
    probe = min(1 if options.quick else 4, total - warm)
    seconds = run.steps(probe)
    # As many more as two seconds hold, of this epoch.
    more = 0 if options.quick else min(int(2 / max(seconds / probe, 1e-6)), total - warm - probe)
    seconds += run.steps(more)
    counted = run.positions[warm : warm + probe + more]
    return seconds * sum(run.positions) / sum(counted)


def whole(options: argparse.Namespace) -> dict[str, Any]:
    """`seqaug run`, as anybody would start it."""
    name, split = data_of(options.data)
    with tempfile.TemporaryDirectory() as folder:
        data = options.data
        if name != options.data:
            data = str(Path(folder) / "made-up.csv")
            written(split.sequences, Path(data))
        out = Path(folder) / "run"
        words = [sys.executable, "-m", "seqaug", "run", WHOLE, "--data", data, "--device", options.device, "--out", str(out)]
        words += ["--epochs", "1"] if options.quick else []
        began = time.perf_counter()
        done = subprocess.run([*words, "--json"], capture_output=True, text=True)
        seconds = time.perf_counter() - began
        if done.returncode:
            return {"data": name, "failed": done.stderr[-1500:]}
        said = json.loads(done.stdout)
        events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    return {
        "data": name,
        "users": split.sequences.num_users,
        "seconds": seconds,
        "epochs": said["epochs"],
        "seconds_per_epoch": said["seconds"]["per_epoch"],
        "seconds_per_validation": sum(one["seconds"]["valid"] for one in events) / max(len(events), 1),
        "peak_memory_bytes": said["peak_memory_bytes"],
        "valid": {name: said["valid"][name] for name in ("hr@10", "ndcg@10")},
        "test": {name: said["test"][name] for name in ("hr@10", "ndcg@10")},
    }


def profile(options: argparse.Namespace) -> dict[str, Any]:
    """An epoch of the recipe under torch's profiler, and others of it beside nvidia-smi."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    on_gpu = options.device != "cpu"
    name, split = data_of(options.data)
    plan = make_plan(load_recipe(WHOLE), data=options.data)
    run = Batches(plan, split, samples_of(plan, split, options.device), device=options.device)
    run.steps(1 if options.quick else 3)
    count = 1 if options.quick else len(run.positions)
    times = []
    with busy(on_gpu) as samples:
        # Long enough for nvidia-smi to have looked a few times.
        while not times or (on_gpu and sum(times) < 5):
            times.append(run.steps(count))
    seconds = min(times)
    with profiled(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as seen:
        run.steps(min(count, 20))
    own = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    averages = seen.key_averages()
    steps = min(count, 20)
    device_us = sum(one.self_device_time_total for one in averages if one.device_type != torch.autograd.DeviceType.CPU)
    waited = [one for one in averages if one.key in ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")]
    launched = [one for one in averages if one.key.startswith(("cudaLaunchKernel", "cuLaunchKernel"))]
    return {
        "data": name,
        "batches": count,
        "seconds_for_these": seconds,
        "utilisation_percent": samples,
        "kernels_launched_per_step": sum(one.count for one in launched) / steps,
        "milliseconds_on_the_gpu_per_step": device_us / 1000 / steps,
        "milliseconds_waited_per_step": sum(one.self_cpu_time_total for one in waited) / 1000 / steps,
        "waits_per_step": sum(one.count for one in waited) / steps,
        "copies_per_step": sum(one.count for one in averages if one.key.startswith("cudaMemcpy")) / steps,
        "top": [
            {"operator": one.key, "per_step": one.count / steps, "milliseconds_per_step": getattr(one, own) / 1000 / steps}
            for one in sorted(averages, key=lambda one: -getattr(one, own))[:15]
        ],
    }


def planned(options: argparse.Namespace) -> dict[str, Any]:
    """Table 3 from the whole run: every variant is taken to cost what the complete method does, which is the most."""
    found = kept(options.into).get("run")
    if not found or "seconds" not in found:
        return {"skipped": "Table 3 is planned from the part `run`, which is not there."}
    users = found["users"]
    per_run = {name: found["seconds"] * count / users for name, count in TABLE_3.items()}
    total = sum(per_run.values()) * VARIANTS * SEEDS
    return {"seconds_per_run": per_run, "runs": len(TABLE_3) * VARIANTS * SEEDS, "seconds": total, "hours": total / 3600}


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "tests": tests,
    "agreement": agreement,
    "waits": waits,
    "epochs": epochs,
    "run": whole,
    "profile": profile,
    "plan": planned,
}


# ---- what they share ----


def skipped(what: str) -> dict[str, Any]:
    return {"skipped": f"{what}: needs a CUDA device."}


def trained(options: argparse.Namespace) -> Iterator[tuple[str, Plan, list[str]]]:
    """Each recipe with its plan and the names of the stages that are trained."""
    for recipe in options.recipes:
        plan = make_plan(load_recipe(recipe), data=options.data)
        yield recipe, plan, [stage.name for stage in plan.stages if stage.epochs]


def named(stage: str) -> Any:
    """As much of a stage as `Batches` reads."""
    return argparse.Namespace(name=stage)


def cut(split: Split, users: int) -> UserSequences:
    """The histories of the first users."""
    sequences = split.sequences
    users = min(users, sequences.num_users)
    histories = [
        (str(user), [str(item) for item in sequences.items[sequences.offsets[user] : sequences.offsets[user + 1]]])
        for user in range(users)
    ]
    return UserSequences.from_lists(histories)


def written(sequences: UserSequences, file: Path) -> None:
    """As a table of actions."""
    with file.open("w") as into:
        into.write("user,item,time\n")
        for user in range(sequences.num_users):
            own = sequences.items[sequences.offsets[user] : sequences.offsets[user + 1]]
            into.writelines(f"u{user},i{item},{moment}\n" for moment, item in enumerate(own.tolist()))


@contextmanager
def busy(on_gpu: bool) -> Iterator[dict[str, float]]:
    """Percent of the time in which a kernel ran, as nvidia-smi says four times a second; filled at the end of the block."""
    found: dict[str, float] = {}
    samples: list[float] = []
    over = threading.Event()

    def watch() -> None:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
        while not over.wait(0.25):
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=5)
                samples.append(float(done.stdout.strip().splitlines()[0]))
            except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    if on_gpu:
        watcher.start()
    try:
        yield found
    finally:
        over.set()
        if on_gpu:
            watcher.join(timeout=6)
        if samples:
            found.update(mean=sum(samples) / len(samples), least=min(samples), most=max(samples), samples=len(samples))


def kept(file: Path | None) -> dict[str, Any]:
    """The parts that are in the file already."""
    if file is None or not file.exists():
        return {}
    found: dict[str, Any] = json.loads(file.read_text())["parts"]
    return found


def alone(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """A part in a process of its own, which is stopped at its limit."""
    words = [sys.executable, str(Path(__file__)), "--alone", part, "--device", options.device, "--data", options.data]
    words += ["--into", str(options.into)] if options.into else []
    words += ["--quick"] if options.quick else []
    words += ["--recipes", *options.recipes]
    began = time.perf_counter()
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=options.limit or LIMITS[part])
    except subprocess.TimeoutExpired:
        return {"failed": f"stopped after {options.limit or LIMITS[part]} seconds"}
    if done.returncode:
        return {"failed": done.stderr[-1500:]}
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "took": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", default="beauty")
    parser.add_argument("--recipes", nargs="+", default=None, metavar="RECIPE")
    parser.add_argument(
        "--parts", nargs="+", choices=list(PARTS), default=None, help="these, again; all that are missing otherwise"
    )
    parser.add_argument("--into", type=Path, default=None, metavar="FILE", help="where the parts are kept")
    parser.add_argument("--limit", type=float, default=None, help="seconds for each part, instead of its own limit")
    parser.add_argument("--quick", action="store_true", help="one or two batches of everything, one epoch of the run")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alone", choices=list(PARTS), default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.recipes = options.recipes or [name for name in recipe_names() if make_plan(load_recipe(name), data=None).stages]
    if options.device != "cpu" and not torch.cuda.is_available():
        parser.error(
            f"--device {options.device}: torch {torch.__version__} sees no CUDA device here; "
            "--device cpu --quick tries the script."
        )
    if options.alone:
        print(json.dumps(PARTS[options.alone](options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        temporary = options.into is None
        options.into = options.into or Path(folder) / "gpu.json"
        parts = kept(options.into)
        for part in options.parts or [name for name in PARTS if "took" not in parts.get(name, {})]:
            parts[part] = alone(part, options)
            facts = {**about(options.device), "data": options.data, "quick": options.quick}
            options.into.write_text(json.dumps({**facts, "parts": parts}, indent=1) + "\n")
            if not options.json:
                print(shown(part, parts[part]), flush=True)
        if options.json:
            print(options.into.read_text())
        elif not temporary:
            print(f"all of it is in {options.into}")


def shown(part: str, found: dict[str, Any]) -> str:
    """A part in a few lines."""
    if "skipped" in found or "failed" in found:
        return f"{part}: {'skipped, ' + found['skipped'] if 'skipped' in found else 'FAILED: ' + found['failed']}"
    lines = [f"{part} ({found['took']:.0f} s){', ' + found['data'] if 'data' in found else ''}"]
    for row in found.get("rows", []):
        numbers = "  ".join(f"{name} {cell(value)}" for name, value in row.items() if name != "what")
        lines.append(f"  {row['what']:<24} {numbers}")
    for name, value in found.items():
        if name == "top":
            lines += [
                f"    {one['milliseconds_per_step']:8.3f} ms  {one['per_step']:7.1f} x  {one['operator'][:90]}" for one in value
            ]
        elif name not in ("rows", "took", "data"):
            lines.append(f"  {name}: {cell(value)}")
    return "\n".join(lines)


def cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {cell(one)}" for name, one in value.items()) or "-"
    return str(value)


if __name__ == "__main__":
    main()
