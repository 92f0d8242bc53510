"""The numbers, and the protocol that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ..evaluation.metrics import METRICS
from .contents import Contents, RunFacts, Scores
from .figures import bar_chart, bars_of
from .html import Section, details, figures, numbers, paragraph, table
from .tables import metric_text
from .wording import CHOSEN_BY, HEADLINE, bounds, data_of, enumerated, shown, value_of

__all__ = ["protocol", "results"]

AGREE = {
    "split": "how the held-out items are chosen",
    "seen_items": "whether items of the user's history may be recommended",
    "candidates": "which items are ranked",
    "num_candidates": "how many items are ranked",
    "ties": "what happens to equal scores",
    "average": "over whom the mean is taken",
}
"""In these, and in the data, two runs must agree or their numbers do not compare (`experiments.records.PROTOCOL`)."""
PARTS = {"test": "seen items kept", "test_unseen": "seen items removed"}
MAY_DIFFER = {
    "selection": "what chose the weights",
    "samples": "what a training row is",
    "prefix_targets": "what a training row of prefixes predicts",
    "max_length": "how much of a history is seen",
    "made_up_context": "whether made-up items stand in front of the histories",
    "loss": "what is minimised",
}


def results(contents: Contents) -> Section:
    """The test metrics of every method with their intervals."""
    body = paragraph(
        "“Seen items kept” is the protocol of the papers and of RecBole: every item is a candidate. “Removed” takes the "
        "items of the user's history out of the ranking. The second is visibly easier; never compare across the two."
    )
    if len({one.method for one in contents.scores}) == 1:
        return Section(
            "results", "Results", body + "".join(_all_metrics(one, named=len(contents.scores) > 1) for one in contents.scores)
        )
    parts = []
    for data in data_of(contents):
        rows = sorted((one for one in contents.scores if one.data == data), key=lambda one: -value_of(one, CHOSEN_BY))
        parts.append(f"<h3>{escape(data)}</h3>" if len(data_of(contents)) > 1 else "")
        parts.append(figures(_ranking(rows, metric, data) for metric in HEADLINE) if len(rows) > 1 else "")
        parts.append(_methods(rows, data))
        every = "".join(_every_metric(rows, part, words, data) for part, words in PARTS.items())
        parts.append(details(f"All nine metrics on {data}", every))
    return Section("results", "Results", body + "".join(parts))


def _all_metrics(one: Scores, *, named: bool) -> str:
    """The nine metrics of a method in three columns."""
    rows = []
    for name in METRICS:
        cells = [numbers(*bounds(one.estimates.get((part, name)))) for part in ("test", "test_unseen")]
        rows.append([metric_text(name), *cells, numbers(one.valid.get(name))])
    header = ["", "test, seen items kept", "test, seen items removed", "validation, seen items kept"]
    return table(header, rows, caption=f"{shown(one)} on {one.data}: {_how(one)}" if named else _how(one))


def _how(one: Scores) -> str:
    """What the intervals of a method are, in words."""
    estimate = one.estimates.get(("test", CHOSEN_BY))
    seeds = f"mean over the seeds {enumerated([str(seed) for seed in one.seeds])}; " if len(one.seeds) > 1 else ""
    return seeds + (f"95 % interval: {estimate.how}" if estimate is not None else "")


def _ranking(rows: Sequence[Scores], metric: str, data: str) -> str:
    ordered = sorted(rows, key=lambda one: -value_of(one, metric))
    name = metric_text(metric)
    return bar_chart(
        [shown(one) for one in ordered],
        [bars_of(name, [one.estimates["test", metric] for one in ordered])],
        title=f"{name} on {data}",
        value_label=f"{name}, test, seen items kept, 95 % interval",
        horizontal=True,
        standalone=False,
    )


def _every_metric(rows: Sequence[Scores], part: str, words: str, data: str) -> str:
    """All metrics of all methods, of one part."""
    lines = [[escape(shown(one)), *(numbers(*bounds(one.estimates.get((part, name)))) for name in METRICS)] for one in rows]
    return table(
        ["method", *map(metric_text, METRICS)], lines, caption=f"Test metrics on {data}, {words}, with 95 % intervals."
    )


def _methods(rows: Sequence[Scores], data: str) -> str:
    columns = [("test", "hr@5"), ("test", "hr@10"), ("test", "ndcg@5"), ("test", "ndcg@10")]
    columns += [("test_unseen", "hr@10"), ("test_unseen", "ndcg@10")]
    several = any(len(one.seeds) > 1 for one in rows)
    header = ["method", *(["seeds"] if several else [])]
    header += [metric_text(name) + (", seen removed" if part != "test" else "") for part, name in columns]
    lines = []
    for one in rows:
        seeds = [str(len(one.seeds))] if several else []
        lines.append([escape(shown(one)), *seeds, *(numbers(*bounds(one.estimates.get(key))) for key in columns)])
    more = " † see the notes at the top." if any(one.note for one in rows) else ""
    return table(header, lines, caption=f"Test metrics on {data}, best NDCG@10 first, with 95 % intervals.{more}")


def protocol(contents: Contents) -> Section:
    """How the numbers came about, and in what two runs must agree."""
    words = []
    for data, said in contents.protocols.items():
        facts = next(run.metrics["data"] for run in contents.runs if run.data == data)
        users = said.get("users", {}).get("test", facts.get("users"))
        sentence = (
            f"On {data} ({facts['users']:,} users, {facts['items']:,} items, {facts['actions']:,} actions), the last item "
            f"of each of "
            f"{users:,} users is ranked among {said.get('candidates', 'all items')} "
            f"({said.get('num_candidates', facts['items']):,})."
        )
        if said.get("targets_never_trained"):
            sentence += f" {said['targets_never_trained']:,} of these were never seen in training and count like the others."
        words.append(sentence)
    words.append(
        "One held-out item a user: HR@k is 1 where its rank is at most k; NDCG@k is 1 / log₂(rank + 1) there; MRR@k is 1 "
        "/ rank there. Ties are counted against the model."
    )
    present = [key for key in MAY_DIFFER if any(key in run.metrics["protocol"] for run in contents.runs)]
    rows = [
        [escape(key), _values(contents, key), escape(what), '<span class="mark">must agree</span>']
        for key, what in AGREE.items()
    ]
    rows += [[escape(key), _values(contents, key), escape(MAY_DIFFER[key]), "may differ"] for key in present]
    drawn = table(
        ["", "here", "what it says", "to compare"],
        rows,
        caption="Numbers compare only where the data (by its hash) and every line “must agree” are equal.",
        words=range(4),
    )
    return Section("protocol", "Protocol", "".join(paragraph(one) for one in words) + drawn)


def _values(contents: Contents, key: str) -> str:
    """Markup: the value of a protocol's key; where there are several, each with who has it, the commonest first."""
    found: dict[str, list[RunFacts]] = {}
    for run in contents.runs:
        found.setdefault(_text(key, run.metrics["protocol"].get(key)), []).append(run)
    if len(found) == 1:
        return escape(next(iter(found)))
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    told = [_who(contents, runs) for _, runs in ordered]
    if len(ordered[0][1]) > len(ordered[1][1]) and len(told[0]) > 30:
        told[0] = "all others"
    return "".join(f"{escape(value)}<small>{escape(who)}</small>" for (value, _), who in zip(ordered, told, strict=True))


def _who(contents: Contents, runs: Sequence[RunFacts]) -> str:
    """The data sets all of whose runs are among these, then the other methods."""
    several = len(data_of(contents)) > 1
    whole = (
        [data for data in data_of(contents) if all(run in runs for run in contents.runs if run.data == data)] if several else []
    )
    others = [f"{run.method} on {run.data}" if several else run.method for run in runs if run.data not in whole]
    return ", ".join([*(f"all on {data}" for data in whole), *dict.fromkeys(others)])


def _text(key: str, value: Any) -> str:
    """A value of the protocol in words."""
    if value is None:
        return "not said"
    if key == "loss" and isinstance(value, dict):
        return " + ".join(f"{one['weight']:g} × {one['objective']}" for one in value.values()) or "none: nothing is trained"
    if key == "selection" and isinstance(value, dict):
        metric = metric_text(str(value.get("metric", "")))
        return f"{value.get('weights', '')} {metric}, seen items {value.get('seen_items', '')}".strip()
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_text('', one)}" for name, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
