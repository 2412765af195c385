"""The client for servers behind an HTTP proxy and other odd cases.

Several times the CPU of `direct`. aiohttp, which does the work, is imported with the first call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

from tollway.core.snapshot import Origin
from tollway.ports.transport import UpstreamRequest
from tollway.upstream import failure

if TYPE_CHECKING:
    from tollway.upstream.aiohttp_client import AiohttpResponse, AiohttpTransport


class ProxiedTransport:
    """Implements `ports.transport.Transport` for servers that may have to be reached through a proxy."""

    def __init__(
        self,
        *,
        proxies: Mapping[str, str] | None = None,
        max_connections: int = 1000,
        certificate: str | None = None,
    ) -> None:
        """`proxies` is by scheme; None: as the environment says (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).

        `max_connections` is per origin; the calls beyond it queue for as long as they may take to connect.
        `certificate`: what servers are shown that ask for one, see `TlsContexts`.
        """
        self._proxies = proxies
        self._certificate = certificate
        self._max_connections = max_connections
        self._client: AiohttpTransport | None = None

    async def send(self, request: UpstreamRequest) -> AiohttpResponse:
        """See `Transport.send`. A kept connection that proves dead before it answered is replaced once, silently."""
        client = self._client or await self._load()
        return await client.send(request)

    async def close(self) -> None:
        """Closes every connection; calls on the way fail."""
        if self._client is not None:
            await self._client.close()

    async def _load(self) -> AiohttpTransport:
        client_class = await asyncio.to_thread(_import_client)
        if self._client is None:
            self._client = client_class(
                proxy_for=self._proxy_for, max_connections=self._max_connections, certificate=self._certificate
            )
        return self._client

    def _proxy_for(self, origin: Origin) -> str | None:
        if self._proxies is not None:
            return self._proxies.get(origin.scheme)
        return None if proxy_bypass(failure.authority(origin)) else getproxies().get(origin.scheme)


def _import_client() -> type[AiohttpTransport]:
    from tollway.upstream.aiohttp_client import AiohttpTransport  # noqa: PLC0415 - 0.25 s, for those who need it

    return AiohttpTransport
