"""Where both sides speak the Responses API, bytes stay bytes, apart from the model's name."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.grammar_responses import check_stream

from tollway.core.errors import InvalidRequest, UpstreamError
from tollway.core.snapshot import Deployment
from tollway.core.usage import NO_USAGE, ToolUse, Usage
from tollway.dialects.body import read_fields
from tollway.dialects.registry import find_identity
from tollway.dialects.responses.naming import ResponseNames
from tollway.dialects.responses.relay import ResponsesIdentity, ResponsesRelay, read_request

CORPUS = Path(__file__).parents[3] / "contract/dialects/responses"
MODEL = b"gpt-5.2-2025-12-11"
STREAM = (CORPUS / "stream_agent.sse").read_bytes()
FAILED = (CORPUS / "stream_failed.sse").read_bytes()
IDENTITY = find_identity("responses")


def read(body: dict[str, Any]) -> Any:
    return read_request(read_fields(json.dumps(body).encode()))


def test_the_fields_the_gateway_depends_on() -> None:
    found = read({"model": "m", "input": "x", "stream": True, "max_output_tokens": 9})
    assert (found.model, found.is_stream, found.output_limit, found.choices, found.wants_usage) == (
        "m",
        True,
        9,
        1,
        True,
    )
    bare = read({"previous_response_id": "resp_1"})
    assert (bare.model, bare.is_stream, bare.output_limit) == (None, False, None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m"}, "input"),
        ({"model": "m", "input": None}, "input"),
        ({"model": 1, "input": "x"}, "model"),
        ({"input": "x", "stream": "yes"}, "stream"),
        ({"input": "x", "max_output_tokens": -1}, "max_output_tokens"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    assert caught.value.param == param


def test_a_request_is_patched_at_the_top_and_nowhere_else() -> None:
    body = (CORPUS / "request_codex_history.json").read_bytes()
    request = IDENTITY.read_request(read_fields(body), path_model=None, is_stream=False)
    raw = msgspec.Raw
    deployment = Deployment(
        id="d",
        group="g",
        provider="openai",
        model="gpt-5.2",
        model_name="openai/gpt-5.2",
        api_base="https://api.openai.com/v1",
        dropped=frozenset({"client_metadata", "missing"}),
        defaults={"max_tokens": raw(b"50"), "store": raw(b"true")},
        overrides={"service_tier": raw(b'"flex"')},
    )
    sent = read_fields(IDENTITY.render_request(request, deployment))
    before = read_fields(body)
    changed = {name for name in {*sent, *before} if sent.get(name) != before.get(name)}
    assert changed == {"model", "client_metadata", "max_output_tokens", "service_tier"}
    assert bytes(sent["input"]) == bytes(before["input"])


def test_thoughts_of_other_vendors_do_not_reach_openai() -> None:
    def thought(sealed: str) -> dict[str, Any]:
        return {"type": "reasoning", "summary": [], "encrypted_content": sealed}

    deployment = Deployment(
        id="d", group="g", provider="openai", model="m", model_name="openai/m", api_base="https://api.openai.com/v1"
    )
    said = {"role": "user", "content": 'what is "tollway.x"?'}
    items = [
        thought("gAA"),
        thought("tollway.anthropic.SIG"),
        said,
        thought("tollway.unsealed."),
        {"type": "reasoning"},
    ]
    for sent_in, sent in (
        (items, [items[0], items[2], items[4]]),
        ("tollway.", "tollway."),
        ('"tollway.', '"tollway.'),
    ):
        request = read({"input": sent_in})
        fields = read_fields(IDENTITY.render_request(request, deployment))
        assert json.loads(bytes(fields["input"])) == sent
    stored = read({"prompt": {"id": "pmpt_1"}})
    assert set(read_fields(IDENTITY.render_request(stored, deployment))) == {"prompt", "model"}


def test_a_whole_answer_is_renamed_in_place() -> None:
    body = (CORPUS / "answer_agent.json").read_bytes()
    reply = IDENTITY.read_reply(body, "public/name")
    assert reply.body == body.replace(MODEL, b"public/name")
    assert reply.response_id == "resp_68af40"
    assert reply.usage == Usage(
        input_tokens=120,
        cache_read_tokens=64,
        output_tokens=30,
        reasoning_tokens=12,
        service_tier="standard",
        tools=ToolUse(web_searches=1),
    )


def test_an_answer_without_usage_says_what_to_count() -> None:
    document = json.loads((CORPUS / "answer_agent.json").read_bytes())
    reply = IDENTITY.read_reply(json.dumps(document | {"usage": None, "model": "m"}).encode(), "m")
    assert reply.usage is None
    assert reply.text.startswith("First I look.Then I act.Hello you.get_weather")
    assert json.loads(reply.body)["model"] == "m"


def test_a_model_named_within_a_tool_stays() -> None:
    body = b'{"id":"r","model":"m\\/1","tools":[{"type":"image_generation","model":"gpt-image-1"}]}'
    assert IDENTITY.read_reply(body, "public").body == body.replace(b'"m\\/1"', b'"public"')


def test_what_is_no_object_is_told_apart() -> None:
    with pytest.raises(msgspec.DecodeError):
        IDENTITY.read_reply(b"[]", "m")


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=6), ending=st.sampled_from([b"\n", b"\r\n"]))
def test_a_stream_split_anywhere_passes_untouched(cuts: list[int], ending: bytes) -> None:
    data = STREAM.replace(b"\n", ending)
    relay = IDENTITY.relay("public", forwards_usage=True)
    edges = [0, *sorted(cuts), len(data)]
    out = b"".join(relay.feed(data[start:end]) for start, end in pairwise(edges)) + relay.end() + relay.close(None)
    assert out == data.replace(MODEL, b"public")
    assert relay.is_done
    assert relay.is_complete
    assert relay.failure is None
    assert relay.response_id == "resp_68af40"
    assert relay.usage == Usage(
        input_tokens=120,
        cache_read_tokens=64,
        output_tokens=30,
        reasoning_tokens=12,
        service_tier="standard",
        tools=ToolUse(web_searches=1),
    )
    assert relay.known == NO_USAGE
    assert relay.text == 'First I look.Then I act.Hello you.{"city":"Paris"}{"city":"Oslo"}*** Begin Patch'


def names() -> ResponseNames:
    return ResponseNames("resp_sealed_{}".format, {"resp_before": "resp_sent"})


@given(cut=st.integers(0, len(STREAM)))
def test_only_the_response_has_another_name_for_the_caller(cut: int) -> None:
    body = (CORPUS / "answer_agent.json").read_bytes()
    named = b'"resp_sealed_resp_68af40"'
    assert ResponsesIdentity(names()).read_reply(body, MODEL.decode()).body == body.replace(b'"resp_68af40"', named)
    relay = ResponsesIdentity(names()).relay("public", forwards_usage=True)
    out = relay.feed(STREAM[:cut]) + relay.feed(STREAM[cut:]) + relay.end() + relay.close(None)
    assert out == STREAM.replace(MODEL, b"public").replace(b'"id":"resp_68af40"', b'"id":' + named)
    assert relay.response_id == "resp_68af40", "the record keeps the provider's"


def test_the_response_before_has_the_name_that_the_caller_used() -> None:
    body = b'{"id" : "r", "previous_response_id":\t"resp_before", "text": "\\"id\\":\\"r\\"", "output": [{"id": "r2"}]}'
    expected = body.replace(b'"r"', b'"resp_sealed_r"', 1).replace(b'"resp_before"', b'"resp_sent"')
    assert ResponsesIdentity(names()).read_reply(body, "m").body == expected


def test_a_response_that_a_cut_ends_keeps_its_name() -> None:
    relay = ResponsesRelay("public", names())
    relay.feed(STREAM[: STREAM.index(b"\n\n") + 2])
    assert b'"id":"resp_sealed_resp_68af40"' in relay.close(UpstreamError("cut"))


def test_a_name_that_is_the_same_costs_nothing() -> None:
    relay = ResponsesRelay(MODEL.decode())
    assert relay.feed(STREAM) == STREAM


def test_long_streams_are_boiled_down_and_lose_no_text() -> None:
    relay = ResponsesRelay("public")
    piece = {"type": "response.output_text.delta", "delta": "x" * 900}
    for _ in range(200):
        relay.feed(b"data: " + json.dumps(piece).encode() + b"\n\n")
    relay.feed(b'data: {"delta":{"a":1}}\n\n')
    assert relay.text == "x" * 900 * 200
    relay.feed(b'data: {"delta":"bad \\x escape"}\n\n')
    assert "bad" in relay.text


def test_a_cut_is_told_in_the_stream_and_the_sdk_raises() -> None:
    relay = ResponsesRelay("public")
    events = STREAM.split(b"\n\n")
    sent = relay.feed(b"\n\n".join(events[:12]) + b'\n\nevent: response.output_text.delta\ndata: {"type":"respon')
    assert relay.end() == b""
    assert not relay.is_complete
    last = relay.close(UpstreamError("The provider left.", status=502))
    seen = check_stream(sent + last)
    assert [event["type"] for event in seen[-2:]] == ["error", "response.failed"]
    assert seen[-1]["response"]["model"] == "public"
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=sent + last))
    client = openai.OpenAI(api_key="k", base_url="http://gateway", http_client=httpx2.Client(transport=transport))
    with pytest.raises(openai.APIError, match="The provider left"):
        list(client.responses.create(model="m", input="x", stream=True))


def test_a_cut_before_the_response_began_is_an_error_alone() -> None:
    relay = ResponsesRelay("public")
    assert relay.end() == b""
    assert relay.close(None) == b""
    assert relay.close(UpstreamError("gone")).startswith(b"event: error\n")
    assert relay.close(UpstreamError("gone")).count(b"event:") == 1


def test_a_failure_of_the_vendors_passes_and_is_known() -> None:
    relay = ResponsesRelay("public")
    assert relay.feed(FAILED) == FAILED.replace(MODEL, b"public")
    assert relay.is_done
    assert not relay.is_complete
    assert relay.failure is not None
    assert relay.failure.status == 429
    assert relay.close(relay.failure) == b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (FAILED, 429),
        (b'event: error\ndata: {"type":"error","code":"server_error","message":"x"}\n\n', 500),
        (b'data: {"error":{"code":503,"message":"x"}}\n\n', 503),
        (STREAM[:9000], None),
        (b"event: ping\ndata: {}\n\n", None),
        (b'data: {"type":"error"\n\n', None),
    ],
)
def test_an_error_that_a_stream_begins_with(data: bytes, status: int | None) -> None:
    error = ResponsesRelay("public").opening_error(data, "OpenaiException")
    assert (error.status if error is not None else None) == status


def test_broken_events_pass_as_they_came() -> None:
    relay = ResponsesRelay("public")
    broken = b'data: {"type":"response.completed","response":\n\ndata: {"type":"response.created","response":[]}\n\n'
    assert relay.feed(broken) == broken
    assert not relay.is_done


def test_errors_are_openais() -> None:
    assert json.loads(IDENTITY.render_error(InvalidRequest("no")))["error"]["message"] == "no"
    assert IDENTITY.parse_error(429, b'{"error":{"message":"slow"}}', "v", ()).status == 429


def test_a_last_event_without_its_blank_line_counts() -> None:
    relay = ResponsesRelay("public")
    out = relay.feed(STREAM[:-2])
    assert not relay.is_done
    assert out + relay.end() == STREAM.replace(MODEL, b"public")
    assert relay.is_complete


def test_a_stream_without_text_has_none() -> None:
    assert ResponsesRelay("public").text == ""
