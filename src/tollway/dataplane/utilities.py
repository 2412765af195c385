"""`/utils/…`: what would be sent, what a model can be told, how long a prompt is. Nothing is called, nothing costs.

The wire contract gives the shapes (LiteLLM 1.106, "Utilities").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from tollway.core.errors import InvalidRequest, TollwayError, UnknownModel
from tollway.core.principal import Principal
from tollway.core.snapshot import Deployment, Operation
from tollway.dataplane.asgi import JSON, Receive, Scope, Send, respond
from tollway.dataplane.caller import Callers
from tollway.dialects.body import Fields, read_fields
from tollway.gateway.call import Call
from tollway.gateway.conversation import converse
from tollway.gateway.counting import TokenCounter
from tollway.gateway.explain import explain
from tollway.gateway.run import Gateway

_CALL_TYPES: dict[str, Operation] = {
    "completion": "chat",
    "acompletion": "chat",
    "text_completion": "completions",
    "atext_completion": "completions",
    "embedding": "embeddings",
    "aembedding": "embeddings",
    "responses": "responses",
    "aresponses": "responses",
    "anthropic_messages": "messages",
    "generate_content": "gemini",
    "agenerate_content": "gemini",
}
_PUBLIC_HEADERS = frozenset(
    {"content-type", "accept-encoding", "user-agent", "anthropic-version", "openai-organization"}
)
"""Headers that can be shown; whatever else a deployment has may be a secret."""

_DESCRIBED = ("raw_request_api_base", "raw_request_body", "raw_request_headers", "error")

_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
_SAMPLES: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.1,
    "logit_bias": {"1": 1},
    "logprobs": True,
    "max_completion_tokens": 10,
    "max_tokens": 10,
    "modalities": ["text"],
    "n": 2,
    "parallel_tool_calls": True,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": 0.1,
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "seed": 1,
    "service_tier": "auto",
    "stop": ["x"],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "tool_choice": "auto",
    "tools": [_TOOL],
    "top_logprobs": 1,
    "top_p": 0.5,
    "user": "u",
    "verbosity": "low",
    "web_search_options": {},
}
"""OpenAI's parameters, each with a value to try it with."""
_TOGETHER = {
    "tool_choice": "tools",
    "parallel_tool_calls": "tools",
    "top_logprobs": "logprobs",
    "stream_options": "stream",
}
"""Parameters that mean something only beside another."""


