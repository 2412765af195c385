"""What other resources do with keys. `control.api` hands in the keys' own rules: no resource imports another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.context import Context, Unit
from tollway.control.kit.pagination import Page
from tollway.core.ids import hash_key
from tollway.stores.sql.virtual_key import VirtualKey


class KeyDesk(Protocol):
    """Keys, for those that keys belong to."""

    async def issue(self, unit: Unit, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Makes a key along with its owner, in the owner's transaction; the answer of `/key/generate`. Who may is the
        owner's to check. Raises `InvalidRequest`, `Conflict`.
        """
        ...

    def blank(self, context: Context) -> dict[str, Any]:
        """The same answer where no key is made."""
        ...

    async def list_page(self, context: Context, user_id: str | None, page: Page) -> tuple[list[dict[str, Any]], int]:
        """A page of this user's keys, or of all, as `show` shows them, newest first, and how many there are."""
        ...

    async def count_by_user(self, connection: AsyncConnection, user_ids: Sequence[str]) -> dict[str, int]:
        """How many keys each of these users has; those without are left out."""
        ...

    async def remove_of_user(self, unit: Unit, user_id: str) -> None:
        """Deletes every key of a user along with them."""
        ...

    async def show(self, context: Context, keys: Sequence[VirtualKey]) -> list[dict[str, Any]]:
        """The keys as listings of their owners show them, each with its hash as `token`."""
        ...

    async def move_with_team(self, unit: Unit, team_id: str, *, before: str | None, after: str | None) -> None:
        """Takes keys of a team that belonged to its organization `before` along into the one it belongs to now."""
        ...

    async def remove(self, unit: Unit, keys: Sequence[VirtualKey]) -> None:
        """Deletes keys along with their owner, in the owner's transaction: to the archive, noted and told."""
        ...

    async def change(
        self, context: Context, key: VirtualKey, changes: Mapping[str, Any], *, route: str
    ) -> dict[str, Any]:
        """What `/key/update` does with these fields, and the key as it is then shown. Raises what that raises.

        `route`: the caller's, which members of a team need its permission for.
        """
        ...


def hash_of(name: str) -> str:
    """The hash of a key that a request names by value or by hash."""
    return hash_key(name) if name.startswith("sk-") else name


async def _key_desk(request: Request) -> KeyDesk:
    desk: KeyDesk = request.app.state.key_desk
    return desk


KeyDeskDep = Annotated[KeyDesk, Depends(_key_desk)]
