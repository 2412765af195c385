"""What is served, read-only: the snapshot in force, as far as the caller may use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from tollway.control.kit.guard import GuardedRoute
from tollway.control.models.rendering import render_deployment, render_group
from tollway.control.services import Caller, Services, ServicesDep
from tollway.core.errors import InvalidRequest
from tollway.core.principal import Principal
from tollway.core.snapshot import ModelGroup
from tollway.policy.access import allows_model
from tollway.routing.router import Router

router = APIRouter(route_class=GuardedRoute, tags=["models"])


class Models(BaseModel):
    """A list of models or of model groups."""

    data: list[dict[str, Any]]


@router.get("/v1/model/info")
@router.get("/model/info")
async def describe_models(services: ServicesDep, caller: Caller, litellm_model_id: str | None = None) -> Models:
    """Every deployment the caller may use, with its limits, features and price. No secrets."""
    described = {
        (deployment.id, deployment.model_name): render_deployment(
            deployment, services.prices, shows_address=caller.is_admin
        )
        for _, group in _visible_groups(services, caller)
        for deployment in group.deployments
        if litellm_model_id in (None, deployment.id)
    }
    if litellm_model_id is not None and not described:
        raise InvalidRequest(
            f"There is no model with id '{litellm_model_id[:100]}'. GET /model/info lists those there are.",
            param="litellm_model_id",
            type="bad_request_error",
        )
    return Models(data=list(described.values()))


@router.get("/model_group/info")
async def describe_groups(services: ServicesDep, caller: Caller, model_group: str | None = None) -> Models:
    """Public model names the caller may use, each with what its deployments can do together."""
    return Models(
        data=[
            render_group(name, group, services.prices)
            for name, group in _visible_groups(services, caller)
            if model_group in (None, name)
        ]
    )


def _visible_groups(services: Services, caller: Principal) -> Iterator[tuple[str, ModelGroup]]:
    routing = Router(services.snapshot())
    for name in routing.names():
        group = routing.group(name)
        if group is not None and allows_model(caller, name, access_groups=group.access_groups):
            yield name, group
