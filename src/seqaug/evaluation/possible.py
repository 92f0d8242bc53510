"""Which metric values can stand together: arithmetic on printed tables, with one held-out item per user.

Every value is a mean over users of a number that depends on one rank, so a block of values (one method on one data set) is a
linear image of the shares p_1, p_2, ... of users whose item stood at rank 1, 2, ...: HR@k = sum of p_r up to k,
NDCG@k = sum of p_r / log2(r + 1), MRR@k = sum of p_r / r. A mean over runs is the image of the mean of their shares. A block is
possible if and only if some p >= 0 with a sum of at most 1 gives every value up to its rounding. The named bounds below are
consequences of that, said in words; where none of them is broken the question itself is put (`evaluation.shares`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .shares import extremes, feasible

__all__ = ["Contradiction", "Printed", "contradictions", "metric_name", "printed", "range_of"]

_NAMES = {
    "hr": "hr",
    "hit": "hr",
    "hits": "hr",
    "h": "hr",
    "hitrate": "hr",
    "hitratio": "hr",
    "recall": "hr",
    "r": "hr",
    "ndcg": "ndcg",
    "n": "ndcg",
    "mrr": "mrr",
    "m": "mrr",
}
"""What tables call the metrics. With one held-out item, recall is the hit rate."""

_KINDS = ("hr", "ndcg", "mrr")

_CLOSE = 1e-9
"""Bounds that meet within float error are met."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A number as a table prints it. value, low, high: as a share of users, in [0, 1] where it is one; the number that was
    rounded lies in [low, high]. decimals: printed ones. percent: whether the text counts in hundredths.
    """

    text: str
    value: float
    low: float
    high: float
    decimals: int
    percent: bool = False

    def like(self, value: float) -> str:
        """Another share, written as this one is, with one decimal more."""
        return f"{value * (100 if self.percent else 1):.{self.decimals + 1}f}"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Values that cannot stand together. metrics: whose. bound: what they break. message: with the numbers."""

    metrics: tuple[str, ...]
    bound: str
    message: str


def metric_name(text: str) -> str | None:
    """ "NDCG@10", "Recall @ 5", "Hit5" -> "ndcg@10", "hr@5", "hr@5"; None where it is none of HR, NDCG, MRR at a cut-off."""
    found = re.fullmatch(r"([a-z]+)[\s_-]*@?[\s_-]*([1-9]\d{0,3})", re.sub(r"hit[\s_-]+r", "hitr", text.strip().lower()))
    if found is None or found[1] not in _NAMES:
        return None
    return f"{_NAMES[found[1]]}@{found[2]}"


def printed(text: str, *, percent: bool = False, slack: float = 0.5) -> Printed:
    """ ".0572" -> between .05715 and .05725. slack: units of the last printed digit by which the value may be off.

    Raises ValueError where the text is no number; "nan" and "inf" are numbers here, and found wrong by `contradictions`.
    """
    plain = text.strip()
    if plain.endswith("%"):
        plain, percent = plain[:-1].strip(), True
    try:
        number = Decimal(plain)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        return Printed(text.strip(), float(number), math.nan, math.nan, 4, percent)
    scale = Decimal("0.01") if percent else Decimal(1)
    off = Decimal(str(slack)) * Decimal(1).scaleb(exponent)
    low, high = (number - off) * scale, (number + off) * scale
    return Printed(text.strip(), float(number * scale), float(low), float(high), max(0, -exponent), percent)


def contradictions(block: Mapping[str, Printed]) -> list[Contradiction]:
    """Everything that is wrong with the values of one method on one data set; empty if and only if some ranks give them all.

    block: metric as `metric_name` spells it -> value.
    """
    found = list(_alone(block))
    wrong = {name for one in found for name in one.metrics}
    sound = {name: value for name, value in block.items() if name not in wrong}
    of = {kind: {int(name.partition("@")[2]): sound[name] for name in sound if name.startswith(f"{kind}@")} for kind in _KINDS}
    together = [*_same_cutoff(of), *_between_cutoffs(of)]
    if sound and not together and not _possible(sound):
        together = [_jointly(sound)]
    return found + together


