from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.dialects.gemini.samples import BLOCKED, CITED, event, said, streamed

from tollway.core.errors import InvalidRequest, UpstreamError
from tollway.core.snapshot import Deployment
from tollway.core.usage import NO_USAGE, ToolUse, Usage
from tollway.dialects.body import read_fields
from tollway.dialects.gemini.identity import IDENTITIES, read_request
from tollway.dialects.gemini.relay import GeminiRelay, render_reply

IDENTITY = IDENTITIES["gemini"]
STREAM = streamed(
    said({"text": "Grü"}),
    said({"text": "ße", "thought": True}, {"functionCall": {"name": "f", "args": {"finishReason": "x"}}}),
    said({"text": "."}, finishReason="STOP"),
    usage={"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
)


def relayed(data: bytes, *, model: str = "gemini-x", is_sse: bool = True) -> tuple[bytes, GeminiRelay]:
    relay = GeminiRelay(model, is_sse=is_sse)
    return relay.feed(data) + relay.end() + relay.close(None), relay


def test_bytes_pass_untouched() -> None:
    out, relay = relayed(STREAM)
    assert out == STREAM
    assert relay.is_complete
    assert not relay.is_done
    assert relay.usage == Usage(input_tokens=3, output_tokens=4)
    assert relay.response_id == "r"
    assert relay.failure is None
    assert relay.text == ""


def test_what_was_said_is_kept_where_usage_is_missing() -> None:
    _, relay = relayed(STREAM.replace(b"usageMetadata", b"other"))
    assert relay.usage == NO_USAGE
    assert relay.text == 'Grüße{"name":"f","args":{"finishReason":"x"}}.'


def test_the_model_has_the_name_the_caller_knows() -> None:
    out, _ = relayed(STREAM, model='my "\\1" flash')
    assert out == STREAM.replace(b'"modelVersion":"gemini-x"', b'"modelVersion":"my \\"\\\\1\\" flash"')
    assert json.loads(out.split(b"\r\n\r\n")[0][6:])["modelVersion"] == 'my "\\1" flash'


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_split_anywhere(cuts: list[int]) -> None:
    relay = GeminiRelay("gemini-x")
    places = sorted({0, *cuts, len(STREAM)})
    out = b""
    for start, end in pairwise(places):
        piece = relay.feed(STREAM[start:end])
        assert not piece or piece.endswith(b"\r\n\r\n")
        out += piece
    assert out + relay.end() + relay.close(None) == STREAM
    assert relay.is_complete
    assert relay.usage.total_tokens == 7


@given(st.integers(0, len(STREAM) - 1))
def test_a_cut_stream_is_not_complete_and_says_so(cut: int) -> None:
    relay = GeminiRelay("gemini-x")
    relay.feed(STREAM[:cut])
    assert not relay.is_complete
    last = relay.close(UpstreamError("gone", status=502))
    assert json.loads(last.removeprefix(b"data: "))["error"]["status"] == "UNAVAILABLE"


def test_a_stream_without_a_finish_reason_is_not_complete() -> None:
    assert not relayed(streamed(said({"functionCall": {"name": "f", "args": {"finishReason": "x"}}})))[1].is_complete


def test_a_last_chunk_without_its_blank_line_counts() -> None:
    out, relay = relayed(STREAM[:-4])
    assert out == STREAM
    assert relay.is_complete


def test_a_blocked_prompt_is_a_complete_stream() -> None:
    assert relayed(event(BLOCKED))[1].is_complete


@pytest.mark.parametrize(
    "tail",
    [
        b'data: {"error":{"code":429,"message":"slow down"}}\r\n\r\n',
        b'{\n  "error": {\n    "code": 429,\n    "message": "slow down"\n  }\n}\n',
    ],
)
def test_errors_of_the_provider(tail: bytes) -> None:
    out, relay = relayed(STREAM[: STREAM.index(b"data: ", 4)] + tail)
    assert json.loads(out.split(b"\r\n\r\n")[1][6:]) == {"error": {"code": 429, "message": "slow down"}}
    assert relay.failure is not None
    assert relay.has_error
    assert relay.failure.upstream_status == 429
    assert relay.close(UpstreamError("again")) == b""
    opening = GeminiRelay("m").opening_error(tail, "GeminiException")
    assert opening is not None
    assert opening.message == "litellm.RateLimitError: GeminiException - slow down"
    assert GeminiRelay("m").opening_error(STREAM, "v") is None
    assert GeminiRelay("m").opening_error(event({"candidates": [said({"text": '"error"'})]}), "v") is None


def test_without_sse_chunks_are_one_json_array() -> None:
    out, relay = relayed(STREAM, model="public", is_sse=False)
    chunks = json.loads(out)
    assert [chunk["modelVersion"] for chunk in chunks] == ["public"] * 3
    assert relay.is_complete
    broken = GeminiRelay("public", is_sse=False)
    data = broken.feed(STREAM[:400]) + broken.close(UpstreamError("gone"))
    assert json.loads(data)[-1]["error"]["message"] == "gone"
    assert json.loads(GeminiRelay("m", is_sse=False).close(None)) == []


def test_long_streams_are_boiled_down() -> None:
    chunk = streamed(said({"text": "x" * 1000}))
    relay = GeminiRelay("gemini-x")
    for _ in range(100):
        relay.feed(chunk)
    assert relay.text == "x" * 100_000
    assert relay.text == "x" * 100_000


def test_whole_answers_are_renamed_in_place() -> None:
    body = json.dumps({**CITED, "modelVersion": "gemini-x"}, indent=1).encode()
    reply = render_reply(body, "public")
    assert reply.body == body.replace(b'"modelVersion": "gemini-x"', b'"modelVersion": "public"')
    assert reply.response_id == "r1"
    assert reply.usage == Usage(
        input_tokens=100, cache_read_tokens=60, output_tokens=50, reasoning_tokens=30, tools=ToolUse(web_searches=1)
    )
    assert reply.text == ""
    bare = msgspec.json.encode({"candidates": CITED["candidates"]})
    reply = render_reply(bare, "public")
    assert (reply.body, reply.usage, reply.text) == (bare, None, "Thinking…Grüße aus Köln. ")
    with pytest.raises(msgspec.DecodeError):
        render_reply(b"<html>", "public")


def test_searches_of_a_stream_count_once_and_its_tier_is_read() -> None:
    def chunk(queries: list[str], **meter: object) -> bytes:
        candidate = {"content": {"parts": [{"text": "Hi"}]}, "groundingMetadata": {"webSearchQueries": queries}}
        usage = {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5, **meter}}
        return b"data: %s\n\n" % json.dumps({"candidates": [candidate], **(usage if meter else {})}).encode()

    tier = "ON_DEMAND_PRIORITY"
    stream = chunk(["a"]) + chunk(["a", "b"], trafficType=tier) + chunk(["a", "b"], trafficType=tier) + chunk(["b"])
    for size in (len(stream), 7):
        relay = GeminiRelay("m", is_sse=True)
        for start in range(0, len(stream), size):
            relay.feed(stream[start : start + size])
        assert relay.usage == Usage(
            input_tokens=3, output_tokens=2, service_tier="priority", tools=ToolUse(web_searches=2)
        )


