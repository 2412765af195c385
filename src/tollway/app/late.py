"""Heavy parts, made when they are first needed: the database, and the transport through proxies.

SQLAlchemy takes a third of a second to import; a call with the master key, or with a key that was used before, does not
need it. So the gateway listens first, and whoever needs the database waits for it here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec
from typing_extensions import override

from tollway.core.errors import Misconfigured, StoreUnavailable
from tollway.core.health import Checked
from tollway.core.principal import Entity, Principal
from tollway.core.record import Charge, Record
from tollway.db import upgrade
from tollway.db.outages import unavailable
from tollway.db.pool import PoolSettings
from tollway.ports.changes import ChangeLog
from tollway.ports.conversations import ConversationStore, StoredResponse
from tollway.ports.entities import EntityKind, EntityStore
from tollway.ports.health import CheckFilter, HealthStore
from tollway.ports.keys import KeyStore
from tollway.ports.ledger import LedgerStore, Retention, WindowSum
from tollway.ports.models import ModelStore, Stored
from tollway.ports.responses import AnswerTable, SealedAnswer
from tollway.ports.transport import Transport, UpstreamRequest, UpstreamResponse

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tollway.stores.sql.changes import SqlChangeLog
    from tollway.stores.sql.conversations import SqlConversationStore
    from tollway.stores.sql.entities import SqlEntityStore
    from tollway.stores.sql.health import SqlHealthStore
    from tollway.stores.sql.keys import SqlKeyStore
    from tollway.stores.sql.ledger import SqlLedgerStore
    from tollway.stores.sql.models import SqlModelStore
    from tollway.stores.sql.responses import SqlAnswerTable
    from tollway.stores.sql.spend import SqlSpendReader


logger = logging.getLogger(__name__)

_PROBE_S = 0.4
"""For opening it, and again for its answer: together less than the second in which Kubernetes wants to know."""
_GOODBYE_S = 2.0
_UPGRADE_AGAIN_S = 5.0
"""A schema that cannot be upgraded is for the operator to mend; until then, not every call need try."""


class Opened(msgspec.Struct, frozen=True):
    """An open database and the stores on it."""

    engine: AsyncEngine
    keys: SqlKeyStore
    entities: SqlEntityStore
    health: SqlHealthStore
    ledger: SqlLedgerStore
    models: SqlModelStore
    spend: SqlSpendReader
    conversations: SqlConversationStore
    answers: SqlAnswerTable
    changes: SqlChangeLog
    newest_change: int
    """The newest change before anything was read."""


class Database:
    """One database: brought to this version's schema at start, opened once, when somebody needs it."""

    def __init__(self, url: str, pool: PoolSettings) -> None:
        self.url = url
        self._pool = pool
        self._opening: asyncio.Task[Opened] | None = None
        self._keep_failure_until = 0.0
        self.was_opened = False
        """Whether it could ever be reached."""

    async def opened(self) -> Opened:
        """The open database. Raises `StoreUnavailable` while it cannot be opened; the next caller tries anew."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        except StoreUnavailable:
            if self._opening is opening and time.monotonic() >= self._keep_failure_until:
                self._opening = None
            raise

    async def engine(self) -> AsyncEngine:
        """Its connections. Raises `StoreUnavailable` while it cannot be opened."""
        return (await self.opened()).engine

    async def change_log(self) -> tuple[ChangeLog, int]:
        """The log of changes, and the newest of them before anything was read. Raises `StoreUnavailable`."""
        opened = await self.opened()
        return opened.changes, opened.newest_change

    async def state(self) -> Literal["connected", "disconnected"]:
        """Whether the database answers, for readiness."""
        try:
            async with asyncio.timeout(_PROBE_S):
                opened = await self.opened()
            from tollway.db.engine import reading

            async with reading(opened.engine, within_s=_PROBE_S) as connection:
                await connection.exec_driver_sql("SELECT 1")
        except (StoreUnavailable, TimeoutError):
            return "disconnected"
        return "connected"

    async def close(self) -> None:
        """Closes every connection."""
        if self._opening is None:
            return
        try:
            opened = await self._opening
        except StoreUnavailable:
            return
        with suppress(TimeoutError):  # a server that hangs does not say goodbye
            await asyncio.wait_for(opened.engine.dispose(), _GOODBYE_S)

    async def _open(self) -> Opened:
        try:
            await upgrade.upgrade(self.url)
        except Misconfigured as error:
            logger.error("%s", error.message)
            self._keep_failure_until = time.monotonic() + _UPGRADE_AGAIN_S
            raise unavailable(error) from error
        await asyncio.to_thread(import_stores)
        from tollway.db.engine import open_engine
        from tollway.stores.sql.changes import SqlChangeLog
        from tollway.stores.sql.conversations import SqlConversationStore
        from tollway.stores.sql.entities import SqlEntityStore
        from tollway.stores.sql.health import SqlHealthStore
        from tollway.stores.sql.keys import SqlKeyStore
        from tollway.stores.sql.ledger import SqlLedgerStore
        from tollway.stores.sql.models import SqlModelStore
        from tollway.stores.sql.responses import SqlAnswerTable
        from tollway.stores.sql.spend import SqlSpendReader

        engine = open_engine(self.url, pool=self._pool)
        changes = SqlChangeLog(engine)
        try:
            newest_change = await changes.latest()
        except StoreUnavailable:
            await engine.dispose()
            raise
        self.was_opened = True
        return Opened(
            engine=engine,
            keys=SqlKeyStore(engine),
            entities=SqlEntityStore(engine),
            health=SqlHealthStore(engine),
            ledger=SqlLedgerStore(engine),
            models=SqlModelStore(engine),
            spend=SqlSpendReader(engine),
            conversations=SqlConversationStore(engine),
            answers=SqlAnswerTable(engine),
            changes=changes,
            newest_change=newest_change,
        )


def import_stores() -> None:
    """Takes long enough to be felt by calls in flight: to be called in a thread, or before there are any."""
    import tollway.stores.sql.changes
    import tollway.stores.sql.conversations
    import tollway.stores.sql.entities
    import tollway.stores.sql.health
    import tollway.stores.sql.keys
    import tollway.stores.sql.ledger
    import tollway.stores.sql.models
    import tollway.stores.sql.responses
    import tollway.stores.sql.spend  # noqa: F401


class LateKeyStore(KeyStore):
    """`KeyStore` of a database that may not be open yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def find(self, key_hash: str) -> Principal | None:
        return await (await self._database.opened()).keys.find(key_hash)


