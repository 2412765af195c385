"""What can be done with organizations, and who may do it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from tollway.control.kit.budgets import add_budget, link_budget, new_budget
from tollway.control.kit.context import Context, changing
from tollway.control.kit.documents import merge_metadata, with_fields_in_metadata
from tollway.control.kit.limits import check_limits
from tollway.control.kit.pagination import Page
from tollway.control.kit.spending import carry_spend, spent_nanos
from tollway.control.organizations.rendering import Spent, scopes_of
from tollway.control.organizations.repository import Belonging, OrganizationRepository
from tollway.control.organizations.schemas import OrganizationCreate
from tollway.core.errors import Conflict, InvalidRequest, NotFound
from tollway.db.engine import reading
from tollway.stores.sql.principals import organization_scope
from tollway.stores.sql.rows import Organization

ORGANIZATION_TABLE = "LiteLLM_OrganizationTable"
IN_METADATA = ("model_rpm_limit", "model_tpm_limit")
"""Fields that the contract keeps inside `metadata`."""


class Shown(NamedTuple):
    """Organizations, and what they and theirs have spent."""

    organizations: list[Belonging]
    spent: Spent


class OrganizationService:
    """Organizations, for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services
        self._actor = context.actor

    async def create(self, body: OrganizationCreate) -> Shown:
        """Makes an organization, with a budget of its own unless it names one."""
        changes = body.changes()
        async with changing(self._context) as unit:
            repository = OrganizationRepository(unit.connection)
            organization_id = body.organization_id or str(uuid.uuid4())
            if await repository.organizations.find(organization_id) is not None:
                raise Conflict(
                    f"Organization id = {organization_id[:100]} already exists. Use another one.",
                    param="organization_id",
                )
            budget_id = await link_budget(unit, None, changes)
            if budget_id is None:  # the contract gives every organization one
                budget_id = (await add_budget(unit, new_budget(self._context, {}))).budget_id
            blank = Organization(
                organization_id=organization_id,
                created_at=self._context.now,
                created_by=self._actor.name,
                updated_at=self._context.now,
            )
            made = self._amend(blank, changes, budget_id)
            await repository.organizations.insert(made)
            unit.audit("created", ORGANIZATION_TABLE, organization_id, after=made)
            unit.tell("organization", organization_id)
            shown = await repository.with_belongings([made])
        return await self._with_spend(shown)

    async def update(self, organization_id: str, changes: Mapping[str, Any]) -> Shown:
        """Changes the fields that were sent."""
        capacity = self._actor.require_over("this organization", organization_id=organization_id)
        self._context.check_fields(capacity, dict.fromkeys(with_fields_in_metadata(changes, IN_METADATA)))
        async with changing(self._context) as unit:
            repository = OrganizationRepository(unit.connection)
            before = await named(repository, organization_id)
            budget_before = await repository.budgets.find(before.budget_id) if before.budget_id else None
            after = self._amend(before, changes, await link_budget(unit, before.budget_id, changes))
            await repository.organizations.replace(after)
            unit.audit("updated", ORGANIZATION_TABLE, organization_id, before=before, after=after)
            unit.tell("organization", organization_id)
            shown = await repository.with_belongings([after])
        await carry_spend(
            self._context, organization_scope(before, budget_before), organization_scope(after, shown[0].budget)
        )
        return await self._with_spend(shown)

    async def delete(self, ids: Sequence[str]) -> Shown:
        """Deletes organizations with their memberships, all of them or none.

        Raises `NotFound`, and `InvalidRequest` while teams or keys belong to one: they would lose its limits.
        """
        async with changing(self._context) as unit:
            repository = OrganizationRepository(unit.connection)
            found = [await named(repository, one) for one in dict.fromkeys(ids)]
            shown = await repository.with_belongings(found)
            for one in shown:
                organization = one.organization
                await _require_empty(repository, organization.organization_id)
                await repository.delete(organization.organization_id)
                members = [msgspec.to_builtins(member.membership) for member in one.members]
                before = {**msgspec.to_builtins(organization), "members": members}
                unit.audit("deleted", ORGANIZATION_TABLE, organization.organization_id, before=before)
                unit.tell("organization", organization.organization_id)
        return await self._with_spend(shown)

    async def find_many(self, ids: Sequence[str]) -> Shown:
        """Those of these organizations that exist and the caller may see."""
        visible = self._visible()
        wanted = [one for one in ids if visible is None or one in visible]
        async with reading(self._services.engine) as connection:
            repository = OrganizationRepository(connection)
            shown = await repository.with_belongings(await repository.find_many(wanted))
        return await self._with_spend([self._as_visible(one) for one in shown])

    async def list_page(self, page: Page, *, organization_id: str | None, alias: str | None) -> tuple[Shown, int]:
        """A page of the organizations the caller may see, and how many there are."""
        async with reading(self._services.engine) as connection:
            repository = OrganizationRepository(connection)
            found, total = await repository.list_page(
                page, among=self._visible(), organization_id=organization_id, alias=alias
            )
            shown = await repository.with_belongings(found)
        return await self._with_spend([self._as_visible(one) for one in shown]), total

    def _amend(self, organization: Organization, changes: Mapping[str, Any], budget_id: str | None) -> Organization:
        check_limits(changes, now=self._context.now_s)
        values: dict[str, Any] = {"budget_id": budget_id}
        if "organization_alias" in changes:
            values["organization_alias"] = changes["organization_alias"]
        if "models" in changes:
            values["models"] = changes["models"] or []
        if "object_permission" in changes:
            values["options"] = _with_option(organization.options, "object_permission", changes["object_permission"])
        return msgspec.structs.replace(
            organization,
            **values,
            metadata=merge_metadata(organization.metadata, changes, IN_METADATA),
            updated_at=self._context.now,
            updated_by=self._actor.name,
        )

    def _visible(self) -> frozenset[str] | None:
        """Ids of the organizations the caller may see; None: all."""
        if self._actor.sees_everything:
            return None
        own = self._actor.principal.organization_id
        return self._actor.organizations | ({own} if own else set())

    def _as_visible(self, shown: Belonging) -> Belonging:
        """Without the members and teams that are none of the caller's business."""
        actor, organization_id = self._actor, shown.organization.organization_id
        if actor.sees_everything or organization_id in actor.administered_organizations:
            return shown
        return Belonging(
            shown.organization,
            shown.budget,
            [one for one in shown.members if one.membership.user_id == actor.user_id],
            [team for team in shown.teams if team.team_id in actor.teams],
        )

    async def _with_spend(self, shown: list[Belonging]) -> Shown:
        scopes = [scope for one in shown for scope in scopes_of(one)]
        spent = await spent_nanos(self._services, scopes)
        return Shown(shown, {scope.key: nanos for scope, nanos in zip(scopes, spent, strict=True)})


async def named(repository: OrganizationRepository, organization_id: str) -> Organization:
    """The organization with this id. Raises `NotFound`."""
    organization = await repository.organizations.find(organization_id)
    if organization is None:
        raise NotFound(
            f"Organization not found, passed organization_id={organization_id[:100]}", param="organization_id"
        )
    return organization


async def _require_empty(repository: OrganizationRepository, organization_id: str) -> None:
    teams, keys = await repository.count_remaining(organization_id)
    if teams or keys:
        raise InvalidRequest(
            f"Organization {organization_id} still has {teams} teams and {keys} keys of its own, which would lose its "
            "limits. Delete them, or move them out (/team/update, /key/update), first.",
            param="organization_ids",
            type="bad_request_error",
        )


def _with_option(options: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    kept = {other: stored for other, stored in options.items() if other != name}
    return kept if value is None else {**kept, name: value}
