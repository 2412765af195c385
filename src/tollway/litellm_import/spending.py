"""What was spent: history as records of the ledger, and what counts in budgets as adjustments of their windows.

A record of history is charged to no window: LiteLLM's own counters say what counts now, and are carried over as they
are. What was carried earlier is known from the ledger, so that a later import brings the difference.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from tollway.core.ids import hash_key, new_record_id
from tollway.core.money import dollars_from_nanos, nanos_from_dollars
from tollway.core.principal import Scope
from tollway.core.record import Charge, Record
from tollway.core.usage import Usage
from tollway.core.windows import Window, stored_window
from tollway.db.engine import reading
from tollway.db.ledger import ledger
from tollway.litellm_import.report import Note
from tollway.litellm_import.source import Row
from tollway.litellm_import.target import Target
from tollway.stores.sql.history import PastMonths
from tollway.stores.sql.ledger import SqlLedgerStore

CARRIED = "litellm-spend-"
"""Ids of adjustments that carry a counter over begin so."""
_LOGGED = "litellm-log-"
_SUMMED = "litellm-day-"
_ENDED = "was spent in a window that is over"
_AMOUNT = "is no amount of dollars"
_MOST_NANOS = 2**63 - 1


class Carried(NamedTuple):
    """A counter of LiteLLM's."""

    scope: Scope
    dollars: Any
    resets_at: datetime | None = None
    """When LiteLLM would have set it to nothing."""
    key_hash: str = ""
    user_id: str = ""
    team_id: str = ""
    """Whose it is, for the record."""


class Clock(NamedTuple):
    """When it is, and when windows begin."""

    now: float
    """Epoch seconds."""
    timezone: str = "UTC"
    reset_time: str = "00:00"

    @classmethod
    def of(cls, timezone: str, reset_time: str) -> Clock:
        """Now."""
        return cls(time.time(), timezone, reset_time)

    def window(self, duration: str | None) -> Window:
        """The budget window that calls count in now."""
        return stored_window(duration, self.now, timezone=self.timezone, reset_time=self.reset_time)


class Spending:
    """Writes records into the ledger of a target."""

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._store = SqlLedgerStore(target.engine)
        self._months = PastMonths(target.engine)
        self._carried: dict[Charge, int] | None = None
        self.carried_nanos = 0
        """By this import."""

    async def carry(self, counters: Sequence[Carried], notes: Mapping[str, list[Note]]) -> int:
        """Makes each counter's window have what LiteLLM's has; how many had not.

        `notes`: by the scope's id, where to remark.
        """
        if self._carried is None:
            self._carried = await self._earlier()
        records = []
        for counter in counters:
            remarks = notes.get(counter.scope.id, [])
            nanos = self._owed(counter, remarks)
            span = self._clock.window(counter.scope.budget_duration)
            charge = Charge(*counter.scope.key, span.start)
            delta = nanos - self._carried.get(charge, 0)
            if delta:
                self._carried[charge] = nanos
                self.carried_nanos += delta
                records.append(self._adjustment(charge, delta, counter))
        if not self._target.is_rehearsal:
            await self._store.insert(records)
        return len(records)

    async def add_history(self, records: Sequence[Record]) -> list[bool]:
        """Adds records that are not there yet; which of them were new."""
        known = await self._known(records)
        new = [record for record in records if (record.started_at, record.record_id) not in known]
        if not self._target.is_rehearsal:
            await self._months.provide(record.started_at for record in new)
            await self._store.insert(new)
        return [(record.started_at, record.record_id) not in known for record in records]

    def _owed(self, counter: Carried, remarks: list[Note]) -> int:
        nanos = _nanos(counter.dollars, remarks)
        if nanos and counter.resets_at is not None and counter.resets_at.timestamp() <= self._clock.now:
            remarks.append(Note("spend", _ENDED))
            return 0
        return nanos

    def _adjustment(self, charge: Charge, nanos: int, counter: Carried) -> Record:
        now = self._clock.now
        cause = {
            "changed_by": "import-litellm",
            "scope": charge.scope_kind,
            "id": charge.scope_id,
            "carried": dollars_from_nanos(nanos),
        }
        return Record(
            record_id=f"{CARRIED}{new_record_id(int(now * 1e3))}",
            kind="adjustment",
            started_at=int(now * 1e6),
            ended_at=int(now * 1e6),
            cost_nanos=nanos,
            metadata=msgspec.json.encode(cause),
            charges=(charge,),
            key_hash=counter.key_hash,
            user_id=counter.user_id,
            team_id=counter.team_id,
        )

    async def _earlier(self) -> dict[Charge, int]:
        query = select(ledger.c.charges, ledger.c.cost_nanos).where(
            ledger.c.kind == "adjustment", ledger.c.record_id.startswith(CARRIED)
        )
        found: dict[Charge, int] = {}
        for engine in self._target.looked_into:
            async with reading(engine) as connection, connection.stream(query) as rows:
                async for charges, nanos in rows:
                    charge = Charge(*charges[0])
                    found[charge] = found.get(charge, 0) + nanos
        return found

    async def _known(self, records: Sequence[Record]) -> set[tuple[int, str]]:
        """Imported records of the time that these are of: they come in order, so it is a short one."""
        found: set[tuple[int, str]] = set()
        if not records:
            return found
        moments = [record.started_at for record in records]
        query = select(*ledger.primary_key).where(
            ledger.c.started_at.between(min(moments), max(moments)), ledger.c.kind == "import"
        )
        for engine in self._target.looked_into:
            async with reading(engine) as connection:
                found |= {tuple(row) for row in await connection.execute(query)}
        return found


