"""Bodies of `/management/v1/users/*`. Unlike elsewhere, fields that nobody knows are refused."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from tollway.control.kit.body import Body, Identifier
from tollway.control.kit.wire import WireModel
from tollway.control.users.schemas import NewUser, TeamJoined

MAX_AT_ONCE = 500
_STRICT = ConfigDict(extra="forbid")


class StrictTeamJoined(TeamJoined):
    """A team to join, and on which terms."""

    model_config = _STRICT


class StrictUser(NewUser):
    """A user to make: the fields of `/user/new`. A key is made for those who ask for one."""

    model_config = _STRICT

    teams: list[str | StrictTeamJoined] | None = None  # type: ignore[assignment]  # narrower, and read only
    auto_create_key: bool = False


class UsersCreate(Body):
    """`POST /management/v1/users/bulk`."""

    model_config = _STRICT

    users: list[StrictUser] = Field(min_length=1, max_length=MAX_AT_ONCE)


class UsersDelete(Body):
    """`POST /management/v1/users/bulk_delete`."""

    model_config = _STRICT

    user_ids: list[Identifier] = Field(min_length=1, max_length=MAX_AT_ONCE)


class Outcome(WireModel):
    """What became of one of many."""

    index: int
    """Its place in the request, counted from 0."""
    user_id: str | None
    success: bool
    status: int
    """What it alone would have been answered with."""
    error: str | None = None


class UserMade(Outcome):
    """The same for one that was to be made."""

    user_email: str | None = None
    teams: list[str] = []
    key: str | None = None
    """Shown only here."""


class Counts(WireModel):
    """How it went."""

    total_requested: int
    failed: int


class MadeCounts(Counts):
    """How making them went."""

    created: int


class DeletedCounts(Counts):
    """How deleting them went."""

    deleted: int


class UsersMade(WireModel):
    """The answer to `POST /management/v1/users/bulk`, in the order of the request."""

    data: list[UserMade]
    meta: MadeCounts


class UsersDeleted(WireModel):
    """The answer to `POST /management/v1/users/bulk_delete`, in the order of the request."""

    data: list[Outcome]
    meta: DeletedCounts
