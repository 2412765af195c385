"""From deployments and rows to the wire's descriptions of models. Never a credential."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollway.accounting.price_book import PriceBook
from tollway.accounting.pricing import price_to_config
from tollway.config.secret import masked, protect
from tollway.control.kit.model_groups import FEATURES, facts_of, supports
from tollway.control.kit.stored import public_name
from tollway.control.models.schemas import ModelRow
from tollway.core.snapshot import Deployment
from tollway.ports.models import StoredModel

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
    facts = facts_of(deployment, book)
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
            **supports(FEATURES, [facts]),
            **_shown(deployment.info),
        },
    }


def _shown(info: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = masked(protect(info))
    return shown
