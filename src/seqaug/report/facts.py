"""What was run: every value of the recipes with its source, and the runs with their machines and hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape

from .contents import Contents, RecipeValues, RunFacts
from .html import Section, details, paragraph, table
from .wording import data_of, duration, enumerated, marked

__all__ = ["recipes", "runs"]

_UNFINISHED = "none: it never came to its end"


def recipes(contents: Contents) -> Section | None:
    """Every value of every method; None where there is no run."""
    if not contents.recipes:
        return None
    alone = len(contents.recipes) == 1
    heading = "Recipe" if alone else "Recipes"
    if all(one.missing for one in contents.recipes):
        whose = "this run" if alone else "any of these runs"
        return Section(
            "recipe", heading, paragraph(f"resolved.json of {whose} was not kept, so the values are not known here.")
        )
    tags = " ".join(_tag(source) for source in ("paper", "released code", "assumed", "user"))
    body = (
        f"<p>Where each value comes from: {tags}. “Assumed” is everything that neither the paper nor published code "
        f"settles, our "
        "defaults among it.</p>"
    )
    parts = []
    for one in contents.recipes:
        name = f"{one.method} on {enumerated(one.data)}" if len(data_of(contents)) > 1 else one.method
        if one.missing:
            parts.append(details(name, paragraph(one.missing)))
            continue
        counts = {
            source: sum(value.source == source for value in one.values)
            for source in dict.fromkeys(v.source for v in one.values)
        }
        told = ", ".join(f"{count} {source}" for source, count in counts.items())
        inside = (paragraph(one.paper) if one.paper else "") + _values(one)
        parts.append(details(f"{name}: {len(one.values)} values ({told})", inside, open_=alone))
    return Section("recipe", heading, body + "".join(parts))


def _tag(source: str) -> str:
    kind = f" {source}" if source in ("paper", "user") else ""
    return f'<span class="tag{kind}">{escape(source)}</span>'


def _values(one: RecipeValues) -> str:
    rows = []
    for value in one.values:
        text = value.value if isinstance(value.value, str) else json.dumps(value.value, ensure_ascii=False)
        rows.append([_code(value.path), _code(text), _tag(value.source), escape(value.detail), escape(value.origin)])
    header = ["value", "is", "from", "in the recipe's words", "set by"]
    return table(header, rows, caption=f"Every value of {one.method}, our defaults included.", words=range(5))


def runs(contents: Contents) -> Section:
    """Every run: its machine, its time, its hashes."""
    if len(contents.runs) == 1:
        return Section("runs", "Environment and hashes", _facts(contents.runs[0]))
    header = [
        "run",
        "method",
        "data",
        "seed",
        "best epoch",
        "training",
        "evaluation",
        "parameters",
        "memory",
        "on",
        "finished",
        "hash",
    ]
    rows = []
    for run in contents.runs:
        found = run.metrics
        rows.append(
            [
                _code(run.folder),
                escape(marked(contents, run.method, run.data)),
                escape(run.data),
                str(run.seed),
                f"{found['best_epoch']:,} of {found['epochs']:,}" if found["epochs"] else "–",
                duration(found["seconds"]["train"]),
                duration(found["seconds"]["evaluate"]),
                f"{found.get('parameters', 0):,}",
                f"{found.get('peak_memory_bytes', 0) / 1e6:,.0f} MB",
                escape(_machine(run)),
                escape(str(found.get("finished", ""))[:16].replace("T", " ")),
                _code(run.hash[:12] if run.hash else "none"),
            ]
        )
    drawn = table(header, rows, caption="Every run on this page.", words=(0, 1, 2, 9, 10, 11), narrow=True)
    each = "".join(details(run.folder, _facts(run)) for run in contents.runs)
    return Section("runs", "Runs, environment and hashes", drawn + each)


def _facts(run: RunFacts) -> str:
    """Markup: one run in full."""
    found, took = run.metrics, run.metrics["seconds"]
    facts: list[tuple[str, str]] = [
        ("run", _code(run.folder)),
        ("hash of the run", _code(run.hash or _UNFINISHED)),
        ("data", f"{escape(str(found['data']['name']))}, {_code(str(found['data']['sha256']))}"),
        ("seed", str(run.seed)),
        ("training", f"{duration(took['train'])}, {found['epochs']:,} epochs, {duration(took['per_epoch'])} each"),
        ("evaluation", duration(took["evaluate"])),
        ("parameters", f"{found.get('parameters', 0):,}"),
        ("memory at most", f"{found.get('peak_memory_bytes', 0) / 1e6:,.0f} MB"),
        ("on", escape(f"{_machine(run)}, {found.get('precision', '')}")),
        ("seqaug", escape(str(found.get("seqaug", "")))),
        ("finished", escape(str(found.get("finished", "")))),
    ]
    if run.note:
        facts.append(("note", escape(run.note)))
    facts += [("command", _code(line)) for line in run.command]
    environment = run.environment or {}
    for key, name in (("started", "started"), ("platform", "platform"), ("implementation", "Python"), ("cores", "cores")):
        if key in environment:
            facts.append((name, escape(str(environment[key]))))
    if isinstance(environment.get("device"), Mapping):
        facts.append(("processor", escape(str(environment["device"].get("name", "")))))
    if isinstance(environment.get("versions"), Mapping):
        facts.append(("versions", escape(", ".join(f"{name} {version}" for name, version in environment["versions"].items()))))
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{markup}</dd>" for name, markup in facts)
    missing = "" if run.environment is not None else paragraph("environment.json was not kept of this run.")
    return f'<dl class="facts">{listed}</dl>{_plugins(environment.get("plugins"))}{missing}'


def _plugins(known: object) -> str:
    if not isinstance(known, Mapping) or not known:
        return ""
    rows = [
        [
            _code(str(path)),
            escape(f"{one.get('kind', '')}/{one.get('name', '')}"),
            escape(str(one.get("file") or f"{one.get('distribution', '')} {one.get('version', '')}")),
            _code(str(one.get("sha256", ""))),
        ]
        for path, one in known.items()
    ]
    return table(["where", "plugin", "from", "sha256 of its source"], rows, caption="Plugins and their sources", words=range(4))


def _machine(run: RunFacts) -> str:
    threads = run.metrics.get("threads")
    return f"{run.metrics.get('device', '')}" + (f", {threads} thread{'' if threads == 1 else 's'}" if threads else "")


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