def range_of(metric: str, block: Mapping[str, Printed]) -> tuple[float, float] | None:
    """The least and the largest value that `metric` can have beside the others; None where the others contradict each other.

    What `block` holds for `metric` itself is not looked at, nor are values that are no share of users.
    """
    others = {name: value for name, value in block.items() if name != metric and not list(_alone({name: value}))}
    ranks = _ranks([metric, *others])
    rows, low, high = _system(others, ranks)
    return extremes(_weights(metric, ranks), rows, low, high)


# ---- the whole question ----


def _possible(block: Mapping[str, Printed]) -> bool:
    rows, low, high = _system(block, _ranks(list(block)))
    return feasible(rows, low, high)


def _ranks(names: Sequence[str]) -> NDArray[np.int64]:
    """The ranks at which shares are worth putting.

    Between two cut-offs a user's contribution (1, 1/log2(r+1), 1/r) runs along a curve; with HR and only one of the other two
    it is a line, and its two ends are enough.
    """
    cutoffs = sorted({int(name.partition("@")[2]) for name in names})
    curved = {"ndcg", "mrr"} <= {name.partition("@")[0] for name in names}
    found: list[int] = []
    for first, last in zip([1, *(k + 1 for k in cutoffs)], cutoffs, strict=False):
        found += range(first, last + 1) if curved else sorted({first, last})
    return np.asarray(found, dtype=np.int64)


