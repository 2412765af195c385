"""Requests whose key is no good: counted, logged by where they come from, and answered slowly where there are many.

The key is checked first, so that nobody with a good one waits, wherever they call from.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from tollway.core.errors import LimitExceeded, TollwayError, Unauthenticated
from tollway.policy.recently_used import RecentlyUsed

logger = logging.getLogger(__name__)

PATIENCE = 10
"""Bad keys from one address in a window before the next are answered slowly."""
WINDOW_S = 60.0
DELAY_S = 1.0
MOST_WAITING = 32
"""Requests of one address that wait so at a time; more get 429 at once."""
_ADDRESSES = 10_000
_GUESSES = frozenset({"unknown", "malformed", "management"})
"""Reasons that somebody who guesses keys would cause."""


class _Source:
    __slots__ = ("failures", "since", "waiting")

    def __init__(self, since: float) -> None:
        self.failures = 0
        self.since = since
        self.waiting = 0


class Strangers:
    """Of one process: what is known of addresses that have sent bad keys lately."""

    def __init__(self, count: Callable[[str], None], clock: Callable[[], float], *, delay_s: float = DELAY_S) -> None:
        """`count` hears the reason of each; `clock` gives steady seconds."""
        self._count = count
        self._clock = clock
        self._delay_s = delay_s
        self._sources: RecentlyUsed[str, _Source] = RecentlyUsed(_ADDRESSES)

    async def meet(self, address: str, error: TollwayError) -> TollwayError:
        """What to answer, after a while where this address has sent many: the error itself, or that there are too
        many.
        """
        reason = error.reason if isinstance(error, Unauthenticated) else "management"
        self._count(reason)
        if reason not in _GUESSES:
            return error
        source = self._noted(network_of(address))
        if source.failures <= PATIENCE:
            logger.warning("Failed authentication (%s) from %s", reason, address or "an unknown address")
            return error
        if source.failures == PATIENCE + 1:
            logger.warning(
                "More than %d failed authentications from %s in %.0f s: they are answered slowly, and not logged",
                PATIENCE,
                address or "an unknown address",
                WINDOW_S,
            )
        if source.waiting >= MOST_WAITING:
            return LimitExceeded(
                "Too many requests with bad keys came from this address. Check the key, and retry later.",
                headers=((b"retry-after", b"%d" % WINDOW_S),),
            )
        source.waiting += 1
        try:
            await asyncio.sleep(self._delay_s)
        finally:
            source.waiting -= 1
        return error

    def _noted(self, network: str) -> _Source:
        now = self._clock()
        source = self._sources.get(network)
        if source is None:
            source = _Source(now)
            self._sources.put(network, source)
        elif now - source.since > WINDOW_S:
            source.since, source.failures = now, 0
        source.failures += 1
        return source


def network_of(address: str) -> str:
    """Who counts as one: an address, of IPv6 the network of 64 bits that one site has."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((found, 64), strict=False))
    return str(found)
