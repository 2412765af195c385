"""A real chat with a small local model through the gateway: `make test-model`, outside `make test`."""

import json
from decimal import Decimal

import openai
import pytest
from tests.support.gateway import Gateway
from tests.support.ledger import spend_logs

pytestmark = pytest.mark.model

INPUT_PRICE, OUTPUT_PRICE = "0.0000001", "0.0000004"
"""Dollars per token, as the gateway is configured."""
QUESTION = "Name three colours of the rainbow."


def cost(prompt_tokens: int, completion_tokens: int) -> float:
    exact = prompt_tokens * Decimal(INPUT_PRICE) + completion_tokens * Decimal(OUTPUT_PRICE)
    return float(exact)


def test_a_chat_is_answered_and_its_record_agrees_with_the_reported_usage(gateway: Gateway, key: str) -> None:
    with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gemma", messages=[{"role": "user", "content": QUESTION}], max_tokens=32, temperature=0
        )
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.model == "gemma"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 5
    [record] = spend_logs(gateway, key, count=1)
    assert record["prompt_tokens"] == answer.usage.prompt_tokens
    assert record["completion_tokens"] == answer.usage.completion_tokens
    assert record["spend"] == cost(answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert float(raw.headers["x-litellm-response-cost"]) == record["spend"]


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_is_metered_whether_or_not_the_client_asked(gateway: Gateway, key: str, include_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="gemma",
                messages=[{"role": "user", "content": QUESTION}],
                max_tokens=32,
                temperature=0,
                stream=True,
                extra_body=options,
            )
        )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) > 3
    reported = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(reported) == (1 if include_usage else 0)
    [record] = spend_logs(gateway, key, count=1)
    assert 3 < record["completion_tokens"] <= 32
    assert record["spend"] == cost(record["prompt_tokens"], record["completion_tokens"])
    for usage in reported:
        assert (usage.prompt_tokens, usage.completion_tokens) == (
            record["prompt_tokens"],
            record["completion_tokens"],
        )


def test_a_conversation_goes_on_and_the_key_has_spent_its_sum(gateway: Gateway, key: str) -> None:
    messages = [{"role": "user", "content": "My name is Ada. Say hello."}]
    for question in ("What is my name?", "Thank you."):
        answer = gateway.post(
            "/v1/chat/completions", {"model": "gemma", "messages": messages, "max_tokens": 24}, key=key
        )
        assert answer.status == 200, answer.body
        messages += [json.loads(answer.body)["choices"][0]["message"], {"role": "user", "content": question}]
    records = spend_logs(gateway, key, count=2)
    spent = gateway.admin("GET", f"/key/info?key={key}")["info"]["spend"]
    assert spent == pytest.approx(sum(record["spend"] for record in records), abs=1e-12)
