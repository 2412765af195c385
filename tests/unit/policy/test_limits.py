from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from tests.support.clock import FakeClock

from tollway.core.errors import BudgetExceeded, ClientError, DeploymentFull, LimitExceeded, StoreUnavailable
from tollway.core.principal import Scope, ScopeKind
from tollway.core.record import Charge
from tollway.core.snapshot import Settings
from tollway.policy.limits import SCOPES_OF_DEPLOYMENTS, Seed, SharedSeed, admit
from tollway.ports.counters import CounterStore, Ticket
from tollway.stores.memory.counters import MemoryCounterStore

DOLLAR = 1_000_000_000
IMPATIENT = Settings(budget_wait_s=0.0)


class Spends:
    """A ledger that holds nothing but sums."""

    def __init__(self, sums: dict[Charge, int] | None = None) -> None:
        self.sums = sums or {}
        self.reads = 0
        self.is_away = False

    async def window_spend(self, charges: Sequence[Charge]) -> list[int]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("The database is away.")
        return [self.sums.get(charge, 0) for charge in charges]


def seeding(store: CounterStore, spends: Spends) -> Seed:
    async def seed(charges: Sequence[Charge]) -> None:
        for charge, nanos in zip(charges, await spends.window_spend(charges), strict=True):
            await store.seed(charge, nanos, 0)

    return SharedSeed(seed)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> CounterStore:
    return MemoryCounterStore(clock)


def scope_of(kind: ScopeKind = "api_key", id: str = "k1", **limits: Any) -> Scope:
    return Scope(kind=kind, id=id, **limits)


async def take(
    store: CounterStore,
    *scopes: Scope,
    tokens: int = 0,
    cost: int = 0,
    settings: Settings = IMPATIENT,
    spends: Spends | None = None,
    key_name: str = "",
) -> Ticket:
    return await admit(
        store,
        seeding(store, spends or Spends()),
        scopes,
        tokens=tokens,
        cost_nanos=cost,
        settings=settings,
        key_name=key_name,
    )


async def refusal(store: CounterStore, *scopes: Scope, cost: int = 0, **options: Any) -> ClientError:
    with pytest.raises((LimitExceeded, BudgetExceeded)) as caught:
        await take(store, *scopes, cost=cost, **options)
    return caught.value


async def spend(store: CounterStore, scope: Scope, cost: int) -> None:
    await store.settle(await take(store, scope), tokens=0, cost_nanos=cost)


async def test_spend_before_this_process_counts(store: CounterStore) -> None:
    key = scope_of(budget_nanos=DOLLAR)
    error = await refusal(store, key, spends=Spends({Charge("api_key", "k1", 0): DOLLAR}))
    assert isinstance(error, BudgetExceeded)


async def test_spend_is_read_once(store: CounterStore) -> None:
    spends = Spends()
    for _ in range(3):
        await take(store, scope_of(), spends=spends)
    assert spends.reads == 1


async def test_concurrent_first_calls_share_one_reading(store: CounterStore) -> None:
    spends = Spends()
    shared = seeding(store, spends)
    keys = [scope_of(id="k1"), scope_of(id="k2")]
    await asyncio.gather(
        *(admit(store, shared, [key], tokens=0, cost_nanos=0, settings=IMPATIENT) for key in keys for _ in range(100))
    )
    assert spends.reads == 2


async def test_a_caller_that_leaves_does_not_take_the_shared_reading_along(store: CounterStore) -> None:
    shared = seeding(store, Spends())
    calls = [
        asyncio.create_task(admit(store, shared, [scope_of()], tokens=0, cost_nanos=0, settings=IMPATIENT))
        for _ in range(2)
    ]
    await asyncio.sleep(0)
    calls[0].cancel()
    await calls[1]
    assert calls[0].cancelled()


async def test_an_unreadable_ledger_is_not_taken_for_zero(store: CounterStore) -> None:
    spends = Spends()
    spends.is_away = True
    with pytest.raises(StoreUnavailable):
        await admit(store, seeding(store, spends), [scope_of()], tokens=0, cost_nanos=0, settings=IMPATIENT)
    spends.is_away = False
    await take(store, scope_of(), spends=spends)


