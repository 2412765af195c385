"""The `response` object around an answer: what was asked for is echoed, as the official types want it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.usage import Usage
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Message, Request, Text
from tollway.dialects.responses.parse import OFFLINE_SEARCH
from tollway.dialects.responses.render import reasoning_settings, text_settings
from tollway.dialects.responses.tools import render_tool_choice, render_tools
from tollway.dialects.responses.wire import usage_to_wire

_encode = msgspec.json.Encoder().encode

_ECHOED: tuple[tuple[str, Any], ...] = (
    # Fields that no other dialect has, and what they are where the request does not say.
    ("background", False),
    ("max_tool_calls", None),
    ("previous_response_id", None),
    ("prompt", None),
    ("prompt_cache_retention", None),
    ("safety_identifier", None),
    ("truncation", "disabled"),
)
_LONGEST_ID = 64
"""Longer ids of items are refused when they are sent back."""


def response_id(id: str) -> str:
    """An id with the prefix that clients look for."""
    return id if id.startswith("resp_") else f"resp_{id}"


def item_id(prefix: str, response: str, index: int) -> str:
    """The id of the item at an index: always the same for the same response."""
    tail = f"_{index}"
    root = response.removeprefix("resp_")
    return f"{prefix}_{root[: _LONGEST_ID - len(prefix) - 1 - len(tail)]}{tail}"


class ResponseWriter:
    """Writes the response object of one call, at each stage of it."""

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        self._head = b""
        self._tail = b""
        self.id = ""
        self.service_tier: str | None = None

    def begin(self, id: str, created: int) -> None:
        """What is known from the start."""
        self.id = id
        model = self._options.model
        self._head = b'{"id":%s,"object":"response","created_at":%d,"model":%s' % (
            _encode(id),
            created,
            _encode(model),
        )
        request = self._options.request
        echo = _echo(request if request is not None else Request(origin="responses", model=model, messages=[]))
        self._tail = b"," + _encode(echo)[1:]

    def render(
        self,
        status: str,
        items: Sequence[bytes],
        usage: Usage | None,
        *,
        reason: str | None = None,
        error: dict[str, str] | None = None,
    ) -> bytes:
        """The response object. `reason`: why it is incomplete."""
        state = {
            "status": status,
            "error": error,
            "incomplete_details": {"reason": reason} if reason is not None else None,
            "usage": usage_to_wire(usage) if usage is not None else None,
        }
        if self.service_tier is not None:
            state["service_tier"] = self.service_tier
        return b'%s,%s,"output":[%s]%s' % (self._head, _encode(state)[1:-1], b",".join(items), self._tail)


def _echo(request: Request) -> dict[str, Any]:
    extra = request.extra if request.origin == "responses" else {}
    choice = request.tool_choice
    text = text_settings(request)
    reasoning = reasoning_settings(request.reasoning) if request.reasoning is not None else {}
    offline = [extra[OFFLINE_SEARCH]] if OFFLINE_SEARCH in extra else []
    fields: dict[str, Any] = {
        "instructions": _instructions(request.messages),
        "max_output_tokens": request.max_output_tokens,
        "metadata": request.metadata if request.metadata is not None else {},
        "parallel_tool_calls": request.allows_parallel_tools is not False,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "store": request.store is not False,
        "temperature": request.temperature,
        "text": {"format": {"type": "text"}, **text},
        "tool_choice": render_tool_choice(choice, request.tools) if choice is not None else "auto",
        "tools": render_tools(request.tools, is_own=True) + offline,
        "top_logprobs": request.logprobs or 0,
        "top_p": request.top_p,
        "user": request.user,
    }
    fields |= {name: extra.get(name, otherwise) for name, otherwise in _ECHOED}
    for name in ("reasoning", "text", "tool_choice"):
        if name in extra:
            fields[name] = extra[name]
    if "conversation" in extra:  # its id in the request, an object in the response
        conversation = msgspec.json.decode(extra["conversation"])
        fields["conversation"] = {"id": conversation} if isinstance(conversation, str) else conversation
    return fields


def _instructions(messages: Sequence[Message]) -> str | None:
    """The text of the instructions that begin the request."""
    first = messages[0] if messages else None
    if first is None or first.role != "system" or first.is_developer:
        return None
    return "\n\n".join(part.text for part in first.parts if isinstance(part, Text))
