"""A stream between two formats, as the gateway forwards it."""

from __future__ import annotations

import json
from typing import Any

from tollway.core.snapshot import Deployment, Endpoint, Origin, Settings
from tollway.dialects.body import Request, read_fields
from tollway.dialects.chat import DIALECT as CHAT
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.messages import DIALECT as MESSAGES
from tollway.gateway.call import Call, Conversation
from tollway.gateway.conversation import TranslatingRelay, converse

START = b'data: {"id":"r","model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
ERROR = b'data: {"error":{"message":"slow down","code":429}}\n\n'


def relay() -> TranslatingRelay:
    return TranslatingRelay(CHAT, MESSAGES.encoder(StreamOptions(model="m", call_id="c")), "OpenaiException")


def test_an_error_in_the_middle_of_a_stream_names_the_vendor() -> None:
    one = relay()
    assert b"message_start" in one.feed(START)
    one.feed(ERROR)
    assert one.failure is not None
    assert one.failure.message == "litellm.RateLimitError: OpenaiException - slow down"
    assert one.is_done


def test_an_error_in_place_of_an_answer_is_told_apart_from_one_in_its_middle() -> None:
    one = relay()
    one.feed(ERROR)
    error = one.opening_error(ERROR, "OpenaiException")
    assert error is not None
    assert error.message == "litellm.RateLimitError: OpenaiException - slow down"
    begun = relay()
    begun.feed(START + ERROR)
    assert begun.has_begun(START + ERROR)
    assert begun.opening_error(START + ERROR, "OpenaiException") is None


def test_what_only_announces_an_answer_is_not_its_beginning() -> None:
    one = relay()
    role = b'data: {"id":"r","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    assert b"message_start" in one.feed(role)
    assert not one.has_begun(role)


def render(body: dict[str, Any], *, settings: Settings) -> tuple[Conversation, dict[str, Any]]:
    """A chat request as a deployment that speaks Anthropic's format gets it."""
    endpoint = Endpoint(origin=Origin("https", "x.test", 443), target="/", headers=())
    deployment = Deployment(
        id="d", group="m", provider="anthropic", model="claude", model_name="x", endpoints={"messages": endpoint}
    )
    call = Call(operation="chat", path="/v1/chat/completions", headers={}, client_ip="", settings=settings)
    call.request = Request(read_fields(json.dumps(body).encode()), "m", False, False, None, 1)
    conversation = converse(call, deployment)
    return conversation, json.loads(conversation.render_request(call))


def test_a_request_is_repaired_only_where_the_operator_says_so() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    body = {"messages": [{"role": "user", "content": "Look."}, {"role": "assistant", "tool_calls": [call]}]}

    conversation, sent = render(body, settings=Settings())
    assert conversation.repaired == ()
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant"]
    assert "tools" not in sent

    conversation, sent = render(body, settings=Settings(repairs_requests=True))
    assert conversation.repaired == ("messages.tool_result.missing", "tools")
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
    assert [tool["name"] for tool in sent["tools"]] == ["look"]
