"""Tells everybody who is told about calls, without keeping a call waiting.

hear(call) ── Heard ──┬── Queue ── Destination      one each for every place, of operator, team or key
                      └── Queue ── Destination

Nothing here is awaited by a call, and no destination waits for another. Memory is bounded by `Limits` for each queue
and by `MOST_BYTES` for all; queues that have nothing to do have closed their destination, and are forgotten.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from tollway.callbacks.payload import Heard, kept_body
from tollway.callbacks.queue import Count, Limits, Queue, Room
from tollway.callbacks.table import KINDS
from tollway.core.record import Record
from tollway.core.reporting import Report
from tollway.gateway.call import Call
from tollway.gateway.received import Audience
from tollway.ports.callbacks import Destination

logger = logging.getLogger(__name__)

MOST_BYTES = 128 * 1024 * 1024
_MOST_QUEUES = 2000
_FLUSH_S = 5.0
_LONGEST_TRACEPARENT = 200

Open = Callable[[Report], Awaitable[Destination]]
"""Opens the place that a report goes to. Raises `Misconfigured`."""
_Key = tuple[str, str, bytes, tuple[str, ...], bool]


class Dispatcher:
    """Of one process."""

    def __init__(self, open_destination: Open, count: Count, limits: Limits | None = None) -> None:
        self._open = open_destination
        self._count = count
        self._limits = limits or Limits()
        self._queues: dict[_Key, Queue] = {}
        self._room = Room(MOST_BYTES)

    def hear(self, call: Call, record: Record) -> None:
        """Notes a call that has ended. Returns at once.

        The last bytes of a stream are made right after its settlement, so that a turn of the loop has to pass first.
        """
        if call.audience is not None:
            asyncio.get_running_loop().call_soon(self._note, call, call.audience, record)

    def _note(self, call: Call, audience: Audience, record: Record) -> None:
        reports = [
            one
            for one in audience.reports
            if one.name in KINDS and (one.on_success if record.is_success else one.on_failure)
        ]
        if not reports:
            return
        settings = call.settings
        heard = Heard(
            record=record,
            operation=call.operation,
            principal=call.principal,
            spent_nanos=call.spent_nanos,
            body=b"" if audience.redacts else kept_body(call.raw_body),
            answer=b"" if audience.redacts else audience.answer.all(),
            traceparent=call.headers.get(b"traceparent", b"").decode("latin-1")[:_LONGEST_TRACEPARENT],
            redacts_messages=audience.redacts,
            redacts_key_info=settings.redacts_key_info,
            left_out=settings.unreported_fields,
        )
        self.tell(heard, reports)

    def tell(self, heard: Heard, reports: list[Report]) -> None:
        """Puts a call into the queue of each place."""
        for report in reports:
            queue = self._queue(report)
            if queue is None:
                self._count(report.name, "dropped", 1)
            else:
                queue.put(heard)

    async def close(self) -> None:
        """Hands over what waits, for a few seconds at most."""
        await asyncio.sleep(0)  # calls that have just ended are noted
        until = time.monotonic() + _FLUSH_S
        await asyncio.gather(*(queue.close(until) for queue in self._queues.values()))
        self._queues.clear()

    def _queue(self, report: Report) -> Queue | None:
        key = (*report.destination, report.redacts)
        queue = self._queues.get(key)
        if queue is None:
            if len(self._queues) >= _MOST_QUEUES:
                self._queues = {key: one for key, one in self._queues.items() if not one.is_idle}
            if len(self._queues) >= _MOST_QUEUES:
                return None
            queue = self._queues[key] = Queue(
                report.name, lambda: self._open(report), self._limits, self._count, self._room, redacts=report.redacts
            )
        return queue
