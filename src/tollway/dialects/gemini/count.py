"""countTokens. Source: https://ai.google.dev/api/tokens, checked 2026-11-26."""

from __future__ import annotations

import msgspec

from tollway.dialects.body import Fields
from tollway.dialects.gemini.fields import fields_of, in_camel_case
from tollway.dialects.gemini.parse import parse_request
from tollway.dialects.generation.request import Request

_encode = msgspec.json.Encoder().encode


def parse_count_request(fields: Fields, *, model: str) -> Request:
    """What is to be counted: `contents`, or a whole `generateContentRequest`. Raises `InvalidRequest`."""
    fields = in_camel_case(fields)
    whole = fields.get("generateContentRequest")
    if whole is not None:
        fields = fields_of(whole, "generateContentRequest")
    fields = {name: raw for name, raw in fields.items() if name != "model"}
    return parse_request(fields, model=model, is_stream=False)


def render_count(total_tokens: int) -> bytes:
    """The answer."""
    return _encode({"totalTokens": total_tokens, "promptTokensDetails": []})
