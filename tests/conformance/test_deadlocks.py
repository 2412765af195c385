"""Replicas that add to the same sums in any order never deadlock each other.

`TOLLWAY_TEST_UPDATES=1000000` makes it a million updates of sums instead of some thousands.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import asyncpg
from tests.support.databases import migrated_database
from tests.support.records import NOON, make_record

from tollway.core.record import Charge, Record
from tollway.db.engine import open_engine
from tollway.db.pool import PoolSettings
from tollway.stores.sql.ledger import SqlLedgerStore
from tollway.stores.sql.spend import SqlSpendReader

UPDATES = int(os.environ.get("TOLLWAY_TEST_UPDATES", "40000"))
REPLICAS = 4
BATCH = 500
KEYS, TEAMS, CUSTOMERS = 300, 20, 50
KINDS = ("api_key", "user", "team", "organization", "end_user")
"""Of the windows that each record adds to: so many updates does a record stand for."""


def records_of(replica: int) -> Iterator[list[Record]]:
    """Batches of one replica: every id in an order of its own."""
    random = Random(replica)
    count = UPDATES // (REPLICAS * len(KINDS))
    for start in range(0, count, BATCH):
        yield [record_of(random) for _ in range(min(BATCH, count - start))]


def record_of(random: Random) -> Record:
    key, team, customer = random.randrange(KEYS), random.randrange(TEAMS), random.randrange(CUSTOMERS)
    ids = (f"key-{key}", f"user-{key % 40}", f"team-{team}", f"org-{team % 3}", f"customer-{customer}")
    charges = [Charge(kind, one, 0) for kind, one in zip(KINDS, ids, strict=True)]
    random.shuffle(charges)
    return make_record(
        NOON + random.randrange(86_400_000_000),
        key_hash=ids[0],
        user_id=ids[1],
        team_id=ids[2],
        organization_id=ids[3],
        end_user=ids[4],
        cost_nanos=random.randrange(1, 1000),
        charges=tuple(charges),
    )


async def test_replicas_with_shuffled_ids_never_deadlock_and_every_update_counts(tmp_path: Path) -> None:
    expected: Counter[Charge] = Counter()
    async with migrated_database("postgres", tmp_path) as url:
        before = await deadlocks(url)

        async def replica(number: int) -> None:
            engine = open_engine(url, pool=PoolSettings(size=2, answer_timeout_s=60))
            store = SqlLedgerStore(engine)
            for batch in records_of(number):
                assert await store.insert(batch) == len(batch)
                for record in batch:
                    expected.update(dict.fromkeys(record.charges, record.cost_nanos))
            await engine.dispose()

        await asyncio.gather(*map(replica, range(REPLICAS)))
        engine = open_engine(url)
        charges = list(expected)
        assert await SqlSpendReader(engine).window_spend(charges) == [expected[charge] for charge in charges]
        await engine.dispose()
        assert await deadlocks(url) == before


async def deadlocks(url: str) -> int:
    """How many the server has ever seen in this database."""
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        return count
    finally:
        await connection.close()
