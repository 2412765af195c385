"""Counters that several workers share stay exact, whatever is lost on the way: answers, members, all the server has.

A fleet of workers, each with a journal that its ledger lags behind, is driven through random events. After each one the
truth is known: what was settled, and what is in flight.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter as Multiset
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from tests.support.clock import FakeClock
from tests.support.counters import redis_counters
from tests.support.valkey import SentinelSet, ValkeyCluster, shared_url

from tollway.cli import main
from tollway.core.principal import Scope
from tollway.core.record import Charge
from tollway.core.redis import HASH_TAG, RedisAddress, RedisNode
from tollway.ports.counters import Refusal, Ticket, Unseeded
from tollway.stores.redis import counters as module
from tollway.stores.redis.counters import RedisCounterStore
from tollway.stores.redis.gathering import Gathering

KEYS = tuple(Scope(kind="api_key", id=name, budget_nanos=100, parallel=4) for name in "ab")
TEAM = Scope(kind="team", id="t", budget_nanos=150, rpm=1000)
BOUND = 30


class Worker:
    """One replica: its store, and what it has not brought to the database yet."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.store: RedisCounterStore
        self.journal: list[tuple[Charge, int]] = []
        self.in_flight: list[tuple[Ticket, tuple[Scope, ...], int]] = []

    async def flush(self) -> None:
        written, self.journal = self.journal, []
        await self.store.delivered()
        await asyncio.sleep(0)
        self.fleet.database.update({charge: 0 for charge, _ in written})
        for charge, cost in written:
            self.fleet.database[charge] += cost

    async def seed(self, charges: Sequence[Charge]) -> None:
        missing = list(charges)
        while missing:
            reading = await self.store.prepare(missing)
            spent = [self.fleet.database[charge] for charge in missing]
            await asyncio.sleep(0)
            missing = [
                charge
                for charge, nanos in zip(missing, spent, strict=True)
                if not await self.store.seed(charge, nanos, 0, reading)
            ]

    async def reserve(self, scopes: tuple[Scope, ...], bound: int) -> Ticket | Refusal:
        while True:
            answer = await self.store.reserve(scopes, tokens=0, cost_nanos=bound)
            if not isinstance(answer, Unseeded):
                return answer
            await self.seed(answer.charges)

    async def begin(self, scopes: tuple[Scope, ...], bound: int = BOUND) -> Ticket | Refusal:
        answer = await self.reserve(scopes, bound)
        if not isinstance(answer, Refusal):
            self.in_flight.append((answer, scopes, bound))
        return answer

    async def end(self, position: int, cost: int) -> None:
        ticket, _, _ = self.in_flight.pop(position)
        settled = await self.store.settle(ticket, tokens=0, cost_nanos=cost)
        self.journal += [(charge, cost) for charge in settled.charges]
        await self.store.delivered()


class Fleet:
    """Workers that share counters and a database."""

    def __init__(self, clock: FakeClock, prefix: str = "") -> None:
        self.clock = clock
        self.prefix = prefix or f"{{test-{uuid4().hex}}}"
        self.database: Multiset[Charge] = Multiset()
        self.workers: list[Worker] = []
        self.client = Redis.from_url(shared_url())

    def settled(self, scope: Scope) -> int:
        charge = Charge(scope.kind, scope.id, 0)
        written = sum(cost for worker in self.workers for one, cost in worker.journal if one == charge)
        return self.database[charge] + written

    def held(self, scope: Scope) -> list[int]:
        return [bound for worker in self.workers for _, scopes, bound in worker.in_flight if scope in scopes]

    def has_room(self, scope: Scope) -> bool:
        held = self.held(scope)
        assert scope.budget_nanos is not None
        is_affordable = self.settled(scope) + sum(held) < scope.budget_nanos
        return is_affordable and (scope.parallel is None or len(held) < scope.parallel)

    async def wipe(self) -> None:
        """As FLUSHALL does."""
        if names := [name async for name in self.client.scan_iter(f"{self.prefix}*")]:
            await self.client.unlink(*names)

    async def evict(self, scope: Scope) -> None:
        await self.client.unlink(f"{self.prefix}:s:{scope.kind}:{scope.id}")

    async def expel(self, worker: Worker) -> None:
        """As the end of its lease does."""
        await self.client.hdel(f"{self.prefix}:workers", worker.store.members.worker)


def kill(worker: Worker) -> None:
    """No lease is renewed, and no mail is read."""
    for task in worker.store._tasks:
        task.cancel()


