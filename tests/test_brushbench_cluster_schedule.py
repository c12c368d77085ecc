"""Batches are handed out in order, given to others when their worker is lost or late, and count once."""

import sys
from pathlib import Path

import pytest

from brushbench.evaluation.cluster.schedule import MOST_LOSSES, Schedule

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))


def taught(schedule: Schedule, seconds: float, *workers: str) -> None:
    """Let workers do a batch each in that time."""
    for worker in workers:
        schedule.hand_out(worker, len(workers), 0.0)
    for worker in workers:
        schedule.finished(worker, seconds)


def test_batches_are_handed_out_one_at_a_time_until_their_time_is_known_then_for_two_seconds() -> None:
    schedule = Schedule(range(100))
    assert schedule.hand_out("a", 2, 0.0) == (0,)
    assert schedule.hand_out("b", 2, 0.0) == (1,)
    assert schedule.finished("a", 0.25) == (0,)
    assert schedule.hand_out("a", 2, 0.25) == tuple(range(2, 10))
    # A worker that is known to be slower gets fewer at once.
    assert schedule.finished("b", 1.0) == (1,)
    assert schedule.hand_out("b", 2, 1.0) == (10, 11)
    assert schedule.remaining == 98


def test_towards_the_end_fewer_are_handed_out_at_once() -> None:
    schedule = Schedule(range(20))
    taught(schedule, 0.1, "a", "b")
    assert [len(schedule.hand_out(worker, 2, 1.0)) for worker in ("a", "b")] == [4, 3]


def test_what_a_lost_worker_had_is_next() -> None:
    schedule = Schedule(range(6))
    assert schedule.hand_out("a", 3, 0.0) == (0,)
    assert schedule.hand_out("b", 3, 0.0) == (1,)
    schedule.lost("a", blame=False)
    assert schedule.hand_out("c", 3, 0.0) == (0,)
    assert schedule.remaining == 6


def test_batches_that_workers_end_with_come_last_and_alone_and_are_given_up_after_five() -> None:
    schedule = Schedule(range(100))
    taught(schedule, 0.1, "a")
    assert schedule.hand_out("b", 1, 1.0) == tuple(range(1, 21))
    schedule.lost("b", blame=True)
    for number in range(21, 100, 20):
        assert schedule.hand_out("a", 1, 2.0)[0] == number
        schedule.finished("a", 4.0)
    assert schedule.hand_out("a", 1, 5.0) == (1,)
    schedule.finished("a", 5.1)
    for number in range(MOST_LOSSES - 1):
        assert not schedule.given_up()
        while (batches := schedule.hand_out(f"w{number}", 1, 6.0)) != (2,):
            assert len(batches) == 1
            schedule.finished(f"w{number}", 6.1)
        schedule.lost(f"w{number}", blame=True)
    assert schedule.given_up() == [2]


def test_an_overdue_worker_keeps_its_batch_but_another_gets_it_too_and_the_first_answer_counts() -> None:
    schedule = Schedule(range(5))
    taught(schedule, 2.0, "a", "b")
    assert schedule.hand_out("a", 2, 10.0) == (2,)
    assert schedule.overdue(17.9) == []
    assert schedule.overdue(18.1) == ["a"]
    assert schedule.overdue(30.0) == []
    assert schedule.hand_out("b", 2, 18.2) == (2,)
    assert schedule.finished("b", 20.2) == (2,)
    assert schedule.finished("a", 40.0) == ()
    assert schedule.remaining == 2


def test_nobody_is_overdue_before_five_seconds() -> None:
    schedule = Schedule(range(9))
    taught(schedule, 0.01, "a", "b")
    schedule.hand_out("a", 2, 1.0)
    assert not schedule.overdue(5.9)
    assert schedule.overdue(6.1) == ["a"]


def test_the_first_batch_of_a_frozen_worker_is_overdue_once_others_have_shown_what_is_usual() -> None:
    schedule = Schedule(range(9))
    schedule.hand_out("frozen", 2, 0.0)
    assert not schedule.overdue(1000.0)
    schedule.hand_out("a", 2, 0.0)
    schedule.finished("a", 1.0)
    assert schedule.overdue(5.1) == ["frozen"]


