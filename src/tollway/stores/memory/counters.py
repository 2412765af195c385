"""Live counters in one process: plain dictionaries, no locks, because nothing here suspends between check and take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from math import inf

from tollway.core.principal import Scope, budget_only
from tollway.core.record import Charge
from tollway.core.windows import Window, window
from tollway.ports.counters import Crossed, Reading, Refusal, Remaining, Settled, Ticket, Unseeded
from tollway.stores.memory.counter import LIVE_S, Counter, Rate, SettledSum, count_call, explain

log = logging.getLogger(__name__)


def _nobody(_: Scope) -> None:
    """Soft budgets are told to nobody."""


_SWEEP = 1000
"""Counters looked at in one go when idle ones are dropped."""


class MemoryTicket:
    """`ports.counters.Ticket`: what it holds, and since which second."""

    __slots__ = ("calls", "cost_nanos", "divided_by", "holds", "is_open", "remaining", "second", "tokens")

    def __init__(self, second: int, tokens: int, cost_nanos: int, calls: int = 1) -> None:
        self.calls = calls
        """1; 0 where it only adds to another ticket of the same call."""
        self.second = second
        self.tokens = tokens
        self.cost_nanos = cost_nanos
        self.holds: list[tuple[Scope, Counter]] = []
        self.remaining: Sequence[Remaining] = ()
        self.divided_by = 1
        self.is_open = True


class MemoryCounterStore:
    """`ports.counters.CounterStore` for a single process.

    Requests and tokens slide over 60 s in buckets of 1 s; they are counted from when a scope first has that limit.
    Spend and calls are counted for every scope. A window that began after its scope was first seen is known from its
    first call; any other has to be seeded.
    """

    def __init__(self, clock: Callable[[], float], *, timezone: str = "UTC", reset_time: str = "00:00") -> None:
        """`clock` gives epoch seconds. `timezone` and `reset_time` place the budget windows: see `core.windows`."""
        self._clock = clock
        self._timezone = timezone
        self._reset_time = reset_time
        self._latest = -inf
        self._counters: dict[tuple[str, str], Counter] = {}
        self._windows: dict[str | None, Window] = {}
        """The current window of each duration, shared by all scopes: the calendar is consulted once per window."""
        self._crossed: Crossed = _nobody
        self._waiters: dict[asyncio.Future[None], None] = {}
        """In order of arrival."""

    async def reserve(
        self, scopes: Sequence[Scope], *, tokens: int, cost_nanos: int, is_more: bool = False
    ) -> Ticket | Refusal | Unseeded:
        """Takes one call, one parallel slot, `tokens` and `cost_nanos` in every scope, or nothing at all."""
        now = self._now()
        if is_more:
            scopes = [budget_only(scope) for scope in scopes]
        second = int(now)
        ticket = MemoryTicket(second, tokens, cost_nanos, calls=0 if is_more else 1)
        for scope in scopes:
            counter = self._counter(scope.kind, scope.id, now)
            if not self._has_room(scope, counter, now, second):
                return self._explain(scopes, now)
            ticket.holds.append((scope, counter))
        remaining = []
        for scope, counter in ticket.holds:
            counter.used_at = now
            counter.reserved_nanos += cost_nanos
            if is_more:
                continue
            counter.in_flight += 1
            if scope.max_repeats is not None:
                counter.repeat(scope.fingerprint)
            if scope.kind == "session" or scope.max_calls is not None:
                settled = self._settled(counter, self._window(scope.budget_duration, now).start)
                remaining.append(count_call(scope, counter, second, tokens, settled))
            elif scope.rpm is not None or scope.tpm is not None or scope.parallel is not None:
                remaining.append(count_call(scope, counter, second, tokens))
        ticket.remaining = remaining
        return ticket

    def take(
        self,
        scopes: Sequence[Scope],
        known: Sequence[SettledSum],
        *,
        second: int,
        tokens: int,
        cost_nanos: int,
        calls: int = 1,
    ) -> MemoryTicket:
        """A ticket for a call that was admitted elsewhere, where `known` is settled in each scope."""
        now = self._now()
        ticket = MemoryTicket(second, tokens, cost_nanos, calls)
        for scope, settled in zip(scopes, known, strict=True):
            counter = self._counter(scope.kind, scope.id, now)
            counter.settled[self._window(scope.budget_duration, now).start] = settled
            counter.used_at = now
            counter.in_flight += calls
            counter.reserved_nanos += cost_nanos
            counter.follow(scope)
            if calls:
                count_call(scope, counter, second, tokens)
                if scope.max_repeats is not None:
                    counter.repeat(scope.fingerprint)
            ticket.holds.append((scope, counter))
        return ticket

    async def settle(self, ticket: Ticket, *, tokens: int, cost_nanos: int) -> Settled:
        """Replaces the reservation by what was used and frees the parallel slot. Raises on a ticket settled before."""
        settled, crossed = self.replace(ticket, tokens=tokens, cost_nanos=cost_nanos)
        for scope in crossed:
            self._crossed(scope)
        return settled

    def tell_crossed(self, crossed: Crossed) -> None:
        """Who is told of soft budgets from now on."""
        self._crossed = crossed

    def replace(self, ticket: Ticket, *, tokens: int, cost_nanos: int) -> tuple[Settled, tuple[Scope, ...]]:
        """Settles, and says whose soft budget that has reached as far as is known here; nobody is told."""
        if not isinstance(ticket, MemoryTicket) or not ticket.is_open:
            raise RuntimeError("A ticket is settled exactly once, by the store that issued it.")
        ticket.is_open = False
        now = self._now()
        second = int(now)
        charges: list[Charge] = []
        crossed: tuple[Scope, ...] = ()
        spent_nanos = 0
        for scope, counter in ticket.holds:
            start = self._window(scope.budget_duration, now).start
            settled = self._settled(counter, start)
            if settled is None:  # the clock was set back; else known since the reservation
                settled = counter.settled[start] = SettledSum()
            spent = settled.nanos = settled.nanos + cost_nanos
            settled.calls += ticket.calls
            counter.reserved_nanos -= ticket.cost_nanos
            counter.in_flight -= ticket.calls
            counter.used_at = now
            if scope.tpm is not None and counter.tokens is not None:
                counter.tokens.replace(ticket.second, second, reserved=ticket.tokens, used=tokens)
            if scope.kind == "api_key":
                spent_nanos = spent
            soft = scope.soft_budget_nanos
            if soft is not None and spent - cost_nanos < soft <= spent:
                crossed = (*crossed, scope)
            charges.append(Charge(scope.kind, scope.id, start))
        if self._waiters:
            self._wake()
        return Settled(tuple(charges), spent_nanos), crossed

    async def withdraw(self, ticket: Ticket, scopes: Collection[Scope]) -> None:
        """Ends what an open ticket holds in these scopes: the call will not use them after all."""
        self.give_back(self.part(ticket, scopes))

    def give_back(self, part: MemoryTicket) -> None:
        """Ends all that a part of a ticket holds."""
        second = int(self._now())
        for scope, counter in part.holds:
            counter.reserved_nanos -= part.cost_nanos
            counter.in_flight -= part.calls
            if scope.tpm is not None and counter.tokens is not None:
                counter.tokens.replace(part.second, second, reserved=part.tokens, used=0)
        if self._waiters:
            self._wake()

    def part(self, ticket: Ticket, scopes: Collection[Scope]) -> MemoryTicket:
        """Takes what a ticket holds in these scopes out of it, into one of its own."""
        if not isinstance(ticket, MemoryTicket) or not ticket.is_open:
            raise RuntimeError("Only what an open ticket of this store holds can be withdrawn.")
        keys = {scope.key for scope in scopes}
        part = MemoryTicket(ticket.second, ticket.tokens, ticket.cost_nanos, ticket.calls)
        part.holds = [hold for hold in ticket.holds if hold[0].key in keys]
        ticket.holds = [hold for hold in ticket.holds if hold[0].key not in keys]
        return part

    async def changed(self, timeout_s: float) -> bool:
        """Waits until some reservation was settled; False after `timeout_s`."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._waiters.pop(waiter, None)
        return True

    async def prepare(self, charges: Sequence[Charge]) -> Reading:
        """Nothing: nobody else counts."""

    async def seed(self, charge: Charge, spent_nanos: int, calls: int, reading: Reading = None) -> bool:
        """Sets settled spend and settled calls of a scope's window, unless the store knows them by now."""
        counter = self._counter(charge.scope_kind, charge.scope_id, self._now())
        if self._settled(counter, charge.window_start) is None:
            counter.settled[charge.window_start] = SettledSum(spent_nanos, calls)
        return True

    async def adjust(self, charge: Charge, delta_nanos: int) -> None:
        """Adds to the settled spend of a scope's window, if the store knows it. It is no call."""
        counter = self._counters.get((charge.scope_kind, charge.scope_id))
        if counter is not None and (settled := self._settled(counter, charge.window_start)) is not None:
            settled.nanos += delta_nanos
            self._wake()

    async def forget(self, charges: Iterable[Charge]) -> None:
        """Nothing: a process that is alone takes over journals before its first call."""

    async def delivered(self) -> None:
        """Nothing: nobody else counts."""

    async def everyone_flushes(self) -> None:
        """Nothing: nobody else counts."""

    async def release(self, worker: str) -> bool:
        """Nothing: what another process had reserved ended with it."""
        return True

    async def spent(self, scope: Scope) -> int | None:
        """Settled nano-dollars in the scope's current window; None if the store does not know."""
        counter = self._counters.get(scope.key)
        if counter is None:
            return None
        settled = self._settled(counter, self._window(scope.budget_duration, self._now()).start)
        return None if settled is None else settled.nanos

    async def forget_idle(self, before: float) -> int:
        """Drops counters not used since `before` that hold no reservation; how many. Their spend must be in the ledger.

        Those used within the last rate window stay in any case: dropping them would refill their limits.
        """
        horizon = min(before, self._now() - LIVE_S)
        dropped = 0
        for position, key in enumerate(tuple(self._counters)):
            if position % _SWEEP == 0:
                await asyncio.sleep(0)  # calls go on between the slices of a long sweep
            counter = self._counters.get(key)
            if counter is not None and not counter.in_flight and counter.used_at < horizon:
                del self._counters[key]
                dropped += 1
        return dropped

    def now(self) -> float:
        """Epoch seconds. They never go back by a little."""
        return self._now()

    def current_window(self, duration: str | None) -> Window:
        """The window of a budget right now."""
        return self._window(duration, self._now())

    def settled_in(self, charge: Charge) -> SettledSum | None:
        """What was settled in a window; None: not known."""
        counter = self._counters.get((charge.scope_kind, charge.scope_id))
        return None if counter is None else self._settled(counter, charge.window_start)

    def named(self, name: str) -> Counter | None:
        """The counter of a scope (`team:t1`), if there is one."""
        kind, _, entity = name.partition(":")
        return self._counters.get((kind, entity))

    def counters(self) -> Iterable[Counter]:
        """All there are."""
        return self._counters.values()

    def _now(self) -> float:
        now = self._clock()
        if now < self._latest:
            return self._set_back(now)
        self._latest = now
        return now

    def _set_back(self, now: float) -> float:
        """The system clock went back: time stands still for a small step; a large one starts the rates anew."""
        if self._latest - now <= LIVE_S:
            return self._latest
        log.warning("the clock was set back by %.0f s; rate limits start anew", self._latest - now)
        self._latest = now
        for counter in self._counters.values():
            counter.requests = counter.tokens = None
        return now

    def _counter(self, kind: str, id: str, now: float) -> Counter:
        counter = self._counters.get((kind, id))
        if counter is None:
            counter = self._counters[kind, id] = Counter(f"{kind}:{id}", now)
        return counter

    def _window(self, duration: str | None, now: float) -> Window:
        current = self._windows.get(duration)
        if current is None or now >= current.end:
            current = self._windows[duration] = self._find_window(duration, now)
        return current

    def _find_window(self, duration: str | None, now: float) -> Window:
        try:
            return window(duration, now, timezone=self._timezone, reset_time=self._reset_time)
        except ValueError as error:  # imported rows may hold anything; the contract resets those daily
            log.warning("%s It is taken for '1d'.", error)
            return window("1d", now, timezone=self._timezone, reset_time=self._reset_time)

    def _settled(self, counter: Counter, start: int) -> SettledSum | None:
        """What was settled in the window that began at `start`; None: not known."""
        settled = counter.settled.get(start)
        if settled is None and counter.opened_at < start:
            current = {window.start for window in self._windows.values()}
            counter.settled = {old: known for old, known in counter.settled.items() if old in current}
            settled = counter.settled[start] = SettledSum()
        return settled

    def _has_room(self, scope: Scope, counter: Counter, now: float, second: int) -> bool:
        settled = self._settled(counter, self._window(scope.budget_duration, now).start)
        if settled is None:
            return False
        if scope.budget_nanos is not None and settled.nanos + counter.reserved_nanos >= scope.budget_nanos:
            return False
        if scope.max_calls is not None and settled.calls + counter.in_flight >= scope.max_calls:
            return False
        if scope.parallel is not None and counter.in_flight >= scope.parallel:
            return False
        if scope.max_repeats is not None and counter.is_stuck(scope):
            return False
        if scope.rpm is not None:
            requests = counter.requests
            if requests is None:
                requests = counter.requests = Rate()
            if requests.trimmed_at != second:
                requests.trim(second)
            if requests.total >= scope.rpm:
                return False
        if scope.tpm is not None:
            tokens = counter.tokens
            if tokens is None:
                tokens = counter.tokens = Rate()
            if tokens.trimmed_at != second:
                tokens.trim(second)
            if tokens.total >= scope.tpm:
                return False
        return True

    def _explain(self, scopes: Sequence[Scope], now: float) -> Refusal | Unseeded:
        """Why a reservation failed."""
        counters = [self._counter(scope.kind, scope.id, now) for scope in scopes]
        windows = [self._window(scope.budget_duration, now) for scope in scopes]
        unseeded = tuple(
            Charge(scope.kind, scope.id, window.start)
            for scope, counter, window in zip(scopes, counters, windows, strict=True)
            if self._settled(counter, window.start) is None
        )
        return Unseeded(unseeded) if unseeded else explain(scopes, counters, windows, now)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
