from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from tollway.callbacks.payload import Heard
from tollway.callbacks.queue import Limits, Queue, Room
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.core.principal import Principal
from tollway.core.record import Record
from tollway.ports.callbacks import Destination, Event

FAST = Limits(gather_s=0.0, first_pause_s=0.0, longest_pause_s=0.0, attempts=3, idle_s=0.0)


class Place:
    """Fails as it is told to, then takes what it gets."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.batches: list[list[str]] = []
        self.is_closed = False

    async def open(self) -> Destination:
        return self

    async def deliver(self, events: Sequence[Event]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append([event.record.call_id for event in events])

    async def close(self) -> None:
        self.is_closed = True


def heard(name: str, answer: bytes = b"") -> Heard:
    return Heard(
        record=Record(record_id=name, kind="call", started_at=0, ended_at=1, call_id=name),
        operation="chat",
        principal=Principal(key_hash=""),
        spent_nanos=None,
        body=b"{}",
        answer=answer,
        redacts_messages=False,
        redacts_key_info=False,
        left_out=(),
    )


class Counted:
    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    def __call__(self, name: str, outcome: str, count: int) -> None:
        self.of[outcome] += count


def queue_of(place: Place, limits: Limits = FAST, most_bytes: int = 1 << 30) -> tuple[Queue, Counted]:
    counted = Counted()
    return Queue("generic_api", place.open, limits, counted, Room(most_bytes)), counted


async def finish(queue: Queue) -> None:
    assert queue.task is not None
    await asyncio.wait([queue.task], timeout=10)


async def test_calls_are_handed_over_in_batches_in_their_order() -> None:
    place = Place()
    queue, counted = queue_of(place, Limits(batch=2, gather_s=0.0, idle_s=0.0))
    for name in "abcde":
        queue.put(heard(name))
    await finish(queue)
    assert place.batches == [["a", "b"], ["c", "d"], ["e"]]
    assert counted.of == {"delivered": 5}
    assert place.is_closed, "nothing more came"


async def test_what_may_get_better_is_tried_again_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    place = Place(UpstreamError("away"), UpstreamError("still away"))
    queue, counted = queue_of(place)
    with caplog.at_level(logging.WARNING):
        queue.put(heard("a"))
        await finish(queue)
    assert place.batches == [["a"]]
    assert counted.of == {"delivered": 1}
    assert [one.getMessage() for one in caplog.records] == [
        "Callback generic_api fails: away",
        "Callback generic_api works again",
    ]


async def test_what_stays_wrong_is_given_up_and_counted() -> None:
    place = Place(*(UpstreamError("away") for _ in range(3)))
    queue, counted = queue_of(place)
    queue.put(heard("a"))
    await finish(queue)
    assert (place.batches, counted.of) == ([], {"failed": 1})


@pytest.mark.parametrize("error", [Misconfigured("no such bucket"), KeyError("sk-secret")])
async def test_what_trying_again_does_not_mend_is_not_tried_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(error)
    queue, counted = queue_of(place)
    queue.put(heard("a"))
    await finish(queue)
    assert counted.of == {"failed": 1}
    assert "sk-secret" not in caplog.text


@pytest.mark.parametrize("limits", [Limits(events=2), Limits(bytes=2 * heard("a").size)])
async def test_a_full_queue_drops_what_is_new(limits: Limits, caplog: pytest.LogCaptureFixture) -> None:
    place = Place()
    queue, counted = queue_of(place, limits)
    for name in "abcd":
        queue.put(heard(name))
    assert counted.of == {"dropped": 2}
    assert len(caplog.records) == 1, "it is said once"
    await queue.close(time.monotonic() + 10)
    assert place.batches == [["a", "b"]]


async def test_all_queues_together_have_a_bound() -> None:
    place = Place()
    queue, counted = queue_of(place, FAST, most_bytes=heard("a").size)
    queue.put(heard("a"))
    queue.put(heard("b"))
    assert counted.of == {"dropped": 1}
    await finish(queue)
    queue.put(heard("c"))
    await finish(queue)
    assert place.batches == [["a"], ["c"]], "room is given back"


async def test_a_stop_hands_over_what_waits() -> None:
    place = Place()
    queue, counted = queue_of(place, Limits(gather_s=3600, idle_s=3600))
    queue.put(heard("a"))
    await queue.close(time.monotonic() + 10)
    assert (place.batches, counted.of) == ([["a"]], {"delivered": 1})
