"""Methods beside each other: what each cell holds, and how often a method is called different from itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from seqaug.errors import SeqaugError
from seqaug.evaluation.comparison import Comparison, Difference, Scored, compared
from seqaug.evaluation.metrics import per_user
from seqaug.evaluation.statistics import holm

TABLE = ("hr@5", "ndcg@5", "hr@10", "ndcg@10")


def experiment(
    methods: dict[str, float],
    *,
    seeds: int = 5,
    users: int = 80,
    of_seeds: float = 0.3,
    of_users: float = 0.5,
    data: str = "toy",
    seed: int = 0,
) -> list[Scored]:
    """Runs whose truth is known: the rank of a user's item is exp(2 + how hard the user is + what is the method's).

    methods: name -> how much better (in log rank) than nothing. What a run's seed and a method's liking for a user add has mean
    0 over seeds and users; of_seeds and of_users are its standard deviations.
    """
    rng = np.random.default_rng(seed)
    names = np.array([f"u{place}" for place in range(users)])
    hard = rng.normal(size=users)
    found = []
    for method, gain in methods.items():
        liking = rng.normal(size=users) * of_users
        for number in range(seeds):
            log = 2 + hard + liking + rng.normal() * of_seeds + rng.normal(size=users) * 0.5 - gain
            found.append(Scored(method, data, number, names, np.maximum(1, np.exp(log)).astype(np.int64)))
    return found


def of(runs: list[Scored], **changed: object) -> Comparison:
    asked = {
        "reference": "full",
        "methods": list(dict.fromkeys(run.method for run in runs)),
        "data": list(dict.fromkeys(run.data for run in runs)),
        "metrics": TABLE,
        "resamples": 300,
    }
    return compared(runs, **(asked | changed))  # type: ignore[arg-type]


def difference(found: Comparison, method: str = "less", metric: str = "hr@10", data: str = "toy") -> Difference:
    told = found.cells[data, metric, method].difference
    assert told is not None
    return told


# ---- the grid ----


def test_a_cell_has_the_values_their_mean_and_their_spread() -> None:
    runs = experiment({"less": 0, "full": 0.5})
    cell = of(runs).cells["toy", "ndcg@5", "less"]
    values = [per_user(run.rank, "ndcg@5").mean() for run in runs if run.method == "less"]
    assert cell.seeds == (0, 1, 2, 3, 4) and cell.values == pytest.approx(values)
    assert cell.mean == pytest.approx(np.mean(values)) and cell.spread == pytest.approx(np.std(values, ddof=1))


def test_the_difference_is_the_method_minus_the_reference_and_the_reference_has_none() -> None:
    found = of(experiment({"less": 0, "full": 0.5}))
    cells = found.cells
    for metric in TABLE:
        gap = cells["toy", metric, "less"].mean - cells["toy", metric, "full"].mean
        assert difference(found, metric=metric).mean == pytest.approx(gap)
        assert cells["toy", metric, "full"].difference is None


def test_users_are_paired_by_name_whatever_their_order() -> None:
    runs = experiment({"less": 0, "full": 0.5})
    order = np.random.default_rng(1).permutation(80)
    mixed = [
        Scored(run.method, run.data, run.seed, run.users[order], run.rank[order]) if place % 2 else run
        for place, run in enumerate(runs)
    ]
    for metric in TABLE:
        here, there = difference(of(runs), metric=metric), difference(of(mixed), metric=metric)
        assert there.p == here.p and there.low == pytest.approx(here.low)
        assert there.mean == pytest.approx(here.mean)


def test_the_order_of_the_runs_does_not_matter() -> None:
    runs = experiment({"less": 0, "other": 0.2, "full": 0.5})
    methods = ["less", "other", "full"]
    assert difference(of(runs[::-1], methods=methods)) == difference(of(runs, methods=methods))


def test_the_same_table_twice_is_the_same_to_the_last_digit_and_another_seed_is_not() -> None:
    runs = experiment({"less": 0, "full": 0.1})
    assert difference(of(runs)) == difference(of(runs))
    assert difference(of(runs, seed=1)).low != difference(of(runs)).low


def test_a_reference_that_is_not_among_the_methods_becomes_the_last_column() -> None:
    found = of(experiment({"full": 0, "less": 0}), methods=["less"])
    assert found.methods == ("less", "full") and difference(found) is not None


def test_runs_of_other_methods_and_data_are_left_aside() -> None:
    runs = [*experiment({"less": 0, "full": 0}), *experiment({"full": 0, "less": 0}, data="other")]
    found = of(runs, data=["toy"], methods=["less", "full"])
    assert {place[0] for place in found.cells} == {"toy"}
    assert found.compared == 4 and not [note for note in found.notes if "No run" in note]


# ---- what is missing ----


def test_a_missing_run_is_a_missing_cell_and_a_note_and_no_error() -> None:
    runs = [*experiment({"less": 0, "full": 0}), *experiment({"full": 0}, data="other")]
    found = of(runs)
    assert ("other", "hr@10", "less") not in found.cells
    assert found.cells["other", "hr@10", "full"].difference is None
    assert found.compared == 4
    assert any(note == "No run of less on other." for note in found.notes)


def test_without_the_reference_there_are_values_and_no_differences() -> None:
    found = of(experiment({"less": 0, "more": 1}), methods=["less", "more", "full"])
    assert found.cells["toy", "hr@10", "more"].difference is None
    assert found.compared == 0 and any("Nothing could be compared with full" in note for note in found.notes)


def test_seeds_that_only_one_has_count_in_its_mean_but_not_in_the_difference() -> None:
    runs = [run for run in experiment({"less": 0, "full": 0}) if (run.method, run.seed) not in {("less", 0), ("full", 3)}]
    found = of(runs)
    assert found.cells["toy", "hr@10", "less"].seeds == (1, 2, 3, 4)
    assert difference(found).seeds == (1, 2, 4)
    assert any(
        note == "less has the seeds 1, 2, 3, 4 on toy and full has 0, 1, 2, 4; the difference uses 1, 2, 4."
        for note in found.notes
    )


def test_without_a_seed_in_common_there_is_no_difference() -> None:
    runs = [run for run in experiment({"less": 0, "full": 0}) if (run.method == "less") == (run.seed < 2)]
    found = of(runs)
    assert found.cells["toy", "hr@10", "less"].difference is None
    assert any("without a seed in common" in note for note in found.notes)


def test_different_users_are_refused_in_words() -> None:
    runs = experiment({"less": 0, "full": 0}, seeds=1)
    runs[1] = Scored("full", "toy", 0, np.array([f"v{place}" for place in range(80)]), runs[1].rank)
    with pytest.raises(SeqaugError, match=r"different users: full, seed 0, has 80 and less, seed 0, has 80, of which 0"):
        of(runs)


def test_two_runs_of_one_method_and_seed_are_refused() -> None:
    runs = experiment({"less": 0, "full": 0})
    with pytest.raises(SeqaugError, match="less has two runs of seed 0 on toy"):
        of([*runs, runs[0]])


def test_a_user_who_is_ranked_twice_is_refused() -> None:
    run = Scored("less", "toy", 0, np.array(["a", "a"]), np.array([1, 2]))
    with pytest.raises(SeqaugError, match="the same user twice"):
        of([run], reference="less")


# ---- which statistics ----


def test_one_seed_has_an_interval_over_users_and_no_verdict() -> None:
    told = difference(of(experiment({"less": 0, "full": 3}, seeds=1)))
    assert told.p is None and told.adjusted is None and told.seeds_needed is None
    assert told.verdict == "not distinguishable"
    assert told.low is not None and told.high is not None and told.low < told.mean < told.high < 0
    assert "one seed" in told.how and "nothing about other seeds" in told.how


def test_one_user_says_nothing() -> None:
    told = difference(of(experiment({"less": 0, "full": 3}, users=1)))
    assert told.low is None and told.p is None and "one user" in told.how


@pytest.mark.parametrize("seeds", [2, 4])
def test_below_five_seeds_it_is_student_s_t_and_said(seeds: int) -> None:
    found = of(experiment({"less": 0, "full": 0.5}, seeds=seeds))
    told = difference(found)
    assert told.how.startswith(f"Student's t over {seeds} seeds ({seeds - 1} degree")
    assert told.low is not None and told.high is not None
    assert (told.low + told.high) / 2 == pytest.approx(told.mean)
    assert any("Below 5 seeds" in note for note in found.notes)


def test_from_five_seeds_on_it_is_the_bootstrap_and_said() -> None:
    found = of(experiment({"less": 0, "full": 0.5}))
    assert difference(found).how.startswith("bootstrap over 5 seeds and 80 users")
    assert any("From 5 seeds on" in note for note in found.notes)


def test_the_p_of_five_seeds_is_no_smaller_than_that_of_the_exchanges_within_users() -> None:
    runs = experiment({"less": 0, "full": 3}, of_seeds=0)
    told = difference(of(runs, data=["toy"], metrics=["hr@10"]))
    assert told.p is not None and told.p >= 1 / 301


def test_holm_covers_every_printed_difference() -> None:
    runs = [
        run for data in ("toy", "other") for run in experiment({"less": 0, "more": 0.6, "full": 0.2}, data=data, seed=len(data))
    ]
    found = of(runs)
    told = [cell.difference for cell in found.cells.values() if cell.difference is not None]
    assert found.compared == len(told) == 2 * 4 * 2
    assert [one.adjusted for one in told] == pytest.approx(holm([one.p for one in told if one.p is not None]))
    for one in told:
        assert one.adjusted is not None
        expected = "not distinguishable" if one.adjusted > 0.05 else "better" if one.mean > 0 else "worse"
        assert one.verdict == expected
    assert any("covers all 16 differences" in note and "0.05/16" in note for note in found.notes)


def test_the_interval_follows_the_level() -> None:
    runs = experiment({"less": 0, "full": 0.2})
    wide, narrow = difference(of(runs, level=0.01)), difference(of(runs, level=0.2))
    assert wide.low is not None and narrow.low is not None and wide.low < narrow.low
    assert any("its 80 % interval" in note for note in of(runs, level=0.2).notes)


def test_a_method_compared_with_itself_differs_by_nothing() -> None:
    runs = experiment({"full": 0})
    twin = [Scored("less", run.data, run.seed, run.users, run.rank) for run in runs]
    told = difference(of([*twin, *runs]))
    assert (told.mean, told.low, told.high, told.p, told.verdict) == (0, 0, 0, 1, "not distinguishable")
    assert told.seeds_needed is None


def test_methods_that_draw_nothing_are_told_apart_by_their_users() -> None:
    once = experiment({"less": 0, "full": 1}, seeds=1, users=300)
    runs = [Scored(run.method, run.data, seed, run.users, run.rank) for run in once for seed in range(3)]
    assert difference(of(runs)).verdict == "worse"


def test_given_notes_stand_before_our_own() -> None:
    assert of(experiment({"less": 0, "full": 0}), notes=["Forced."]).notes[0] == "Forced."


# ---- how often a method is called different from itself ----

IDENTICAL = {"users": (0.0, 0.8), "seeds": (0.4, 0.0), "both": (0.3, 0.6)}


def share(made: Callable[[int], Comparison], times: int) -> float:
    """In how many of so many tables any cell has a verdict."""
    told = 0
    for seed in range(times):
        verdicts = {cell.difference.verdict for cell in made(seed).cells.values() if cell.difference is not None}
        told += verdicts != {"not distinguishable"}
    return told / times


@pytest.mark.parametrize(("of_seeds", "of_users"), IDENTICAL.values(), ids=IDENTICAL)
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_verdict_on_identical_methods_comes_about_as_often_as_the_level_says(
    seeds: int, of_seeds: float, of_users: float
) -> None:
    """300 tables of one cell: the standard error of a share of 0.05 is 0.0126."""

    def made(seed: int) -> Comparison:
        runs = experiment({"less": 0, "full": 0}, seeds=seeds, of_seeds=of_seeds, of_users=of_users, seed=seed)
        return of(runs, metrics=["ndcg@10"], resamples=200)

    assert 0.003 <= share(made, 300) <= 0.05 + 3 * 0.0126


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_whole_table_of_identical_methods_has_any_verdict_as_rarely(seeds: int) -> None:
    def made(seed: int) -> Comparison:
        return of(experiment({"a": 0, "b": 0, "c": 0, "full": 0}, seeds=seeds, seed=seed), resamples=200)

    assert share(made, 100) <= 0.05 + 3 * math.sqrt(0.05 / 100)


@pytest.mark.parametrize(("seeds", "least"), [(5, 0.7), (10, 0.9)])
def test_a_real_difference_is_told(seeds: int, least: float) -> None:
    def made(seed: int) -> Comparison:
        runs = experiment({"less": 0, "full": 0.9}, seeds=seeds, users=200, seed=seed)
        return of(runs, metrics=["ndcg@10"], resamples=200)

    assert share(made, 60) >= least
