"""What a data set of 10^7 interactions costs: seconds and peak memory of reading it, of starting, of training, of ranking.

    python benchmarks/big_data.py                               # some minutes on one core
    python benchmarks/big_data.py --actions 1e6 --users 1e5     # a tenth of it
    python benchmarks/big_data.py --formats --losses --run      # the commands themselves; half an hour on one core
    python benchmarks/big_data.py --json

The data set is drawn from a seed: users and items with power laws, times at random. It is written in three formats into a
temporary folder, which also is the home of what is imported and is removed at the end. Every line of the table is a process of
its own, so that its peak of resident memory (VmHWM) is of that alone. CPU seconds stand beside those of the clock, because the
latter count what else the machine does.

Ranking all users among all items is arithmetic, users x items x dim multiplications and additions; it is measured on a part
of the users, and so is the epoch on its first batches: what follows for the whole is said in words of its own.

With --run the commands are typed as a user would type them, and nothing is left out: `seqaug data import` of the whole table,
`seqaug run` first dry and then for one epoch with the validation and test of every user, `seqaug evaluate` of the folder,
`seqaug report`. The narrow vectors of --dim keep the five rankings of all users among all items to minutes each.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

FORMATS = ("csv", "inter", "sequences")
AT_ONCE = 1 << 18


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", type=lambda text: int(float(text)), default=10**7)
    parser.add_argument("--users", type=lambda text: int(float(text)), default=10**6)
    parser.add_argument("--items", type=lambda text: int(float(text)), default=10**5)
    parser.add_argument("--formats", nargs="*", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--losses", nargs="*", default=["next_item_sampled_softmax", "next_item_bce"])
    parser.add_argument("--batches", type=int, default=200, help="trained with each loss; 0 for a whole epoch")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rank", type=int, default=4096, help="users ranked after training")
    parser.add_argument("--run", action="store_true", help="import, run, evaluate and report with the commands themselves")
    parser.add_argument("--dim", type=int, default=16, help="width of the vectors in --run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(PARTS[arguments.part[0]](arguments, *arguments.part[1:])))
        return
    import torch
    from timing import about

    # Without it a command that is ended, as by `timeout`, would leave the temporary folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    torch.set_num_threads(arguments.threads)
    found = {**about(), **measured(arguments)}
    print(json.dumps(found) if arguments.json else table(found))


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every part in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="seqaug-big-", dir=arguments.folder) as temporary:
        environment = {**os.environ, "SEQAUG_HOME": temporary, "OMP_NUM_THREADS": str(arguments.threads)}

        def part(*words: str) -> dict[str, Any]:
            print(" ".join(words), file=sys.stderr, flush=True)
            command = [sys.executable, __file__, *sys.argv[1:], "--part", *words]
            done = subprocess.run(command, env=environment, cwd=temporary, stdout=subprocess.PIPE)
            if done.returncode:
                sys.exit(f"{' '.join(words)} failed; what it said stands above.")
            return dict(json.loads(done.stdout))

        lines = []
        for form in arguments.formats:
            lines.append(part("write", form))
            lines.append(part("import", form))
            Path(temporary, f"big.{form}").unlink()
        if arguments.formats:
            lines.append(part("start"))
            lines += [part("train", loss) for loss in arguments.losses]
        if arguments.run:
            lines.append(part("write", "csv"))
            lines += [part("command", name) for name in commands(arguments)]
    return {
        "actions": arguments.actions,
        "users": arguments.users,
        "items": arguments.items,
        "seed": arguments.seed,
        "lines": lines,
    }


# ---- the parts ----


def write(arguments: argparse.Namespace, form: str) -> dict[str, Any]:
    """Draw the data set and write it in one format."""

    def work() -> dict[str, Any]:
        users, items, times = drawn(arguments.actions, arguments.users, arguments.items, arguments.seed)
        path = Path(f"big.{form}")
        with path.open("w", encoding="utf-8", newline="") as file:
            if form == "sequences":
                file.writelines(as_lines(users, items, times))
            else:
                mark, head = (
                    (",", "user_id,item_id,timestamp\n")
                    if form == "csv"
                    else ("\t", "user_id:token\titem_id:token\ttimestamp:float\n")
                )
                point = "" if form == "csv" else ".0"
                file.write(head)
                for start in range(0, len(users), AT_ONCE):
                    part = slice(start, start + AT_ONCE)
                    rows = zip(users[part].tolist(), items[part].tolist(), times[part].tolist(), strict=True)
                    file.writelines(f"{user}{mark}{item}{mark}{moment}{point}\n" for user, item, moment in rows)
        return {"bytes": path.stat().st_size}

    return timed(f"write {form}", work)


def bring_in(arguments: argparse.Namespace, form: str) -> dict[str, Any]:
    """`seqaug data import`, with a 5-core."""

    def work() -> dict[str, Any]:
        from seqaug.cli.main import cli

        answer = io.StringIO()
        words = ["data", "import", f"big.{form}", "--name", "big", "--replace", "--k-core", "5", "--json"]
        with contextlib.redirect_stdout(answer), contextlib.suppress(SystemExit):
            cli.main(words)
        found = json.loads(answer.getvalue())
        folder = Path(found["path"])
        counts = {name: found["statistics"][name] for name in ("users", "items", "actions")}
        return {**counts, "sha256": found["sha256"], "stored_bytes": sum(file.stat().st_size for file in folder.iterdir())}

    return timed(f"import {form}", work)


def start(arguments: argparse.Namespace) -> dict[str, Any]:
    """Finding what was imported, as every later command does."""

    def work() -> dict[str, Any]:
        from seqaug.data.catalog import find

        sequences = find("big").sequences
        return {"array_bytes": sum(array.nbytes for array in (sequences.offsets, sequences.items))}

    return timed("start", work)


def train(arguments: argparse.Namespace, loss: str) -> dict[str, Any]:
    """The first batches of an epoch of sasrec, then ranking of some users on validation."""
    import torch

    torch.set_num_threads(arguments.threads)

    from seqaug.data.catalog import find
    from seqaug.data.split import HeldOut, Histories, leave_one_out
    from seqaug.evaluation.metrics import metrics
    from seqaug.evaluation.ranking import rank_held_out
    from seqaug.recipes.assemble import assembly_of, samples_of
    from seqaug.recipes.load import load_recipe
    from seqaug.recipes.plan import Patch, make_plan
    from seqaug.training.fit import BatchReport, Fit

    def work() -> dict[str, Any]:
        began = time.perf_counter()
        plan = make_plan(
            load_recipe("sasrec"),
            data="big",
            patches=[
                Patch("training.epochs", 2, "benchmark"),
                Patch("training.batch_size", arguments.batch_size, "benchmark"),
                Patch("objectives.recommendation", {"use": loss}, "benchmark"),
            ],
        )
        split = leave_one_out(find("big").sequences)
        made = assembly_of(plan, split, seed=arguments.seed)
        fit = Fit(made, samples_of(plan, split), seed=arguments.seed, options=plan.training, validate=lambda: {"ndcg@10": 0.0})
        ends, reports = [], fit.reports()
        for report in reports:
            if not isinstance(report, BatchReport):
                break
            ends.append(time.perf_counter())
            batches = report.batches
            if len(ends) == arguments.batches:
                break
        reports.close()  # type: ignore[attr-defined]
        trained = peak()
        some = min(arguments.rank, len(split.valid.users))
        inputs = split.valid.inputs
        upto = inputs.offsets[: some + 1]
        part = HeldOut(
            split.valid.users[:some],
            Histories(upto, inputs.items[: int(upto[-1])], inputs.num_items),
            split.valid.targets[:some],
        )
        ranking = time.perf_counter()
        metrics(rank_held_out(made, part, seed=arguments.seed).rank)
        ranked = time.perf_counter() - ranking
        each = float(np.median(np.diff(ends))) if len(ends) > 1 else ends[0] - began
        return {
            "first_batch_seconds": ends[0] - began,
            "batches_measured": len(ends),
            "batch_seconds": each,
            "batches_an_epoch": batches,
            "epoch_seconds_at_that_rate": each * batches,
            "peak_bytes_trained": trained,
            "users_ranked": some,
            "rank_seconds": ranked,
            "rank_all_seconds_at_that_rate": ranked / some * len(split.valid.users),
        }

    return timed(f"train {loss}", work)


def commands(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Name of a line -> what is typed behind `seqaug`, one after the other in one folder."""
    run = f"run sasrec --data whole --loss next_item_sampled_softmax --epochs 1 --seed {arguments.seed} --out run"
    run += f" -s items.dim={arguments.dim} -s training.batch_size={arguments.batch_size} --threads {arguments.threads}"
    return {
        "data import": "data import big.csv --name whole --json".split(),
        "run --dry-run": f"{run} --dry-run --json".split(),
        "run": f"{run} --verbose".split(),
        "evaluate": f"evaluate run --threads {arguments.threads} --json".split(),
        "report": "report run".split(),
    }