class UtilityPages:
    """Questions about models."""

    def __init__(self, gateway: Gateway, counter: TokenCounter, callers: Callers) -> None:
        self._gateway = gateway
        self._counter = counter
        self._callers = callers

    async def token_counter(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """Tokens of a prompt, messages or contents for a model."""
        principal = await self._callers.principal(scope)
        fields = read_fields(await self._callers.body(scope, receive))
        operation = _operation_of(fields)
        if operation == "chat" and "messages" not in fields:
            raise InvalidRequest("Give one of 'prompt', 'messages' and 'contents'.", param="messages")
        call = self._callers.call(scope, principal, fields, operation, _text(fields, "model"))
        tokens, source = await self._counter.count(call)
        deployment = call.deployment
        assert deployment is not None
        answer = {
            "total_tokens": tokens,
            "request_model": call.requested_model,
            "model_used": deployment.model,
            "tokenizer_type": f"{deployment.provider}_api" if source == "provider" else "openai_tokenizer",
            "count_source": source,
            "original_response": None,
            "error": False,
            "error_message": None,
            "status_code": None,
        }
        await respond(send, 200, [JSON], msgspec.json.encode(answer))

    async def route(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """Where a call with this body would go now, and why."""
        principal = await self._callers.principal(scope)
        body = await self._callers.body(scope, receive)
        fields = read_fields(body)
        operation = _operation_of(fields)
        if operation == "chat" and "messages" not in fields:
            fields = {**fields, "messages": msgspec.Raw(b"[]")}
        call = self._callers.call(scope, principal, fields, operation, _text(fields, "model"))
        call.raw_body = body
        await respond(send, 200, [JSON], msgspec.json.encode(await explain(self._gateway, call)))

    async def supported_params(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """Which of OpenAI's parameters a model can be told."""
        principal = await self._callers.principal(scope)
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("model", [""])[0]
        try:
            deployment = await self._gateway.choose(self._chat(scope, principal, asked, {}))
        except UnknownModel:
            body = {"detail": {"error": f"Could not map model={asked}"}}
            await respond(send, 400, [JSON], msgspec.json.encode(body))
            return
        names = [name for name in _SAMPLES if self._is_understood(scope, principal, deployment, name)]
        await respond(send, 200, [JSON], msgspec.json.encode({"supported_openai_params": names}))

    async def transform_request(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """The request that the provider would get, secrets left out; an error as a text, since nothing failed."""
        principal = await self._callers.principal(scope)
        wanted = _decode(await self._callers.body(scope, receive))
        answer: dict[str, Any] = dict.fromkeys(
            ("raw_request_api_base", "raw_request_body", "raw_request_headers", "error")
        )
        try:
            operation = _CALL_TYPES.get(wanted.call_type)
            if operation is None:
                raise InvalidRequest(f"'call_type' must be one of {', '.join(_CALL_TYPES)}.", param="call_type")
            call = self._callers.call(
                scope, principal, wanted.request_body, operation, _text(wanted.request_body, "model")
            )
            answer |= _described(call, await self._gateway.choose(call))
        except TollwayError as error:
            answer["error"] = error.message
        await respond(send, 200, [JSON], msgspec.json.encode(answer))

    def _chat(self, scope: Scope, principal: Principal, model: str, fields: Mapping[str, Any]) -> Call:
        body = {"model": model, "messages": [{"role": "user", "content": "x"}], **fields}
        return self._callers.call(scope, principal, read_fields(msgspec.json.encode(body)), "chat")

    def _is_understood(self, scope: Scope, principal: Principal, deployment: Deployment, name: str) -> bool:
        """Tries it: what the deployment cannot be told, the conversation says."""
        sample = {name: _SAMPLES[name]}
        if name in _TOGETHER:
            sample[_TOGETHER[name]] = _SAMPLES[_TOGETHER[name]]
        call = self._chat(scope, principal, deployment.group, sample)
        call.deployment = deployment
        call.requested_model = deployment.group
        conversation = converse(call, deployment)
        try:
            body = conversation.render_request(call)
        except InvalidRequest:
            return False
        if conversation.operation == "chat":
            return deployment.renamed.get(name, name) in read_fields(body)
        return _LOST_AS.get(name, name) not in conversation.dropped


_LOST_AS = {"reasoning_effort": "reasoning"}
"""Where a loss has another name than the parameter."""


class _Wanted(msgspec.Struct, gc=False):
    call_type: str
    request_body: dict[str, msgspec.Raw]


def _decode(body: bytes) -> _Wanted:
    try:
        return msgspec.json.decode(body, type=_Wanted)
    except msgspec.DecodeError:
        raise InvalidRequest("Send 'call_type' (a string) and 'request_body' (an object).", param="call_type") from None


def _operation_of(fields: Fields) -> Operation:
    if "contents" in fields:
        return "gemini"
    return "completions" if "prompt" in fields else "chat"


def _text(fields: Fields, name: str) -> str | None:
    try:
        return msgspec.json.decode(fields.get(name, b"null"), type=str | None)
    except msgspec.DecodeError:
        raise InvalidRequest(f"'{name}' must be a string.", param=name) from None


def _described(call: Call, deployment: Deployment) -> dict[str, Any]:
    conversation = call.conversation
    assert conversation is not None
    body = conversation.render_request(call)
    endpoint = deployment.endpoints[conversation.operation]
    if call.request.is_stream and endpoint.for_streams is not None:
        endpoint = endpoint.for_streams
    origin = endpoint.origin
    headers = {
        name: value if name.lower() in _PUBLIC_HEADERS else "*****"
        for name, value in (*endpoint.headers, *conversation.passed_headers)
    }
    return {
        "raw_request_api_base": f"{origin.scheme}://{origin.host}:{origin.port}{endpoint.target}",
        "raw_request_body": msgspec.Raw(body),
        "raw_request_headers": headers,
    }
