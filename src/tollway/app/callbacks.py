"""What tells others about calls: made for the first call that somebody is told about, as most gateways tell nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from tollway.callbacks.table import open_destination
from tollway.config.located import REFERENCE
from tollway.config.sealing import CannotOpen, Sealer
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.core.record import Record
from tollway.core.reporting import Report
from tollway.core.snapshot import Settings
from tollway.gateway.call import Call
from tollway.observability.metrics import Metrics
from tollway.ports.callbacks import Destination

if TYPE_CHECKING:
    from tollway.callbacks.dispatch import Dispatcher
    from tollway.config.configuration import Environment

_TEST_S = 20.0
_COUNTERS = {
    "delivered": "tollway_callback_delivered_total",
    "dropped": "tollway_callback_dropped_total",
    "failed": "litellm_callback_logging_failures_metric_total",
}


class LateCallbacks:
    """A dispatcher that is made when it is first needed."""

    def __init__(
        self,
        sealer: Sealer,
        environ: Callable[[], Environment],
        lendable: Callable[[], Environment],
        settings: Callable[[], Settings],
        metrics: Metrics,
    ) -> None:
        """`environ`: what the operator's own destinations read; `lendable`: what those of teams may refer to."""
        self._sealer = sealer
        self._environ = environ
        self._lendable = lendable
        self._settings = settings
        self._metrics = metrics
        self._dispatcher: Dispatcher | None = None

    def hear(self, call: Call, record: Record) -> None:
        """Notes a call that has ended. Returns at once."""
        self._made().hear(call, record)

    async def close(self) -> None:
        """Tells what is still to be told, for a few seconds at most."""
        if self._dispatcher is not None:
            await self._dispatcher.close()

    async def send_test(self, name: str) -> None:
        """An event that says it is a test, to the operator's destination of this name.

        Raises `Misconfigured` with status 422 where something is missing, and `UpstreamError` where it fails.
        """
        from tollway.callbacks.sample import sample_event

        named = (one for one in self._settings().reports if one.name == name)
        try:
            destination = await self.open(next(named, Report(name=name)))
        except Misconfigured as error:
            raise Misconfigured(error.message, status=422) from None
        try:
            async with asyncio.timeout(_TEST_S):
                await destination.deliver([sample_event(time.time())])
        except TimeoutError:
            raise UpstreamError(f"{name} takes longer than {_TEST_S:g} s") from None
        finally:
            await destination.close()

    async def open(self, report: Report) -> Destination:
        """The place that a report goes to. Raises `Misconfigured`."""
        if report.sealed_to:
            await self._sealer.ready()
        try:
            written = self._sealer.open(msgspec.json.decode(report.variables), *report.sealed_to)
        except CannotOpen as error:
            raise Misconfigured(f"{report.name}: callback_vars cannot be opened: {error}") from None
        own = {name: self._resolved(report, name, value) for name, value in written.items() if value is not None}
        return open_destination(
            report.name,
            own,
            self._environ(),
            is_of_user=bool(report.owner),
            may_be_private=self._settings().allows_private_callbacks,
        )

    def _resolved(self, report: Report, name: str, value: Any) -> str:
        """References count only where a proxy admin can have written them: in what came over the team's own route."""
        text = str(value)
        if not text.startswith(REFERENCE):
            return text
        variable = text.removeprefix(REFERENCE)
        found = self._lendable().get(variable) if report.is_lent else None
        if found is None:
            raise Misconfigured(f"{report.name}: {name} refers to {variable[:100]}, which it may not, or is not set")
        return found

    def _made(self) -> Dispatcher:
        if self._dispatcher is None:
            from tollway.callbacks.dispatch import Dispatcher

            self._dispatcher = Dispatcher(self.open, self._count)
        return self._dispatcher

    def _count(self, name: str, outcome: str, count: int) -> None:
        self._metrics.tally(_COUNTERS[outcome], name, count)
