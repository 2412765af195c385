"""OpenAI's SDK over upstreams that speak other formats."""

from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

UPSTREAMS = ["claude", "gemini", "vertex", "bedrock", "cohere", "ollama"]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def client(gateway: Gateway, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as made:
        yield made


def ask(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_chat_is_answered_under_the_public_name(
    client: openai.OpenAI, gateway: Gateway, key: str, model: str
) -> None:
    answer = client.chat.completions.create(model=model, messages=ask("Hello!"))
    assert answer.choices[0].message.content == "Hello! How can I help you today?"
    assert (answer.model, answer.choices[0].finish_reason) == (model, "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (20, 9)
    [record] = spend_logs(gateway, key, count=1)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (20, 9)
    assert (record["spend"] > 0) == (model != "ollama")  # which runs on a machine of one's own


@pytest.mark.parametrize("wants_usage", [False, True])
@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_stream_arrives_in_pieces_with_usage_only_for_who_asked(
    client: openai.OpenAI, model: str, wants_usage: bool
) -> None:
    stream = client.chat.completions.create(
        model=model,
        messages=ask("Tell me a story"),
        stream=True,
        extra_body={"stream_options": {"include_usage": True}} if wants_usage else {},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith("Once upon a time")
    assert len(chunks) > 3
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == ([22] if wants_usage else [])


@pytest.mark.parametrize("model", UPSTREAMS)
def test_tools_go_there_and_back(client: openai.OpenAI, model: str) -> None:
    question = ask("Weather in Paris?")
    with client.chat.completions.stream(model=model, messages=question, tools=[WEATHER]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls is not None
    [call] = message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')
    second = client.chat.completions.create(
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
        tools=[WEATHER],
    )
    assert second.choices[0].message.content == "It is 18 degrees in Paris."


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_vendors_error_is_the_sdks_own(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=model, messages=ask("fail with 429"))
    assert "slow down" in caught.value.message
    assert caught.value.response.headers["retry-after"] == "7"


# Ollama completes texts itself, which its mock does not.
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("model", [each for each in UPSTREAMS if each != "ollama"])
def test_a_model_that_chats_completes_a_text_too(client: openai.OpenAI, model: str, is_stream: bool) -> None:
    if is_stream:
        stream = client.completions.create(model=model, prompt="Tell me a story", stream=True)
        text = "".join(chunk.choices[0].text for chunk in stream if chunk.choices)
    else:
        text = client.completions.create(model=model, prompt="Tell me a story").choices[0].text
    assert text.startswith("Once upon a time")
