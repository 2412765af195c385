"""Looking for a model server on this machine, against real ones."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.http_server import Reply, Request, http_server
from tests.support.ports import free_port

from tollway.providers import discovery

TAGS = Reply(200, json.dumps({"models": [{"name": "llama3:8b", "size": 1}, {"name": "qwen3"}]}).encode())
MODELS = Reply(200, json.dumps({"object": "list", "data": [{"id": "gguf", "object": "model"}]}).encode())
PATIENT = 30.0


async def test_a_server_that_lists_tags_names_its_models() -> None:
    async with http_server(lambda _: TAGS) as server:
        assert await discovery.discover(server.url, PATIENT) == ["llama3:8b", "qwen3"]
    assert [request.target for request in server.requests] == ["/api/tags"]


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async with http_server(lambda _: Reply(200, TAGS.body, has_length=False)) as server:
        assert await discovery.discover(server.url, PATIENT) == ["llama3:8b", "qwen3"]


async def test_other_servers_are_asked_for_models() -> None:
    def answer(request: Request) -> Reply:
        return MODELS if request.target == "/v1/models" else Reply(404, b"no such page")

    async with http_server(answer) as server:
        assert await discovery.discover(server.url, PATIENT) == ["gguf"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"models": "none"}', b'{"models": [1]}'])
async def test_an_answer_of_somebody_else_is_nobody(body: bytes) -> None:
    async with http_server(lambda _: Reply(200, body)) as server:
        assert await discovery.discover(server.url, PATIENT) == []


async def test_nobody_listening_is_nobody() -> None:
    assert await discovery.discover(f"http://127.0.0.1:{free_port()}") == []


@pytest.mark.parametrize(
    "sent", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", b"x\r\n\r\n"]
)
async def test_a_server_that_speaks_something_else_is_nobody(sent: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await discovery.discover(f"http://127.0.0.1:{port}", PATIENT) == []


async def test_a_silent_server_is_given_up() -> None:
    async def silence(_: Request) -> Reply:
        await asyncio.Event().wait()
        return TAGS

    async with http_server(silence) as server:
        assert await discovery.discover(server.url, 0.02) == []


@pytest.mark.parametrize("address", ["", "http://", "http://host:port", "http://[::1"])
async def test_an_address_that_is_none_is_nobody(address: str) -> None:
    assert await discovery.discover(address, 0.02) == []
