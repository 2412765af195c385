"""What every `CounterStore` does, driven through the port and a clock that tests move.

A new implementation joins by a row in `COUNTER_STORES`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.clock import FakeClock
from tests.support.counters import COUNTER_STORES, OpenStore

from tollway.core.principal import Scope
from tollway.core.record import Charge
from tollway.core.windows import window
from tollway.ports.counters import CounterStore, Refusal, Settled, Ticket, Unseeded

T = TypeVar("T")


@pytest.fixture(params=COUNTER_STORES)
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    return COUNTER_STORES[request.param]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def counters(open_store: OpenStore, clock: FakeClock) -> AsyncIterator[CounterStore]:
    async with open_store(clock) as store:
        yield store


def key(**limits: Any) -> Scope:
    return Scope(kind="api_key", id="k1", **limits)


def team(**limits: Any) -> Scope:
    return Scope(kind="team", id="t1", **limits)


async def fill(counters: CounterStore, charge: Charge, spent_nanos: int, calls: int = 0) -> None:
    """What the ledger does for an unknown window."""
    reading = await counters.prepare([charge])
    assert await counters.seed(charge, spent_nanos, calls, reading)


async def attempt(counters: CounterStore, *scopes: Scope, tokens: int = 0, cost: int = 0) -> Ticket | Refusal:
    """Reserves; spend that is asked for is 0."""
    answer = await counters.reserve(scopes, tokens=tokens, cost_nanos=cost)
    if isinstance(answer, Unseeded):
        for charge in answer.charges:
            await fill(counters, charge, 0)
        answer = await counters.reserve(scopes, tokens=tokens, cost_nanos=cost)
    assert not isinstance(answer, Unseeded)
    return answer


async def admitted(counters: CounterStore, *scopes: Scope, tokens: int = 0, cost: int = 0) -> Ticket:
    answer = await attempt(counters, *scopes, tokens=tokens, cost=cost)
    assert not isinstance(answer, Refusal)
    return answer


async def refused(counters: CounterStore, *scopes: Scope, tokens: int = 0, cost: int = 0) -> Refusal:
    answer = await attempt(counters, *scopes, tokens=tokens, cost=cost)
    assert isinstance(answer, Refusal)
    return answer


async def call(counters: CounterStore, *scopes: Scope, tokens: int = 0, cost: int = 0) -> Settled:
    """A whole call that used exactly what it reserved."""
    return await counters.settle(
        await admitted(counters, *scopes, tokens=tokens, cost=cost), tokens=tokens, cost_nanos=cost
    )


# Requests and tokens


async def test_requests_are_admitted_up_to_the_limit_and_again_a_minute_later(
    counters: CounterStore, clock: FakeClock
) -> None:
    scope = key(rpm=2)
    await call(counters, scope)
    clock.advance(30)
    await call(counters, scope)
    refusal = await refused(counters, scope)
    assert (refusal.scope, refusal.kind, refusal.limit, refusal.remaining) == (scope, "requests", 2, 0)
    assert 30 <= refusal.retry_after_s <= 31
    assert refusal.resets_at == pytest.approx(clock() + refusal.retry_after_s)
    clock.advance(refusal.retry_after_s)
    await call(counters, scope)


async def test_a_bucket_expires_late_never_early(counters: CounterStore, clock: FakeClock) -> None:
    clock.now = 1_000_000.9
    await call(counters, key(rpm=1))
    clock.now = 1_000_060.899
    await refused(counters, key(rpm=1))
    clock.now = 1_000_061.0
    await call(counters, key(rpm=1))


async def test_refused_calls_count_nowhere(counters: CounterStore) -> None:
    narrow, wide = key(rpm=1), team(rpm=3, tpm=100, parallel=2, budget_nanos=100)
    await call(counters, narrow, wide, tokens=10, cost=1)
    for _ in range(5):
        assert (await refused(counters, narrow, wide, tokens=10, cost=1)).scope == narrow
    ticket = await admitted(counters, wide, tokens=10, cost=1)
    (left,) = ticket.remaining
    assert (left.requests, left.tokens, left.parallel) == (1, 80, 1)
    assert await counters.spent(wide) == 1


async def test_a_limit_of_zero_admits_nothing(counters: CounterStore) -> None:
    kinds = []
    for scope in (key(rpm=0), key(tpm=0), key(parallel=0), key(budget_nanos=0)):
        refusal = await refused(counters, scope)
        assert refusal.retry_after_s >= 0
        kinds.append(refusal.kind)
    assert kinds == ["requests", "tokens", "max_parallel_requests", "budget"]


async def test_settlement_corrects_the_tokens_in_the_second_of_the_reservation(
    counters: CounterStore, clock: FakeClock
) -> None:
    scope = key(tpm=1000)
    clock.now = 1_000_000.0
    ticket = await admitted(counters, scope, tokens=900)
    clock.advance(30)
    await counters.settle(ticket, tokens=100, cost_nanos=0)
    later = await admitted(counters, scope, tokens=300)
    assert later.remaining[0].tokens == 600
    clock.advance(31)  # the first call's second has left the window, and its tokens with it
    last = await admitted(counters, scope, tokens=1)
    assert last.remaining[0].tokens == 699


async def test_a_call_longer_than_the_window_counts_its_tokens_when_it_ends(
    counters: CounterStore, clock: FakeClock
) -> None:
    scope = key(tpm=1000)
    ticket = await admitted(counters, scope, tokens=900)
    clock.advance(120)
    await counters.settle(ticket, tokens=400, cost_nanos=0)
    after = await admitted(counters, scope, tokens=100)
    assert after.remaining[0].tokens == 500


async def test_tokens_say_when_there_will_be_room(counters: CounterStore, clock: FakeClock) -> None:
    """The first call's tokens are too few to make room when they leave the window; the second's do."""
    scope = key(tpm=1000)
    for tokens in (50, 900, 100):
        await call(counters, scope, tokens=tokens)
        clock.advance(10)
    refusal = await refused(counters, scope, tokens=1)
    assert (refusal.kind, refusal.limit, refusal.remaining) == ("tokens", 1000, 0)
    assert 40 <= refusal.retry_after_s <= 41
    clock.advance(refusal.retry_after_s - 1.001)
    await refused(counters, scope, tokens=1)
    clock.advance(1.001)
    await call(counters, scope, tokens=1)


async def test_a_small_step_back_of_the_clock_changes_nothing(counters: CounterStore, clock: FakeClock) -> None:
    await call(counters, key(rpm=1))
    clock.advance(-5)
    await refused(counters, key(rpm=1))
    clock.advance(66)
    await call(counters, key(rpm=1))


async def test_a_clock_set_far_back_does_not_hold_limits_until_time_has_caught_up(
    counters: CounterStore, clock: FakeClock
) -> None:
    scope = key(rpm=1, tpm=10, parallel=2)
    await call(counters, scope, tokens=1)
    clock.advance(3600)
    long = await admitted(counters, scope, tokens=10)
    clock.advance(-3600)
    ticket = await admitted(counters, scope, tokens=1)
    await counters.settle(long, tokens=5, cost_nanos=0)
    await counters.settle(ticket, tokens=1, cost_nanos=0)
    assert (await refused(counters, scope)).kind == "requests"


# Parallel requests


async def test_parallel_calls_hold_a_slot_until_they_are_settled(counters: CounterStore, clock: FakeClock) -> None:
    scope = key(parallel=2)
    first, second = await admitted(counters, scope), await admitted(counters, scope)
    clock.advance(3600)
    refusal = await refused(counters, scope)
    assert (refusal.kind, refusal.limit, refusal.remaining) == ("max_parallel_requests", 2, 0)
    assert refusal.retry_after_s > 0
    await counters.settle(first, tokens=0, cost_nanos=0)
    third = await admitted(counters, scope)
    assert third.remaining[0].parallel == 0
    for ticket in (second, third):
        await counters.settle(ticket, tokens=0, cost_nanos=0)


async def test_a_limit_that_appears_counts_the_calls_already_in_flight(counters: CounterStore) -> None:
    await admitted(counters, key())
    await refused(counters, key(parallel=1))


# Budgets


async def test_settled_and_reserved_money_together_stay_below_the_budget(counters: CounterStore) -> None:
    scope = key(budget_nanos=100)
    await call(counters, scope, cost=60)
    held = await admitted(counters, scope, cost=40)
    refusal = await refused(counters, scope, cost=1)
    assert (refusal.kind, refusal.limit, refusal.spent_nanos, refusal.remaining) == ("budget", 100, 60, 40)
    assert refusal.is_by_reservations
    await counters.settle(held, tokens=0, cost_nanos=39)
    await call(counters, scope, cost=500)
    refusal = await refused(counters, scope, cost=1)
    assert (refusal.spent_nanos, refusal.remaining, refusal.is_by_reservations) == (599, 0, False)
    assert (refusal.retry_after_s, refusal.resets_at) == (0, 0)


async def test_a_budget_starts_anew_with_its_window_and_reservations_survive(
    counters: CounterStore, clock: FakeClock
) -> None:
    scope = key(budget_nanos=100, budget_duration="1h")
    await call(counters, scope, cost=50)
    held = await admitted(counters, scope, cost=50)
    refusal = await refused(counters, scope)
    assert refusal.resets_at == window("1h", clock()).end
    assert refusal.retry_after_s == refusal.resets_at - clock()
    clock.now = refusal.resets_at
    assert await counters.spent(scope) == 0
    small = await admitted(counters, scope, cost=50)
    assert (await refused(counters, scope)).is_by_reservations
    await counters.settle(small, tokens=0, cost_nanos=0)
    settled = await counters.settle(held, tokens=0, cost_nanos=30)
    assert settled == Settled((Charge("api_key", "k1", int(clock())),), 30)


async def test_spend_is_counted_without_a_budget_and_named_in_every_window(
    counters: CounterStore, clock: FakeClock
) -> None:
    settled = await call(counters, key(), team(budget_duration="30d"), cost=7)
    month = int(window("30d", clock()).start)
    assert settled == Settled((Charge("api_key", "k1", 0), Charge("team", "t1", month)), 7)
    assert (await call(counters, key(), cost=5)).spent_nanos == 12
    assert await counters.spent(key()) == 12
    assert await counters.spent(team(budget_duration="30d")) == 7


async def test_a_call_in_no_scope_is_a_ticket_like_any_other(counters: CounterStore) -> None:
    ticket = await admitted(counters)
    assert list(ticket.remaining) == []
    assert await counters.settle(ticket, tokens=5, cost_nanos=5) == Settled((), 0)


async def test_unknown_spend_is_asked_for_once_for_all_scopes(counters: CounterStore, clock: FakeClock) -> None:
    scopes = (key(budget_nanos=100), team(budget_duration="30d"))
    answer = await counters.reserve(scopes, tokens=0, cost_nanos=1)
    assert isinstance(answer, Unseeded)
    month = int(window("30d", clock()).start)
    assert answer.charges == (Charge("api_key", "k1", 0), Charge("team", "t1", month))
    assert await counters.spent(scopes[0]) is None
    await fill(counters, answer.charges[0], 99, 4)
    await fill(counters, answer.charges[0], 0)
    await fill(counters, answer.charges[1], 1000)
    await call(counters, *scopes, cost=1)
    assert (await refused(counters, *scopes)).spent_nanos == 100
    assert await counters.spent(scopes[1]) == 1001


async def test_adjustments_count_where_the_spend_is_known(counters: CounterStore) -> None:
    scope, charge = key(budget_nanos=100), Charge("api_key", "k1", 0)
    await counters.adjust(charge, -500)
    assert await counters.spent(scope) is None
    await call(counters, scope, cost=100)
    await refused(counters, scope)
    await counters.adjust(charge, -100)
    assert await counters.spent(scope) == 0
    await call(counters, scope, cost=1)


async def test_an_unusable_duration_resets_daily(
    counters: CounterStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await call(counters, key(budget_duration="1y"), cost=1)
    settled = await call(counters, key(budget_duration="1y"), cost=1)
    assert settled.charges[0].window_start == window("1d", clock()).start
    assert [record.getMessage().startswith("Invalid budget_duration '1y'") for record in caplog.records] == [True]


async def test_a_new_duration_is_another_window_and_calls_in_flight_settle_in_theirs(
    counters: CounterStore, clock: FakeClock
) -> None:
    monthly, daily = key(budget_duration="30d"), key(budget_duration="1d")
    in_flight = await admitted(counters, monthly, cost=10)
    await call(counters, daily, cost=3)
    settled = await counters.settle(in_flight, tokens=0, cost_nanos=8)
    assert settled.charges[0].window_start == window("30d", clock()).start
    assert (await counters.spent(monthly), await counters.spent(daily)) == (8, 3)


# Calls


async def test_calls_end_at_their_limit_however_they_ended_and_however_long_ago(
    counters: CounterStore, clock: FakeClock
) -> None:
    scope = key(max_calls=3)
    await call(counters, scope, cost=5)
    failed = await admitted(counters, scope, cost=5)
    await counters.settle(failed, tokens=0, cost_nanos=0)
    clock.advance(3600)
    await call(counters, scope, cost=5)
    clock.advance(3600)
    refusal = await refused(counters, scope)
    assert (refusal.scope, refusal.kind, refusal.limit, refusal.remaining) == (scope, "calls", 3, 0)
    assert (refusal.retry_after_s, refusal.resets_at, refusal.spent_nanos) == (0, 0, 10)
    assert (refusal.calls, refusal.is_by_reservations) == (3, False)


async def test_calls_in_flight_count_and_refused_ones_do_not(counters: CounterStore) -> None:
    scope = key(max_calls=3)
    held = [await admitted(counters, scope) for _ in range(3)]
    for _ in range(5):
        refusal = await refused(counters, scope)
        assert (refusal.kind, refusal.is_by_reservations) == ("calls", False)
    for ticket in held:
        await counters.settle(ticket, tokens=0, cost_nanos=0)
    assert (await refused(counters, scope)).kind == "calls"
    await call(counters, key(max_calls=4))
    assert (await refused(counters, key(max_calls=4))).kind == "calls"


async def test_a_refusal_elsewhere_takes_no_call(counters: CounterStore) -> None:
    run, busy = key(max_calls=2), team(parallel=1)
    held = await admitted(counters, run, busy)
    assert (await refused(counters, run, busy)).scope == busy
    await counters.settle(held, tokens=0, cost_nanos=0)
    await call(counters, run, busy)
    assert (await refused(counters, run, busy)).scope == run


async def test_calls_before_the_limit_appeared_count(counters: CounterStore) -> None:
    for _ in range(2):
        await call(counters, key())
    await call(counters, key(max_calls=3))
    await refused(counters, key(max_calls=3))


def run(fingerprint: str, **limits: Any) -> Scope:
    return Scope(kind="session", id="k1:run", max_repeats=3, fingerprint=fingerprint, **limits)


async def test_a_request_is_admitted_so_many_times_in_a_row_and_another_one_starts_anew(
    counters: CounterStore, clock: FakeClock
) -> None:
    for _ in range(2):
        for _ in range(3):
            await call(counters, key(), run("same"))
        for _ in range(2):
            refusal = await refused(counters, key(), run("same"))
            assert (refusal.kind, refusal.limit, refusal.calls, refusal.scope.kind) == ("repeats", 3, 3, "session")
            assert (refusal.retry_after_s, refusal.is_by_reservations) == (0, False)
        clock.advance(3600)
        await refused(counters, key(), run("same"))
        await call(counters, key(), run("other"))


async def test_what_was_refused_for_another_reason_is_no_repetition(counters: CounterStore) -> None:
    busy = team(parallel=1)
    held = await admitted(counters, busy, run("same"))
    for _ in range(5):
        assert (await refused(counters, busy, run("same"))).kind == "max_parallel_requests"
    await counters.settle(held, tokens=0, cost_nanos=0)
    for _ in range(2):
        await call(counters, busy, run("same"))
    assert (await refused(counters, busy, run("same"))).kind == "repeats"


async def test_many_of_the_same_at_once_are_repetitions_too(counters: CounterStore) -> None:
    await call(counters, run("same"))
    answers = await asyncio.gather(*(counters.reserve((run("same"),), tokens=0, cost_nanos=0) for _ in range(10)))
    assert sum(not isinstance(answer, Refusal) for answer in answers) == 2


async def test_calls_start_anew_with_the_budget_window(counters: CounterStore, clock: FakeClock) -> None:
    scope = key(max_calls=2, budget_duration="1h")
    held = await admitted(counters, scope)
    await call(counters, scope)
    refusal = await refused(counters, scope)
    assert refusal.resets_at == window("1h", clock()).end
    assert refusal.retry_after_s == refusal.resets_at - clock()
    clock.now = refusal.resets_at
    await call(counters, scope)
    assert (await refused(counters, scope)).kind == "calls", "the one in flight ends in this window, so it counts here"
    await counters.settle(held, tokens=0, cost_nanos=0)
    assert (await refused(counters, scope)).kind == "calls"


async def test_calls_are_seeded_with_the_spend_and_adjustments_are_none(counters: CounterStore) -> None:
    scope, charge = key(max_calls=5), Charge("api_key", "k1", 0)
    assert await counters.reserve([scope], tokens=0, cost_nanos=0) == Unseeded((charge,))
    await fill(counters, charge, 70, 4)
    await fill(counters, charge, 0)
    await counters.adjust(charge, -70)
    await call(counters, scope)
    assert (await refused(counters, scope)).kind == "calls"


async def test_what_is_left_of_a_session_is_told(counters: CounterStore) -> None:
    run = Scope(kind="session", id="k1:run", max_calls=10, budget_nanos=100)
    await call(counters, run, cost=30)
    await admitted(counters, run, cost=20)
    ticket = await admitted(counters, run, key(max_calls=7), Scope(kind="session", id="free"), cost=20)
    told = [(left.scope.id, left.calls, left.budget_nanos) for left in ticket.remaining]
    assert told == [("k1:run", 7, 70), ("k1", 6, None), ("free", None, None)]
    assert {(left.requests, left.tokens, left.parallel) for left in ticket.remaining} == {(None, None, None)}


# All together


async def test_calls_that_ran_out_are_reported_after_a_spent_budget_and_before_rates(counters: CounterStore) -> None:
    full, spent, over = key(rpm=1), team(budget_nanos=10), Scope(kind="session", id="s1", max_calls=1)
    await call(counters, full, spent, over, cost=10)
    assert (await refused(counters, full, over, spent)).scope == spent
    assert (await refused(counters, full, over)).scope == over


async def test_a_spent_budget_is_reported_before_rates_and_rates_before_reservations(counters: CounterStore) -> None:
    full, spent, busy = key(rpm=1), team(budget_nanos=10), Scope(kind="user", id="u1", budget_nanos=10)
    await call(counters, full)
    await call(counters, spent, cost=10)
    await admitted(counters, busy, cost=10)
    assert (await refused(counters, busy, full, spent)).scope == spent
    assert (await refused(counters, busy, full)).scope == full
    assert (await refused(counters, busy)).is_by_reservations


async def test_only_scopes_with_a_rate_limit_say_what_is_left(counters: CounterStore) -> None:
    limited = key(rpm=100, tpm=5000, parallel=10)
    ticket = await admitted(counters, team(budget_nanos=5), limited, tokens=1025)
    (left,) = ticket.remaining
    assert (left.scope, left.requests, left.tokens, left.parallel) == (limited, 99, 3975, 9)


async def test_more_money_of_a_call_takes_no_call_no_slot_and_no_request(counters: CounterStore) -> None:
    scope = key(rpm=2, parallel=2, max_calls=2, budget_nanos=100)
    ticket = await admitted(counters, scope, cost=60)
    more = await counters.reserve([scope], tokens=0, cost_nanos=39, is_more=True)
    assert not isinstance(more, Refusal | Unseeded)
    second = await admitted(counters, scope, cost=1)
    (left,) = second.remaining
    assert (left.requests, left.parallel, left.calls) == (0, 0, 0)
    refusal = await counters.reserve([scope], tokens=0, cost_nanos=1, is_more=True)
    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.is_by_reservations) == ("budget", True)
    await counters.settle(ticket, tokens=0, cost_nanos=80)
    await counters.settle(more, tokens=0, cost_nanos=0)
    assert await counters.spent(scope) == 80


async def test_what_is_withdrawn_counts_as_a_request_and_nothing_else(counters: CounterStore) -> None:
    deployment = Scope(kind="deployment", id="d", rpm=2, tpm=100, parallel=1, max_calls=9)
    ticket = await admitted(counters, key(budget_nanos=100), deployment, tokens=90, cost=10)
    await counters.withdraw(ticket, [deployment])
    again = await admitted(counters, deployment, tokens=5)
    (left,) = again.remaining
    assert (left.requests, left.tokens, left.parallel, left.calls) == (0, 95, 0, 8)
    settled = await counters.settle(ticket, tokens=7, cost_nanos=4)
    assert [charge.scope_kind for charge in settled.charges] == ["api_key"]


async def test_a_ticket_settles_once(counters: CounterStore) -> None:
    ticket = await admitted(counters, key(parallel=1))
    await counters.settle(ticket, tokens=0, cost_nanos=0)
    with pytest.raises(RuntimeError, match="exactly once"):
        await counters.settle(ticket, tokens=0, cost_nanos=0)
    await admitted(counters, key(parallel=1))
    await refused(counters, key(parallel=1))


async def test_waiters_learn_of_a_settlement_and_give_up_in_time(counters: CounterStore) -> None:
    assert not await counters.changed(0.001)
    ticket = await admitted(counters, key())
    waiters = [asyncio.create_task(counters.changed(30)) for _ in range(3)]
    cancelled = asyncio.create_task(counters.changed(30))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0)
    await counters.settle(ticket, tokens=0, cost_nanos=0)
    assert await asyncio.gather(*waiters) == [True, True, True]
    assert cancelled.cancelled()


async def test_idle_counters_are_forgotten_but_never_a_reservation_or_a_recent_minute(
    counters: CounterStore, clock: FakeClock
) -> None:
    await call(counters, key(), cost=5)
    held = await admitted(counters, team())
    clock.advance(30)
    assert await counters.forget_idle(clock()) == 0
    clock.advance(3600)
    assert await counters.forget_idle(clock() - 7200) == 0
    assert await counters.forget_idle(clock()) == 1
    assert await counters.spent(key()) is None
    await counters.settle(held, tokens=0, cost_nanos=3)
    assert await counters.spent(team()) == 3


# Any schedule, against a list of events

SCOPES = (
    Scope(kind="api_key", id="a", rpm=3, tpm=100, parallel=3, budget_nanos=50, budget_duration="5m"),
    Scope(kind="team", id="b", rpm=5, budget_nanos=120, budget_duration="1h"),
    Scope(kind="user", id="c", tpm=150, budget_nanos=400),
    Scope(kind="tag", id="d", budget_duration="1d"),
    Scope(kind="session", id="e", max_calls=8, budget_nanos=90, budget_duration="1h"),
    Scope(kind="session", id="f", max_calls=20),
)


class Used:
    """Tokens that count in the window of one second."""

    def __init__(self, scopes: tuple[Scope, ...], second: int, tokens: int) -> None:
        self.scopes = scopes
        self.second = second
        self.tokens = tokens


@dataclass
class Held:
    """A call in flight."""

    ticket: Ticket
    scopes: tuple[Scope, ...]
    cost: int
    used: Used
    more: list[tuple[Ticket, tuple[Scope, ...], int]] = field(default_factory=list)
    """Further money: which scopes, how much."""


class Schedules(RuleBasedStateMachine):
    """Random calls of random length. The oracle keeps every event there ever was, and adds up anew each time."""

    def __init__(self, open_store: OpenStore) -> None:
        super().__init__()
        self.clock = FakeClock(1_768_385_843.4)
        self.loop = asyncio.new_event_loop()
        self.opened = open_store(self.clock)
        self.store = self.run(self.opened.__aenter__())
        self.arrivals: list[tuple[float, tuple[Scope, ...]]] = []
        self.used: list[Used] = []
        self.in_flight: list[Held] = []
        self.ledger: dict[Charge, int] = {}
        self.calls: Counter[Charge] = Counter()
        self.known: set[Charge] = set()

    def teardown(self) -> None:
        self.run(self.opened.__aexit__(None, None, None))
        self.loop.close()

    def run(self, answer: Awaitable[T]) -> T:
        async def wait() -> T:
            return await answer

        return self.loop.run_until_complete(wait())

    def is_live(self, second: int) -> bool:
        return int(self.clock()) - second <= 60

    def charge(self, scope: Scope) -> Charge:
        return Charge(scope.kind, scope.id, window(scope.budget_duration, self.clock()).start)

    def spent(self, scope: Scope) -> int:
        return self.ledger.get(self.charge(scope), 0)

    def requests(self, scope: Scope) -> int:
        return sum(scope in scopes and self.is_live(int(at)) for at, scopes in self.arrivals)

    def tokens(self, scope: Scope) -> int:
        return sum(used.tokens for used in self.used if scope in used.scopes and self.is_live(used.second))

    def parallel(self, scope: Scope) -> int:
        return sum(scope in held.scopes for held in self.in_flight)

    def reserved(self, scope: Scope) -> int:
        held = sum(held.cost for held in self.in_flight if scope in held.scopes)
        return held + sum(cost for one in self.in_flight for _, scopes, cost in one.more if scope in scopes)

    def blocks(self, scope: Scope) -> set[str]:
        """The limits of a scope that have no room."""
        measures = {
            "requests": (self.requests(scope), scope.rpm),
            "tokens": (self.tokens(scope), scope.tpm),
            "max_parallel_requests": (self.parallel(scope), scope.parallel),
            "budget": (self.spent(scope) + self.reserved(scope), scope.budget_nanos),
            "calls": (self.calls[self.charge(scope)] + self.parallel(scope), scope.max_calls),
        }
        return {kind for kind, (count, limit) in measures.items() if limit is not None and count >= limit}

    @initialize(
        before=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6)), min_size=len(SCOPES), max_size=len(SCOPES))
    )
    def has_a_past(self, before: list[tuple[int, int]]) -> None:
        for scope, (spent, calls) in zip(SCOPES, before, strict=True):
            self.ledger[self.charge(scope)] = spent
            self.calls[self.charge(scope)] = calls

    @rule(
        chosen=st.sets(st.sampled_from(SCOPES), min_size=1).map(lambda chosen: tuple(sorted(chosen, key=SCOPES.index))),
        tokens=st.integers(0, 60),
        cost=st.integers(0, 40),
    )
    def arrive(self, chosen: tuple[Scope, ...], tokens: int, cost: int) -> None:
        answer = self.run(self.store.reserve(chosen, tokens=tokens, cost_nanos=cost))
        if isinstance(answer, Unseeded):
            assert set(answer.charges) <= {self.charge(scope) for scope in chosen} - self.known
            for charge in answer.charges:
                self.run(fill(self.store, charge, self.ledger.get(charge, 0), self.calls[charge]))
            answer = self.run(self.store.reserve(chosen, tokens=tokens, cost_nanos=cost))
        assert not isinstance(answer, Unseeded)
        self.known |= {self.charge(scope) for scope in chosen}
        if isinstance(answer, Refusal):
            self.check_refusal(answer)
        else:
            self.check_admission(answer, chosen, tokens=tokens, cost=cost)

    def check_refusal(self, refusal: Refusal) -> None:
        scope = next(one for one in SCOPES if one.key == refusal.scope.key)
        assert refusal.kind in self.blocks(scope)
        if refusal.kind == "budget":
            assert refusal.spent_nanos == self.spent(scope)
            assert refusal.is_by_reservations == (self.spent(scope) < refusal.limit)
        elif refusal.kind == "calls":
            assert not refusal.is_by_reservations
            assert refusal.calls == self.calls[self.charge(scope)] + self.parallel(scope)
        else:
            assert 0 < refusal.retry_after_s <= 61

    def check_admission(self, ticket: Ticket, scopes: tuple[Scope, ...], *, tokens: int, cost: int) -> None:
        assert not any(self.blocks(scope) for scope in scopes)
        self.arrivals.append((self.clock(), scopes))
        used = Used(scopes, int(self.clock()), tokens)
        self.used.append(used)
        self.in_flight.append(Held(ticket, scopes, cost, used))
        for left in ticket.remaining:
            scope = left.scope
            assert left.requests == (None if scope.rpm is None else scope.rpm - self.requests(scope))
            assert left.tokens == (None if scope.tpm is None else max(0, scope.tpm - self.tokens(scope)))
            assert left.parallel == (None if scope.parallel is None else scope.parallel - self.parallel(scope))
            calls = self.calls[self.charge(scope)] + self.parallel(scope)
            assert left.calls == (None if scope.max_calls is None else scope.max_calls - calls)
            is_told = scope.kind == "session" and scope.budget_nanos is not None
            assert left.budget_nanos == ((scope.budget_nanos or 0) - self.spent(scope) if is_told else None)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), tokens=st.integers(0, 80), cost=st.integers(0, 40))
    def settle(self, data: st.DataObject, tokens: int, cost: int) -> None:
        held = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        settled = self.run(self.store.settle(held.ticket, tokens=tokens, cost_nanos=cost))
        self.run(self.store.delivered())  # it is told, not waited for; the clock of this test stands still meanwhile
        assert settled.charges == tuple(self.charge(scope) for scope in held.scopes)
        for charge in settled.charges:
            self.ledger[charge] = self.ledger.get(charge, 0) + cost
            self.calls[charge] += 1
        of_key = [self.spent(scope) for scope in held.scopes if scope.kind == "api_key"]
        assert settled.spent_nanos == (of_key[-1] if of_key else 0)
        if self.is_live(held.used.second):
            held.used.tokens = tokens
        else:
            self.used.append(Used(held.scopes, int(self.clock()), tokens))

        for ticket, _, _ in held.more:
            self.run(self.store.settle(ticket, tokens=0, cost_nanos=0))
        self.run(self.store.delivered())

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), cost=st.integers(0, 40))
    def want_more(self, data: st.DataObject, cost: int) -> None:
        held = data.draw(st.sampled_from(self.in_flight))
        if not held.scopes or any(self.charge(scope) not in self.known for scope in held.scopes):
            return  # a window has turned: to be seeded, which is not what is tried here
        answer = self.run(self.store.reserve(held.scopes, tokens=0, cost_nanos=cost, is_more=True))
        assert not isinstance(answer, Unseeded)
        has_no_money = any("budget" in self.blocks(scope) for scope in held.scopes)
        assert isinstance(answer, Refusal) == has_no_money
        if isinstance(answer, Refusal):
            assert answer.kind == "budget"
            self.check_refusal(answer)
        else:
            assert answer.calls == 0
            held.more.append((answer, held.scopes, cost))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.in_flight))
        gone = data.draw(st.sets(st.sampled_from(held.scopes))) if held.scopes else set()
        for ticket in (held.ticket, *(ticket for ticket, _, _ in held.more)):
            self.run(self.store.withdraw(ticket, gone))
        self.run(self.store.delivered())
        held.scopes = held.used.scopes = tuple(scope for scope in held.scopes if scope not in gone)
        held.more = [
            (ticket, tuple(scope for scope in scopes if scope not in gone), cost) for ticket, scopes, cost in held.more
        ]

    @rule(scope=st.sampled_from(SCOPES), delta=st.integers(-30, 30))
    def adjust(self, scope: Scope, delta: int) -> None:
        charge = self.charge(scope)
        self.ledger[charge] = self.ledger.get(charge, 0) + delta
        self.run(self.store.adjust(charge, delta))

    @rule(seconds=st.sampled_from((0.001, 0.25, 0.999, 1.0, 7.3, 30.0, 59.5, 60.0, 60.999, 61.0, 300.0, 3600.0, 1e5)))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(age=st.sampled_from((0.0, 30.0, 600.0)))
    def forget(self, age: float) -> None:
        self.run(self.store.forget_idle(self.clock() - age))
        self.known = {self.charge(scope) for held in self.in_flight for scope in held.scopes} & self.known

    @invariant()
    def counters_equal_what_was_accepted_minus_what_was_refunded(self) -> None:
        for scope in SCOPES:
            assert self.run(self.store.spent(scope)) in (None, self.spent(scope))

    @invariant()
    def no_sliding_minute_holds_more_requests_than_the_limit(self) -> None:
        for scope in SCOPES:
            recent = sum(scope in scopes and at > self.clock() - 60 for at, scopes in self.arrivals)
            assert scope.rpm is None or recent <= scope.rpm


EXAMPLES = {"memory": 80, "redis": 30}
"""Each step of the second is a round trip, or several."""


@pytest.mark.parametrize("name", COUNTER_STORES)
def test_any_schedule_agrees_with_a_list_of_events(name: str) -> None:
    open_store = COUNTER_STORES[name]

    class SchedulesOfThisStore(Schedules):
        def __init__(self) -> None:
            super().__init__(open_store)

    run_state_machine_as_test(
        SchedulesOfThisStore, settings=settings(max_examples=EXAMPLES[name], stateful_step_count=60, deadline=None)
    )