MARKS = {"rehearsed on": "rehearsed", "epoch 1/": "validated", "ranked validation": "ranked"}
"""How a line of `seqaug run --verbose` begins -> what has been done by then."""


def command(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """One command in a process of its own, which is asked for its most memory whenever it says something of interest."""
    words, clock = commands(arguments)[name], time.perf_counter()
    upto = {}
    with tempfile.TemporaryFile() as answer:
        process = subprocess.Popen(
            [sys.executable, "-m", "seqaug", *words], stdout=answer, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)
            mark = next((MARKS[begin] for begin in MARKS if line.startswith(begin)), None)
            if mark:
                upto[mark] = {"seconds": time.perf_counter() - clock, "peak_bytes": peak(process.pid)}
        # Not Popen.wait: only this tells of the memory. This process is a small one, so what counts is the command's own.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"seqaug {' '.join(words)} ended with {process.returncode}.")
        answer.seek(0)
        said = json.loads(answer.read()) if "--json" in words else {}
    found: dict[str, Any] = {
        "what": f"seqaug {name}",
        "typed": " ".join(["seqaug", *words]),
        "seconds": time.perf_counter() - clock,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
    }
    if name == "data import":
        found |= {count: said["statistics"][count] for count in ("users", "items", "actions")}
    if name == "run --dry-run":
        memory = said["estimate"]["memory"]
        most = memory["base"] + memory["model"] + max(memory["batch"], memory["ranking"]) + memory["scores"] + memory["holes"]
        found |= {"foretold_bytes": most, "foretold_seconds": said["estimate"]["seconds_at_most"]}
    if name == "run":
        event = json.loads(Path("run", "events.jsonl").read_text(encoding="utf-8"))
        found |= {"upto": upto, "train_seconds": event["seconds"]["train"], "valid_seconds": event["seconds"]["valid"]}
        found |= {"file_bytes": {file.name: file.stat().st_size for file in Path("run").iterdir() if file.is_file()}}
    if name == "evaluate":
        found |= {"equal": said["equal"]}
    return found


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "write": write,
    "import": bring_in,
    "start": start,
    "train": train,
    "command": command,
}


