"""The OpenAI and Anthropic SDKs over vendors whose formats no client speaks: Cohere's and Ollama's own."""

from collections.abc import Iterator

import anthropic
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from tests.support.aimock import Aimock
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

UPSTREAMS = ["cohere", "ollama"]
SCHEMA: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION: ChatCompletionToolParam = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
TOOL: ToolParam = {"name": "get_weather", "input_schema": SCHEMA}


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


def say(text: str) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_chat_is_answered_under_the_public_name(chat: openai.OpenAI, model: str) -> None:
    answer = chat.chat.completions.create(model=model, messages=ask("Hello!"))
    assert answer.choices[0].message.content == "Hello! How can I help you today?"
    assert (answer.model, answer.choices[0].finish_reason) == (model, "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (20, 9)


def test_what_cohere_bills_is_what_is_spent(chat: openai.OpenAI, gateway: Gateway, key: str) -> None:
    chat.chat.completions.create(model="cohere", messages=ask("Hello!"))
    [record] = spend_logs(gateway, key, count=1)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (20, 9)
    assert record["spend"] > 0


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_chat_stream_arrives_in_pieces(chat: openai.OpenAI, model: str) -> None:
    stream = chat.chat.completions.create(
        model=model, messages=ask("Tell me a story"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith("Once upon a time")
    assert len(chunks) > 3
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [22]


@pytest.mark.parametrize("model", UPSTREAMS)
def test_tools_of_a_chat_go_there_and_back(chat: openai.OpenAI, model: str) -> None:
    question = ask("Weather in Paris?")
    with chat.chat.completions.stream(model=model, messages=question, tools=[FUNCTION]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls is not None
    [call] = message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')
    second = chat.chat.completions.create(
        model=model,
        messages=[
            *question,
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": call.function.arguments},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"},
        ],
        tools=[FUNCTION],
    )
    assert second.choices[0].message.content == "It is 18 degrees in Paris."


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_vendors_error_is_the_sdks_own(chat: openai.OpenAI, messages: anthropic.Anthropic, model: str) -> None:
    with pytest.raises(openai.RateLimitError) as of_chat:
        chat.chat.completions.create(model=model, messages=ask("fail with 429"))
    with pytest.raises(anthropic.RateLimitError) as of_messages:
        messages.messages.create(model=model, max_tokens=9, messages=say("fail with 429"))
    with pytest.raises(anthropic.InternalServerError):
        messages.messages.create(model=model, max_tokens=9, messages=say("fail with 500"), stream=True)
    for caught in (of_chat.value, of_messages.value):
        assert "slow down" in caught.message
        assert caught.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_message_is_answered(
    messages: anthropic.Anthropic, gateway: Gateway, vendor: Aimock, key: str, model: str
) -> None:
    answer = messages.messages.create(model=model, max_tokens=9, system="Be brief.", messages=say("Hello!"))
    [block] = answer.content
    assert block.type == "text"
    assert block.text == "Hello! How can I help you today?"
    assert (answer.model, answer.stop_reason) == (model, "end_turn")
    [record] = spend_logs(gateway, key, count=1)
    assert record["completion_tokens"] > 0  # this mock of Ollama reports none: the gateway counts itself
    path = vendor.requests()[-1]["path"]
    assert path == {"cohere": "/v2/chat", "ollama": "/api/chat"}[model]


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_message_stream_arrives_in_pieces(messages: anthropic.Anthropic, model: str) -> None:
    with messages.messages.stream(model=model, max_tokens=100, messages=say("Tell me a story")) as stream:
        pieces = list(stream.text_stream)
    assert len(pieces) > 3
    assert "".join(pieces).startswith("Once upon a time")


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("model", UPSTREAMS)
def test_tools_of_a_message_go_there_and_back(messages: anthropic.Anthropic, model: str, is_stream: bool) -> None:
    question = say("Weather in Paris?")
    if is_stream:
        with messages.messages.stream(model=model, max_tokens=100, messages=question, tools=[TOOL]) as stream:
            first = stream.get_final_message()
    else:
        first = messages.messages.parse(model=model, max_tokens=100, messages=question, tools=[TOOL])
    assert first.stop_reason == "tool_use"
    [call] = [block for block in first.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
    result: MessageParam = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"}],
    }
    second = messages.messages.create(
        model=model,
        max_tokens=100,
        messages=[*question, {"role": "assistant", "content": first.content}, result],
        tools=[TOOL],
    )
    assert [block.text for block in second.content if block.type == "text"] == ["It is 18 degrees in Paris."]
