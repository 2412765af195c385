"""`/v1/responses/{id}`: responses that were given before, for their owners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast
from urllib.parse import parse_qsl

import msgspec

from tollway.core.errors import InvalidRequest, TollwayError
from tollway.core.principal import Principal
from tollway.core.snapshot import Settings
from tollway.dataplane.asgi import JSON, Receive, Scope, Send, respond
from tollway.dataplane.caller import Callers
from tollway.dialects.responses.replay import replay
from tollway.dialects.responses.state import ResponseState, input_items
from tollway.dialects.responses.wire import read_head
from tollway.gateway.background import BackgroundBilling
from tollway.gateway.call import Call
from tollway.gateway.kept import KeptResponses, WithProvider
from tollway.gateway.stream import unreadable
from tollway.gateway.threads import unknown
from tollway.ports.transport import UpstreamResponse

_PATH = "/v1/responses/{response_id}"
"""In records and metrics: one name for all of them."""
_SSE = (b"content-type", b"text/event-stream; charset=utf-8")


class ResponsePages:
    """What can be done with one response."""

    def __init__(
        self, kept: KeptResponses, billing: BackgroundBilling, callers: Callers, settings: Callable[[], Settings]
    ) -> None:
        self._kept = kept
        self._billing = billing
        self._callers = callers
        self._settings = settings

    async def get(self, scope: Scope, receive: Receive, send: Send, name: str | None) -> None:
        """The response, or its events."""
        principal = await self._callers.principal(scope)
        kept, query = await self._kept.find(name or "", principal, self._settings()), _query(scope)
        if isinstance(kept, WithProvider):
            answer = await self._ask(kept, "GET", query=scope["query_string"])
            call = self._call(scope, principal)
            if _is_stream(answer):
                await self._forward_stream(answer, kept, call, send)
            else:
                await self._forward(answer, kept, call, send)
        elif query.get("stream", "").lower() == "true":
            await respond(send, 200, [_SSE], replay(kept, _number(query, "starting_after", -1)))
        else:
            await respond(send, 200, [JSON], bytes(kept.response))

    async def delete(self, scope: Scope, receive: Receive, send: Send, name: str | None) -> None:
        """Forgets it."""
        kept = await self._find(scope, name)
        if isinstance(kept, WithProvider):
            await _forward(await _read(await self._ask(kept, "DELETE")), kept, send)
            return
        if not await self._kept.delete(kept):
            raise unknown(kept.id, None)
        await respond(send, 200, [JSON], msgspec.json.encode({"id": kept.id, "object": "response", "deleted": True}))

    async def cancel(self, scope: Scope, receive: Receive, send: Send, name: str | None) -> None:
        """Stops one that is made in the background, which only providers do."""
        principal = await self._callers.principal(scope)
        kept = await self._kept.find(name or "", principal, self._settings())
        if not isinstance(kept, WithProvider):
            raise InvalidRequest("Cannot cancel a synchronous response: it was not made with 'background': true.")
        await self._forward(await self._ask(kept, "POST", "/cancel"), kept, self._call(scope, principal), send)

    async def list_input_items(self, scope: Scope, receive: Receive, send: Send, name: str | None) -> None:
        """A page of what it was the answer to."""
        kept, query = await self._find(scope, name), _query(scope)
        if isinstance(kept, WithProvider):
            body = await _read(await self._ask(kept, "GET", "/input_items", scope["query_string"]))
            await respond(send, 200, [JSON], body)
            return
        order = cast("Literal['asc', 'desc']", query.get("order", "desc"))
        page = input_items(kept, limit=_number(query, "limit", 20), order=order, after=query.get("after"))
        await respond(send, 200, [JSON], msgspec.json.encode(page))

    async def _find(self, scope: Scope, name: str | None) -> WithProvider | ResponseState:
        principal: Principal = await self._callers.principal(scope)
        return await self._kept.find(name or "", principal, self._settings())

    def _call(self, scope: Scope, principal: Principal) -> Call:
        """For the record, if something is to be settled."""
        settings, client = self._settings(), scope.get("client")
        call = Call(
            operation="responses",
            path=_PATH,
            headers=dict(scope["headers"]),
            client_ip=client[0] if client else "",
            settings=settings,
        )
        call.principal = principal
        return call

    async def _forward(self, answer: UpstreamResponse, kept: WithProvider, call: Call, send: Send) -> None:
        body = await _read(answer)
        try:
            head, usage = read_head(body), kept.identity.read_reply(body, kept.response.model).usage
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise unreadable(kept.deployment, "is not valid JSON") from None
        if usage is not None:
            call.upstream_body = body  # it says again what was asked for
            await self._billing.settle(call, self._kept.group_of(kept), kept.deployment, head, usage)
        await _forward(body, kept, send)

    async def _forward_stream(self, answer: UpstreamResponse, kept: WithProvider, call: Call, send: Send) -> None:
        relay = kept.identity.relay(kept.response.model, forwards_usage=True)
        await send({"type": "http.response.start", "status": 200, "headers": [_SSE]})
        error: TollwayError | None = None
        try:
            while chunk := await answer.next_chunk():
                data = relay.feed(chunk)
                if relay.head is not None:
                    await self._billing.settle(
                        call, self._kept.group_of(kept), kept.deployment, relay.head, relay.usage
                    )
                await send({"type": "http.response.body", "body": data, "more_body": True})
        except TollwayError as fault:
            error = fault
        finally:
            answer.close()
        await send({"type": "http.response.body", "body": relay.end() + relay.close(error)})

    async def _ask(self, kept: WithProvider, method: str, suffix: str = "", query: bytes = b"") -> UpstreamResponse:
        return await self._kept.ask(kept, self._settings(), method, suffix, query.decode("latin-1"))


async def _read(answer: UpstreamResponse) -> bytes:
    try:
        return await answer.read()
    finally:
        answer.close()


async def _forward(body: bytes, kept: WithProvider, send: Send) -> None:
    try:
        body = kept.identity.read_reply(body, kept.response.model).body
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise unreadable(kept.deployment, "is not valid JSON") from None
    await respond(send, 200, [JSON], body)


def _is_stream(answer: UpstreamResponse) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in answer.headers)


def _query(scope: Scope) -> Mapping[str, str]:
    return dict(parse_qsl(scope["query_string"].decode("latin-1")))


def _number(query: Mapping[str, Any], name: str, otherwise: int) -> int:
    try:
        return int(query.get(name, otherwise))
    except ValueError:
        raise InvalidRequest(f"'{name}' must be a number.", param=name) from None