# ---- the data set ----


def drawn(actions: int, users: int, items: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(A,) names of users and items, which are numbers, and times. Who is popular has nothing to do with the name."""
    rng = np.random.default_rng(seed)

    def power_law(count: int, exponent: float) -> np.ndarray:
        upto = np.cumsum(np.arange(1, count + 1) ** -exponent)
        return (rng.permutation(count) + 1)[np.searchsorted(upto, rng.random(actions) * upto[-1])]

    return power_law(users, 0.5), power_law(items, 0.8), rng.integers(1_300_000_000, 1_400_000_000, actions)


def as_lines(users: np.ndarray, items: np.ndarray, times: np.ndarray) -> Iterable[str]:
    order = np.lexsort((times, users))
    users, items = users[order], items[order]
    begins = np.flatnonzero(np.diff(users, prepend=-1))
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(users)], strict=True):
        yield f"{users[begin]} {' '.join(map(str, items[begin:end].tolist()))}\n"


# ---- measuring ----


def peak(process: int | str = "self") -> int:
    """The most memory that has been resident, in bytes. Not what getrusage says, which counts what was there before exec."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not say how much memory a process has had")


def timed(what: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    clock, cpu = time.perf_counter(), time.process_time()
    found = work()
    return {
        "what": what,
        "seconds": time.perf_counter() - clock,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": peak(),
        **found,
    }


def table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['actions']:,} actions, {found['users']:,} users, {found['items']:,} items drawn from seed {found['seed']}",
        *facts(found),
        "",
        "| what | seconds | CPU seconds | peak resident | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for line in found["lines"]:
        lines.append(
            f"| {line['what']} | {line['seconds']:.1f} | {line['cpu_seconds']:.1f} | {line['peak_bytes'] / 2**30:.2f} GiB "
            f"| {remark(line)} |"
        )
    return "\n".join(lines)


