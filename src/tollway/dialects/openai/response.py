"""Whole answers: learn what is needed, rename the model, keep every other byte."""

from __future__ import annotations

import msgspec

from tollway.dialects.body import Fields, read_fields
from tollway.dialects.identity import Reply
from tollway.dialects.openai.wire import Answer, read_answer, read_text, usage_from_wire

_encode = msgspec.json.Encoder().encode


def read_reply(body: bytes, public_model: str, *, counts_text: bool = True) -> Reply:
    """Renames the model of an answer. Raises `msgspec.DecodeError` if it is not a JSON object."""
    answer = read_answer(body)
    if answer.model is not None and answer.model != public_model:
        body = _rename(body, answer, public_model)
    usage = usage_from_wire(answer.usage, answer.service_tier) if answer.usage is not None else None
    if usage is None or not usage.total_tokens:
        return Reply(body, answer.id or "", None, read_text(body)[0] if counts_text else "")
    return Reply(body, answer.id or "", usage)


def _rename(body: bytes, answer: Answer, public_model: str) -> bytes:
    """Replaces the model's name in place, so that the rest stays byte for byte what the vendor sent."""
    old, new = _encode(answer.model), _encode(public_model)
    for separator in (b":", b": "):
        token = b'"model"' + separator + old
        at = body.find(token)
        if at >= 0:
            return body[:at] + b'"model"' + separator + new + body[at + len(token) :]
    fields: Fields = read_fields(body)
    fields["model"] = msgspec.Raw(new)
    return _encode(fields)
