"""Through a real HTTP proxy: plain requests in absolute form, TLS in a tunnel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from tests.support.faulty_upstream import FaultyUpstream, error, refused_url, response

from tollway.core.errors import UpstreamError
from tollway.core.snapshot import Timeouts
from tollway.ports.transport import UpstreamRequest
from tollway.upstream.proxied import ProxiedTransport


@dataclass
class ConnectProxy:
    """Opens the tunnels it is asked for."""

    url: str = ""
    asked: list[bytes] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(request)
        host, _, port = request.split(b" ")[1].decode().rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        for source, target in ((reader, far_writer), (far_reader, writer)):
            self.tasks.add(asyncio.ensure_future(self.copy(source, target)))

    async def copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            target.write(data)
        target.close()


@pytest.fixture
async def proxy() -> AsyncIterator[ConnectProxy]:
    relay = ConnectProxy()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield relay
    await asyncio.gather(*relay.tasks)


def post(upstream: FaultyUpstream) -> UpstreamRequest:
    endpoint = upstream.endpoint("/v1/x?key=sk-secret")
    return UpstreamRequest(endpoint=endpoint, body=b"{}", timeouts=Timeouts(), max_response_bytes=1_000)


async def call(transport: ProxiedTransport, upstream: FaultyUpstream) -> bytes:
    try:
        return await (await transport.send(post(upstream))).read()
    finally:
        await transport.close()


async def test_tls_goes_through_a_tunnel(proxy: ConnectProxy) -> None:
    async with FaultyUpstream(tls=True) as upstream:
        upstream.reply(response(b"through"))
        assert await call(ProxiedTransport(proxies={"https": proxy.url}), upstream) == b"through"
        [seen] = upstream.requests
    assert seen.target == "/v1/x?key=sk-secret"
    assert len(proxy.asked) == 1
    assert proxy.asked[0].startswith(b"CONNECT localhost:")
    assert b"sk-" not in proxy.asked[0]


async def test_plain_http_is_handed_to_the_proxy() -> None:
    async with FaultyUpstream() as upstream, FaultyUpstream() as proxy:
        proxy.reply(response(b"from the proxy"))
        assert await call(ProxiedTransport(proxies={"http": proxy.url}), upstream) == b"from the proxy"
        assert not upstream.requests
        assert proxy.requests[0].target == f"{upstream.url}/v1/x?key=sk-secret"


async def test_the_environment_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultyUpstream() as upstream, FaultyUpstream() as proxy:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        proxy.reply(response(b"from the proxy"))
        upstream.reply(response(b"direct"))
        assert await call(ProxiedTransport(), upstream) == b"from the proxy"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert await call(ProxiedTransport(), upstream) == b"direct"


async def test_a_proxy_that_is_away_is_named_as_the_cause() -> None:
    async with FaultyUpstream() as upstream:
        secret = refused_url().replace("//", "//user:sk-password@")
        with pytest.raises(UpstreamError) as caught:
            await call(ProxiedTransport(proxies={"http": secret}), upstream)
        host = upstream.url.partition("://")[2]
    assert caught.value.message == f"No connection to {host}: its proxy cannot be reached."
    assert caught.value.status == 500


async def test_a_proxy_that_refuses_the_tunnel_is_named_as_the_cause() -> None:
    async with FaultyUpstream(tls=True) as upstream, FaultyUpstream() as proxy:
        proxy.reply(error(407))
        with pytest.raises(UpstreamError, match="its proxy answered 407"):
            await call(ProxiedTransport(proxies={"https": proxy.url}), upstream)