def facts(found: dict[str, Any]) -> list[str]:
    """What has to stand beside the numbers."""
    return [
        f"{found['command']}, commit {found['commit']}, {found['date']}, threads {found['threads']}, torch {found['torch']}",
        f"{found['machine']}; load {found['load']}; {found['gflops_of_a_product']} GFLOP/s of a product",
    ]


def remark(line: dict[str, Any]) -> str:
    if "stored_bytes" in line:
        return (
            f"{line['users']:,} users, {line['items']:,} items, {line['actions']:,} actions in the 5-core; "
            f"{line['stored_bytes'] / 2**20:.0f} MiB stored; sha256 {line['sha256'][:8]}"
        )
    if "typed" in line:
        return of_command(line)
    if "batch_seconds" in line:
        epoch, all_users = line["epoch_seconds_at_that_rate"] / 60, line["rank_all_seconds_at_that_rate"] / 60
        return (
            f"first batch after {line['first_batch_seconds']:.1f} s; {1e3 * line['batch_seconds']:.0f} ms a batch (median of "
            f"{line['batches_measured']}), so {epoch:.0f} min for the {line['batches_an_epoch']:,} of an epoch; "
            f"{line['users_ranked']:,} users ranked in {line['rank_seconds']:.1f} s, so {all_users:.0f} min for all"
        )
    return ", ".join(
        f"{name.replace('_', ' ')} {value:,}"
        for name, value in line.items()
        if name.endswith("_bytes") and name != "peak_bytes"
    )


def of_command(line: dict[str, Any]) -> str:
    if "users" in line:
        return f"{line['users']:,} users, {line['items']:,} items, {line['actions']:,} actions"
    if "foretold_bytes" in line:
        size, seconds = line["foretold_bytes"] / 2**30, line["foretold_seconds"]
        return f"foretells {size:.2f} GiB, and {seconds:.0f} s of training and validation"
    if "upto" in line:
        upto, files = line["upto"], line["file_bytes"]
        validated, ranked = ((upto[mark]["seconds"], upto[mark]["peak_bytes"] / 2**30) for mark in ("validated", "ranked"))
        return (
            f"training {line['train_seconds']:.0f} s and validation {line['valid_seconds']:.0f} s ({validated[1]:.2f} GiB); "
            f"validation and test of the best weights {ranked[0] - validated[0]:.0f} s ({ranked[1]:.2f} GiB); writing "
            f"{line['seconds'] - ranked[0]:.1f} s: {sum(files.values()) / 2**20:.1f} MiB, per_user.npz "
            f"{files['per_user.npz'] / 2**20:.1f} of them"
        )
    return f"the same numbers: {'yes' if line['equal'] else 'no'}" if "equal" in line else ""


if __name__ == "__main__":
    main()
