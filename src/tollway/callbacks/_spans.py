"""Calls as spans, in OpenTelemetry's words for generative AI, and in OTLP's JSON.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding (2026-11-26): ids are hexadecimal, integers are text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from tollway.callbacks._trace import costs, failure, parameters, said, tags, trace_id
from tollway.core.record import Record
from tollway.ports.callbacks import Event

_CLIENT, _ERROR = 3, 2
_NANOS = 1000
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_NOTHING = re.compile(r"0+")
_OPERATIONS = {
    "acompletion": "chat",
    "completion": "chat",
    "atext_completion": "text_completion",
    "text_completion": "text_completion",
    "aembedding": "embeddings",
    "embedding": "embeddings",
    "agenerate_content": "generate_content",
    "agenerate_content_stream": "generate_content",
}
"""From the contract's names of calls; all others are `chat`."""
_ASKED = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
    "n": "choice.count",
}
"""From parameters to what follows `gen_ai.request.`."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


def spans(event: Event, *, more: Mapping[str, Any], has_content: bool) -> Iterator[dict[str, Any]]:
    """The call, then each attempt of it that failed. `more`: attributes besides the usual ones."""
    record = event.record
    trace, parent = _ids(event)
    own = _span_id(record.record_id)
    attributes = {**_call(event), **(_content(event) if has_content else {}), **more}
    yield {
        "traceId": trace,
        "spanId": own,
        **({"parentSpanId": parent} if parent else {}),
        "name": f"{_operation(record)} {record.model or record.model_group}".strip(),
        "kind": _CLIENT,
        "startTimeUnixNano": str(record.started_at * _NANOS),
        "endTimeUnixNano": str(record.ended_at * _NANOS),
        "attributes": attributes_of(attributes),
        "status": {} if record.is_success else {"code": _ERROR, "message": failure(event)},
    }
    began = record.started_at
    for number, attempt in enumerate(_attempts(record)):
        ended = min(began + int(float(attempt.get("seconds") or 0) * 1e6), record.ended_at)
        yield {
            "traceId": trace,
            "spanId": _span_id(f"{record.record_id} {number}"),
            "parentSpanId": own,
            "name": f"attempt {attempt.get('model') or ''}".strip(),
            "kind": _CLIENT,
            "startTimeUnixNano": str(began * _NANOS),
            "endTimeUnixNano": str(ended * _NANOS),
            "attributes": attributes_of(_attempt(attempt)),
            "status": {"code": _ERROR, "message": str(attempt.get("error_class") or "")},
        }
        began = ended


def attributes_of(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that have a value, in OTLP's form."""
    return [{"key": name, "value": _value(value)} for name, value in given.items() if value not in (None, "", [])]


def json_text(value: Any) -> str | None:
    """For attributes that hold JSON; None for nothing."""
    return None if value in (None, [], {}) else value if isinstance(value, str) else _encode(value).decode()


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": value if isinstance(value, str) else _encode(value).decode()}


def _call(event: Event) -> dict[str, Any]:
    record, used = event.record, event.record.usage
    response = event.payload.get("response")
    answer = response if isinstance(response, dict) else {}
    spent = costs(event)
    where = urlsplit(record.api_base)
    return {
        "gen_ai.operation.name": _operation(record),
        "gen_ai.provider.name": record.provider,
        "gen_ai.system": record.provider,
        "gen_ai.request.model": record.model or record.model_group,
        **_asked(event),
        "gen_ai.response.id": answer.get("id") if isinstance(answer.get("id"), str) else record.response_id,
        "gen_ai.response.model": answer.get("model") if isinstance(answer.get("model"), str) else record.model,
        "gen_ai.response.finish_reasons": _finish_reasons(answer),
        "gen_ai.usage.input_tokens": used.input_tokens or None,
        "gen_ai.usage.output_tokens": used.output_tokens or None,
        "gen_ai.usage.cache_read.input_tokens": used.cache_read_tokens or None,
        "gen_ai.usage.cache_creation.input_tokens": used.cache_write_tokens + used.cache_write_1h_tokens or None,
        "gen_ai.cost.total_cost": spent.get("total"),
        "gen_ai.cost.input_cost": spent.get("input"),
        "gen_ai.cost.output_cost": spent.get("output"),
        "gen_ai.conversation.id": record.session_id,
        "server.address": where.hostname,
        "server.port": where.port,
        "user.id": record.end_user,
        "error.type": None if record.is_success else record.error_class or str(record.status_code),
        "http.response.status_code": record.status_code,
        "tollway.call_id": record.call_id,
        "tollway.model_group": record.model_group,
        "tollway.model_id": record.model_id,
        "tollway.time_to_first_token": (record.first_token_at - record.started_at) / 1e6
        if record.first_token_at
        else None,
        "tollway.cache_hit": record.is_cached or None,
        "tollway.tags": tags(event),
        **_owners(event),
    }


