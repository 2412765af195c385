"""`/management/v1/users/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Response

from tollway.control.kit.body import warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import resource_router
from tollway.control.kit.keys import KeyDeskDep
from tollway.control.users.bulk import BulkUsers
from tollway.control.users.bulk_schemas import (
    DeletedCounts,
    MadeCounts,
    Outcome,
    UsersCreate,
    UsersDelete,
    UsersDeleted,
    UsersMade,
)

router = resource_router("users")


async def _bulk_users(context: ContextDep, desk: KeyDeskDep) -> BulkUsers:
    return BulkUsers(context, desk)


Users = Annotated[BulkUsers, Depends(_bulk_users)]


@router.post("/management/v1/users/bulk")
async def create_users(body: UsersCreate, response: Response, users: Users) -> UsersMade:
    """Make up to 500 users, each on its own: those that are refused say why. Keys are made where `auto_create_key` asks
    for one, and shown only here.
    """
    made = await users.create(body.users)
    warn(response, body)
    done, failed = _counted(made)
    return UsersMade(data=made, meta=MadeCounts(total_requested=len(made), created=done, failed=failed))


@router.post("/management/v1/users/bulk_delete")
async def delete_users(body: UsersDelete, users: Users) -> UsersDeleted:
    """Delete up to 500 users with their keys, invitations and memberships, each on its own."""
    gone = await users.delete(body.user_ids)
    done, failed = _counted(gone)
    return UsersDeleted(data=gone, meta=DeletedCounts(total_requested=len(gone), deleted=done, failed=failed))


def _counted(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    done = sum(one.success for one in outcomes)
    return done, len(outcomes) - done
