"""`/model/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Response

from tollway.control.kit.body import warn
from tollway.control.kit.context import Context, ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.kit.pagination import Page
from tollway.control.kit.stored import show_params
from tollway.control.models.listing import ModelListing, ModelQuery, SortColumn
from tollway.control.models.rendering import render_row
from tollway.control.models.schemas import (
    Deleted,
    ModelBlock,
    ModelChange,
    ModelDelete,
    ModelNew,
    ModelPage,
    ModelRow,
    Models,
)
from tollway.control.models.service import ModelService, Written, not_found, read_only
from tollway.core.errors import InvalidRequest
from tollway.ports.models import StoredModel

router = resource_router("models")


async def _model_service(context: ContextDep) -> ModelService:
    return ModelService(context)


async def _model_listing(context: ContextDep) -> ModelListing:
    return ModelListing(context)


Service = Annotated[ModelService, Depends(_model_service)]
Listing = Annotated[ModelListing, Depends(_model_listing)]


@router.post("/model/new")
async def add_model(body: ModelNew, response: Response, context: ContextDep, models: Service) -> ModelRow:
    """Add a model. It is served at once, beside those of the configuration. Provider keys are sealed, never shown."""
    return _shown(await models.create(body), body, response, context)


@router.post("/model/update")
async def update_model(body: ModelChange, response: Response, context: ContextDep, models: Service) -> ModelRow:
    """Change the fields that are sent; null clears one. `model_info.id` says which model."""
    model_id = (body.model_info or {}).get("id")
    if not isinstance(model_id, str) or not model_id:
        raise InvalidRequest("model_info.id is needed: it says which model to change.", param="model_info.id")
    missing = InvalidRequest("model not found", param="model_info.id", type="bad_request_error")
    written = await models.update(model_id, body, missing=missing, fixed=read_only("model_info.id"))
    return _shown(written, body, response, context)


@router.patch("/model/{model_id}/update")
async def patch_model(
    model_id: str, body: ModelChange, response: Response, context: ContextDep, models: Service
) -> ModelRow:
    """Change the fields that are sent of the model in the path; null clears one."""
    written = await models.update(model_id, body, missing=not_found("model_id"), fixed=read_only("model_id"))
    return _shown(written, body, response, context)


@router.post("/model/delete")
async def delete_model(body: ModelDelete, response: Response, models: Service) -> Deleted:
    """Remove a model of the database. Calls in flight finish."""
    await models.delete(body.id)
    warn(response, body)
    return Deleted(message=f"Model: {body.id} deleted successfully")


@router.post("/model/block")
async def block_model(body: ModelBlock, response: Response, context: ContextDep, models: Service) -> ModelRow:
    """Take a model out of use until it is unblocked."""
    row = await models.set_blocked(body.model_id, is_blocked=True)
    warn(response, body)
    return _rendered(row, context)


@router.post("/model/unblock")
async def unblock_model(body: ModelBlock, response: Response, context: ContextDep, models: Service) -> ModelRow:
    """Let a blocked model be used again."""
    row = await models.set_blocked(body.model_id, is_blocked=False)
    warn(response, body)
    return _rendered(row, context)


@router.get("/v1/model/info")
@router.get("/model/info")
async def describe_models(
    listing: Listing,
    litellm_model_id: str | None = None,
    teamId: str | None = None,  # noqa: N803 - the wire's name
) -> Models:
    """Every deployment the caller may use, with its limits, features and price. No secrets."""
    found = await listing.items(ModelQuery(model_id=litellm_model_id, team_id=teamId))
    if litellm_model_id is not None and not found:
        raise InvalidRequest(
            f"There is no model with id '{litellm_model_id[:100]}'. GET /model/info lists those there are.",
            param="litellm_model_id",
            type="bad_request_error",
        )
    return Models(data=found)


@router.get("/v2/model/info")
async def page_models(
    listing: Listing,
    *,
    model: str | None = None,
    modelId: str | None = None,  # noqa: N803 - the wire's name
    search: str | None = None,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=500)] = 50,
    sortBy: SortColumn | None = None,  # noqa: N803 - the wire's name
    sortOrder: Annotated[str, Query(pattern="^(asc|desc)$")] = "asc",  # noqa: N803 - the wire's name
    teamId: str | None = None,  # noqa: N803 - the wire's name
    user_models_only: bool = False,
) -> ModelPage:
    """A page of the deployments the caller may use, found by name or part of a name, sorted."""
    wanted = Page(page, size)
    query = ModelQuery(model_name=model, model_id=modelId, search=search, team_id=teamId, of_own_teams=user_models_only)
    found, total = await listing.page(query, wanted, sort_by=sortBy, is_descending=sortOrder == "desc")
    return ModelPage(data=found, total_count=total, current_page=page, total_pages=wanted.pages(total), size=size)


@router.get("/model_group/info")
async def describe_groups(listing: Listing, model_group: str | None = None) -> Models:
    """Public model names the caller may use, each with what its deployments can do together."""
    return Models(data=listing.groups(model_group))


def _shown(written: Written, body: ModelNew | ModelChange, response: Response, context: Context) -> ModelRow:
    warn(response, body, *written.warnings)
    return _rendered(written.row, context)


def _rendered(row: StoredModel, context: Context) -> ModelRow:
    return render_row(row, show_params(context.services, row))
