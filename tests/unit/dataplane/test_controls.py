"""What callers tell the gateway, and what providers therefore do not see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from tollway.core.errors import InvalidRequest, Unauthenticated
from tollway.core.principal import Principal, SessionLimits
from tollway.core.snapshot import Operation, Settings
from tollway.dataplane.controls import HONOURED, NOT_YET, read_controls
from tollway.dialects.body import Fields, read_fields
from tollway.gateway.call import Controls

KEY = Principal(key_hash="h")
SETTINGS = Settings()


def read(
    body: dict[str, Any],
    headers: Mapping[bytes, bytes] = MappingProxyType({}),
    *,
    principal: Principal = KEY,
    settings: Settings = SETTINGS,
) -> tuple[Controls, Fields]:
    fields = read_fields(json.dumps(body).encode())
    return read_controls(fields, dict(headers), principal, settings), fields


def test_an_ordinary_body_says_nothing() -> None:
    controls, fields = read({"model": "m", "messages": [], "temperature": 1})
    assert controls == Controls()
    assert set(fields) == {"model", "messages", "temperature"}


@pytest.mark.parametrize("name", sorted(NOT_YET))
def test_gateway_fields_never_reach_a_provider(name: str) -> None:
    controls, fields = read({"model": "m", name: None})
    assert name not in fields
    assert controls.ignored == (name,)


def test_honoured_fields_do_not_reach_a_provider_either() -> None:
    values: dict[str, Any] = dict.fromkeys(HONOURED - {"extra_body"}) | {"extra_body": {"top_k": 1}}
    controls, fields = read({"model": "m", **values})
    assert set(fields) == {"model", "top_k"}
    assert controls.ignored == ()


def test_metadata_goes_to_the_provider_only_with_a_stored_completion() -> None:
    assert "metadata" not in read({"metadata": {"a": "b"}})[1]
    assert "metadata" in read({"metadata": {"a": "b"}, "store": True})[1]
    assert "metadata" not in read({"metadata": {"a": "b"}, "store": False})[1]


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"user": "b"}, {b"x-litellm-customer-id": b"h"}, "h"),
        ({"user": "b"}, {b"x-litellm-end-user-id": b"h"}, "h"),
        ({"user": "b"}, {b"x-who": b"h"}, "h"),
        ({"user": "b", "metadata": {"user_id": "m"}}, {}, "b"),
        ({"litellm_metadata": {"user": "l"}, "metadata": {"user_id": "m"}}, {}, "l"),
        ({"metadata": {"user_id": "m"}}, {}, "m"),
        ({"metadata": {"user_id": 7}}, {}, "7"),
        ({"safety_identifier": "s"}, {}, "s"),
        ({"user": 5}, {}, ""),
        ({}, {}, ""),
    ],
)
def test_the_end_user_is_found_in_the_order_of_the_contract(
    body: dict[str, Any], headers: dict[bytes, bytes], expected: str
) -> None:
    assert read(body, headers, settings=Settings(user_header="X-Who"))[0].end_user == expected


def test_tags_of_key_body_metadata_and_header_are_merged_without_repeats() -> None:
    controls, _ = read(
        {"tags": ["b", "a"], "metadata": {"tags": ["c", "b", 1]}},
        {b"x-litellm-tags": b"d, a ,"},
        principal=Principal(key_hash="h", tags=("a",)),
    )
    assert controls.tags == ("a", "b", "c", "d")


def test_tags_of_the_key_count_for_every_call() -> None:
    assert read({"model": "m"}, principal=Principal(key_hash="h", tags=("a",)))[0].tags == ("a",)


def test_a_caller_limits_its_session_by_headers() -> None:
    session = {b"x-litellm-session-id": b"s"}
    steps, money = b"x-tollway-session-max-steps", b"x-tollway-session-max-budget"
    assert read({}, session)[0].session_limits == SessionLimits()
    assert read({}, {**session, steps: b"7", money: b"0.25"})[0].session_limits == SessionLimits(7, 250_000_000)
    assert read({"litellm_session_id": "s"}, {steps: b"0"})[0].session_limits == SessionLimits(0, None)


@pytest.mark.parametrize("name", [b"x-tollway-session-max-steps", b"x-tollway-session-max-budget"])
@pytest.mark.parametrize("value", [b"", b"many", b"-1", b"nan", b"1e99", b"7 steps", b"9" * 30])
def test_a_limit_that_cannot_be_is_refused(name: bytes, value: bytes) -> None:
    with pytest.raises(InvalidRequest, match=name.decode()):
        read({}, {b"x-litellm-session-id": b"s", name: value})


@pytest.mark.parametrize("name", [b"x-tollway-session-max-steps", b"x-tollway-session-max-budget"])
def test_a_limit_of_no_session_is_refused(name: bytes) -> None:
    with pytest.raises(InvalidRequest, match="names none"):
        read({}, {name: b"7"})


def test_the_id_of_a_session_is_bounded() -> None:
    with pytest.raises(InvalidRequest, match="litellm_session_id"):
        read({"litellm_session_id": "s" * 1001})


def test_sessions_and_traces() -> None:
    assert read({"litellm_session_id": "s"})[0].session_id == "s"
    assert read({"metadata": {"session_id": "m"}})[0].session_id == "m"
    assert read({}, {b"x-litellm-session-id": b"h"})[0].session_id == "h"
    both = read({"litellm_trace_id": "t"}, {b"x-litellm-trace-id": b"h"})[0]
    assert (both.trace_id, both.session_id) == ("h", "h")


def test_timeouts_come_from_the_header_before_the_body() -> None:
    assert read({"timeout": 3}, {b"x-litellm-timeout": b"1.5"})[0].timeout_s == 1.5
    assert read({"request_timeout": 3})[0].timeout_s == 3
    assert read({"timeout": None})[0].timeout_s is None


@pytest.mark.parametrize(
    ("body", "headers", "param"),
    [
        ({"timeout": "soon"}, {}, "timeout"),
        ({"timeout": 0}, {}, "timeout"),
        ({}, {b"x-litellm-timeout": b"soon"}, "x-litellm-timeout"),
        ({}, {b"x-litellm-timeout": b"nan"}, "x-litellm-timeout"),
        ({"metadata": []}, {}, "metadata"),
        ({"tags": "a"}, {}, "tags"),
        ({"extra_body": 1}, {}, "extra_body"),
        ({"mock_response": 1}, {}, "mock_response"),
        ({"litellm_session_id": 1}, {}, "litellm_session_id"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], headers: dict[bytes, bytes], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(body, headers)
    assert caught.value.param == param


@pytest.mark.parametrize("name", ["api_key", "api_base", "aws_region_name", "vertex_project", "langfuse_host"])
@pytest.mark.parametrize("is_hidden", [False, True])
def test_nobody_redirects_a_call_or_its_credentials(name: str, is_hidden: bool) -> None:
    body = {"extra_body": {name: "x"}} if is_hidden else {name: "x"}
    with pytest.raises(Unauthenticated) as caught:
        read(body)
    assert caught.value.param == name


@pytest.mark.parametrize("operation", ["messages", "responses"])
def test_metadata_that_is_the_providers_too_stays_in_the_body(operation: Operation) -> None:
    body = {"model": "m", "metadata": {"user_id": "u", "tags": ["a"]}, "litellm_metadata": {"tags": ["b"]}}
    fields = read_fields(json.dumps(body).encode())
    controls = read_controls(fields, {}, Principal(key_hash="k"), Settings(), operation)
    assert json.loads(bytes(fields["metadata"])) == {"user_id": "u"}
    assert "litellm_metadata" not in fields
    assert controls.tags == ("b",)


def test_metadata_of_texts_alone_stays_as_it_was() -> None:
    fields = read_fields(b'{"model":"m","metadata":{"user_id" : "u"}}')
    read_controls(fields, {}, Principal(key_hash="k"), Settings(), "messages")
    assert bytes(fields["metadata"]) == b'{"user_id" : "u"}'
