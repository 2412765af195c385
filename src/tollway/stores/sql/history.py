"""Records of the past: they come all at once, from another database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncEngine

from tollway.db.engine import is_postgres, writing
from tollway.db.partitions import Partition, month_of, partition_for
from tollway.stores.sql.upkeep import list_partitions, make_partition


class PastMonths:
    """Partitions of the ledger for months that are over, made before their records come.

    Upkeep makes those of the months ahead. Without one, records would gather in the default partition, and stay there.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._known: list[Partition] | None = None

    async def provide(self, moments: Iterable[int]) -> None:
        """Makes those that records of these moments (epoch microseconds) need. Nothing to do on SQLite."""
        if not is_postgres(self._engine):
            return
        for month in sorted({month_of(moment / 1e6) for moment in moments}):
            wanted = partition_for(month)
            if self._known is None or not _overlaps(self._known, wanted):
                self._known = await self._made(wanted)

    async def _made(self, wanted: Partition) -> list[Partition]:
        async with writing(self._engine) as connection:
            known = await list_partitions(connection)  # a gateway may have made it meanwhile
            if not _overlaps(known, wanted):
                await make_partition(connection, wanted)
                known.append(wanted)
            return known


def _overlaps(known: Iterable[Partition], wanted: Partition) -> bool:
    return any(one.first < wanted.end and wanted.first < one.end for one in known)