def _weights(name: str, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    kind, _, cutoff = name.partition("@")
    each = {"hr": np.ones(len(ranks)), "ndcg": 1 / np.log2(ranks + 1.0), "mrr": 1.0 / ranks}[kind]
    return np.where(ranks <= int(cutoff), each, 0.0)


def _system(
    block: Mapping[str, Printed], ranks: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    rows = np.asarray([_weights(name, ranks) for name in block]).reshape(len(block), len(ranks))
    return rows, np.asarray([value.low for value in block.values()]), np.asarray([value.high for value in block.values()])


def _jointly(block: Mapping[str, Printed]) -> Contradiction:
    """Named by a smallest set of values that no ranks give together."""
    kept = dict(block)
    for name in block:
        without = {other: value for other, value in kept.items() if other != name}
        if not _possible(without):
            kept = without
    shown = ", ".join(f"{name.upper()} {value.text}" for name, value in kept.items())
    return Contradiction(
        tuple(kept),
        "some distribution of ranks gives all values",
        f"no distribution of ranks whatever gives {shown} together, even with every rounding in its favour; any of them "
        "can be had without the others",
    )


# ---- the bounds that have a name ----

_Cutoffs = Mapping[int, Printed]


def _alone(block: Mapping[str, Printed]) -> Iterator[Contradiction]:
    for name, value in block.items():
        label = name.upper()
        if not math.isfinite(value.value):
            yield Contradiction((name,), "a metric is a number", f"{label} is {value.text}, which is no number")
        elif value.high < -_CLOSE or value.low > 1 + _CLOSE:
            percent = " (percent values are read with --percent)" if 1 < value.value <= 100 and not value.percent else ""
            limit = "100" if value.percent else "1"
            yield Contradiction(
                (name,),
                "a metric is between 0 and 1",
                f"{label} is {value.text}; a mean over users is between 0 and {limit}{percent}",
            )


def _same_cutoff(of: Mapping[str, _Cutoffs]) -> Iterator[Contradiction]:
    """What one hit at ranks 1 to k counts: 1 in HR; 1/log2(k+1) to 1 in NDCG; 1/k to 1 in MRR, never more than in NDCG."""
    hr, ndcg, mrr = (of[kind] for kind in _KINDS)
    for k in sorted(hr.keys() & ndcg.keys()):
        yield from _at_most(f"ndcg@{k}", ndcg[k], f"hr@{k}", hr[k])
        yield from _at_least(f"ndcg@{k}", ndcg[k], f"hr@{k}", hr[k], 1 / math.log2(k + 1), f"1/log2({k + 1})")
    for k in sorted(mrr.keys() & ndcg.keys()):
        yield from _at_most(f"mrr@{k}", mrr[k], f"ndcg@{k}", ndcg[k])
    for k in sorted(hr.keys() & mrr.keys()):
        if k not in ndcg:
            yield from _at_most(f"mrr@{k}", mrr[k], f"hr@{k}", hr[k])
        yield from _at_least(f"mrr@{k}", mrr[k], f"hr@{k}", hr[k], 1 / k, f"1/{k}")


def _at_most(name: str, value: Printed, larger: str, bound: Printed) -> Iterator[Contradiction]:
    if value.low > bound.high + _CLOSE:
        yield Contradiction(
            (name, larger),
            f"{name.upper()} is at most {larger.upper()}",
            f"{name.upper()} {value.text} is more than {larger.upper()} {bound.text}; no hit counts more in the first than in "
            "the second",
        )


def _at_least(name: str, value: Printed, hits: str, bound: Printed, least: float, fraction: str) -> Iterator[Contradiction]:
    if value.high < bound.low * least - _CLOSE:
        yield Contradiction(
            (name, hits),
            f"{name.upper()} is at least {fraction} of {hits.upper()}",
            f"{name.upper()} {value.text} is at most {value.like(value.high)}; {hits.upper()} {bound.text} is at least "
            f"{bound.like(bound.low)}, and each of those hits counts at least {fraction} = {least:.4f}: at least "
            f"{value.like(bound.low * least)}",
        )


def _between_cutoffs(of: Mapping[str, _Cutoffs]) -> Iterator[Contradiction]:
    for kind in _KINDS:
        values, hits = of[kind], of["hr"]
        wrong: list[tuple[int, int]] = []
        # Near cut-offs first: what two of them say needs no repetition by two farther apart.
        for a, b in sorted(combinations(sorted(values), 2), key=lambda pair: (pair[1] - pair[0], pair)):
            if any(a <= first and last <= b for first, last in wrong):
                continue
            found = _shrinks(kind, a, b, values) or (
                _grows_otherwise(kind, a, b, values, hits) if kind != "hr" and a in hits and b in hits else None
            )
            if found is not None:
                wrong.append((a, b))
                yield found


def _shrinks(kind: str, a: int, b: int, values: _Cutoffs) -> Contradiction | None:
    if values[b].high >= values[a].low - _CLOSE:
        return None
    first, second = f"{kind}@{a}".upper(), f"{kind}@{b}".upper()
    return Contradiction(
        (f"{kind}@{a}", f"{kind}@{b}"),
        f"{second} is at least {first}",
        f"{second} {values[b].text} is less than {first} {values[a].text}, which is a part of it",
    )


def _grows_otherwise(kind: str, a: int, b: int, values: _Cutoffs, hits: _Cutoffs) -> Contradiction | None:
    """A hit at ranks a + 1 to b adds between 1/log2(b+1) and 1/log2(a+2) to NDCG, between 1/b and 1/(a+1) to MRR."""
    least, most = (1 / math.log2(b + 1), 1 / math.log2(a + 2)) if kind == "ndcg" else (1 / b, 1 / (a + 1))
    fractions = (f"1/log2({b + 1})", f"1/log2({a + 2})") if kind == "ndcg" else (f"1/{b}", f"1/{a + 1}")
    smallest, largest = values[b].low - values[a].high, values[b].high - values[a].low
    fewest, commonest = max(0.0, hits[b].low - hits[a].high), hits[b].high - hits[a].low
    label = kind.upper()
    grown = f"{label}@{b} - {label}@{a} = {values[b].text} - {values[a].text}"
    hit = f"HR@{b} - HR@{a} = {hits[b].text} - {hits[a].text}"
    where = f"at ranks {a + 1} to {b}" if b > a + 1 else f"at rank {b}"
    metrics = (f"{kind}@{a}", f"{kind}@{b}", f"hr@{a}", f"hr@{b}")
    shown, shown_hits = values[b].like, hits[b].like
    if largest < fewest * least - _CLOSE:
        return Contradiction(
            metrics,
            f"{label}@{b} - {label}@{a} is at least {fractions[0]} of HR@{b} - HR@{a}",
            f"{grown} is at most {shown(largest)}; {hit} is at least {shown_hits(fewest)}, and each of those hits, {where}, "
            f"adds at least {fractions[0]} = {least:.4f}: at least {shown(fewest * least)}",
        )
    if smallest > commonest * most + _CLOSE:
        return Contradiction(
            metrics,
            f"{label}@{b} - {label}@{a} is at most {fractions[1]} of HR@{b} - HR@{a}",
            f"{grown} is at least {shown(smallest)}; {hit} is at most {shown_hits(commonest)}, and each of those hits, "
            f"{where}, adds at most {fractions[1]} = {most:.4f}: at most {shown(max(0.0, commonest) * most)}",
        )
    return None
