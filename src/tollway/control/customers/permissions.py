"""Who may call `/customer/*`, and who may set what about a customer."""

from __future__ import annotations

from tollway.control.customers.schemas import CustomerFields
from tollway.control.kit.roles import ADMIN, VIEWERS, Access, Matrix, fields, read, write

_FIELDS = fields(CustomerFields.model_fields, ADMIN)

_ROWS: dict[tuple[str, str], Access] = {
    ("POST", "new"): write(ADMIN, **_FIELDS, user_id=ADMIN),
    ("GET", "info"): read(VIEWERS),
    ("POST", "update"): write(ADMIN, **_FIELDS, user_id=ADMIN),
    ("POST", "delete"): write(ADMIN, user_ids=ADMIN),
    ("GET", "list"): read(VIEWERS, refusal="Admin-only endpoint. Your user role={role}"),
    ("POST", "block"): write(ADMIN, user_ids=ADMIN),
    ("POST", "unblock"): write(ADMIN, user_ids=ADMIN),
}

ACCESS: Matrix = {
    (method, f"/{prefix}/{name}"): access
    for prefix in ("customer", "end_user")
    for (method, name), access in _ROWS.items()
}
