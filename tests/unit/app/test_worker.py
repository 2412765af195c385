"""Workers as their parent sees them."""

from __future__ import annotations

from tollway.app.worker import Backoff, Worker


def test_the_first_end_is_mended_at_once_and_later_ones_later_and_later() -> None:
    backoff = Backoff()
    assert [backoff.pause_s(1) for _ in range(8)] == [0, 0.5, 1, 2, 4, 8, 10, 10]


def test_a_long_life_makes_good_for_earlier_failures() -> None:
    backoff = Backoff()
    assert [backoff.pause_s(lived_s) for lived_s in (1, 1, 60, 1, 1)] == [0, 0.5, 0, 0.5, 1]


def test_each_process_in_a_place_has_a_name_of_its_own() -> None:
    worker = Worker(1)
    names = []
    for _ in range(2):
        worker.starts += 1
        names.append(worker.name)
    assert names == ["2-1", "2-2"]
