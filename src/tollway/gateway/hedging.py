"""Two attempts of one call side by side, where the first keeps the caller waiting: whichever answers first counts.

first ──────────────── not there after a while ──┬── first answers  ── second is dropped
                                                  └── second answers ── first is dropped
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from tollway.core.errors import TollwayError
from tollway.core.snapshot import Deployment
from tollway.core.tasks import end_tasks
from tollway.core.usage import Usage
from tollway.gateway.admission import Admission
from tollway.gateway.call import Call, Tried
from tollway.gateway.settle import CLIENT_GONE_STATUS, Settler

_Begun = TypeVar("_Begun")
OUTRUN = "Outrun"
"""What the record calls an attempt that was dropped because the other had answered."""


class Race(Generic[_Begun]):
    """Attempts of calls, each as far as the beginning of its answer."""

    def __init__(
        self,
        admission: Admission,
        settler: Settler,
        *,
        begin: Callable[[Call, Deployment], Coroutine[Any, Any, _Begun]],
        choose: Callable[[Call], Deployment | None],
        drop: Callable[[_Begun], Usage | None],
    ) -> None:
        """`begin` asks a deployment; `choose` gives another for a call, and says on it how to speak to that; `drop`
        gives up an answer that has begun, and says what it has used, as far as known."""
        self._admission = admission
        self._settler = settler
        self._begin = begin
        self._choose = choose
        self._drop = drop

    async def run(self, call: Call, first: Deployment, *, after_s: float) -> _Begun:
        """Asks `first`, and another one as well if that has not begun to answer after so long.

        Afterwards the call is that of the one that has answered. Raises what the last of them failed with.
        """
        running = {asyncio.create_task(self._begin(call, first)): call}
        try:
            await asyncio.wait(running, timeout=after_s)
            if not any(task.done() for task in running):
                twin = await self._join(call)
                if twin is not None:
                    assert twin.deployment is not None
                    running[asyncio.create_task(self._begin(twin, twin.deployment))] = twin
            return await self._first(call, running)
        finally:
            await end_tasks(running)

    async def _join(self, call: Call) -> Call | None:
        """The same call as one to another deployment, if there is one that has room for it."""
        twin = copy.copy(call)
        other = self._choose(twin)
        if other is None:
            return None
        try:
            await self._admission.admit_beside(call, other)
        except TollwayError:
            return None
        return twin

    async def _first(self, call: Call, running: dict[asyncio.Task[_Begun], Call]) -> _Begun:
        pending = set(running)
        base = len(call.tried)
        while True:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            winner = next((task for task in done if task.exception() is None), None)
            if winner is not None:
                await self._decide(call, running, winner, base)
                return winner.result()
            if not pending:
                break
        for twin in running.values():
            if twin is not call:
                call.tried += twin.tried[base:]
        for task in done:
            await task
        raise AssertionError

    async def _decide(
        self, call: Call, running: dict[asyncio.Task[_Begun], Call], winner: asyncio.Task[_Begun], base: int
    ) -> None:
        """Gives up the other one, and makes the call that of the winner."""
        won = running[winner]
        for task, lost in running.items():
            if task is winner:
                continue
            has_failed = task.done() and task.exception() is not None
            used = self._drop(task.result()) if task.done() and not has_failed else None
            await end_tasks([task])
            if not has_failed:
                await self._settler.accrue(lost, used)
                lost.tried += (_outrun(lost),)
            assert lost.deployment is not None
            assert won.deployment is not None
            await self._admission.leave(call, lost.deployment, won.deployment)
            tried = (*call.tried, *lost.tried[base:]) if lost is not call else call.tried
            if won is not call:
                call.lost_s += max(0.0, won.sent - lost.sent)
                call.become(won)
            call.tried = tried
            call.accrued_usage, call.accrued_nanos = lost.accrued_usage, lost.accrued_nanos


def _outrun(call: Call) -> Tried:
    assert call.deployment is not None
    assert call.group is not None
    return Tried(
        deployment_id=call.deployment.id,
        model_name=call.deployment.model_name,
        group=call.group.name,
        status=CLIENT_GONE_STATUS,
        error_class=OUTRUN,
        seconds=time.perf_counter() - call.sent if call.sent else 0.0,
    )
