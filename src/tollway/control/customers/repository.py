"""Every query of `/customer/*`. Nothing commits here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tollway.control.kit.rows import Rows
from tollway.db.customers import customers
from tollway.stores.sql.customers import add_missing
from tollway.stores.sql.rows import Customer


class CustomerRepository(Rows[Customer]):
    """Customers through one connection, and so in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, customers, Customer)

    async def find_all(self, ids: Iterable[str]) -> dict[str, Customer]:
        """Customers by id; unknown ones are left out."""
        return {one.customer_id: one for one in await self.all(customers.c.customer_id.in_(list(ids)))}

    async def ensure(self, ids: Iterable[str], *, at: datetime, by: str) -> None:
        """Makes those of these customers who do not exist."""
        await add_missing(self.connection, dict.fromkeys(ids, at), created_by=by)

    async def blocked_ids(self, *, limit: int) -> list[str]:
        """Who is blocked, in order of id."""
        query = select(customers.c.customer_id).where(customers.c.is_blocked).order_by(customers.c.customer_id)
        return list((await self.connection.execute(query.limit(limit))).scalars())
