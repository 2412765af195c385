"""What a call may use at most, as the gateway reserves it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.core.snapshot import Deployment, Operation, Settings
from tollway.dialects.body import read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.bounds import prompt_bound
from tollway.gateway.call import Call

DEPLOYMENT = Deployment(
    id="d", group="m", provider="openai", model="m", model_name="openai/m", max_input_tokens=1_000_000
)


def bound(operation: Operation, body: dict[str, Any]) -> int:
    call = Call(operation=operation, path="/", headers={}, client_ip="", settings=Settings())
    call.raw_body = json.dumps(body).encode()
    call.request = find_identity(operation).read_request(read_fields(call.raw_body), path_model="m", is_stream=False)
    return prompt_bound(call, DEPLOYMENT)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("responses", {"input": "Hi", "previous_response_id": "resp_1"}),
        ("responses", {"input": "Hi", "conversation": "conv_1"}),
        ("responses", {"prompt": {"id": "pmpt_1"}}),
        ("gemini", {"contents": [{"parts": [{"text": "Hi"}]}], "cachedContent": "cachedContents/1"}),
    ],
)
def test_what_the_provider_keeps_may_be_as_long_as_the_model_reads(operation: Operation, body: dict[str, Any]) -> None:
    assert bound(operation, body) == 1_000_000 + len(json.dumps(body))


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("responses", {"input": "Hi"}),
        ("completions", {"prompt": "Hi"}),
        ("chat", {"messages": [{"role": "user", "content": "Hi"}], "conversation": "x"}),
    ],
)
def test_what_the_body_shows_is_bounded_by_its_length(operation: Operation, body: dict[str, Any]) -> None:
    assert bound(operation, body) == len(json.dumps(body))
