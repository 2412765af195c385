"""From ledger records to the wire's rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from tollway.control.spend.dates import every_day
from tollway.control.spend.logs import DailySums
from tollway.core.money import dollars_from_nanos
from tollway.core.record import Record
from tollway.core.usage import Usage
from tollway.ports.spend import Days


def render_record(record: Record) -> dict[str, Any]:
    """One call as `/spend/logs` shows it."""
    answered_at = _time(record.first_token_at or record.ended_at)
    return {
        "request_id": record.response_id or record.call_id or record.record_id,
        "litellm_call_id": record.call_id,
        "call_type": record.call_type or record.kind,
        "api_key": record.key_hash,
        "spend": dollars_from_nanos(record.cost_nanos),
        "total_tokens": record.usage.total_tokens,
        "prompt_tokens": record.usage.input_tokens,
        "completion_tokens": record.usage.output_tokens,
        "startTime": _time(record.started_at),
        "endTime": _time(record.ended_at),
        "completionStartTime": answered_at,
        "request_duration_ms": (record.ended_at - record.started_at) // 1000,
        "model": record.model or record.model_group or "unknown",
        "model_id": record.model_id,
        "model_group": record.model_group,
        "custom_llm_provider": record.provider,
        "api_base": record.api_base,
        "user": record.user_id,
        "team_id": record.team_id or None,
        "organization_id": record.organization_id or None,
        "end_user": record.end_user,
        "agent_id": None,
        "billing_agent_id": None,
        "metadata": _metadata(record),
        "cache_hit": str(record.is_cached) if record.cache_key else "None",
        "cache_key": record.cache_key or "Cache OFF",
        "request_tags": list(record.tags),
        "requester_ip_address": record.client_ip or None,
        "messages": {},
        "response": {},
        "proxy_server_request": {},
        "session_id": record.session_id or record.trace_id or None,
        "status": "success" if record.is_success else "failure",
        "mcp_namespaced_tool_name": None,
        "created_at": _time(record.ended_at),
        "updated_at": _time(record.ended_at),
    }


def render_days(sums: DailySums, days: Days) -> list[dict[str, Any]]:
    """Spend per day, user, model and key, days without calls included."""
    rows: dict[str, dict[str, Any]] = {
        day: {"startTime": day, "spend": 0.0, "users": {}, "models": {}} for day in every_day(days)
    }
    for one in sums.totals:
        rows[one.group[0]]["spend"] = dollars_from_nanos(one.spend_nanos)
    for name, some in (("users", sums.users), ("models", sums.models)):
        for one in some:
            rows[one.group[0]][name][one.group[1]] = dollars_from_nanos(one.spend_nanos)
    for one in sums.keys:
        rows[one.group[0]][one.group[1]] = dollars_from_nanos(one.spend_nanos)
    return list(rows.values())


def _metadata(record: Record) -> dict[str, Any]:
    trail = msgspec.json.decode(record.attempts) if record.attempts else []
    return {
        "user_api_key": record.key_hash,
        "user_api_key_alias": record.key_alias or None,
        "user_api_key_user_id": record.user_id or None,
        "user_api_key_team_id": record.team_id or None,
        "user_api_key_org_id": record.organization_id or None,
        "requester_metadata": _json(record.metadata),
        "requester_ip_address": record.client_ip or None,
        "user_agent": record.user_agent or None,
        "status": "success" if record.is_success else "failure",
        "applied_guardrails": [],
        "usage_object": _usage(record.usage),
        "usage_is_estimated": record.usage.is_estimated,
        "cost_is_known": record.is_priced,
        "cost_breakdown": {"total_cost": dollars_from_nanos(record.cost_nanos)},
        "litellm_overhead_time_ms": record.overhead_us / 1000,
        "litellm_call_id": record.call_id,
        "saved_cache_cost": dollars_from_nanos(record.saved_nanos),
        "attempts": [one for one in trail if "skipped" not in one],
        "skipped_deployments": [one for one in trail if "skipped" in one],
        "error_information": None if record.is_success else _error(record),
    }


def _error(record: Record) -> dict[str, Any]:
    return {
        "error_code": str(record.status_code),
        "error_class": record.error_class,
        "error_type": record.error_type,
        "error_message": record.error_message,
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_creation_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
            "audio_tokens": usage.input_audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
        },
    }


def _json(document: bytes) -> Any:
    try:
        return msgspec.json.decode(document) if document else {}
    except msgspec.DecodeError:
        return {}


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
