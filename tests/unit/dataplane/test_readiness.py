"""What a load balancer is told while the database is away."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from tests.support.clock import FakeClock

from tollway.core.snapshot import Settings
from tollway.dataplane.health import DatabaseState, HealthPages

GRACE_S = 100.0


class Probe:
    """Readiness of a gateway whose database is as the test says."""

    def __init__(self, *, grace_s: float = GRACE_S) -> None:
        self.clock = FakeClock(1000.0)
        self.database: DatabaseState = "connected"
        self.was_connected = True
        self.is_draining = False
        nothing = cast("Any", None)
        self._pages = HealthPages(
            gateway=nothing,
            prober=nothing,
            newest=nothing,
            authenticator=nothing,
            render_metrics=nothing,
            settings=lambda: Settings(key_grace_s=grace_s),
            database_state=self._state,
            was_connected=lambda: self.was_connected,
            is_draining=lambda: self.is_draining,
            steady=self.clock,
        )

    async def ask(self) -> tuple[int, dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        nothing = cast("Any", None)
        await self._pages.readiness({}, nothing, cast("Any", send), None)
        return sent[0]["status"], msgspec.json.decode(b"".join(message.get("body", b"") for message in sent))

    async def _state(self) -> DatabaseState:
        return self.database


@pytest.fixture
def probe() -> Probe:
    return Probe()


async def test_a_gateway_that_reaches_its_database_is_ready(probe: Probe) -> None:
    assert await probe.ask() == (200, {"status": "healthy", "db": "connected"})


async def test_traffic_goes_on_for_as_long_as_keys_in_use_keep_working(probe: Probe) -> None:
    probe.database = "disconnected"
    assert await probe.ask() == (200, {"status": "degraded", "db": "disconnected"})
    probe.clock.advance(GRACE_S - 1)
    assert (await probe.ask())[0] == 200
    probe.clock.advance(1)
    assert await probe.ask() == (503, {"status": "unhealthy", "db": "disconnected"})
    probe.database = "connected"
    assert await probe.ask() == (200, {"status": "healthy", "db": "connected"})


async def test_each_outage_has_its_own_grace(probe: Probe) -> None:
    for _ in range(3):
        probe.database = "disconnected"
        assert (await probe.ask())[0] == 200
        probe.clock.advance(GRACE_S - 1)
        probe.database = "connected"
        assert (await probe.ask())[0] == 200


async def test_a_gateway_that_never_saw_its_database_has_nobody_to_serve(probe: Probe) -> None:
    probe.database = "disconnected"
    probe.was_connected = False
    assert await probe.ask() == (503, {"status": "unhealthy", "db": "disconnected"})


async def test_without_a_grace_an_outage_shows_at_once() -> None:
    probe = Probe(grace_s=0)
    probe.database = "disconnected"
    assert (await probe.ask())[0] == 503


async def test_a_gateway_that_stops_is_not_ready(probe: Probe) -> None:
    probe.is_draining = True
    assert await probe.ask() == (503, {"status": "shutting_down"})
