"""`ConversationStore`, on every database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.databases import DATABASES, open_database

from tollway.ports.conversations import StoredResponse
from tollway.stores.sql.conversations import SqlConversationStore
from tollway.stores.sql.ledger import SqlLedgerStore

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000


@pytest.fixture(params=DATABASES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with open_database(request.param, tmp_path) as opened:
        yield opened


def response(id: str, previous: str = "", *, owner: str = "user:u", expires_at: int = NOW + DAY) -> StoredResponse:
    return StoredResponse(
        id=id,
        owner=owner,
        previous=previous,
        deployment_id="d",
        upstream_id=f"vendor-{id}",
        status="completed",
        created_at=NOW,
        expires_at=expires_at,
        content=b"\x00\xff" + id.encode(),
    )


async def ids(store: SqlConversationStore, id: str, owner: str | None = "user:u", *, longest: int = 100) -> list[str]:
    return [one.id for one in await store.chain(id, owner, now=NOW, longest=longest)]


async def test_a_conversation_is_found_from_its_last_answer_back_to_its_first(engine: AsyncEngine) -> None:
    store = SqlConversationStore(engine)
    await store.add([response("a"), response("other"), response("b", "a")])
    await store.add([response("c", "b"), response("branch", "a")])
    assert await store.chain("c", "user:u", now=NOW, longest=100) == [
        response("c", "b"),
        response("b", "a"),
        response("a"),
    ]
    assert await ids(store, "branch") == ["branch", "a"]
    assert await ids(store, "c", longest=2) == ["c", "b"]
    assert await ids(store, "unknown") == []


async def test_an_answer_is_its_owners_alone(engine: AsyncEngine) -> None:
    store = SqlConversationStore(engine)
    await store.add([response("a")])
    assert await ids(store, "a", "user:v") == []
    assert not await store.delete("a", "user:v", now=NOW)
    assert await ids(store, "a", None) == ["a"], "nobody in particular asks"


async def test_what_is_deleted_or_expired_is_not_found_and_ends_a_chain(engine: AsyncEngine) -> None:
    store = SqlConversationStore(engine)
    await store.add([response("old", expires_at=NOW), response("a", "old"), response("b", "a")])
    assert await ids(store, "old") == []
    assert not await store.delete("old", "user:u", now=NOW)
    assert await ids(store, "b") == ["b", "a"]
    assert await store.delete("a", "user:u", now=NOW)
    assert not await store.delete("a", "user:u", now=NOW)
    assert await ids(store, "b") == ["b"]


async def test_an_answer_that_is_kept_already_stays_as_it_is(engine: AsyncEngine) -> None:
    store = SqlConversationStore(engine)
    await store.add([response("a")])
    await store.add([response("a", owner="user:v"), response("b")])
    assert (await ids(store, "a"), await ids(store, "b")) == (["a"], ["b"])


async def test_upkeep_drops_what_has_expired_a_batch_at_a_time(engine: AsyncEngine) -> None:
    store, ledger = SqlConversationStore(engine), SqlLedgerStore(engine)
    await store.add([response(f"old{n}", expires_at=NOW - n) for n in range(150)])
    await store.add([response("young")])
    assert await ledger.maintain(NOW / 1e6, None)
    while await ledger.maintain(NOW / 1e6, None):
        pass
    left = [one for n in range(150) for one in await store.chain(f"old{n}", None, now=0, longest=1)]
    assert left == []
    assert await ids(store, "young") == ["young"]
