"""What every `KeyStore` must do, on every database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.clock import FakeClock
from tests.support.databases import DATABASES, MissingDatabase, open_database

from tollway.control.keys.repository import KeyRepository
from tollway.core.errors import StoreUnavailable
from tollway.core.principal import Grant, Principal, Scope
from tollway.db.engine import open_engine, writing
from tollway.ports.keys import KeyStore
from tollway.stores.sql.keys import SqlKeyStore
from tollway.stores.sql.virtual_key import VirtualKey

HASH = "ab" * 32
OTHER = "cd" * 32


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(request.param, tmp_path) as engine:
        yield engine


@pytest.fixture
def store(engine: AsyncEngine, clock: FakeClock) -> KeyStore:
    return SqlKeyStore(engine, clock=clock)


async def keep(engine: AsyncEngine, **fields: Any) -> VirtualKey:
    """A key in the database."""
    now = datetime(2026, 1, 14, tzinfo=UTC)
    known: dict[str, Any] = {"key_hash": HASH, "spend_id": HASH, "created_at": now, "updated_at": now}
    key = VirtualKey(**known | fields)
    async with writing(engine) as connection:
        await KeyRepository(connection).insert(key)
    return key


async def test_an_unknown_key_is_nobody(store: KeyStore) -> None:
    assert await store.find(HASH) is None


async def test_a_bare_key_has_no_limits(engine: AsyncEngine, store: KeyStore) -> None:
    await keep(engine)
    own = Scope(kind="api_key", id=HASH, label="key")
    assert await store.find(HASH) == Principal(key_hash=HASH, own=own, scopes=(own,))


async def test_everything_known_about_a_key_comes_with_it(engine: AsyncEngine, store: KeyStore) -> None:
    expires_at = datetime(2026, 2, 1, tzinfo=UTC)
    metadata = {
        "tags": ["prod", 7],
        "model_rpm_limit": {"gpt-4o": 5},
        "model_tpm_limit": {"gpt-4o": 50, "o3": 9, "bad": "many", "flag": True},
    }
    await keep(
        engine,
        key_name="sk-...abcd",
        key_alias="al",
        user_id="u",
        team_id="t",
        organization_id="o",
        expires_at=expires_at,
        is_blocked=True,
        models=["gpt-4o", "openai/*"],
        aliases={"fast": "gpt-4o"},
        allowed_routes=["llm_api_routes"],
        permissions={"p": True},
        rpm_limit=10,
        tpm_limit=1000,
        parallel_limit=3,
        max_budget_nanos=10**10,
        budget_duration="30d",
        metadata=metadata,
    )
    scope = Scope(
        kind="api_key",
        id=HASH,
        label="al",
        rpm=10,
        tpm=1000,
        parallel=3,
        budget_nanos=10**10,
        budget_duration="30d",
    )
    assert await store.find(HASH) == Principal(
        key_hash=HASH,
        key_alias="al",
        key_name="sk-...abcd",
        user_id="u",
        team_id="t",
        organization_id="o",
        grants=(Grant("key", frozenset({"gpt-4o", "openai/*"})),),
        aliases={"fast": "gpt-4o"},
        allowed_routes=("llm_api_routes",),
        is_blocked=True,
        expires_at=expires_at.timestamp(),
        tags=("prod",),
        metadata=metadata,
        permissions={"p": True},
        own=scope,
        scopes=(scope, Scope(kind="user", id="u", label="user")),
        model_scopes={
            "gpt-4o": (Scope(kind="model_per_key", id=f"{HASH}:gpt-4o", label="gpt-4o", rpm=5, tpm=50),),
            "o3": (Scope(kind="model_per_key", id=f"{HASH}:o3", label="o3", tpm=9),),
        },
        depends_on=frozenset({("user", "u"), ("team", "t"), ("organization", "o")}),
    )


@pytest.mark.parametrize("metadata", [{"tags": "prod"}, {"model_rpm_limit": [1]}, {"tags": None}])
async def test_odd_metadata_does_not_lock_anybody_out(
    metadata: dict[str, Any], engine: AsyncEngine, store: KeyStore
) -> None:
    await keep(engine, metadata=metadata)
    found = await store.find(HASH)
    assert found is not None
    assert (found.tags, found.model_scopes) == ((), {})


async def test_an_earlier_hash_opens_for_the_time_it_was_given(
    engine: AsyncEngine, store: KeyStore, clock: FakeClock
) -> None:
    key = await keep(engine)
    now = datetime.fromtimestamp(clock(), UTC)
    until = now + timedelta(hours=1)
    async with writing(engine) as connection:
        keys = KeyRepository(connection)
        await keys.retire_hash(key, at=now, works_until=until)
        await keys.replace(HASH, msgspec.structs.replace(key, key_hash=OTHER))
    old, new = await store.find(HASH), await store.find(OTHER)
    assert new is not None
    assert new.expires_at is None
    assert old == msgspec.structs.replace(new, expires_at=until.timestamp())
    assert new.scopes[0].id == HASH, "limits and spend go on under the first hash"
    clock.advance(3600)
    assert await store.find(HASH) is None
    assert await store.find(OTHER) == new


async def test_a_deleted_key_is_nobody(engine: AsyncEngine, store: KeyStore) -> None:
    key = await keep(engine)
    async with writing(engine) as connection:
        await KeyRepository(connection).archive([key], at=key.created_at, by=None, by_key=OTHER, changed_by=None)
    assert await store.find(HASH) is None


@pytest.mark.parametrize("database", DATABASES)
async def test_an_outage_is_not_taken_for_a_wrong_key(database: str, tmp_path: Path) -> None:
    missing = MissingDatabase(database, tmp_path)
    engine = open_engine(missing.url)
    store: KeyStore = SqlKeyStore(engine)
    with pytest.raises(StoreUnavailable):
        await store.find(HASH)
    await missing.appear()
    assert await store.find(HASH) is None
    await engine.dispose()
