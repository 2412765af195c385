from __future__ import annotations

import json

import pytest

from tollway.core.errors import BudgetExceeded, LimitExceeded, TollwayError, Unauthenticated
from tollway.dialects.messages import DIALECT
from tollway.dialects.messages.errors import status_in


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_the_type_goes_by_the_status(status: int, kind: str) -> None:
    body = json.loads(DIALECT.render_error(TollwayError("m", status=status)))
    assert (body["type"], body["error"]["type"], body["error"]["message"]) == ("error", kind, "m")


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (BudgetExceeded("m"), "invalid_request_error", "budget_exceeded"),
        (LimitExceeded("m"), "rate_limit_error", "throttling_error"),
        (Unauthenticated("m"), "authentication_error", "auth_error"),
    ],
)
def test_our_own_errors(error: TollwayError, kind: str, code: str) -> None:
    body = json.loads(DIALECT.render_error(error))
    assert body["error"] == {"type": kind, "message": "m", "code": code}


def anthropic_error(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "message", "name", "is_retryable"),
    [
        (400, "invalid_request_error", "max_tokens: too large", "BadRequestError", False),
        (400, "invalid_request_error", "prompt is too long: 1 tokens > 0 maximum", "ContextWindowExceededError", False),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 1 + 1 > 1",
            "ContextWindowExceededError",
            False,
        ),
        (
            400,
            "invalid_request_error",
            "Output blocked by content filtering policy",
            "ContentPolicyViolationError",
            False,
        ),
        (401, "authentication_error", "invalid x-api-key", "AuthenticationError", False),
        (404, "not_found_error", "model: x", "NotFoundError", False),
        (429, "rate_limit_error", "slow down", "RateLimitError", True),
        (500, "api_error", "oops", "InternalServerError", True),
        (529, "overloaded_error", "Overloaded", "InternalServerError", True),
    ],
)
def test_the_vendors_errors(status: int, kind: str, message: str, name: str, is_retryable: bool) -> None:
    headers = ((b"retry-after", b"3"),)
    error = DIALECT.parse_error(status, anthropic_error(kind, message), "AnthropicException", headers)
    assert error.message == f"litellm.{name}: AnthropicException - {message}"
    assert (error.status, error.error_class, error.is_retryable, error.upstream_status, error.headers) == (
        status,
        name,
        is_retryable,
        status,
        headers,
    )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"error":{"type":"\xff"}}', b"[]", b'{"error":"x"}', anthropic_error("new_error", "x")]
)
def test_an_error_event_of_an_unknown_kind_is_a_server_error(body: bytes) -> None:
    assert status_in(body) == 500
    assert DIALECT.parse_error(500, body, "AnthropicException").error_class == "InternalServerError"
