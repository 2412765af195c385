"""Many users at once. Each is made or deleted in a transaction of its own: what is refused stops no other, and a
request of 500 keeps no lock for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from tollway.control.kit.context import Context
from tollway.control.kit.keys import KeyDesk
from tollway.control.users.bulk_schemas import Outcome, StrictUser, UserMade
from tollway.control.users.service import UserService
from tollway.core.errors import TollwayError

_OK = 200


class BulkUsers:
    """Users by the hundred, for one request."""

    def __init__(self, context: Context, desk: KeyDesk) -> None:
        self._users = UserService(context, desk)

    async def create(self, asked: Sequence[StrictUser]) -> list[UserMade]:
        """Makes each as `/user/new` does; what became of them, in their order."""
        return [await self._make(index, one) for index, one in enumerate(asked)]

    async def delete(self, user_ids: Sequence[str]) -> list[Outcome]:
        """Deletes each as `/user/delete` does; what became of them, in their order. An id that is repeated is gone."""
        return [await self._delete(index, user_id) for index, user_id in enumerate(user_ids)]

    async def _make(self, index: int, asked: StrictUser) -> UserMade:
        try:
            seen, key = await self._users.create(asked)
        except TollwayError as error:
            return UserMade(
                index=index,
                user_id=asked.user_id,
                user_email=asked.user_email,
                success=False,
                status=error.status,
                error=error.message,
            )
        return UserMade(
            index=index,
            user_id=seen.user.user_id,
            user_email=seen.user.user_email,
            success=True,
            status=_OK,
            teams=list(seen.teams),
            key=key["key"] if asked.auto_create_key else None,
        )

    async def _delete(self, index: int, user_id: str) -> Outcome:
        try:
            await self._users.delete([user_id])
        except TollwayError as error:
            return Outcome(index=index, user_id=user_id, success=False, status=error.status, error=error.message)
        return Outcome(index=index, user_id=user_id, success=True, status=_OK)
