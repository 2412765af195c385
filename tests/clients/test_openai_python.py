"""The OpenAI SDK for Python, unchanged but for its address."""

import asyncio
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionToolParam
from tests.support.aimock import Aimock
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

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


def test_models_are_listed(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert {"gpt-4o", "azure-gpt", "demo", "text-embedding-3-small"} <= models.keys()
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"


def test_a_chat_is_answered_with_usage_and_the_public_model_name(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello!"}])
    assert answer.choices[0].message.content == "Hello! How can I help you today?"
    assert answer.model == "gpt-4o"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (20, 9)


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_arrives_in_pieces_with_usage_only_for_who_asked(client: openai.OpenAI, include_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    stream = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "Tell me a story"}],
        stream=True,
        extra_body=options,
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith("Once upon a time")
    assert len(chunks) > 5
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == ([22] if include_usage else [])


def test_an_azure_deployment_is_called_at_its_own_url(client: openai.OpenAI, vendor: Aimock) -> None:
    answer = client.chat.completions.create(model="azure-gpt", messages=[{"role": "user", "content": "Hello!"}])
    assert answer.choices[0].message.content == "Hello! How can I help you today?"
    request = vendor.requests()[-1]
    assert request["path"].startswith("/openai/deployments/gpt-4o-eu/chat/completions")
    assert "api-key" in request["headers"]


def test_tools_go_there_and_back(client: openai.OpenAI) -> None:
    question: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Weather in Paris?"}]
    first = client.chat.completions.create(model="gpt-4o", messages=question, tools=[WEATHER])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    [call] = message.tool_calls
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')
    second = client.chat.completions.create(
        model="gpt-4o",
        messages=[
            *question,
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": call.id, "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "18"},
        ],
        tools=[WEATHER],
    )
    assert second.choices[0].message.content == "It is 18 degrees in Paris."


def test_tool_calls_are_streamed(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="gpt-4o", messages=[{"role": "user", "content": "Weather in Paris?"}], tools=[WEATHER]
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls is not None
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"city":"Paris"}'


def test_embeddings_come_back_as_numbers(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    assert [item.embedding for item in answer.data] == [[0.25, -0.5, 0.125]] * 2


def test_completions_are_answered_and_streamed(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="demo", prompt="Say something", max_tokens=20)
    assert answer.choices[0].text
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    chunks = list(client.completions.create(model="demo", prompt="Say something", max_tokens=20, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)


def test_metadata_in_the_extra_body_reaches_the_ledger(gateway: Gateway, client: openai.OpenAI, key: str) -> None:
    answer = client.chat.completions.with_raw_response.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "Hello!"}],
        extra_body={"metadata": {"user_id": "user-123", "session_id": "session-456"}},
    )
    call_id = answer.headers["x-litellm-call-id"]
    assert float(answer.headers["x-litellm-response-cost"]) > 0
    [record] = spend_logs(gateway, key, count=1)
    assert record["litellm_call_id"] == call_id
    assert record["request_id"] == answer.parse().id
    assert record["session_id"] == "session-456"
    assert "user-123" in str(record["metadata"])


def test_the_ledger_has_the_cost_of_every_call_of_the_key(gateway: Gateway, client: openai.OpenAI, key: str) -> None:
    for stream in (False, True):
        answer = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hello!"}], stream=stream
        )
        if stream:
            assert list(answer)
    records = spend_logs(gateway, key, count=2)
    assert [(record["prompt_tokens"], record["completion_tokens"]) for record in records] == [(20, 9)] * 2
    costs = [record["spend"] for record in records]
    assert costs[0] == costs[1] > 0
    assert gateway.admin("GET", f"/key/info?key={key}")["info"]["spend"] == pytest.approx(sum(costs), abs=1e-12)


@pytest.mark.parametrize(
    ("text", "error", "status"),
    [
        ("fail with 400", openai.BadRequestError, 400),
        ("fail with 429", openai.RateLimitError, 429),
        ("fail with 500", openai.InternalServerError, 500),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_vendors_error_raises_the_sdks_own_exception(
    client: openai.OpenAI, text: str, error: type[openai.APIStatusError], status: int, stream: bool
) -> None:
    with pytest.raises(error) as caught:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}], stream=stream)
    assert caught.value.status_code == status
    assert caught.value.body is not None


def test_a_vendors_retry_after_reaches_the_sdk(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "fail with 429"}])
    assert caught.value.response.headers["retry-after"] == "7"


def test_an_unreachable_vendor_is_a_server_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="unreachable", messages=[{"role": "user", "content": "Hello!"}])


def test_a_wrong_key_is_an_authentication_error(gateway: Gateway) -> None:
    with (
        openai.OpenAI(api_key="sk-no-such-key-0123456789", base_url=f"{gateway.url}/v1", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        stranger.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello!"}])
    assert caught.value.type == "token_not_found_in_db"
    assert "no-such-key" not in str(caught.value)


def test_an_unknown_model_is_a_bad_request_and_its_listing_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": "Hello!"}])
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_a_model_outside_the_key_is_a_permission_error(gateway: Gateway) -> None:
    key = gateway.create_key(models=["demo"])
    with (
        openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client,
        pytest.raises(openai.PermissionDeniedError) as caught,
    ):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello!"}])
    assert caught.value.type == "key_model_access_denied"


def test_a_spent_rate_limit_is_a_rate_limit_error_with_retry_after(gateway: Gateway) -> None:
    key = gateway.create_key(rpm_limit=1)
    with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello!"}])
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello!"}])
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 61


async def test_the_async_client_holds_many_streams_at_once(gateway: Gateway, key: str) -> None:
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client:

        async def story() -> str:
            stream = await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "Tell me a story"}], stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

        stories = await asyncio.gather(*(story() for _ in range(8)))
    assert len(set(stories)) == 1
    assert stories[0].endswith("the sums agreed.")
