"""What a call may use at most, as the gateway reserves it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tollway.core.price import Price, Rates
from tollway.core.snapshot import Deployment, Operation, Settings
from tollway.dialects.body import Request, read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.admission import bounds_of
from tollway.gateway.bounds import prompt_bound, tool_bound
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


PRIORITY = Price(rates=Rates(output=10), origin="config")
TIERED = msgspec.structs.replace(
    DEPLOYMENT, price=Price(rates=Rates(output=1), origin="config", service_tiers=(("priority", PRIORITY),))
)
CHEAP, DEAR = 100, 1000


@pytest.mark.parametrize(
    ("asked", "default", "override", "nanos"),
    [
        (None, None, None, CHEAP),
        ("default", None, None, CHEAP),
        ("priority", None, None, DEAR),
        ("auto", None, None, DEAR),
        (None, "priority", None, DEAR),
        ("default", "priority", None, CHEAP),
        ("priority", None, "default", CHEAP),
    ],
)
def test_what_is_reserved_is_the_dearest_service_tier_that_a_call_can_end_in(
    asked: str | None, default: str | None, override: str | None, nanos: int
) -> None:
    def field(tier: str | None) -> dict[str, msgspec.Raw]:
        return {} if tier is None else {"service_tier": msgspec.Raw(json.dumps(tier).encode())}

    deployment = msgspec.structs.replace(TIERED, defaults=field(default), overrides=field(override))
    call = Call(operation="chat", path="/", headers={}, client_ip="", settings=Settings())
    body = {"model": "m", "messages": [], "max_tokens": 100}
    call.raw_body = json.dumps(body if asked is None else {**body, "service_tier": asked}).encode()
    call.request = find_identity("chat").read_request(read_fields(call.raw_body), path_model=None, is_stream=False)

    assert bounds_of(call, deployment)[1] == nanos


@pytest.mark.parametrize(
    ("fields", "uses"),
    [
        ({}, 0),
        ({"tools": [{"type": "function", "function": {"name": "google_search"}}]}, 0),
        ({"web_search_options": {}}, 1),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]}, 3),
        ({"tools": [{"type": "web_search"}], "max_tool_calls": 4}, 4),
        ({"tools": [{"type": "web_search"}], "max_tool_calls": None}, 10),
        ({"tools": [{"googleSearch": {}}]}, 10),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs"]}]}, 10),
    ],
)
def test_searches_are_reserved_for_as_many_as_a_call_may_make(fields: dict[str, Any], uses: int) -> None:
    request = Request(read_fields(json.dumps(fields).encode()), "m", False, False, None, 1)

    assert tool_bound(request) == uses