def test_usage_that_is_not_there_is_none() -> None:
    relay = relayed(event({"candidates": [said({"text": "a"})]}))[1]
    assert relay.usage == NO_USAGE


def fields(**body: Any) -> dict[str, msgspec.Raw]:
    return read_fields(msgspec.json.encode(body))


def test_requests_are_read_lightly() -> None:
    request = read_request(
        fields(contents=[], generation_config={"max_output_tokens": 9, "candidate_count": 2}), "flash", True
    )
    assert (request.model, request.is_stream, request.output_limit, request.choices) == ("flash", True, 9, 2)
    plain = IDENTITY.read_request(fields(contents=[]), path_model="flash", is_stream=False)
    assert (plain.output_limit, plain.choices, plain.wants_usage) == (None, 1, True)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "contents"),
        ({"contents": "Hi"}, "contents"),
        ({"contents": [], "generationConfig": {"maxOutputTokens": -1}}, "generationConfig"),
        ({"contents": [], "generationConfig": {"candidateCount": "many"}}, "generationConfig"),
    ],
)
def test_wrong_requests(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_request(fields(**body), "flash", False)
    assert caught.value.param == param


def deployment(**more: Any) -> Deployment:
    return Deployment(id="d", group="g", provider="gemini", model="m", model_name="gemini/m", **more)


def sent(target: Deployment, **body: Any) -> Any:
    request = IDENTITY.read_request(fields(**body), path_model="g", is_stream=False)
    return json.loads(IDENTITY.render_request(request, target))


def test_requests_pass_as_they_came() -> None:
    body = {"contents": [{"parts": {"text": "x"}}], "system_instruction": {"parts": []}, "new": 1}
    assert sent(deployment(), **body) == body
    assert sent(deployment(), **body, model="models/g") == body


def test_what_the_operator_set() -> None:
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in {"a": 1, "temperature": 0.5}.items()}
    target = deployment(
        defaults={**raw, "stop": msgspec.Raw(b'"END"')},
        overrides={"labels": msgspec.Raw(b"{}")},
        dropped=frozenset({"cachedContent"}),
        renamed={"old": "new"},
    )
    assert sent(target, contents=[], cachedContent="c", old=1, generationConfig={"temperature": 1}) == {
        "contents": [],
        "new": 1,
        "a": 1,
        "labels": {},
        "generationConfig": {"temperature": 1, "stopSequences": ["END"]},
    }
    assert sent(target, contents=[])["generationConfig"] == {"temperature": 0.5, "stopSequences": ["END"]}


def test_chunks_written_over_several_lines_are_read_too() -> None:
    chunk = json.dumps({"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}, "responseId": "r"}, indent=1)
    data = b"".join(b"data: %s\n" % line.encode() for line in chunk.split("\n")) + b"\n"
    out, relay = relayed(data)
    assert out == data
    assert (relay.usage.input_tokens, relay.response_id) == (3, "r")
    assert relayed(b"data: what\n\n")[1].usage == NO_USAGE
    assert GeminiRelay("m").opening_error(b'data: {"error', "v") is None


def test_errors_are_googles() -> None:
    error = IDENTITY.parse_error(404, b'{"error":{"code":404,"message":"no"}}', "GeminiException", ())
    assert error.message == "litellm.NotFoundError: GeminiException - no"
    assert json.loads(IDENTITY.render_error(error))["error"]["status"] == "NOT_FOUND"
    assert IDENTITY.read_reply(b"{}", "m").body == b"{}"
    assert IDENTITY.relay("m", forwards_usage=False).usage == NO_USAGE


def test_defaults_that_are_known_to_the_caller_change_nothing() -> None:
    target = deployment(defaults={"temperature": msgspec.Raw(b"0.5")})
    body = {"contents": [], "generation_config": {"temperature": 1}}
    assert sent(target, **body) == body


def test_what_is_no_chunk_has_no_text() -> None:
    data = b'data: [1]\r\n\r\ndata: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\r\n\r\n'
    out, relay = relayed(data)
    assert (out, relay.text) == (data, "a")
