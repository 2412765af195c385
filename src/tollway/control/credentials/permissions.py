"""Who may see and change credentials: administrators alone."""

from __future__ import annotations

from tollway.control.kit.roles import ADMIN, Matrix, fields, read, write

_FIELDS = fields(("credential_name", "credential_values", "credential_info", "display_name"), ADMIN)

ACCESS: Matrix = {
    ("POST", "/credentials"): write(ADMIN, **_FIELDS, model_id=ADMIN),
    ("GET", "/credentials"): read(ADMIN),
    ("GET", "/credentials/by_name/{credential_name}"): read(ADMIN),
    ("GET", "/credentials/by_model/{model_id}"): read(ADMIN),
    ("PATCH", "/credentials/{credential_name}"): write(ADMIN, **_FIELDS, credential_values_to_delete=ADMIN),
    ("DELETE", "/credentials/{credential_name}"): read(ADMIN),
}
