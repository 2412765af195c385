"""Who may call `/session/*`. Whose session it is, `service` finds out."""

from __future__ import annotations

from tollway.control.kit.roles import ANY_KEY, USERS, Matrix, fields, read, write
from tollway.control.sessions.schemas import SessionResume, SessionStop
from tollway.core.principal import Role

_HOLDERS = USERS | {Role.TEAM}

ACCESS: Matrix = {
    ("POST", "/session/stop"): write(_HOLDERS, **fields(SessionStop.model_fields, _HOLDERS)),
    ("POST", "/session/resume"): write(_HOLDERS, **fields(SessionResume.model_fields, _HOLDERS)),
    ("GET", "/session/info"): read(ANY_KEY),
    ("GET", "/session/list"): read(ANY_KEY),
}
