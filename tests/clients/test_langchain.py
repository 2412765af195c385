"""LangChain's OpenAI integration, unchanged but for its address."""

import langchain_openai
import openai
import pytest
from langchain_core.messages import HumanMessage
from pydantic import SecretStr
from tests.support.gateway import Gateway


@pytest.fixture
def llm(gateway: Gateway, key: str) -> langchain_openai.ChatOpenAI:
    return langchain_openai.ChatOpenAI(
        model="gpt-4o", api_key=SecretStr(key), base_url=f"{gateway.url}/v1", max_retries=0
    )


def test_invoke_answers_with_usage(llm: langchain_openai.ChatOpenAI) -> None:
    answer = llm.invoke("Hello!")
    assert answer.content == "Hello! How can I help you today?"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 29


def test_stream_arrives_in_pieces(llm: langchain_openai.ChatOpenAI) -> None:
    pieces = [str(chunk.content) for chunk in llm.stream("Tell me a story")]
    assert "".join(pieces).endswith("the sums agreed.")
    assert sum(1 for piece in pieces if piece) > 3


async def test_async_invoke_answers(llm: langchain_openai.ChatOpenAI) -> None:
    answer = await llm.ainvoke([HumanMessage("Hello!")])
    assert answer.content == "Hello! How can I help you today?"


def test_tools_are_called(llm: langchain_openai.ChatOpenAI) -> None:
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return city

    answer = llm.bind_tools([get_weather]).invoke("Weather in Paris?")
    [call] = answer.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})


def test_embeddings_come_back_as_numbers(gateway: Gateway, key: str) -> None:
    embeddings = langchain_openai.OpenAIEmbeddings(
        model="text-embedding-3-small",
        api_key=SecretStr(key),
        base_url=f"{gateway.url}/v1",
        check_embedding_ctx_length=False,
    )
    assert embeddings.embed_documents(["one", "two"]) == [[0.25, -0.5, 0.125]] * 2


def test_a_vendors_rate_limit_is_the_sdks_own_error(llm: langchain_openai.ChatOpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        llm.invoke("fail with 429")
