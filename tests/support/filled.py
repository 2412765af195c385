"""A database with something in every table and every column."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, Double, Integer, LargeBinary, Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.db.engine import reading, writing
from tollway.db.metadata import Timestamp
from tollway.stores.sql.copying import TABLES

_MOMENT = datetime(2026, 5, 17, 12, 30, 59, 123456, tzinfo=UTC)
_MICROS = int(_MOMENT.timestamp() * 1e6)
_MONTH_MICROS = 31 * 86_400_000_000


async def fill(engine: AsyncEngine, rows: int) -> None:
    """Puts so many rows into each table; every third has nothing where nothing may be."""
    async with writing(engine) as connection:
        for table in TABLES:
            count = 1 if table.name == "ledger_horizon" else rows
            await connection.execute(table.insert(), [_row(table, number) for number in range(1, count + 1)])


async def everything(engine: AsyncEngine) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    async with reading(engine) as connection:
        return {
            table.name: [
                tuple(row) for row in await connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in TABLES
        }


def _row(table: Table, number: int) -> dict[str, Any]:
    return {
        column.name: None if column.nullable and number % 3 == 0 else _value(column, number) for column in table.columns
    }


def _value(column: Column[Any], number: int) -> Any:
    match column.type:
        case Timestamp() | DateTime():
            return _MOMENT + timedelta(days=number)
        case JSON():
            return {"ключ": [number, 0.1, True, None, {"text": "smörgåsbord 🍋"}]}
        case Boolean():
            return number % 2 == 0
        case BigInteger() if column.name.endswith("_at"):
            return _MICROS + number * _MONTH_MICROS // 40
        case Double():
            return number / 7
        case BigInteger() | Integer():
            return number
        case LargeBinary():
            return bytes([number % 256, 0, 255]) * 3
        case _:
            return f"{number:05} {column.name}"[: getattr(column.type, "length", None) or 100]
