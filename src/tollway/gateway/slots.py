"""Waiting for a slot at a deployment: in one line for each model group, by priority and in turns by key."""

from __future__ import annotations

import asyncio
import time

from tollway.core.errors import DeploymentFull
from tollway.core.snapshot import ModelGroup
from tollway.gateway.call import Call
from tollway.policy.line import Line
from tollway.ports.counters import CounterStore

_NO_SLOT = (b"rate_limit_type", b"max_parallel_requests")


class Slots:
    """Those of all deployments, for the calls of this process."""

    def __init__(self, counters: CounterStore) -> None:
        self._counters = counters
        self._lines: dict[str, Line] = {}
        """By model group."""

    async def came_free(self, call: Call, group: ModelGroup, full: DeploymentFull) -> bool:
        """Waits in the group's line until it may try again, if the call names a priority and what is missing is a slot.

        False: it does not wait, or has waited for long enough.
        """
        priority = call.controls.priority
        if priority is None or _NO_SLOT not in full.headers:
            return False
        line = self._lines.setdefault(group.name, Line())
        place = line.join(priority, call.principal.spend_id)
        deadline = call.started + min(call.settings.longest_wait_s, call.seconds_left)
        try:
            while (left_s := deadline - time.perf_counter()) > 0:
                if not line.is_first(place):
                    async with asyncio.timeout(left_s):
                        await line.wait(place)
                elif not await self._counters.changed(left_s):
                    return False
                elif line.is_first(place):  # nobody of a better priority has come meanwhile
                    return True
        except TimeoutError:
            return False
        finally:
            line.leave(place)
            if not line:
                self._lines.pop(group.name, None)
        return False