def record_of_log(row: Row, notes: list[Note]) -> Record | None:
    """A row of the spend logs as a record; None, with a remark, where it cannot be one."""
    started, metadata = row.get("startTime"), _object(row.get("metadata"))
    if started is None:
        notes.append(Note("startTime", "is missing"))
        return None
    nanos = _nanos(row.get("spend"), notes)
    is_cached = str(row.get("cache_hit")).lower() == "true"
    error = _object(metadata.get("error_information"))
    is_success = (row.get("status") or metadata.get("status") or "success") == "success"
    request_id = str(row["request_id"])
    return Record(
        record_id=f"{_LOGGED}{request_id}",
        kind="import",
        started_at=_micros(started),
        ended_at=max(_micros(row.get("endTime") or started), _micros(started)),
        first_token_at=_micros(row["completionStartTime"]) if row.get("completionStartTime") else 0,
        call_id=_text(row, "litellm_call_id") or request_id,
        response_id=request_id,
        call_type=_text(row, "call_type"),
        is_success=is_success,
        key_hash=hash_of(_text(row, "api_key")),
        key_alias=str(metadata.get("user_api_key_alias") or ""),
        user_id=_text(row, "user"),
        team_id=_text(row, "team_id"),
        organization_id=_text(row, "organization_id"),
        end_user=_text(row, "end_user"),
        model=_text(row, "model"),
        model_group=_text(row, "model_group"),
        model_id=_text(row, "model_id"),
        provider=_text(row, "custom_llm_provider"),
        api_base=_text(row, "api_base"),
        usage=_usage(row, _cached_tokens(metadata)),
        cost_nanos=nanos,
        tags=_tags(row.get("request_tags")),
        session_id=_text(row, "session_id"),
        client_ip=_text(row, "requester_ip_address"),
        metadata=_caller_metadata(metadata),
        status_code=200 if is_success else _status(error.get("error_code")),
        error_class=str(error.get("error_class") or ""),
        error_message=str(error.get("error_message") or ""),
        is_cached=is_cached,
    )


class Owner(NamedTuple):
    """What a key belongs to today."""

    team_id: str = ""
    organization_id: str = ""


def record_of_day(row: Row, owner: Owner, notes: list[Note]) -> Record | None:
    """A daily sum as one record at noon; None, with a remark, where its day is none."""
    try:
        day = datetime.strptime(_text(row, "date"), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        notes.append(Note("date", "is no day"))
        return None
    cached = _count(row.get("cache_read_input_tokens")), _count(row.get("cache_creation_input_tokens"))
    noon = _micros(day + timedelta(hours=12))
    return Record(
        record_id=f"{_SUMMED}{row['id']}",
        kind="import",
        started_at=noon,
        ended_at=noon,
        key_hash=hash_of(_text(row, "api_key")),
        user_id=_text(row, "user_id"),
        model=_text(row, "model"),
        model_group=_text(row, "model_group"),
        provider=_text(row, "custom_llm_provider"),
        usage=_usage(row, cached),
        cost_nanos=_nanos(row.get("spend"), notes),
        team_id=owner.team_id,
        organization_id=owner.organization_id,
    )


def _usage(row: Row, cached: tuple[int, int]) -> Usage:
    prompt = max(0, int(row.get("prompt_tokens") or 0))
    read = min(max(0, cached[0]), prompt)
    return Usage(
        input_tokens=prompt,
        cache_read_tokens=read,
        cache_write_tokens=min(max(0, cached[1]), prompt - read),
        output_tokens=max(0, int(row.get("completion_tokens") or 0)),
    )


def _cached_tokens(metadata: Mapping[str, Any]) -> tuple[int, int]:
    usage = _object(metadata.get("usage_object") or metadata.get("additional_usage_values"))
    details = _object(usage.get("prompt_tokens_details"))
    read = usage.get("cache_read_input_tokens") or details.get("cached_tokens")
    return _count(read), _count(usage.get("cache_creation_input_tokens"))


def _nanos(dollars: Any, notes: list[Note]) -> int:
    try:
        nanos = nanos_from_dollars(dollars or 0)
    except (ValueError, ArithmeticError):
        nanos = _MOST_NANOS + 1
    if abs(nanos) <= _MOST_NANOS:
        return nanos
    notes.append(Note("spend", _AMOUNT))
    return 0


def _caller_metadata(metadata: Mapping[str, Any]) -> bytes:
    """What the caller sent, and not what LiteLLM added."""
    own = {**_object(metadata.get("requester_metadata")), **_object(metadata.get("spend_logs_metadata"))}
    return msgspec.json.encode(own) if own else b""


def _tags(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in value if isinstance(one, str))) if isinstance(value, list) else ()


def _status(code: Any) -> int:
    text = str(code)
    return int(text) if text.isdecimal() and len(text) == 3 else 500


def hash_of(token: str) -> str:
    """The hash of a key; some old rows have the key itself."""
    return hash_key(token) if token.startswith("sk-") else token


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    return "" if value is None else str(value)


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)
