"""The Responses API of OpenAI's SDK, over upstreams of every format."""

from collections.abc import Iterator

import openai
import pytest
from openai.types.responses import FunctionToolParam, ResponseFunctionToolCall
from tests.support.aimock import Aimock
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

UPSTREAMS = ["gpt-4o", "claude", "gemini", "bedrock"]
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture
def client(gateway: Gateway, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as made:
        yield made


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_response_has_text_usage_and_the_public_name(
    client: openai.OpenAI, gateway: Gateway, key: str, model: str
) -> None:
    response = client.responses.create(model=model, instructions="Be brief.", input="Hello!")
    assert response.output_text == "Hello! How can I help you today?"
    assert (response.status, response.model) == ("completed", model)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (20, 9)
    [record] = spend_logs(gateway, key, count=1)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (20, 9)


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_stream_arrives_in_pieces(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input="Tell me a story") as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        response = stream.get_final_response()
    assert len(pieces) > 3
    assert "".join(pieces) == response.output_text
    assert response.output_text.startswith("Once upon a time")
    assert response.usage is not None
    assert response.usage.output_tokens == 22


@pytest.mark.parametrize("model", UPSTREAMS)
def test_tools_go_there_and_back(client: openai.OpenAI, model: str) -> None:
    first = client.responses.create(model=model, input="Weather in Paris?", tools=[WEATHER])
    [call] = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
    assert (call.name, call.arguments) == ("get_weather", '{"city":"Paris"}')
    second = client.responses.create(
        model=model,
        input=[
            {"role": "user", "content": "Weather in Paris?"},
            {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
            {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"},
        ],
        tools=[WEATHER],
    )
    assert second.output_text == "It is 18 degrees in Paris."


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_vendors_error_is_the_sdks_own(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.responses.create(model=model, input="fail with 429")
    assert "slow down" in caught.value.message


def test_an_upstream_with_the_api_is_asked_in_it(client: openai.OpenAI, vendor: Aimock) -> None:
    client.responses.create(model="gpt-4o", input="Hello!", extra_body={"a_field_of_tomorrow": [1]})
    request = vendor.requests()[-1]
    assert request["path"] == "/v1/responses"


def test_a_conversation_that_only_openai_has_is_refused_elsewhere(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="claude", input="Hello!", conversation="conv_1")
    assert caught.value.param == "conversation"
    assert "'input'" in caught.value.message


@pytest.mark.parametrize("model", ["claude", "gemini"])
def test_a_response_is_gone_on_from_by_its_id(client: openai.OpenAI, model: str) -> None:
    first = client.responses.create(model=model, input="Hello!")
    second = client.responses.create(model=model, input="Tell me a story", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    with client.responses.stream(model=model, input="Hello!", previous_response_id=second.id) as stream:
        last = stream.get_final_response()
    assert last.previous_response_id == second.id


@pytest.mark.parametrize("model", ["gpt-4o", "claude"])
def test_nobody_else_goes_on_from_it(client: openai.OpenAI, gateway: Gateway, model: str) -> None:
    mine = client.responses.create(model=model, input="Hello!")
    client.responses.create(model=model, input="Hello!", previous_response_id=mine.id)
    with openai.OpenAI(api_key=gateway.create_key(), base_url=f"{gateway.url}/v1", max_retries=0) as other:
        with pytest.raises(openai.NotFoundError) as caught:
            other.responses.create(model=model, input="Hello!", previous_response_id=mine.id)
        assert caught.value.param == "previous_response_id"


@pytest.mark.filterwarnings("ignore:connect.* must be used as a context manager:DeprecationWarning")
@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_conversation_over_a_websocket(client: openai.OpenAI, gateway: Gateway, key: str, model: str) -> None:
    previous = None
    with client.responses.connect() as connection:
        for text in ("Hello!", "Tell me a story"):
            connection.response.create(model=model, input=text, store=False, previous_response_id=previous)
            said = ""
            for event in connection:
                assert event.type != "error", event
                if event.type == "response.output_text.delta":
                    said += event.delta
                if event.type == "response.completed":
                    assert (event.response.output_text, event.response.model) == (said, model)
                    previous = event.response.id
                    break
    assert said.startswith("Once upon a time")
    assert len(spend_logs(gateway, key, count=2)) == 2
