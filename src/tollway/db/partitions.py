"""Partitions of the ledger on Postgres: one a month, made ahead of time.

Months, because a query that time does not narrow down (the record of a call's id) locks every partition and every index
of each. A server has about 6,400 places for such locks unless told otherwise: days would fill them in a year, months
leave room for decades.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from sqlalchemy import column, func, select, table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql.compiler import DDLCompiler
from sqlalchemy.sql.expression import Select

LEDGER, DEFAULT = "ledger", "ledger_default"

_MICROS_PER_DAY = 86_400_000_000
_NAME = re.compile(r"ledger_(before_)?([0-9]{4})_([0-9]{2})")
_EPOCH = date(1970, 1, 1)


class Partition(msgspec.Struct, frozen=True, order=True):
    """A table with a part of the ledger's rows, told by the moments at which they started: epoch microseconds."""

    first: int
    """Inclusive; 0 for one that has everything before `end`."""
    end: int
    """Exclusive."""
    name: str


def is_described(name: str | None, kind: str, _parents: Any) -> bool:
    """Whether a table of the database is one that the code describes, or ought to: partitions are the database's."""
    return kind != "table" or name is None or (name != DEFAULT and partition_of(name) is None)


def partition_of(name: str) -> Partition | None:
    """What a partition of this name holds; None for any other table."""
    written = _NAME.fullmatch(name)
    if written is None:
        return None
    is_all_before, month = written[1], date(int(written[2]), int(written[3]), 1)
    return Partition(0, micros_of(month), name) if is_all_before else partition_for(month)


def partition_for(month: date) -> Partition:
    """The partition of the month that begins on this day."""
    return Partition(micros_of(month), micros_of(months_after(month, 1)), f"ledger_{month:%Y_%m}")


def month_of(now: float) -> date:
    """The first day of the month in UTC. `now`: epoch seconds."""
    return datetime.fromtimestamp(now, UTC).date().replace(day=1)


def months_after(month: date, count: int) -> date:
    """The first day of another month."""
    years, months = divmod(month.month - 1 + count, 12)
    return date(month.year + years, months + 1, 1)


def micros_of(day: date) -> int:
    """Midnight in UTC, as epoch microseconds."""
    return (day - _EPOCH).days * _MICROS_PER_DAY


def select_partition_names() -> Select[Any]:
    """Names of all partitions of the ledger, in no order."""
    inherits = table("pg_inherits", column("inhrelid"), column("inhparent")).alias("i")
    part, whole = _classes("part"), _classes("whole")
    namespaces = table("pg_namespace", column("oid"), column("nspname")).alias("n")
    return (
        select(part.c.relname)
        .select_from(inherits.join(part, part.c.oid == inherits.c.inhrelid))
        .join(whole, whole.c.oid == inherits.c.inhparent)
        .join(namespaces, namespaces.c.oid == whole.c.relnamespace)
        .where(whole.c.relname == LEDGER, namespaces.c.nspname == func.current_schema())
    )


def _classes(name: str) -> Any:
    return table("pg_class", column("oid"), column("relname"), column("relnamespace")).alias(name)


class MakeTableForPartition(ExecutableDDLElement):
    """An empty table with the ledger's columns and indices, not attached yet: nobody waits while it is made."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition


class AttachPartition(ExecutableDDLElement):
    """Makes the table a partition. Waits for whoever reads the default partition, and reads that one itself."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition


@compiles(MakeTableForPartition, "postgresql")
def _make_table(element: MakeTableForPartition, compiler: DDLCompiler, **_: Any) -> str:
    name = compiler.preparer.quote(element.partition.name)
    return f"CREATE TABLE {name} (LIKE {LEDGER} INCLUDING DEFAULTS INCLUDING INDEXES)"


@compiles(AttachPartition, "postgresql")
def _attach(element: AttachPartition, compiler: DDLCompiler, **_: Any) -> str:
    partition = element.partition
    name = compiler.preparer.quote(partition.name)
    return f"ALTER TABLE {LEDGER} ATTACH PARTITION {name} FOR VALUES FROM ({partition.first:d}) TO ({partition.end:d})"
