"""`/public/*`: what anybody may know."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from tollway import __version__
from tollway.control.kit.guard import resource_router
from tollway.control.kit.model_groups import render_group
from tollway.control.public.catalog import CatalogDep
from tollway.control.public.schemas import HubInfo
from tollway.control.services import ServicesDep
from tollway.routing.router import Router

router = resource_router("public")


@router.get("/public/model_hub")
async def show_public_models(services: ServicesDep) -> list[dict[str, Any]]:
    """Models that the operator marked public (`litellm_settings.public_model_groups`), like `/model_group/info`."""
    marked = services.configuration().public_model_groups
    if not marked:
        return []
    models = Router(services.snapshot())
    # Names that are listed: ids of deployments are names too, and nobody's business.
    named = ((name, models.group(name)) for name in models.names() if name in marked)
    return [render_group(name, group, services.prices, is_public=True) for name, group in named if group is not None]


@router.get("/public/model_hub/info")
async def describe_hub() -> HubInfo:
    """What stands above the list of public models."""
    return HubInfo(litellm_version=__version__)


@router.get("/public/providers", response_model=list[str])
async def list_providers(request: Request, catalog: CatalogDep) -> Response:
    """Names of the providers that can be called."""
    return await catalog.providers.answer(request)


@router.get("/public/providers/fields", response_model=list[dict[str, Any]])
async def list_provider_forms(request: Request, catalog: CatalogDep) -> Response:
    """For each provider, what it takes to connect to it."""
    return await catalog.forms.answer(request)


@router.get("/public/litellm_model_cost_map", response_model=dict[str, Any])
async def show_costs(request: Request, catalog: CatalogDep) -> Response:
    """What models cost, how much they take and what they can do: the price book of this version. Prices are dollars
    per token.
    """
    return await catalog.costs.answer(request)
