from __future__ import annotations

import asyncio

import pytest
from tests.support.clock import FakeClock

from tollway.core.changes import Change, ChangeKind, session_name
from tollway.core.errors import Forbidden, InvalidRequest, StoreUnavailable
from tollway.core.principal import Entity, Scope, Stop
from tollway.policy.entities import Entities
from tollway.ports.entities import EntityKind


class Store:
    """Entities in a dictionary, which can be away, or slow until it is let go."""

    def __init__(self) -> None:
        self.entities: dict[tuple[str, str], Entity] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.is_away = False
        self.gate: asyncio.Event | None = None

    def add(self, kind: EntityKind, id: str, **fields: object) -> Entity:
        entity = Entity(**{"scope": Scope(kind=kind, id=id), **fields})  # type: ignore[arg-type]
        self.entities[kind, id] = entity
        return entity

    async def find_entity(self, kind: EntityKind, id: str, *, default_budget_id: str | None = None) -> Entity | None:
        self.asked.append((kind, id, default_budget_id))
        found = self.entities.get((kind, id))
        if self.gate is not None:
            await self.gate.wait()
        if self.is_away:
            raise StoreUnavailable("The database is away.")
        if found is None and kind == "end_user":
            return Entity(scope=Scope(kind=kind, id=id), is_known=False, budget_id=default_budget_id)
        return found


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def entities(store: Store, clock: FakeClock) -> Entities:
    return Entities(store, clock, ttl_s=60, size=100)


async def test_an_end_user_is_looked_up_once_per_ttl(entities: Entities, store: Store, clock: FakeClock) -> None:
    known = store.add("end_user", "ada")
    for _ in range(100):
        assert await entities.find_end_user("ada") == known
    assert len(store.asked) == 1
    clock.advance(60)
    await entities.find_end_user("ada")
    assert len(store.asked) == 2


async def test_one_who_is_in_no_table_is_looked_up_once_per_ttl_too(entities: Entities, store: Store) -> None:
    for _ in range(100):
        assert not (await entities.find_end_user("stranger")).is_known
        assert await entities.find_limited(tags=["t"], access_groups=["g"]) == ()
    assert len(store.asked) == 3


async def test_concurrent_calls_for_one_end_user_share_a_look_up(entities: Entities, store: Store) -> None:
    store.gate = asyncio.Event()
    calls = [asyncio.create_task(entities.find_end_user("ada")) for _ in range(50)]
    await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(*calls)
    assert len(store.asked) == 1


async def test_the_default_budget_is_part_of_who_an_end_user_is(entities: Entities, store: Store) -> None:
    await entities.find_end_user("ada", default_budget_id="b-1")
    await entities.find_end_user("ada", default_budget_id="b-2")
    assert store.asked == [("end_user", "ada", "b-1"), ("end_user", "ada", "b-2")]


async def test_ids_with_colons_are_not_confused(entities: Entities) -> None:
    one = await entities.find_end_user("y:z", default_budget_id="x")
    other = await entities.find_end_user("z", default_budget_id="x:y")
    assert (one.scope.id, other.scope.id) == ("y:z", "z")


async def test_a_blocked_end_user_is_refused(entities: Entities, store: Store) -> None:
    store.add("end_user", "mallory", is_blocked=True)
    with pytest.raises(Forbidden, match="'mallory' is blocked") as caught:
        await entities.find_end_user("mallory")
    assert (caught.value.status, caught.value.type, caught.value.param) == (403, "auth_error", "user")


async def test_an_unknown_end_user_is_refused_where_they_must_be_known(entities: Entities, store: Store) -> None:
    store.add("end_user", "ada")
    assert (await entities.find_end_user("ada", must_be_known=True)).is_known
    with pytest.raises(InvalidRequest, match="'stranger' is not known"):
        await entities.find_end_user("stranger", must_be_known=True)
    store.add("end_user", "stranger")
    entities.changed(Change("customer", "stranger"))
    assert (await entities.find_end_user("stranger", must_be_known=True)).is_known


async def test_the_default_amount_holds_where_there_is_no_budget(entities: Entities, store: Store) -> None:
    store.add("end_user", "rich", scope=Scope(kind="end_user", id="rich", budget_nanos=9))
    assert (await entities.find_end_user("rich", default_budget_nanos=5)).scope.budget_nanos == 9
    assert (await entities.find_end_user("ada", default_budget_nanos=5)).scope.budget_nanos == 5
    assert (await entities.find_end_user("ada")).scope.budget_nanos is None


