"""What the calls of each session add up to, kept in the transaction that adds them to the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, case, func
from sqlalchemy.dialects import postgresql, sqlite

from tollway.core.record import Record
from tollway.db.sessions import session_totals
from tollway.stores.sql.rollups import Values

_OWNERS = ("key_hash", "key_alias", "user_id", "team_id", "organization_id")
_SUMS = ("spend_nanos", "calls", "failures")


def session_rows(batch: Sequence[Record]) -> list[Values]:
    """Rows to add to `session_totals`, in the order of their keys. `batch`: in the order of time."""
    by_session: dict[tuple[str, str], list[Record]] = {}
    for record in batch:
        if record.session_id and record.kind == "call":
            by_session.setdefault((_spend_id(record), record.session_id), []).append(record)
    return [(*key, *_summed(by_session[key])) for key in sorted(by_session)]


def add_sessions(is_postgres: bool) -> postgresql.Insert | sqlite.Insert:
    """The statement that adds such a row."""
    dialect = postgresql if is_postgres else sqlite
    statement: postgresql.Insert | sqlite.Insert = dialect.insert(session_totals)
    new, old = statement.excluded, session_totals.c
    is_later = new.last_seen_at >= old.last_seen_at
    return statement.on_conflict_do_update(
        index_elements=list(session_totals.primary_key),
        set_={
            **{name: case((is_later, new[name]), else_=old[name]) for name in _OWNERS},
            **{name: old[name] + new[name] for name in _SUMS},
            "first_seen_at": _extreme(old.first_seen_at, new.first_seen_at, "min" if not is_postgres else "least"),
            "last_seen_at": _extreme(old.last_seen_at, new.last_seen_at, "max" if not is_postgres else "greatest"),
        },
    )


def _extreme(old: ColumnElement[int], new: ColumnElement[int], function: str) -> ColumnElement[int]:
    return getattr(func, function)(old, new)  # type: ignore[no-any-return]  # any name is a function to `func`


def _spend_id(record: Record) -> str:
    """What the key is counted under; the master key is charged nowhere and has one name for ever."""
    return next((charge.scope_id for charge in record.charges if charge.scope_kind == "api_key"), record.key_hash)


def _summed(calls: Iterable[Record]) -> Values:
    calls = tuple(calls)
    last = calls[-1]
    return (
        *(getattr(last, name) for name in _OWNERS),
        sum(call.cost_nanos for call in calls),
        len(calls),
        sum(not call.is_success for call in calls),
        min(call.started_at for call in calls),
        max(call.ended_at for call in calls),
    )
