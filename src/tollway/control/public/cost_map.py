"""The price book as one document in the shape of LiteLLM's model cost map, as far as the book knows."""

from __future__ import annotations

from typing import Any

from tollway.accounting.price_book import ModelFacts, PriceBook
from tollway.accounting.pricing import price_to_config

_BARE = frozenset({"openai", "anthropic", "bedrock", "cohere"})
"""Providers whose models are listed under their own names; others' under `<provider>/<model>`."""


def cost_map(book: PriceBook) -> dict[str, dict[str, Any]]:
    """Every model of the book by name. What is not known is left out; a price nobody published is not zero."""
    return {_name(facts): _entry(facts) for facts in book.everything()}


def _name(facts: ModelFacts) -> str:
    return facts.model if facts.provider in _BARE else f"{facts.provider}/{facts.model}"


def _entry(facts: ModelFacts) -> dict[str, Any]:
    limits = {
        "max_tokens": facts.max_output_tokens or facts.max_input_tokens,
        "max_input_tokens": facts.max_input_tokens,
        "max_output_tokens": facts.max_output_tokens,
    }
    return {
        "litellm_provider": facts.provider,
        "mode": facts.mode,
        **{name: limit for name, limit in limits.items() if limit is not None},
        **price_to_config(facts.price),
        **{f"supports_{name}": True for name in sorted(facts.features)},
    }
