"""The client of the hot path: HTTP/1.1 over connections that are kept.

What a call costs: one look-up of its endpoint, one write, one future. The head of a request is encoded once per
endpoint; no timer is set per call, because one ticker looks at all connections.
"""

from __future__ import annotations

import asyncio

from tollway.core.snapshot import Endpoint, Origin
from tollway.ports.transport import UpstreamRequest
from tollway.upstream import failure
from tollway.upstream.connection import Connection, StaleConnection
from tollway.upstream.message import encode_fields, encode_head
from tollway.upstream.pool import Pool
from tollway.upstream.response import DirectResponse
from tollway.upstream.tls import TlsContexts

_SWEEP_INTERVAL_S = 0.2
_MAX_ROUTES = 10_000


class _Route:
    """An endpoint, ready to be called: its pool, and the part of the head that never changes."""

    __slots__ = ("endpoint", "head", "pool")

    def __init__(self, endpoint: Endpoint, pool: Pool) -> None:
        self.endpoint = endpoint
        self.pool = pool
        self.head = encode_head(endpoint)


class DirectTransport:
    """Implements `ports.transport.Transport` for servers that are reached without a proxy."""

    def __init__(
        self,
        *,
        max_connections: int = 1000,
        sweep_interval_s: float = _SWEEP_INTERVAL_S,
        certificate: str | None = None,
    ) -> None:
        """`max_connections` is per origin; the calls beyond it queue for as long as they may take to connect.

        `certificate`: what servers are shown that ask for one, see `TlsContexts`.
        """
        self._max_connections = max_connections
        self._sweep_interval_s = sweep_interval_s
        self._tls = TlsContexts(certificate)
        self._pools: dict[Origin, Pool] = {}
        self._routes: dict[int, _Route] = {}
        self._ticker: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def send(self, request: UpstreamRequest) -> DirectResponse:
        """See `Transport.send`. A kept connection that proves dead before it answered is replaced once, silently."""
        route = self._routes.get(id(request.endpoint)) or self._add_route(request.endpoint)
        pool = route.pool
        body = request.body
        added = encode_fields(request.headers) if request.headers else b""
        head = route.head if not request.target else encode_head(request.endpoint, request.method, request.target)
        message = b"%b%bContent-Length: %d\r\n\r\n%b" % (head, added, len(body), body)
        connection = pool.take() or await self._open(pool, request)
        response = connection.send(message, request)
        try:
            await response.waiter
            if isinstance(response.error, StaleConnection):
                connection = await self._open(pool, request)
                response = connection.send(message, request)
                await response.waiter
        except asyncio.CancelledError:
            response.close()
            raise
        if not response.status:
            assert response.error is not None
            raise response.error
        return response

    async def close(self) -> None:
        """Closes every connection; calls on the way fail."""
        self._is_closed = True
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        for pool in self._pools.values():
            pool.close()
        while self.open_now:  # noqa: ASYNC110 - aborted already: the event loop reports them lost in a turn or two
            await asyncio.sleep(0)

    @property
    def opened(self) -> int:
        """Connections opened so far."""
        return sum(pool.opened for pool in self._pools.values())

    @property
    def reused(self) -> int:
        """Requests sent over a connection that had carried another."""
        return sum(pool.reused for pool in self._pools.values())

    @property
    def open_now(self) -> int:
        """Connections open at the moment, idle ones included."""
        return sum(len(pool.connections) for pool in self._pools.values())

    def _add_route(self, endpoint: Endpoint) -> _Route:
        """Routes are found by identity, which is cheaper than comparing; holding the endpoint keeps its id its own."""
        origin = endpoint.origin
        pool = self._pools.get(origin)
        if pool is None:
            tls = self._tls.get(origin.verify) if origin.scheme == "https" else None
            pool = self._pools[origin] = Pool(origin, tls=tls, max_open=self._max_connections)
        if len(self._routes) >= _MAX_ROUTES:  # of snapshots long gone
            self._routes.clear()
        route = self._routes[id(endpoint)] = _Route(endpoint, pool)
        return route

    async def _open(self, pool: Pool, request: UpstreamRequest) -> Connection:
        if self._is_closed:
            raise failure.closed(pool.server)
        if self._ticker is None:
            self._schedule_tick()
        return await pool.open(request.timeouts.connect)

    def _schedule_tick(self) -> None:
        self._ticker = asyncio.get_running_loop().call_later(self._sweep_interval_s, self._tick)

    def _tick(self) -> None:
        """Enforces timeouts for as long as there are connections."""
        self._ticker = None
        now = asyncio.get_running_loop().time()
        for pool in self._pools.values():
            pool.sweep(now)
        if any(pool.is_busy for pool in self._pools.values()):
            self._schedule_tick()
