"""Everything that docs/performance.md shows, measured in one go: `python benchmarks/record.py`, twenty minutes on two cores.

    python benchmarks/record.py                    # on beauty, which `seqaug data` has to find
    python benchmarks/record.py --only growth
    python benchmarks/record.py --quick --into some/folder --baseline some/file.json

Runs the other benchmarks one after the other, writes what they say into docs/performance/*.json, records the baseline anew, and
makes the page and its plots (docs/write_performance.py). Leave the machine alone meanwhile: its load is recorded too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from timing import ROOT, about

HERE = Path(__file__).parent
KEPT = ("machine", "device", "cores", "threads", "torch", "gflops_of_a_product", "load", "commit", "date")
PARTS = ("recipes", "others", "epoch", "growth", "plan", "baseline", "page")


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Name of what is recorded -> the words of the command."""
    quick = ["--quick"] if options.quick else []
    threads = ["--threads", str(options.threads)] if options.threads else []
    steps = ["--steps", "3", "--others", "1"] if options.quick else []
    small = ["--recipes", "sasrec", "simdiffrec"] if options.quick else []
    repeats = ["--repeats", "1" if options.quick else "3", "--and-bfloat16"]
    return {
        "recipes": ["recipes.py", "--data", options.data, "--json", *small, *quick, *threads],
        "others": ["others.py", "--data", options.data, "--json", *steps, *threads],
        "epoch": ["epoch.py", "--data", options.data, "--json", *repeats, *threads],
        "growth": ["growth.py", "--json", *quick, *threads],
        "plan": ["plan.py", "--json", *small, *threads],
        "baseline": ["baseline.py", "record", "--file", str(options.baseline), *small, *quick],
    }


def settled(most: float = 0.3, seconds: float = 150.0) -> None:
    """Wait, so long at most, until the load a core is below `most`: what was measured before is no load of somebody else."""
    until = time.monotonic() + seconds
    while os.getloadavg()[0] > most * (os.cpu_count() or 1) and time.monotonic() < until:
        time.sleep(2)


def ran(words: list[str]) -> str:
    """What a benchmark printed. Raises SystemExit, with its last words, where it fails.

    That a plan did not foretell what it promises is a finding, and recorded like any other.
    """
    done = subprocess.run([sys.executable, str(HERE / words[0]), *words[1:]], stdout=subprocess.PIPE, text=True)
    found = words[0] == "plan.py" and done.returncode == 1 and done.stdout.strip()
    if done.returncode and not found:
        raise SystemExit(f"benchmarks/{words[0]} ended with {done.returncode}; what was recorded before it is kept.")
    return done.stdout


def compact(found: dict[str, Any]) -> str:
    """JSON with a line for each thing on the outer two levels, so that a change can be read."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.4g}")
        if isinstance(value, dict):
            return {name: rounded(one) for name, one in value.items()}
        return [rounded(one) for one in value] if isinstance(value, list) else value

    lines = []
    for name, value in rounded(found).items():
        if isinstance(value, list):
            inner = ",\n  ".join(json.dumps(one) for one in value)
            lines.append(f"{json.dumps(name)}: [\n  {inner}\n ]")
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="beauty")
    parser.add_argument("--only", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "performance")
    parser.add_argument("--baseline", type=Path, default=HERE / "baseline.json")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--quick", action="store_true", help="tiny budgets: for trying the command, not for numbers")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    for name, words in commands(options).items():
        if name not in options.only:
            continue
        if not options.quick:
            settled()
        before = about()  # the load before, and no commit with what is just being written
        began = time.perf_counter()
        said = ran(words)
        if name != "baseline":
            command = " ".join(["python", f"benchmarks/{words[0]}", *words[1:]])
            found = {**{key: before[key] for key in KEPT}, **json.loads(said), "command": command}
            found |= {key: before[key] for key in ("load", "commit", "date")}
            (options.into / f"{name}.json").write_text(compact(found), encoding="utf-8")
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    if "page" in options.only and options.into == ROOT / "docs" / "performance":
        subprocess.run([sys.executable, str(ROOT / "docs" / "write_performance.py")], check=True)


if __name__ == "__main__":
    main()
