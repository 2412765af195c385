"""The rules for a stream of the Messages API, as a checker: what Anthropic's SDKs and Claude Code rely on.

Each event is held against the SDK's own types besides; `message_start` comes once and first, one block is open at a
time, indices rise by one, a delta is of its block's kind, `message_delta` and `message_stop` come once and last. An
error may come at any place, and ends everything.
"""

from __future__ import annotations

import json
from typing import Any

from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from tollway.dialects.sse import EventReader

_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}


class Illegal(AssertionError):
    """A sequence that no client should see."""


def check_stream(stream: bytes, *, reads_inputs: bool = True) -> list[dict[str, Any]]:
    """The events of a stream. Raises `Illegal` at the first that may not stand where it does.

    `reads_inputs`: the inputs of tools must be JSON when they are whole; not so if the vendor's own were not.
    """
    checker = _Checker(reads_inputs)
    documents: list[dict[str, Any]] = []
    for name, data in EventReader().feed(stream):
        document: dict[str, Any] = json.loads(data)
        if name.decode() != document["type"]:
            raise Illegal(f"the event {name!r} is of the type {document['type']}")
        checker.take(document)
        documents.append(document)
    if not checker.is_over:
        raise Illegal("it has no end")
    return documents


class _Checker:
    def __init__(self, reads_inputs: bool) -> None:
        self._reads_inputs = reads_inputs
        self.is_over = False
        self._is_started = False
        self._is_stopped = False
        self._open: str | None = None
        self._input = ""
        self._blocks = 0

    def take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if self.is_over:
            raise Illegal(f"{kind} after the end")
        if kind == "error":
            if not isinstance(event["error"]["message"], str) or not event["error"]["type"]:
                raise Illegal("an error has a type and a message")
            self.is_over = True
            return
        if (kind == "message_start") == self._is_started:
            raise Illegal(f"{kind} out of order")
        if kind == "ping":
            return
        _EVENT.validate_python(event)
        if self._is_stopped and kind != "message_stop":
            raise Illegal(f"{kind} after message_delta")
        getattr(self, f"_{kind}")(event)

    def _message_start(self, event: dict[str, Any]) -> None:
        self._is_started = True
        if event["message"]["content"] or event["message"]["stop_reason"] is not None:
            raise Illegal("a message begins empty")

    def _content_block_start(self, event: dict[str, Any]) -> None:
        block = event["content_block"]
        if self._open is not None:
            raise Illegal("two blocks are open")
        if event["index"] != self._blocks:
            raise Illegal("indices rise by one")
        if block["type"] == "tool_use" and block["input"] != {}:
            raise Illegal("a tool's input comes in pieces")
        self._open, self._input = block["type"], ""

    def _content_block_delta(self, event: dict[str, Any]) -> None:
        delta = event["delta"]
        if self._open is None or event["index"] != self._blocks:
            raise Illegal("a delta of a block that is not open")
        if delta["type"] not in _DELTAS.get(self._open, ()):
            raise Illegal(f"{delta['type']} in a block {self._open}")
        self._input += delta.get("partial_json", "")

    def _content_block_stop(self, event: dict[str, Any]) -> None:
        if self._open is None or event["index"] != self._blocks:
            raise Illegal("a block ends that is not open")
        if self._reads_inputs and self._input:
            json.loads(self._input)
        self._open = None
        self._blocks += 1

    def _message_delta(self, event: dict[str, Any]) -> None:
        if self._open is not None:
            raise Illegal("a block is open at the end")
        if not event["delta"]["stop_reason"] or "output_tokens" not in event["usage"]:
            raise Illegal("the end has a reason and the usage")
        self._is_stopped = True

    def _message_stop(self, event: dict[str, Any]) -> None:
        if not self._is_stopped:
            raise Illegal("message_stop without message_delta")
        self.is_over = True
