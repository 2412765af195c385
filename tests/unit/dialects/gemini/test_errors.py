from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import errors

from tollway.core.errors import (
    BudgetExceeded,
    InvalidRequest,
    LimitExceeded,
    TollwayError,
    Unauthenticated,
    UnknownModel,
)
from tollway.dialects.gemini import DIALECT
from tollway.dialects.gemini.errors import is_error, parse_error, render_error, status_in


@pytest.mark.parametrize(
    ("error", "code", "status", "kind"),
    [
        (InvalidRequest("m", param="contents"), 400, "INVALID_ARGUMENT", "invalid_request_error"),
        (UnknownModel("m", status=404), 404, "NOT_FOUND", "invalid_request_error"),
        (Unauthenticated("m"), 401, "UNAUTHENTICATED", "auth_error"),
        (LimitExceeded("m"), 429, "RESOURCE_EXHAUSTED", "throttling_error"),
        (BudgetExceeded("m"), 422, "FAILED_PRECONDITION", "budget_exceeded"),
        (TollwayError("m", status=499), 499, "CANCELLED", "internal_server_error"),
        (TollwayError("m"), 500, "INTERNAL", "internal_server_error"),
        (TollwayError("m", status=503), 503, "UNAVAILABLE", "internal_server_error"),
        (TollwayError("m", status=504), 504, "DEADLINE_EXCEEDED", "internal_server_error"),
        (TollwayError("m", status=418), 418, "INVALID_ARGUMENT", "internal_server_error"),
        (TollwayError("m", status=599), 599, "INTERNAL", "internal_server_error"),
    ],
)
def test_rendered_as_googles_and_read_by_its_sdk(error: TollwayError, code: int, status: str, kind: str) -> None:
    body = json.loads(render_error(error))
    assert body == {
        "error": {"code": code, "message": "m", "status": status, "type": kind, "param": error.param},
    }
    with pytest.raises(errors.ClientError if code < 500 else errors.ServerError) as caught:
        errors.APIError.raise_error(code, body, None)
    assert (caught.value.code, caught.value.status, caught.value.message) == (code, status, "m")


def google(code: int, status: str, message: str, *details: Any) -> bytes:
    return json.dumps(
        {"error": {"code": code, "message": message, "status": status, "details": list(details)}}
    ).encode()


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}


@pytest.mark.parametrize(
    ("body", "status", "name", "client_status"),
    [
        (google(400, "INVALID_ARGUMENT", "Bad field"), 400, "BadRequestError", 400),
        (
            google(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            ),
            400,
            "ContextWindowExceededError",
            400,
        ),
        (
            google(400, "INVALID_ARGUMENT", "The prompt was blocked by safety settings"),
            400,
            "ContentPolicyViolationError",
            400,
        ),
        (
            google(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"}),
            400,
            "AuthenticationError",
            401,
        ),
        (google(403, "PERMISSION_DENIED", "No"), 403, "APIError", 403),
        (google(404, "NOT_FOUND", "models/x is not found"), 404, "NotFoundError", 404),
        (google(429, "RESOURCE_EXHAUSTED", "Quota", RETRY), 429, "RateLimitError", 429),
        (google(500, "INTERNAL", "Oops"), 500, "InternalServerError", 500),
        (google(503, "UNAVAILABLE", "The model is overloaded."), 503, "ServiceUnavailableError", 503),
        (google(504, "DEADLINE_EXCEEDED", "Late"), 504, "Timeout", 504),
        (b"<html>", 502, "BadGatewayError", 502),
    ],
)
@pytest.mark.parametrize("is_list", [False, True])
def test_vendor_errors(body: bytes, status: int, name: str, client_status: int, is_list: bool) -> None:
    error = parse_error(status, b"[" + body + b"]" if is_list and body[:1] == b"{" else body, "GeminiException")
    assert DIALECT.parse_error(status, body, "GeminiException").error_class == name
    assert error.error_class == name
    assert error.status == client_status
    assert error.message.startswith(f"litellm.{name}: GeminiException - ")
    if body[:1] == b"{":
        assert json.loads(body)["error"]["message"] in error.message


def test_the_delay_before_another_try_is_passed_on() -> None:
    body = google(429, "RESOURCE_EXHAUSTED", "Quota", {"@type": "x"}, RETRY)
    assert parse_error(429, body, "v").headers == ((b"retry-after", b"35"),)
    assert parse_error(429, body, "v", ((b"retry-after", b"1"),)).headers == ((b"retry-after", b"1"),)
    odd = google(429, "RESOURCE_EXHAUSTED", "Quota", {"retryDelay": "soons"})
    assert parse_error(429, odd, "v").headers == ()
    assert parse_error(429, odd, "v").is_retryable


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 429}, 429),
        ({"status": "UNAVAILABLE"}, 503),
        ({"code": 14, "status": "RESOURCE_EXHAUSTED"}, 429),
        ({"code": "x"}, 500),
        ("text", 500),
    ],
)
def test_the_status_an_error_names(error: Any, status: int) -> None:
    assert status_in(error) == status


def test_what_is_an_error() -> None:
    assert is_error(google(400, "X", "m"))
    assert is_error(b"[" + google(400, "X", "m") + b"]")
    assert not is_error(b'{"candidates":[]}')
    assert not is_error(b"[]")
