"""Calls in flight by session, so that a stop reaches those that have begun. Only calls with a session are in here."""

from __future__ import annotations

from collections.abc import Callable

from tollway.core.changes import Change, session_name, session_of
from tollway.core.errors import StoreUnavailable
from tollway.gateway.call import Call
from tollway.policy.entities import Entities


class LiveSessions:
    """Every call of a session between its authentication and its end, in this process."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._calls: dict[str, dict[Call, Callable[[], object]]] = {}

    def __len__(self) -> int:
        """How many sessions have calls in flight."""
        return len(self._calls)

    def enter(self, call: Call, cancel: Callable[[], object]) -> None:
        """A call begins; `cancel` interrupts it.

        To be called before the call asks whether its session was stopped: a stop is then seen by one or the other.
        """
        self._calls.setdefault(_name(call), {})[call] = cancel

    def leave(self, call: Call) -> None:
        """A call has ended."""
        name = _name(call)
        calls = self._calls.get(name)
        if calls is not None and calls.pop(call, None) is not None and not calls:
            del self._calls[name]

    async def changed(self, change: Change) -> None:
        """Interrupts the calls of a session that was stopped. A call that is settled has its answer and keeps it."""
        if change.kind != "session" or change.id not in self._calls:
            return
        try:
            stop = await self._entities.find_stop(*session_of(change.id))
        except StoreUnavailable:
            return  # the next call of the session asks again
        if stop is None:
            return
        for call, cancel in tuple(self._calls.get(change.id, {}).items()):
            if not call.is_settled and call.stop is None:
                call.stop = stop
                cancel()


def _name(call: Call) -> str:
    return session_name(call.principal.spend_id, call.controls.session_id)
