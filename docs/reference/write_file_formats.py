"""Writes docs/reference/file-formats.md from files that runs on a toy world have just written.

`python docs/write_references.py file_formats`. Keys, types and arrays are those that were found; what they mean is said here,
and a key of which nothing is said, or of which something is said although no file has it, is an error.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from reference_markdown import code, prose, table, written_by
from safetensors import safe_open

from seqaug.cli.main import cli
from seqaug.data.synthetic import toy_world
from seqaug.experiments.ablate import Request as Ablation
from seqaug.experiments.ablate import ablate, plan_ablation
from seqaug.experiments.budget import parse_budget
from seqaug.experiments.matrix import PlannedMember
from seqaug.experiments.records import KEPT
from seqaug.experiments.reproduce import reproduce
from seqaug.experiments.reproduction import Request as Reproduction
from seqaug.experiments.reproduction import costs, fitted, plan_reproduction, within
from seqaug.experiments.run import EpochReport, run
from seqaug.experiments.settings import RunSettings
from seqaug.experiments.sweep import SweepRequest, plan_sweep, sweep
from seqaug.recipes.plan import Patch

PAGE = Path(__file__).with_name("file-formats.md")

HEAD = f"""\
{written_by("reference/write_file_formats.py", "what is written, and what the script says of it")}
# File formats

Every file that seqaug reads and writes. The keys and types below are those of files that were written for this page: a run, an
ablation, a search and a reproduction on a toy world.

JSON files are UTF-8; a file is replaced whole, so none is ever half-written. A key that only some files have is marked
*sometimes*. `schema` numbers the meaning of the keys.