class LateEntityStore(EntityStore):
    """`EntityStore` of a database that may not be open yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def find_entity(self, kind: EntityKind, id: str, *, default_budget_id: str | None = None) -> Entity | None:
        entities = (await self._database.opened()).entities
        return await entities.find_entity(kind, id, default_budget_id=default_budget_id)


class LateHealthStore(HealthStore):
    """`HealthStore` of a database that may not be open yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, results: Sequence[Checked]) -> None:
        await (await self._database.opened()).health.add(results)

    @override
    async def latest(self) -> list[Checked]:
        return await (await self._database.opened()).health.latest()

    @override
    async def page(self, matching: CheckFilter, *, limit: int, offset: int) -> tuple[list[Checked], int]:
        return await (await self._database.opened()).health.page(matching, limit=limit, offset=offset)

    @override
    async def forget(self, *, before_us: int) -> None:
        await (await self._database.opened()).health.forget(before_us=before_us)


class LateLedgerStore(LedgerStore):
    """`LedgerStore` of a database that may not be open yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def insert(self, records: Sequence[Record]) -> int:
        return await (await self._database.opened()).ledger.insert(records)

    @override
    async def window_sums(self, charges: Sequence[Charge]) -> list[WindowSum]:
        return await (await self._database.opened()).ledger.window_sums(charges)

    @override
    async def maintain(self, now: float, retention: Retention | None) -> bool:
        return await (await self._database.opened()).ledger.maintain(now, retention)


class LateModelStore(ModelStore):
    """`ModelStore` of a database that may not be open yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def load(self) -> Stored:
        return await (await self._database.opened()).models.load()


class LateConversationStore(ConversationStore):
    """`ConversationStore` of a database that may not be open yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, responses: Sequence[StoredResponse]) -> None:
        await (await self._database.opened()).conversations.add(responses)

    @override
    async def chain(self, id: str, owner: str | None, *, now: int, longest: int) -> list[StoredResponse]:
        return await (await self._database.opened()).conversations.chain(id, owner, now=now, longest=longest)

    @override
    async def delete(self, id: str, owner: str | None, *, now: int) -> bool:
        return await (await self._database.opened()).conversations.delete(id, owner, now=now)


class LateAnswerTable(AnswerTable):
    """`AnswerTable` of a database that may not be open yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def find(self, digests: Sequence[bytes], *, now: int) -> Mapping[bytes, bytes]:
        return await (await self._database.opened()).answers.find(digests, now=now)

    @override
    async def write(self, answers: Sequence[SealedAnswer]) -> None:
        await (await self._database.opened()).answers.write(answers)

    @override
    async def delete(self, digests: Sequence[bytes]) -> int:
        return await (await self._database.opened()).answers.delete(digests)

    @override
    async def clear(self) -> None:
        await (await self._database.opened()).answers.clear()

    @override
    async def trim(self, max_bytes: int) -> bool:
        return await (await self._database.opened()).answers.trim(max_bytes)


class LateProxiedTransport(Transport):
    """The transport through proxies; its library takes a quarter of a second to import."""

    def __init__(self, certificate: str | None) -> None:
        self._certificate = certificate
        self._transport: Transport | None = None

    @override
    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        if self._transport is None:
            self._transport = await asyncio.to_thread(_proxied_transport, self._certificate)
        return await self._transport.send(request)

    @override
    async def close(self) -> None:
        if self._transport is not None:
            await self._transport.close()


def _proxied_transport(certificate: str | None) -> Transport:
    from tollway.upstream.proxied import ProxiedTransport

    return ProxiedTransport(certificate=certificate)
