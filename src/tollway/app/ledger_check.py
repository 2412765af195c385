"""Checks of the ledger from outside a gateway: against itself, and against what a provider says."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tollway.accounting.provider_export import Export
from tollway.accounting.reconciliation import Reconciliation, Tolerance, reconcile
from tollway.app.settings import database_url, with_settings_of_database
from tollway.config.load import load
from tollway.core.errors import Misconfigured, StoreUnavailable
from tollway.core.record import Charge
from tollway.core.redis import RedisAddress
from tollway.db.pool import PoolSettings
from tollway.db.upgrade import current_revision
from tollway.db.url import mask_url
from tollway.ports.spend import Days
from tollway.ports.verification import Verification

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tollway.stores.sql.verification import Progress

_WITH_HORIZON = "0007"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Which ledger, and what the configuration says about its budgets."""

    url: str
    timezone: str = "UTC"
    reset_time: str = "00:00"
    customer_budget_id: str | None = None
    redis: RedisAddress | None = None
    """Where live counters are; None: they are not compared."""


async def find_ledger(
    config: Path | None, url: str | None, environ: Mapping[str, str], *, with_counters: bool = False
) -> Checked:
    """The ledger at an address; without one, that of a configuration. With both, budgets are the configuration's.

    `with_counters`: and the live counters of the configuration's Redis.
    Raises `ConfigurationError`, `StoreUnavailable`.
    """
    if url is not None and config is None and not with_counters:
        return Checked(url=url)
    flags = {} if url is None else {"database_url": url}
    configuration = await with_settings_of_database(load(config, flags=flags, environ=environ))
    settings = configuration.data_plane
    return Checked(
        url=database_url(configuration),
        timezone=settings.timezone,
        reset_time=settings.budget_reset_time,
        customer_budget_id=settings.end_user_budget_id,
        redis=configuration.server.redis if with_counters else None,
    )


async def verify(
    checked: Checked,
    *,
    since: date | None = None,
    until: date | None = None,
    progress: Progress = lambda _count, _at: None,
    counters: AsyncIterable[tuple[Charge, int]] | None = None,
    repair: Callable[[Verification], bool] = lambda _found: False,
) -> tuple[Verification, Mapping[str, int]]:
    """Proves that sums and budgets follow from the records, or says which do not; and the rows repaired, by table.

    `since`, `until`: days in UTC, both included. `counters`: what live counters have as settled in a window, where they
    are not those of `checked`. `repair`: asked when sums differ; where it agrees, they are made to follow from the
    records. Raises `StoreUnavailable`, or `Misconfigured` where there is no ledger that can be checked.
    """
    from tollway.stores.sql.budgeted import BudgetRules
    from tollway.stores.sql.verification import TABLES, verifying

    rules = BudgetRules(
        now=time.time(),
        timezone=checked.timezone,
        reset_time=checked.reset_time,
        customer_budget_id=checked.customer_budget_id,
    )
    async with (
        _live_counters(checked.redis, counters) as read,
        ledger_engine(checked.url) as engine,
        verifying(engine, since=since, until=until) as verifier,
    ):
        records = await verifier.replay(progress)
        found = Verification(
            records=records,
            since=verifier.since,
            until=until,
            dropped_before=verifier.dropped_before,
            tables=[await verifier.compare(table) for table in TABLES],
            budgets=await verifier.check_budgets(rules),
            counters=None if read is None else await verifier.compare_counters(read()),
        )
        differing = {check.table for check in found.tables if check.differing}
        if not differing or not repair(found):
            return found, {}
        return found, {table.name: await verifier.repair(table) for table in TABLES if table.name in differing}


@asynccontextmanager
async def _live_counters(
    address: RedisAddress | None, given: AsyncIterable[tuple[Charge, int]] | None
) -> AsyncIterator[Callable[[], AsyncIterable[tuple[Charge, int]]] | None]:
    """Reads the live counters, has every gateway bring its records to the ledger, and gives what reads them again.

    That leaves out windows in which something was settled between: the others have to agree with the ledger, which is
    replayed meanwhile, to the nano-dollar.
    """
    if address is None:
        yield None if given is None else lambda: given
        return
    from redis.exceptions import RedisError

    from tollway.stores.redis.live import LiveCounters

    live = LiveCounters(address)

    async def unmoved() -> AsyncIterator[tuple[Charge, int]]:
        after = await live.settled()
        for charge, nanos in before.items():
            if after.get(charge) == nanos:
                yield charge, nanos

    try:
        before = await live.settled()
        await live.everyone_flushes()
        yield unmoved
    except RedisError as error:
        raise StoreUnavailable("The shared Redis cannot be reached, so live counters cannot be compared.") from error
    finally:
        await live.close()


async def reconcile_with(
    checked: Checked, export: Export, tolerance: Tolerance, *, provider: str | None, days: Days
) -> tuple[Reconciliation, date | None]:
    """Compares an export with the ledger, day by day and model by model; and the day before which unpriced calls are
    not known any more. `provider`: whose models, as the ledger calls it; None: the export's, or everybody's.

    Raises `StoreUnavailable`, `Misconfigured`.
    """
    from tollway.stores.sql.reconciled import gateway_lines

    async with ledger_engine(checked.url) as engine:
        lines, known_from = await gateway_lines(engine, days, provider or export.provider or None)
    told = [line for line in export.lines if days.first <= line.day <= days.last]
    return reconcile(lines, told, tolerance), known_from


@asynccontextmanager
async def ledger_engine(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine that waits for answers as long as they take. Raises `StoreUnavailable`, `Misconfigured`."""
    revision = await current_revision(url)
    if revision is None or revision < _WITH_HORIZON:
        state = "has no ledger" if revision is None else f"has the schema of an older version ({revision})"
        raise Misconfigured(f"database {mask_url(url)} {state}; run `tollway db upgrade`", param="database_url")
    from tollway.db.engine import open_engine

    engine = open_engine(url, pool=PoolSettings(size=2, answer_timeout_s=None))
    try:
        yield engine
    finally:
        await engine.dispose()
