"""Ending tasks of the background for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_CANCEL_AGAIN_S = 0.1


async def end_tasks(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancels them all and returns when they have ended, however they do.

    They are cancelled again and again: one cancellation can get lost where it comes at the same moment as what the task
    waits for, as the client of Redis takes it for a timeout of its own.
    """
    left = {task for task in tasks if task is not None}
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_S)
        for task in ended:
            if not task.cancelled():
                task.exception()  # looked at, or asyncio complains