def test_at_the_end_an_idle_worker_repeats_what_takes_longest() -> None:
    schedule = Schedule(range(4))
    schedule.hand_out("slow", 3, 0.0)
    schedule.hand_out("slower", 3, 0.0)
    schedule.hand_out("quick", 3, 0.0)
    schedule.finished("quick", 1.0)
    schedule.finished("slow", 3.0)
    assert schedule.hand_out("slow", 3, 3.0) == (3,)
    assert schedule.hand_out("quick", 3, 4.5) == (1,)
    # A batch is repeated once, and not by a worker that wouldn't be faster.
    schedule.finished("quick", 5.5)
    assert schedule.remaining == 1
    assert schedule.hand_out("quick", 3, 5.6) == (3,)
    assert schedule.hand_out("other", 3, 5.6) == ()


def test_less_is_handed_out_at_once_where_results_found_no_room() -> None:
    schedule = Schedule(range(1000))
    taught(schedule, 0.001, "a")
    assert len(schedule.hand_out("a", 1, 1.0)) == 64
    schedule.lost("a", blame=False)
    schedule.halve()
    schedule.halve()
    taught(schedule, 0.001, "b")
    assert len(schedule.hand_out("b", 1, 1.0)) == 16


def kinds_of(count: int, kinds: int) -> dict[int, int]:
    """Batches of several kinds in turn."""
    return {number: number % kinds for number in range(count)}


def test_workers_begin_with_different_kinds_and_get_what_they_have_loaded_first() -> None:
    schedule = Schedule(range(12), kinds_of(12, 3))
    assert [schedule.hand_out(worker, 3, 0.0) for worker in "abc"] == [(0,), (1,), (2,)]
    for worker in "abc":
        schedule.finished(worker, 20.0)
    assert [schedule.hand_out(worker, 3, 20.0) for worker in "cba"] == [(5,), (4,), (3,)]
    # Loading took long, which says nothing about the next batch: it takes half a second each, so more are handed out.
    for worker in "abc":
        schedule.finished(worker, 20.1)
    assert schedule.hand_out("a", 1, 20.1) == (6,)


def test_a_worker_takes_another_kind_once_its_own_is_handed_out() -> None:
    schedule = Schedule(range(6), {0: 0, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1})
    assert schedule.hand_out("a", 2, 0.0) == (1,)
    assert schedule.hand_out("b", 2, 0.0) == (2,)
    schedule.finished("b", 1.0)
    assert schedule.hand_out("b", 2, 1.0) == (3,)
    schedule.finished("b", 1.1)
    assert schedule.hand_out("b", 2, 1.1) == (4,)
    schedule.finished("b", 1.2)
    assert schedule.hand_out("b", 2, 1.2) == (5,)
    schedule.finished("b", 1.3)
    assert schedule.hand_out("b", 2, 1.3) == (0,)


def test_a_worker_that_loads_something_first_is_not_overdue_by_the_time_of_others_that_have_loaded_it() -> None:
    schedule = Schedule(range(60), kinds_of(60, 1))
    schedule.hand_out("a", 2, 0.0)
    schedule.finished("a", 30.0)
    schedule.hand_out("a", 2, 30.0)
    schedule.finished("a", 30.1)
    schedule.hand_out("b", 2, 30.1)
    assert schedule.overdue(60.0) == []
    assert schedule.overdue(160.0) == ["b"]


def test_batches_of_one_message_are_of_one_kind_and_a_lost_worker_loads_anew() -> None:
    schedule = Schedule(range(40), kinds_of(40, 2))
    schedule.hand_out("a", 1, 0.0)
    schedule.finished("a", 1.0)
    schedule.hand_out("a", 1, 1.0)
    schedule.finished("a", 1.01)
    taken = schedule.hand_out("a", 1, 2.0)
    assert len(taken) > 1
    assert {number % 2 for number in taken} == {0}
    schedule.lost("a", blame=False)
    assert len(schedule.hand_out("a", 1, 3.0)) == 1


@pytest.mark.parametrize("workers", [4, 8, 64, 512])
def test_a_straggler_ten_times_slower_costs_little(workers: int) -> None:
    from stragglers import MEASURED, costs

    measured = [float(line) for line in MEASURED.read_text().split()]
    for seed in range(3):
        ideal, taken = costs(measured, workers, seed)
        assert ideal < taken <= 1.3 * ideal
