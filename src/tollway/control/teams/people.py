"""The users that become members: found, or made."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from tollway.control.kit.context import Unit
from tollway.control.kit.spending import spent_nanos
from tollway.control.services import Services
from tollway.control.teams.repository import TeamRepository
from tollway.control.teams.schemas import Member
from tollway.core.errors import InvalidRequest
from tollway.core.principal import Role
from tollway.db.engine import reading
from tollway.stores.sql.principals import user_scope
from tollway.stores.sql.rows import User


class Person(NamedTuple):
    """A user with what the answers about members say of them."""

    user: User
    teams: Sequence[str]
    spent_nanos: int


async def find_or_create(unit: Unit, teams: TeamRepository, member: Member, *, may_choose_id: bool) -> User:
    """The user that a request names. One who does not exist is made: by address, or by id if the caller may choose it.

    Raises `InvalidRequest`.
    """
    email = member.user_email
    if member.user_id is not None:
        user = await teams.user(member.user_id)
    elif email is not None:
        user = await teams.user_by_email(email)
    else:
        raise InvalidRequest("A member needs a user_id or a user_email.", param="member", type="bad_request_error")
    if user is not None:
        return user
    if member.user_id is not None and not may_choose_id:
        raise InvalidRequest(
            f"There is no user with id {member.user_id}. Add them by user_email, or ask an admin to make the user.",
            param="member",
            type="bad_request_error",
        )
    if email is not None and await teams.user_by_email(email) is not None:
        raise InvalidRequest(
            f"The address {email} belongs to another user. Add that user, or leave user_email out.",
            param="member",
            type="bad_request_error",
        )
    return await _create(unit, teams, member.user_id or str(uuid.uuid4()), email)


async def describe(services: Services, user_ids: Sequence[str]) -> list[Person]:
    """These users, in this order; unknown ones are left out."""
    async with reading(services.engine) as connection:
        teams = TeamRepository(connection)
        found = [await teams.user(user_id) for user_id in user_ids]
        memberships = await teams.teams_of(user_ids)
    users = [user for user in found if user is not None]
    spent = await spent_nanos(services, [user_scope(user) for user in users])
    return [Person(user, memberships.get(user.user_id, ()), nanos) for user, nanos in zip(users, spent, strict=True)]


async def _create(unit: Unit, teams: TeamRepository, user_id: str, email: str | None) -> User:
    context = unit.context
    user = User(
        user_id=user_id,
        user_email=email,
        email_key=email.lower() if email else None,
        user_role=Role.INTERNAL_USER,
        created_at=context.now,
        created_by=context.actor.name,
        updated_at=context.now,
        updated_by=context.actor.name,
    )
    await teams.create_user(user)
    unit.audit("created", "LiteLLM_UserTable", user_id, after=user)
    unit.tell("user", user_id)
    return user
