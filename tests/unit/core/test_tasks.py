"""Tasks of the background end, even where one takes a cancellation for something else."""

from __future__ import annotations

import asyncio

from tollway.core.tasks import end_tasks


async def _deaf_once() -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(60)


async def _failing() -> None:
    raise ValueError


async def test_all_end() -> None:
    tasks = [asyncio.create_task(one()) for one in (_deaf_once, _failing)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_tasks([*tasks, None])
    assert all(task.done() for task in tasks)


async def test_nothing_to_end() -> None:
    await end_tasks([])
