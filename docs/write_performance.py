"""Writes docs/performance.md and its plots from docs/performance/*.json: `python docs/write_performance.py`.

The JSON comes from `python benchmarks/record.py`. A test compares page and plots with what this would write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqaug.report.figures import Bars, Series, bar_chart, line_chart

DOCS = Path(__file__).parent
FOLDER = DOCS / "performance"
PAGE = DOCS / "performance.md"

BUSY = 0.5
"""Above this load a core, before the measurement began, the page says that the machine was busy."""

OVER = {
    "items": "items in the catalogue",
    "length": "length of histories",
    "users": "users",
    "batch": "rows of a batch",
}
MEMORY = ("items", "batch")
"""Where memory is drawn: a matrix of positions by items would grow with both."""

HEAD = """\
<!-- Written by docs/write_performance.py from docs/performance/*.json, which benchmarks/record.py measures; not by hand. -->

# Performance

What training, ranking and waiting cost, and how that grows. Seconds belong to one machine on one day, so each stands beside
what the same process needed for the bare arithmetic, timed in turns with it. From a checkout:

```bash
python benchmarks/record.py            # measures all of this page, twenty minutes
python benchmarks/recipes.py --quick   # one part, tiny, on the bundled data
```

A **floor** is a recipe's own: every product of vectors with the whole catalogue that its batches make (scores, gradient of the
vectors, gradient of the items; the passes that look for similar or best items) is watched, and bare products of these shapes
are timed into buffers that are used again. *Floor* takes the chunks of a batch as one product; *its chunks* repeats the
products as they are made, in pieces that stay in the cache. Encoder, softmax, dropout and optimiser are in neither.
"""

TAIL = """\
## What became slower

`python benchmarks/baseline.py compare` trains and ranks with every recipe on the bundled data, compares ratios (not seconds)
with `benchmarks/baseline.json`, names what takes over 30 % more and ends with exit code 1 where there is any. `record` in the
place of `compare` makes today the baseline. It counts the time of one processor, and measures again what looks slower before
calling it so, because a machine is seldom left alone.

## What is not here

* **A GPU.** There was none to measure on when this was recorded; `benchmarks/recipes.py --device cuda` is for where there is.
* **Whole runs.** An epoch is reckoned from some of its first batches, by their positions, with new weights. Context that
  diffuasr makes up between its stages is not there, so its last stage is a little cheaper here than in a run.
* **bfloat16 of all recipes.** Only the whole epochs have it.
* **The most memory of a run.** It is the peak of the first batches; a longer batch may come later in an epoch.
* **What is learnt.** Cost an epoch says nothing about how many epochs are needed: [Reproduction](reproduction.md). How many
  seconds sasrec needs to a quality on beauty, in both precisions and with three seeds, stands in the
  [lab notes](lab-notes.md#2026-11-26-bfloat16-on-the-cpu-again).
"""


def loaded(folder: Path = FOLDER) -> dict[str, Any]:
    """Name -> what was recorded, in the order of the names."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def text() -> str:
    """The page of what is recorded now."""
    return page(loaded())


def page(records: Mapping[str, Any]) -> str:
    """The whole page; a part that has not been recorded is left out."""
    parts = [HEAD]
    names = ("recipes", "others", "epoch", "growth", "plan")
    recipes, others, epoch, growth, plan = (records.get(name) for name in names)
    if recipes:
        parts += [asked(recipes, others, epoch), training(recipes)]
        if epoch:
            parts.append(whole(epoch))
        parts += [ranking(recipes), process(recipes)]
    if others:
        parts.append(usual(others))
    if growth:
        parts.append(curves(growth))
    if plan:
        parts.append(foretold(plan))
    return "\n".join([*parts, TAIL])


def figures(records: Mapping[str, Any]) -> dict[str, str]:
    """File name -> SVG."""
    found = {}
    if "recipes" in records:
        found["training.svg"] = floors(records["recipes"])
    for over, name in OVER.items() if "growth" in records else ():
        curves = [one for one in records["growth"]["curves"] if one["over"] == over]
        if not curves:
            continue
        series = [
            Series(one["recipe"], [row[over] for row in one["rows"]], [row["seconds_per_epoch"] for row in one["rows"]])
            for one in curves
        ]
        found[f"{over}.svg"] = line_chart(
            series, title=f"Seconds over {name}", x_label=name, y_label="seconds", log_x=True, log_y=True
        )
        if over in MEMORY:
            series = [
                Series(one["recipe"], [row[over] for row in one["rows"]], [row["memory_bytes"] / 2**20 for row in one["rows"]])
                for one in curves
            ]
            rows = curves[0]["rows"]
            matrix = [row["bytes_of_positions_by_items"] / 2**20 for row in rows]
            found[f"{over}-memory.svg"] = line_chart(
                [*series, Series("one matrix of positions x items", [row[over] for row in rows], matrix)],
                title=f"Memory over {name}",
                x_label=name,
                y_label="MiB",
                log_x=True,
                log_y=True,
            )
    return found


def floors(recipes: dict[str, Any]) -> str:
    lines = [(row["recipe"], one) for row in recipes["rows"] for one in row["training"] if one["times_the_floor"]]
    lines.sort(key=lambda pair: pair[1]["times_the_floor"]["median"])
    found = [one["times_the_floor"] for _, one in lines]
    return bar_chart(
        [stage_name(name, one) for name, one in lines],
        [Bars("times its floor", *([one[end] for one in found] for end in ("median", "min", "max")))],
        title="An epoch of training, as a multiple of its own catalogue products",
        value_label="times its floor; lines are the least and the most of the batches",
        horizontal=True,
        decimals=1,
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] + ["---:"] * (len(head) - 1), *rows]) + "\n"


def facts(found: dict[str, Any]) -> str:
    """The sentence about how something was measured."""
    threads = f"{found['threads']} thread{'s' if int(found['threads']) != 1 else ''}"
    sentence = (
        f"`{found['command']}`, commit {found['commit']}, {found['date'][:10]}, {found['machine']}, {found['cores']} cores, "
        f"{found['device']}, {threads}, torch {found['torch']}, {found['gflops_of_a_product']} GFLOP/s in a product of "
        "1800 x 64 by 64 x 12101."
    )
    if found["load"] > BUSY * found["cores"]:
        sentence += (
            f" **The machine was busy** (load {found['load']} on {found['cores']} cores before it began): seconds are an upper "
            "bound, and the ratios wander."
        )
    return sentence + "\n"


def stage_name(recipe: str, one: dict[str, Any]) -> str:
    return recipe if one["stage"] == "main" else f"{recipe}, {one['stage']}"


def multiple(found: dict[str, float] | None) -> str:
    return "" if found is None else f"{found['median']:.2f} ({found['min']:.2f}–{found['max']:.2f})"


def asked(recipes: dict[str, Any], others: dict[str, Any] | None, epoch: dict[str, Any] | None) -> str:
    """What was set as a goal, what came out, and whether that is enough."""
    rows = {row["recipe"]: row for row in recipes["rows"]}
    lines: list[tuple[str, str, float, float, bool]] = []
    for name in ("sasrec", "simdiffrec"):
        if name in rows and rows[name]["training"][0]["times_the_floor"]:
            found = rows[name]["training"][0]["times_the_floor"]["median"]
            lines.append((f"an epoch of {name}, times its floor", "at most", 2.0, found, found <= 2.0))
    if epoch:
        found = epoch["times_the_first_recipe"]["simdiffrec"]
        lines.append(("an epoch of simdiffrec, times one of sasrec in turns", "at most", 3.2, found, found <= 3.2))
        for name, found in epoch.get("times_faster_in_bfloat16", {}).items():
            lines.append((f"{name} in bfloat16, times faster than in 32 bits", "over", 1.0, found, found > 1.0))
    for name in ("sasrec", "simdiffrec"):
        if name in rows and rows[name]["evaluation"]["times_the_product"]:
            found = rows[name]["evaluation"]["times_the_product"]["median"]
            lines.append((f"ranking with {name}, times the bare products", "at most", 3.0, found, found <= 3.0))
    for row in others["rows"] if others else ():
        found = row["times_faster"]
        lines.append(
            (f"{row['recipe']}, times faster than the usual way", "at least", row["asked"], found, found >= row["asked"])
        )
    shown = [[what, f"{how} {goal:g}", f"{found:.2f}", "yes" if good else "**no**"] for what, how, goal, found, good in lines]
    return (
        f"## What was asked, and what it is\n\nOn {recipes['data']}; the tables below say how each was measured.\n\n"
        + table(["", "asked", "measured", "reached"], shown)
    )


def training(recipes: dict[str, Any]) -> str:
    rows = [
        [
            stage_name(row["recipe"], one),
            f"{one['rows']:,}",
            f"{one['positions']:,}",
            f"{one['seconds_per_epoch']:.2f}",
            f"{one['users_per_second']:,.0f}",
            f"{one['floor_seconds_per_epoch']:.2f}" if one["times_the_floor"] else "",
            multiple(one["times_the_floor"]),
            multiple(one["times_the_chunks"]),
        ]
        for row in recipes["rows"]
        for one in row["training"]
    ]
    head = [
        "recipe",
        "rows",
        "positions",
        "seconds an epoch",
        "users a second",
        "floor, seconds",
        "times its floor",
        "times its chunks",
    ]
    timed = max(one["batches_timed"] for row in recipes["rows"] for one in row["training"])
    return (
        f"## Training\n\n{recipes['data']}: {recipes['users']:,} users, {recipes['items']:,} items. {facts(recipes)}\n"
        "A recipe with a row for every prefix compares few vectors with the catalogue for all the positions that it encodes: "
        "its floor is low and its multiple high.\n\n"
        f"{table(head, rows)}\nMedian of up to {timed} batches of an epoch, with the least and the most; seconds are reckoned "
        "from them.\n\n"
        "![Times the floor, recipe by recipe](performance/training.svg)\n"
    )


def whole(epoch: dict[str, Any]) -> str:
    """Whole epochs, as a check of what is reckoned from some batches."""
    rows = [
        [name, f"{one['median']:.2f}", f"{one['min']:.2f} to {one['max']:.2f}"]
        for name, one in epoch["seconds"].items()
        if name != "validation"
    ]
    return (
        "Whole epochs of two recipes in turns with each other and with the floor of sasrec: a check of what is reckoned above. "
        f"{facts(epoch)}\n{table(['', 'seconds', 'least to most'], rows)}\n"
        "With `--precision bfloat16` the CPU makes the products with the catalogue, scores and probabilities in bfloat16; "
        "encoders, the search for best items, weights and the ranking stay in 32 bits. Whether the results hold is another "
        "question: [lab notes](lab-notes.md).\n"
    )


def ranking(recipes: dict[str, Any]) -> str:
    rows = []
    for row in recipes["rows"]:
        one = row["evaluation"]
        product = one["product_users_per_second"]
        rows.append(
            [
                row["recipe"],
                f"{one['seconds']:.2f}",
                f"{one['users_per_second']:,.0f}",
                "" if product is None or one["times_the_product"] is None else f"{product:,.0f}",
                multiple(one["times_the_product"]),
                f"{one['users_timed']:,} of {one['users']:,}",
            ]
        )
    head = ["recipe", "seconds for all", "users a second", "bare products, users a second", "times its products", "users timed"]
    return (
        "## Ranking\n\nThe held-out item of every user among all items, with seen items kept and with them removed, from one "
        "pass. The bare products are those of the scores alone. What asks no product of the catalogue has none. "
        "As many users were timed as some seconds allow; fewer than 1,024 are less than one block, and cost more each.\n\n"
        f"{table(head, rows)}"
    )


def process(recipes: dict[str, Any]) -> str:
    rows = []
    for row in recipes["rows"]:
        first = row["seconds_to_first_batch"]
        rows.append(
            [
                row["recipe"],
                "" if first is None else f"{first:.1f}",
                f"{row['peak_bytes'] / 2**20:,.0f}",
                str(row["batches_in_peak"] or "the ranking"),
            ]
        )
    return (
        "## The first batch, and memory\n\nOf a process of its own that does what `seqaug run` does: Python and torch start, "
        "the data is read, the plan is rehearsed on the toy world, the model is built. The peak counts Python and torch.\n\n"
        + table(["recipe", "seconds to the first batch", "peak, MiB", "batches"], rows)
    )


def usual(others: dict[str, Any]) -> str:
    rows = [
        [
            row["recipe"],
            f"{row['ours']['seconds_per_epoch']:.1f}",
            f"{row['other']['seconds_per_epoch']:,.0f}",
            f"{row['times_faster']:.1f}",
            f"{row['ours']['timed']} of {row['ours']['batches']}",
            f"{row['other']['timed']} of {row['other']['batches']}",
        ]
        for row in others["rows"]
    ]
    head = ["recipe", "ours, seconds an epoch", "the usual way", "times faster", "batches timed", "its steps timed"]
    return (
        "## Beside the usual way\n\nEvery prefix a row of its own, every row padded to 50, and for simdiffrec every matrix of "
        "positions by items written down as the released code does it. The other side is our own reference, in "
        f"`benchmarks/others.py`, with torch's modules. {facts(others)}\n{table(head, rows)}\n"
        "An epoch of both sees every (prefix, next item) pair once; ours in fewer updates, so this is no claim about how soon "
        "something is learnt.\n"
    )


def curves(growth: dict[str, Any]) -> str:
    rows = [
        [
            f"{one['recipe']}, {OVER[one['over']]}",
            ", ".join(f"{value:,} {name}" for name, value in one["fixed"].items()),
            f"{one['rows'][0][one['over']]:,} to {one['rows'][-1][one['over']]:,}",
            f"{one['exponent_of_seconds']:.2f}",
            f"{one['exponent_of_products']:.2f}",
            f"{one['bytes_more']:,.0f}",
            f"{one['matrix_bytes_more']:,.0f}",
        ]
        for one in growth["curves"]
    ]
    head = [
        "curve",
        "fixed",
        "from, to",
        "exponent",
        "at the machine's rate",
        "bytes for each more",
        "of a matrix",
    ]
    names = {one["over"] for one in growth["curves"]}
    seconds = [f"![Seconds over {name}](performance/{over}.svg)" for over, name in OVER.items() if over in names]
    memory = [f"![Memory over {OVER[over]}](performance/{over}-memory.svg)" for over in MEMORY if over in names]
    return (
        f"## How cost grows\n\nMade-up data, vectors of {growth['dim']} numbers, whole epochs, a process for each point. "
        f"{facts(growth)}\nThe exponent is that of the curve's upper half, fitted on logarithms: 1 is linear. Beside it the "
        "same for the seconds times the rate of a matrix product before and after, which takes out some of what drifts. "
        "Small sizes hide in what a batch costs anyway, so curves begin flat.\n\n"
        f"{table(head, rows)}\nThe last two columns say how much memory the last step of each curve took for each item, "
        "position, user or row more, and how much one matrix of (positions of a batch) x items, which is never written down, "
        "would have taken. What grows with the catalogue is the item table, its gradient and the optimiser's two numbers for "
        "each of its own; what grows with the batch is what encoders keep for their backward pass, which with attention goes "
        "with the square of the length.\n\n" + grids(growth) + "\n\n".join([*seconds, *memory]) + "\n"
    )


def grids(growth: dict[str, Any]) -> str:
    """Whether memory holds anything of the size positions x items; nothing where rows and catalogue were not varied at once."""
    if not growth.get("grids"):
        return ""
    rows = [
        [
            one["recipe"],
            f"{one['bytes_per_position_and_item']:.2f}",
            f"{one['bytes_per_row']:,.0f}",
            f"{one['bytes_per_pair_of_rows']:.0f}",
        ]
        for one in growth["grids"]
    ]
    points = growth["grids"][0]["rows"]
    sizes = {name: sorted({row[name] for row in points}) for name in ("batch", "items")}
    least, most = (f"{sizes['batch'][end]:,} rows and {sizes['items'][end]:,} items" for end in (0, -1))
    matrix = max(row["bytes_of_positions_by_items"] for row in points) / 2**20
    return (
        "Does anything grow with positions x items? A curve in one of the two cannot tell, so both vary at once, from "
        f"{least} to {most}, {points[0]['length']} positions a row. In the difference of the differences of the four corners "
        "whatever the rows take and whatever the catalogue takes cancels; a matrix of 32 bits that is written down whole would "
        f"leave 4 bytes for each position and item ({matrix:,.0f} MiB at the last corner). What a row more takes is the rest, "
        "a parabola through three batch sizes: what encoders keep of its positions in each of their passes, and, where rows "
        "are compared with each other as in the contrast of simdiffrec, some numbers for each pair of rows. A few bytes either "
        "way are pages that the heap happened to have.\n\n"
        + table(["", "bytes for each position and item", "for each row", "for each pair of rows"], rows)
        + "\n"
    )


def foretold(plan: dict[str, Any]) -> str:
    """Memory and seconds of a plan beside those of the run."""
    rows = [
        [
            f"{row['recipe']} on {row['data']}",
            f"{row['foretold_bytes'] / 2**20:,.0f}",
            f"{row['peak_bytes'] / 2**20:,.0f}",
            f"{row['memory_ratio']:.2f}",
            f"{row['foretold_seconds']:.2f}",
            f"{row['seconds']:.2f}",
            f"{row['seconds_ratio']:.2f}",
        ]
        for row in plan["rows"]
    ]
    head = ["", "MiB, foretold", "measured", "ratio", "seconds, foretold", "measured", "ratio"]
    least, most = (pick(row[f"{of}_ratio"] for row in plan["rows"] for of in ("memory", "seconds")) for pick in (min, max))
    missed = "; ".join(plan["outside"])
    verdict = f"**Outside of it: {missed}.**" if missed else f"They lie from {least:.2f} to {most:.2f}."
    return (
        "## The plan, foretold and measured\n\n`seqaug run --dry-run` beside an epoch of every stage that was really run, each "
        f"in a process of its own. Ratios are foretold over measured, and 1/{plan['promised']:g} to {plan['promised']:g} is "
        f"promised. {verdict} {facts(plan)}\n{table(head, rows)}\n"
        "Memory is the most that the process had resident, Python and torch included. Foretold is what stays once a small "
        "batch has gone forward and back, the bytes of the tensors alive in one of full size, and half as much for holes "
        "in the heap. Where nothing is trained, seconds are of one ranking.\n"
    )


def main() -> None:
    records = loaded()
    for name, picture in figures(records).items():
        (FOLDER / name).write_text(picture + "\n", encoding="utf-8")
    PAGE.write_text(page(records), encoding="utf-8")


if __name__ == "__main__":
    main()
