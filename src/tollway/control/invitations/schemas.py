"""Bodies of `/invitation/*`, under the wire contract's names."""

from __future__ import annotations

from datetime import datetime

from tollway.control.kit.body import Body
from tollway.control.kit.wire import WireModel


class InvitationCreate(Body):
    """`POST /invitation/new`."""

    user_id: str


class InvitationUpdate(Body):
    """`POST /invitation/update`."""

    invitation_id: str
    is_accepted: bool


class InvitationName(Body):
    """`POST /invitation/delete`."""

    invitation_id: str


class InvitationOut(WireModel):
    """An invitation. Its id is what the link carries: whoever has it chooses the password."""

    id: str
    user_id: str
    is_accepted: bool
    accepted_at: datetime | None
    expires_at: datetime
    created_at: datetime
    created_by: str | None
    updated_at: datetime
    updated_by: str | None
