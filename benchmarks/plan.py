"""Does `seqaug run --dry-run` foretell what a run takes? Memory and seconds of an epoch, foretold and measured, side by side.

    python benchmarks/plan.py
    python benchmarks/plan.py --data beauty --recipes sasrec simdiffrec --json

Each number comes from a process of its own: one that plans, one that trains an epoch. A ratio between 1/1.5 and 1.5 is what
the plan promises. On a busy machine the seconds of both wander.
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

PROMISED = 1.5


def seqaug(*words: str) -> dict[str, Any]:
    command = str(Path(sys.executable).with_name("seqaug"))
    done = subprocess.run([command, *words, "--json"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"seqaug {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["movietweetings"])
    parser.add_argument("--recipes", nargs="+", default=["sasrec", "simdiffrec", "duorec", "bert4rec", "cadirec"])
    parser.add_argument("--threads", default="1")
    parser.add_argument("-s", "--set", action="append", default=[], dest="patches")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    changes = [word for patch in arguments.patches for word in ("-s", patch)]
    for data in arguments.data:
        for recipe in arguments.recipes:
            words = ["run", recipe, "--data", data, "--threads", arguments.threads, "--epochs", "1", *changes]
            plan = seqaug(*words, "--dry-run")
            folder = Path(tempfile.mkdtemp())
            try:
                run = seqaug(*words, "--out", str(folder / "run"))
            finally:
                shutil.rmtree(folder)
            validations = json_seconds(run)
            rows.append(
                {
                    "data": data,
                    "recipe": recipe,
                    "foretold_bytes": plan["estimate"]["memory"]["base"]
                    + plan["estimate"]["memory"]["model"]
                    + max(plan["estimate"]["memory"]["batch"], plan["estimate"]["memory"]["ranking"])
                    + plan["estimate"]["memory"]["scores"],
                    "peak_bytes": run["peak_memory_bytes"],
                    "foretold_seconds": plan["estimate"]["seconds_per_epoch"],
                    "seconds": validations,
                }
            )
            row = rows[-1]
            row["memory_ratio"] = row["foretold_bytes"] / row["peak_bytes"]
            row["seconds_ratio"] = row["foretold_seconds"] / row["seconds"]
            if not arguments.json:
                print(
                    f"{data:<15} {recipe:<12} memory {row['foretold_bytes'] / 2**20:7.0f} of "
                    f"{row['peak_bytes'] / 2**20:7.0f} MiB ({row['memory_ratio']:.2f})   "
                    f"epoch {row['foretold_seconds']:7.2f} of {row['seconds']:7.2f} s ({row['seconds_ratio']:.2f})",
                    flush=True,
                )
    outside = [row for row in rows if not all(1 / PROMISED <= row[f"{of}_ratio"] <= PROMISED for of in ("memory", "seconds"))]
    if arguments.json:
        print(json.dumps({"threads": arguments.threads, "rows": rows, "outside": len(outside)}, indent=2))
    else:
        print(f"{len(rows) - len(outside)} of {len(rows)} within a factor of {PROMISED}")


def json_seconds(run: dict[str, Any]) -> float:
    """An epoch's training and validation; the final ranking counts two rankings, and there was one epoch."""
    return float(run["seconds"]["train"] + run["seconds"]["evaluate"] / 3)


if __name__ == "__main__":
    main()
