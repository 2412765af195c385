"""`StandardLoggingPayload`: a call as those who are told about it get it.

Wire contract: callbacks-and-guardrails §2. Made after the answer has ended, aside from the calls in flight. No header
of the caller is in it, and no field of the body that may be a credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tollway.callbacks.answers import document_of
from tollway.core.money import dollars_from_nanos
from tollway.core.principal import Principal
from tollway.core.record import Record
from tollway.core.snapshot import Operation
from tollway.ports.callbacks import Event

REDACTED = "redacted-by-litellm"
_LONGEST_BODY = 4 * 1024 * 1024
_TOO_LARGE = "too large to be reported"
_CONVERSATIONS = ("messages", "input", "contents", "prompt", "query")
_NO_PARAMETERS = frozenset(
    {*_CONVERSATIONS, "model", "metadata", "litellm_metadata", "tags", "cache", "system", "instructions",
     "extra_headers", "headers", "proxy_server_request", "systemInstruction", "system_instruction", "no-log",
     "mock_response", "extra_body", "drop_params", "fallbacks", "num_retries", "timeout", "router_settings",
     "guardrails"}
)  # fmt: skip
_SECRET_ENDS = ("api_key", "secret", "_token", "password", "credentials", "_key", "_key_id")
_SECRET_STARTS = ("aws_", "azure_", "vertex_", "litellm_")
_decode = msgspec.json.Decoder().decode


class Heard(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call that has ended, before anything is made of it."""

    record: Record
    operation: Operation
    principal: Principal
    spent_nanos: int | None
    body: bytes
    """As the caller sent it; empty: too large to be kept."""
    traceparent: str = ""
    """Of the caller's span (W3C Trace Context); empty: none."""
    answer: bytes
    """All that the client got; empty: nothing, or too much."""
    redacts_messages: bool
    redacts_key_info: bool
    left_out: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return 2000 + len(self.body) + len(self.answer)


def kept_body(body: bytes) -> bytes:
    """The body of a request, if it is small enough to wait for somebody."""
    return body if len(body) <= _LONGEST_BODY else b""


def event_of(heard: Heard, *, redacts: bool) -> Event:
    """What is told of a call. `redacts`: without messages and answer."""
    payload = _payload(heard, redacts=redacts or heard.redacts_messages)
    for name in heard.left_out:
        payload.pop(name, None)
    record = _nobodys(heard.record) if heard.redacts_key_info else heard.record
    return Event(record=record, payload=payload)


def _payload(heard: Heard, *, redacts: bool) -> dict[str, Any]:
    record, usage = heard.record, heard.record.usage
    fields = _fields(heard.body)
    cost = dollars_from_nanos(record.cost_nanos)
    status = "success" if record.is_success else "failure"
    return {
        "id": record.response_id or record.call_id,
        "trace_id": record.trace_id or record.call_id,
        "session_id": record.session_id or None,
        "litellm_call_id": record.call_id,
        "call_type": record.call_type,
        "stream": record.is_stream,
        "response_cost": cost,
        "cost_breakdown": {"total_cost": cost, "service_tier": usage.service_tier or None},
        "response_cost_failure_debug_info": None,
        "status": status,
        "status_fields": {"llm_api_status": status, "guardrail_status": "not_run"},
        "custom_llm_provider": record.provider,
        "total_tokens": usage.total_tokens,
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "startTime": record.started_at / 1e6,
        "endTime": record.ended_at / 1e6,
        "completionStartTime": (record.first_token_at or record.ended_at) / 1e6,
        "response_time": (record.ended_at - record.started_at) / 1e6,
        "model_map_information": {"model_map_key": record.model, "model_map_value": None},
        "model": record.model,
        "model_id": record.model_id,
        "model_group": record.model_group,
        "api_base": record.api_base,
        "metadata": _metadata(heard),
        "cache_hit": record.is_cached,
        "cache_key": record.cache_key or None,
        "saved_cache_cost": dollars_from_nanos(record.saved_nanos),
        "request_tags": list(record.tags),
        "end_user": record.end_user,
        "requester_ip_address": record.client_ip or None,
        "user_agent": record.user_agent or None,
        "messages": [{"role": "user", "content": REDACTED}] if redacts else _messages(heard, fields),
        "response": {"text": REDACTED} if redacts else _response(heard),
        "error_str": record.error_message or None,
        "error_information": _error(record),
        "model_parameters": _parameters(fields, redacts=redacts),
        "hidden_params": _hidden(record, cost),
        "guardrail_information": None,
        "standard_built_in_tools_params": None,
    }


