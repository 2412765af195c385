"""What there is to call, as far as the caller may see it: the snapshot in force, and rows that are not served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from tollway.control.kit.context import Context
from tollway.control.kit.model_groups import render_group
from tollway.control.kit.pagination import Page
from tollway.control.kit.stored import ModelRows, show_params
from tollway.control.models.rendering import render_deployment, render_idle, render_stored
from tollway.core.snapshot import Deployment, ModelGroup
from tollway.db.engine import reading
from tollway.policy.access import allows_model
from tollway.ports.models import StoredModel
from tollway.routing.router import Router

SortColumn = Literal["model_name", "created_at", "updated_at", "costs", "status"]
Item = dict[str, Any]


class ModelQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which models a listing shows: those that match every field given."""

    model_name: str | None = None
    model_id: str | None = None
    search: str | None = None
    """Part of a name, public or the provider's."""
    team_id: str | None = None
    of_own_teams: bool = False
    """Only those private to a team of the caller's."""


class ModelListing:
    """Models that one caller may see."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services = context.services

    async def items(self, query: ModelQuery) -> list[Item]:
        """Deployments, in the order of their groups; after them what an administrator has that is not served."""
        rows = await self._rows()
        served = {(one.id, one.model_name): one for _, group in self._groups() for one in group.deployments}
        items = [self._render(deployment, rows) for deployment in served.values()]
        known = {deployment.id for deployment in served.values()}
        items += [
            render_idle(row, show_params(self._services, row)) for row in rows.values() if row.model_id not in known
        ]
        return [item for item in items if self._matches(item, query)]

    async def page(
        self, query: ModelQuery, page: Page, *, sort_by: SortColumn | None, is_descending: bool
    ) -> tuple[list[Item], int]:
        """One page of them, and how many there are."""
        found = await self.items(query)
        if sort_by is not None:
            found.sort(key=_SORTS[sort_by], reverse=is_descending)
        return found[page.offset : page.offset + page.size], len(found)

    def groups(self, name: str | None) -> list[Item]:
        """Public names, each with what its deployments can do together."""
        public = self._services.configuration().public_model_groups
        return [
            render_group(one, group, self._services.prices, is_public=one in public)
            for one, group in self._groups()
            if name in (None, one)
        ]

    def _groups(self) -> Iterator[tuple[str, ModelGroup]]:
        actor, snapshot = self._context.actor, self._services.snapshot()
        router = Router(snapshot)
        own_team = actor.principal.team_id
        for name in router.names(own_team):
            group = router.group(name, own_team)
            if group is not None and (actor.sees_everything or self._may_use(name, group)):
                yield name, group
        for team_id, models in snapshot.teams.items():
            if team_id != own_team and (actor.sees_everything or team_id in actor.teams):
                yield from models.groups.items()

    def _may_use(self, name: str, group: ModelGroup) -> bool:
        return allows_model(
            self._context.actor.principal,
            name,
            access_groups=group.access_groups,
            is_of_team=group.team_id is not None,
        )

    async def _rows(self) -> dict[str, StoredModel]:
        """Rows that are the caller's to manage."""
        actor = self._context.actor
        if not actor.sees_everything and not actor.administered_teams:
            return {}
        async with reading(self._services.engine) as connection:
            rows = await ModelRows(connection).all()
        return {row.model_id: row for row in rows if actor.sees_everything or row.team_id in actor.administered_teams}

    def _render(self, deployment: Deployment, rows: dict[str, StoredModel]) -> Item:
        shows_address = self._context.actor.sees_everything
        item = render_deployment(deployment, self._services.prices, shows_address=shows_address)
        row = rows.get(deployment.id) if deployment.is_stored else None
        return item if row is None else render_stored(item, row, show_params(self._services, row))

    def _matches(self, item: Item, query: ModelQuery) -> bool:
        info = item["model_info"]
        names = (item["model_name"], item["litellm_params"].get("model", ""))
        return (
            query.model_name in (None, item["model_name"])
            and query.model_id in (None, info["id"])
            and query.team_id in (None, info.get("team_id"))
            and (not query.of_own_teams or info.get("team_id") in self._context.actor.teams)
            and (query.search is None or any(query.search.lower() in str(name).lower() for name in names))
        )


def _moment(name: str) -> Callable[[Item], tuple[bool, str]]:
    def key(item: Item) -> tuple[bool, str]:
        moment = item["model_info"].get(name)
        return (moment is not None, moment.isoformat() if moment is not None else "")

    return key


_SORTS: dict[SortColumn, Callable[[Item], Any]] = {
    "model_name": lambda item: item["model_name"].lower(),
    "created_at": _moment("created_at"),
    "updated_at": _moment("updated_at"),
    "costs": lambda item: (
        (item["model_info"].get("input_cost_per_token") or 0) + (item["model_info"].get("output_cost_per_token") or 0)
    ),
    "status": lambda item: bool(item["model_info"].get("db_model")),
}
