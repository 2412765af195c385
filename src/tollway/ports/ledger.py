"""Where records go, and what the ledger says was spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tollway.core.record import Charge, Record


class Unstorable(Exception):
    """The database refuses one of these records, whenever and however often it is offered."""


class WindowSum(msgspec.Struct, frozen=True, gc=False):
    """What the records of one budget window add up to."""

    nanos: int = 0
    calls: int = 0
    """Adjustments and imports are not among them."""


class Journal(Protocol):
    """Write-ahead of records: what `append` took survives `kill -9`."""

    async def append(self, record: Record) -> None:
        """Returns once the record is safe. Raises `Overloaded` when it cannot be (disk full)."""
        ...

    def check(self) -> None:
        """Raises `Overloaded` while records cannot be written, so that no call is admitted that cannot be metered."""
        ...


class LedgerStore(Protocol):
    """Records and their sums in a database."""

    async def insert(self, records: Sequence[Record]) -> int:
        """Adds records that are not there yet and their sums, in one transaction; how many were new.

        Raises `StoreUnavailable` when that may succeed later, `Unstorable` when it never will.
        """
        ...

    async def window_sums(self, charges: Sequence[Charge]) -> list[WindowSum]:
        """What was settled in each of these windows. Raises `StoreUnavailable`."""
        ...
