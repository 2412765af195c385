"""Word of every change, written with the change itself: what other processes read to forget their copies."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from tollway.db.metadata import Micros, metadata

changes = Table(
    "changes",
    metadata,
    # Those who change something take turns, so that numbers grow in the order of commits.
    Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("object_id", Text, nullable=False),
    Column("told_by", String(32), nullable=False),  # the process that made it, and so knows it already
    Column("changed_at", Micros, nullable=False),
    sqlite_autoincrement=True,  # a number is never given twice, even after the rows were cleared away
)
Index(None, changes.c.changed_at)
