"""How word of changes reaches other processes: a log that loses none, and a bus that is quick."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from tollway.core.changes import NumberedChange


class ChangeLog(Protocol):
    """Every change, in the order of commits. Methods raise `StoreUnavailable`."""

    async def latest(self) -> int:
        """The number of the newest change; 0 before the first."""
        ...

    async def since(self, number: int, *, besides: str, limit: int) -> list[NumberedChange]:
        """Changes after that number which others than the process `besides` made; the oldest `limit` of them."""
        ...

    async def forget(self, *, before_s: float) -> None:
        """Drops what was noted before that moment (epoch seconds), except the newest."""
        ...


class BusUnavailable(Exception):
    """The bus does not work right now. Its text is fit for a log."""


class ChangeBus(Protocol):
    """Tells other processes at once, and promises nothing: the log is what counts."""

    async def publish(self, told_by: str, changes: Sequence[NumberedChange]) -> None:
        """Tells of changes that are committed. Raises `BusUnavailable`."""
        ...

    def listen(self) -> AsyncIterator[bytes]:
        """What anybody publishes, after one empty message that says that it hears from now on.

        Ends by raising `BusUnavailable`, soon after nothing could be heard any more.
        """
        ...
