"""The entry of the data plane: one ASGI callable that finds the route and renders what comes back.

What is not an inference route goes to the management app, which is made when it is first needed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from tollway.core.errors import NotFound, TollwayError, Unauthenticated
from tollway.core.principal import Principal
from tollway.core.snapshot import Operation, Settings
from tollway.dataplane.asgi import (
    JSON,
    SECURITY_HEADERS,
    App,
    ClientGone,
    Exchange,
    Message,
    Receive,
    Scope,
    Send,
    answer,
    read_body,
    respond,
    too_large,
)
from tollway.dataplane.controls import read_controls
from tollway.dataplane.cors import cors_headers, preflight_headers
from tollway.dataplane.headers import HeaderWriter
from tollway.dataplane.listing import ModelNotFound
from tollway.dataplane.routes import Route, RouteTable
from tollway.dialects.body import read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.answer import Answer
from tollway.gateway.call import Call, Headers
from tollway.gateway.live import LiveSessions
from tollway.gateway.run import Gateway
from tollway.gateway.stream import Replay, Stream
from tollway.observability.metrics import CallLabels, Metrics
from tollway.policy import access
from tollway.policy.access import RouteForbidden
from tollway.policy.addresses import check_address, real_client
from tollway.policy.auth import Authenticator, find_credential
from tollway.policy.gate import Gate
from tollway.policy.sessions import stopped
from tollway.policy.strangers import Strangers

logger = logging.getLogger(__name__)

Page = Callable[[Scope, Receive, Send, str | None], Awaitable[None]]
"""Serves a route that is not a call to a model; the text is what the path names."""


class Edge:
    """ASGI application of the data plane."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        gate: Gate,
        sessions: LiveSessions,
        authenticator: Authenticator,
        metrics: Metrics,
        settings: Callable[[], Settings],
        pages: dict[str, Page],
        management: App,
        root_path: str = "",
    ) -> None:
        """`pages` by action of the route table; `management` serves every path that is not in it."""
        self._gateway = gateway
        self._gate = gate
        self._sessions = sessions
        self._authenticator = authenticator
        self._metrics = metrics
        self._strangers = Strangers(_counting(metrics), time.monotonic)
        self._settings = settings
        self._pages = pages
        self._management = management
        self._root_path = root_path.rstrip("/")
        self._routes = RouteTable()
        self._headers = HeaderWriter()
        self.is_draining = False
        """Readiness says that the gateway stops. What arrives is served as long as somebody listens."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serves one request."""
        if scope["type"] != "http":
            is_socket = scope["type"] == "websocket"
            return (self._socket if is_socket else self._management)(scope, receive, send)
        path: str = scope["path"]
        if self._root_path:
            path = path.removeprefix(self._root_path) or "/"
        settings = self._settings()
        allowed = settings.allowed_routes
        if allowed and not access.allows_route(allowed, path):
            body = msgspec.json.encode(
                {"detail": f"Route {path} is not served here (general_settings.allowed_routes)."}
            )
            return respond(self._with_edge_headers(scope, send), 403, [JSON], body)
        route, path_model = self._routes.find(scope["method"], path)
        if (settings.believes_proxies or settings.allowed_addresses is not None) and not path.startswith("/health/"):
            scope = _as_its_client(scope, settings)
            try:
                check_address(scope["client"][0], settings)
            except TollwayError as error:
                operation = route.operation if route is not None else None
                body = _error_body(error, operation or "chat")
                return respond(self._with_edge_headers(scope, send), error.status, [JSON], body)
        if route is not None and route.operation is not None and route.costs_money:
            return self._generate(scope, receive, path, route, route.operation, path_model)
        if route is not None:
            return self._page(route, scope, receive, send, path_model)
        return self._other(scope, receive, send, path)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a WebSocket: each turn on it is a call like any other."""
        from tollway.dataplane.sockets import ResponsesSocket, reject  # noqa: PLC0415  (few clients use it)

        await receive()  # its wish to be connected
        path: str = scope["path"]
        path = path.removeprefix(self._root_path) or "/"
        settings = self._settings()
        route, _ = self._routes.find("WEBSOCKET", path)
        try:
            if route is None or (settings.allowed_routes and not access.allows_route(settings.allowed_routes, path)):
                raise NotFound(f"No WebSocket is served at {path}.")
            scope = _as_its_client(scope, settings)
            check_address(scope["client"][0], settings)
            principal = await self._authenticate(dict(scope["headers"]), _address(scope), settings)
            access.check_route(principal, path)
            access.check_inference(principal)
        except TollwayError as error:
            await reject(send, error)
            return
        await send({"type": "websocket.accept"})

        def generate(call: Scope, rest: Receive) -> Awaitable[None]:
            return self._generate(call, rest, path, route, "responses", None)

        await ResponsesSocket(scope, receive, send, generate, max_bytes=settings.max_request_bytes).run()

    async def _generate(
        self, scope: Scope, receive: Receive, path: str, route: Route, operation: Operation, path_model: str | None
    ) -> None:
        """Serves one call to a model, from its first byte to its settlement."""
        headers = dict(scope["headers"])
        client = scope.get("client")
        call = Call(
            operation=operation,
            path=path,
            headers=headers,
            client_ip=client[0] if client else "",
            settings=self._settings(),
            path_model=path_model,
            is_stream_path=route.is_stream,
        )
        self._metrics.in_flight += 1
        exchange: Exchange = scope["extensions"]["tollway.exchange"]

        def leave() -> None:
            call.is_client_gone = True
            exchange.task.cancel()

        exchange.on_disconnect(leave)
        try:
            await self._serve(call, receive, exchange)
        except TollwayError as error:
            await self._fail(call, exchange, error)
        except ClientGone:
            await self._gateway.abandon(call)
        except asyncio.CancelledError:
            if call.stop is not None and not call.is_client_gone:
                exchange.task.uncancel()
                await self._fail(call, exchange, stopped(call.controls.session_id, call.stop))
            else:
                await self._gateway.abandon(call)
                if not call.is_client_gone:
                    raise  # the server is going down
        except Exception:  # the outermost boundary: whatever it is, the caller gets a proper error
            logger.exception("A call failed unexpectedly", extra={"call_id": call.call_id})
            await self._fail(call, exchange, TollwayError("Internal server error"))
        finally:
            self._metrics.in_flight -= 1
            if call.controls.session_id:
                self._sessions.leave(call)

    async def _serve(self, call: Call, receive: Receive, exchange: Exchange) -> None:
        self._gate.check_memory()
        settings = call.settings
        principal = call.principal = await self._authenticate(call.headers, call.client_ip, settings)
        access.check_route(principal, call.path)
        access.check_inference(principal)
        body = exchange.whole_body()
        if body is None:
            body = await read_body(receive, call.headers, settings.max_request_bytes)
        elif len(body) > settings.max_request_bytes:
            raise too_large(len(body), settings.max_request_bytes)
        call.raw_body = body
        fields = read_fields(call.raw_body)
        if call.operation == "chat" and "messages" not in fields and "input" in fields:
            call.operation = "responses"  # Cursor sends the Responses API's bodies to the chat route
        call.controls = read_controls(fields, call.headers, principal, settings, call.operation)
        if call.controls.session_id:
            self._sessions.enter(call, exchange.task.cancel)
        identity = find_identity(call.operation)
        call.request = identity.read_request(fields, path_model=call.path_model, is_stream=call.is_stream_path)
        await self._gate.enter(settings, priority=self._priority(call), caller=principal.spend_id)
        try:
            served = await self._gateway.serve(call)
            if isinstance(served, Answer):
                encoded = self._headers.of_answer(call, served.cost_nanos, served.upstream_headers)
                await answer(exchange, 200, (), encoded, served.body)
                return
            await self._stream(call, served, exchange)
        finally:
            self._gate.leave()

    async def _authenticate(self, headers: Headers, address: str, settings: Settings) -> Principal:
        """Who calls. Raises `Unauthenticated`, after a while where many bad keys have come from this address."""
        try:
            credential = find_credential(headers, key_header=settings.key_header)
            return await self._authenticator.authenticate(credential)
        except Unauthenticated as error:
            raise await self._strangers.meet(address, error) from None

    def _priority(self, call: Call) -> int:
        named = call.controls.priority
        return self._gateway.router.snapshot.routing.default_priority if named is None else named

    async def _stream(self, call: Call, stream: Stream | Replay, exchange: Exchange) -> None:
        try:
            exchange.start(200, (), self._headers.of_stream(call, stream.upstream_headers))
            while (last := await stream.forward(exchange.write)) is None:
                await exchange.relieved()
            await exchange.relieved()
            exchange.finish(last)
        except asyncio.CancelledError:
            if call.stop is None or call.is_client_gone:
                await stream.abandon()
                raise
            exchange.task.uncancel()
            exchange.finish(await stream.stop(stopped(call.controls.session_id, call.stop)))
        except Exception:  # the response has begun: the error goes into the stream
            logger.exception("A stream failed unexpectedly", extra={"call_id": call.call_id})
            await stream.abandon()
            exchange.finish(stream.say(TollwayError("Internal server error")))
        await stream.close()

    async def _fail(self, call: Call, exchange: Exchange, error: TollwayError) -> None:
        try:
            await self._gateway.settle_failure(call, error)
        except TollwayError as fault:
            error = fault
        headers = [*error.headers, JSON]
        if call.is_settled and call.deployment is not None:
            headers.append((b"x-litellm-response-cost", b"0"))
        await answer(exchange, error.status, headers, self._headers.of_call(call), _error_body(error, call.operation))

    async def _page(self, route: Route, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        send = self._with_edge_headers(scope, send)
        try:
            await self._pages[route.action](scope, receive, send, model)
        except TollwayError as error:
            if isinstance(error, Unauthenticated):
                error = await self._strangers.meet(_address(scope), error)
            self._metrics.record_call(
                CallLabels(route=route.path, status_code=str(error.status), exception_class=type(error).__name__),
                total_s=0.0,
            )
            body = _error_body(error, route.operation or "chat")
            await respond(send, error.status, [*error.headers, JSON], body)

    async def _other(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """CORS preflights, the wrong method on a path of ours, and everything that is management."""
        headers = dict(scope["headers"])
        allowed = self._routes.methods(path)
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await respond(send, 200, preflight_headers(headers, self._settings()), b"OK")
        elif scope["method"] == "HEAD" and "GET" in allowed:
            await self({**scope, "method": "GET"}, receive, send)
        elif allowed:
            body = b'{"detail":"Method Not Allowed"}'
            await respond(send, 405, [(b"allow", ", ".join(allowed).encode()), JSON, *SECURITY_HEADERS], body)
        else:
            send = self._slowing(scope, self._with_edge_headers(scope, send))
            await self._management({**scope, "path": path}, receive, send)

    def _slowing(self, scope: Scope, send: Send) -> Send:
        """Notes answers that say the key was no good."""

        async def send_slowly(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == Unauthenticated.status:
                await self._strangers.meet(_address(scope), TollwayError("management"))
            await send(message)

        return send_slowly

    def _with_edge_headers(self, scope: Scope, send: Send) -> Send:
        """Adds what every response of the gateway carries: security headers and CORS."""
        added = (*SECURITY_HEADERS, *cors_headers(dict(scope["headers"]), self._settings()))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        return send_with_headers


def _counting(metrics: Metrics) -> Callable[[str], None]:
    return lambda reason: metrics.tally("tollway_failed_authentications_total", reason)


def _error_body(error: TollwayError, operation: Operation = "chat") -> bytes:
    """In the caller's format, or `{"detail": …}` for the errors that the contract renders so."""
    if isinstance(error, RouteForbidden | ModelNotFound):
        return msgspec.json.encode({"detail": error.message})
    return find_identity(operation).render_error(error)


def _address(scope: Scope) -> str:
    address: str = (scope.get("client") or ("", 0))[0]
    return address


def _as_its_client(scope: Scope, settings: Settings) -> Scope:
    """The request as one of its real client."""
    peer = (scope.get("client") or ("", 0))[0]
    forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
    return {**scope, "client": (real_client(peer, forwarded, settings), 0)}
