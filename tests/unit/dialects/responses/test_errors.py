"""Errors of the Responses API."""

from __future__ import annotations

import json

import pytest

from tollway.core.errors import InvalidRequest, LimitExceeded, Overloaded, TollwayError, UpstreamError
from tollway.dialects.responses import DIALECT
from tollway.dialects.responses.errors import error_in, failure, render_error_event


def test_bodies_have_openais_envelope() -> None:
    body = json.loads(DIALECT.render_error(InvalidRequest("no", param="input")))
    assert body == {"error": {"message": "no", "type": "invalid_request_error", "param": "input", "code": "400"}}


def test_an_error_answer_of_the_vendor() -> None:
    body = b'{"error":{"message":"too long","code":"context_length_exceeded","param":"input","type":"x"}}'
    error = DIALECT.parse_error(400, body, "OpenaiException")
    assert (error.error_class, error.param, error.status) == ("ContextWindowExceededError", "input", 400)


def test_an_event_has_the_documented_fields_and_the_ones_sdks_raise_on() -> None:
    event, data, *_ = render_error_event(LimitExceeded("slow down"), 4).decode().split("\n")
    assert event == "event: error"
    assert json.loads(data.removeprefix("data: ")) == {
        "type": "error",
        "sequence_number": 4,
        "code": "rate_limit_exceeded",
        "message": "slow down",
        "param": None,
        "error": {"message": "slow down", "type": "throttling_error", "param": None, "code": "429"},
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UpstreamError("x", status=400, error_class="ContextWindowExceededError"), "context_length_exceeded"),
        (InvalidRequest("x"), "invalid_prompt"),
        (LimitExceeded("x"), "rate_limit_exceeded"),
        (Overloaded("x"), "server_error"),
    ],
)
def test_codes_of_failed_responses(error: TollwayError, code: str) -> None:
    assert failure(error)["code"] == code


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": "context_length_exceeded", "message": "m"}, 400),
        ({"code": "image_too_large", "message": "m"}, 400),
        ({"code": 503, "message": "m"}, 503),
        ({"code": "something_else", "type": "server_error", "message": "m"}, 500),
        ("just text", 500),
        (None, 500),
    ],
)
def test_errors_within_a_stream_have_the_status_they_would_have_had(error: object, status: int) -> None:
    assert error_in(error, "OpenaiException").status == status
