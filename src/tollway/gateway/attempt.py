"""One upstream try of a call: the request goes to a deployment, and the head of its answer comes back, or a failure."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from tollway.core.errors import TollwayError, UpstreamError
from tollway.core.routing import Routing
from tollway.core.snapshot import Deployment, Endpoint, Operation, Origin, Timeouts, TransportName
from tollway.core.usage import Usage
from tollway.dialects.body import read_fields
from tollway.gateway.call import Call, Conversation, Tried
from tollway.gateway.vendor_headers import passed_on
from tollway.ports.transport import Transport, UpstreamRequest, UpstreamResponse
from tollway.routing.balancer import Balancer
from tollway.routing.failure import failure_of

COMPACT = "/compact"
"""Where a conversation is summed up, below where it is answered."""

_MOCK_ORIGIN = Origin("http", "mock", 0)
_MOCKED: dict[Operation, Endpoint] = {
    "chat": Endpoint(origin=_MOCK_ORIGIN, target="/v1/chat/completions", headers=()),
    "completions": Endpoint(origin=_MOCK_ORIGIN, target="/v1/completions", headers=()),
    "embeddings": Endpoint(origin=_MOCK_ORIGIN, target="/v1/embeddings", headers=()),
}
"""Where a call with `mock_response` goes."""


class Attempt:
    """One try at one deployment, which counts as busy until the attempt has succeeded, failed, or been left."""

    __slots__ = ("_balancer", "_is_open", "_routing", "_state", "deployment", "first_token")

    def __init__(self, balancer: Balancer, routing: Routing, deployment: Deployment) -> None:
        self._balancer = balancer
        self._routing = routing
        self._is_open = True
        self.deployment = deployment
        self.first_token = 0.0
        """When a stream began."""
        self._state = balancer.begin(deployment)

    async def send(self, call: Call, transports: Mapping[TransportName, Transport]) -> UpstreamResponse:
        """Sends the request. Raises `UpstreamError` for anything but an answer with status 200, `InvalidRequest` for
        what the deployment cannot be told."""
        deployment, conversation = self.deployment, call.conversation
        assert conversation is not None
        name: TransportName = deployment.transport
        mock = call.controls.mock_response if call.controls.mock_response is not None else deployment.mock_response
        if mock is not None:
            name = "demo"
        call.upstream_body = conversation.render_request(call)
        if mock is not None:
            call.upstream_body = _with_mock(call.upstream_body, mock)
        endpoint = (deployment.endpoints if mock is None else _MOCKED)[conversation.operation]
        if call.request.is_stream and endpoint.for_streams is not None:
            endpoint = endpoint.for_streams
        target = ""
        if call.thread is not None and call.thread.is_compaction and not call.is_translated:
            target = below(endpoint.target, COMPACT)
        credential = endpoint.credential
        headers = await credential(endpoint, call.upstream_body) if credential is not None else ()
        if conversation.passed_headers:
            headers = (*headers, *conversation.passed_headers)
        call.sent = time.perf_counter()
        try:
            response = await transports[name].send(
                UpstreamRequest(
                    endpoint=endpoint,
                    target=target,
                    body=call.upstream_body,
                    headers=headers,
                    timeouts=_timeouts(call, deployment),
                    max_response_bytes=call.settings.max_response_bytes,
                )
            )
            if response.status != 200:
                raise await _refusal(response, conversation)
        finally:
            call.upstream_s = time.perf_counter() - call.sent
        return response

    def succeed(self, call: Call, usage: Usage) -> None:
        """The answer came to its end."""
        if self._is_open:
            self._is_open = False
            waited_s = (
                self.first_token - call.sent if self.first_token else call.upstream_s / (usage.output_tokens or 1)
            )
            self._balancer.succeeded(self._state, self._routing, tokens=usage.total_tokens, latency=waited_s)

    def fail(self, call: Call, error: TollwayError) -> None:
        """It did not: noted in the call's trail, and against the deployment if that is to blame."""
        if not self._is_open:
            return
        self._is_open = False
        failure = failure_of(error)
        assert call.group is not None
        call.tried = (
            *call.tried,
            Tried(
                deployment_id=self.deployment.id,
                model_name=self.deployment.model_name,
                group=call.group.name,
                status=failure.status,
                error_class=failure.error_class,
                seconds=time.perf_counter() - call.sent if call.sent else 0.0,
            ),
        )
        is_alone = len(call.group.deployments) == 1
        self._balancer.failed(self._state, self.deployment, failure, self._routing, is_alone=is_alone)

    def leave(self) -> None:
        """Nobody waits for it any more, and nothing is known of how it would have ended."""
        if self._is_open:
            self._is_open = False
            self._balancer.left(self._state)


def below(target: str, path: str, query: str = "") -> str:
    """A target with more of a path, and more of a query."""
    root, _, own = target.partition("?")
    queries = "&".join(part for part in (own, query) if part)
    return f"{root}{path}?{queries}" if queries else f"{root}{path}"


def _timeouts(call: Call, deployment: Deployment) -> Timeouts:
    """The deployment's, with what the caller or the kind of call changes."""
    timeouts, controls = deployment.timeouts, call.controls
    if call.request.is_stream:
        first_byte = controls.stream_timeout_s or timeouts.first_byte_of_stream
        if first_byte is not None:
            timeouts = msgspec.structs.replace(timeouts, first_byte=first_byte)
    if controls.timeout_s is not None:
        timeouts = msgspec.structs.replace(timeouts, total=call.seconds_left if call.tried else controls.timeout_s)
    return timeouts


def _with_mock(body: bytes, text: str) -> bytes:
    """Tells the built-in model what to answer."""
    return msgspec.json.encode({**read_fields(body), "demo": {"text": text}})


async def _refusal(response: UpstreamResponse, conversation: Conversation) -> UpstreamError:
    try:
        body = await response.read()
    finally:
        response.close()
    return conversation.refusal(response.status, body, passed_on(response.headers))
