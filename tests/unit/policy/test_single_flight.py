from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tollway.policy.single_flight import SingleFlight


async def test_those_who_ask_together_share_a_result_and_later_ones_get_a_new_one() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    loads: list[str] = []

    async def load() -> int:
        loads.append("load")
        await asyncio.sleep(0)
        return len(loads)

    assert await asyncio.gather(*(flights.fetch("a", load) for _ in range(5))) == [1] * 5
    assert await flights.fetch("a", load) == 2
    assert list(await asyncio.gather(flights.fetch("a", load), flights.fetch("b", load))) == [4, 4]


async def test_everybody_learns_of_a_failure_and_the_next_one_tries_again() -> None:
    flights: SingleFlight[str, int] = SingleFlight()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def succeed() -> int:
        return 1

    failures = await asyncio.gather(*(flights.fetch("a", fail) for _ in range(3)), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["no"] * 3
    assert await flights.fetch("a", succeed) == 1


async def test_a_cancelled_load_cancels_those_who_wait_for_it() -> None:
    flights: SingleFlight[str, int] = SingleFlight()

    async def stopped() -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await flights.fetch("a", stopped)


async def test_a_flight_goes_on_without_those_who_left() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    gate = asyncio.Event()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def load() -> int:
        await gate.wait()
        return 1

    callers = [asyncio.create_task(flights.fetch("a", load)) for _ in range(2)]
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.sleep(0)
    gate.set()
    assert await callers[1] == 1
    assert callers[0].cancelled()
    assert complaints == []
