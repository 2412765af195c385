"""`/invitation/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Depends, Response

from tollway.control.invitations.repository import Invitation
from tollway.control.invitations.schemas import (
    InvitationCreate,
    InvitationName,
    InvitationOut,
    InvitationUpdate,
)
from tollway.control.invitations.service import InvitationService
from tollway.control.kit.body import warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import resource_router

router = resource_router("invitations")


async def _invitation_service(context: ContextDep) -> InvitationService:
    return InvitationService(context)


Invitations = Annotated[InvitationService, Depends(_invitation_service)]


@router.post("/invitation/new")
async def create_invitation(body: InvitationCreate, response: Response, invitations: Invitations) -> InvitationOut:
    """Invite a user to choose a password: `<address>/ui?invitation_id=<id>`, for seven days."""
    invitation = await invitations.create(body.user_id)
    warn(response, body)
    return _render(invitation)


@router.get("/invitation/info")
async def show_invitation(invitations: Invitations, invitation_id: str) -> InvitationOut:
    """An invitation."""
    return _render(await invitations.find(invitation_id))


@router.post("/invitation/update")
async def update_invitation(body: InvitationUpdate, response: Response, invitations: Invitations) -> InvitationOut:
    """Say whether an invitation was accepted."""
    invitation = await invitations.set_accepted(body.invitation_id, is_accepted=body.is_accepted)
    warn(response, body)
    return _render(invitation)


@router.post("/invitation/delete")
async def delete_invitation(body: InvitationName, response: Response, invitations: Invitations) -> InvitationOut:
    """Take an invitation back."""
    invitation = await invitations.delete(body.invitation_id)
    warn(response, body)
    return _render(invitation)


def _render(invitation: Invitation) -> InvitationOut:
    return InvitationOut(**msgspec.structs.asdict(invitation))
