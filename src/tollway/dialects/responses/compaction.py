"""Compaction where the provider has none: the model sums the conversation up, and an opaque item stands for that.

Pure: sealing and opening are handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest, UpstreamError
from tollway.dialects.body import Fields
from tollway.dialects.responses.items import output_parts
from tollway.dialects.responses.response import item_id
from tollway.dialects.responses.state import input_of
from tollway.dialects.responses.wire import ResponseWire, read_item, read_response, read_typed

Seal = Callable[[str], str]
Open = Callable[[str], str | None]

MARK = "tollway.summary."
"""What `encrypted_content` of such an item begins with; a provider's own is its own business."""

_ASKED = (
    "Sum up the whole conversation so far, so that it can go on from your summary alone. Keep every fact, decision, "
    "name, number, file and open task that may still matter, what tools found, and what the user wants and forbids. "
    "Answer with the summary and nothing else."
)
_SUMMED_UP = "This is a summary of our conversation so far. Go on from it.\n\n"

_encode = msgspec.json.Encoder().encode


def summing_up(fields: Fields) -> Fields:
    """The request that asks for a summary of what another one would have asked about."""
    asked = {name: raw for name, raw in fields.items() if name not in ("text", "stream", "store")}
    if "tools" in asked:
        asked["tool_choice"] = msgspec.Raw(b'"none"')
    asked["input"] = msgspec.Raw(_encode([*input_of(fields), _message(_ASKED)]))
    return asked


def compacted(answer: bytes, seal: Seal) -> bytes:
    """The compaction in an answer to that."""
    wire: ResponseWire = read_response(answer)
    text = "".join(getattr(part, "text", "") for raw in wire.output for part in _said(raw))
    if not text:
        raise UpstreamError(
            "litellm.APIError: The model gave no summary of the conversation.",
            error_class="APIError",
            upstream_status=200,
            is_retryable=True,
        )
    name = wire.id or ""
    item = {"id": item_id("cmp", name, 0), "type": "compaction", "encrypted_content": MARK + seal(text)}
    usage = msgspec.json.decode(answer, type=dict[str, msgspec.Raw]).get("usage")
    return _encode(
        {
            "id": name,
            "object": "response.compaction",
            "created_at": int(wire.created_at or 0),
            "output": [item],
            "usage": usage,
        }
    )


def expanded(fields: Fields, open_sealed: Open) -> Fields:
    """A request with the summaries that such items stand for. Raises `InvalidRequest` for one that does not open."""
    raw = fields.get("input")
    if raw is None or MARK.encode() not in bytes(raw):
        return fields
    items = [_expanded(item, open_sealed) for item in input_of(fields)]
    return {**fields, "input": msgspec.Raw(_encode(items))}


def _expanded(item: msgspec.Raw, open_sealed: Open) -> Any:
    if MARK.encode() not in bytes(item) or read_typed(item).type != "compaction":
        return item
    sealed = read_item(item).encrypted_content or ""
    if not sealed.startswith(MARK):
        return item
    text = open_sealed(sealed.removeprefix(MARK))
    if text is None:
        raise InvalidRequest(
            "input: this compaction is damaged, or belongs to somebody else. Leave it out, or make a new one.",
            param="input",
        )
    return _message(_SUMMED_UP + text)


def _said(item: msgspec.Raw) -> list[Any]:
    return output_parts(item) if read_typed(item).type == "message" else []


def _message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
