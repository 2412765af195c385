"""Everything in this process that was made from the database, and is out of date when that changes."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from tollway.app.feed import Copies
from tollway.app.serving import Served
from tollway.core.changes import NumberedChange
from tollway.gateway.live import LiveSessions
from tollway.policy.auth import Authenticator
from tollway.policy.entities import Entities
from tollway.ports.copies import PrincipalCopies


class ProcessCopies(Copies):
    """Principals, what calls name, and what is served; and the principals that processes share."""

    def __init__(
        self,
        authenticator: Authenticator,
        entities: Entities,
        sessions: LiveSessions,
        served: Served,
        shared: PrincipalCopies | None,
    ) -> None:
        self._authenticator = authenticator
        self._entities = entities
        self._sessions = sessions
        self._served = served
        self._shared = shared

    @override
    def forget(self, changes: Sequence[NumberedChange], *, is_news: bool) -> None:
        if self._shared is not None:
            self._shared.forget(changes, is_news=is_news)
        for one in changes:
            self._authenticator.changed(one.change)
            self._entities.changed(one.change)

    @override
    def forget_all(self) -> None:
        self._authenticator.forget_all()
        self._entities.forget_all()

    @override
    async def interrupt(self, changes: Sequence[NumberedChange]) -> None:
        for one in changes:
            await self._sessions.changed(one.change)

    @override
    async def refresh(self) -> None:
        await self._served.refresh()
