"""From deployments and rows to the wire's descriptions of models. Never a credential."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tollway.accounting.price_book import ModelFacts, PriceBook
from tollway.accounting.pricing import price_to_config
from tollway.config.secret import masked, protect
from tollway.control.kit.stored import public_name
from tollway.control.models.schemas import ModelRow
from tollway.core.snapshot import Deployment, ModelGroup
from tollway.ports.models import StoredModel

_FEATURES = (
    *("vision", "function_calling", "parallel_function_calling", "reasoning", "web_search", "url_context"),
    *("fast_mode", "prompt_caching", "response_schema", "audio_input", "audio_output", "pdf_input", "tool_choice"),
)
_GROUP_FEATURES = _FEATURES[:7]

_CHAT_PARAMETERS = (
    *("frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "n", "parallel_tool_calls"),
    *("presence_penalty", "reasoning_effort", "response_format", "seed", "stop", "stream", "stream_options"),
    *("temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user"),
)
"""Fields of a chat request in OpenAI's own description that shape the answer."""


_OWN_INFO = frozenset(
    {"id", "db_model", "member_auto_router", "team_id", "blocked", "created_at", "created_by", "updated_at"}
    | {"updated_by"}
)
"""Fields of `model_info` that answers have and that nobody sets there."""

_UNUSED_FLAGS = dict.fromkeys(
    (
        *("allow_client_keepalive_override", "merge_reasoning_content_in_choices", "use_in_pass_through"),
        *("use_litellm_proxy", "use_xai_oauth"),
    ),
    False,
)
"""Flags of `litellm_params` that the contract's rows always have."""


def without_own_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """`model_info` as it is stored: clients send back what an answer had."""
    return {name: value for name, value in info.items() if name not in _OWN_INFO}


def render_info(row: StoredModel) -> dict[str, Any]:
    """`model_info` of a row."""
    info: dict[str, Any] = masked(protect(row.info))
    of_team = {"team_id": row.team_id} if row.team_id is not None else {}
    return {**info, "id": row.model_id, "db_model": True, "member_auto_router": False, **of_team}


def render_row(row: StoredModel, params: Mapping[str, Any]) -> ModelRow:
    """A model of the database; `params` as they may be shown."""
    return ModelRow(
        model_id=row.model_id,
        model_name=row.model_name,
        litellm_params={**_UNUSED_FLAGS, **params},
        model_info=render_info(row),
        blocked=row.is_blocked,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )


def render_idle(row: StoredModel, params: Mapping[str, Any]) -> dict[str, Any]:
    """One item of `/model/info` for a model of the database that is not served."""
    return {"model_name": public_name(row), "litellm_params": dict(params), "model_info": _info_of(row)}


def render_stored(served: dict[str, Any], row: StoredModel, params: Mapping[str, Any]) -> dict[str, Any]:
    """An item of `/model/info` with what its row knows besides."""
    return {
        **served,
        "litellm_params": {**served["litellm_params"], **params},
        "model_info": {**served["model_info"], **_info_of(row)},
    }


def _info_of(row: StoredModel) -> dict[str, Any]:
    return {
        **render_info(row),
        "blocked": row.is_blocked,
        "created_at": row.created_at,
        "created_by": row.created_by,
        "updated_at": row.updated_at,
        "updated_by": row.updated_by,
    }


def render_deployment(deployment: Deployment, book: PriceBook, *, shows_address: bool) -> dict[str, Any]:
    """One item of `/model/info`. `shows_address`: the provider's address is the operator's business."""
    facts = _facts(deployment, book)
    limits = {"rpm": deployment.rpm, "tpm": deployment.tpm}
    return {
        "model_name": deployment.group,
        "litellm_params": {
            "model": deployment.model_name,
            **({"api_base": deployment.api_base} if shows_address and deployment.api_base else {}),
            **{name: limit for name, limit in limits.items() if limit is not None},
        },
        "model_info": {
            "id": deployment.id,
            "db_model": deployment.is_stored,
            "key": facts.model if facts else deployment.model,
            "max_tokens": deployment.max_output_tokens,
            "max_input_tokens": deployment.max_input_tokens,
            "max_output_tokens": deployment.max_output_tokens,
            "input_cost_per_token": None,
            "output_cost_per_token": None,
            **price_to_config(deployment.price),
            "litellm_provider": deployment.provider,
            "mode": deployment.mode,
            **limits,
            **_supports(_FEATURES, [facts]),
            **_shown(deployment.info),
        },
    }


def render_group(name: str, group: ModelGroup, book: PriceBook) -> dict[str, Any]:
    """One item of `/model_group/info`: the best of what its deployments have."""
    deployments = group.deployments
    mode = deployments[0].mode if deployments else None
    facts = [_facts(deployment, book) for deployment in deployments]
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
        **_supports(_GROUP_FEATURES, facts),
        "supported_reasoning_efforts": [],
        "supported_openai_params": _parameters(deployments) if mode == "chat" else [],
        "configurable_clientside_auth_params": None,
        "is_public_model_group": False,
        "health_status": None,
        "health_response_time": None,
        "health_checked_at": None,
    }


def _facts(deployment: Deployment, book: PriceBook) -> ModelFacts | None:
    return book.find(deployment.provider, deployment.model)


def _parameters(deployments: Iterable[Deployment]) -> list[str]:
    dropped = [deployment.dropped for deployment in deployments]
    return [name for name in _CHAT_PARAMETERS if not all(name in names for names in dropped)]


def _shown(info: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = masked(protect(info))
    return shown


def _supports(names: Iterable[str], facts: Iterable[ModelFacts | None]) -> dict[str, bool]:
    features = frozenset[str]().union(*(one.features for one in facts if one))
    return {f"supports_{name}": name in features for name in names}


def _largest(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(max(known)) if known else None


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
