"""What the caller tells the gateway: fields and headers of the wire contract that no provider should see.

Reading them takes them out of the body, so that what is left is the provider's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest, Unauthenticated
from tollway.core.money import nanos_from_dollars
from tollway.core.principal import NO_SESSION_LIMITS, Principal, SessionLimits
from tollway.core.snapshot import Operation, Settings
from tollway.core.wishes import NO_WISHES
from tollway.dataplane import caching, wishes
from tollway.dataplane.extra_headers import read_extra_headers
from tollway.dialects.body import Fields
from tollway.gateway.call import Controls, Headers

HONOURED = frozenset(
    {
        "metadata",
        "litellm_metadata",
        "tags",
        "litellm_session_id",
        "litellm_trace_id",
        "litellm_call_id",
        "timeout",
        "request_timeout",
        "stream_timeout",
        *wishes.FIELDS,
        "router_settings",
        *caching.FIELDS,
        wishes.PRIORITY_FIELD,
        "mock_response",
        "extra_body",
        "no-log",
        "drop_params",
        "allowed_openai_params",
        "additional_drop_params",
        "extra_headers",
    }
)
"""Gateway fields this release acts on, or that mean nothing here (every field passes through anyway)."""

NOT_YET = frozenset(
    {
        "disable_global_guardrails",
        "enable_tag_filtering",
        "guardrails",
        "keepalive_seconds",
        "max_retries",
        "mock_delay",
        "mock_testing_content_policy_fallbacks",
        "mock_testing_context_fallbacks",
        "mock_testing_fallbacks",
        "mock_testing_rate_limit_error",
        "mock_timeout",
        "mock_tool_calls",
        "policies",
        "prompt_id",
        "prompt_label",
        "prompt_variables",
        "prompt_version",
        "specific_deployment",
    }
)
"""Taken out of the body and named in a warning header."""

_OWNED = HONOURED | NOT_YET

_SHARE_METADATA: frozenset[Operation] = frozenset({"messages", "responses"})
"""Formats whose `metadata` is the provider's. Callers put the gateway's there too, or into `litellm_metadata`."""

_FORBIDDEN = frozenset(
    {"api_key", "api_base", "base_url", "api_version", "model_list", "organization", "custom_llm_provider"}
)
_FORBIDDEN_PREFIXES = ("aws_", "vertex_", "azure_ad_", "langfuse_")
_NO_CONTROLS = Controls()

_MAX_NAME_BYTES = 1_000
"""Names of end users, tags and sessions are keys of indexes."""
_MAX_DOLLARS = 9_000_000_000
_MAX_CALLS = 2**63 - 1
"""More of either cannot be counted."""
_MAX_TAGS = 100
"""Each may have a budget to look up and to charge."""

_COMMON = frozenset(
    {
        "model", "messages", "prompt", "input", "stream", "stream_options", "temperature", "top_p", "n", "stop", "seed",
        "max_tokens", "max_completion_tokens", "tools", "tool_choice", "parallel_tool_calls", "response_format",
        "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "reasoning_effort",
        "encoding_format", "dimensions", "modalities", "audio", "prediction", "service_tier", "verbosity",
    }
)  # fmt: skip
"""Fields of the provider that say nothing to the gateway: a body with no others needs no closer look."""

_CONTRACT_HEADERS = frozenset(
    {
        b"x-litellm-customer-id",
        b"x-litellm-end-user-id",
        b"x-litellm-tags",
        b"x-litellm-session-id",
        b"x-litellm-trace-id",
    }
)
_EXPLAIN_HEADER = b"x-tollway-explain"
_SERVING_HEADERS = frozenset(
    {
        b"x-litellm-timeout",
        b"x-litellm-stream-timeout",
        wishes.RETRIES_HEADER,
        wishes.PRIORITY_HEADER,
        caching.HEADER,
        _EXPLAIN_HEADER,
    }
)
_STEPS_HEADER = b"x-tollway-session-max-steps"
_BUDGET_HEADER = b"x-tollway-session-max-budget"
_SESSION_LIMITS = frozenset({_STEPS_HEADER, _BUDGET_HEADER})
_HEADERS = _CONTRACT_HEADERS | _SERVING_HEADERS | _SESSION_LIMITS
_TRUE = msgspec.Raw(b"true")


def read_controls(
    fields: Fields, headers: Headers, principal: Principal, settings: Settings, operation: Operation = "chat"
) -> Controls:
    """Takes the gateway's own fields out of `fields`. In some formats `metadata` is the provider's too, and stays.

    Raises `Unauthenticated` for fields that would redirect the call or its credentials (the contract's 401), and
    `InvalidRequest` for a known field of the wrong type.
    """
    if fields.keys() <= _COMMON and headers.keys().isdisjoint(_HEADERS) and settings.user_header is None:
        return _plain(principal, principal.tags)
    _refuse_redirection(fields)
    owned = fields.keys() & _OWNED
    named_user = _end_user_header(headers, settings) or _text(fields, "user")
    tags = principal.tags
    tag_header = headers.get(b"x-litellm-tags")
    session = headers.get(b"x-litellm-session-id") or headers.get(b"x-litellm-trace-id")
    is_served_so = not headers.keys().isdisjoint(_SERVING_HEADERS)
    limits_session = not headers.keys().isdisjoint(_SESSION_LIMITS)
    if not owned and tag_header is None and session is None and not is_served_so and not limits_session:
        end_user = _short(named_user or _text(fields, "safety_identifier"), "user")
        return _plain(principal, tags, end_user)
    values = {name: fields.pop(name) for name in owned}
    if "router_settings" in values:
        values = wishes.spread(values)
    shares = operation in _SHARE_METADATA
    if "metadata" in values and (shares or fields.get("store") == _TRUE):
        # OpenAI keeps it with a stored completion, Anthropic reads the user in it.
        fields |= _of_provider(values["metadata"]) if shares else {"metadata": values["metadata"]}
    ours, theirs = values.get("litellm_metadata"), values.get("metadata")
    metadata_raw = (ours or theirs) if shares else (theirs or ours)
    metadata = _object(metadata_raw, "metadata")
    if "extra_body" in values:
        extra: Fields = _decode(values["extra_body"], "extra_body", dict[str, msgspec.Raw], "an object")
        _refuse_redirection(extra)
        fields.update(extra)
    for name in _names(values, "additional_drop_params"):
        fields.pop(name, None)
    trace_id = _latin(headers.get(b"x-litellm-trace-id")) or _value_text(
        values, "litellm_trace_id", metadata, "trace_id"
    )
    session_id = _latin(headers.get(b"x-litellm-session-id")) or _value_text(
        values, "litellm_session_id", metadata, "session_id"
    )
    session_id = _short(session_id or trace_id, "litellm_session_id")
    wanted = wishes.read_wishes(values, headers)
    return Controls(
        tags=_merge_tags(tags, values.get("tags"), metadata.get("tags"), tag_header),
        end_user=_short(named_user or _metadata_user(values, metadata) or _text(fields, "safety_identifier"), "user"),
        session_id=session_id,
        session_limits=_session_limits(headers, session_id) if limits_session else NO_SESSION_LIMITS,
        trace_id=trace_id,
        metadata=bytes(metadata_raw) if metadata_raw is not None else b"",
        timeout_s=_seconds(headers, "x-litellm-timeout", values, "timeout", "request_timeout")
        or principal.wishes.timeout_s,
        stream_timeout_s=_seconds(headers, "x-litellm-stream-timeout", values, "stream_timeout"),
        wishes=wanted.over(principal.wishes),
        named_fallbacks=tuple(wanted.named),
        priority=wishes.read_priority(values, headers),
        cache=caching.read_cache_control(values, headers, principal),
        mock_response=_mock(values),
        drops_params=_flag(values, "drop_params"),
        is_unreported=_flag(values, "no-log") is True,
        allowed_params=_names(values, "allowed_openai_params"),
        extra_headers=read_extra_headers(values["extra_headers"]) if "extra_headers" in values else (),
        explains=headers.get(_EXPLAIN_HEADER, b"").lower() in (b"1", b"true", b"yes"),
        ignored=tuple(sorted(owned & NOT_YET)),
    )


def _plain(principal: Principal, tags: tuple[str, ...], end_user: str = "") -> Controls:
    """Of a call that says nothing more to the gateway."""
    wanted = principal.wishes
    if wanted is not NO_WISHES:
        return Controls(tags=tags, end_user=end_user, wishes=wanted, timeout_s=wanted.timeout_s)
    return Controls(tags=tags, end_user=end_user) if end_user or tags else _NO_CONTROLS


def _refuse_redirection(fields: Fields) -> None:
    for name in fields:
        if name in _FORBIDDEN or name.startswith(_FORBIDDEN_PREFIXES):
            raise Unauthenticated(
                f"Authentication Error, Rejected Request: {name} is not allowed in request body. "
                "Set it on the deployment in the configuration instead.",
                param=name,
            )


def _end_user_header(headers: Headers, settings: Settings) -> str:
    value = headers.get(b"x-litellm-customer-id") or headers.get(b"x-litellm-end-user-id")
    if value is None and settings.user_header is not None:
        value = headers.get(settings.user_header.lower().encode())
    return _latin(value)


def _metadata_user(values: dict[str, msgspec.Raw], metadata: dict[str, Any]) -> str:
    ours = _object(values.get("litellm_metadata"), "litellm_metadata")
    found = ours.get("user") or metadata.get("user_id")
    return str(found) if isinstance(found, str | int) else ""


def _merge_tags(
    of_key: tuple[str, ...], raw: msgspec.Raw | None, of_metadata: object, header: bytes | None
) -> tuple[str, ...]:
    merged = dict.fromkeys(of_key)
    if raw is not None:
        wanted: list[str] | None = _decode(raw, "tags", list[str] | None, "a list of strings")
        merged |= dict.fromkeys(wanted or ())
    if isinstance(of_metadata, list):
        merged |= dict.fromkeys(tag for tag in of_metadata if isinstance(tag, str))
    if header is not None:
        merged |= dict.fromkeys(tag.strip() for tag in _latin(header).split(",") if tag.strip())
    if len(merged) > _MAX_TAGS:
        raise InvalidRequest(f"A call can have at most {_MAX_TAGS} tags, its key's included.", param="tags")
    return tuple(_short(tag, "tags") for tag in merged)


def _short(name: str, param: str) -> str:
    if len(name) * 4 > _MAX_NAME_BYTES and len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
        raise InvalidRequest(f"'{param}' must not be longer than {_MAX_NAME_BYTES} bytes.", param=param)
    return name


def _session_limits(headers: Headers, session_id: str) -> SessionLimits:
    """What the caller allows its session: never more than others do, since the least holds."""
    if not session_id:
        name = min(headers.keys() & _SESSION_LIMITS).decode()
        raise InvalidRequest(
            f"'{name}' limits a session, and this call names none. Name it with the header x-litellm-session-id.",
            param=name,
        )
    steps, dollars = headers.get(_STEPS_HEADER), headers.get(_BUDGET_HEADER)
    try:
        max_calls = None if steps is None else int(steps)
    except ValueError:
        max_calls = -1
    if max_calls is not None and not 0 <= max_calls <= _MAX_CALLS:
        raise InvalidRequest(
            f"'{_STEPS_HEADER.decode()}' must be a whole number of calls.", param=_STEPS_HEADER.decode()
        )
    try:
        budget = None if dollars is None else float(dollars)
    except ValueError:
        budget = -1.0
    if budget is not None and not 0 <= budget < _MAX_DOLLARS:
        raise InvalidRequest(
            f"'{_BUDGET_HEADER.decode()}' must be an amount in dollars.", param=_BUDGET_HEADER.decode()
        )
    return SessionLimits(max_calls, None if budget is None else nanos_from_dollars(budget))


def _seconds(headers: Headers, header: str, values: dict[str, msgspec.Raw], *names: str) -> float | None:
    """What a header says, else the first of these fields."""
    given = headers.get(header.encode())
    if given is not None:
        try:
            seconds = float(given)
        except ValueError:
            raise InvalidRequest(f"'{header}' must be a number of seconds.", param=header) from None
        return _positive(seconds, header)
    for name in names:
        if name in values:
            seconds_or_none: float | None = _decode(values[name], name, float | None, "a number of seconds")
            return None if seconds_or_none is None else _positive(seconds_or_none, name)
    return None


def _positive(seconds: float, name: str) -> float:
    if not 0 < seconds < float("inf"):
        raise InvalidRequest(f"'{name}' must be above 0 seconds.", param=name)
    return seconds


def _mock(values: dict[str, msgspec.Raw]) -> str | None:
    raw = values.get("mock_response")
    if raw is None:
        return None
    text: str | None = _decode(raw, "mock_response", str | None, "a string")
    return text


def _of_provider(raw: msgspec.Raw) -> Fields:
    """What of shared metadata is the provider's: texts. It would refuse tags and the like, lists and objects."""
    metadata = _object(raw, "metadata")
    texts = {name: value for name, value in metadata.items() if isinstance(value, str)}
    if len(texts) == len(metadata):
        return {"metadata": raw}
    return {"metadata": msgspec.Raw(msgspec.json.encode(texts))} if texts else {}


def _flag(values: dict[str, msgspec.Raw], name: str) -> bool | None:
    raw = values.get(name)
    if raw is None:
        return None
    flag: bool | None = _decode(raw, name, bool | None, "true or false")
    return flag


def _names(values: dict[str, msgspec.Raw], name: str) -> tuple[str, ...]:
    raw = values.get(name)
    if raw is None:
        return ()
    names: list[str] | None = _decode(raw, name, list[str] | None, "a list of strings")
    return tuple(names or ())


def _value_text(values: dict[str, msgspec.Raw], name: str, metadata: dict[str, Any], key: str) -> str:
    raw = values.get(name)
    if raw is not None:
        text: str | None = _decode(raw, name, str | None, "a string")
        if text:
            return text
    found = metadata.get(key)
    return found if isinstance(found, str) else ""


def _text(fields: Fields, name: str) -> str:
    """A text field of the provider's own; whatever else it is, is for the provider to judge."""
    raw = fields.get(name)
    if raw is None:
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return ""


def _object(raw: msgspec.Raw | None, name: str) -> dict[str, Any]:
    if raw is None:
        return {}
    found: dict[str, Any] | None = _decode(raw, name, dict[str, Any] | None, "an object")
    return found or {}


def _decode(raw: msgspec.Raw, name: str, type: Any, expected: str) -> Any:
    try:
        return msgspec.json.decode(raw, type=type)
    except msgspec.DecodeError:
        raise InvalidRequest(f"'{name}' must be {expected}.", param=name) from None


def _latin(value: bytes | None) -> str:
    return value.decode("latin-1") if value else ""
