from __future__ import annotations

import asyncio

from tests.support.clock import FakeClock

from tollway.stores.redis.retries import Retries


def test_a_server_that_comes_and_goes_is_given_longer_each_time() -> None:
    clock = FakeClock()
    retries = Retries(0.25, clock)
    pauses = []
    for _ in range(7):
        retries.went_away()
        pauses.append(retries.pause_s)
        clock.advance(retries.pause_s)
        retries.came_back()
        clock.advance(0.5)
    assert pauses == [0.25, 0.5, 1, 2, 4, 4, 4]
    clock.advance(5)
    retries.went_away()
    assert retries.pause_s == 0.25


async def test_whoever_is_asked_for_by_another_looks_at_once() -> None:
    retries = Retries(60)
    retries.hear()
    async with asyncio.timeout(5):
        await retries.pause()