async def test_tags_and_groups_with_limits_are_found_in_order(entities: Entities, store: Store) -> None:
    tag, group = store.add("tag", "prod"), store.add("model_access_group", "beta")
    assert await entities.find_limited(tags=["x", "prod"], access_groups=["beta"]) == (tag, group)


@pytest.mark.parametrize(
    ("kind", "id", "is_forgotten"),
    [
        ("customer", "ada", True),
        ("customer", "bob", False),
        ("budget", "b-1", True),
        ("budget", "b-2", False),
        ("tag", "ada", False),
        ("key", "ada", False),
    ],
)
async def test_a_change_makes_only_what_it_concerns_out_of_date(
    kind: ChangeKind, id: str, is_forgotten: bool, entities: Entities, store: Store
) -> None:
    store.add("end_user", "ada", budget_id="b-1")
    await entities.find_end_user("ada")
    entities.changed(Change(kind, id))
    await entities.find_end_user("ada")
    assert len(store.asked) == 1 + is_forgotten


async def test_a_default_budget_made_later_applies_at_once(entities: Entities, store: Store) -> None:
    await entities.find_end_user("ada", default_budget_id="free")
    entities.changed(Change("budget", "free"))
    await entities.find_end_user("ada", default_budget_id="free")
    assert len(store.asked) == 2


@pytest.mark.parametrize(("change", "kind"), [("tag", "tag"), ("model_access_group", "model_access_group")])
async def test_a_tag_that_gets_limits_has_them_from_the_next_call_on(
    change: ChangeKind, kind: EntityKind, entities: Entities, store: Store
) -> None:
    assert await entities.find_limited(tags=["x"], access_groups=["x"]) == ()
    made = store.add(kind, "x")
    entities.changed(Change(change, "x"))
    assert await entities.find_limited(tags=["x"], access_groups=["x"]) == (made,)


async def test_a_change_during_a_look_up_is_not_missed(entities: Entities, store: Store) -> None:
    store.add("end_user", "ada")
    store.gate = asyncio.Event()
    early = asyncio.create_task(entities.find_end_user("ada"))
    await asyncio.wait([early], timeout=0.01)
    store.add("end_user", "ada", is_blocked=True)
    entities.changed(Change("customer", "ada"))
    store.gate.set()
    await early
    with pytest.raises(Forbidden):
        await entities.find_end_user("ada")


async def test_a_known_end_user_goes_on_while_the_store_is_away(
    entities: Entities, store: Store, clock: FakeClock
) -> None:
    known = store.add("end_user", "ada")
    await entities.find_end_user("ada")
    store.is_away = True
    clock.advance(3600)
    assert await entities.find_end_user("ada") == known
    asked = len(store.asked)
    assert await entities.find_end_user("ada") == known
    assert len(store.asked) == asked, "an outage is not asked about at every call"
    with pytest.raises(StoreUnavailable):
        await entities.find_end_user("stranger")


async def test_what_changes_by_itself_is_looked_up_when_it_does(
    entities: Entities, store: Store, clock: FakeClock
) -> None:
    store.add("end_user", "ada", valid_until=clock() + 5)
    await entities.find_end_user("ada")
    clock.advance(5)
    await entities.find_end_user("ada")
    assert len(store.asked) == 2


async def test_no_more_entities_are_kept_than_the_size(store: Store, clock: FakeClock) -> None:
    entities = Entities(store, clock, ttl_s=60, size=10)
    for number in range(1000):
        await entities.find_end_user(f"u-{number}")
    assert len(entities._cached) <= 10


async def test_stopped_sessions_of_a_key_are_looked_up_together_and_a_change_is_seen_at_once(
    entities: Entities, store: Store
) -> None:
    for number in range(100):
        assert await entities.find_stop("key", f"run-{number}") is None
    assert store.asked == [("session", "key", None)]
    stop = Stop("ada", "loops", 0.0)
    store.entities["session", "key"] = Entity(scope=Scope(kind="api_key", id="key"), stops={"run:1": stop})
    entities.changed(Change("session", session_name("other", "run:1")))
    assert await entities.find_stop("key", "run:1") is None
    entities.changed(Change("session", session_name("key", "run:1")))
    assert await entities.find_stop("key", "run:1") == stop
    assert await entities.find_stop("key", "run-1") is None
    assert len(store.asked) == 2
