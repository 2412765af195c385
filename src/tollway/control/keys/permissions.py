"""Who may call `/key/*`, and who may set what about a key."""

from __future__ import annotations

from tollway.control.keys.schemas import KeyFields
from tollway.control.kit.roles import ADMIN, ANY_KEY, Matrix, fields, read, write

_FIELDS = fields(KeyFields.model_fields, ADMIN)

ACCESS: Matrix = {
    ("POST", "/key/generate"): write(ADMIN, **_FIELDS, key=ADMIN),
    ("GET", "/key/info"): read(ANY_KEY),
    ("POST", "/v2/key/info"): write(ADMIN, keys=ADMIN, key_aliases=ADMIN),
    ("POST", "/key/update"): write(ADMIN, **_FIELDS, key=ADMIN, temp_budget_increase=ADMIN, temp_budget_expiry=ADMIN),
    ("POST", "/key/delete"): write(ADMIN, keys=ADMIN, key_aliases=ADMIN),
    ("POST", "/key/block"): write(ADMIN, key=ADMIN),
    ("POST", "/key/unblock"): write(ADMIN, key=ADMIN),
    ("GET", "/key/list"): read(ANY_KEY),
    ("GET", "/key/aliases"): read(ADMIN),
    ("POST", "/key/health"): read(ANY_KEY),
    ("POST", "/key/regenerate"): write(
        ADMIN, **_FIELDS, key=ADMIN, new_key=ADMIN, grace_period=ADMIN, new_master_key=ADMIN
    ),
    ("POST", "/key/{key}/regenerate"): write(
        ADMIN, **_FIELDS, key=ADMIN, new_key=ADMIN, grace_period=ADMIN, new_master_key=ADMIN
    ),
    ("POST", "/key/{key}/reset_spend"): write(ADMIN, reset_to=ADMIN),
    ("GET", "/spend/keys"): read(ADMIN),
}