| what | where it is described |
| --- | --- |
| interaction data: sequences, RecBole `.inter`, CSV, TSV, `.dat`, JSON lines; titles | [Data formats](../data-formats.md) |
| recipes, TOML | [Recipes](../recipes.md); [every one in the box](recipes.md) |
| tables of metrics to be audited, CSV and Markdown | [Auditing tables](../audit.md) |
| plugin files, Python | [Plugins](../plugins.md) |
| what a run writes | [Run folder](#run-folder), and [when which file comes](run-folder.md) |
| what `ablate` and `compare` write | [Folder of an ablation](#folder-of-an-ablation) |
| what `sweep` writes | [Folder of a search](#folder-of-a-search) |
| what `reproduce` writes | [Folder of a reproduction](#folder-of-a-reproduction) |
| imported and downloaded data sets | [Data sets kept](#data-sets-kept) |
| reports and previews, HTML | [Reports](../report.md), [Previews](../preview.md): one self-contained page each, for people |

"""

Keys = Mapping[str, str | tuple[str, str]]
"""Key -> what it is; with its type where a file of the toy world does not show it, or does not have the key."""

METRICS = "`hr`, `ndcg` and `mrr` at 5, 10 and 20"

RUN_KEYS: Keys = {
    "schema": "1",
    "seqaug": "the version that wrote it",
    "recipe": "its name",
    "data.name": "of the data set, or of its file",
    "data.sha256": "of the sequences, the same whatever format they came in",
    "data.users": "",
    "data.items": "",
    "data.actions": "",
    "seed": "",
    "best_epoch": "whose weights are the result, counted from 1 over all stages",
    "epochs": "how many there were",
    "valid.*": f"{METRICS} on validation, seen items kept",
    "test.*": "the same on the test",
    "test_unseen.*": "the same on the test, the items a user has seen removed from the ranking",
    "protocol.split": "in words",
    "protocol.users.valid": "users that are ranked for",
    "protocol.users.test": "",
    "protocol.seen_items.*": "`kept` or `removed`, in `valid`, `test` and `test_unseen`",
    "protocol.candidates": "in words: all items",
    "protocol.num_candidates": "how many",
    "protocol.targets_never_trained": "test targets that are in nobody's training part",
    "protocol.ties": "in words",
    "protocol.average": "in words",
    "protocol.selection.*": "by which `metric`, `on` which part, with `seen_items` how, and which `weights`",
    "protocol.samples": "`[data] samples` of the recipe",
    "protocol.prefix_targets": "likewise",
    "protocol.max_length": "likewise",
    "protocol.made_up_context": "whether items that a rewriter made up stood in front of the histories",
    "protocol.loss.*.objective": "the plugin of each objective",
    "protocol.loss.*.weight": "",
    "protocol.loss.*.from_epoch": "",
    "protocol.seeds": "the one seed of this run",
    "seconds.train": "of all starts of the run together",
    "seconds.evaluate": "of the validations and the final ranking",
    "seconds.per_epoch": "of training",
    "peak_memory_bytes": "of the process",
    "parameters": "how many numbers any stage moves",
    "device": "",
    "precision": "",
    "threads": "of torch",
    "finished": "when, in UTC, as ISO 8601",
    "peak_device_memory_bytes": ("on CUDA", "whole number"),
    "hash": "of the run: that of resolved.json",
}

RESOLVED_KEYS: Keys = {
    "schema": "1",
    "hash": "SHA-256 of `identity`; its first eight digits end the folder's name",
    "identity.recipe": "every value of the recipe as it was run",
    "identity.data": "SHA-256 of the sequences",
    "identity.seed": "",
    "identity.precision": "",
    "identity.plugins.*": "by its path in the recipe: the kind and name of each plugin, and the SHA-256 of its source",
    "recipe": "its name",
    "values": "the recipe with every default filled in; enough to plan it again",
    "origins.*": "by path: `default`, `plugin default`, `recipe`, `variant beauty`, `-s`, `flag --noise`, ...",
    "request.recipe": "the name or path that was asked for",
    "request.data.name": "",
    "request.data.reference": "how the data were named on the command line",
    "request.data.options": "how the file was read: columns, duplicates, k-core, ...",
    "request.data.sha256": "",
    "request.seed": "",
    "request.precision": "",
    "request.ablation": ("the ablation's name, null without one", "text or null"),
    "request.patches[].path": "what was changed in the recipe, in rising precedence",
    "request.patches[].value": ("", "anything"),
    "request.patches[].origin": "who changed it",
}

ENVIRONMENT_KEYS: Keys = {
    "schema": "1",
    "started": "the latest start, in UTC, as ISO 8601",
    "versions.*": "of Python, seqaug and the packages that can change a number",
    "platform": "",
    "implementation": "of Python",
    "device.type": "",
    "device.name": "of the processor, as far as the system tells",
    "device.cuda": ("the version that torch was built for, null without", "text or null"),
    "threads": "of torch",
    "processes": "that do the run together (--nproc, torchrun)",
    "cores": "",
    "plugin_files[].file": "every plugin file that was executed, used or not",
    "plugin_files[].sha256": "of what was executed",
    "plugins.*.kind": "of each plugin, by its path in the recipe",
    "plugins.*.name": "",
    "plugins.*.distribution": "the package that brought it; empty for a plugin of a file or a script",
    "plugins.*.version": "of that package",
    "plugins.*.sha256": "of the file that defines it; of a plugin file, of what was executed",
    "plugins.*.file": ("of a plugin from `--plugin-file`: the file's name", "text"),
    "plugins.*.copy": ("likewise: where in the run folder its copy lies", "text"),
}

EVENT_KEYS: Keys = {
    "stage": "",
    "epoch": "1 is the first of its stage",
    "losses.*": "of each objective: the unweighted mean over the batches",
    "records.*": "shares that plugins noted; the plugin's own page says which",
    "valid.*": f"{METRICS}; `valid` is null where the epoch was not validated",
    "improved": "whether it is the best so far",
    "seconds.train": "",
    "seconds.valid": "",
}

MATRIX_KEYS: Keys = {
    "state": "`open`, `failed` or `finished`",
    "members[].variant": "the column of the run",
    "members[].data": "its data set",
    "members[].seed": "",
    "members[].hash": "of the run",
    "members[].folder": "the run folder",
    "members[].state": "`open`, `failed` or `finished`",
    "members[].problem": ("why it failed", "text"),
}

ABLATION_KEYS: Keys = {
    "schema": "1",
    "recipe": "its name",
    "reference": "the variant that the others are compared with",
    "variants": "the columns",
    "data": "the rows",
    "seeds": "",
    "command": "the latest",
}

SEARCH_KEYS: Keys = {
    "schema": "1",
    "recipe": "its name",
    "grid": "as it was asked for",
    "trials": ("of Optuna; null where every combination is tried", "whole number or null"),
    "data": "the data sets",
    "seeds": "",
    "monitor": "the metric of the ranking",
    "at_once": ("how many trials are proposed before their results are known", "whole number"),
    "command": "the latest",
}

TABLE_KEYS: Keys = {
    "reference": "what the others are compared with",
    "data": "the data sets",
    "metrics": "",
    "methods": "the columns, the reference last",
    "level": "of the verdicts over the whole table, and of the intervals",
    "power": "with which `seeds_needed` would tell",
    "compared": "how many differences the correction is for",
    "cells[].data": "",
    "cells[].metric": "",
    "cells[].method": "",
    "cells[].seeds": "",
    "cells[].values": "one a seed",
    "cells[].mean": "",
    "cells[].spread": ("the standard deviation over seeds, null with one seed", "number or null"),
    "cells[].difference": "to the reference, paired; null for the reference itself, as all that follows",
    "cells[].low": "of the interval",
    "cells[].high": "",
    "cells[].p": "",
    "cells[].p_holm": "corrected after Holm",
    "cells[].verdict": "`better`, `worse` or `not distinguishable`",
    "cells[].seeds_needed": "so many would tell a difference of this size",
    "cells[].how": "the interval came about, in words",
    "cells[].paired_seeds": "those that both have",
    "notes": "",
}

RANKING_KEYS: Keys = {
    "recipe": "its name",
    "monitor": "the metric of the ranking, on validation",
    "selection": "in words",
    "seeds": "",
    "data.*.ranking[].rank": ("1 is best; null where a seed is missing", "whole number or null"),
    "data.*.ranking[].values.*": "by path, as they were written",
    "data.*.ranking[].validation": "one a seed",
    "data.*.ranking[].mean": ("", "number or null"),
    "data.*.ranking[].spread": ("the standard deviation over seeds, null with one seed", "number or null"),
    "data.*.selected.values.*": "of what won",
    "data.*.selected.flags": "with which `seqaug run` runs it",
    "data.*.selected.means.*.*": f"{METRICS} in `valid`, `test` and `test_unseen`: the mean over seeds",
    "failed": ("runs without a result: variant, data, seed, message", "list of tables"),
}

PLAN_KEYS: Keys = {
    "artefact": "`table2`, `table3`, `fig3`, `fig4` or `fig5`",
    "budget": "as it was asked for",
    "says": "what it leaves, in words",
    "seeds.*": "by data set",
    "epochs": ("at most so many; null where all are run", "whole number or null"),
    "seconds": "that the unfinished runs take, about, one after the other",
}

RESULT_KEYS: Keys = {
    "schema": "1",
    "artefact": "as in plan.json",
    "title": "",
    "folder": "",
    "budget": "what it left, in words",
    "complete": "whether all runs of the artefact are there",
    "columns": "the methods or variants",
    "methods.*": "what the paper calls each, null where it has no number of it",
    "data": "the data sets",
    "metrics": "",
    "cells[].data": "",
    "cells[].column": "",
    "cells[].metric": "",
    "cells[].seeds": "",
    "cells[].values": "one a seed",
    "cells[].mean": "",
    "cells[].spread": ("the standard deviation over seeds, null with one seed", "number or null"),
    "cells[].low": "of the 95 % interval",
    "cells[].high": "",
    "cells[].how": "the interval came about, in words",
    "cells[].valid": "the mean on validation",
    "cells[].paper": ("what is printed, null where nothing is", "number or null"),
    "cells[].paper_impossible": ("why no ranking can give what is printed", "list of texts"),
    "cells[].deviation": ("ours less the paper's, and how many standard errors that is; null without one", "table or null"),
    "cells[].curve": ("of figures 3 and 4", "text"),
    "cells[].x": ("likewise", "number"),
    "comparison": ("as table.json of an ablation; null where nothing is compared", "table or null"),
    "paper_differences": ("the paper's own differences: data, metric, column, difference", "list of tables"),
    "closeness.*": "of figure 5, by data set: how similar the items of a sequence are, with intervals",
    "configuration[].column": "",
    "configuration[].data": "",
    "configuration[].sources.*": "how many values are from `paper`, `released code`, `assumed` and `user`",
    "configuration[].values[].path": "",
    "configuration[].values[].value": ("", "anything"),
    "configuration[].values[].source": "",
    "configuration[].values[].detail": "the recipe's words, or who set it",
    "figures": "SVG files beside it",
    "paper_says": "sentences of the paper",
    "notes": "",
    "runs[].column": "",
    "runs[].data": "",
    "runs[].seed": "",
    "runs[].hash": "",
    "runs[].folder": "",
    "runs[].epochs": "",
    "runs[].best_epoch": "",
    "failed": ("runs without a result: column, data, seed, message", "list of tables"),
}  # fmt: skip

COUNTED_KEYS: Keys = {
    "schema": "1",
    "artefact": "`table1`",
    "columns": "of the paper's table",
    "data[].data": "",
    "data[].here": "whether it was counted here, or is what the catalogue expects",
    "data[].ours.*": "users, items, actions, lengths, sparsity, repeated actions",
    "data[].paper": ("the printed texts by column; null where the paper does not have the data set", "table or null"),
    "data[].equal": "by column, whether the two agree",
    "data[].reasons": ("for what does not agree", "list of texts"),
}

ABOUT_KEYS: Keys = {
    "schema": "2; data sets of schema 1, whose arrays were packed in one `sequences.npz`, are still read",
    "name": "",
    "source": "the file it was read from",
    "source_sha256": "of that file",
    "format": "that was recognised",
    "options": "with which it was read",
    "notes": "what was said when it was read",
    "dropped_users": "those with fewer than 3 items",
    "sha256": "of the sequences",
    "files.*": "sha256 of each file of arrays",
    "statistics.*": "users, items, actions, lengths, sparsity, repeated actions",
    "titles": "how many items have one",
}

PER_USER = {
    "user": ("test users", "the user, as the source names it"),
    "target": ("test users", "the item that was held out, likewise"),
    "rank": ("test users", "of the target among all items, 1 is best"),
    "rank_unseen": ("test users", "the same with the user's seen items removed; V + 1 where the target was removed"),
}
SEQUENCES = {
    "offsets": ("users + 1", "where each user's items begin in `items`"),
    "items": ("actions", "1 to V, oldest first"),
    "user_ids": ("users", "as the source names them"),
    "item_ids": ("V + 1", "likewise; the first, number 0, is no item and empty"),
}

SIZES = {"test users": 30, "users": 30, "users + 1": 31, "actions": 219, "V + 1": 41}
"""Of the toy world."""

SOMETIMES = "*sometimes* "


@dataclass
class Found:
    """The types that were seen under each of some keys."""

    keys: Keys
    types: dict[str, list[str]] = field(default_factory=dict)


def text() -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SEQAUG_")}
        try:
            _write_files()
            return HEAD + "\n".join(_page()).rstrip() + "\n"
        finally:
            os.environ.update(kept)


# ---- the files ----

SMALL = {
    "data.max_length": 8,
    "items.dim": 8,
    "encoders.main.layers": 1,
    "encoders.main.inner": 8,
    "training.epochs": 1,
}
DIFFUSION = {"diffusions.main.schedule.steps": 8, "diffusions.main.denoiser.inner": 8}


def _settings(recipe: str, **more: Any) -> RunSettings:
    values = SMALL | (DIFFUSION if recipe == "simdiffrec" else {})
    patches = tuple(Patch(path, value, "-s") for path, value in values.items())
    return RunSettings(recipe=recipe, data="toy.txt", patches=patches, command=("seqaug",), **more)


def _write_files() -> None:
    """Runs, one that has not ended, an ablation, a search, a reproduction and an imported data set, in the working folder."""
    world = toy_world(num_users=30, num_items=40, max_length=8)
    Path("toy.txt").write_text("".join(" ".join([user, *items]) + "\n" for user, items in world), encoding="utf-8")
    deque(run(_settings("simdiffrec", out=Path("run"))), maxlen=0)
    for event in (events := run(_settings("sasrec", out=Path("open")))):
        if isinstance(event, EpochReport):
            events.close()
    _run_with_a_plugin_file()
    request = Ablation(settings=_settings("simdiffrec"), data=("toy.txt",), seeds=2, variants=("c_aug",), out=Path("ablation"))
    _run_all(plan_ablation(request).matrix.members)
    deque(ablate(plan_ablation(request)), maxlen=0)
    search = SweepRequest(
        settings=_settings("sasrec"), grid=("training.learning_rate=1e-3,1e-2",), data=("toy.txt",), out=Path("search")
    )
    for one in ("1e-3", "1e-2"):
        more = (*_settings("sasrec").patches, Patch("training.learning_rate", float(one), "-s"))
        deque(run(RunSettings(recipe="sasrec", data="toy.txt", patches=more)), maxlen=0)
    deque(sweep(plan_sweep(search)), maxlen=0)
    asked = Reproduction(
        name="fig5",
        settings=_settings("simdiffrec"),
        budget=parse_budget("full"),
        data=("toy.txt",),
        seeds=1,
        out=Path("figure"),
    )
    _run_all(plan_reproduction(asked).matrix.members)
    found = plan_reproduction(asked)
    deque(reproduce(within(found, fitted(found, list(costs(found)), 1))), maxlen=0)
    for words in (
        ["reproduce", "table1", "--data", "toy.txt", "--out", "table"],
        ["data", "import", "toy.txt", "--name", "shop"],
        ["report", "run"],
    ):
        done = CliRunner().invoke(cli, words, env={"SEQAUG_HOME": str(Path("home").resolve())})
        assert done.exit_code == 0, done.stderr


PLUGIN_FILE = """\
import torch

from seqaug.api import noise_sources


@noise_sources.register("flat")
class FlatNoise:
    def draw(self, clean, items, table, generator):
        return torch.zeros_like(clean)
"""


def _run_with_a_plugin_file() -> None:
    """In a process of its own: a file that was executed stays registered until the process ends."""
    Path("my_noise.py").write_text(PLUGIN_FILE, encoding="utf-8")
    words = ["run", "simdiffrec", "--data", "toy.txt", "--plugin-file", "my_noise.py", "--noise", "flat", "--out", "filed"]
    words += [word for path, value in (SMALL | DIFFUSION).items() for word in ("-s", f"{path}={value}")]
    done = subprocess.run(
        [sys.executable, "-c", "from seqaug.cli.main import main; main()", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr


def _run_all(members: Sequence[PlannedMember]) -> None:
    """In this process; an ablation then finds them finished and starts no processes of its own."""
    for planned in members:
        deque(run(planned.member.settings), maxlen=0)


# ---- the page ----


def _page() -> Iterator[str]:
    yield from ["## Run folder", ""]
    more = sorted({*_names("filed")} - {*_names("run")})
    yield from [
        f"{_listed(_names('run'))}; `state.pt` until the run is finished; {_listed(more)} with copies of the plugin files "
        "that it used. [Run folder](run-folder.md) says when each is written. "
        f"`--results` keeps {_listed(KEPT)} of a run; `metrics.json` and `per_user.npz` are needed.",
        "",
    ]
    yield from _json(
        "metrics.json", "metrics", ["run/metrics.json"], RUN_KEYS, "The result. A folder with it holds a finished run."
    )
    yield from _json(
        "resolved.json", "resolved", ["run/resolved.json", "filed/resolved.json"], RESOLVED_KEYS, "What the run is."
    )
    yield from _json(
        "environment.json",
        "environment",
        ["run/environment.json", "filed/environment.json"],
        ENVIRONMENT_KEYS,
        "What it ran on and with.",
    )
    yield from _json("events.jsonl", "events", ["run/events.jsonl"], EVENT_KEYS, "One object a line, a line an epoch.")
    yield from _arrays(
        "per_user.npz",
        "per-user",
        _packed("run/per_user.npz"),
        PER_USER,
        "Read it with `numpy.load`; nothing in it is pickled.",
    )
    yield from _weights()
    yield from _state()
    yield from ["### `recipe.toml`, `command.txt`, `report.html`", ""]
    yield from [
        "The recipe word for word; the commands, one line a start; the page of `seqaug report`, where it was asked for.",
        "",
    ]
    yield from ["## Folder of an ablation", "", f"{_listed(_names('ablation'))}. The runs lie in folders of their own.", ""]
    yield from _json(
        "matrix.json",
        "matrix",
        ["ablation/matrix.json"],
        {**ABLATION_KEYS, **MATRIX_KEYS},
        "Which runs there are, and how far each is.",
    )
    yield from _json(
        "table.json",
        "table",
        ["ablation/table.json"],
        TABLE_KEYS,
        "The differences; `table.md` and `table.tex` are for people.",
    )
    yield from _csv(
        "table.csv",
        "table-csv",
        "ablation/table.csv",
        "A row a cell, as in table.json. `seqaug compare --csv` writes the same.",
    )
    yield from ["## Folder of a search", "", f"{_listed(_names('search'))}.", ""]
    yield from _json(
        "matrix.json",
        "search-matrix",
        ["search/matrix.json"],
        {**SEARCH_KEYS, **MATRIX_KEYS},
        "Which runs there are, and how far each is.",
    )
    yield from _json(
        "ranking.json", "ranking", ["search/ranking.json"], RANKING_KEYS, "The test numbers of what won, and of nothing else."
    )
    yield from _csv(
        "ranking.csv",
        "ranking-csv",
        "search/ranking.csv",
        "A row a configuration and data set; a column for each place of the grid.",
    )
    yield from ["## Folder of a reproduction", ""]
    yield from [f"For the figure of this page: {_listed(_names('figure'))}. `result.md` is for people.", ""]
    yield from _json(
        "plan.json",
        "plan",
        ["figure/plan.json"],
        PLAN_KEYS,
        "What the budget left: decided once, so that a repeated command goes on.",
    )
    yield from _json("result.json", "result", ["figure/result.json"], RESULT_KEYS, "Our numbers beside the paper's.")
    yield from _csv("values.csv", "values-csv", "figure/values.csv", "Every value of every configuration with its source.")
    yield from _json(
        "result.json of table1",
        "counted",
        ["table/result.json"],
        COUNTED_KEYS,
        "Statistics, counted; there is no run behind it.",
    )
    yield from ["## Data sets kept", ""]
    yield from [
        "`seqaug data import` and `seqaug data get` keep a data set as a folder of its name below `SEQAUG_HOME/data`, or below "
        "`seqaug/data` in the XDG data folder: "
        + _listed(sorted(path.name for path in Path("home/data/shop").iterdir()))
        + ".",
        "",
    ]
    yield from _json("about.json", "about", ["home/data/shop/about.json"], ABOUT_KEYS, "Where it came from.")
    yield from _arrays(
        "*.npy",
        "sequences",
        {name: np.load(f"home/data/shop/{name}.npy", mmap_mode="r", allow_pickle=False) for name in SEQUENCES},
        SEQUENCES,
        "The sequences, user by user; a file for each array, not packed, so that it is mapped into memory and not read.",
    )
    assert isinstance(json.loads(Path("home/data/shop/titles.json").read_text(encoding="utf-8")), dict)
    yield from ["### `titles.json`", "", "A table: item, as the source names it, to its title. Empty where there are none.", ""]


def _names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)


def _heading(name: str, anchor: str) -> list[str]:
    first, _, rest = name.partition(" ")
    return [f"### {code(first)}{' ' + rest if rest else ''} {{ #{anchor} }}", ""]


def _json(name: str, anchor: str, paths: Sequence[str], keys: Keys, says: str) -> list[str]:
    found = Found(keys)
    first: set[str] = set()
    for path in paths:
        content = Path(path).read_text(encoding="utf-8")
        for document in content.splitlines() if path.endswith(".jsonl") else [content]:
            _walk(json.loads(document), (), found, path)
        first = first or set(found.types)
    optional = {key for key, said in keys.items() if isinstance(said, tuple) and key not in first}
    never = [key for key in keys if key not in found.types and key not in optional]
    assert not never, f"{name} has no key {never[0]}, of which {Path(__file__).name} says something"
    rows = []
    for key, said in keys.items():
        words, kind = said if isinstance(said, tuple) else (said, _union(found.types[key]))
        rows.append([code(key), kind, (SOMETIMES if key in optional else "") + prose(words)])
    return [*_heading(name, anchor), says, "", *table(["key", "type", "what it is"], rows)]


def _walk(value: Any, path: tuple[str, ...], found: Found, where: str) -> None:
    """Sort what stands at a path, and below it, under the keys of which something is said."""
    key = next((key for key in found.keys if _matches(_parts(key), path)), None)
    if key is not None:
        assert key != "schema" or value == (2 if where.endswith("about.json") else 1), f"{where} is of schema {value}"
        found.types.setdefault(key, []).append(_type(value))
    elif isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            _walk(inner, (*path, name), found, where)
    elif isinstance(value, list) and value:
        for inner in value:
            _walk(inner, (*path, "[]"), found, where)
    else:
        shown = ".".join(path).replace(".[]", "[]")
        below = any(_parts(key)[: len(path)] == path for key in found.keys)
        assert below and value in ([], {}, None), f"{Path(__file__).name} does not say what {shown} of {where} is"


def _parts(key: str) -> tuple[str, ...]:
    return tuple(key.replace("[]", ".[]").split("."))


def _matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(pattern) == len(path) and all(want in ("*", have) for want, have in zip(pattern, path, strict=True))


def _type(value: Any) -> str:
    if isinstance(value, list):
        inner = _union([_type(one) for one in value])
        return f"list of {inner}s" if value else "list"
    names = {bool: "true or false", int: "whole number", float: "number", str: "text", dict: "table"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")


def _union(types: Iterable[str]) -> str:
    seen = dict.fromkeys(types)
    for narrow, wide in (("whole number", "number"), ("list of whole numbers", "list of numbers")):
        if {narrow, wide} <= set(seen):
            del seen[narrow]
    if "list" in seen and any(one.startswith("list of") for one in seen):
        del seen["list"]
    return " or ".join(sorted(seen, key=lambda one: one == "null"))


def _packed(path: str) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files}


def _arrays(
    name: str, anchor: str, found: Mapping[str, NDArray[Any]], said: Mapping[str, tuple[str, str]], says: str
) -> list[str]:
    assert set(found) == set(said), f"{name} holds {sorted(found)}, and {Path(__file__).name} speaks of {sorted(said)}"
    rows = []
    for key, (shape, words) in said.items():
        kind = found[key].dtype
        assert found[key].shape == (SIZES[shape],), f"{key} of {name} is {found[key].shape} and not ({shape},)"
        rows.append([code(key), "text (numpy `U`)" if kind.kind == "U" else code(str(kind)), f"({shape},)", words])
    return [*_heading(name, anchor), says, "", *table(["array", "type", "shape", "what it is"], rows)]


def _csv(name: str, anchor: str, path: str, says: str) -> list[str]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    return [*_heading(name, anchor), f"{says} Columns: {_listed(header)}.", ""]


def _weights() -> list[str]:
    with safe_open("run/model.safetensors", framework="pt") as file:
        names = {name: file.get_tensor(name) for name in file.keys()}
        about = dict(file.metadata())
    assert set(about) == {"run"}
    heads = sorted({".".join(name.split(".")[: 1 if name.startswith("items") else 2]) for name in names})
    items = names["items.weight"]
    return [
        *_heading("model.safetensors", "weights"),
        "The weights of the best validation, under the names of the parts: here "
        + _listed(f"{head}.*" for head in heads)
        + f". `items.weight` is {code(str(items.dtype).removeprefix('torch.'))}, (V + 2, D): row 0 is no item, row V + 1 the "
        "mask. The metadata has one key, `run`: the hash.",
        "",
    ]


def _state() -> list[str]:
    assert not Path("open/metrics.json").exists() and not Path("run/state.pt").exists()
    state = torch.load("open/state.pt", map_location="cpu", weights_only=True)
    return [
        *_heading("state.pt", "state"),
        f"All that a resumed run needs: {_listed(state)}. `fit` holds {_listed(sorted(state['fit']))}. It is read with "
        "`torch.load(weights_only=True)`, so it cannot run code; it is of use to the version of seqaug that wrote it.",
        "",
    ]


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
