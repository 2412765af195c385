"""Who may see and change model access groups: administrators."""

from __future__ import annotations

from tollway.control.kit.roles import ADMIN, VIEWERS, Matrix, fields, read, write
from tollway.control.model_access_groups.schemas import GroupBudget

_MEMBERS = fields(("model_names", "model_ids"), ADMIN)

ACCESS: Matrix = {
    ("POST", "/access_group/new"): write(ADMIN, access_group=ADMIN, **_MEMBERS),
    ("GET", "/access_group/list"): read(VIEWERS),
    ("GET", "/access_group/{access_group}/info"): read(VIEWERS),
    ("PUT", "/access_group/{access_group}/update"): write(ADMIN, **_MEMBERS),
    ("DELETE", "/access_group/{access_group}/delete"): read(ADMIN),
    ("GET", "/access_group/{access_group}/budget"): read(VIEWERS),
    ("PUT", "/access_group/{access_group}/budget"): write(ADMIN, **fields(GroupBudget.model_fields, ADMIN)),
    ("DELETE", "/access_group/{access_group}/budget"): read(ADMIN),
}
