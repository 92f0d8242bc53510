"""What became slower since the baseline was recorded: `python benchmarks/baseline.py compare`.

    python benchmarks/baseline.py record      # writes benchmarks/baseline.json
    python benchmarks/baseline.py compare     # exit code 1 where something became slower by more than the tolerance

Every recipe trains some batches on the bundled data and ranks its users; what is kept is no seconds but ratios: a batch to the
bare catalogue products of its shapes, a ranking to its own, the wait for the first batch to that for `import torch` alone, and
the peak of memory to that after it. It is the time of one processor that counts, and of several measurements the least, so
that other work on the machine disturbs little. A baseline carries over between machines, though not perfectly: with another
processor or version of torch the ratios shift, and `compare` says where those differ. What looks slower is measured again, up
to twice, and only what stays slower counts. What several threads gain is not seen here; benchmarks/recipes.py shows it.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from timing import about, count_processor_time

from recipes import alone, evaluation, training
from seqaug.data.catalog import find
from seqaug.data.split import leave_one_out
from seqaug.errors import did_you_mean
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.plan import make_plan

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 0.3
SETTINGS = ("machine", "torch", "data")
BATCHES, USERS, REPEATS, AGAIN = 8, 512, 5, 2
"""Always as many, however fast the machine: a ratio hangs on how much is done at once."""

IMPORT = """
import time
import torch
seconds = time.process_time()
from seqaug.experiments.environment import peak_memory
print(seconds, peak_memory())
"""


def plain_torch() -> tuple[float, int]:
    """Processor seconds until a new process has `import torch` behind it, and its peak of memory in bytes."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak)


def measured(recipe: str, data: str, batches: int, users: int) -> dict[str, float]:
    """Name -> ratio, for one recipe."""
    split = leave_one_out(find(data).sequences)
    plan = make_plan(load_recipe(recipe), data=data)
    found: dict[str, float] = {}
    for line in training(plan, split, batches=batches, seconds=math.inf, device="cpu"):
        if line["times_the_floor"]:
            found[f"{recipe}: a batch of {line['stage']}"] = line["times_the_floor"]["quiet"]
    ranked = evaluation(plan, split, seconds=math.inf, repeats=REPEATS, device="cpu", users=users)
    if ranked["times_the_product"]:
        found[f"{recipe}: a ranking"] = ranked["times_the_product"]["quiet"]
    torch_seconds, torch_peak = min(plain_torch() for _ in range(2))
    first = alone(recipe, data, batches=2, device="cpu", threads=1)
    if first["processor_seconds_to_first_batch"]:
        found[f"{recipe}: the first batch"] = first["processor_seconds_to_first_batch"] / torch_seconds
    found[f"{recipe}: memory"] = first["peak_bytes"] / torch_peak
    return {name: round(value, 3) for name, value in found.items()}


def slower(then: Mapping[str, float], now: Mapping[str, float], tolerance: float) -> dict[str, float]:
    """Name -> by which factor it grew, for what grew by more than the tolerance (0.3 is 30 %)."""
    return {name: now[name] / then[name] for name in now if name in then and now[name] > then[name] * (1 + tolerance)}


def compared(
    then: Mapping[str, float], recipes: list[str], tolerance: float, measure: Callable[[str], dict[str, float]], again: int
) -> tuple[dict[str, float], dict[str, float]]:
    """The ratios of now, the least of up to `again` more measurements where one looked slower, and what stayed slower."""
    now: dict[str, float] = {}
    for recipe in recipes:
        found = measure(recipe)
        for _ in range(again):
            if not slower(then, found, tolerance):
                break
            another = measure(recipe)
            found = {name: min(value, another.get(name, value)) for name, value in found.items()}
        now |= found
    return now, slower(then, now, tolerance)


def record(options: argparse.Namespace) -> int:
    ratios: dict[str, float] = {}
    for recipe in options.recipes:
        ratios |= options.measure(recipe)
    kept = {**about(), "data": options.data, "ratios": ratios}
    options.file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"{options.file}: {len(ratios)} ratios of {len(options.recipes)} recipes")
    return 0


def compare(options: argparse.Namespace) -> int:
    try:
        kept = json.loads(options.file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        print(f"there is no {options.file}; `python benchmarks/baseline.py record` makes one.", file=sys.stderr)
        return 2
    began = time.perf_counter()
    now, worse = compared(kept["ratios"], options.recipes, options.tolerance, options.measure, AGAIN if options.repeat else 0)
    here = {**about(), "data": options.data}
    differ = [f"{name} {kept[name]} then, {here[name]} now" for name in SETTINGS if kept[name] != here[name]]
    new = [name for name in now if name not in kept["ratios"]]
    report = {
        "baseline": {name: kept[name] for name in (*SETTINGS, "commit", "date")},
        "now": here,
        "seconds": time.perf_counter() - began,
        "tolerance": options.tolerance,
        "settings_differ": differ,
        "ratios": {name: {"then": kept["ratios"].get(name), "now": value} for name, value in now.items()},
        "slower": worse,
        "without_a_baseline": new,
    }
    if options.json:
        print(json.dumps(report, indent=1))
        return 1 if worse else 0
    for difference in differ:
        print(f"note: {difference}, which moves ratios too", file=sys.stderr)
    for name, value in now.items():
        then = kept["ratios"].get(name)
        mark = "slower" if name in worse else ""
        print(f"  {name:<34} {'      -' if then is None else f'{then:7.2f}'} then {value:7.2f} now  {mark}".rstrip())
    print(
        f"{len(worse)} of {len(now) - len(new)} became slower by more than {options.tolerance:.0%} "
        f"since {kept['commit']} ({kept['date'][:10]})"
    )
    return 1 if worse else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["record", "compare"])
    parser.add_argument("--file", type=Path, default=BASELINE)
    parser.add_argument("--data", default="movietweetings")
    parser.add_argument("--recipes", nargs="+", default=recipe_names(), metavar="RECIPE")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="0.3: what takes 30 %% more is slower")
    parser.add_argument("--quick", action="store_true", help="2 batches, 64 users, once: for trying the command only")
    parser.add_argument("--json", action="store_true", help="of compare")
    options = parser.parse_args()
    for name in options.recipes:
        if name not in recipe_names():
            parser.error(f"no recipe is called {name!r}.{did_you_mean(name, recipe_names())}")
    count_processor_time()
    batches, users = (2, 64) if options.quick else (BATCHES, USERS)
    options.repeat = not options.quick
    options.measure = lambda recipe: measured(recipe, options.data, batches, users)
    return record(options) if options.what == "record" else compare(options)


if __name__ == "__main__":
    sys.exit(main())
