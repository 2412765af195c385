"""`/v1/messages/count_tokens` and Gemini's `:countTokens`: what a prompt would cost, asked before it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tollway.core.snapshot import Operation, Settings
from tollway.dataplane.asgi import JSON, Receive, Scope, Send, read_body, respond
from tollway.dataplane.controls import read_controls
from tollway.dialects.body import Fields, read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.call import Call
from tollway.gateway.counting import TokenCounter
from tollway.policy import access
from tollway.policy.auth import Authenticator, find_credential


class CountingPages:
    """Counting in the formats that have a route for it."""

    def __init__(
        self, *, counter: TokenCounter, authenticator: Authenticator, settings: Callable[[], Settings]
    ) -> None:
        self._counter = counter
        self._authenticator = authenticator
        self._settings = settings

    async def count_tokens(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """The number of tokens, and who counted them."""
        operation: Operation = "gemini" if scope["path"].endswith(":countTokens") else "messages"
        headers = dict(scope["headers"])
        settings = self._settings()
        principal = await self._authenticator.authenticate(find_credential(headers, key_header=settings.key_header))
        access.check_route(principal, scope["path"])
        access.check_inference(principal)
        call = Call(
            operation=operation,
            path=scope["path"],
            headers=headers,
            client_ip="",
            settings=settings,
            path_model=model,
        )
        call.principal = principal
        call.raw_body = await read_body(receive, headers, settings.max_request_bytes)
        fields = _completed(read_fields(call.raw_body), operation)
        call.controls = read_controls(fields, headers, principal, settings)
        call.request = find_identity(operation).read_request(fields, path_model=model, is_stream=False)
        tokens, source = await self._counter.count(call)
        await respond(send, 200, [JSON], msgspec.json.encode(_answer(operation, tokens, source)))


def _completed(fields: Fields, operation: Operation) -> Fields:
    """A request for counting as one that could be sent."""
    if operation == "messages":
        fields.setdefault("max_tokens", msgspec.Raw(b"1"))
        return fields
    whole = fields.get("generateContentRequest")
    return read_fields(bytes(whole)) if whole is not None else fields


def _answer(operation: Operation, tokens: int, source: str) -> dict[str, Any]:
    if operation == "messages":
        return {"input_tokens": tokens, "litellm_count_source": source}
    return {"totalTokens": tokens, "promptTokensDetails": [], "litellm_count_source": source}
