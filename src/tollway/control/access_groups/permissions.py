"""Who may call `/v1/access_group`, and who may set what about an access group."""

from __future__ import annotations

from tollway.control.access_groups.schemas import GroupFields
from tollway.control.kit.roles import ADMIN, VIEWERS, Matrix, fields, read, write

_FIELDS = fields(GroupFields.model_fields, ADMIN)

ACCESS: Matrix = {
    ("POST", "/v1/access_group"): write(ADMIN, **_FIELDS, access_group_name=ADMIN),
    ("GET", "/v1/access_group"): read(VIEWERS),
    ("GET", "/v1/access_group/{access_group_id}"): read(VIEWERS),
    ("PUT", "/v1/access_group/{access_group_id}"): write(ADMIN, **_FIELDS, access_group_name=ADMIN),
    ("DELETE", "/v1/access_group/{access_group_id}"): read(ADMIN),
}
