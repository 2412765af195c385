"""What the direct client promises beyond the port: which connections it opens, shares, bounds and lets go."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from tests.support.faulty_upstream import CUT, HANG, FaultyUpstream, refused_url, response

from tollway.core.errors import UpstreamError
from tollway.core.snapshot import Endpoint, Origin, Timeouts
from tollway.ports.transport import UpstreamRequest
from tollway.upstream.direct import DirectTransport


@pytest.fixture
async def upstream() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream() as server:
        server.reply(response(b"ok"), path="/", always=True)
        yield server


@pytest.fixture
async def transport() -> AsyncIterator[DirectTransport]:
    direct = DirectTransport(max_connections=2, sweep_interval_s=0.01)
    yield direct
    await direct.close()


def post(endpoint: Endpoint, *, connect: float = 5.0) -> UpstreamRequest:
    timeouts = Timeouts(connect=connect, first_byte=5.0)
    return UpstreamRequest(endpoint=endpoint, body=b"{}", timeouts=timeouts, max_response_bytes=1_000)


async def call(transport: DirectTransport, request: UpstreamRequest) -> bytes:
    return await (await transport.send(request)).read()


async def test_it_counts_its_connections(transport: DirectTransport, upstream: FaultyUpstream) -> None:
    endpoint = upstream.endpoint("/")
    for _ in range(3):
        await call(transport, post(endpoint))
    assert (transport.opened, transport.reused, transport.open_now) == (1, 2, 1)
    await transport.close()
    assert transport.open_now == 0


async def test_endpoints_of_one_server_share_connections(transport: DirectTransport, upstream: FaultyUpstream) -> None:
    for path in ("/", "/?a=1", "/"):
        await call(transport, post(upstream.endpoint(path)))
    assert transport.opened == 1
    assert [seen.target for seen in upstream.requests] == ["/", "/?a=1", "/"]


async def test_connections_send_at_once_and_probe_a_silent_network(
    transport: DirectTransport, upstream: FaultyUpstream
) -> None:
    await call(transport, post(upstream.endpoint("/")))
    [pool] = transport._pools.values()
    [connection] = pool.connections
    assert connection._transport is not None
    sock = connection._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_calls_beyond_the_maximum_queue_in_order(transport: DirectTransport, upstream: FaultyUpstream) -> None:
    gate = asyncio.Event()
    for _ in range(2):
        upstream.reply(gate, response(b"slow"), path="/slow")
    slow = [asyncio.ensure_future(call(transport, post(upstream.endpoint("/slow")))) for _ in range(2)]
    await upstream.wait_for_requests(2)
    queued = [asyncio.ensure_future(call(transport, post(upstream.endpoint(f"/?{n}")))) for n in range(5)]
    upstream.reply(response(b"ok"), always=True)
    await asyncio.sleep(0.02)
    assert len(upstream.requests) == 2
    gate.set()
    assert await asyncio.gather(*slow, *queued) == [b"slow"] * 2 + [b"ok"] * 5
    assert upstream.accepted == 2
    first_on_each = sorted([seen.target for seen in upstream.requests[2:4]])
    assert first_on_each == ["/?0", "/?1"]


async def test_a_call_in_the_queue_gives_up_after_its_connect_timeout(
    transport: DirectTransport, upstream: FaultyUpstream
) -> None:
    upstream.reply(HANG, path="/hang", always=True)
    busy = [asyncio.ensure_future(transport.send(post(upstream.endpoint("/hang")))) for _ in range(2)]
    await upstream.wait_for_requests(2)
    with pytest.raises(UpstreamError, match=r"waiting for a free connection took longer than 0\.05 s") as caught:
        await transport.send(post(upstream.endpoint("/"), connect=0.05))
    assert caught.value.status == 408
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    assert await call(transport, post(upstream.endpoint("/"))) == b"ok"


async def test_cancelled_calls_leave_the_queue(transport: DirectTransport, upstream: FaultyUpstream) -> None:
    gate = asyncio.Event()
    upstream.reply(gate, response(b"slow"), path="/slow", always=True)
    slow = [asyncio.ensure_future(call(transport, post(upstream.endpoint("/slow")))) for _ in range(2)]
    await upstream.wait_for_requests(2)
    queued = [asyncio.ensure_future(call(transport, post(upstream.endpoint("/")))) for _ in range(4)]
    await asyncio.sleep(0.01)
    for task in queued[:3]:
        task.cancel()
    gate.set()
    assert await queued[3] == b"ok"
    assert await asyncio.gather(*slow) == [b"slow"] * 2
    assert [await call(transport, post(upstream.endpoint("/"))) for _ in range(4)] == [b"ok"] * 4
    assert transport.open_now <= 2


async def test_refused_connections_do_not_use_up_the_maximum(transport: DirectTransport) -> None:
    nobody = Endpoint(origin=Origin("http", "127.0.0.1", int(refused_url().rpartition(":")[2])), target="/", headers=())
    for _ in range(5):
        with pytest.raises(UpstreamError, match="connection refused"):
            await transport.send(post(nobody, connect=1.0))
    assert transport.open_now == 0


async def test_a_fresh_connection_is_made_even_at_the_maximum(
    transport: DirectTransport, upstream: FaultyUpstream
) -> None:
    await asyncio.gather(*(call(transport, post(upstream.endpoint("/"))) for _ in range(2)))
    assert transport.open_now == 2
    upstream.reply(CUT, path="/once")
    upstream.reply(response(b"second"), path="/once")
    assert await call(transport, post(upstream.endpoint("/once"))) == b"second"
    assert transport.open_now <= 2


async def test_half_a_head_on_a_kept_connection_is_never_asked_twice(
    transport: DirectTransport, upstream: FaultyUpstream
) -> None:
    await call(transport, post(upstream.endpoint("/")))
    upstream.reply(b"HTTP/1.1 200 OK\r\nx: ", CUT, path="/half")
    with pytest.raises(UpstreamError, match="without an answer"):
        await transport.send(post(upstream.endpoint("/half")))
    assert len(upstream.requests) == 2


async def test_idle_connections_are_closed_before_the_server_does(
    transport: DirectTransport, upstream: FaultyUpstream
) -> None:
    upstream.reply(response(b"ok", keep_alive="timeout=2"), path="/brief")
    await call(transport, post(upstream.endpoint("/brief")))
    [pool] = transport._pools.values()
    now = asyncio.get_running_loop().time()
    pool.sweep(now)
    pool.sweep(now + 1.1)
    await upstream.wait_for_close()
    assert transport.open_now == 0


async def test_nothing_ticks_without_connections(transport: DirectTransport, upstream: FaultyUpstream) -> None:
    assert transport._ticker is None
    await call(transport, post(upstream.endpoint("/")))
    assert transport._ticker is not None
    upstream.drop_idle()
    async with asyncio.timeout(2):
        while transport._ticker is not None:  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.01)


async def test_a_closed_transport_says_so(transport: DirectTransport, upstream: FaultyUpstream) -> None:
    await call(transport, post(upstream.endpoint("/")))
    await transport.close()
    with pytest.raises(UpstreamError, match="closed by the gateway"):
        await call(transport, post(upstream.endpoint("/")))


def test_importing_the_clients_does_not_import_aiohttp() -> None:
    code = "import sys, tollway.upstream.direct, tollway.upstream.proxied; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
