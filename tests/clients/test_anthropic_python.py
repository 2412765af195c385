"""Anthropic's SDK for Python, unchanged but for its address, over upstreams of every format."""

from collections.abc import Iterator

import anthropic
import pytest
from anthropic.types import CacheControlEphemeralParam, MessageParam, ToolParam
from tests.support.aimock import Aimock
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

METERED = ["gpt-4o", "claude", "gemini", "bedrock", "cohere"]
UPSTREAMS = [*METERED, "ollama"]
UNMETERED_STREAMS = {"ollama", "bedrock"}
"""The mock of Ollama reports no usage, and that of Bedrock's InvokeModel says 0 at the end of a stream."""
WEATHER: ToolParam = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
def client(gateway: Gateway, key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(auth_token=key, base_url=gateway.url, max_retries=0) as made:
        yield made


def ask(text: str) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("model", METERED)
def test_a_message_is_answered_under_the_public_name(client: anthropic.Anthropic, model: str) -> None:
    answer = client.messages.create(model=model, max_tokens=100, system="Be brief.", messages=ask("Hello!"))
    [block] = answer.content
    assert block.type == "text"
    assert block.text == "Hello! How can I help you today?"
    assert (answer.model, answer.stop_reason) == (model, "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (20, 9)


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_stream_arrives_in_pieces_with_its_usage(client: anthropic.Anthropic, model: str) -> None:
    with client.messages.stream(model=model, max_tokens=100, messages=ask("Tell me a story")) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert len(pieces) > 3
    assert "".join(pieces).startswith("Once upon a time")
    assert message.usage.output_tokens == (0 if model in UNMETERED_STREAMS else 22)
    assert message.model == model


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("model", UPSTREAMS)
def test_tools_go_there_and_back(client: anthropic.Anthropic, model: str, is_stream: bool) -> None:
    question = ask("Weather in Paris?")
    if is_stream:
        with client.messages.stream(model=model, max_tokens=100, messages=question, tools=[WEATHER]) as stream:
            first = stream.get_final_message()
    else:
        first = client.messages.parse(model=model, max_tokens=100, messages=question, tools=[WEATHER])
    assert first.stop_reason == "tool_use"
    [call] = [block for block in first.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
    result: MessageParam = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"}],
    }
    conversation: list[MessageParam] = [*question, {"role": "assistant", "content": first.content}, result]
    second = client.messages.create(model=model, max_tokens=100, messages=conversation, tools=[WEATHER])
    assert second.content[0].type == "text"
    assert second.content[0].text == "It is 18 degrees in Paris."


@pytest.mark.parametrize(
    ("text", "error", "status"),
    [
        ("fail with 400", anthropic.BadRequestError, 400),
        ("fail with 429", anthropic.RateLimitError, 429),
        ("fail with 500", anthropic.InternalServerError, 500),
    ],
)
@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_vendors_error_is_the_sdks_own(
    client: anthropic.Anthropic, model: str, text: str, error: type[anthropic.APIStatusError], status: int
) -> None:
    with pytest.raises(error) as caught:
        client.messages.create(model=model, max_tokens=100, messages=ask(text))
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"


def test_what_only_openai_knows_is_refused_or_dropped_and_named(gateway: Gateway, key: str) -> None:
    body = {"model": "claude", "messages": ask("Hello!"), "max_tokens": 100, "seed": 7, "user": "u"}
    refused = gateway.request("POST", "/v1/chat/completions", body, key=key)
    assert refused.status == 400
    assert refused.json()["error"]["param"] == "seed"
    dropped = gateway.request("POST", "/v1/chat/completions", {**body, "drop_params": True}, key=key)
    assert dropped.status == 200
    assert dropped.headers["x-tollway-dropped"] == "seed"


def test_an_anthropic_upstream_gets_the_bytes_untouched(
    client: anthropic.Anthropic, vendor: Aimock, gateway: Gateway, key: str
) -> None:
    hint: CacheControlEphemeralParam = {"type": "ephemeral", "ttl": "1h"}
    client.messages.create(
        model="claude",
        max_tokens=100,
        messages=[{"role": "user", "content": [{"type": "text", "text": "Hello!", "cache_control": hint}]}],
        extra_headers={"anthropic-beta": "extended-cache-ttl-2025-04-11"},
        extra_body={"a_field_of_tomorrow": 1e2},
    )
    request = vendor.requests()[-1]
    assert request["path"] == "/v1/messages"
    assert request["headers"]["anthropic-beta"] == "extended-cache-ttl-2025-04-11"
    assert request["headers"]["anthropic-version"]
    spend_logs(gateway, key, count=1)


@pytest.mark.parametrize("model", UPSTREAMS)
def test_tokens_are_counted(client: anthropic.Anthropic, model: str) -> None:
    counted = client.messages.count_tokens(model=model, messages=ask("How many tokens are these?"), tools=[WEATHER])
    assert 5 < counted.input_tokens < 200
