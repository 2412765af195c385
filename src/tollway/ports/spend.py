"""Reading the ledger: records, and what was spent by day and by whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal, Protocol

import msgspec

from tollway.core.record import Record, RecordKind
from tollway.core.usage import NO_USAGE, Usage

SpendColumn = Literal["key_hash", "model_group", "model", "provider", "user_id", "team_id", "end_user"]
"""What daily sums can be grouped and filtered by."""


class RecordFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records: all that match every field given. Names of text fields are those of `Record`."""

    started_from: int | None = None
    """Epoch microseconds, inclusive."""
    started_before: int | None = None
    """Epoch microseconds, exclusive."""
    any_id: str | None = None
    """The response's id or the call's."""
    kind: RecordKind | None = None
    key_hash: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    end_user: str | None = None
    model: str | None = None
    model_group: str | None = None
    model_id: str | None = None
    provider: str | None = None
    session_id: str | None = None
    error_class: str | None = None
    status_code: int | None = None
    is_success: bool | None = None
    min_cost_nanos: int | None = None
    max_cost_nanos: int | None = None


class SpendSum(msgspec.Struct, frozen=True, kw_only=True):
    """Calls and imports, summed. Manual adjustments are no usage and are not in here."""

    day: date | None = None
    """UTC; None where days were added up."""
    group: tuple[str, ...] = ()
    """Values of the columns that were asked for, in their order."""
    spend_nanos: int = 0
    calls: int = 0
    failures: int = 0
    usage: Usage = NO_USAGE


class SpendReader(Protocol):
    """The ledger as reports see it. Every method raises `StoreUnavailable` when the database cannot answer."""

    async def list_records(self, matching: RecordFilter, *, limit: int, offset: int = 0) -> list[Record]:
        """Newest first."""
        ...

    async def count_records(self, matching: RecordFilter) -> int:
        """How many there are."""
        ...

    async def sum_by_day(
        self, first: date, last: date, *, by: Sequence[SpendColumn] = (), where: dict[SpendColumn, str] | None = None
    ) -> list[SpendSum]:
        """Sums per UTC day and group, in order of day; both days included; days without calls are left out."""
        ...

    async def sum_by(
        self, first: date, last: date, *, by: Sequence[SpendColumn], where: dict[SpendColumn, str] | None = None
    ) -> list[SpendSum]:
        """Sums per group over all the days, dearest first."""
        ...

    async def total(self, first: date, last: date, *, where: dict[SpendColumn, str] | None = None) -> SpendSum:
        """One sum over all the days."""
        ...
