"""Google's own SDK reads what is written for Gemini clients."""

from __future__ import annotations

from tollway.core.usage import Usage
from tollway.dialects.generation.answer import Answer, Choice
from tollway.dialects.generation.request import Citation, Seal, Text, Thinking, ToolCall

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


def client(answer: Callable[[httpx2.Request], httpx2.Response]) -> genai.Client:
    transport = httpx2.MockTransport(answer)
    return genai.Client(api_key="k", http_options=types.HttpOptions(client_args={"transport": transport}))


def stream_of(answer: Answer, error: UpstreamError | None = None) -> bytes:
    encoder = DIALECT.encoder(OPTIONS)
    return encoder.push(events_of(answer)) + encoder.close(error)


def events(data: bytes) -> Callable[[httpx2.Request], httpx2.Response]:
    return lambda request: httpx2.Response(200, content=data, headers={"content-type": "text/event-stream"})


def test_a_whole_answer() -> None:
    found = client(lambda request: httpx2.Response(200, content=DIALECT.render_answer(ANSWER, OPTIONS)))
    answer = found.models.generate_content(model="public", contents="Hi")
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


def test_a_stream() -> None:
    chunks = list(client(events(stream_of(ANSWER))).models.generate_content_stream(model="public", contents="Hi"))
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


def test_the_next_turn_brings_back_seals_and_links_results() -> None:
    """A chat session of the SDK sends the history it read."""
    bodies: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        return httpx2.Response(200, content=stream_of(ANSWER))

    session = client(answer).chats.create(model="public")
    list(session.send_message_stream("Hi"))
    results = [
        types.Part(function_response=types.FunctionResponse(id=one, name="look", response={"result": one}))
        for one in ("toolu_2", "toolu_1")
    ]
    list(session.send_message_stream(results))
    request = DIALECT.parse_request(read_fields(bodies[1]), model="public", is_stream=True)
    said = [part for message in request.messages for part in message.parts]
    assert Seal("anthropic", "sig/+=") in [part.seal for part in said if isinstance(part, Thinking)]
    assert [part.id for part in said if isinstance(part, ToolCall)] == ["toolu_1", "toolu_2"]
    assert [part.call_id for part in said if isinstance(part, ToolResult)] == ["toolu_2", "toolu_1"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(answers)
def test_every_stream_is_read(answer: Answer) -> None:
    chunks = list(client(events(stream_of(answer))).models.generate_content_stream(model="public", contents="Hi"))
    assert chunks[-1].usage_metadata is not None


def test_errors() -> None:
    spent = client(lambda request: httpx2.Response(422, content=DIALECT.render_error(BudgetExceeded("spent"))))
    with pytest.raises(errors.ClientError) as caught:
        spent.models.generate_content(model="public", contents="Hi")
    assert (caught.value.code, caught.value.status, caught.value.message) == (422, "FAILED_PRECONDITION", "spent")
    assert caught.value.details["error"]["type"] == "budget_exceeded"


def test_errors_in_the_middle_of_a_stream() -> None:
    broken = stream_of(ANSWER, UpstreamError("gone", status=503))
    seen: list[str] = []
    with pytest.raises(errors.ServerError) as caught:
        for chunk in client(events(broken)).models.generate_content_stream(model="public", contents="Hi"):
            seen += [part.text or "" for part in chunk.parts or ()]
    assert "Grüße" in seen
    assert (caught.value.code, caught.value.message) == (503, "gone")


def test_counting() -> None:
    bodies: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        return httpx2.Response(200, content=render_count(7))

    assert client(answer).models.count_tokens(model="public", contents="Hi").total_tokens == 7
    request = parse_count_request(read_fields(bodies[0]), model="public")
    assert request.messages[0].parts == [Text(text="Hi")]


def test_what_the_sdk_sends_is_read() -> None:
    bodies: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        return httpx2.Response(200, content=DIALECT.render_answer(ANSWER, OPTIONS))

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
    client(answer).models.generate_content(model="public", contents=["What?", image], config=config)
    request = DIALECT.parse_request(read_fields(bodies[0]), model="public", is_stream=False)
    assert [message.role for message in request.messages] == ["system", "user"]
    assert len(request.tools) == 2
    assert request.tool_choice is not None
    assert request.tool_choice.mode == "required"
    assert (request.max_output_tokens, request.stop) == (9, ["END"])
    assert request.reasoning is not None
    assert (request.reasoning.effort, request.reasoning.summary) == ("low", "auto")
    assert request.format is not None
    assert request.extra == {}