@asynccontextmanager
async def fleet_of(size: int, *, prefix: str = "", **options: Any) -> AsyncIterator[Fleet]:
    clock = FakeClock()
    fleet = Fleet(clock, prefix)
    async with AsyncExitStack() as stack:
        for _ in range(size):
            worker = Worker(fleet)
            worker.store = await stack.enter_async_context(
                redis_counters(clock, prefix=fleet.prefix, flush=worker.flush, **options)
            )
            fleet.workers.append(worker)
        for worker in fleet.workers:
            while worker.store.members.count < size:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.001)
        yield fleet
    await fleet.wipe()
    await fleet.client.aclose()


EVENTS = st.tuples(
    st.sampled_from(("begin", "begin", "begin", "end", "end", "flush", "wipe", "evict", "expel", "lose")),
    st.integers(0, 2),
    st.integers(0, 10),
    st.integers(0, BOUND),
)


@given(events=st.lists(EVENTS, min_size=5, max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_call_is_admitted_exactly_while_what_is_settled_and_in_flight_leaves_room(
    events: list[tuple[str, int, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.001)
    asyncio.run(_run(events))


async def _run(events: list[tuple[str, int, int, int]]) -> None:
    async with fleet_of(3) as fleet:
        for kind, number, choice, cost in events:
            await _perform(fleet, kind, fleet.workers[number], choice, cost)
        for worker in fleet.workers:
            while worker.in_flight:
                await worker.end(0, 1)
        for scope in (*KEYS, TEAM):
            await _check_sums(fleet, scope)


async def _perform(fleet: Fleet, kind: str, worker: Worker, choice: int, cost: int) -> None:
    match kind:
        case "begin":
            scopes = (KEYS[choice % 2], TEAM)
            has_room = all(map(fleet.has_room, scopes))
            answer = await worker.begin(scopes)
            assert isinstance(answer, Refusal) != has_room, (answer, [fleet.settled(scope) for scope in scopes])
            if isinstance(answer, Refusal) and answer.kind == "budget":
                assert answer.spent_nanos == fleet.settled(answer.scope)
        case "end" if worker.in_flight:
            await worker.end(choice % len(worker.in_flight), cost)
        case "flush":
            await worker.flush()
        case "wipe":
            await fleet.wipe()
        case "evict":
            await fleet.evict((*KEYS, TEAM)[choice % 3])
        case "expel":
            await fleet.expel(worker)
        case "lose":
            await _lose_an_answer(worker, is_performed=bool(choice % 2))


async def _lose_an_answer(worker: Worker, *, is_performed: bool) -> None:
    """Whatever goes out next may or may not be done; nobody is told. Then the server is there again."""
    store = worker.store
    send = store._channel._send

    async def lossy(encoded: bytes) -> bytes | None:
        store._channel._send = send
        if is_performed:
            await send(encoded)
        raise ConnectionError("lost")

    store._channel._send = lossy
    if worker.in_flight:
        await worker.end(0, 1)
    await store.delivered()
    while not store.is_shared:  # noqa: ASYNC110 - the store tells nobody
        await asyncio.sleep(0.001)
    store._channel._send = send


async def _check_sums(fleet: Fleet, scope: Scope) -> None:
    worker = random.choice(fleet.workers)
    probe = Scope(kind=scope.kind, id=scope.id, budget_nanos=10**9)
    answer = await worker.reserve((probe,), 0)
    assert not isinstance(answer, Refusal)
    assert await worker.store.spent(probe) == fleet.settled(scope)
    await worker.store.settle(answer, tokens=0, cost_nanos=0)


async def test_many_at_once_never_spend_more_than_the_budget_and_one_call() -> None:
    async with fleet_of(4) as fleet:
        await _spend_it_all(fleet, disturbances=5)


async def test_it_is_the_same_in_a_cluster() -> None:
    with ValkeyCluster() as cluster:
        nodes = tuple(RedisNode(*node) for node in cluster.nodes)
        async with fleet_of(3, address=RedisAddress(kind="cluster", nodes=nodes, answer_timeout_s=10)) as fleet:
            await _spend_it_all(fleet)


async def test_a_failover_of_sentinels_loses_no_spend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.05)
    with SentinelSet() as sentinels:
        nodes = tuple(RedisNode(*node) for node in sentinels.nodes)
        address = RedisAddress(kind="sentinel", nodes=nodes, service_name=SentinelSet.SERVICE)
        async with fleet_of(3, address=address, timeout_s=0.5) as fleet:
            before = await _spend(fleet, KEY, calls=10)
            sentinels.master.kill()
            alone = await _spend(fleet, KEY, calls=10)
            for worker in fleet.workers:
                while not worker.store.is_shared:  # noqa: ASYNC110 - the store tells nobody
                    await asyncio.sleep(0.02)
            after = await _spend(fleet, KEY, calls=100)
            assert before == 500
            assert 0 < alone <= 500, "each within its share of what was left"
            assert before + alone + after == fleet.settled(KEY) == 1_000


KEY = Scope(kind="api_key", id="busy", budget_nanos=1_000)


async def _spend(fleet: Fleet, key: Scope, *, calls: int) -> int:
    """That many calls at once, of 50 each; what they spent."""

    async def call(worker: Worker) -> int:
        answer = await worker.reserve((key,), 50)
        if isinstance(answer, Refusal):
            return 0
        await asyncio.sleep(random.uniform(0, 0.02))
        settled = await worker.store.settle(answer, tokens=0, cost_nanos=50)
        worker.journal += [(charge, 50) for charge in settled.charges]
        return 50

    return sum(await asyncio.gather(*(call(random.choice(fleet.workers)) for _ in range(calls))))


async def _spend_it_all(fleet: Fleet, *, disturbances: int = 0) -> None:
    async def disturb() -> None:
        for _ in range(disturbances):
            await asyncio.sleep(0.01)
            await fleet.evict(KEY)
            await random.choice(fleet.workers).flush()

    disturbing = asyncio.create_task(disturb())
    spent = await _spend(fleet, KEY, calls=400)
    await disturbing
    assert spent == fleet.settled(KEY) == 1_000


async def test_slots_of_a_worker_that_is_gone_come_free_and_its_money_only_when_it_is_released() -> None:
    scope = Scope(kind="api_key", id="k", budget_nanos=100, parallel=1)
    async with fleet_of(2, lease_s=0.3) as fleet:
        gone, other = fleet.workers
        await gone.begin((scope,), 60)
        kill(gone)
        refusal = await other.reserve((scope,), 60)
        assert isinstance(refusal, Refusal)
        assert refusal.kind == "max_parallel_requests"
        await asyncio.sleep(0.5)
        ticket = await other.reserve((scope,), 50)
        assert not isinstance(ticket, Refusal)
        await other.store.settle(ticket, tokens=0, cost_nanos=40)
        refusal = await other.reserve((scope,), 1)
        assert isinstance(refusal, Refusal)
        assert (refusal.kind, refusal.is_by_reservations, refusal.spent_nanos) == ("budget", True, 40)
        assert await other.store.release(gone.store.members.worker)
        assert not isinstance(await other.reserve((scope,), 1), Refusal)


async def test_a_soft_budget_is_told_of_by_exactly_one_worker() -> None:
    scope = Scope(kind="team", id="soft", soft_budget_nanos=1_000)
    plain = Scope(kind="api_key", id="k")
    told: list[Scope] = []
    async with fleet_of(3) as fleet:
        for worker in fleet.workers:
            worker.store.tell_crossed(told.append)

        async def call(worker: Worker) -> None:
            answer = await worker.reserve((plain, scope), 50)
            assert not isinstance(answer, Refusal)
            await asyncio.sleep(random.uniform(0, 0.01))
            await worker.store.settle(answer, tokens=0, cost_nanos=50)

        await asyncio.gather(*(call(fleet.workers[number % 3]) for number in range(19)))
        assert told == []
        await asyncio.gather(*(call(fleet.workers[number % 3]) for number in range(19)))
        for worker in fleet.workers:
            await worker.store.delivered()
        assert told == [scope]


async def test_a_worker_that_counts_alone_tells_what_it_knows() -> None:
    scope = Scope(kind="team", id="soft", soft_budget_nanos=100)
    told: list[Scope] = []
    async with fleet_of(1) as fleet:
        (worker,) = fleet.workers
        worker.store.tell_crossed(told.append)
        await worker.begin((scope,), 60)
        await worker.end(0, 60)
        await worker.begin((scope,), 60)
        await _cut_off(worker)
        await worker.end(0, 60)
        assert told == [scope]


async def test_a_worker_that_counts_alone_is_back_before_anybody_reads_what_was_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 60)  # by itself it would not look again soon
    scope = Scope(kind="api_key", id="k", budget_nanos=200)
    async with fleet_of(2) as fleet:
        alone, other = fleet.workers
        await alone.begin((scope,), 10)
        await _cut_off(alone)
        assert not isinstance(await alone.begin((scope,), 60), Refusal)
        assert not alone.store.is_shared
        await fleet.evict(scope)
        assert not isinstance(await other.begin((scope,), 60), Refusal), "10 and 60 are held elsewhere"
        assert alone.store.is_shared
        assert not isinstance(await other.begin((scope,), 80), Refusal)
        for worker in fleet.workers:
            assert isinstance(await worker.begin((scope,), 1), Refusal), "210 are held"


async def _cut_off(worker: Worker) -> None:
    """One answer is lost."""
    send = worker.store._channel._send

    async def lossy(_: bytes) -> bytes | None:
        worker.store._channel._send = send
        raise ConnectionError("lost")

    worker.store._channel._send = lossy
    await worker.store.delivered()


@pytest.mark.parametrize("answers_after_s", [0.5, 3600])
async def test_only_calls_that_come_at_once_wait_for_a_server_that_does_not_answer(answers_after_s: float) -> None:
    scope = Scope(kind="api_key", id="k")
    async with fleet_of(1, timeout_s=0.04) as fleet:
        (worker,) = fleet.workers
        await worker.begin((scope,))
        await worker.end(0, 1)
        send = worker.store._channel._send
        asked: list[str] = []

        async def late(encoded: bytes) -> bytes | None:
            asked.extend(operation[0] for operation in msgspec.msgpack.decode(encoded))
            await asyncio.sleep(answers_after_s)
            return await send(encoded)

        worker.store._channel._send = worker.store._send = late
        tickets = await asyncio.gather(*(worker.begin((scope,)) for _ in range(50)))
        assert asked.count("reserve") == 50, "in one round trip"
        for _ in range(20):
            tickets.append(await worker.begin((scope,)))
            await worker.end(0, 1)
        assert asked.count("reserve") == 50
        assert asked.count("settle") == 0
        assert all(not isinstance(ticket, Refusal) and ticket.divided_by == 2 for ticket in tickets)
        worker.store._channel._send = worker.store._send = send


async def test_a_stop_is_not_held_up_by_a_client_that_swallows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen(_: Gathering) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    monkeypatch.setattr(Gathering, "listen", listen)
    async with asyncio.timeout(5):
        async with fleet_of(1):
            await asyncio.sleep(0)


async def tollway_ledger(config: Path, *arguments: str, status: int = 0) -> str:
    words = ["ledger", *arguments, "--config", str(config)]
    result = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert result.exit_code == status, result.output
    return result.output


async def test_an_operator_sees_and_releases_what_workers_hold_whose_journals_are_lost(tmp_path: Path) -> None:
    other_key = Scope(kind="api_key", id="other")
    team = Scope(kind="team", id="t", budget_nanos=100)
    redis = {"url": shared_url(), "namespace": uuid4().hex}
    keys = {"master_key": "sk-of-the-tests", "salt_key": "salt-of-the-tests"}
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"general_settings": {"coordination_redis": redis, **keys}}))
    async with fleet_of(3, prefix=f"{redis['namespace']}:{HASH_TAG}", lease_s=2) as fleet:
        gone, idle, other = fleet.workers
        names = [worker.store.members.worker for worker in fleet.workers]
        assert "No gateway that is gone" in await tollway_ledger(config, "orphans")
        await gone.begin((KEY, team), 40)
        await gone.begin((KEY, team), 20)
        await gone.begin((other_key, team), 30)
        await idle.begin((KEY, team), 1)
        await idle.end(0, 1)
        await other.begin((KEY, team), 5)
        assert "not gone" in await tollway_ledger(config, "release", names[0], "--yes", status=1)
        for worker in (gone, idle):
            kill(worker)
            await fleet.client.hset(f"{fleet.prefix}:workers", worker.store.members.worker, str(time.time() - 60))
        shown = json.loads(await tollway_ledger(config, "orphans", "--json"))["orphans"]
        assert [(one["worker"], one["calls"], one["reserved"]) for one in shown] == [(names[0], 3, 90e-9)]
        assert {one["scope"]: (one["calls"], one["reserved"]) for one in shown[0]["scopes"]} == {
            "api_key:busy": (2, 60e-9),
            "api_key:other": (1, 30e-9),
            "team:t": (3, 90e-9),
        }
        assert abs(datetime.fromisoformat(shown[0]["gone_since"]).timestamp() - time.time() + 60) < 5
        assert not isinstance(await other.begin((KEY, team), 4), Refusal), "1 settled, 90 held by nobody, 5 in flight"
        await other.end(1, 4)
        refusal = await other.reserve((KEY, team), 1)
        assert isinstance(refusal, Refusal)
        assert refusal.is_by_reservations
        assert f"{names[0]}: released in 3 scopes" in await tollway_ledger(config, "release", "--all", "--yes")
        assert not isinstance(await other.begin((KEY, team), 91), Refusal), "5 settled, 5 in flight"
        refusal = await other.reserve((KEY, team), 1)
        assert isinstance(refusal, Refusal), "5 and 91 in flight"
        assert "No gateway that is gone" in await tollway_ledger(config, "orphans")
        assert "Nothing to release" in await tollway_ledger(config, "release", "--all", "--yes")
