"""Counting the tokens of a prompt before it is sent: by the provider where that is free, else here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec

from tollway.core.errors import TollwayError
from tollway.core.snapshot import Deployment, Endpoint, Operation, Timeouts, TransportName, Wrapping
from tollway.core.usage import Usage
from tollway.dialects.body import read_fields
from tollway.gateway.call import Call
from tollway.gateway.run import Gateway
from tollway.ports.transport import Transport, UpstreamRequest

Source = Literal["provider", "local_estimate"]

_TIMEOUTS = Timeouts(connect=2.0, first_byte=5.0, total=5.0)
_LONGEST_ANSWER = 1 << 16


class _Counted(msgspec.Struct, frozen=True):
    """What a provider's counting takes of a request, and where its answer has the number."""

    answer: str
    wrap: Callable[[bytes, Deployment], Any]


def _only(*names: str) -> Callable[[bytes, Deployment], dict[str, Any]]:
    return lambda body, deployment: {name: raw for name, raw in read_fields(body).items() if name in names}


_gemini = _only("contents", "systemInstruction", "tools", "toolConfig", "cachedContent")
_converse = _only("messages", "system", "toolConfig", "additionalModelRequestFields")

_COUNTED: dict[tuple[Operation, Wrapping], _Counted] = {
    ("messages", "none"): _Counted(
        "input_tokens", _only("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")
    ),
    ("messages", "amazon"): _Counted("inputTokens", lambda body, _: {"input": {"invokeModel": {"body": body}}}),
    ("converse", "none"): _Counted("inputTokens", lambda body, to: {"input": {"converse": _converse(body, to)}}),
    ("gemini", "none"): _Counted(
        "totalTokens",
        lambda body, to: {"generateContentRequest": {"model": f"models/{to.model}", **_gemini(body, to)}},
    ),
    ("responses", "none"): _Counted(
        "input_tokens",
        _only(
            "model",
            "input",
            "instructions",
            "tools",
            "tool_choice",
            "text",
            "reasoning",
            "parallel_tool_calls",
            "previous_response_id",
            "conversation",
            "truncation",
        ),
    ),
}


class TokenCounter:
    """Counts for callers that ask before they send."""

    def __init__(
        self,
        gateway: Gateway,
        transports: Mapping[TransportName, Transport],
        estimate: Callable[[bytes, str, str, Operation], Awaitable[Usage]],
    ) -> None:
        self._gateway = gateway
        self._transports = transports
        self._estimate = estimate

    async def count(self, call: Call) -> tuple[int, Source]:
        """The prompt's tokens, and who counted. Raises `TollwayError` for a model that the caller may not use."""
        deployment = await self._gateway.choose(call)
        conversation = call.conversation
        assert conversation is not None
        body = conversation.render_request(call)
        endpoint = deployment.endpoints.get(conversation.operation)
        if endpoint is not None and endpoint.for_counting is not None:
            try:
                counted = _COUNTED[conversation.operation, endpoint.wrapping]
                return await self._ask(endpoint.for_counting, deployment, counted, body), "provider"
            except (TimeoutError, TollwayError, msgspec.DecodeError):
                pass  # an estimate is a better answer than the provider's fault
        usage = await self._estimate(body, "", deployment.model, call.operation)
        return usage.input_tokens, "local_estimate"

    async def _ask(self, endpoint: Endpoint, deployment: Deployment, counted: _Counted, body: bytes) -> int:
        asked = msgspec.json.encode(counted.wrap(body, deployment))
        credential = endpoint.credential
        response = await self._transports[deployment.transport].send(
            UpstreamRequest(
                endpoint=endpoint,
                body=asked,
                headers=await credential(endpoint, asked) if credential is not None else (),
                timeouts=_TIMEOUTS,
                max_response_bytes=_LONGEST_ANSWER,
            )
        )
        try:
            answer = await response.read()
        finally:
            response.close()
        found = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
        return msgspec.json.decode(found.get(counted.answer, b""), type=int)
