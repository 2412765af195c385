"""What only Cohere's and Ollama's own formats show; the rest is in the tests of each SDK over all upstreams."""

from collections.abc import Iterator

import anthropic
import openai
import pytest
from anthropic.types import MessageParam
from openai.types.chat import ChatCompletionMessageParam
from tests.support.aimock import Aimock
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

UPSTREAMS = ["cohere", "ollama"]


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
