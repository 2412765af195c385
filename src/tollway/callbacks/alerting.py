"""Alerts: what happened becomes one message to each channel, and no second one about the same for a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from tollway.callbacks.alert import Alert
from tollway.core.errors import TollwayError

logger = logging.getLogger(__name__)

ALERT_TYPES = ("llm_exceptions", "budget_alerts", "cooldown_deployment", "db_exceptions")
"""Those that are sent in this release."""
_MOST_WAITING = 200
_MOST_SUBJECTS = 2000
_FLUSH_S = 3.0
_ATTEMPTS = 3
_PAUSE_S = 2.0
_SEND_S = 15.0


class Channel(Protocol):
    """Where alerts go."""

    async def send(self, alert: Alert) -> None:
        """Raises `UpstreamError` or `Misconfigured`."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are sent, and how often at most."""

    types: frozenset[str] = frozenset(ALERT_TYPES)
    budget_s: float = 86_400
    """Between two about one budget."""
    other_s: float = 60
    """Between two of another type about one subject."""

    def pause_s(self, alert: Alert) -> float:
        """Between two alerts like this."""
        return self.budget_s if alert.type == "budget_alerts" else self.other_s


class Alerting:
    """Of one process."""

    def __init__(
        self,
        channels: Callable[[str], Sequence[Channel]],
        rules: Rules,
        sent: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """`channels` of a type of alert; they are closed by whoever has made them. `sent` hears of the types that were
        sent; `clock` gives epoch seconds.
        """
        self._channels = channels
        self._rules = rules
        self._sent = sent
        self._clock = clock
        self._quiet_until: dict[tuple[str, str], float] = {}
        self._hushed: dict[tuple[str, str], int] = {}
        self._waiting: asyncio.Queue[Alert] = asyncio.Queue(_MOST_WAITING)
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False

    def tell(self, alert: Alert) -> None:
        """Returns at once. An alert like one that was sent a while ago is counted, and named in the next."""
        if alert.type not in self._rules.types:
            return
        key, now = (alert.type, alert.subject), self._clock()
        if now < self._quiet_until.get(key, 0.0):
            self._hushed[key] = self._hushed.get(key, 0) + 1
            return
        if len(self._quiet_until) >= _MOST_SUBJECTS:
            self._quiet_until = {one: until for one, until in self._quiet_until.items() if until > now}
            self._hushed = {one: count for one, count in self._hushed.items() if one in self._quiet_until}
        if len(self._quiet_until) >= _MOST_SUBJECTS or self._waiting.full():
            return
        self._quiet_until[key] = now + self._rules.pause_s(alert)
        again = self._hushed.pop(key, 0)
        if again:
            alert = msgspec.structs.replace(alert, message=f"{alert.message} ({again} more like this since the last)")
        self._waiting.put_nowait(alert)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Sends what waits, for a few seconds at most."""
        if self._task is not None and not self._task.done():
            _, late = await asyncio.wait([self._task], timeout=_FLUSH_S)
            for task in late:
                task.cancel()
                await asyncio.wait([task], timeout=1.0)

    async def _run(self) -> None:
        while not self._waiting.empty():
            alert = self._waiting.get_nowait()
            channels = self._channels(alert.type)
            done = await asyncio.gather(*(self._send(channel, alert) for channel in channels))
            if any(done):
                self._sent(alert.type)

    async def _send(self, channel: Channel, alert: Alert) -> bool:
        for attempt in range(_ATTEMPTS):
            try:
                async with asyncio.timeout(_SEND_S):
                    await channel.send(alert)
            except Exception as error:  # noqa: BLE001 - a channel that fails is named, and stops no other
                self._note_failure(channel, error)
                if not getattr(error, "is_retryable", False):
                    return False
            else:
                self._is_failing = False
                return True
            if attempt + 1 < _ATTEMPTS:
                await asyncio.sleep(_PAUSE_S)
        return False

    def _note_failure(self, channel: Channel, error: Exception) -> None:
        if not self._is_failing:
            self._is_failing = True
            text = error.message if isinstance(error, TollwayError) else type(error).__name__
            logger.error("Alerts cannot be sent (%s): %s", type(channel).__name__.lower(), text)


def channels_by_type(
    default: Sequence[Channel], of_types: Mapping[str, Sequence[Channel]]
) -> Callable[[str], Sequence[Channel]]:
    """Channels of their own for some types, and the default ones for all others."""
    return lambda type_: of_types.get(type_, default)