def _owners(event: Event) -> dict[str, Any]:
    """Whose call it was, as the contract names it, below `metadata.`."""
    told = event.payload.get("metadata")
    return {
        f"metadata.{name}": value
        for name, value in (told.items() if isinstance(told, dict) else ())
        if name.startswith("user_api_key_") and isinstance(value, (str, int, float))
    }


def _attempt(attempt: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "gen_ai.request.model": attempt.get("model"),
        "error.type": attempt.get("error_class"),
        "http.response.status_code": attempt.get("status") or None,
        "tollway.model_group": attempt.get("model_group"),
        "tollway.model_id": attempt.get("model_id"),
    }


def _attempts(record: Record) -> list[dict[str, Any]]:
    """Those that were made; deployments that were passed over took no time."""
    try:
        listed = msgspec.json.decode(record.attempts) if record.attempts else []
    except msgspec.DecodeError:
        return []
    return [one for one in listed if isinstance(one, dict) and "skipped" not in one]


def _operation(record: Record) -> str:
    return _OPERATIONS.get(record.call_type, "chat")


def _asked(event: Event) -> dict[str, Any]:
    given = parameters(event)
    found = {f"gen_ai.request.{_ASKED[name]}": value for name, value in given.items() if name in _ASKED}
    stop = given.get("stop")
    return {**found, "gen_ai.request.stop_sequences": [stop] if isinstance(stop, str) else stop}


def _finish_reasons(answer: Mapping[str, Any]) -> list[str]:
    choices = answer.get("choices")
    listed = choices if isinstance(choices, list) else []
    found = [choice.get("finish_reason") for choice in listed if isinstance(choice, dict)]
    found += [answer.get("stop_reason"), answer.get("status")]
    return [reason for reason in found if isinstance(reason, str)]


def _content(event: Event) -> dict[str, Any]:
    response = event.payload.get("response")
    choices = response.get("choices") if isinstance(response, dict) else None
    listed = choices if isinstance(choices, list) else []
    said_back = [
        {**_message(choice["message"]), "finish_reason": choice.get("finish_reason") or "stop"}
        for choice in listed
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict)
    ]
    messages = event.payload.get("messages")
    asked = (
        [_message(one) if isinstance(one, dict) else one for one in messages]
        if isinstance(messages, list)
        else messages
    )
    return {"gen_ai.input.messages": json_text(asked), "gen_ai.output.messages": json_text(said_back or response)}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of a chat in the convention's parts."""
    content = message.get("content")
    role = str(message.get("role") or "user")
    if role == "tool":
        answered = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return {"role": role, "parts": [answered]}
    parts: list[Any] = [{"type": "text", "content": content}] if isinstance(content, str) else []
    parts += [_part(part) for part in content] if isinstance(content, list) else []
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            named = {"name": function.get("name"), "arguments": function.get("arguments")}
            parts.append({"type": "tool_call", "id": call.get("id"), **named})
    return {"role": role, "parts": parts}


def _part(part: Any) -> Any:
    is_text = isinstance(part, dict) and part.get("type") == "text"
    return {"type": "text", "content": part.get("text")} if is_text else part


def _ids(event: Event) -> tuple[str, str]:
    """Of the trace, and of the caller's span, empty if there is none: from its `traceparent`, if it sent one."""
    for given in _parents(event):
        found = _TRACEPARENT.fullmatch(given.strip().lower())
        if found and not _NOTHING.fullmatch(found[1]) and not _NOTHING.fullmatch(found[2]):
            return found[1], found[2]
    return _trace_id(trace_id(event)), ""


def _parents(event: Event) -> Sequence[str]:
    told = event.payload.get("metadata")
    headers = told.get("requester_custom_headers") if isinstance(told, dict) else None
    places = (said(event), headers if isinstance(headers, dict) else {})
    return [found for place in places if isinstance(found := place.get("traceparent"), str)]


def _trace_id(named: str) -> str:
    """The name itself where it has the form of one, or always the same one for it."""
    try:
        given = UUID(named).hex
    except ValueError:
        return sha256(named.encode("utf-8", "replace")).hexdigest()[:32]
    return given if not _NOTHING.fullmatch(given) else sha256(named.encode()).hexdigest()[:32]


def _span_id(named: str) -> str:
    return sha256(named.encode()).hexdigest()[:16]
