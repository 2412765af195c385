"""Who may call `/team/*`, and who may set what about a team.

Everything is the proxy admin's. An admin of an organization makes and manages its teams within the organization's own
limits, and cannot move one out of it. An admin of a team manages who is in it and what each member may use of it, and
of the team itself only what gives it nothing: no budget, limit, model or organization of its own, and not what members
have by default, for that is what they have themselves. Plain members look.

Who may do it to which team is asked once it is known: roles of fields are what the caller is to that team.
"""

from __future__ import annotations

from tollway.control.kit.roles import ADMIN, ANY_KEY, MANAGERS, ORG_ADMINS, USERS, VIEWERS, Matrix, fields, read, write
from tollway.control.teams.schemas import (
    CallbackAdd,
    MemberAdd,
    MemberName,
    MembersAdd,
    MemberUpdate,
    TeamCreate,
    TeamPatch,
    TeamUpdate,
)
from tollway.core.principal import Role

KEY_HOLDERS = USERS | {Role.TEAM}

_OF_TEAM_ADMINS = ("team_alias", "metadata", "model_aliases", "team_member_permissions")
"""A name, notes, other names for models that the team may use anyway, and what its admins could do for any member."""

_OF_PROXY_ADMINS = ("spend", "disable_global_guardrails", "allowed_passthrough_routes", "secret_manager_settings")
"""Accounts, and rules that hold for everybody."""

_SETTINGS = (
    fields({**TeamUpdate.model_fields, **TeamPatch.model_fields}, ORG_ADMINS)
    | fields(_OF_TEAM_ADMINS, MANAGERS)
    | fields((*_OF_PROXY_ADMINS, "organization_id"), ADMIN)
)
_WITHOUT_ID = {name: roles for name, roles in _SETTINGS.items() if name != "team_id"}
_NEW = fields(TeamCreate.model_fields, ORG_ADMINS) | fields(_OF_PROXY_ADMINS[1:], ADMIN)

UPDATE = write(MANAGERS, **_WITHOUT_ID, team_id=MANAGERS)

ACCESS: Matrix = {
    ("POST", "/team/new"): write(ORG_ADMINS, **_NEW),
    ("POST", "/team/update"): UPDATE,
    ("PATCH", "/team/{team_id}"): write(MANAGERS, **_WITHOUT_ID),
    # Members, keys of the team and whoever manages it; a stranger is refused when it is known which team they ask for.
    ("GET", "/team/info"): read(ANY_KEY),
    ("GET", "/team/list"): read(ANY_KEY),
    ("GET", "/v2/team/list"): read(ANY_KEY),
    ("GET", "/team/available"): read(ANY_KEY),
    ("GET", "/team/metadata_schema"): read(ANY_KEY),
    ("POST", "/team/delete"): write(ORG_ADMINS, team_ids=ORG_ADMINS),
    ("POST", "/team/block"): write(ORG_ADMINS, team_id=ORG_ADMINS),
    ("POST", "/team/unblock"): write(ORG_ADMINS, team_id=ORG_ADMINS),
    # A user may add one person to a team that is open to all: themselves, without any limits of their own.
    ("POST", "/team/member_add"): write(
        USERS, **fields(MemberAdd.model_fields, MANAGERS) | fields(("team_id", "member"), USERS)
    ),
    ("POST", "/team/bulk_member_add"): write(
        MANAGERS, **fields(MembersAdd.model_fields, MANAGERS) | fields(("all_users",), ADMIN)
    ),
    # Limits of others only: nobody but a proxy admin changes their own.
    ("POST", "/team/member_update"): write(MANAGERS, **fields(MemberUpdate.model_fields, MANAGERS)),
    ("POST", "/team/member_delete"): write(MANAGERS, **fields(MemberName.model_fields, MANAGERS)),
    ("GET", "/team/{team_id}/members/me"): read(ANY_KEY),
    ("POST", "/team/{team_id}/member/{user_id}/reset_spend"): write(MANAGERS, reset_to=MANAGERS),
    ("POST", "/team/{team_id}/member/{user_id}/reset_budget"): read(MANAGERS),
    # Team admins: only such changes as leave the team with fewer models.
    ("POST", "/team/model/add"): write(MANAGERS, team_id=MANAGERS, models=MANAGERS),
    ("POST", "/team/model/delete"): write(MANAGERS, team_id=MANAGERS, models=MANAGERS),
    ("GET", "/team/permissions_list"): read(MANAGERS),
    ("POST", "/team/permissions_update"): write(MANAGERS, team_id=MANAGERS, team_member_permissions=MANAGERS),
    ("POST", "/team/permissions_bulk_update"): write(
        ADMIN, permissions=ADMIN, team_ids=ADMIN, apply_to_all_teams=ADMIN
    ),
    # Credentials of the team: whoever manages it, and they are shown to nobody.
    ("POST", "/team/{team_id}/callback"): write(MANAGERS, **fields(CallbackAdd.model_fields, MANAGERS)),
    ("GET", "/team/{team_id}/callback"): read(MANAGERS | VIEWERS),
    ("DELETE", "/team/{team_id}/callback/{callback_name}"): read(MANAGERS),
    ("POST", "/team/{team_id}/disable_logging"): read(MANAGERS),
    ("GET", "/team/filter/ui"): read(ANY_KEY),
    # Also members whose team permits it. Which fields of the keys is said by the rows of `/key/update`.
    ("POST", "/team/key/bulk_update"): write(
        KEY_HOLDERS, **fields(("team_id", "key_ids", "all_keys_in_team", "update_fields"), KEY_HOLDERS)
    ),
}

EDITABLE_BY_TEAM_ADMINS = [name for name in _WITHOUT_ID if _WITHOUT_ID[name] >= MANAGERS]
"""What `caller_edit_access` tells an admin of a team."""
