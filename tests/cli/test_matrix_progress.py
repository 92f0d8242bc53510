"""What is shown of many runs where there is not room for all, and what is said of the whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seqaug.cli.matrix_progress import Row, shown, summary

STATES = ["waiting", "starting", "running", "finished", "failed"]


def rows(*states: str, epochs: int = 10) -> list[Row]:
    found = []
    for place, state in enumerate(states):
        done = {"finished": epochs, "running": 4.0}.get(state, 0.0)
        row = Row(f"run {place}", str(place), epochs, "ndcg@10", state=state, done=done, touched=float(place))  # type: ignore[arg-type]
        found.append(row)
    return found


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=60), st.integers(3, 40))
def test_there_is_never_more_than_fits_and_what_runs_comes_first(states: list[str], room: int) -> None:
    all_ = rows(*states)
    seen = shown(all_, room)
    assert len(seen) == min(room, len(all_))
    assert [row.label for row in seen] == [row.label for row in all_ if row in seen], "in their order"
    running = [row for row in all_ if row.state in ("running", "starting")]
    assert len([row for row in seen if row in running]) == min(len(running), room)


def test_what_ended_last_and_what_comes_next_are_seen_beside_what_runs() -> None:
    all_ = rows(*["finished"] * 20, "running", "running", *["waiting"] * 20)
    seen = [int(row.label.removeprefix("run ")) for row in shown(all_, 9)]
    assert {20, 21} <= set(seen) and 22 in seen and 19 in seen
    assert 0 not in seen and 41 not in seen


def test_the_whole_in_a_line() -> None:
    all_ = rows("finished", "running", "starting", "waiting", "failed")
    assert summary(all_, seconds=1.0) == "1 of 5 finished, 2 running, 1 waiting, 1 failed"
    assert summary(all_, seconds=1.0, hidden=2).endswith(", 2 not shown")
    # 14 epochs in 28 s, and 6 + 10 + 10 are left.
    assert summary(all_, seconds=28.0).endswith("; at most 52.0 s left")
    assert summary(rows("finished", "finished"), seconds=28.0) == "2 of 2 finished"


def test_what_was_done_before_says_nothing_of_the_speed_of_now() -> None:
    all_ = rows("finished", "running")
    all_[0].before = 10.0
    all_[1].before = 2.0
    # 2 epochs in 20 s, 6 are left.
    assert summary(all_, seconds=20.0).endswith("; at most 1 min 00 s left")


def test_rows_of_one_run_count_once_for_the_time() -> None:
    all_ = rows("running", "running")
    all_[1].hash = all_[0].hash
    # 4 epochs in 8 s, 6 are left.
    assert summary(all_, seconds=8.0).endswith("; at most 12.0 s left")
