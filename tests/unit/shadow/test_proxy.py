"""The proxy between real servers: callers get the primary's bytes, and the second hears of inference alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.support.embedded import embedded_gateway
from tests.support.faulty_upstream import CUT, HANG, FaultyUpstream, chunk, chunked_head, response
from tests.support.gateway import MASTER_KEY
from tests.support.ports import free_port
from yarl import URL

from tollway.shadow.proxy import Shadow
from tollway.shadow.report import Report

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


class Running:
    """A proxy, and a plain client for it."""

    def __init__(self, url: str, report: Report, shadow: Shadow, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.report = report
        self.shadow = shadow
        self.session = session

    async def post(self, path: str = CHAT, body: Any = BODY, key: str = "sk-1") -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {key}"}
        async with self.session.post(URL(self.url + path, encoded=True), json=body, headers=headers) as answer:
            return answer.status, await answer.read()

    async def compared(self) -> dict[str, Any]:
        """The summary, when nothing is waiting any more."""
        async with asyncio.timeout(10):
            await self.shadow._waiting.join()
        return self.report.summary()


@asynccontextmanager
async def shadowing(primary: str, second: str, **options: Any) -> AsyncIterator[Running]:
    report = Report()
    shadow = Shadow(primary, second, report, **options)
    port = free_port()
    runner = await shadow.start("127.0.0.1", port)
    try:
        async with aiohttp.ClientSession() as session:
            yield Running(f"http://127.0.0.1:{port}", report, shadow, session)
    finally:
        await runner.cleanup()
        await shadow.stop(patience_s=0.1)


@pytest.fixture
async def primary() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream() as running:
        yield running


@pytest.fixture
async def second() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream() as running:
        yield running


async def test_both_are_asked_the_same(primary: FaultyUpstream, second: FaultyUpstream) -> None:
    async with shadowing(primary.url, second.url) as proxy:
        status, body = await proxy.post(f"{CHAT}?a=%2Fb")
        summary = await proxy.compared()
    assert (status, json.loads(body)["choices"][0]["message"]["content"]) == (200, primary.text)
    assert (summary["compared"], summary["same"]) == (1, 1)
    (asked,), (copied,) = primary.requests, second.requests
    assert asked.target == copied.target == f"{CHAT}?a=%2Fb"
    assert asked.body == copied.body
    assert asked.headers["authorization"] == copied.headers["authorization"] == "Bearer sk-1"
    assert asked.headers["content-length"] == str(len(asked.body))
    assert asked.headers["x-forwarded-for"] == "127.0.0.1"


async def test_streams_come_as_they_are(primary: FaultyUpstream, second: FaultyUpstream) -> None:
    async with shadowing(primary.url, second.url) as proxy:
        _, body = await proxy.post(body={**BODY, "stream": True})
        summary = await proxy.compared()
    assert body.endswith(b"data: [DONE]\n\n")
    assert (summary["compared"], summary["same"]) == (1, 1)


async def test_the_second_can_do_no_harm(primary: FaultyUpstream, second: FaultyUpstream) -> None:
    second.reply(response(b'{"error":{"type":"auth_error","code":"401"}}', 401))
    second.reply(HANG)
    async with shadowing(primary.url, second.url) as proxy:
        assert (await proxy.post())[0] == 200
        summary = await proxy.compared()
        assert (await proxy.post())[0] == 200  # while the second hangs
    assert {(one["kind"], one["examples"][0]["second"]) for one in summary["differences"]} >= {("status", 401)}


async def test_a_second_that_is_away_is_counted(primary: FaultyUpstream) -> None:
    async with shadowing(primary.url, f"http://127.0.0.1:{free_port()}") as proxy:
        assert (await proxy.post())[0] == 200
        summary = await proxy.compared()
    assert summary["left_out"] == {"the second gateway cannot be reached": 1}


async def test_management_and_what_is_not_sampled_is_not_copied(
    primary: FaultyUpstream, second: FaultyUpstream
) -> None:
    primary.reply(response(b'{"key":"sk-new"}'), path="/key/generate")
    async with shadowing(primary.url, second.url) as proxy:
        assert await proxy.post("/key/generate") == (200, b'{"key":"sk-new"}')
    async with shadowing(primary.url, second.url, sample=0.0) as proxy:
        assert (await proxy.post())[0] == 200
    assert second.requests == []


async def test_the_second_can_have_a_key_of_its_own(primary: FaultyUpstream, second: FaultyUpstream) -> None:
    async with shadowing(primary.url, second.url, second_key="sk-2") as proxy:
        await proxy.post()
        await proxy.compared()
    assert primary.requests[0].headers["authorization"] == "Bearer sk-1"
    assert second.requests[0].headers["authorization"] == "Bearer sk-2"


async def test_an_answer_that_breaks_off_breaks_off_for_the_caller(
    primary: FaultyUpstream, second: FaultyUpstream
) -> None:
    primary.reply(chunked_head(), chunk(b'data: {"a":1}\n\n'), CUT)
    async with shadowing(primary.url, second.url) as proxy:
        with pytest.raises(aiohttp.ClientError):
            await proxy.post()
        summary = await proxy.compared()
    assert (summary["compared"], summary["left_out"]) == (0, {"too long, or broken off": 1})


async def echo(request: web.Request) -> web.WebSocketResponse:
    if request.headers.get("Authorization") != "Bearer sk-1":
        raise web.HTTPUnauthorized
    socket = web.WebSocketResponse(protocols=("realtime",))
    await socket.prepare(request)
    async for message in socket:
        await socket.send_bytes(message.data) if message.data == b"bytes" else await socket.send_str(message.data)
        if message.data == "end":
            await socket.close(code=4001)
    return socket


async def test_sockets_are_relayed(second: FaultyUpstream) -> None:
    app = web.Application()
    app.router.add_get("/v1/realtime", echo)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    key = {"Authorization": "Bearer sk-1"}
    async with shadowing(f"http://127.0.0.1:{port}", second.url) as proxy:
        url = f"{proxy.url}/v1/realtime?model=m"
        async with proxy.session.ws_connect(url, headers=key, protocols=("realtime",)) as socket:
            assert socket.protocol == "realtime"
            await socket.send_bytes(b"bytes")
            assert await socket.receive_bytes() == b"bytes"
            await socket.send_str("end")
            assert await socket.receive_str() == "end"
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 4001
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await proxy.session.ws_connect(url)
    await runner.cleanup()
    assert second.requests == []


async def test_a_primary_that_is_away(second: FaultyUpstream) -> None:
    async with shadowing(f"http://127.0.0.1:{free_port()}", second.url) as proxy:
        status, body = await proxy.post()
    assert (status, json.loads(body)["error"]["code"]) == (502, "502")


async def test_against_a_gateway(primary: FaultyUpstream, tmp_path: Path) -> None:
    """A vendor and a gateway before no vendor, as different as two can be; a gateway and itself do not differ."""
    config = {"model_list": [{"model_name": "m", "litellm_params": {"model": "demo/demo"}}]}
    async with embedded_gateway(tmp_path, config) as gateway:
        async with shadowing(gateway.url, gateway.url) as proxy:
            assert (await proxy.post(key=MASTER_KEY))[0] == 200
            assert (await proxy.post(body={**BODY, "stream": True}, key=MASTER_KEY))[0] == 200
            assert (await proxy.post(key="sk-wrong"))[0] == 401
            same = await proxy.compared()
        async with shadowing(primary.url, gateway.url, second_key=MASTER_KEY) as proxy:
            await proxy.post()
            other = await proxy.compared()
    assert (same["compared"], same["same"], same["differences"]) == (3, 3, [])
    found = {(one["kind"], one["path"]) for one in other["differences"]}
    assert ("header", "x-litellm-call-id") in found
