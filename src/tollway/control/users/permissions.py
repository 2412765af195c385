"""Who may call `/user/*`, and who may set what about a user.

Of their own row a user may set the alias alone: role, budgets, limits, models, spend and memberships decide what they
may do, and the address decides who they are.
"""

from __future__ import annotations

from tollway.control.kit.roles import ADMIN, ANY_KEY, ORG_ADMINS, VIEWERS, Matrix, fields, read, write
from tollway.control.users.schemas import UserCreate, UsersUpdate, UserUpdate
from tollway.core.principal import Role

_SELF = ORG_ADMINS | {Role.INTERNAL_USER}
_PEOPLE = ANY_KEY - {Role.TEAM}
_BEYOND_ONE_ORGANIZATION = fields(("spend", "permissions", "object_permission", "sso_user_id"), ADMIN)
"""Nobody's but the proxy admin's: what was spent, what a key opens elsewhere, and who signs in as whom."""

ACCESS: Matrix = {
    ("POST", "/user/new"): write(ORG_ADMINS, **fields(UserCreate.model_fields, ORG_ADMINS) | _BEYOND_ONE_ORGANIZATION),
    ("GET", "/user/info"): read(ANY_KEY),
    ("GET", "/v2/user/info"): read(ANY_KEY),
    ("POST", "/user/update"): write(
        _SELF,
        **fields(UserUpdate.model_fields, ORG_ADMINS)
        | fields(("spend", "object_permission", "sso_user_id", "password", "teams", "organizations"), ADMIN)
        | fields(("user_id", "user_alias"), _SELF),
    ),
    ("POST", "/user/bulk_update"): write(ADMIN, **fields(UsersUpdate.model_fields, ADMIN)),
    ("POST", "/user/delete"): write(ORG_ADMINS, user_ids=ORG_ADMINS),
    ("GET", "/user/list"): read(VIEWERS | ORG_ADMINS),
    ("GET", "/user/available_roles"): read(ANY_KEY),
    ("GET", "/user/filter/ui"): read(VIEWERS | ORG_ADMINS),
    ("POST", "/management/v1/users/bulk"): write(ADMIN, users=ADMIN),
    ("POST", "/management/v1/users/bulk_delete"): write(ADMIN, user_ids=ADMIN),
    ("POST", "/user/password/change"): write(_PEOPLE, current_password=_PEOPLE, new_password=_PEOPLE),
}
