"""Streams pass through untouched apart from the model's name, however their bytes are cut."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.errors import UpstreamError
from tollway.dialects.openai.stream import StreamRelay, first_error

MODEL = "gpt-4o-2024-08-06"


def event(content: str | None = None, *, finish: str | None = None, model: str = MODEL, **more: object) -> bytes:
    delta = {} if content is None else {"content": content}
    document = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


def usage_event(**more: object) -> bytes:
    document = {
        "id": "chatcmpl-1",
        "model": MODEL,
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        **more,
    }
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
STREAM = event("Hel", usage=None) + event('lo "model":"x"', usage=None) + event(finish="stop") + usage_event() + DONE


def relay(data: bytes, cuts: list[int] | None = None, *, forwards_usage: bool = False) -> tuple[bytes, StreamRelay]:
    """What a client gets when the bytes arrive cut at these places."""
    state = StreamRelay("gpt-4o", forwards_usage=forwards_usage)
    out = b""
    for start, end in pairwise([0, *sorted(cuts or []), len(data)]):
        out += state.feed(data[start:end])
    out += state.end()
    error = None if state.is_complete else UpstreamError("cut")
    return out + state.close(error), state


def test_only_the_model_changes_when_the_client_asked_for_usage() -> None:
    out, _ = relay(STREAM, forwards_usage=True)
    assert out == STREAM.replace(MODEL.encode(), b"gpt-4o")


def test_a_usage_event_only_the_gateway_asked_for_is_removed_and_still_read() -> None:
    out, state = relay(STREAM)
    assert out == STREAM.replace(MODEL.encode(), b"gpt-4o").replace(
        usage_event().replace(MODEL.encode(), b"gpt-4o"), b""
    )
    assert (state.usage.input_tokens, state.usage.output_tokens) == (9, 3)


@pytest.mark.parametrize("forwards_usage", [True, False])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_bytes_may_be_cut_at_every_single_place(forwards_usage: bool, line_end: bytes) -> None:
    data = STREAM.replace(b"\n", line_end)
    whole, _ = relay(data, forwards_usage=forwards_usage)
    for cut in range(1, len(data)):
        out, state = relay(data, [cut], forwards_usage=forwards_usage)
        assert out == whole, cut
        assert state.usage.output_tokens == 3


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=40))
def test_bytes_may_be_cut_anywhere_any_number_of_times(cuts: list[int]) -> None:
    out, state = relay(STREAM, cuts)
    assert out == relay(STREAM)[0]
    assert state.usage.total_tokens == 12
    assert state.text == 'Hello "model":"x"'


@given(st.integers(1, len(STREAM) - len(DONE) - len(usage_event()) - len(event(finish="stop"))))
def test_a_stream_cut_before_its_finish_reason_ends_in_an_error_event(length: int) -> None:
    state = StreamRelay("gpt-4o", forwards_usage=False)
    out = state.feed(STREAM[:length])
    assert not state.is_complete
    last = state.close(UpstreamError("the provider hung up"))
    *_, error, done, rest = (out + last).split(b"\n\n")
    assert json.loads(error[6:])["error"]["message"] == "the provider hung up"
    assert json.loads(error[6:])["error"]["code"] == "500"
    assert (done, rest) == (b"data: [DONE]", b"")


def test_a_stream_without_done_but_with_a_finish_reason_gets_its_done() -> None:
    data = event("Hi") + event(finish="stop")
    out, state = relay(data)
    assert state.is_complete
    assert out.endswith(DONE)
    assert b"error" not in out


def test_an_error_event_of_the_provider_is_passed_on_once() -> None:
    failed = b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'
    state = StreamRelay("gpt-4o", forwards_usage=False)
    out = state.feed(event("Hi") + failed)
    assert state.has_error
    out += state.close(UpstreamError("cut"))
    assert out.count(b'"error"') == 1
    assert out.endswith(DONE)


def test_text_that_looks_like_an_end_does_not_end_the_stream() -> None:
    state = StreamRelay("gpt-4o", forwards_usage=False)
    state.feed(event("data: [DONE]"))
    assert not state.is_done


def test_comments_and_an_empty_first_model_name_pass() -> None:
    azure = event(None, model="") + event("Hi") + DONE
    out, state = relay(b": PROCESSING\n\n" + azure)
    assert out == b": PROCESSING\n\n" + azure.replace(MODEL.encode(), b"gpt-4o")
    assert state.response_id == "chatcmpl-1"


def test_a_model_written_with_spaces_is_renamed_as_it_was_written() -> None:
    data = b'data: {"id": "1", "model": "%s", "choices": []}\n\n' % MODEL.encode() + DONE
    assert relay(data)[0] == data.replace(MODEL.encode(), b"gpt-4o")


def test_a_name_that_needs_escapes_stays_valid_json() -> None:
    state = StreamRelay('a"b\\c', forwards_usage=False)
    document = state.feed(event("Hi"))[6:].strip()
    assert json.loads(document)["model"] == 'a"b\\c'


def test_usage_in_the_last_content_event_stays_where_it_is() -> None:
    last = event("!", finish="stop", usage={"prompt_tokens": 4, "completion_tokens": 2})
    out, state = relay(event("Hi") + last + DONE)
    assert out == (event("Hi") + last + DONE).replace(MODEL.encode(), b"gpt-4o")
    assert state.usage.total_tokens == 6


def test_long_streams_keep_their_text_not_their_bytes() -> None:
    state = StreamRelay("gpt-4o", forwards_usage=False)
    for number in range(3000):
        state.feed(event(f"{number} "))
    assert sum(map(len, state._kept)) < 128 * 1024
    assert state.text == "".join(f"{number} " for number in range(3000))


def test_text_counts_reasoning_tools_and_text_completions() -> None:
    state = StreamRelay("m", forwards_usage=False)
    for delta in (
        {"reasoning_content": "hm"},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]},
        {"refusal": "no"},
    ):
        choice = {"index": 0, "delta": delta}
        state.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
    state.feed(b'data: {"choices":[{"text":" plain","index":0}]}\n\n')
    assert state.text == "hmf{}no plain"


def test_an_error_as_first_event_is_recognised() -> None:
    document = b'{"error":{"message":"no","code":429}}'
    assert first_error(b"data: " + document + b"\n\n") == document
    assert first_error(event("Hi")) is None
    assert first_error(b": comment\n\n") is None
