"""What a catalogue of 10^6 items costs, and that memory does not grow with positions x catalogue.

    python benchmarks/big_catalogue.py                    # 10^4 to 10^6 items
    python benchmarks/big_catalogue.py --items 1e6 --json

For every size and question a process of its own: the neighbours of some items, as similarity noise looks them up; full ranking
of users by sasrec, both protocols; the softmax loss of a batch, forward and backward. `extra` is how much more memory was
resident at the worst moment than just before (VmHWM, set back before the question); `written down` is what the scores alone
would take if they were kept whole. Weights are random: neither time nor memory depends on them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import about

from seqaug.builtin.noise_sources import SimilarityNoise
from seqaug.core.items import ItemScores, ItemTable
from seqaug.data.sequences import UserSequences
from seqaug.data.split import Split, leave_one_out
from seqaug.evaluation.ranking import rank_held_out
from seqaug.recipes.assemble import assembly_of
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import make_plan

DIM = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", nargs="+", type=lambda text: int(float(text)), default=[10**4, 10**5, 10**6])
    parser.add_argument("--neighbours-of", type=int, default=1000, help="items whose neighbours are looked up")
    parser.add_argument("--users", type=int, default=1000, help="users who are ranked")
    parser.add_argument("--positions", type=int, default=1455, help="of the batch: 256 users of beauty have so many")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--question", choices=list(QUESTIONS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.question:
        QUESTIONS[arguments.question](arguments, 1000)  # so that what is loaded on first use is not counted
        print(json.dumps(QUESTIONS[arguments.question](arguments, arguments.items[-1])))
        return
    lines = []
    for num_items in arguments.items:
        for question in QUESTIONS:
            print(f"{question}, {num_items:,} items", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, *sys.argv[1:], "--items", str(num_items), "--question", question]
            environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            lines.append({"items": num_items, "question": question, **json.loads(done.stdout)})
    found = {**about(), "dim": DIM, "seed": arguments.seed, "lines": lines}
    print(json.dumps(found) if arguments.json else table(found))


# ---- the questions ----


def neighbours(arguments: argparse.Namespace, num_items: int) -> dict[str, Any]:
    """As similarity noise asks: the 25 most similar others of each of some items."""
    generator = torch.Generator().manual_seed(arguments.seed)
    items = ItemTable(num_items, DIM)
    items.weight.data.normal_(0, 0.02, generator=generator)
    asked = torch.randperm(num_items, generator=generator)[: arguments.neighbours_of] + 1
    noise = SimilarityNoise(k=25)
    return measured(len(asked), num_items, lambda: noise.neighbours(asked, items))


def ranking(arguments: argparse.Namespace, num_items: int) -> dict[str, Any]:
    """As every validation asks: the ranks of held-out items, with seen items kept and without them."""
    split = world(arguments.users, num_items, arguments.seed)
    made = assembly_of(make_plan(load_recipe("sasrec"), data=None), split, seed=arguments.seed)
    return measured(arguments.users, num_items, lambda: rank_held_out(made, split.test, seed=arguments.seed))


def softmax(arguments: argparse.Namespace, num_items: int) -> dict[str, Any]:
    """As a step of training asks: the cross-entropy over all items, and its gradient in the table and the states."""
    generator = torch.Generator().manual_seed(arguments.seed)
    items = ItemTable(num_items, DIM)
    items.weight.data.normal_(0, 0.02, generator=generator)
    states = torch.randn(arguments.positions, DIM, generator=generator, requires_grad=True)
    targets = torch.randint(1, num_items + 1, (arguments.positions,), generator=generator)

    def step() -> None:
        ItemScores(states, items).nll(targets).backward()  # type: ignore[no-untyped-call]

    return measured(arguments.positions, num_items, step)


QUESTIONS: dict[str, Callable[[argparse.Namespace, int], dict[str, Any]]] = {
    "neighbours": neighbours,
    "ranking": ranking,
    "softmax": softmax,
}


def world(num_users: int, num_items: int, seed: int) -> Split:
    """Histories of 3 to 20 random items, over a catalogue of which most have no action."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 21, num_users)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return leave_one_out(
        UserSequences(
            offsets=offsets,
            items=rng.integers(1, num_items + 1, offsets[-1]),
            user_ids=np.arange(num_users).astype(np.str_),
            item_ids=np.concatenate([[""], np.arange(1, num_items + 1).astype(np.str_)]),
            titles={},
        )
    )


# ---- measuring ----


def measured(rows: int, num_items: int, work: Callable[[], object]) -> dict[str, Any]:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew
    before, clock, cpu = status("VmRSS"), time.perf_counter(), time.process_time()
    work()
    return {
        "rows": rows,
        "seconds": time.perf_counter() - clock,
        "cpu_seconds": time.process_time() - cpu,
        "resident_before_bytes": before,
        "peak_bytes": status("VmHWM"),
        "extra_bytes": status("VmHWM") - before,
        "table_bytes": 4 * DIM * (num_items + 2),
        "written_down_bytes": 4 * rows * num_items,
    }


def status(name: str) -> int:
    """A line of this process' status, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"this system does not tell {name}")


def table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['command']}, commit {found['commit']}, {found['date']}, threads {found['threads']}, torch {found['torch']}",
        f"{found['machine']}; load {found['load']}; {found['gflops_of_a_product']} GFLOP/s of a product; width {found['dim']}",
        "",
        "| items | question | rows | seconds | CPU seconds | extra | peak | item table | written down |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for line in found["lines"]:
        sizes = (line[f"{name}_bytes"] / 2**20 for name in ("extra", "peak", "table", "written_down"))
        seconds = f"{line['seconds']:.1f} | {line['cpu_seconds']:.1f}"
        cells = [f"{line['items']:,}", line["question"], f"{line['rows']:,}", seconds, *(f"{size:,.0f} MiB" for size in sizes)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
