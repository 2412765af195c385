"""Reading the ledger: records, and what was spent by day and by whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal, Protocol

import msgspec

from tollway.core.record import Charge, Record, RecordKind
from tollway.core.usage import NO_USAGE, Usage

Dimension = Literal[
    "key",
    "user",
    "team",
    "organization",
    "project",
    "end_user",
    "tag",
    "deployment",
    "all",
    "any_team",
    "any_organization",
    "any_end_user",
    "any_tag",
]
"""Kinds of entities that usage is summed for. Calls of no team count for team `""`, calls without a key for key `""`;
the other dimensions leave out calls that have no such entity.

`all` and those that begin with `any` have one entity, `""`: every call; every call of some team, …, counted once.
"""

BY_WEEK: tuple[Dimension, ...] = ("key", "end_user")
"""Dimensions of many entities: their totals are also kept by week, for questions about all of them over a long time."""

Owner = Literal["user_id", "team_id", "organization_id", "project_id"]
"""Whose a key was when it called. Known in the dimension `key`; `""` in all others."""

Sum = Literal["spend_nanos", "calls", "failures", "rate_limited", "input_tokens", "output_tokens"]
"""Sums that can be asked for by themselves: adding up less is faster."""
MONEY: tuple[Sum, ...] = ("spend_nanos", "calls")

TotalColumn = Literal["day", "entity"] | Owner
UsageColumn = TotalColumn | Literal["model_group", "model", "provider", "call_type"]


class Days(msgspec.Struct, frozen=True):
    """UTC days, both included."""

    first: date
    last: date


class RecordFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records: all that match every field given. Names of text fields are those of `Record`."""

    started_from: int | None = None
    """Epoch microseconds, inclusive."""
    started_before: int | None = None
    """Epoch microseconds, exclusive."""
    before: tuple[int, str] | None = None
    """Start and id of a record: only older ones, to go on where a listing ended."""
    any_id: str | None = None
    """The response's id or the call's."""
    kind: RecordKind | None = None
    with_adjustments: bool = True
    key_hashes: tuple[str, ...] | None = None
    """Any of these."""
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    end_user: str | None = None
    session_id: str | None = None
    is_success: bool | None = None
    is_cached: bool | None = None
    model: str | None = None
    model_group: str | None = None
    model_id: str | None = None
    provider: str | None = None
    error_class: str | None = None
    error_text: str | None = None
    """Part of the error's message, in any case."""
    status_code: int | None = None
    min_cost_nanos: int | None = None
    max_cost_nanos: int | None = None


RecordSort = Literal["started_at", "ended_at", "cost_nanos", "total_tokens", "duration", "model", "time_to_first_token"]


class RecordPage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the records that match."""

    records: list[Record]
    total: int
    """How many match, as far as was looked."""
    is_complete: bool
    """False: more may match among older records that were not looked at, because no index finds them."""


class SpendSum(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Calls and imports, summed. Manual adjustments are no usage and are not in here."""

    group: tuple[str, ...] = ()
    """Values of the columns that were asked for, in their order."""
    spend_nanos: int = 0
    calls: int = 0
    failures: int = 0
    rate_limited: int = 0
    """Failures with status 429."""
    usage: Usage = NO_USAGE
    """Prompt, cache and answer; audio and reasoning are not summed apart."""
    response_ms: int = 0
    """How long the timed calls took, together."""
    timed_calls: int = 0


UsageRow = tuple[str, str, str, int, int]
"""Day, entity and model; nano-dollars, and tokens of prompt and answer."""


class UsageReader(Protocol):
    """Sums over days. Every method raises `StoreUnavailable` when the database cannot answer."""

    async def sum_usage(
        self,
        days: Days | None,
        dimension: Dimension = "all",
        entities: Sequence[str] = ("",),
        *,
        by: Sequence[UsageColumn] = (),
        owners: Mapping[Owner, Sequence[str]] | None = None,
        models: str | None = None,
        only: Sequence[Sum] | None = None,
    ) -> list[SpendSum]:
        """Usage of some entities, dearest first unless by day; days None: ever. Without `by`, one sum over everything.

        `owners` (for keys): only while they belonged to these. `models`: only this model group or provider's model.
        `only`: leaves the other sums at 0.
        """
        ...

    async def sum_totals(
        self,
        days: Days,
        dimension: Dimension,
        *,
        by: Sequence[TotalColumn] = ("entity",),
        entities: Sequence[str] | None = None,
        owners: Mapping[Owner, Sequence[str]] | None = None,
        only: Sequence[Sum] | None = None,
        limit: int | None = None,
    ) -> list[SpendSum]:
        """Usage of all entities of a dimension, or of those given, all models together, dearest first unless by day."""
        ...


class SpendReader(UsageReader, Protocol):
    """The ledger as reports see it. Every method raises `StoreUnavailable` when the database cannot answer."""

    async def window_spend(self, charges: Sequence[Charge]) -> list[int]:
        """Nano-dollars spent in each of these windows."""
        ...

    async def list_records(
        self, matching: RecordFilter, *, limit: int, offset: int = 0, is_descending: bool = True
    ) -> list[Record]:
        """Newest first, or oldest first."""
        ...

    async def page_records(
        self,
        matching: RecordFilter,
        *,
        limit: int,
        offset: int = 0,
        sort_by: RecordSort = "started_at",
        is_descending: bool = True,
    ) -> RecordPage:
        """A page in any order. What no index finds is looked for among the newest records only."""
        ...

    async def count_calls(self, matching: RecordFilter) -> int:
        """Calls and imports of one entity, or of all, in a span of time. Reads an index: meant for less than a day."""
        ...

    async def last_calls(self, key_hashes: Sequence[str]) -> dict[str, int]:
        """When the last call of each key ended, in epoch microseconds; keys without calls are left out."""
        ...

    async def rank_end_users(self, matching: RecordFilter, *, limit: int) -> tuple[list[tuple[str, int, int]], bool]:
        """Customers of the newest matching records with calls and nano-dollars, dearest first; False: not of all."""
        ...

    async def sum_tagged(
        self,
        matching: RecordFilter,
        dimension: Literal["tag", "any_tag"],
        entities: Sequence[str] | None = None,
        *,
        by: Sequence[UsageColumn] = (),
        models: str | None = None,
    ) -> tuple[list[SpendSum], bool]:
        """Usage under tags by the newest matching records, dearest first unless by day; False: not of all.

        Sums are kept for each tag, not for each caller of a tag: this reads the records themselves, so `matching` names
        one user or some keys, and a span.
        """
        ...

    async def list_usage(self, days: Days, dimension: Dimension, entities: Sequence[str]) -> Sequence[UsageRow]:
        """Usage of some entities as it is kept, in no order; a model has a row for each group, provider and call type.

        Where nearly each of thousands of rows is a sum of its own, adding them up is less work than `sum_usage`.
        """
        ...

    async def list_entities(self, dimension: Dimension, *, limit: int) -> list[str]:
        """Entities that ever appeared in a call, in order of name."""
        ...
