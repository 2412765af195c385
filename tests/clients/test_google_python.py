"""Google's SDK for Python, unchanged but for its address, over upstreams of every format."""

from collections.abc import Iterator

import pytest
from google import genai
from google.genai import errors, types
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

METERED = ["gpt-4o", "claude", "gemini", "vertex", "bedrock", "cohere"]
UPSTREAMS = [*METERED, "ollama"]
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            parameters=types.Schema(
                type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}, required=["city"]
            ),
        )
    ]
)
BRIEF = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=100)
WITH_TOOLS = types.GenerateContentConfig(
    tools=[WEATHER], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
)


@pytest.fixture
def client(gateway: Gateway, key: str) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=gateway.url, retry_options=types.HttpRetryOptions(attempts=1))
    with genai.Client(api_key=key, http_options=options) as made:
        yield made


@pytest.mark.parametrize("model", METERED)
def test_a_question_is_answered_and_metered(client: genai.Client, gateway: Gateway, key: str, model: str) -> None:
    answer = client.models.generate_content(model=model, contents="Hello!", config=BRIEF)
    assert answer.text == "Hello! How can I help you today?"
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    assert answer.usage_metadata is not None
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count) == (20, 9, 29)
    [record] = spend_logs(gateway, key, count=1)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (20, 9)


@pytest.mark.parametrize("model", UPSTREAMS)
def test_a_stream_arrives_in_pieces(client: genai.Client, model: str) -> None:
    chunks = list(client.models.generate_content_stream(model=model, contents="Tell me a story"))
    assert len(chunks) > 3
    assert "".join(chunk.text or "" for chunk in chunks).startswith("Once upon a time")
    [last] = [chunk for chunk in chunks if chunk.candidates and chunk.candidates[0].finish_reason]
    assert last is chunks[-1]


@pytest.mark.filterwarnings("ignore:FUNCTION_CALL is not a valid FinishReason")  # the word of the vendor's mock
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("model", UPSTREAMS)
def test_tools_go_there_and_back(client: genai.Client, model: str, is_stream: bool) -> None:
    question = types.Content(role="user", parts=[types.Part(text="Weather in Paris?")])
    models = client.models
    if is_stream:
        parts = [
            part
            for chunk in models.generate_content_stream(model=model, config=WITH_TOOLS, contents=[question])
            for candidate in chunk.candidates or ()
            for part in (candidate.content.parts if candidate.content else None) or ()
        ]
    else:
        answer = models.generate_content(model=model, config=WITH_TOOLS, contents=[question])
        assert answer.candidates is not None
        assert answer.candidates[0].content is not None
        parts = answer.candidates[0].content.parts or []
    [call] = [part.function_call for part in parts if part.function_call]
    assert (call.name, call.args) == ("get_weather", {"city": "Paris"})
    result = types.FunctionResponse(id=call.id, name="get_weather", response={"result": "18 degrees"})
    conversation = [
        question,
        types.Content(role="model", parts=parts),
        types.Content(role="user", parts=[types.Part(function_response=result)]),
    ]
    second = models.generate_content(model=model, config=WITH_TOOLS, contents=conversation)
    assert second.text == "It is 18 degrees in Paris."


@pytest.mark.parametrize(
    ("model", "text", "error", "status"),
    [
        *((model, "fail with 429", errors.ClientError, 429) for model in UPSTREAMS),
        ("claude", "fail with 400", errors.ClientError, 400),
        ("gpt-4o", "fail with 500", errors.ServerError, 500),
    ],
)
def test_a_vendors_error_is_the_sdks_own(
    client: genai.Client, model: str, text: str, error: type[errors.APIError], status: int
) -> None:
    with pytest.raises(error) as caught:
        client.models.generate_content(model=model, contents=text)
    assert caught.value.code == status
    assert caught.value.status


@pytest.mark.parametrize("model", UPSTREAMS)
def test_tokens_are_counted(client: genai.Client, model: str) -> None:
    counted = client.models.count_tokens(model=model, contents="How many tokens are these?")
    assert counted.total_tokens is not None
    assert 3 < counted.total_tokens < 200
