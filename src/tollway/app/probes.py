"""Probes in the background: each deployment once in every interval, at a moment of its own.

Results are in the database, for everybody who shows them; what the newest say is kept at hand. Those who share their
probes (workers of one gateway, replicas that are told to) look there for what others have found, and leave the asking
to whoever holds the lease, where there is a Redis for one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from zlib import crc32

from tollway.core.errors import StoreUnavailable
from tollway.core.health import PROBE_TAG, Checked
from tollway.core.principal import Principal
from tollway.core.record import MASTER_KEY_ID
from tollway.core.snapshot import Deployment, Settings
from tollway.core.windows import duration_s
from tollway.gateway.probing import Outcome, Prober
from tollway.gateway.run import Gateway
from tollway.ports.health import HealthStore
from tollway.ports.lease import Lease

logger = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 5.0
_SHORTEST_PAUSE_S = 0.1
_CLEARS_EVERY_S = 3600.0
PAYER = Principal(key_hash=MASTER_KEY_ID, is_admin=True)
"""The gateway itself: such probes are in the ledger under the master key, and in nobody's budget."""


class BackgroundProbes:
    """The probes of one process."""

    def __init__(
        self, gateway: Gateway, prober: Prober, store: HealthStore, *, lease: Lease | None, is_one_of_several: bool
    ) -> None:
        """`is_one_of_several`: other workers of the same gateway probe as well."""
        self._gateway = gateway
        self._prober = prober
        self._store = store
        self._lease = lease
        self._is_one_of_several = is_one_of_several
        self._cleared_at = 0.0
        self.newest: dict[str, Checked] = {}
        """The newest result of each deployment that is served."""

    async def run(self) -> None:
        """Goes on until cancelled. Whatever is wrong one time, the next is due all the same."""
        while True:
            try:
                await self.step(time.time())
            except StoreUnavailable as error:
                logger.debug("Probes of deployments wait for the database: %s", error.message)
            except Exception:
                logger.exception("Deployments could not be probed")
            await asyncio.sleep(self._pause_s)

    async def step(self, now: float) -> None:
        """Probes what is due, and takes in what others have found."""
        settings = self._gateway.router.snapshot.settings
        if not settings.probes_in_background:
            self._take(())
            return
        if self._is_shared(settings):
            self._take(await self._store.latest())
        due = [
            one
            for one in self._served()
            if not one.probe.is_left_out and is_due(one.id, self.newest.get(one.id), now, settings.probe_interval_s)
        ]
        if due and await self._is_ours(settings):
            await self._probe(due, settings.probes_at_once)
        if now - self._cleared_at > _CLEARS_EVERY_S:
            self._cleared_at = now
            await self._store.forget(before_us=int((now - duration_s(settings.probes_kept)) * 1e6))

    @property
    def _pause_s(self) -> float:
        interval_s = self._gateway.router.snapshot.settings.probe_interval_s
        return min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, interval_s / 20))

    async def _probe(self, due: Iterable[Deployment], at_once: int) -> None:
        turn = asyncio.Semaphore(at_once)

        async def probe(one: Deployment) -> Outcome:
            async with turn:
                return await self._prober.check(one, PAYER, tags=(PROBE_TAG,))

        outcomes = await asyncio.gather(*map(probe, due))
        results = [outcome.checked for outcome in outcomes if outcome.is_about_the_deployment]
        for one in results:
            if not one.is_healthy:
                logger.warning("Deployment %s of %s failed a probe: %s", one.model_id, one.model_name, one.error_class)
        self._take((*self.newest.values(), *results))
        await self._store.add(results)

    def _take(self, results: Iterable[Checked]) -> None:
        served = self._gateway.router.snapshot.by_id
        self.newest = {one.model_id: one for one in results if one.model_id in served}
        self._gateway.balancer.probes.replace(self.newest.values())

    def _served(self) -> list[Deployment]:
        return [one for group in self._gateway.router.snapshot.by_id.values() for one in group.deployments]

    def _is_shared(self, settings: Settings) -> bool:
        return settings.shares_probes or self._is_one_of_several

    async def _is_ours(self, settings: Settings) -> bool:
        """Whether this process is to ask. Where nobody can say, it does: a probe too many does no harm."""
        if self._lease is None or not self._is_shared(settings):
            return True
        return await self._lease.hold()


def is_due(model_id: str, last: Checked | None, now: float, interval_s: float) -> bool:
    """Whether a deployment's own moment of the interval has come since it was last asked."""
    if last is None:
        return True
    moment_s = crc32(model_id.encode()) % 1000 / 1000 * interval_s
    return (now - moment_s) // interval_s > (last.checked_at / 1e6 - moment_s) // interval_s
