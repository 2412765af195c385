"""Rows of one table as structs: what every repository starts from. Nothing commits here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Table, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.pagination import Page
from tollway.core.errors import ClientError
from tollway.stores.sql.limited import from_row

S = TypeVar("S", bound=msgspec.Struct)


class Rows(Generic[S]):
    """One table through one connection, and so in one transaction. Fields of the struct are columns of the table."""

    def __init__(self, connection: AsyncConnection, table: Table, kind: type[S]) -> None:
        """`kind`: the struct of a row. The table's primary key is the key here."""
        self.connection = connection
        self.table = table
        self._kind = kind
        self._key = list(table.primary_key.columns)
        self._names = [name for name in kind.__struct_fields__ if name in table.columns]

    async def find(self, *key: str) -> S | None:
        """The row with this primary key."""
        return await self.first(self._is(key))

    async def first(self, *conditions: ColumnElement[bool]) -> S | None:
        """Some row that meets the conditions."""
        row = (await self.connection.execute(select(self.table).where(*conditions).limit(1))).first()
        return from_row(self._kind, row) if row else None

    async def all(
        self, *conditions: ColumnElement[bool], order: Sequence[ColumnElement[Any]] = (), limit: int | None = None
    ) -> list[S]:
        """Rows that meet the conditions, by default in order of the primary key."""
        query = select(self.table).where(*conditions).order_by(*(order or self._key)).limit(limit)
        return [from_row(self._kind, row) for row in await self.connection.execute(query)]

    async def page(
        self, *conditions: ColumnElement[bool], page: Page, order: Sequence[ColumnElement[Any]] = ()
    ) -> tuple[list[S], int]:
        """One page of the rows that meet the conditions, and how many there are."""
        query = select(self.table).where(*conditions).order_by(*order, *self._key)
        rows = await self.connection.execute(query.limit(page.size).offset(page.offset))
        return [from_row(self._kind, row) for row in rows], await self.count(*conditions)

    async def count(self, *conditions: ColumnElement[bool]) -> int:
        """How many rows meet the conditions."""
        query = select(func.count()).select_from(self.table).where(*conditions)
        return (await self.connection.execute(query)).scalar_one()

    async def insert(self, row: S) -> None:
        """Adds a row. Raises SQLAlchemy's `IntegrityError` if its key, or something else unique, is taken."""
        await self.connection.execute(insert(self.table).values(**self._values(row)))

    async def add(self, row: S, *, taken: ClientError) -> None:
        """Adds a row. Raises `taken` if its key, or something else unique, is."""
        try:
            await self.insert(row)
        except IntegrityError as error:
            raise taken from error

    async def replace(self, row: S) -> None:
        """Writes all of a row over the one with its primary key."""
        key = tuple(getattr(row, column.name) for column in self._key)
        await self.connection.execute(update(self.table).where(self._is(key)).values(**self._values(row)))

    async def delete(self, *conditions: ColumnElement[bool]) -> int:
        """Removes rows; how many."""
        return (await self.connection.execute(delete(self.table).where(*conditions))).rowcount

    def _is(self, key: Iterable[str]) -> ColumnElement[bool]:
        return and_(*(column == value for column, value in zip(self._key, key, strict=True)))

    def _values(self, row: S) -> dict[str, Any]:
        return {name: getattr(row, name) for name in self._names}
