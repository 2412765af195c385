"""`/v1/messages/count_tokens`, `/v1/responses/input_tokens` and Gemini's `:countTokens`.

What a prompt would cost, asked before it is sent.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.snapshot import Operation
from tollway.dataplane.asgi import JSON, Receive, Scope, Send, respond
from tollway.dataplane.caller import Callers
from tollway.dialects.body import Fields, read_fields
from tollway.gateway.counting import TokenCounter

_BY_END: dict[str, Operation] = {
    ":countTokens": "gemini",
    "/input_tokens": "responses",
    "/count_tokens": "messages",
}


class CountingPages:
    """Counting in the formats that have a route for it."""

    def __init__(self, counter: TokenCounter, callers: Callers) -> None:
        self._counter = counter
        self._callers = callers

    async def count_tokens(self, scope: Scope, receive: Receive, send: Send, model: str | None) -> None:
        """The number of tokens, and who counted them."""
        operation = next(one for end, one in _BY_END.items() if scope["path"].endswith(end))
        principal = await self._callers.principal(scope)
        fields = _completed(read_fields(await self._callers.body(scope, receive)), operation)
        tokens, source = await self._counter.count(self._callers.call(scope, principal, fields, operation, model))
        await respond(send, 200, [JSON], msgspec.json.encode(_answer(operation, tokens, source)))


def _completed(fields: Fields, operation: Operation) -> Fields:
    """A request for counting as one that could be sent."""
    if operation == "messages":
        fields.setdefault("max_tokens", msgspec.Raw(b"1"))
        return fields
    if operation == "responses":
        return {name: raw for name, raw in fields.items() if name != "stream"}
    whole = fields.get("generateContentRequest", fields.get("generate_content_request"))
    return read_fields(bytes(whole)) if whole is not None else fields


def _answer(operation: Operation, tokens: int, source: str) -> dict[str, Any]:
    if operation == "messages":
        return {"input_tokens": tokens, "litellm_count_source": source}
    if operation == "responses":
        return {"object": "response.input_tokens", "input_tokens": tokens, "litellm_count_source": source}
    return {"totalTokens": tokens, "promptTokensDetails": [], "litellm_count_source": source}
