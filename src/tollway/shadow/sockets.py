"""WebSockets between a caller and the primary: message by message, and never copied."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

_OF_THE_HANDSHAKE = "sec-websocket-"
_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def relay_socket(
    session: aiohttp.ClientSession, request: web.Request, url: URL, headers: CIMultiDict[str]
) -> web.StreamResponse:
    """Until one side closes. Raises `aiohttp.ClientError` where the primary cannot be reached.

    A refusal of the primary is passed on with its status; the body of it cannot be had.
    """
    named = request.headers.get("Sec-WebSocket-Protocol", "")
    protocols = tuple(filter(None, (name.strip() for name in named.split(","))))
    passed = CIMultiDict(
        (name, value) for name, value in headers.items() if not name.lower().startswith(_OF_THE_HANDSHAKE)
    )
    try:
        async with session.ws_connect(url, headers=passed, protocols=protocols, max_msg_size=0) as primary:
            caller = web.WebSocketResponse(
                protocols=(primary.protocol,) if primary.protocol else (), max_msg_size=0, compress=False
            )
            await caller.prepare(request)
            directions = {asyncio.create_task(_pump(caller, primary)), asyncio.create_task(_pump(primary, caller))}
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
            await caller.close(code=primary.close_code or aiohttp.WSCloseCode.OK)
            return caller
    except aiohttp.WSServerHandshakeError as refusal:
        return web.Response(status=refusal.status)


async def _pump(source: _Socket, target: _Socket) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