def _fields(body: bytes) -> dict[str, Any]:
    try:
        found = _decode(body) if body else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _messages(heard: Heard, fields: Mapping[str, Any]) -> Any:
    if not heard.body:
        return [{"role": "user", "content": _TOO_LARGE}]
    name = next((one for one in _CONVERSATIONS if one in fields), None)
    if name is None:
        return None
    asked = fields[name]
    system = fields.get("system") or fields.get("instructions")
    if system and isinstance(asked, list):
        return [{"role": "system", "content": system}, *asked]
    return asked


def _response(heard: Heard) -> Any:
    return document_of(heard.answer, heard.operation, is_stream=heard.record.is_stream)


def _parameters(fields: Mapping[str, Any], *, redacts: bool) -> dict[str, Any]:
    return {
        name: value
        for name, value in fields.items()
        if name not in _NO_PARAMETERS
        and not name.lower().endswith(_SECRET_ENDS)
        and not name.lower().startswith(_SECRET_STARTS)
        and not (redacts and isinstance(value, dict | list))
    }


def _error(record: Record) -> dict[str, Any] | None:
    if record.is_success:
        return None
    return {
        "error_code": str(record.status_code),
        "error_class": record.error_class,
        "llm_provider": record.provider,
        "traceback": "",
        "error_message": record.error_message,
        "normalized_error": record.error_type,
    }


def _hidden(record: Record, cost: float) -> dict[str, Any]:
    usage = record.usage
    return {
        "model_id": record.model_id,
        "cache_key": record.cache_key or None,
        "api_base": record.api_base,
        "response_cost": cost,
        "litellm_overhead_time_ms": record.overhead_us / 1000,
        "additional_headers": None,
        "batch_models": None,
        "litellm_model_name": record.model,
        "usage_object": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        },
    }


def _metadata(heard: Heard) -> dict[str, Any]:
    record = heard.record
    sent = _fields(record.metadata)
    whose = {} if heard.redacts_key_info else _whose(heard)
    return {
        **whose,
        "user_api_key_end_user_id": record.end_user or None,
        "user_api_key_request_route": record.route,
        "spend_logs_metadata": sent.get("spend_logs_metadata"),
        "requester_ip_address": record.client_ip or None,
        "user_agent": record.user_agent or None,
        "requester_metadata": sent,
        "requester_custom_headers": {"traceparent": heard.traceparent} if heard.traceparent else {},
        "prompt_management_metadata": None,
        "mcp_tool_call_metadata": None,
        "vector_store_request_metadata": None,
        "applied_guardrails": [],
        "usage_object": None,
        "cold_storage_object_key": None,
    }


def _whose(heard: Heard) -> dict[str, Any]:
    record, own = heard.record, heard.principal.own
    budget = own.budget_nanos if own is not None else None
    return {
        "user_api_key_hash": record.key_hash,
        "user_api_key_alias": record.key_alias or None,
        "user_api_key_spend": None if heard.spent_nanos is None else dollars_from_nanos(heard.spent_nanos),
        "user_api_key_max_budget": None if budget is None else dollars_from_nanos(budget),
        "user_api_key_org_id": record.organization_id or None,
        "user_api_key_team_id": record.team_id or None,
        "user_api_key_team_alias": _label(heard.principal, "team"),
        "user_api_key_project_id": record.project_id or None,
        "user_api_key_user_id": record.user_id or None,
        "team_id": record.team_id or None,
        "team_alias": _label(heard.principal, "team"),
    }


def _label(principal: Principal, kind: str) -> str | None:
    return next((scope.label for scope in principal.scopes if scope.kind == kind and scope.label != kind), None)


def _nobodys(record: Record) -> Record:
    nobody = dict.fromkeys(("key_hash", "key_alias", "user_id", "team_id", "organization_id", "project_id"), "")
    return msgspec.structs.replace(record, **nobody)