async def test_a_rate_limit_refuses_in_the_words_of_the_contract(store: CounterStore, clock: FakeClock) -> None:
    key = scope_of(id="0a" * 32, rpm=1)
    await take(store, key)
    clock.advance(20)
    error = await refusal(store, key)
    assert error.message == (
        f"Rate limit exceeded for api_key: {'0a' * 32}. Limit type: requests. Current limit: 1, Remaining: 0. "
        "Limit resets at: 2026-01-14 10:18:24 UTC"
    )
    assert (error.status, error.type, error.param) == (429, "throttling_error", None)
    assert dict(error.headers) == {
        b"retry-after": b"41",
        b"rate_limit_type": b"requests",
        b"reset_at": b"2026-01-14 10:18:24 UTC",
    }


@pytest.mark.parametrize(
    ("limits", "kind"),
    [({"tpm": 0}, b"tokens"), ({"parallel": 0}, b"max_parallel_requests"), ({"rpm": 0}, b"requests")],
)
async def test_each_limit_says_its_type_and_when_to_come_back(
    store: CounterStore, limits: dict[str, Any], kind: bytes
) -> None:
    error = await refusal(store, scope_of(**limits))
    headers = dict(error.headers)
    assert headers[b"rate_limit_type"] == kind
    assert int(headers[b"retry-after"]) >= 1
    assert f"Limit type: {kind.decode()}. Current limit: 0, Remaining: 0." in error.message


