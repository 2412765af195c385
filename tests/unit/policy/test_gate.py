"""The gate: how many are let in at once, who waits, and who is told to come back."""

from __future__ import annotations

import asyncio

import pytest

from tollway.core.errors import Overloaded
from tollway.core.snapshot import Settings
from tollway.policy.gate import Gate

TWO = Settings(max_calls_at_once=2, max_calls_waiting=3, longest_wait_s=5)


async def enter(gate: Gate, settings: Settings = TWO, *, priority: int = 0, caller: str = "a") -> None:
    await gate.enter(settings, priority=priority, caller=caller)


async def test_without_a_limit_everybody_is_let_in() -> None:
    gate = Gate()
    for _ in range(100):
        await enter(gate, Settings())
    assert (gate.inside, gate.admitted, gate.waiting) == (100, 100, 0)


async def test_no_more_than_the_limit_are_inside_and_the_rest_is_let_in_by_priority() -> None:
    gate = Gate()
    await enter(gate)
    await enter(gate)
    order: list[int] = []

    async def call(priority: int) -> None:
        await enter(gate, priority=priority)
        order.append(priority)

    waiting = [asyncio.create_task(call(priority)) for priority in (2, 0, 1)]
    await asyncio.sleep(0.01)
    assert (gate.inside, gate.waiting) == (2, 3)
    with pytest.raises(Overloaded, match="2 calls on their way") as got:
        await enter(gate)
    assert (b"retry-after", b"1") in got.value.headers
    for _ in range(3):
        gate.leave()
        await asyncio.sleep(0.01)
        assert gate.inside == 2
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2]
    assert gate.turned_away == 1


async def test_who_waits_too_long_or_leaves_makes_room_in_the_line() -> None:
    gate = Gate()
    short = Settings(max_calls_at_once=1, longest_wait_s=0.05)
    await enter(gate, short)
    leaving = asyncio.create_task(enter(gate, short))
    await asyncio.sleep(0.01)
    leaving.cancel()
    with pytest.raises(Overloaded):
        await enter(gate, short)
    assert (gate.inside, gate.waiting) == (1, 0)
    gate.leave()
    await enter(gate, short)


async def test_nobody_overtakes_those_who_wait() -> None:
    gate = Gate()
    await enter(gate)
    await enter(gate)
    waiting = asyncio.create_task(enter(gate, caller="first"))
    await asyncio.sleep(0.01)
    gate.leave()
    late = asyncio.create_task(enter(gate, caller="late"))
    await asyncio.sleep(0.01)
    assert waiting.done()
    assert not late.done()
    gate.leave()
    await late


def test_without_memory_nobody_is_let_in() -> None:
    gate = Gate()
    gate.check_memory()
    gate.is_short_of_memory = True
    with pytest.raises(Overloaded, match="short of memory"):
        gate.check_memory()
