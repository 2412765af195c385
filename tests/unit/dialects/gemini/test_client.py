"""Google's own SDK reads what is written for Gemini clients."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types
from hypothesis import given, settings
from tests.unit.dialects.gemini.samples import OPTIONS, answers

from tollway.core.errors import BudgetExceeded, UpstreamError
from tollway.core.usage import Usage
from tollway.dialects.body import read_fields
from tollway.dialects.gemini import DIALECT
from tollway.dialects.generation.answer import Answer, Choice, events_of
from tollway.dialects.generation.request import Citation, Seal, Text, Thinking, ToolCall, ToolResult

ANSWER = Answer(
    origin="messages",
    id="msg_1",
    model="claude",
    choices=[
        Choice(
            parts=[
                Thinking(text="Hm.", seal=Seal("anthropic", "sig/+=")),
                Text(text="Grüße", citations=(Citation(url="https://a.test", title="a"),)),
                ToolCall(id="toolu_1", name="look", arguments='{"at":1}'),
                ToolCall(id="toolu_2", name="look", arguments='{"at":2}'),
            ],
            stop="tool_use",
        )
    ],
    usage=Usage(input_tokens=10, cache_read_tokens=4, output_tokens=9, reasoning_tokens=3),
)


class _Server:
    """Answers one client with what it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.asked: list[bytes] = []
        transport = httpx2.MockTransport(self._answer)
        self.client = genai.Client(api_key="k", http_options=types.HttpOptions(client_args={"transport": transport}))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.content)
        return httpx2.Response(self.status, content=self.body)

    def whole(self, body: bytes, status: int = 200, **settings: Any) -> types.GenerateContentResponse:
        self.body, self.status = body, status
        return self.client.models.generate_content(model="public", **{"contents": "Hi", **settings})

    def stream(self, body: bytes) -> list[types.GenerateContentResponse]:
        self.body, self.status = body, 200
        return list(self.client.models.generate_content_stream(model="public", contents="Hi"))


_CLIENT = _Server()
"""One for all tests: making a client takes a second."""


@pytest.fixture
def server() -> _Server:
    _CLIENT.asked.clear()
    return _CLIENT


def stream_of(answer: Answer, error: UpstreamError | None = None) -> bytes:
    encoder = DIALECT.encoder(OPTIONS)
    return encoder.push(events_of(answer)) + encoder.close(error)


def test_a_whole_answer(server: _Server) -> None:
    answer = server.whole(DIALECT.render_answer(ANSWER, OPTIONS))
    assert answer.text == "Grüße"
    assert [(call.id, call.name, call.args) for call in answer.function_calls or ()] == [
        ("toolu_1", "look", {"at": 1}),
        ("toolu_2", "look", {"at": 2}),
    ]
    assert (answer.model_version, answer.response_id) == ("public", "msg_1")
    usage = answer.usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (10, 4)
    assert (usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count) == (6, 3, 19)


def test_a_stream(server: _Server) -> None:
    chunks = server.stream(stream_of(ANSWER))
    parts = [part for chunk in chunks for part in chunk.parts or ()]
    assert "".join(part.text or "" for part in parts if part.thought) == "Hm."
    assert "".join(part.text or "" for part in parts if not part.thought) == "Grüße"
    assert [part.function_call.id for part in parts if part.function_call] == ["toolu_1", "toolu_2"]
    last = chunks[-1]
    assert last.candidates is not None
    assert last.candidates[0].finish_reason == types.FinishReason.STOP
    assert last.candidates[0].grounding_metadata is not None
    assert last.usage_metadata is not None
    assert last.usage_metadata.total_token_count == 19


def test_the_next_turn_brings_back_seals_and_links_results(server: _Server) -> None:
    """A chat session of the SDK sends the history it read."""
    server.body, server.status = stream_of(ANSWER), 200
    session = server.client.chats.create(model="public")
    list(session.send_message_stream("Hi"))
    results = [
        types.Part(function_response=types.FunctionResponse(id=one, name="look", response={"result": one}))
        for one in ("toolu_2", "toolu_1")
    ]
    list(session.send_message_stream(results))
    request = DIALECT.parse_request(read_fields(server.asked[1]), model="public", is_stream=True)
    said = [part for message in request.messages for part in message.parts]
    assert Seal("anthropic", "sig/+=") in [part.seal for part in said if isinstance(part, Thinking)]
    assert [part.id for part in said if isinstance(part, ToolCall)] == ["toolu_1", "toolu_2"]
    assert [part.call_id for part in said if isinstance(part, ToolResult)] == ["toolu_2", "toolu_1"]


@settings(max_examples=20)
@given(answers)
def test_every_stream_is_read(answer: Answer) -> None:
    assert _CLIENT.stream(stream_of(answer))[-1].usage_metadata is not None


def test_errors(server: _Server) -> None:
    body = DIALECT.render_error(BudgetExceeded("spent"))
    with pytest.raises(errors.ClientError) as caught:
        server.whole(body, 422)
    assert (caught.value.code, caught.value.status, caught.value.message) == (422, "FAILED_PRECONDITION", "spent")
    assert caught.value.details["error"]["type"] == "budget_exceeded"


def test_errors_in_the_middle_of_a_stream(server: _Server) -> None:
    server.body, server.status = stream_of(ANSWER, UpstreamError("gone", status=503)), 200
    chunks = server.client.models.generate_content_stream(model="public", contents="Hi")
    seen: list[str] = []
    while "Grüße" not in seen:
        seen += [part.text or "" for part in next(chunks).parts or ()]
    with pytest.raises(errors.ServerError) as caught:
        list(chunks)
    assert (caught.value.code, caught.value.message) == (503, "gone")


def test_what_the_sdk_sends_is_read(server: _Server) -> None:
    def look(at: int, where: str | None = None) -> str:
        """Looks."""
        return f"{at} {where}"

    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        temperature=0.5,
        max_output_tokens=9,
        stop_sequences=["END"],
        tools=[look, types.Tool(google_search=types.GoogleSearch())],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
        ),
        thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW, include_thoughts=True),
        safety_settings=[],
        response_mime_type="application/json",
        response_schema={"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
    )
    image = types.Part.from_bytes(data=b"\x00\xff", mime_type="image/png")
    server.whole(DIALECT.render_answer(ANSWER, OPTIONS), contents=["What?", image], config=config)
    request = DIALECT.parse_request(read_fields(server.asked[0]), model="public", is_stream=False)
    assert [message.role for message in request.messages] == ["system", "user"]
    assert len(request.tools) == 2
    assert request.tool_choice is not None
    assert request.tool_choice.mode == "required"
    assert (request.max_output_tokens, request.stop) == (9, ["END"])
    assert request.reasoning is not None
    assert (request.reasoning.effort, request.reasoning.summary) == ("low", "auto")
    assert request.format is not None
    assert request.extra == {}
