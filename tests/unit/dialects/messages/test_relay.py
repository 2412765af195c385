"""The Messages API passing through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tollway.core.errors import InvalidRequest, TollwayError
from tollway.core.snapshot import Deployment
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.body import read_fields
from tollway.dialects.messages import DIALECT
from tollway.dialects.messages.relay import MessagesIdentity, MessagesRelay
from tollway.dialects.registry import find_dialect, find_identity

IDENTITY = MessagesIdentity()
RECORDED = (Path(__file__).parents[3] / "contract/dialects/messages/tools.sse").read_bytes()
RENAMED = RECORDED.replace(b'"claude-sonnet-4-6"', b'"public"')


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


START = event("message_start", message={"id": "msg_1", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}})
END = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}) + event("message_stop")


def delta(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def relayed(data: bytes, size: int | None = None) -> tuple[bytes, MessagesRelay]:
    relay = MessagesRelay("public")
    sent = b"".join(relay.feed(data[at : at + (size or len(data))]) for at in range(0, len(data), size or len(data)))
    return sent + relay.end(), relay


@pytest.mark.parametrize("size", [1, 7, 64, 1000, None])
def test_only_the_model_is_renamed_however_the_stream_is_split(size: int | None) -> None:
    sent, relay = relayed(RECORDED, size)
    assert sent == RENAMED
    assert relay.usage == Usage(
        input_tokens=1321,
        cache_read_tokens=1000,
        cache_write_tokens=200,
        cache_write_1h_tokens=100,
        output_tokens=89,
        reasoning_tokens=12,
    )
    assert (relay.response_id, relay.is_done, relay.is_complete, relay.failure) == ("msg_01", True, True, None)
    assert relay.close(None) == b""


def test_lines_may_end_in_carriage_returns() -> None:
    sent, relay = relayed(RECORDED.replace(b"\n", b"\r\n"), 50)
    assert sent == RENAMED.replace(b"\n", b"\r\n")
    assert (relay.is_done, relay.usage.output_tokens) == (True, 89)


def test_a_text_that_speaks_of_the_end_is_not_the_end() -> None:
    text = 'data: {"type":"message_stop"} "error" message_delta message_start'
    _, relay = relayed(START + delta(text))
    assert (relay.is_done, relay.is_complete, relay.failure) == (False, False, None)
    assert relay.text == text
    assert relay.feed(END) == END
    assert relay.is_done


def test_what_is_known_before_the_end() -> None:
    _, relay = relayed(START + delta("Hel") + delta("lo"))
    assert (relay.known, relay.usage, relay.text) == (Usage(input_tokens=3, output_tokens=1), NO_USAGE, "Hello")


def test_thoughts_and_calls_are_counted_too() -> None:
    cut = RECORDED[: RECORDED.index(b"event: message_delta")]
    _, relay = relayed(cut)
    assert relay.text == 'Two cities, two calls.Let me look.weather{"city": "Bern"}now'


def test_what_is_kept_for_counting_is_boiled_down_and_dropped_when_usage_comes() -> None:
    relay = MessagesRelay("public")
    relay.feed(START)
    for _ in range(2000):
        relay.feed(delta("word "))
    assert sum(map(len, relay._kept)) < 70_000
    assert relay.text == "word " * 2000
    relay.feed(END)
    assert relay._kept == []


def test_a_stream_that_is_cut_ends_with_the_error() -> None:
    _, relay = relayed(START + delta("a"))
    assert not relay.is_complete
    name, data = relay.close(TollwayError("cut", status=500)).rstrip(b"\n").split(b"\n")
    assert (name, json.loads(data[6:])["error"]["type"]) == (b"event: error", "api_error")
    assert relayed(START)[1].close(None) == b""


def test_a_missing_end_is_added() -> None:
    _, relay = relayed(START + END[: END.index(b"event: message_stop")])
    assert (relay.is_done, relay.is_complete) == (False, True)
    assert relay.close(None) == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def test_the_vendors_own_error_passes_and_nothing_follows() -> None:
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    sent, relay = relayed(START + error)
    assert sent.endswith(error)
    assert relay.failure is not None
    assert relay.close(TollwayError("cut")) == b""


def test_an_error_that_opens_the_stream_is_told_apart() -> None:
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    found = MessagesRelay("m").opening_error(error, "AnthropicException")
    assert found is not None
    assert (found.status, found.message) == (529, "litellm.InternalServerError: AnthropicException - Overloaded")
    assert MessagesRelay("m").opening_error(START, "x") is None
    assert MessagesRelay("m").opening_error(event("ping"), "x") is None


def test_odd_events_pass_untouched() -> None:
    odd = b": comment\n\ndata: message_start\n\ndata: message_stop not json\n\n" + event("message_start")
    odd += event("something_new", error=None)
    sent, relay = relayed(odd + START.rstrip(b"\n"))
    assert sent.startswith(odd)
    assert (relay.response_id, relay.is_done) == ("msg_1", False)


def request(**fields: Any) -> dict[str, msgspec.Raw]:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return read_fields(json.dumps(body).encode())


def test_a_request_is_read_as_far_as_the_gateway_needs_it() -> None:
    found = IDENTITY.read_request(request(stream=True), path_model=None, is_stream=False)
    assert (found.model, found.is_stream, found.wants_usage, found.output_limit, found.choices) == (
        "m",
        True,
        True,
        5,
        1,
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"model": "m", "max_tokens": 1}, "messages: Field required"),
        ({"messages": "x", "max_tokens": 1}, "messages: must be a list of messages"),
        ({"messages": []}, "max_tokens: Field required"),
        ({"messages": [], "max_tokens": 0}, "max_tokens: must be greater than or equal to 1"),
        ({"messages": [], "max_tokens": "5"}, "max_tokens: must be an integer"),
        ({"messages": [], "max_tokens": 5, "model": 5}, "model: must be a string"),
        ({"messages": [], "max_tokens": 5, "stream": "yes"}, "stream: must be true or false"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        IDENTITY.read_request(read_fields(json.dumps(body).encode()), path_model=None, is_stream=False)
    assert caught.value.message == message


def deployment(**fields: Any) -> Deployment:
    return Deployment(
        id="d",
        group="public",
        provider="anthropic",
        model="claude-x",
        model_name="anthropic/claude-x",
        endpoints={},
        **fields,
    )


def sent(fields: dict[str, msgspec.Raw], target: Deployment) -> bytes:
    return IDENTITY.render_request(IDENTITY.read_request(fields, path_model=None, is_stream=False), target)


def test_a_request_passes_with_the_deployments_model_and_wishes() -> None:
    body = sent(
        request(tags=["a"], temperature=1, thinking={"type": "adaptive"}),
        deployment(
            dropped=frozenset({"tags"}),
            defaults={"temperature": msgspec.Raw(b"0"), "top_k": msgspec.Raw(b"3")},
            overrides={"service_tier": msgspec.Raw(b'"auto"')},
        ),
    )
    assert json.loads(body) == {
        "model": "claude-x",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 1,
        "thinking": {"type": "adaptive"},
        "top_k": 3,
        "service_tier": "auto",
    }


def test_what_other_vendors_sealed_is_left_out_of_the_history() -> None:
    kept = {"type": "thinking", "thinking": "b", "signature": "own"}
    history = [
        {"role": "user", "content": "What is tollway.gemini.x?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "a", "signature": "tollway.openai.enc"},
                {"type": "redacted_thinking", "data": "tollway.gemini@call_1.s"},
                kept,
                {"type": "text", "text": "tollway.gemini.x"},
            ],
        },
        {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "tollway.openai.enc"}]},
        {"role": "user", "content": [{"type": "text", "text": "And tollway.?"}]},
    ]
    body = json.loads(sent(request(messages=history), deployment()))
    assert body["messages"] == [
        history[0],
        {"role": "assistant", "content": [kept, {"type": "text", "text": "tollway.gemini.x"}]},
        history[3],
    ]


@pytest.mark.parametrize(
    "messages", [b'[ {"role":"user","content":"Hi"} ]', b'["tollway."]', b'[{"content":["tollway."]}]']
)
def test_other_history_passes_byte_for_byte(messages: bytes) -> None:
    fields = request() | {"messages": msgspec.Raw(messages)}
    assert messages in sent(fields, deployment())


ANSWER = b'{"id": "msg_1", "model": "claude-x", "content": [%s], "usage": {"input_tokens": 2, "output_tokens": 3}}'


def test_an_answer_keeps_every_byte_but_the_models_name() -> None:
    block = b'{"type": "tool_use", "id": "t", "name": "f", "input": {"model": "claude-x"}}'
    reply = IDENTITY.read_reply(ANSWER % block, "public")
    assert reply.body == (ANSWER % block).replace(b'"claude-x"', b'"public"', 1)
    assert (reply.response_id, reply.usage) == ("msg_1", Usage(input_tokens=2, output_tokens=3))


def test_an_answer_is_renamed_however_the_name_is_written() -> None:
    reply = IDENTITY.read_reply((ANSWER % b"").replace(b'"model": ', b'"model" :\t'), "public")
    assert json.loads(reply.body)["model"] == "public"
    same = ANSWER % b""
    assert IDENTITY.read_reply(same, "claude-x").body == same
    assert IDENTITY.read_reply(b'{"content":[]}', "public").body == b'{"content":[]}'


def test_an_answer_without_usage_is_counted() -> None:
    reply = IDENTITY.read_reply(b'{"content":[{"type":"text","text":"Hi"}],"usage":{}}', "public")
    assert (reply.usage, reply.text) == (None, "Hi")


@pytest.mark.parametrize("body", [b'{"type":"error"}', b'{"content":[],"id":"\xff"}'])
def test_what_is_no_answer_cannot_be_read(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        IDENTITY.read_reply(body, "public")


def test_the_registry_finds_it() -> None:
    assert isinstance(find_identity("messages"), MessagesIdentity)
    assert find_dialect("messages") is DIALECT


def test_errors_are_the_formats() -> None:
    assert json.loads(IDENTITY.render_error(TollwayError("m")))["type"] == "error"
    assert IDENTITY.parse_error(429, b"{}", "x", ()).error_class == "RateLimitError"
    assert isinstance(IDENTITY.relay("m", forwards_usage=True), MessagesRelay)


def test_a_cloud_gets_the_flags_it_knows_and_the_others_are_named() -> None:
    headers = {b"anthropic-beta": b"context-1m-2025-08-07, tomorrow-2027-01-01"}
    assert IDENTITY.pass_headers({}, deployment()) == ((), ())
    own, _ = IDENTITY.pass_headers(headers, deployment())
    assert own == (("anthropic-beta", "context-1m-2025-08-07,tomorrow-2027-01-01"),)
    google = msgspec.structs.replace(deployment(), cloud="google")
    assert IDENTITY.pass_headers(headers, google) == (
        (("anthropic-beta", "context-1m-2025-08-07"),),
        ("anthropic-beta.tomorrow-2027-01-01",),
    )


def test_where_the_path_names_the_model_the_body_does_not() -> None:
    version = {"anthropic_version": msgspec.Raw(b'"vertex-2023-10-16"')}
    target = msgspec.structs.replace(deployment(), dropped=frozenset({"model"}), overrides=version)
    request = IDENTITY.read_request(
        read_fields(b'{"model":"m","max_tokens":5,"messages":[],"stream":true}'), path_model=None, is_stream=False
    )
    assert json.loads(IDENTITY.render_request(request, target)) == {
        "max_tokens": 5,
        "messages": [],
        "stream": True,
        "anthropic_version": "vertex-2023-10-16",
    }
