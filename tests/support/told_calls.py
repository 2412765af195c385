"""Calls as destinations of callbacks are told about them."""

from __future__ import annotations

import json
from typing import Any

from tests.support.records import NOON, make_record

from tollway.core.usage import Usage
from tollway.ports.callbacks import Event

MESSAGES = [{"role": "user", "content": "What is a toll?"}]
ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-2024-11-20",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A fee."}, "finish_reason": "stop"}],
}
USAGE = Usage(input_tokens=100, cache_read_tokens=60, output_tokens=30, reasoning_tokens=10)


def good_call(metadata: dict[str, Any] | None = None, **fields: Any) -> Event:
    """A stream that was answered; `metadata` is the caller's."""
    sample: dict[str, Any] = {
        "record_id": "0190-record",
        "call_id": "3f6c5a0e-7f0b-4d35-9a39-1a0d6f0e2b11",
        "response_id": "chatcmpl-1",
        "first_token_at": NOON + 100_000,
        "usage": USAGE,
        "cost_nanos": 1_500_000,
        "end_user": "customer-1",
        "tags": ("blue",),
        "api_base": "https://api.example.com/v1",
    }
    record = make_record(**sample | fields)
    payload = {
        "id": record.response_id,
        "messages": MESSAGES,
        "response": ANSWER,
        "model_parameters": {"temperature": 0.5, "max_tokens": 100, "stop": ["."]},
        "cost_breakdown": {"input_cost": 0.001, "output_cost": 0.0005},
        "metadata": {"user_api_key_alias": "search", "user_api_key_spend": 1.5, "requester_metadata": metadata or {}},
    }
    return Event(record=record, payload=payload)


def failed_call(**fields: Any) -> Event:
    """One that two deployments could not answer, and that passed over a third."""
    attempts = [
        {"model": "gpt-4o", "model_id": "a", "status": 500, "error_class": "InternalServerError", "seconds": 0.05},
        {"model": "gpt-4o", "model_id": "b", "status": 429, "error_class": "RateLimitError", "seconds": 0.1},
        {"model": "gpt-4o", "model_id": "c", "skipped": "cooling_down"},
    ]
    failed: dict[str, Any] = {
        "is_success": False,
        "status_code": 429,
        "error_class": "RateLimitError",
        "error_message": "slow down",
        "attempts": json.dumps(attempts),
    }
    event = good_call(**failed | fields)
    return Event(record=event.record, payload={**event.payload, "response": None})
