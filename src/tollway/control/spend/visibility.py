"""Whose spend a caller may see. Every read of this package goes through one of these.

The answer is always entities of *one* dimension: their sums may be added, those of two dimensions may not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tollway.control.kit.context import Context
from tollway.control.kit.roles import VIEWERS, check_entry, read
from tollway.control.spend.repository import SpendRepository
from tollway.core.errors import Forbidden
from tollway.core.ids import hash_key
from tollway.core.principal import Role
from tollway.ports.spend import Dimension, Owner, RecordFilter

_OWNERS: Mapping[Dimension, Owner] = {
    "user": "user_id",
    "team": "team_id",
    "organization": "organization_id",
    "project": "project_id",
}


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the ledger: everything that these entities of one dimension have spent."""

    dimension: Dimension = "all"
    entities: tuple[str, ...] = ("",)
    callers: RecordFilter | None = None
    """Of tags: only what these spent under them."""

    @property
    def owner(self) -> Owner | None:
        """The column that says of a key that it belongs to one of these."""
        return _OWNERS.get(self.dimension)


EVERYTHING = Slice()


class Visibility:
    """What one caller may see."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._actor = context.actor

    def check_global(self, path: str) -> None:
        """Raises unless the caller sees everything, or holds a key that was given `get_spend_routes`."""
        if self._actor.principal.permissions.get("get_spend_routes") is not True:
            actor = self._actor
            check_entry(actor.roles, read(VIEWERS), path=path, role=actor.role, user_id=actor.user_id)

    async def own(self) -> Slice:
        """Everything, for those who see it; else what the caller's user has spent, or their key if it has no user."""
        if self._actor.sees_everything:
            return EVERYTHING
        if self._actor.user_id is not None:
            return Slice(dimension="user", entities=(self._actor.user_id,))
        return await self.key(self._actor.key_hash)

    async def key(self, name: str) -> Slice:
        """A key, by value or hash, its earlier hashes included. Raises `Forbidden` if it is not the caller's."""
        wanted = hash_key(name) if name.startswith("sk-") else name
        if not self._actor.sees_everything and wanted != self._actor.key_hash:
            found = (await self._context.services.keys.name_keys([wanted])).get(wanted)
            owners = (
                {}
                if found is None
                else {owner: getattr(found, owner) for owner in ("user_id", "team_id", "organization_id")}
            )
            if self._actor.capacity_over(**owners) is None:
                raise Forbidden(f"You are not allowed to see the spend of another key. Your role={self._actor.role}")
        return Slice(dimension="key", entities=tuple(await self._context.services.keys.find_hashes(wanted)))

    async def hashes_of(self, name: str) -> tuple[str, ...]:
        """Hashes of a key that narrows down something the caller may see anyway."""
        wanted = hash_key(name) if name.startswith("sk-") else name
        return tuple(await self._context.services.keys.find_hashes(wanted))

    async def user(self, user_id: str | None) -> Slice:
        """A user; None: the caller's own, or everything. Raises `Forbidden`."""
        if user_id is None:
            return await self.own()
        if self._actor.capacity_over(user_id=user_id) is None:
            raise Forbidden(f"You are not allowed to see the spend of another user. Your role={self._actor.role}")
        return Slice(dimension="user", entities=(user_id,))

    async def teams(self, wanted: Sequence[str], *, permission: str) -> Slice:
        """These teams; without any, all that the caller may see. `permission`: what plain members need.

        Raises `Forbidden`.
        """
        if self._actor.sees_everything:
            return Slice(dimension="team", entities=tuple(wanted)) if wanted else Slice(dimension="any_team")
        visible = await self._visible_teams(permission)
        if forbidden := [team_id for team_id in wanted if team_id not in visible]:
            raise Forbidden(
                f"You are not allowed to see the spend of team {forbidden[0][:100]!r}. Its admins are, and members "
                f"when {permission} is among its team_member_permissions."
            )
        return Slice(dimension="team", entities=tuple(wanted or sorted(visible)))

    async def tags(self, wanted: Sequence[str], *, key: str | None) -> Slice:
        """These tags; without any, all of them. Who does not see everything sees what they spent under them themselves,
        as tags belong to no one. `key`: that only. Raises `Forbidden` for another's.
        """
        tags = Slice(dimension="tag", entities=tuple(wanted)) if wanted else Slice(dimension="any_tag")
        if self._actor.sees_everything:
            return tags
        own = await self.own() if key is None else await self.key(key)
        by_user = {"user_id": self._actor.user_id} if own.dimension == "user" else {"key_hashes": own.entities}
        return msgspec.structs.replace(tags, callers=RecordFilter(**by_user, with_adjustments=False))

    async def organizations(self, wanted: Sequence[str]) -> Slice:
        """These organizations; without any, all that the caller may see. Raises `Forbidden`."""
        if self._actor.sees_everything:
            entities = tuple(wanted)
            return Slice(dimension="organization", entities=entities) if wanted else Slice(dimension="any_organization")
        visible = self._actor.administered_organizations
        if forbidden := [one for one in wanted if one not in visible]:
            raise Forbidden(
                f"You are not allowed to see the spend of organization {forbidden[0][:100]!r}. "
                f"Your role={self._actor.role}"
            )
        return Slice(dimension="organization", entities=tuple(wanted or sorted(visible)))

    async def _visible_teams(self, permission: str) -> frozenset[str]:
        actor = self._actor
        permitted = {
            team_id for team_id, routes in actor.member_permissions.items() if _is_permitted(permission, routes)
        }
        own = {actor.principal.team_id} if actor.role is Role.TEAM and actor.principal.team_id else set()
        repository = SpendRepository(self._context.services.engine)
        of_organizations = await repository.teams_of_organizations(actor.administered_organizations)
        return frozenset(actor.administered_teams | permitted | own | set(of_organizations))


def _is_permitted(route: str, permissions: Iterable[str]) -> bool:
    return any(route == one or (one.endswith("*") and route.startswith(one.removesuffix("*"))) for one in permissions)
