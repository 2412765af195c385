"""Streams that go wrong, and clients that leave."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.embedded import Embedded
from tests.support.faulty_upstream import CUT, HANG, RESET, Ending, FaultyUpstream, chunk, chunked_head, sse
from tests.support.gateway import MASTER_KEY


def delta(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return sse({"id": "chatcmpl-cut", "model": "gpt-4o", "choices": [choice]})[0]


async def leave(gateway: Embedded, *, is_stream: bool, after: bytes = b"") -> None:
    """A client that closes its connection: at once, or when it has read `after`."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": is_stream}).encode()
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {MASTER_KEY}\r\n"
    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    if after:
        await reader.readuntil(after)
    else:
        await asyncio.sleep(0.05)
    writer.close()


@pytest.mark.parametrize("ending", [CUT, RESET])
async def test_a_cut_stream_ends_in_an_error_event_and_a_failed_record(
    gateway: Embedded, upstream: FaultyUpstream, ending: Ending
) -> None:
    upstream.reply(chunked_head(), chunk(delta("Hello")), 0.05, ending)
    answer = await gateway.chat(stream=True)
    text = await answer.text()
    *_, failure, done, _rest = text.split("\n\n")
    assert done == "data: [DONE]"
    assert json.loads(failure[6:])["error"]["type"] == "internal_server_error"
    (row,) = await gateway.records()
    assert row["status"] == "failure"
    assert row["completion_tokens"] == 1
    assert row["spend"] > 0, "the provider has worked for this"


async def test_the_first_event_arrives_before_the_second_is_sent(gateway: Embedded, upstream: FaultyUpstream) -> None:
    seen = asyncio.Event()
    upstream.reply(chunked_head(), chunk(delta("one")), seen, chunk(delta("two") + b"data: [DONE]\n\n"), b"0\r\n\r\n")
    body = {"model": "m", "messages": [], "stream": True}
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    async with gateway.session.post(gateway.url + "/v1/chat/completions", json=body, headers=headers) as answer:
        async with asyncio.timeout(2):
            assert b"one" in await answer.content.readany()
        seen.set()
        assert b"two" in await answer.content.read()


async def test_a_client_that_leaves_a_stream_closes_the_provider_within_250_ms(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    upstream.reply(chunked_head(), chunk(delta("Hello")), HANG)
    await leave(gateway, is_stream=True, after=b"Hello")
    left_at = time.monotonic()
    closed_at = await upstream.wait_for_close()
    assert closed_at - left_at < 0.25
    row = await one_record(gateway)
    assert (row["status"], row["completion_tokens"]) == ("failure", 1)
    assert row["prompt_tokens"] == 8
    assert row["metadata"]["error_information"]["error_code"] == "499"


async def test_a_client_that_leaves_before_the_answer_closes_the_provider_too(
    gateway: Embedded, upstream: FaultyUpstream
) -> None:
    upstream.reply(HANG)
    await leave(gateway, is_stream=False)
    left_at = time.monotonic()
    closed_at = await upstream.wait_for_close()
    assert closed_at - left_at < 0.25
    row = await one_record(gateway)
    assert (row["status"], row["prompt_tokens"], row["completion_tokens"]) == ("failure", 8, 0)


async def test_a_slow_client_slows_the_provider_and_not_the_memory(gateway: Embedded, upstream: FaultyUpstream) -> None:
    piece = chunk(delta("x" * 60_000))
    written = 0

    def pieces() -> Iterator[bytes]:
        nonlocal written
        for _ in range(600):
            written += 1
            yield piece
        yield chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

    upstream.reply(chunked_head(), pieces())
    body = {"model": "m", "messages": [], "stream": True}
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    async with gateway.session.post(gateway.url + "/v1/chat/completions", json=body, headers=headers) as answer:
        await asyncio.sleep(0.5)
        assert written < 500, "36 MB must not pile up in the gateway"
        data = await answer.content.read()
    assert data.endswith(b"data: [DONE]\n\n")


async def one_record(gateway: Embedded) -> dict[str, Any]:
    for _ in range(100):
        if rows := await gateway.records():
            break
        await asyncio.sleep(0.02)
    (row,) = rows
    return row


async def test_a_body_that_arrives_slowly_arrives_whole(gateway: Embedded, upstream: FaultyUpstream) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 10_000}]}).encode()
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {MASTER_KEY}\r\n"
    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body))
    for start in range(0, len(body), 4_000):
        writer.write(body[start : start + 4_000])
        await asyncio.sleep(0.25)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert upstream.requests[0].json["messages"][0]["content"] == "x" * 10_000
    writer.close()
