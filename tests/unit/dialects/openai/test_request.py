"""Requests are patched at the top level; everything else stays the bytes it was."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.errors import InvalidRequest
from tollway.core.snapshot import Deployment, Operation
from tollway.dialects.body import Request, read_fields
from tollway.dialects.openai.request import read_request, render_request


def deployment(**more: Any) -> Deployment:
    return Deployment(id="d", group="public", provider="openai", model="gpt-4o", model_name="openai/gpt-4o", **more)


def parse(body: bytes, operation: Operation = "chat") -> Request:
    return read_request(read_fields(body), operation)


def rendered(body: bytes, target: Deployment | None = None, operation: Operation = "chat") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render_request(parse(body, operation), target or deployment()))
    return document


def test_unknown_fields_numbers_and_escapes_pass_byte_for_byte() -> None:
    body = (
        rb'{"model":"public","messages":[{"role":"user","content":"\u00e9\/ "}],'
        rb'"x":1e2,"big":123456789012345678901234567890}'
    )
    assert render_request(parse(body), deployment()) == body.replace(b"public", b"gpt-4o")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda name: name not in ("model", "stream", "n")), json_values, max_size=4))
def test_whatever_else_is_in_the_body_arrives_unchanged(extra: dict[str, Any]) -> None:
    known = {"stream_options", "max_tokens", "max_completion_tokens"}
    extra = {name: value for name, value in extra.items() if name not in known}
    body = {**extra, "model": "public", "messages": []}
    assert rendered(json.dumps(body).encode()) == {**body, "model": "gpt-4o"}


def test_usage_is_asked_for_on_streams_and_other_stream_options_are_kept() -> None:
    body = b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_obfuscation":false}}'
    assert rendered(body)["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert rendered(b'{"model":"m","messages":[],"stream":true}')["stream_options"] == {"include_usage": True}
    assert "stream_options" not in rendered(b'{"model":"m","messages":[]}')


def test_a_provider_without_stream_options_does_not_get_them() -> None:
    body = b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
    assert "stream_options" not in rendered(body, deployment(sends_stream_usage=False))


def test_defaults_overrides_drops_and_renames_apply() -> None:
    target = deployment(
        defaults={"temperature": msgspec.Raw(b"0.5"), "seed": msgspec.Raw(b"1")},
        overrides={"top_k": msgspec.Raw(b"3")},
        dropped=frozenset({"logit_bias"}),
        renamed={"max_completion_tokens": "max_tokens"},
    )
    body = b'{"model":"m","messages":[],"seed":7,"top_k":9,"logit_bias":{},"max_completion_tokens":5}'
    assert rendered(body, target) == {
        "model": "gpt-4o", "messages": [], "seed": 7, "temperature": 0.5, "top_k": 3, "max_tokens": 5,
    }  # fmt: skip


def test_rendering_leaves_the_request_as_it_was() -> None:
    request = parse(b'{"model":"m","messages":[],"stream":true}')
    before = dict(request.fields)
    render_request(request, deployment(dropped=frozenset({"messages"})))
    assert request.fields == before


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", "request_body"),
        (b"[]", "request_body"),
        (b'"x"', "request_body"),
        (b"\xff\xfe", "request_body"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":"hello"}', "messages"),
        (b'{"model":1,"messages":[]}', "model"),
        (b'{"model":"m","messages":[],"stream":"yes"}', "stream"),
        (b'{"model":"m","messages":[],"n":"two"}', "n"),
        (b'{"model":"m","messages":[],"n":-1}', "n"),
        (b'{"model":"m","messages":[],"max_tokens":1.5}', "max_tokens"),
        (b'{"model":"m","messages":[],"stream":true,"stream_options":[]}', "stream_options"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(body)
    assert caught.value.param == param
    assert caught.value.status == 400


def test_the_missing_input_is_named_per_operation() -> None:
    with pytest.raises(InvalidRequest, match="/embeddings: Missing required parameter: 'input'"):
        parse(b'{"model":"m"}', "embeddings")
    with pytest.raises(InvalidRequest, match="/completions: Missing required parameter: 'prompt'"):
        parse(b'{"model":"m"}', "completions")


@pytest.mark.parametrize(
    ("body", "operation", "limit", "choices"),
    [
        (b'{"messages":[]}', "chat", None, 1),
        (b'{"messages":[],"max_tokens":5,"max_completion_tokens":9,"n":3}', "chat", 9, 3),
        (b'{"messages":[],"max_tokens":null,"n":null}', "chat", None, 1),
        (b'{"prompt":["a","b"],"n":2,"max_tokens":4}', "completions", 4, 4),
        (b'{"prompt":[1,2,3]}', "completions", None, 1),
        (b'{"prompt":[[1],[2]]}', "completions", None, 2),
    ],
)
def test_the_most_that_can_be_generated_is_read(
    body: bytes, operation: Operation, limit: int | None, choices: int
) -> None:
    request = parse(body, operation)
    assert (request.output_limit, request.choices) == (limit, choices)
