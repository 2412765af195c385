"""A small real model behind each format that clients speak, with the vendors' own SDKs: `make test-model`."""

from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

pytestmark = pytest.mark.model

QUESTION = "Name three colours of the rainbow."
Answer = tuple[str, int, int]
"""The text, and the tokens of the prompt and of the answer."""


def by_chat(gateway: Gateway, key: str, is_stream: bool) -> Answer:
    with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        asked: dict[str, Any] = {"model": "gemma", "messages": [{"role": "user", "content": QUESTION}]}
        asked |= {"max_tokens": 32, "temperature": 0}
        if is_stream:
            chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            [usage] = [chunk.usage for chunk in chunks if chunk.usage]
        else:
            answer = client.chat.completions.create(**asked)
            text, usage = answer.choices[0].message.content, answer.usage
    return text, usage.prompt_tokens, usage.completion_tokens


def by_completions(gateway: Gateway, key: str, is_stream: bool) -> Answer:
    with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        asked: dict[str, Any] = {"model": "gemma", "prompt": "Red, green and", "max_tokens": 16, "temperature": 0}
        if is_stream:
            chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
            text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
            [usage] = [chunk.usage for chunk in chunks if chunk.usage]
        else:
            answer = client.completions.create(**asked)
            text, usage = answer.choices[0].text, answer.usage
    return text, usage.prompt_tokens, usage.completion_tokens


def by_responses(gateway: Gateway, key: str, is_stream: bool) -> Answer:
    with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        asked: dict[str, Any] = {"model": "gemma", "input": QUESTION, "max_output_tokens": 32, "temperature": 0}
        if is_stream:
            with client.responses.stream(**asked) as stream:
                events = list(stream)
            answer: Any = events[-1].response  # type: ignore[union-attr]
        else:
            answer = client.responses.create(**asked)
    assert answer.status in ("completed", "incomplete")
    return answer.output_text, answer.usage.input_tokens, answer.usage.output_tokens


def by_messages(gateway: Gateway, key: str, is_stream: bool) -> Answer:
    with anthropic.Anthropic(auth_token=key, base_url=gateway.url, max_retries=0) as client:
        asked: dict[str, Any] = {
            "model": "gemma",
            "max_tokens": 32,
            "messages": [{"role": "user", "content": QUESTION}],
        }
        if is_stream:
            with client.messages.stream(**asked) as stream:
                answer = stream.get_final_message()
        else:
            answer = client.messages.create(**asked)
    assert answer.stop_reason in ("end_turn", "max_tokens")
    [block] = answer.content
    assert block.type == "text"
    usage = answer.usage
    return block.text, usage.input_tokens + (usage.cache_read_input_tokens or 0), usage.output_tokens


def by_gemini(gateway: Gateway, key: str, is_stream: bool) -> Answer:
    options = types.HttpOptions(base_url=gateway.url)
    client = genai.Client(api_key=key, http_options=options)
    config = types.GenerateContentConfig(max_output_tokens=32, temperature=0)
    if is_stream:
        answers = list(client.models.generate_content_stream(model="gemma", contents=QUESTION, config=config))
    else:
        answers = [client.models.generate_content(model="gemma", contents=QUESTION, config=config)]
    usage = answers[-1].usage_metadata
    assert usage is not None
    text = "".join(answer.text or "" for answer in answers)
    return text, usage.prompt_token_count or 0, usage.candidates_token_count or 0


CLIENTS: dict[str, Callable[[Gateway, str, bool], Answer]] = {
    "chat": by_chat,
    "completions": by_completions,
    "responses": by_responses,
    "messages": by_messages,
    "gemini": by_gemini,
}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_real_model_answers_in_every_format_and_is_metered(gateway: Gateway, key: str, name: str) -> None:
    ask = CLIENTS[name]
    whole, streamed = ask(gateway, key, False), ask(gateway, key, True)
    for text, tokens_in, tokens_out in (whole, streamed):
        assert text.strip()
        assert tokens_in > 2
        assert 1 < tokens_out <= 32
    assert whole[1] == streamed[1], "the prompt is the same"
    records = spend_logs(gateway, key, count=2)
    assert sorted((record["prompt_tokens"], record["completion_tokens"]) for record in records) == sorted(
        (tokens_in, tokens_out) for _, tokens_in, tokens_out in (whole, streamed)
    )
    assert all(record["spend"] > 0 for record in records)
