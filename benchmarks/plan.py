"""Does `seqaug run --dry-run` foretell what a run takes? Memory and seconds of an epoch, foretold and measured, side by side.

    python benchmarks/plan.py
    python benchmarks/plan.py --data beauty --recipes sasrec simdiffrec --json
    python benchmarks/plan.py --threads 2 -s training.batch_size=1024

Each number comes from a process of its own: one that plans, one that trains an epoch of every stage and ranks. A ratio between
1/1.5 and 1.5 is what the plan promises; where one is outside, the command names it and ends with exit code 1. On a busy machine
the seconds of both wander, and the memory does not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from seqaug.recipes.load import recipe_names

PROMISED = 1.5

SHORT = {"diffuasr": ["-s", "stages.1.epochs=1"]}
"""Recipe -> what makes its other stages short: they count epochs of their own."""


def seqaug(*words: str) -> dict[str, Any]:
    command = str(Path(sys.executable).with_name("seqaug"))
    done = subprocess.run([command, *words, "--json"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"seqaug {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compared(data: str, recipe: str, words: list[str]) -> dict[str, Any]:
    """What was foretold of one run beside what it took; a ratio is foretold over measured."""
    words = ["run", recipe, "--data", data, *words, "--epochs", "1", *SHORT.get(recipe, ())]
    estimate = seqaug(*words, "--dry-run")["estimate"]
    folder = Path(tempfile.mkdtemp())
    try:
        run = seqaug(*words, "--out", str(folder / "run"))
        events = [json.loads(line) for line in (folder / "run" / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    finally:
        shutil.rmtree(folder)
    row = {
        "data": data,
        "recipe": recipe,
        "foretold_bytes": foretold_bytes(estimate["memory"]),
        "peak_bytes": run["peak_memory_bytes"],
        **seconds(estimate, run, events),
    }
    row["memory_ratio"] = row["foretold_bytes"] / row["peak_bytes"]
    row["seconds_ratio"] = row["foretold_seconds"] / row["seconds"]
    return row


def foretold_bytes(memory: dict[str, int]) -> int:
    """The peak that the plan shows, of its parts."""
    alive = max(memory["batch"], memory["ranking"])
    return memory["base"] + memory["model"] + alive + memory["scores"] + memory["holes"]


def seconds(estimate: dict[str, Any], run: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, float]:
    """Of the epochs that were run, with their validations; of one ranking where nothing is trained."""
    if not events:
        return {"foretold_seconds": estimate["seconds_per_epoch"], "seconds": run["seconds"]["evaluate"] / 2}
    each = {stage["name"]: stage["seconds_per_epoch"] for stage in estimate["stages"]}
    return {
        "foretold_seconds": sum(each[event["stage"]] for event in events),
        "seconds": sum(event["seconds"]["train"] + event["seconds"]["valid"] for event in events),
    }


def outside(rows: list[dict[str, Any]]) -> list[str]:
    """What was not foretold as promised, a line for each."""
    return [
        f"{row['recipe']} on {row['data']}: {of} foretold over measured {row[f'{of}_ratio']:.2f}"
        for row in rows
        for of in ("memory", "seconds")
        if not 1 / PROMISED <= row[f"{of}_ratio"] <= PROMISED
    ]


def line(row: dict[str, Any]) -> str:
    return (
        f"{row['data']:<15} {row['recipe']:<12} memory {row['foretold_bytes'] / 2**20:7.0f} of "
        f"{row['peak_bytes'] / 2**20:7.0f} MiB ({row['memory_ratio']:.2f})   "
        f"epoch {row['foretold_seconds']:7.2f} of {row['seconds']:7.2f} s ({row['seconds_ratio']:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["movietweetings"])
    parser.add_argument("--recipes", nargs="+", default=recipe_names())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-s", "--set", action="append", default=[], dest="patches")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    words = ["--threads", str(arguments.threads), *(word for patch in arguments.patches for word in ("-s", patch))]
    rows = []
    for data in arguments.data:
        for recipe in arguments.recipes:
            rows.append(compared(data, recipe, words))
            print(line(rows[-1]), file=sys.stderr if arguments.json else sys.stdout, flush=True)
    missed = outside(rows)
    if arguments.json:
        print(json.dumps({"threads": arguments.threads, "promised": PROMISED, "rows": rows, "outside": missed}, indent=2))
    elif missed:
        print(f"Outside a factor of {PROMISED}:\n" + "\n".join(missed))
    else:
        print(f"All {len(rows)} are within a factor of {PROMISED}, in memory and in seconds.")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
