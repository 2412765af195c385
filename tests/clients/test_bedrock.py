"""OpenAI's and Anthropic's SDKs over a model of Amazon Bedrock, with its signed calls and its binary stream."""

from collections.abc import Iterator

import anthropic
import openai
import pytest
from anthropic.types import ToolParam
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageParam, ChatCompletionToolParam
from tests.support.aimock import Aimock
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

MODEL = "bedrock"
ID = "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"
SCHEMA: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: ChatCompletionToolParam = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
WEATHER_OF_ANTHROPIC: ToolParam = {"name": "get_weather", "input_schema": SCHEMA}


@pytest.fixture
def chat(gateway: Gateway, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as made:
        yield made


@pytest.fixture
def messages(gateway: Gateway, key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(auth_token=key, base_url=gateway.url, max_retries=0) as made:
        yield made


def ask(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def test_a_chat_is_answered_and_billed(chat: openai.OpenAI, gateway: Gateway, key: str, vendor: Aimock) -> None:
    answer = chat.chat.completions.create(model=MODEL, messages=ask("Hello!"), max_tokens=50)
    assert answer.choices[0].message.content == "Hello! How can I help you today?"
    assert (answer.model, answer.choices[0].finish_reason) == (MODEL, "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (20, 9)
    [record] = spend_logs(gateway, key, count=1)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (20, 9)
    assert record["spend"] > 0
    asked = vendor.requests()[-1]
    assert asked["path"] == f"/model/{ID}/converse"
    assert asked["body"]["max_tokens"] == 50


def test_calls_are_signed(chat: openai.OpenAI, vendor: Aimock) -> None:
    chat.chat.completions.create(model=MODEL, messages=ask("Hello!"))
    headers = vendor.requests()[-1]["headers"]
    assert headers["x-amz-date"].endswith("Z")
    assert "authorization" in headers, "the mock does not show it"


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_binary_stream_arrives_as_chunks(chat: openai.OpenAI, wants_usage: bool) -> None:
    stream = chat.chat.completions.create(
        model=MODEL,
        messages=ask("Tell me a story"),
        stream=True,
        extra_body={"stream_options": {"include_usage": True}} if wants_usage else {},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith("Once upon a time")
    assert len(chunks) > 3
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == ([22] if wants_usage else [])


@pytest.mark.parametrize("is_stream", [False, True])
def test_tools_go_there_and_back(chat: openai.OpenAI, is_stream: bool) -> None:
    question = ask("Weather in Paris?")
    message: ChatCompletionMessage
    if is_stream:
        with chat.chat.completions.stream(model=MODEL, messages=question, tools=[WEATHER]) as stream:
            message = stream.get_final_completion().choices[0].message
    else:
        message = chat.chat.completions.create(model=MODEL, messages=question, tools=[WEATHER]).choices[0].message
    assert message.tool_calls is not None
    [call] = message.tool_calls
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')
    function = {"name": "get_weather", "arguments": call.function.arguments}
    turn: ChatCompletionMessageParam = {
        "role": "assistant",
        "tool_calls": [{"id": call.id, "type": "function", "function": function}],  # type: ignore[typeddict-item]
    }
    second = chat.chat.completions.create(
        model=MODEL,
        messages=[*question, turn, {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}],
        tools=[WEATHER],
    )
    assert second.choices[0].message.content == "It is 18 degrees in Paris."


def test_a_message_passes_untouched_to_invoke(messages: anthropic.Anthropic, vendor: Aimock) -> None:
    answer = messages.messages.create(
        model=MODEL, max_tokens=100, system="Be brief.", messages=[{"role": "user", "content": "Hello!"}]
    )
    [block] = answer.content
    assert block.type == "text"
    assert block.text == "Hello! How can I help you today?"
    assert (answer.model, answer.stop_reason) == (MODEL, "end_turn")
    asked = vendor.requests()[-1]
    assert asked["path"] == f"/model/{ID}/invoke"
    assert asked["headers"]["x-amz-date"].endswith("Z")


def test_flags_that_bedrock_takes_go_into_the_body(gateway: Gateway, key: str, vendor: Aimock) -> None:
    answer = gateway.request(
        "POST",
        "/v1/messages",
        {"model": MODEL, "max_tokens": 9, "service_tier": "auto", "messages": [{"role": "user", "content": "Hello!"}]},
        key=key,
        headers={"anthropic-beta": "context-1m-2025-08-07,claude-code-20250219"},
    )
    assert answer.status == 200
    assert answer.headers["x-tollway-dropped"] == "anthropic-beta.claude-code-20250219, service_tier"
    assert "anthropic-beta" not in vendor.requests()[-1]["headers"]


@pytest.mark.parametrize("is_stream", [False, True])
def test_invoke_serves_callers_of_other_formats_where_the_operator_says_so(
    chat: openai.OpenAI, vendor: Aimock, is_stream: bool
) -> None:
    if is_stream:
        with chat.chat.completions.stream(model="bedrock-invoke", messages=ask("Hello!")) as stream:
            answer = stream.get_final_completion()
    else:
        answer = chat.chat.completions.create(model="bedrock-invoke", messages=ask("Hello!"))  # type: ignore[assignment]
    assert answer.choices[0].message.content == "Hello! How can I help you today?"
    assert vendor.requests()[-1]["path"].endswith("/invoke-with-response-stream" if is_stream else "/invoke")
    with pytest.raises(openai.RateLimitError, match="slow down"):
        chat.chat.completions.create(model="bedrock-invoke", messages=ask("fail with 429"), stream=is_stream)


def test_a_binary_stream_arrives_as_messages_events(messages: anthropic.Anthropic) -> None:
    asked = {"role": "user", "content": "Tell me a story"}
    with messages.messages.stream(model=MODEL, max_tokens=100, messages=[asked]) as stream:  # type: ignore[list-item]
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert len(pieces) > 3
    assert "".join(pieces).startswith("Once upon a time")
    assert (message.model, message.stop_reason) == (MODEL, "end_turn")  # the mock reports no usage here


def test_tools_of_messages_are_asked_for(messages: anthropic.Anthropic) -> None:
    with messages.messages.stream(
        model=MODEL,
        max_tokens=100,
        messages=[{"role": "user", "content": "Weather in Paris?"}],
        tools=[WEATHER_OF_ANTHROPIC],
    ) as stream:
        first = stream.get_final_message()
    assert first.stop_reason == "tool_use"
    [call] = [block for block in first.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_vendors_error_is_the_sdks_own(chat: openai.OpenAI, messages: anthropic.Anthropic, is_stream: bool) -> None:
    with pytest.raises(openai.RateLimitError, match="slow down") as caught:
        chat.chat.completions.create(model=MODEL, messages=ask("fail with 429"), stream=is_stream)
    assert caught.value.response.headers["retry-after"] == "7"
    with pytest.raises(anthropic.BadRequestError, match="temperature must be between"):
        messages.messages.create(
            model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "fail with 400"}], stream=is_stream
        )
