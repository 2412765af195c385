"""What checks of the ledger find: whether sums, budgets and counters follow from the records, and what it says about
each model, to be compared with what a provider says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

import msgspec

Verdict = Literal["within", "within one call", "over", "unproven"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A sum that does not follow from the records."""

    table: str
    key: Mapping[str, str | int]
    """Which row: the columns of the table's primary key."""
    stored: Mapping[str, int]
    """Those of its sums that differ; 0 where there is no such row."""
    replayed: Mapping[str, int]
    """The same, made anew from the records."""
    is_part: bool = False
    """Some of its records are not in what was replayed: it has to be at least the sum of the others, and is not."""


class TableCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of one table."""

    table: str
    rows: int
    """That were compared to the letter."""
    parts: int
    """Rows some of whose records were not replayed: these need only be as many records as were."""
    differing: int
    differences: Sequence[Difference]
    """The first of them."""


class BudgetUse(msgspec.Struct, frozen=True, kw_only=True):
    """One budget in its present window. Money is nano-dollars."""

    scope_kind: str
    scope_id: str
    window_start: int
    """Epoch seconds; 0: it never resets."""
    limit_nanos: int
    spent_nanos: int
    dearest_nanos: int
    """The dearest single record of the window."""
    unlimited_nanos: int
    """What no budget holds back: adjustments, imports, and for a user's budget the calls of team keys."""
    is_whole: bool
    """Every record of the window was replayed."""

    @property
    def verdict(self) -> Verdict:
        """Whether the promise holds: spend <= limit + one call."""
        if self.spent_nanos <= self.limit_nanos:
            return "within"
        if self.spent_nanos - self.unlimited_nanos <= self.limit_nanos + self.dearest_nanos:
            return "within one call"
        return "over" if self.is_whole else "unproven"


class BudgetCheck(msgspec.Struct, frozen=True, kw_only=True):
    """All budgets."""

    budgets: int
    over: int
    unproven: int
    listed: Sequence[BudgetUse]
    """Those that are over or unproven first, then the most used."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a check found."""

    records: int
    """How many were replayed."""
    since: date | None
    """First day that was replayed; None: from the beginning."""
    until: date | None
    """Last day that was replayed; None: up to the newest record."""
    dropped_before: date | None
    """Records that started before this day are no longer there; None: all are."""
    tables: Sequence[TableCheck]
    budgets: BudgetCheck
    counters: TableCheck | None
    """Live counters; None: they were not looked at."""

    @property
    def agrees(self) -> bool:
        """Whether everything that could be checked follows from the records."""
        checks = [*self.tables, *([self.counters] if self.counters else [])]
        return not self.budgets.over and not any(check.differing for check in checks)


class GatewayLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says about one day (UTC) and one model, as the provider calls it."""

    day: date
    model: str
    spend_nanos: int
    calls: int
    input_tokens: int
    output_tokens: int
    unpriced_calls: int = 0
    """Calls of a model that nobody said the price of: they cost nothing here, and something there."""
