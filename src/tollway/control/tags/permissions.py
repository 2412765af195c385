"""Who may call `/tag/*`, and who may set what about a tag."""

from __future__ import annotations

from tollway.control.kit.roles import ADMIN, USERS, VIEWERS, Matrix, fields, read, write
from tollway.control.tags.schemas import TagWrite
from tollway.core.principal import Role

_FIELDS = fields(TagWrite.model_fields, ADMIN)

ACCESS: Matrix = {
    ("POST", "/tag/new"): write(ADMIN, **_FIELDS),
    ("POST", "/tag/update"): write(ADMIN, **_FIELDS),
    ("POST", "/tag/info"): write(VIEWERS, names=VIEWERS),
    ("POST", "/tag/delete"): write(ADMIN, name=ADMIN),
    ("GET", "/tag/list"): read(USERS | VIEWERS | {Role.INTERNAL_USER_VIEWER}),
    ("GET", "/tag/distinct"): read(VIEWERS),
}