@pytest.mark.parametrize(
    ("scope", "entity"),
    [
        (scope_of(budget_nanos=DOLLAR), "Key=key (sk-...abcd) Current cost: 1.5, Max budget: 1.0"),
        (scope_of(budget_nanos=DOLLAR, label="api_key"), "Key=key (sk-...abcd) Current cost: 1.5, Max budget: 1.0"),
        (scope_of(budget_nanos=DOLLAR, label="prod"), "Key=prod (sk-...abcd) Current cost: 1.5, Max budget: 1.0"),
        (scope_of("team", "t1", budget_nanos=DOLLAR), "Team=t1 Current cost: 1.5, Max budget: 1.0"),
        (scope_of("user", "u1", budget_nanos=DOLLAR), "User=u1 over budget. Spend=1.5, Budget=1.0"),
        (scope_of("end_user", "e1", budget_nanos=DOLLAR), "End User=e1 over budget. Spend=1.5, Budget=1.0"),
        (scope_of("organization", "o", budget_nanos=DOLLAR), "Organization=o Current cost: 1.5, Max budget: 1.0"),
    ],
)
async def test_a_spent_budget_names_entity_spend_and_limit(store: CounterStore, scope: Scope, entity: str) -> None:
    await spend(store, scope, 3 * DOLLAR // 2)
    error = await refusal(store, scope, key_name="sk-...abcd")
    prefix = "ExceededBudget: " if "over budget" in entity else "Budget has been exceeded! "
    assert error.message == f"{prefix}{entity} (window: whole lifetime, never resets)"
    assert (error.status, error.type, error.param) == (422, "budget_exceeded", None)


async def test_a_spent_budget_names_its_window_and_the_status_is_a_setting(store: CounterStore) -> None:
    key = scope_of(budget_nanos=0, budget_duration="30d")
    error = await refusal(store, key, settings=Settings(budget_exceeded_status=402))
    assert error.status == 402
    assert error.message.endswith("Max budget: 0.0 (window: 30d, resets at 2026-02-01 00:00:00 UTC)")


async def test_every_kind_of_scope_has_words_for_its_budget(store: CounterStore) -> None:
    for kind in get_args(ScopeKind):
        assert "x" in (await refusal(store, scope_of(kind, "x", budget_nanos=0))).message


def session(**limits: Any) -> Scope:
    return scope_of("session", "k1:run-7", label="run-7", **limits)


async def test_a_session_that_has_spent_its_budget_is_told_not_to_retry(store: CounterStore) -> None:
    await store.settle(await take(store, session(), cost=DOLLAR), tokens=0, cost_nanos=DOLLAR)
    error = await refusal(store, session(budget_nanos=DOLLAR // 2))
    assert isinstance(error, LimitExceeded)
    assert error.message.startswith("Session budget exceeded for session run-7. Current cost: 1.0, Max budget: 0.5")
    headers = dict(error.headers)
    assert headers[b"x-should-retry"] == b"false"
    assert b"retry-after" not in headers


async def test_a_session_that_has_made_all_its_calls_is_told_not_to_retry(store: CounterStore) -> None:
    for _ in range(3):
        await store.settle(await take(store, session()), tokens=0, cost_nanos=0)
    error = await refusal(store, session(max_calls=2))
    assert isinstance(error, LimitExceeded)
    assert error.message == "Max iterations exceeded for session run-7. Current iterations: 3, Max iterations: 2"
    assert dict(error.headers)[b"x-should-retry"] == b"false"
    assert b"retry-after" not in dict(error.headers)


async def test_a_call_kept_out_by_reservations_waits_for_them(store: CounterStore) -> None:
    key = scope_of(budget_nanos=DOLLAR)
    held = await take(store, key, cost=DOLLAR)
    waiting = asyncio.create_task(take(store, key, cost=DOLLAR, settings=Settings(budget_wait_s=30.0)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await store.settle(held, tokens=0, cost_nanos=DOLLAR // 2)
    await waiting


async def test_a_wait_ends_at_once_when_the_budget_is_spent_meanwhile(store: CounterStore) -> None:
    key = scope_of(budget_nanos=DOLLAR)
    held = await take(store, key, cost=DOLLAR)
    waiting = asyncio.create_task(take(store, key, settings=Settings(budget_wait_s=30.0)))
    await asyncio.sleep(0)
    await store.settle(held, tokens=0, cost_nanos=DOLLAR)
    with pytest.raises(BudgetExceeded):
        await waiting


@pytest.mark.parametrize("wait_s", [0.0, 0.01])
async def test_a_budget_that_stays_reserved_is_a_429_and_no_exceeded_budget(store: CounterStore, wait_s: float) -> None:
    key = scope_of(budget_nanos=DOLLAR)
    await spend(store, key, DOLLAR // 4)
    await take(store, key, cost=DOLLAR)
    error = await refusal(store, key, settings=Settings(budget_wait_s=wait_s))
    assert isinstance(error, LimitExceeded)
    assert (error.status, error.type) == (429, "throttling_error")
    assert "fully reserved by calls in flight. Current cost: 0.25, Max budget: 1.0" in error.message
    assert "has been exceeded" not in error.message
    assert dict(error.headers)[b"retry-after"] == b"1"


@pytest.mark.parametrize("kind", sorted(SCOPES_OF_DEPLOYMENTS))
async def test_nobody_waits_for_a_deployment_whose_budget_is_reserved(store: CounterStore, kind: ScopeKind) -> None:
    scope = scope_of(kind, "x", budget_nanos=DOLLAR)
    seed = seeding(store, Spends())
    await admit(store, seed, [scope], tokens=0, cost_nanos=DOLLAR, settings=Settings())
    began = asyncio.get_running_loop().time()
    with pytest.raises(DeploymentFull, match="No deployments available - crossed budget for"):
        await admit(store, seed, [scope], tokens=0, cost_nanos=1, settings=Settings(budget_wait_s=60))
    assert asyncio.get_running_loop().time() - began < 10


@pytest.mark.parametrize("kind", [kind for kind in get_args(ScopeKind) if kind not in SCOPES_OF_DEPLOYMENTS])
async def test_a_thousand_concurrent_calls_spend_a_dollar_and_at_most_one_call_more(
    store: CounterStore, kind: ScopeKind
) -> None:
    scope = scope_of(kind, "x", budget_nanos=DOLLAR)
    bound = DOLLAR // 50
    chance = random.Random(7)
    seed = seeding(store, Spends())
    costs: list[int] = []
    errors: list[ClientError] = []

    async def one_call() -> None:
        try:
            ticket = await admit(
                store, seed, [scope], tokens=0, cost_nanos=bound, settings=Settings(budget_wait_s=30.0)
            )
        except (BudgetExceeded, LimitExceeded) as error:
            errors.append(error)
            return
        await asyncio.sleep(0)
        cost = chance.randint(0, bound)
        await store.settle(ticket, tokens=0, cost_nanos=cost)
        costs.append(cost)

    await asyncio.gather(*(one_call() for _ in range(1000)))
    assert len(costs) + len(errors) == 1000
    assert DOLLAR <= sum(costs) <= DOLLAR + bound
    assert all(b"retry-after" not in dict(error.headers) for error in errors), "the budget is spent, not just reserved"
    assert await store.spent(scope) == sum(costs)
