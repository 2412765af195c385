"""What there is to say about a public model name: what its deployments can do together. Never where they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tollway.accounting.price_book import ModelFacts, PriceBook
from tollway.accounting.pricing import price_to_config
from tollway.core.snapshot import Deployment, ModelGroup

FEATURES = (
    *("vision", "function_calling", "parallel_function_calling", "reasoning", "web_search", "url_context"),
    *("fast_mode", "prompt_caching", "response_schema", "audio_input", "audio_output", "pdf_input", "tool_choice"),
)
_GROUP_FEATURES = FEATURES[:7]

_CHAT_PARAMETERS = (
    *("frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "n", "parallel_tool_calls"),
    *("presence_penalty", "reasoning_effort", "response_format", "seed", "stop", "stream", "stream_options"),
    *("temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user"),
)
"""Fields of a chat request in OpenAI's own description that shape the answer."""


def render_group(name: str, group: ModelGroup, book: PriceBook, *, is_public: bool) -> dict[str, Any]:
    """One item of `/model_group/info`: the best of what its deployments have."""
    deployments = group.deployments
    mode = deployments[0].mode if deployments else None
    facts = [facts_of(deployment, book) for deployment in deployments]
    prices = [price_to_config(deployment.price) for deployment in deployments]
    return {
        "model_group": name,
        "providers": sorted({deployment.provider for deployment in deployments}),
        "max_input_tokens": _largest(deployment.max_input_tokens for deployment in deployments),
        "max_output_tokens": _largest(deployment.max_output_tokens for deployment in deployments),
        "input_cost_per_token": _largest(price.get("input_cost_per_token") for price in prices),
        "output_cost_per_token": _largest(price.get("output_cost_per_token") for price in prices),
        "input_cost_per_pixel": None,
        "mode": mode,
        "tpm": _sum(deployment.tpm for deployment in deployments),
        "rpm": _sum(deployment.rpm for deployment in deployments),
        "itpm": None,
        "otpm": None,
        **supports(_GROUP_FEATURES, facts),
        "supported_reasoning_efforts": [],
        "supported_openai_params": _parameters(deployments) if mode == "chat" else [],
        "configurable_clientside_auth_params": None,
        "is_public_model_group": is_public,
        "health_status": None,
        "health_response_time": None,
        "health_checked_at": None,
    }


def facts_of(deployment: Deployment, book: PriceBook) -> ModelFacts | None:
    """What the price book knows about a deployment's model."""
    return book.find(deployment.provider, deployment.model)


def _parameters(deployments: Iterable[Deployment]) -> list[str]:
    dropped = [deployment.dropped for deployment in deployments]
    return [name for name in _CHAT_PARAMETERS if not all(name in names for names in dropped)]


def supports(names: Iterable[str], facts: Iterable[ModelFacts | None]) -> dict[str, bool]:
    """`supports_…` for each of these features: whether any of the models has it."""
    features = frozenset[str]().union(*(one.features for one in facts if one))
    return {f"supports_{name}": name in features for name in names}


def _largest(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(max(known)) if known else None


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
