"""Vendors' errors reach clients with the right status and type, and the vendor's own words."""

from __future__ import annotations

import json

import pytest

from tollway.core.errors import Forbidden
from tollway.dialects.openai.errors import is_error_document, render_error, upstream_error


@pytest.mark.parametrize(
    ("status", "client_status", "error_type", "name"),
    [
        (400, 400, "invalid_request_error", "BadRequestError"),
        (401, 401, "authentication_error", "AuthenticationError"),
        (403, 403, "permission_error", "APIError"),
        (404, 404, "invalid_request_error", "NotFoundError"),
        (408, 408, "invalid_request_error", "Timeout"),
        (429, 429, "throttling_error", "RateLimitError"),
        (500, 500, "internal_server_error", "InternalServerError"),
        (503, 503, "internal_server_error", "ServiceUnavailableError"),
        (529, 529, "internal_server_error", "InternalServerError"),
        (418, 418, "invalid_request_error", "BadRequestError"),
        (302, 502, "invalid_request_error", "BadRequestError"),
    ],
)
def test_statuses_are_mapped_as_the_contract_says(status: int, client_status: int, error_type: str, name: str) -> None:
    error = upstream_error(status, b'{"error":{"message":"words of the vendor"}}', "OpenaiException")
    assert (error.status, error.type) == (client_status, error_type)
    assert error.message == f"litellm.{name}: OpenaiException - words of the vendor"
    assert error.is_retryable == (status in (408, 429) or status >= 500)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"error":{"message":"m","code":"context_length_exceeded"}}', "ContextWindowExceededError"),
        (b'{"error":{"message":"This model\'s maximum context length is 8192"}}', "ContextWindowExceededError"),
        (b'{"error":{"message":"m","code":"content_filter"}}', "ContentPolicyViolationError"),
    ],
)
def test_context_and_policy_errors_are_recognised(body: bytes, name: str) -> None:
    assert upstream_error(400, body, "V").error_class == name


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":"plain"}', "plain"),
        (b'{"detail":"of FastAPI"}', "of FastAPI"),
        (b'{"message":"top level"}', "top level"),
        (b'{"error":{"code":7}}', '{"code":7}'),
        (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        (b"", "HTTP 500 without a message"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_any_shape_of_error_body_gives_its_words(body: bytes, words: str) -> None:
    assert upstream_error(500, body, "V").message.endswith(words)


def test_the_param_of_the_vendor_is_kept() -> None:
    assert upstream_error(400, b'{"error":{"message":"m","param":"tools"}}', "V").param == "tools"


def test_the_envelope_has_its_four_fields_and_a_code_of_text() -> None:
    document = json.loads(render_error(Forbidden("no", param="model")))
    assert document == {"error": {"message": "no", "type": "auth_error", "param": "model", "code": "403"}}


def test_answers_are_not_taken_for_errors() -> None:
    assert is_error_document(b'{"error":{"message":"x"}}')
    assert not is_error_document(b'{"choices":[],"error":null}')
    assert not is_error_document(b"[]")
