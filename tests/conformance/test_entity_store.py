"""What every `EntityStore` must do, on every database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.clock import FakeClock
from tests.support.databases import DATABASES, open_database

from tollway.core.errors import StoreUnavailable
from tollway.core.principal import Entity, Scope
from tollway.db.access_groups import model_access_group_budgets
from tollway.db.budgets import budgets
from tollway.db.customers import customers
from tollway.db.engine import open_engine, writing
from tollway.db.tags import tags
from tollway.ports.entities import EntityKind, EntityStore
from tollway.stores.sql.entities import SqlEntityStore

NOW = datetime(2026, 1, 14, tzinfo=UTC)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW.timestamp())


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(request.param, tmp_path) as engine:
        yield engine


@pytest.fixture
def store(engine: AsyncEngine, clock: FakeClock) -> EntityStore:
    return SqlEntityStore(engine, clock=clock)


async def keep(engine: AsyncEngine, table: Table, **values: Any) -> None:
    """One row."""
    documents: dict[str, Any] = {"models": [], "options": {}, "model_max_budget": {}, "allowed_models": []}
    row = {name: value for name, value in documents.items() if name in table.c}
    async with writing(engine) as connection:
        await connection.execute(insert(table).values(row | {"created_at": NOW, "updated_at": NOW} | values))


async def test_an_end_user_without_a_row_has_no_limits(store: EntityStore) -> None:
    assert await store.find_entity("end_user", "ada") == Entity(
        scope=Scope(kind="end_user", id="ada", label="end_user"), is_known=False
    )


async def test_an_end_user_without_a_row_has_those_of_the_default_budget(
    engine: AsyncEngine, store: EntityStore
) -> None:
    await keep(
        engine,
        budgets,
        budget_id="free",
        max_budget_nanos=5,
        budget_duration="1d",
        rpm_limit=7,
        model_max_budget={"m": {"max_budget": 1, "budget_duration": "7d"}},
    )
    found = await store.find_entity("end_user", "ada", default_budget_id="free")
    assert found == Entity(
        scope=Scope(kind="end_user", id="ada", label="end_user", rpm=7, budget_nanos=5, budget_duration="1d"),
        model_scopes={
            "m": Scope(
                kind="model_per_end_user", id="ada:m", label="m", budget_nanos=1_000_000_000, budget_duration="7d"
            )
        },
        is_known=False,
        budget_id="free",
    )


async def test_a_default_budget_that_does_not_exist_is_remembered_by_name(store: EntityStore) -> None:
    found = await store.find_entity("end_user", "ada", default_budget_id="later")
    assert found is not None
    assert (found.scope.budget_nanos, found.budget_id) == (None, "later")


async def test_everything_known_about_an_end_user_comes_with_them(engine: AsyncEngine, store: EntityStore) -> None:
    await keep(engine, budgets, budget_id="b", tpm_limit=9, parallel_limit=2, soft_budget_nanos=3)
    await keep(
        engine, customers, customer_id="ada", is_blocked=True, default_model="m", models=["m", "n"], budget_id="b"
    )
    assert await store.find_entity("end_user", "ada", default_budget_id="free") == Entity(
        scope=Scope(kind="end_user", id="ada", label="end_user", tpm=9, parallel=2, soft_budget_nanos=3),
        models=frozenset({"m", "n"}),
        default_model="m",
        is_blocked=True,
        budget_id="b",
    )


async def test_an_end_user_with_a_row_but_no_budget_has_the_default_one(
    engine: AsyncEngine, store: EntityStore
) -> None:
    await keep(engine, budgets, budget_id="free", max_budget_nanos=5)
    await keep(engine, customers, customer_id="ada")
    found = await store.find_entity("end_user", "ada", default_budget_id="free")
    assert found is not None
    assert (found.scope.budget_nanos, found.is_known) == (5, True)


@pytest.mark.parametrize("kind", ["tag", "model_access_group"])
async def test_a_tag_or_group_without_a_row_is_none(kind: EntityKind, store: EntityStore) -> None:
    assert await store.find_entity(kind, "x") is None


@pytest.mark.parametrize(("kind", "table"), [("tag", tags), ("model_access_group", model_access_group_budgets)])
async def test_a_tag_or_group_has_the_limits_of_its_budget(
    kind: EntityKind, table: Table, engine: AsyncEngine, store: EntityStore
) -> None:
    await keep(engine, budgets, budget_id="b", max_budget_nanos=5, budget_duration="1d")
    await keep(engine, table, name="x", budget_id="b")
    scope = Scope(kind=kind, id="x", label=kind, budget_nanos=5, budget_duration="1d")
    assert await store.find_entity(kind, "x") == Entity(scope=scope, budget_id="b")


async def test_a_tag_without_a_budget_is_counted_and_not_limited(engine: AsyncEngine, store: EntityStore) -> None:
    await keep(engine, tags, name="x")
    assert await store.find_entity("tag", "x") == Entity(scope=Scope(kind="tag", id="x", label="tag"))


async def test_a_budget_is_larger_for_a_time(engine: AsyncEngine, store: EntityStore, clock: FakeClock) -> None:
    ends = NOW + timedelta(hours=1)
    await keep(
        engine,
        budgets,
        budget_id="b",
        max_budget_nanos=5,
        temp_budget_increase_nanos=2,
        temp_budget_expiry=ends,
    )
    await keep(engine, customers, customer_id="ada", budget_id="b")
    raised = await store.find_entity("end_user", "ada")
    assert raised is not None
    assert (raised.scope.budget_nanos, raised.valid_until) == (7, ends.timestamp())
    clock.advance(3600)
    over = await store.find_entity("end_user", "ada")
    assert over is not None
    assert (over.scope.budget_nanos, over.valid_until) == (5, None)


@pytest.mark.parametrize("id", ["'; DROP TABLE customers; --", "ünï 🐍", "a" * 1000, "%", "_", "a:b"])
async def test_any_text_is_an_id_and_nothing_more(id: str, engine: AsyncEngine, store: EntityStore) -> None:
    await keep(engine, customers, customer_id="other", is_blocked=True)
    await keep(engine, customers, customer_id=id, default_model="m")
    found = await store.find_entity("end_user", id)
    assert found is not None
    assert (found.scope.id, found.default_model, found.is_blocked) == (id, "m", False)


async def test_an_outage_is_said_to_be_one(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    with pytest.raises(StoreUnavailable):
        await SqlEntityStore(engine).find_entity("end_user", "ada")
    await engine.dispose()
    # The driver's thread has yet to say that it is done, to a loop that must still be there.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 5)
