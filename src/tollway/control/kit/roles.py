"""The role matrix: who may enter a route, and who may set which field of its body. A row is data; deny is the default.

Each resource has its rows in `permissions.py`; `control.api` puts them together, and a test walks every registered
route and every field of every body: one without a row fails it, as it would fail a caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tollway.core.errors import Forbidden, Unauthenticated
from tollway.core.principal import Role

Roles = frozenset[Role]

ADMIN: Roles = frozenset({Role.PROXY_ADMIN})
VIEWERS: Roles = ADMIN | {Role.PROXY_ADMIN_VIEWER}
"""Who sees everything."""
ORG_ADMINS: Roles = ADMIN | {Role.ORG_ADMIN}
MANAGERS: Roles = ORG_ADMINS | {Role.TEAM_ADMIN}
"""Who may manage a team that is theirs to manage."""
USERS: Roles = MANAGERS | {Role.INTERNAL_USER}
"""Everybody who may change something of their own."""
ANY_KEY: Roles = frozenset(Role) - {Role.CUSTOMER}
"""Everybody with a key."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the matrix."""

    roles: Roles | None
    """Who may enter; None: everybody, without a key."""
    fields: Mapping[str, Roles] = {}
    """For each field of the body, who may set it. Roles are capacities: what the caller is *to the object* named."""
    ignores_allowed_routes: bool = False
    """Open to a key whatever list of routes it is confined to."""
    refusal: str = (
        "Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys/users/teams."
        " Route={path}. Your role={role}. Your user_id={user_id}"
    )
    """What others are told."""


Matrix = Mapping[tuple[str, str], Access]
"""Rows by method and path."""

PUBLIC = Access(roles=None)
NO_ROW = Access(roles=frozenset())


def read(roles: Roles, *, refusal: str | None = None) -> Access:
    """A route without a body. `refusal`: what callers with other roles are told."""
    return Access(roles=roles) if refusal is None else Access(roles=roles, refusal=refusal)


def write(roles: Roles, **fields: Roles) -> Access:
    """A route with a body of these fields."""
    return Access(roles=roles, fields=fields)


def fields(names: Iterable[str], roles: Roles) -> dict[str, Roles]:
    """The same roles for several fields."""
    return dict.fromkeys(names, roles)


def check_entry(held: Roles, access: Access, *, path: str, role: Role, user_id: str | None) -> None:
    """Raises unless one of the caller's roles is among those a route is open to.

    The words and the 401 are the wire contract's: existing clients look for both.
    """
    if access.roles is None or held & access.roles:
        return
    raise Unauthenticated(access.refusal.format(path=path, role=role, user_id=user_id), param="None")


def check_fields(capacity: Role, access: Access, sent: Iterable[str]) -> None:
    """Raises `Forbidden` for the first of these fields that a caller in this capacity may not set.

    A field without a row is nobody's but the proxy admin's.
    """
    for name in sent:
        if capacity not in access.fields.get(name, ADMIN):
            raise Forbidden(
                f"'{name}' cannot be set by a {capacity}. Leave it out, or ask somebody with more rights "
                f"({', '.join(sorted(access.fields.get(name, ADMIN)))}).",
                param=name,
            )
