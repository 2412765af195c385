"""Receipts: an answer as each vendor documents it, what it is billed for, and what that costs.

`tests/contract/receipts/` has one file for each vendor. A line of a receipt is a class of tokens: how many, and the
dollars of a million of them. genai-prices is the oracle for both halves: it reads the vendor's usage by rules of its
own, and has a price list and arithmetic of its own.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from genai_prices import calc_price, extract_usage
from tests.support import eventstream

from tollway.accounting.price_book import PriceBook
from tollway.accounting.pricing import cost_breakdown, cost_nanos
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.generation.answer import Metered
from tollway.dialects.registry import find_dialect, find_identity

FOLDER = Path(__file__).parents[2] / "contract/receipts"
RECEIPTS: list[tuple[str, dict[str, Any]]] = [
    (path.stem, receipt) for path in sorted(FOLDER.glob("*.json")) for receipt in json.loads(path.read_text())
]
IDENTICAL = {"chat", "responses", "messages", "gemini"}
"""Formats that clients speak too: their answers may pass through."""

OF_THE_LIST = [(provider, receipt) for provider, receipt in RECEIPTS if receipt.get("oracle") != "standard"]
"""Those that the independent list can price: it knows standard prices, and tokens alone."""


def each(receipts: list[tuple[str, dict[str, Any]]]) -> pytest.MarkDecorator:
    names = [f"{provider}: {receipt['name']}" for provider, receipt in receipts]
    return pytest.mark.parametrize(("provider", "receipt"), receipts, ids=names)


each_receipt = each(RECEIPTS)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook.load()


def classes(usage: Usage) -> dict[str, int]:
    """The usage as disjoint classes, those with tokens."""
    parts = {
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
        "input_audio": usage.input_audio_tokens,
        "reasoning": usage.reasoning_tokens,
        "output_audio": usage.output_audio_tokens,
    }
    of_answer = parts["reasoning"] + parts["output_audio"]
    rest = {
        "input": usage.input_tokens - sum(parts.values()) + of_answer,
        "output": usage.output_tokens - of_answer,
    }
    return {name: count for name, count in {**rest, **parts}.items() if count}


def sse(*documents: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (str(d.get("type", "x")).encode(), json.dumps(d).encode()) for d in documents
    )


def streamed(dialect: str, body: dict[str, Any]) -> bytes:
    """The events of the same answer as a stream that tell its usage, as the vendor's documentation has them."""
    usage = body.get("usage", {})
    if dialect == "chat":
        return sse({**body, "object": "chat.completion.chunk", "choices": []}) + b"data: [DONE]\n\n"
    if dialect == "responses":
        return sse({"type": "response.completed", "sequence_number": 9, "response": body})
    if dialect == "messages":
        start = {**body, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        start["usage"].pop("output_tokens_details", None)
        return sse(
            {"type": "message_start", "message": start},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        )
    if dialect == "gemini":
        return b"data: %s\n\n" % json.dumps(body).encode()
    if dialect == "converse":
        return eventstream.event("messageStop", stopReason="end_turn") + eventstream.event("metadata", usage=usage)
    if dialect == "cohere":
        return sse({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}})
    assert dialect == "ollama"
    return json.dumps(body).encode() + b"\n"


@each_receipt
def test_every_class_of_a_receipt_is_counted_once(provider: str, receipt: dict[str, Any]) -> None:
    dialect, body = receipt["dialect"], json.dumps(receipt["body"]).encode()
    translator = find_dialect(dialect)
    stream = streamed(dialect, receipt["body"])
    events = translator.decoder(provider).feed(stream)
    found = [translator.parse_answer(body).usage, [each.usage for each in events if isinstance(each, Metered)][-1]]
    if dialect in IDENTICAL:
        identity = find_identity(dialect)
        relay = identity.relay("m", forwards_usage=True)
        relay.feed(stream)
        found += [identity.read_reply(body, "m").usage or NO_USAGE, relay.usage]

    expected = {name: count for name, (count, _) in receipt["lines"].items() if name != "tools"}
    assert [classes(usage) for usage in found] == [expected] * len(found)
    assert len({(usage.service_tier, usage.tools) for usage in found}) == 1
    assert (found[0].tools is not None) is ("tools" in receipt["lines"])


@each_receipt
def test_a_receipt_costs_what_its_lines_add_up_to(provider: str, receipt: dict[str, Any], book: PriceBook) -> None:
    usage = find_dialect(receipt["dialect"]).parse_answer(json.dumps(receipt["body"]).encode()).usage
    facts = book.find(provider, receipt["model"])
    assert facts is not None
    by_line = {name: count * Fraction(dollars) * 1000 for name, (count, dollars) in receipt["lines"].items()}
    parts = cost_breakdown(facts.price, usage)

    assert cost_nanos(facts.price, usage) == receipt["nanos"] == sum(by_line.values())
    assert {name: getattr(parts, name) for name in by_line} == by_line


@each(OF_THE_LIST)
def test_an_independent_price_list_asks_the_same(provider: str, receipt: dict[str, Any], book: PriceBook) -> None:
    oracle = receipt.get("oracle")
    if oracle is None:
        facts = book.find(provider, receipt["model"])
        assert facts is not None
        assert facts.price.origin == "free"
        return
    named = {"model": receipt["model"], "modelVersion": receipt["model"]}
    read = extract_usage(receipt["body"] | named, provider_id=oracle["provider"], api_flavor=oracle["flavor"])
    noon = datetime.fromisoformat(f"{book.as_of}T12:00").replace(tzinfo=UTC)
    price = calc_price(
        read.usage,
        receipt["model"],
        provider_id=oracle.get("seller", oracle["provider"]),
        genai_request_timestamp=noon,
    )

    assert abs(Decimal(price.total_price) * 1_000_000_000 - receipt["nanos"]) <= Decimal("0.5")
