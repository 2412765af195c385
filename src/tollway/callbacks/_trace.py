"""What callers say about the trace that a call belongs to: the names that the contract takes from `metadata`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from tollway.core.money import NANOS_PER_DOLLAR
from tollway.core.record import Record
from tollway.ports.callbacks import Event


def said(event: Event) -> Mapping[str, Any]:
    """The caller's `metadata`; empty where there is none."""
    told = event.payload.get("metadata")
    found = told.get("requester_metadata") if isinstance(told, dict) else None
    if found is None and event.record.metadata:
        try:
            found = msgspec.json.decode(event.record.metadata)
        except msgspec.DecodeError:
            return {}
    return found if isinstance(found, dict) else {}


def text(told: Mapping[str, Any], *names: str) -> str | None:
    """The first of these fields that holds something that can be written."""
    for name in names:
        value = told.get(name)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and str(value):
            return str(value)
    return None


def tags(event: Event) -> list[str]:
    """Of the call, each once."""
    own = said(event).get("tags")
    listed = [*event.record.tags, *(own if isinstance(own, list) else ())]
    return list(dict.fromkeys(tag for tag in listed if isinstance(tag, str)))


def trace_id(event: Event) -> str:
    """Of the caller, or of the call where nobody named one."""
    record = event.record
    return text(said(event), "existing_trace_id", "trace_id") or record.trace_id or record.call_id or record.record_id


def moment(micros: int) -> str:
    """Epoch microseconds as ISO 8601, in UTC."""
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def token_classes(record: Record) -> dict[str, int]:
    """Tokens by classes that add up to `total`, those of 0 left out; named as Langfuse names them."""
    used = record.usage
    cached = used.cache_read_tokens + used.cache_write_tokens + used.cache_write_1h_tokens
    parts = {
        "input": max(used.input_tokens - cached - used.input_audio_tokens, 0),
        "cache_read_input_tokens": used.cache_read_tokens,
        "cache_creation_input_tokens": used.cache_write_tokens + used.cache_write_1h_tokens,
        "input_audio_tokens": used.input_audio_tokens,
        "output": max(used.output_tokens - used.reasoning_tokens - used.output_audio_tokens, 0),
        "output_reasoning_tokens": used.reasoning_tokens,
        "output_audio_tokens": used.output_audio_tokens,
        "total": used.total_tokens,
    }
    return {name: count for name, count in parts.items() if count}


def costs(event: Event) -> dict[str, float]:
    """Dollars by class, and in `total`; empty where nobody knows the price."""
    if not event.record.is_priced:
        return {}
    told = event.payload.get("cost_breakdown")
    shares = told if isinstance(told, dict) else {}
    named = {"input": shares.get("input_cost"), "output": shares.get("output_cost")}
    parts = {name: float(share) for name, share in named.items() if isinstance(share, (int, float))}
    return {**parts, "total": event.record.cost_nanos / NANOS_PER_DOLLAR}


def failure(event: Event) -> str:
    """Why a call failed; empty for a good one."""
    record = event.record
    if record.is_success:
        return ""
    return record.error_message or str(event.payload.get("error_str") or "") or record.error_class or record.error_type


def parameters(event: Event) -> dict[str, Any]:
    """What the model was asked to do besides answering."""
    told = event.payload.get("model_parameters")
    return dict(told) if isinstance(told, dict) else {}
