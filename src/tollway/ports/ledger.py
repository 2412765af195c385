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


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long records are kept. What was summed up from them is kept for good."""

    days: int
    """Whole UTC days before the present one."""
    interval_s: float = 86_400.0
    """Between two looks for records whose time is over."""
    batch_size: int = 1000
    """Records deleted in one transaction, where they are deleted and not dropped by the month."""


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

    async def maintain(self, now: float, retention: Retention | None) -> bool:
        """Does one short step of the upkeep that is due, such as dropping old records; whether more may be due.

        `now`: epoch seconds. Raises `StoreUnavailable`.
        """
        ...
