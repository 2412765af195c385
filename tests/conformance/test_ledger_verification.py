"""What `tollway ledger verify` must find, on every database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.databases import DATABASES, migrated_database
from tests.support.records import KEY, NOON, make_record
from tests.support.rows import store as store_row

from tollway.app.ledger_check import Checked, verify
from tollway.core.errors import Misconfigured
from tollway.core.record import Charge
from tollway.db.access_groups import model_access_group_budgets
from tollway.db.engine import open_engine, writing
from tollway.db.ledger import daily_totals, daily_usage, ledger, spend_windows
from tollway.db.migrate import migrate
from tollway.db.url import sqlite_url
from tollway.ports.ledger import Retention
from tollway.ports.verification import Verification
from tollway.stores.sql.ledger import SqlLedgerStore
from tollway.stores.sql.rows import (
    Budget,
    Customer,
    Organization,
    OrganizationMember,
    Project,
    Tag,
    Team,
    TeamMember,
    User,
)
from tollway.stores.sql.spend import SqlSpendReader
from tollway.stores.sql.virtual_key import VirtualKey

DAY = 86_400_000_000
EVE, NEW_YEAR = date(2025, 12, 31), date(2026, 1, 1)


class Setup:
    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: AsyncEngine = open_engine(url)
        self.store = SqlLedgerStore(self.engine)

    async def verify(self, **options: Any) -> Verification:
        found, _ = await verify(Checked(url=self.url), **options)
        return found

    async def change(self, statement: Any) -> None:
        async with writing(self.engine) as connection:
            await connection.execute(statement)


@pytest.fixture(params=DATABASES)
async def setup(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Setup]:
    async with migrated_database(request.param, tmp_path) as url:
        setup = Setup(url)
        yield setup
        await setup.engine.dispose()


def differing(found: Verification) -> dict[str, int]:
    return {check.table: check.differing for check in found.tables}


AGREES = {"spend_windows": 0, "daily_usage": 0, "daily_totals": 0}


async def test_an_empty_ledger_agrees(setup: Setup) -> None:
    found = await setup.verify()
    assert (found.records, found.agrees, differing(found)) == (0, True, AGREES)


async def test_sums_that_follow_from_the_records_agree(setup: Setup) -> None:
    names = ("", "a", "Z", "ä", "_", "😀", "b a")
    written = [
        make_record(
            NOON - n * 11 * 3_600_000_000,
            key_hash=names[n % 7],
            team_id=names[n % 5],
            user_id=names[n % 6],
            end_user=names[n % 4],
            model_id=names[n % 3],
            tags=(names[n % 7], "t"),
            kind=("call", "call", "adjustment", "import")[n % 4],
            is_success=n % 3 != 0,
            cost_nanos=n * 1000 - 3,
            charges=(Charge("api_key", names[n % 7], 0), Charge("user", names[n % 6], 1_767_225_600)),
        )
        for n in range(60)
    ]
    await setup.store.insert(written)
    seen: list[tuple[int, int]] = []
    found = await setup.verify(progress=lambda count, at: seen.append((count, at)))
    assert (found.records, found.agrees, differing(found)) == (60, True, AGREES)
    assert seen == [(60, NOON)]
    assert all(check.rows > 0 for check in found.tables)


@pytest.mark.parametrize("table", [spend_windows, daily_usage, daily_totals], ids=lambda table: str(table.name))
async def test_a_sum_that_was_changed_is_found_and_repaired(setup: Setup, table: Any) -> None:
    await setup.store.insert([make_record(NOON + n) for n in range(3)])
    await setup.change(update(table).values(spend_nanos=table.c.spend_nanos + 5))
    found = await setup.verify()
    (check,) = [check for check in found.tables if check.differing]
    assert (check.table, check.differing, found.agrees) == (table.name, check.rows, False)
    assert check.differences[0].stored == {"spend_nanos": 180_005}
    assert check.differences[0].replayed == {"spend_nanos": 180_000}
    _, repaired = await verify(Checked(url=setup.url), repair=lambda _: True)
    assert repaired == {table.name: check.rows}
    assert (await setup.verify()).agrees


async def test_lost_and_made_up_rows_are_found_and_repaired(setup: Setup) -> None:
    await setup.store.insert([make_record(NOON + n, end_user="eve") for n in range(3)])
    await setup.change(delete(spend_windows).where(spend_windows.c.scope_kind == "user"))
    await setup.change(
        insert(spend_windows).values(scope_kind="team", scope_id="x", window_start=0, spend_nanos=9, records=1)
    )
    await setup.change(delete(daily_totals))
    found = await setup.verify()
    assert differing(found) == {
        "spend_windows": 2,
        "daily_usage": 0,
        "daily_totals": next(check.rows for check in found.tables if check.table == "daily_totals"),
    }
    await verify(Checked(url=setup.url), repair=lambda _: True)
    again = await setup.verify()
    assert (again.agrees, again.tables[0].rows) == (True, 2)


async def test_a_record_that_was_deleted_by_hand_is_missed_everywhere(setup: Setup) -> None:
    lost, kept = make_record(NOON), make_record(NOON + 1)
    await setup.store.insert([lost, kept])
    await setup.change(delete(ledger).where(ledger.c.record_id == lost.record_id))
    assert all(differing(await setup.verify()).values())


async def test_what_arrives_during_a_repair_stays_counted(setup: Setup) -> None:
    await setup.store.insert([make_record(NOON)])
    await setup.change(update(spend_windows).values(spend_nanos=7))
    late = [make_record(NOON + 1)]
    arrived = False

    def agree(_: Verification) -> bool:
        nonlocal arrived
        arrived = True
        return True

    async def while_counters_are_read() -> AsyncIterator[tuple[Charge, int]]:
        await setup.store.insert(late)
        yield Charge("api_key", KEY, 0), 60_000

    found, _ = await verify(Checked(url=setup.url), counters=while_counters_are_read(), repair=agree)
    assert (arrived, found.records, found.counters and found.counters.differing) == (True, 1, 0)
    assert await SqlSpendReader(setup.engine).window_spend([Charge("api_key", KEY, 0)]) == [120_000]
    assert (await setup.verify()).agrees


async def test_a_live_counter_that_differs_is_found(setup: Setup) -> None:
    await setup.store.insert([make_record()])

    async def counters() -> AsyncIterator[tuple[Charge, int]]:
        yield Charge("api_key", KEY, 0), 60_001
        yield Charge("team", "unknown", 0), 0

    found = await setup.verify(counters=counters())
    assert found.counters is not None
    assert (found.counters.rows, found.counters.differing, found.agrees) == (2, 1, False)
    assert found.counters.differences[0].stored == {"spend_nanos": 60_001}


async def test_only_the_days_asked_for_are_compared(setup: Setup) -> None:
    await setup.store.insert([make_record(NOON + n * DAY) for n in range(-20, 20)])
    await setup.change(update(daily_usage).where(daily_usage.c.day == "2025-12-31").values(calls=9))
    assert (await setup.verify(since=NEW_YEAR)).agrees
    assert not (await setup.verify(since=EVE, until=EVE)).agrees
    assert (await setup.verify(until=date(2025, 12, 30))).agrees
    found = await setup.verify(since=NEW_YEAR, until=date(2026, 1, 3))
    assert (found.records, found.since, found.until) == (3, NEW_YEAR, date(2026, 1, 3))


async def test_windows_known_in_part_need_only_be_as_many_records(setup: Setup) -> None:
    await setup.store.insert([make_record(NOON + n * DAY) for n in range(3)])
    found = await setup.verify(since=date(2026, 1, 2))
    assert (found.agrees, found.tables[0].rows, found.tables[0].parts) == (True, 0, 2)
    await setup.change(update(spend_windows).values(records=1))
    found = await setup.verify(since=date(2026, 1, 2))
    assert (found.agrees, found.tables[0].differences[0].is_part) == (False, True)


async def test_what_retention_dropped_is_not_missed(setup: Setup) -> None:
    charges = (Charge("api_key", KEY, 0),)
    await setup.store.insert([make_record(NOON + n * DAY, charges=charges) for n in range(-40, 3)])
    now = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
    while await setup.store.maintain(now, Retention(days=10, batch_size=10)):
        pass
    found = await setup.verify()
    assert (found.dropped_before, found.since) == (date(2025, 12, 26), date(2025, 12, 26))
    assert (found.records, found.agrees) == (9, True)
    assert (await setup.verify(since=date(2025, 12, 1))).since == date(2025, 12, 26)
    await setup.change(update(daily_totals).where(daily_totals.c.day == "2025-12-27").values(calls=9))
    assert differing(await setup.verify())["daily_totals"] > 0


async def test_every_budget_is_compared_with_what_was_spent_of_it(setup: Setup) -> None:
    budgets = {"within": 100_000, "one-call": 59_999, "over": 29_999}
    for name, limit in budgets.items():
        await store_row(setup.engine, Team, team_id=name, max_budget_nanos=limit)
    costs = {"within": [60_000], "one-call": [59_998, 60_000], "over": [30_000, 1, 29_999, 29_000]}
    for name, nanos in costs.items():
        charge = Charge("team", name, 0)
        await setup.store.insert(
            [make_record(NOON + n, cost_nanos=one, charges=(charge,)) for n, one in enumerate(nanos)]
        )
    found = await setup.verify()
    verdicts = {use.scope_id: use.verdict for use in found.budgets.listed}
    assert verdicts == {"within": "within", "one-call": "within one call", "over": "over"}
    assert (found.budgets.budgets, found.budgets.over, found.agrees) == (3, 1, False)
    assert (await setup.verify(since=NEW_YEAR)).budgets.unproven == 1


async def test_what_no_budget_holds_back_does_not_count_against_it(setup: Setup) -> None:
    await store_row(setup.engine, User, user_id="ada", max_budget_nanos=10)
    await setup.store.insert(
        [
            make_record(NOON, cost_nanos=500, team_id="red", charges=(Charge("user", "ada", 0),)),
            make_record(NOON + 1, cost_nanos=9, charges=(Charge("user", "ada", 0),)),
            make_record(NOON + 2, cost_nanos=900, kind="adjustment", charges=(Charge("user", "ada", 0),)),
        ]
    )
    (use,) = (await setup.verify()).budgets.listed
    assert (use.spent_nanos, use.dearest_nanos, use.unlimited_nanos) == (1409, 9, 1400)
    assert use.verdict == "within one call"


async def test_everything_that_can_have_a_budget_is_looked_at(setup: Setup) -> None:
    engine = setup.engine
    soon = datetime.now(UTC) + timedelta(days=1)
    model_budget = {"model_max_budget": {"gpt-4o": 4e-9}}
    await store_row(engine, Budget, budget_id="linked", max_budget_nanos=1, **model_budget)
    await store_row(engine, Budget, budget_id="default", max_budget_nanos=2)
    await store_row(
        engine, Budget, budget_id="raised", max_budget_nanos=3, temp_budget_increase_nanos=10, temp_budget_expiry=soon
    )
    windows = {"budget_limits": [{"budget_duration": "1d", "max_budget": 5e-9}]}
    await store_row(engine, VirtualKey, key_hash="a" * 64, spend_id="a" * 64, budget_id="linked")
    raise_of_key = {"temp_budget_increase": 1e-9, "temp_budget_expiry": soon.isoformat()}
    await store_row(
        engine,
        VirtualKey,
        key_hash="b" * 64,
        spend_id="c" * 64,
        max_budget_nanos=6,
        metadata=raise_of_key,
        options=windows | model_budget,
    )
    await store_row(engine, User, user_id="ada", max_budget_nanos=7, options=model_budget)
    await store_row(engine, Team, team_id="red", max_budget_nanos=8, options=windows, member_budget_id="default")
    await store_row(engine, TeamMember, team_id="red", user_id="ada", role="user")
    await store_row(engine, TeamMember, team_id="red", user_id="bob", role="user", budget_id="raised")
    await store_row(engine, Organization, organization_id="acme", budget_id="linked")
    await store_row(engine, OrganizationMember, organization_id="acme", user_id="ada", budget_id="default")
    await store_row(engine, Project, project_id="search", budget_id="default")
    await store_row(engine, Customer, customer_id="eve")
    await store_row(engine, Tag, name="night", budget_id="raised")
    await setup.change(
        insert(model_access_group_budgets).values(name="large", budget_id="default", created_at=soon, updated_at=soon)
    )
    found, _ = await verify(Checked(url=setup.url, customer_budget_id="default"))
    assert {(use.scope_kind, use.scope_id): use.limit_nanos for use in found.budgets.listed} == {
        ("api_key", "a" * 64): 1,
        ("model_per_key", f"{'a' * 64}:gpt-4o"): 4,
        ("api_key", "c" * 64): 7,
        ("key_window", f"{'c' * 64}:1d"): 5,
        ("model_per_key", f"{'c' * 64}:gpt-4o"): 4,
        ("user", "ada"): 7,
        ("model_per_user", "ada:gpt-4o"): 4,
        ("team", "red"): 8,
        ("team_window", "red:1d"): 5,
        ("team_member", "red:ada"): 2,
        ("team_member", "red:bob"): 13,
        ("organization", "acme"): 1,
        ("model_per_organization", "acme:gpt-4o"): 4,
        ("organization_member", "acme:ada"): 2,
        ("project", "search"): 2,
        ("end_user", "eve"): 2,
        ("tag", "night"): 13,
        ("model_access_group", "large"): 2,
    }


async def test_a_database_without_a_ledger_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="has no ledger"):
        await verify(Checked(url=sqlite_url(tmp_path / "none.db")))
    await migrate(sqlite_url(tmp_path / "old.db"), to="0006")
    with pytest.raises(Misconfigured, match="tollway db upgrade"):
        await verify(Checked(url=sqlite_url(tmp_path / "old.db")))
