"""The table of all methods on one data set: run what is missing, print what there is, beside the paper's row.

    python benchmarks/methods.py                       # beauty, seed 0: every run to its early stop, then the table
    python benchmarks/methods.py --only duorec,mclrec  # some of the rows
    python benchmarks/methods.py --print               # no run: the table of what is finished

A run that was stopped goes on where it was, a finished one is kept: first in `--out`, and its metrics, ranks and events
then in `--results`, where they count as finished for every table. The Markdown goes to standard output, everything else
to standard error.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = ("metrics.json", "per_user.npz", "events.jsonl")
COLUMNS = ("hr@5", "hr@10", "ndcg@5", "ndcg@10")

# name of the row: what it says to `seqaug run`, and the method whose row of the paper stands beside it
ROWS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "popularity": (("popularity",), None),
    "item_knn": (("item_knn",), None),
    "bert4rec": (("bert4rec",), "BERT4Rec"),
    "sasrec": (("sasrec",), None),
    "sasrec-bce": (("sasrec", "--loss", "next_item_bce"), "SASRec"),
    "cl4srec": (("cl4srec",), "CL4SRec"),
    "duorec": (("duorec",), "DuoRec"),
    "mclrec": (("mclrec",), "MCLRec"),
    "ecl_sr": (("ecl_sr",), "ECL-SR"),
    "diffuasr": (("diffuasr",), "DiffuASR"),
    "dreamrec": (("dreamrec",), "DreamRec"),
    "cadirec": (("cadirec",), "CaDiRec"),
    "cadirec-softmax": (("cadirec", "--loss", "next_item_softmax"), None),
    "simdiffrec": (("simdiffrec",), "SimDiffRec"),
    "simdiffrec-bce": (("simdiffrec", "--loss", "next_item_bce"), None),
}

# Choi et al. (2025), table 2, beauty: HR@5, HR@10, NDCG@5, NDCG@10
PAPER = {
    "BERT4Rec": (".0178", ".0309", ".0109", ".0152"),
    "SASRec": (".0303", ".0557", ".0163", ".0245"),
    "CL4SRec": (".0456", ".0774", ".0259", ".0361"),
    "DuoRec": (".0471", ".0799", ".0268", ".0374"),
    "MCLRec": (".0499", ".0836", ".0286", ".0394"),
    "ECL-SR": (".0489", ".0822", ".0287", ".0395"),
    "DiffuASR": (".0445", ".0759", ".0252", ".0353"),
    "DreamRec": (".0477", ".0805", ".0273", ".0378"),
    "CaDiRec": (".0521", ".0867", ".0300", ".0411"),
    "SimDiffRec": (".0572", ".0932", ".0310", ".0427"),
}


def main() -> None:
    options = arguments()
    names = list(ROWS) if options.only is None else options.only.split(",")
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        sys.exit(f"no row is called {unknown[0]!r}; known: {', '.join(ROWS)}")
    failed = []
    for name in names if not options.print else ():
        if finished(options, name) is None and not made(options, name):
            failed.append(name)
    print(table(options, names))
    if failed:
        sys.exit(f"these runs failed: {', '.join(failed)}")


def folder(options: argparse.Namespace, name: str) -> Path:
    return Path(options.results) / f"{name}-{options.data}-{options.seed}"


def finished(options: argparse.Namespace, name: str) -> dict[str, Any] | None:
    """The metrics of a row that has been run."""
    path = folder(options, name) / "metrics.json"
    return json.loads(path.read_text()) if path.exists() else None


def made(options: argparse.Namespace, name: str) -> bool:
    """Run one row, or go on with it; True where it has come to its end."""
    out = Path(options.out) / f"{name}-{options.data}-{options.seed}"
    seqaug = str(Path(sys.executable).with_name("seqaug"))  # of this environment, whatever PATH says
    command = [seqaug, "run", *ROWS[name][0], "--data", options.data, "--seed", str(options.seed), "--out", str(out)]
    if options.threads:
        command += ["--threads", str(options.threads)]
    print(f"\n{' '.join(command)}", file=sys.stderr, flush=True)
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        return False
    kept = folder(options, name)
    kept.mkdir(parents=True, exist_ok=True)
    for file in KEPT:
        if (out / file).exists():
            shutil.copy(out / file, kept / file)
    return True


def table(options: argparse.Namespace, names: list[str]) -> str:
    head = [f"on {options.data}", "HR@5", "HR@10", "NDCG@5", "NDCG@10", "best of epochs", "s per epoch", "parameters"]
    lines = [head, ["---"] * len(head)]
    for name in names:
        found = finished(options, name)
        if found is None:
            lines.append([name, *["not run"] * 4, "", "", ""])
        else:
            cells = [f"{found['test'][column]:.4f}" for column in COLUMNS]
            epochs = f"{found['best_epoch']} of {found['epochs']}"
            lines.append([name, *cells, epochs, f"{found['seconds']['per_epoch']:.0f}", f"{found['parameters']:,}"])
        method = ROWS[name][1]
        if method is not None and options.data == "beauty":
            lines.append([f"*paper, {method}*", *PAPER[method], "", "", ""])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="beauty")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="rows, with commas between them")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", default="runs/methods", help="run folders")
    parser.add_argument("--results", default=str(ROOT / "docs/results"), help="what is kept of finished runs")
    parser.add_argument("--print", action="store_true", help="run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
