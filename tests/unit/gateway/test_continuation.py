"""Wherever a stream is cut, what is continued is what the caller has been told, and the whole is a legal stream."""

from __future__ import annotations

import json

import pytest
from tests.support import grammar_chat, grammar_gemini, grammar_messages

from tollway.core.snapshot import Deployment, Endpoint, Operation, Origin, Settings
from tollway.core.usage import Usage
from tollway.dialects.body import Request, read_fields
from tollway.dialects.generation.answer import Answer, Choice, events_of
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Part, Text, Thinking
from tollway.dialects.registry import find_dialect
from tollway.gateway.call import Call
from tollway.gateway.continuation import ask_to_go_on, interrupt, resumed_relay
from tollway.gateway.conversation import converse

FORMATS: tuple[Operation, ...] = ("chat", "messages", "gemini")
TURN = {"role": "user", "content": "Hi"}
BODIES = {
    "chat": {"messages": [TURN]},
    "messages": {"messages": [TURN], "max_tokens": 9},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}
SAID, REST = "Grüezi ", "mitenand!"


def streamed(dialect: Operation, text: str) -> bytes:
    """A vendor's stream that thinks, and says `text` in small pieces."""
    parts: list[Part] = [Thinking(text="hm"), Text(text=text)]
    answer = Answer(
        origin="x",
        id="r",
        model="v",
        created=1,
        choices=[Choice(parts=parts)],
        usage=Usage(input_tokens=5, output_tokens=4),
    )
    encoder = find_dialect(dialect).encoder(StreamOptions(model="v"))
    return bytes(encoder.push(events_of(answer)) + encoder.close(None))


def call_to(operation: Operation, dialect: Operation) -> Call:
    endpoint = Endpoint(origin=Origin("https", "x.test", 443), target="/", headers=())
    deployment = Deployment(
        id="d", group="m", provider="someone", model="v", model_name="x", endpoints={dialect: endpoint}
    )
    call = Call(operation=operation, path="/", headers={}, client_ip="", settings=Settings())
    call.requested_model = "m"
    call.request = Request(read_fields(json.dumps(BODIES[operation]).encode()), "m", True, False, None, 1)
    call.deployment, call.conversation = deployment, converse(call, deployment)
    call.conversation.render_request(call)
    return call


def text_in(operation: Operation, stream: bytes) -> str:
    """What the text of a legal stream is."""
    if operation == "chat":
        choices = [choice for one in grammar_chat.check_stream(stream) for choice in one["choices"]]
        return "".join(choice["delta"].get("content") or "" for choice in choices)
    if operation == "messages":
        events = grammar_messages.check_stream(stream)
        return "".join(one["delta"].get("text", "") for one in events if one["type"] == "content_block_delta")
    chunks = grammar_gemini.read_sse(stream)
    grammar_gemini.check_chunks(chunks)
    parts = [part for one in chunks for part in one["candidates"][0]["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts if not part.get("thought"))


@pytest.mark.parametrize("dialect", FORMATS)
@pytest.mark.parametrize("operation", FORMATS)
def test_wherever_it_is_cut(operation: Operation, dialect: Operation) -> None:
    whole, rest = streamed(dialect, SAID), streamed("chat", REST)
    taken_up = 0
    for cut in range(len(whole) + 1):
        call = call_to(operation, dialect)
        assert call.conversation is not None
        first = call.conversation.relay(call)
        told = first.feed(whole[:cut])
        said = "" if first.is_complete else interrupt(call, whole[:cut], has_ended=False)
        if not said:
            continue
        taken_up += 1
        ask_to_go_on(call, said)
        successor = call_to(operation, "chat")
        call.deployment, call.conversation = successor.deployment, successor.conversation
        relay = resumed_relay(call)
        stream = told + relay.feed(rest) + relay.close(None)
        assert text_in(operation, stream) == said + REST, cut
        assert SAID.startswith(said)
    assert taken_up > 20
