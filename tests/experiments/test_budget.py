"""The budget cuts seeds first, then data sets, then epochs; items never come into it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqaug.errors import RecipeError
from seqaug.experiments.budget import START, Budget, Cost, Cut, cut, parse_budget

DATA = ("beauty", "toys", "sports")
TEN = tuple(range(10))


def costs(seconds: float = 10.0, epochs: int = 100, **finished: set[int]) -> list[Cost]:
    """Two columns on three data sets, all alike. finished: seeds by data set."""
    return [
        Cost(column, data, seconds, (epochs,), frozenset(finished.get(data, set()))) for data in DATA for column in ("a", "b")
    ]


RUN = START + 10.0 * 100
SEED = 6 * RUN


def asked(budget: float | None, found: list[Cost] | None = None, jobs: int = 1) -> Cut:
    return cut(costs() if found is None else found, budget, seeds=TEN, data=DATA, jobs=jobs)


def test_without_a_limit_nothing_is_cut() -> None:
    whole = asked(None)
    assert whole.complete and whole.seeds == dict.fromkeys(DATA, TEN) and whole.epochs is None
    assert whole.seconds == pytest.approx(10 * SEED)
    assert whole.sentence(Budget("full", None)) == "budget full: all 10 seeds, all epochs"


def test_seeds_go_first() -> None:
    for count in range(1, 11):
        found = asked(count * SEED + 1)
        assert found.seeds == dict.fromkeys(DATA, TEN[:count]) and found.epochs is None
        assert found.seconds == pytest.approx(count * SEED)
    assert asked(3 * SEED - 1).sentence(Budget("2h", 1)) == "budget 2h: 2 of 10 seeds; this is not the paper's protocol"


def test_then_data_sets_from_the_end() -> None:
    assert asked(SEED - 1).seeds == {"beauty": (0,), "toys": (0,)}
    assert asked(4 * RUN - 1).seeds == {"beauty": (0,)}
    assert asked(2 * RUN).epochs is None
    assert asked(SEED - 1).sentence(Budget("1h", 1)) == (
        "budget 1h: 1 of 10 seeds, beauty, toys only (not sports); this is not the paper's protocol"
    )


def test_then_epochs_and_at_least_one_is_left() -> None:
    found = asked(2 * (START + 10.0 * 7) + 1)
    assert found.seeds == {"beauty": (0,)} and found.epochs == 7
    assert found.seconds == pytest.approx(2 * (START + 70))
    assert found.sentence(Budget("30m", 1)) == (
        "budget 30m: 1 of 10 seeds, beauty only (not toys, sports), at most 7 epochs; this is not the paper's protocol"
    )
    least = asked(1.0)
    assert least.epochs == 1 and least.seconds > 1.0
    assert "at most 1 epoch;" in least.sentence(Budget("1s", 1))


def test_stages_are_shortened_each() -> None:
    found = [Cost("a", "beauty", 1.0, (100, 3000, 5))]
    shortened = cut(found, START + 25, seeds=(0,), data=("beauty",))
    assert shortened.epochs == 10 and shortened.seconds == START + 10 + 10 + 5


def test_finished_runs_cost_nothing_and_are_kept() -> None:
    found = asked(1.0, costs(beauty={0, 1, 4}, toys={0}))
    assert found.seeds == {"beauty": (0, 1, 4), "toys": (0,)} and found.epochs is None and found.seconds == 0
    assert found.sentence(Budget("1s", 1)).startswith(
        "budget 1s: 3 on beauty, 1 on toys of 10 seeds, beauty, toys only (not sports)"
    )
    assert asked(4 * RUN + 1, costs(beauty={0}, sports={0, 1})).seeds == {"beauty": (0,), "toys": (0,), "sports": (0, 1)}


def test_a_seed_of_which_one_column_is_missing_is_not_free() -> None:
    half = [Cost("a", "beauty", 10.0, (100,), frozenset({0})), Cost("b", "beauty", 10.0, (100,))]
    assert cut(half, 1.0, seeds=TEN, data=("beauty",)).epochs == 1
    assert cut(half, RUN, seeds=TEN, data=("beauty",)).seeds == {"beauty": (0,)}


def test_runs_side_by_side_share_the_time_but_none_gets_shorter() -> None:
    assert asked(SEED / 2 + 1, jobs=2).seeds == dict.fromkeys(DATA, (0,))
    assert asked(RUN - 1, jobs=100).epochs is not None


COSTS = st.lists(
    st.tuples(
        st.floats(0.1, 100), st.lists(st.integers(1, 300), min_size=1, max_size=3), st.frozensets(st.integers(0, 4), max_size=5)
    ),
    min_size=6,
    max_size=6,
).map(
    lambda rows: [
        Cost(column, data, seconds, tuple(epochs), finished)
        for (data, column), (seconds, epochs, finished) in zip(
            [(data, column) for data in DATA for column in ("a", "b")], rows, strict=True
        )
    ]
)
FIVE = tuple(range(5))


@settings(max_examples=200, deadline=None)
@given(COSTS, st.floats(0, 200_000), st.floats(0, 200_000), st.integers(1, 4))
def test_the_order_of_cutting_holds_for_any_costs(found: list[Cost], one: float, other: float, jobs: int) -> None:
    small, large = sorted((one, other))
    less, more = (cut(found, budget, seeds=FIVE, data=DATA, jobs=jobs) for budget in (small, large))
    free = {(data, seed) for data in DATA for seed in FIVE if all(seed in cost.finished for cost in found if cost.data == data)}
    for some, budget in ((less, small), (more, large)):
        assert some.seeds and all(kept and set(kept) <= set(FIVE) for kept in some.seeds.values())
        # It fits, or nothing smaller is left to try.
        longest = max(epochs for cost in found if cost.data == DATA[0] for epochs in cost.epochs)
        least = some.seeds == {DATA[0]: (0,)} and (some.epochs or longest) == 1
        assert some.seconds <= budget or least
        paid = {data: [seed for seed in kept if (data, seed) not in free] for data, kept in some.seeds.items()}
        # Data sets are cut only where one seed is left, epochs only where one data set is left.
        if set(some.seeds) != set(DATA):
            assert all(len(kept) <= 1 for kept in paid.values())
        if some.epochs is not None:
            assert list(some.seeds) == [DATA[0]] and not free
        # What is paid for are leading seeds of leading data sets.
        assert all(
            seed == 0 or {(data, earlier) for earlier in range(seed)} <= free | {(data, s) for s in paid[data]}
            for data in paid
            for seed in paid[data]
        )
        assert {place for place in free if some.epochs is None} <= {
            (data, seed) for data, kept in some.seeds.items() for seed in kept
        }

    def size(some: Cut) -> tuple[int, int, int]:
        return (sum(len(kept) for kept in some.seeds.values()), len(some.seeds), some.epochs or 10**6)

    assert size(less) <= size(more), "more time never leaves less"


def test_budgets_are_read() -> None:
    assert parse_budget("30m") == Budget("30m", 1800.0)
    assert parse_budget("1H30m").seconds == 5400.0
    assert parse_budget("90s").seconds == 90.0
    assert parse_budget("full").seconds is None
    for wrong in ("", "30", "m", "0m", "2 days", "-1h"):
        with pytest.raises(RecipeError, match="a time was expected"):
            parse_budget(wrong)
