"""Who may call `/key/*`, and who may set what about a key.

Whether a caller is a key's owner, its team's admin or a mere member, with which of the team's `member_permissions`, is
for `authority` to find out; the rows say what each of these may then set.
"""

from __future__ import annotations

from tollway.control.keys.schemas import KeyFields
from tollway.control.kit.roles import ADMIN, ANY_KEY, MANAGERS, USERS, VIEWERS, Access, Matrix, fields, read, write
from tollway.core.principal import Role

HOLDERS = USERS | {Role.TEAM}
"""Whoever may make and change keys of their own."""

_ADMIN_FIELDS = (
    "allowed_routes",  # would open routes that a preset of `key_type` does not
    "permissions",  # opens spend routes
    "disable_global_guardrails",
    "default_estimated_output_tokens",
    "default_estimated_output_tokens_per_model",
    "allowed_passthrough_routes",
    "denied_passthrough_routes",
)
_MANAGER_FIELDS = (
    "spend",
    "budget_id",  # another budget may be larger
    "access_group_ids",  # adds models
    "object_permission",
    "organization_id",
    "end_user_budget_id",
    "allowed_vector_store_indexes",
    "throttle_on_budget_exceeded",
)

_FIELDS = {
    **fields(KeyFields.model_fields, HOLDERS),
    **fields(_MANAGER_FIELDS, MANAGERS),
    **fields(_ADMIN_FIELDS, ADMIN),
}
_RAISES = fields(("temp_budget_increase", "temp_budget_expiry"), MANAGERS)
_REGENERATE = write(HOLDERS, **_FIELDS, **fields(("key", "new_key", "grace_period"), HOLDERS), new_master_key=ADMIN)

ACCESS: Matrix = {
    ("POST", "/key/generate"): write(HOLDERS, **_FIELDS, key=HOLDERS),
    ("POST", "/key/service-account/generate"): write(HOLDERS, **_FIELDS, key=HOLDERS),
    ("GET", "/key/info"): read(ANY_KEY),
    ("GET", "/key/successor"): Access(roles=ANY_KEY, ignores_allowed_routes=True),
    ("POST", "/v2/key/info"): write(ANY_KEY, keys=ANY_KEY, key_aliases=ANY_KEY),
    ("POST", "/key/update"): write(HOLDERS, **_FIELDS, **_RAISES, key=HOLDERS),
    ("POST", "/key/bulk_update"): write(ADMIN, keys=ADMIN),
    ("POST", "/key/delete"): write(HOLDERS, keys=HOLDERS, key_aliases=HOLDERS),
    ("POST", "/key/block"): write(HOLDERS, key=HOLDERS),
    ("POST", "/key/unblock"): write(HOLDERS, key=HOLDERS),
    ("GET", "/key/list"): read(ANY_KEY),
    ("GET", "/key/aliases"): read(VIEWERS),
    ("POST", "/key/health"): read(ANY_KEY),
    ("POST", "/key/regenerate"): _REGENERATE,
    ("POST", "/key/{key}/regenerate"): _REGENERATE,
    ("POST", "/key/{key}/reset_spend"): write(MANAGERS, reset_to=MANAGERS),
    ("GET", "/spend/keys"): read(ANY_KEY),
}
