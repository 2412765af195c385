"""What is shown, what the ledger sums up and what counters enforce is one number: for every kind of entity, over 400
days, across changes of the clocks and ends of months, whatever restarts, downtime and manual resets come in between.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast, get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.clock import FakeClock
from tests.support.databases import DATABASES, open_database
from tests.support.management import PRICES, make_snapshot
from tests.support.records import make_record

from tollway.accounting.journal import FileJournal
from tollway.accounting.ledger import Ledger
from tollway.control.kit.actor import Actor
from tollway.control.kit.context import Context
from tollway.control.kit.spending import set_spend, spent_nanos, window_of
from tollway.control.services import Services
from tollway.core.errors import BudgetExceeded, LimitExceeded
from tollway.core.principal import Principal, Scope, ScopeKind
from tollway.db.engine import writing
from tollway.db.tables import metadata
from tollway.policy.limits import admit
from tollway.ports.counters import Ticket
from tollway.ports.spend import RecordFilter
from tollway.stores.memory.counters import MemoryCounterStore
from tollway.stores.sql.keys import SqlKeyStore
from tollway.stores.sql.ledger import SqlLedgerStore
from tollway.stores.sql.spend import SqlSpendReader

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
FIRST_DAY = date(2025, 12, 1)
DAYS = 400
DURATIONS = ("1d", "30d", "7d", None, "1h", "1mo", "2d", "10d", "2w", "daily", "weekly", "monthly", "5h")
MONDAY = date(2024, 1, 1)

T = TypeVar("T")


def _midnight(day: date, zone: ZoneInfo) -> float:
    return datetime.combine(day, time(0), zone).timestamp()


def window_starts(duration: str | None, now: float, zone: ZoneInfo) -> float:
    """When the window that `now` lies in began, worked out on a wall calendar, as a person would."""
    today = datetime.fromtimestamp(now, zone).date()
    match duration:
        case None:
            return 0
        case "1h" | "5h":
            hours = int(duration.removesuffix("h")) * 3600
            midnight = _midnight(today, zone)
            return midnight + (now - midnight) // hours * hours
        case "1d" | "daily":
            return _midnight(today, zone)
        case "7d" | "weekly":
            return _midnight(today - timedelta(days=today.weekday()), zone)
        case "30d" | "1mo" | "monthly":
            return _midnight(today.replace(day=1), zone)
        case _:
            days = {"2d": 2, "10d": 10, "2w": 14}[duration]
            return _midnight(today - timedelta(days=(today - MONDAY).days % days), zone)


def turning_points(zone: ZoneInfo) -> list[float]:
    """Every change of the clocks, and the first midnight of every week and month."""
    points = []
    for number in range(DAYS + 1):
        day = FIRST_DAY + timedelta(days=number)
        start, end = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
        if day.day == 1 or day.weekday() == 0:
            points.append(start)
        offset = datetime.fromtimestamp(start, zone).utcoffset()
        for half_hours in range(1, int(end - start) // 1800 + 1):
            changed = datetime.fromtimestamp(start + half_hours * 1800, zone).utcoffset()
            if changed != offset:
                points.append(start + half_hours * 1800)
                offset = changed
    return points


class World:
    """One gateway in one zone, and a book in which every cent is written down by hand."""

    def __init__(self, engine: AsyncEngine, folder: Path, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self.clock = FakeClock(_midnight(FIRST_DAY, self.zone) + 12 * 3600)
        self.scopes = [
            Scope(kind=kind, id=f"{kind}-1", label=kind, budget_duration=DURATIONS[number % len(DURATIONS)])
            for number, kind in enumerate(get_args(ScopeKind))
        ]
        self.book: list[tuple[float, dict[tuple[str, str], int]]] = []
        self._engine = engine
        self._folder = folder
        self._zone_name = zone
        self.store = SqlLedgerStore(engine)
        self._open()

    def _open(self) -> None:
        self.counters = MemoryCounterStore(self.clock, timezone=self._zone_name)
        self.journal = FileJournal(self._folder)
        self.ledger = Ledger(self.journal, self.store, self.counters, self.clock)
        snapshot = make_snapshot(timezone=self._zone_name)
        never: Any = None
        self.services = Services(
            engine=self._engine,
            keys=SqlKeyStore(self._engine),
            ledger=self.ledger,
            spend=SqlSpendReader(self._engine),
            authenticate=never,
            changed=never,
            told_by="this-process",
            clock=self.clock,
            prices=PRICES,
            snapshot=lambda: snapshot,
            configuration=never,
            lendable=never,
            sealer=never,
            policies=never,
            try_settings=never,
        )

    async def begin(self, scopes: list[Scope]) -> Ticket:
        """Admits a call."""
        settings_in_force = self.services.settings
        return await admit(self.counters, self.ledger.seed, scopes, tokens=0, cost_nanos=0, settings=settings_in_force)

    async def end(self, ticket: Ticket, nanos: int) -> None:
        """Settles it and writes it down."""
        settled = await self.counters.settle(ticket, tokens=0, cost_nanos=nanos)
        at = int(self.clock() * 1e6)
        await self.journal.append(make_record(at, cost_nanos=nanos, charges=settled.charges))
        self.book.append((self.clock(), {(one.scope_kind, one.scope_id): nanos for one in settled.charges}))

    async def call(self, nanos: int) -> None:
        """A whole call that touches everything."""
        await self.end(await self.begin(self.scopes), nanos)

    async def reset(self, scope: Scope, nanos: int) -> None:
        """Sets what an entity has spent, as an operator does."""
        context = Context(
            services=self.services,
            actor=Actor(principal=Principal(key_hash="operator", is_admin=True)),
            now_s=self.clock(),
        )
        before = await set_spend(context, scope, nanos)
        self.book.append((self.clock(), {scope.key: nanos - before}))

    async def restart(self, *, is_clean: bool, downtime_s: float) -> None:
        """Stops, properly or by a crash, and starts again some time later. Calls in flight are lost."""
        if is_clean:
            await self.ledger.close()
        else:
            self.journal.close()
        self.clock.advance(downtime_s)
        self._open()
        await self.ledger.replay()

    async def grow_idle(self) -> None:
        """Lets counters that nobody asked for be forgotten."""
        self.clock.advance(700)
        await self.ledger.flush()
        await self.counters.forget_idle(self.clock() - 600)

    def expected(self, scope: Scope) -> int:
        """What the book says was spent in the window."""
        start = window_starts(scope.budget_duration, self.clock(), self.zone)
        in_window = itertools.takewhile(lambda entry: entry[0] >= start, reversed(self.book))
        return sum(amounts.get(scope.key, 0) for _, amounts in in_window)

    async def check_enforced(self) -> None:
        """Counters refuse at exactly what was spent, and not a nano-dollar later."""
        for scope in self.scopes:
            spent = self.expected(scope)
            for limit in (spent, spent + 1):
                probe = msgspec.structs.replace(scope, budget_nanos=limit)
                is_refused = False
                try:
                    ticket = await self.begin([probe])
                    await self.counters.settle(ticket, tokens=0, cost_nanos=0)
                except (BudgetExceeded, LimitExceeded):  # the second: of a session
                    is_refused = True
                assert is_refused == (limit == spent), (scope, spent, await self.counters.spent(scope))
            assert await self.counters.spent(scope) == spent

    async def check_shown(self) -> None:
        """What is shown is what the rows of the ledger add up to, which is what the book says."""
        shown = await spent_nanos(self.services, self.scopes)
        assert shown == [self.expected(scope) for scope in self.scopes]
        rows = await self.services.spend.list_records(RecordFilter(), limit=10_000)
        for scope, nanos in zip(self.scopes, shown, strict=True):
            start, end = window_of(self.services, scope.budget_duration)
            in_window = [
                row.cost_nanos
                for row in rows
                if start * 1e6 <= row.started_at < end * 1e6
                and any((charge.scope_kind, charge.scope_id) == scope.key for charge in row.charges)
            ]
            assert sum(in_window) == nanos, scope

    async def close(self) -> None:
        """Looks a last time."""
        await self.check_shown()
        await self.ledger.close()


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(request.param, tmp_path) as engine:
        yield engine


@pytest.mark.parametrize(
    ("engine", "zone"), [*(("sqlite", zone) for zone in ZONES), ("postgres", ZONES[-1])], indirect=["engine"]
)
async def test_400_days_in_a_row(zone: str, engine: AsyncEngine, tmp_path: Path) -> None:
    world = World(engine, tmp_path / "journal", zone)
    dice = random.Random(zone)
    points = turning_points(world.zone)
    daily = [_midnight(FIRST_DAY + timedelta(days=number), world.zone) for number in range(1, DAYS)]
    moments = sorted({point + shift for point in points for shift in (-1, 0)} | {one + 40_000 for one in daily})
    for number, moment in enumerate(moments):
        if moment < world.clock():
            continue  # the gateway was down
        world.clock.now = moment
        await world.check_enforced()
        await world.call(dice.randrange(1, 10**9))
        if number % 9 == 0:
            await world.reset(dice.choice(world.scopes), dice.randrange(10**9))
        if number % 31 == 0:
            await world.restart(is_clean=dice.random() < 0.5, downtime_s=dice.choice([0, 3600, 5 * 86_400]))
        if number % 60 == 0:
            await world.check_shown()
    assert (world.clock() - _midnight(FIRST_DAY, world.zone)) // 86_400 >= DAYS - 1
    await world.close()


async def _empty(engine: AsyncEngine) -> None:
    async with writing(engine) as connection:
        for table in metadata.tables.values():
            await connection.execute(delete(table))


class Budgets(RuleBasedStateMachine):
    """Any order of events. A subclass says where."""

    runner: asyncio.Runner
    engine: AsyncEngine
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self._tickets: list[Ticket] = []

    def _run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    @initialize(zone=st.sampled_from(ZONES))
    def open(self, zone: str) -> None:
        # Hypothesis seeds what ids are made of, so that each example would meet the records of the one before.
        self._run(_empty(self.engine))
        self.world = World(self.engine, self.folder, zone)
        self._last_moment = _midnight(FIRST_DAY + timedelta(days=DAYS), self.world.zone)
        self._points = turning_points(self.world.zone)

    @rule(nanos=st.integers(0, 10**9))
    def call(self, nanos: int) -> None:
        self._run(self.world.call(nanos))

    @rule()
    def begin_call(self) -> None:
        self._tickets.append(self._run(self.world.begin(self.world.scopes)))

    @precondition(lambda self: self._tickets)
    @rule(nanos=st.integers(0, 10**9))
    def end_call(self, nanos: int) -> None:
        self._run(self.world.end(self._tickets.pop(0), nanos))

    @precondition(lambda self: self.world.clock() < self._last_moment)
    @rule(seconds=st.sampled_from([1, 3599, 7 * 3600, 86_400, 3 * 86_400, 13 * 86_400, 31 * 86_400]))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @precondition(lambda self: self.world.clock() < self._points[-1] - 1)
    @rule(shift=st.sampled_from([-1, 0]), skipped=st.integers(0, 4))
    def wait_for_a_turning_point(self, shift: int, skipped: int) -> None:
        coming = [point for point in self._points if point + shift > self.world.clock()]
        self.world.clock.now = coming[min(skipped, len(coming) - 1)] + shift

    @rule(index=st.integers(0, len(get_args(ScopeKind)) - 1), nanos=st.sampled_from([0, 1, 10**8]))
    def reset(self, index: int, nanos: int) -> None:
        self._run(self.world.reset(self.world.scopes[index], nanos))

    @rule(is_clean=st.booleans(), downtime_s=st.sampled_from([0, 60, 86_400, 10 * 86_400]))
    def restart(self, is_clean: bool, downtime_s: float) -> None:
        self._tickets.clear()
        self._run(self.world.restart(is_clean=is_clean, downtime_s=downtime_s))

    @rule()
    def grow_idle(self) -> None:
        self._run(self.world.grow_idle())

    @rule()
    def look(self) -> None:
        self._run(self.world.check_shown())

    @invariant()
    def is_enforced(self) -> None:
        self._run(self.world.check_enforced())

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self._run(self.world.close())


@pytest.mark.parametrize("database", DATABASES)
def test_whatever_happens_in_whatever_order(database: str, tmp_path: Path) -> None:
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        opened = runner.run(cast("Any", stack.enter_async_context(open_database(database, tmp_path))))
        try:
            where = {"runner": runner, "engine": opened, "folder": tmp_path / "journal"}
            run_state_machine_as_test(
                type("BudgetsHere", (Budgets,), where),
                settings=settings(
                    max_examples=10, stateful_step_count=25, deadline=None, phases=[Phase.reuse, Phase.generate]
                ),
            )
        finally:
            runner.run(stack.aclose())


def test_the_calendar_has_what_it_is_about() -> None:
    for zone in ZONES:
        points = turning_points(ZoneInfo(zone))
        offsets = {datetime.fromtimestamp(point, ZoneInfo(zone)).utcoffset() for point in points}
        firsts = [one for one in (datetime.fromtimestamp(point, ZoneInfo(zone)) for point in points) if one.day == 1]
        assert (len(offsets), len({one.date() for one in firsts})) == (2, 14)
    assert datetime.fromtimestamp(window_starts("1h", 0, ZoneInfo("UTC")), UTC).year == 1970
