"""Who may call what. Every management route has a row; one without a row is closed to everybody."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from tollway.core.errors import Forbidden, Unauthenticated
from tollway.core.principal import Principal


class Role(StrEnum):
    """What a caller is. More arrive with users and teams."""

    PROXY_ADMIN = "proxy_admin"
    """Holder of the master key."""
    INTERNAL_USER = "internal_user"
    """Holder of a virtual key: sees what is the key's own."""


Roles = frozenset[Role] | None
"""Roles that a route is open to; None: open without a key."""

ADMIN: Roles = frozenset({Role.PROXY_ADMIN})
ANY_KEY: Roles = frozenset(Role)
PUBLIC: Roles = None

ROLES: Mapping[tuple[str, str], Roles] = {
    ("GET", "/"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/routes"): PUBLIC,
    ("GET", "/ui"): PUBLIC,
    ("GET", "/ui/"): PUBLIC,
    ("GET", "/health/services"): ADMIN,
    ("POST", "/key/generate"): ADMIN,
    ("GET", "/key/info"): ANY_KEY,
    ("POST", "/v2/key/info"): ADMIN,
    ("POST", "/key/update"): ADMIN,
    ("POST", "/key/delete"): ADMIN,
    ("POST", "/key/block"): ADMIN,
    ("POST", "/key/unblock"): ADMIN,
    ("GET", "/key/list"): ANY_KEY,
    ("GET", "/key/aliases"): ADMIN,
    ("POST", "/key/health"): ANY_KEY,
    ("POST", "/key/regenerate"): ADMIN,
    ("POST", "/key/{key}/regenerate"): ADMIN,
    ("POST", "/key/{key}/reset_spend"): ADMIN,
    ("GET", "/model/info"): ANY_KEY,
    ("GET", "/v1/model/info"): ANY_KEY,
    ("GET", "/model_group/info"): ANY_KEY,
    ("GET", "/spend/keys"): ADMIN,
    ("GET", "/spend/logs"): ANY_KEY,
    ("POST", "/spend/calculate"): ANY_KEY,
    ("GET", "/global/spend"): ADMIN,
    ("GET", "/global/spend/keys"): ADMIN,
    ("GET", "/global/spend/models"): ADMIN,
}


def role_of(principal: Principal) -> Role:
    """The caller's role."""
    return Role.PROXY_ADMIN if principal.is_admin else Role.INTERNAL_USER


def check_role(principal: Principal, roles: Roles, *, path: str) -> None:
    """Raises unless the caller's role is among those the route is open to.

    The words and the 401 are the wire contract's: existing clients look for both.
    """
    role = role_of(principal)
    if roles is None or role in roles:
        return
    raise Unauthenticated(
        "Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys/users/teams."
        f" Route={path}. Your role={role}. Your user_id={principal.user_id}",
        param="None",
    )


def roles_of(method: str, path: str) -> Roles:
    """The row of a route. Raises `Forbidden` where there is none."""
    try:
        return ROLES[method, path]
    except KeyError:
        raise Forbidden(f"{method} {path} has no row in the role table, so nobody may call it.") from None
