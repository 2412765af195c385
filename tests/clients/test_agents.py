"""What agents and frameworks send, replayed against upstreams of every format: each gets a legal stream of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import grammar_chat, grammar_messages, grammar_responses
from tests.support.gateway import Gateway

from tollway.dialects.generation.answer import Answer, Assembler, text_of
from tollway.dialects.registry import find_dialect

AGENTS = sorted((Path(__file__).parent / "agents").glob("*.json"))
UNTOUCHED = {
    ("chat", "gpt-4o"),
    ("chat", "demo"),
    ("chat", "ollama"),
    ("responses", "gpt-4o"),
    ("messages", "claude"),
    ("messages", "bedrock"),
    ("gemini", "gemini"),
    ("gemini", "vertex"),
}
"""Streams that pass as the vendor sent them."""
UPSTREAMS = ["gpt-4o", "claude", "gemini", "vertex", "bedrock", "cohere", "ollama", "demo"]


def check_chat(stream: bytes, body: dict[str, Any]) -> None:
    grammar_chat.check_stream(stream, wants_usage="stream_options" in body)


CHECKS: dict[str, Callable[[bytes, dict[str, Any]], object]] = {
    "chat": check_chat,
    "messages": lambda stream, body: grammar_messages.check_stream(stream),
    "responses": lambda stream, body: grammar_responses.check_stream(stream),
    "gemini": lambda stream, body: None,
}


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("file", AGENTS, ids=lambda file: file.stem)
def test_an_agents_request_is_answered_in_its_own_format(gateway: Gateway, key: str, file: Path, upstream: str) -> None:
    agent = json.loads(file.read_text().replace("{model}", upstream))
    answer = gateway.request(
        "POST", agent["path"], agent["body"], key=key, headers={**agent["headers"], "Content-Type": "application/json"}
    )
    assert answer.status == 200, answer.body
    if answer.headers["content-type"].startswith("text/event-stream"):
        if (agent["operation"], upstream) not in UNTOUCHED:
            CHECKS[agent["operation"]](answer.body, agent["body"])
        text = text_of(assembled(agent["operation"], answer.body))
    else:
        text = text_of(find_dialect(agent["operation"]).parse_answer(answer.body))
    assert "story" in text or text.startswith("Once upon a time")


def assembled(operation: Any, stream: bytes) -> Answer:
    decoder = find_dialect(operation).decoder()
    assembler = Assembler(operation)
    for event in [*decoder.feed(stream), *decoder.end()]:
        assembler.add(event)
    return assembler.answer()
