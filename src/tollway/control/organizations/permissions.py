"""Who may call `/organization/*`, and who may set what.

An organization's own budget, limits and models are the proxy admin's to set; its admin manages who is in it.
"""

from __future__ import annotations

from tollway.control.kit.roles import ADMIN, ANY_KEY, ORG_ADMINS, VIEWERS, Matrix, Roles, fields, read, write
from tollway.control.organizations.schemas import (
    MemberDelete,
    MembersAdd,
    MemberUpdate,
    OrganizationCreate,
    OrganizationFields,
)

_SEES: Roles = VIEWERS | ORG_ADMINS
_FIELDS = fields(OrganizationFields.model_fields, ADMIN) | fields(("organization_alias", "metadata"), ORG_ADMINS)

ACCESS: Matrix = {
    ("POST", "/organization/new"): write(ADMIN, **fields(OrganizationCreate.model_fields, ADMIN)),
    ("PATCH", "/organization/update"): write(ORG_ADMINS, **_FIELDS, organization_id=ORG_ADMINS),
    ("PATCH", "/v2/organization/{organization_id}"): write(ORG_ADMINS, **_FIELDS),
    ("DELETE", "/organization/delete"): write(ADMIN, organization_ids=ADMIN),
    ("GET", "/organization/list"): read(ANY_KEY),
    ("GET", "/organization/info"): read(_SEES),
    ("POST", "/organization/info"): write(_SEES, organizations=_SEES),
    ("POST", "/organization/member_add"): write(ORG_ADMINS, **fields(MembersAdd.model_fields, ORG_ADMINS)),
    ("PATCH", "/organization/member_update"): write(ORG_ADMINS, **fields(MemberUpdate.model_fields, ORG_ADMINS)),
    ("DELETE", "/organization/member_delete"): write(ORG_ADMINS, **fields(MemberDelete.model_fields, ORG_ADMINS)),
}
