"""Live counters in one process: plain dictionaries, no locks, because nothing here suspends between check and take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from math import inf

from tollway.core.principal import Scope
from tollway.core.record import Charge
from tollway.core.windows import Window, window
from tollway.ports.counters import LimitKind, Refusal, Remaining, Settled, Ticket, Unseeded

log = logging.getLogger(__name__)

RATE_WINDOW_S = 60

_LIVE_S = RATE_WINDOW_S + 1
"""A bucket collects one second, so it counts a second longer than the window: late, never early."""

_SWEEP = 1000
"""Counters looked at in one go when idle ones are dropped."""

_SLOT_RETRY_S = 1.0
"""A parallel slot comes free whenever some call ends; nobody knows when."""


class _Rate:
    """A sliding sum over the last minute."""

    __slots__ = ("buckets", "total", "trimmed_at")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        """Amounts by second, oldest first."""
        self.total = 0
        self.trimmed_at = 0

    def trim(self, second: int) -> None:
        """Forgets what has left the window by `second`."""
        self.trimmed_at = second
        buckets = self.buckets
        while buckets:
            oldest = next(iter(buckets))
            if oldest > second - _LIVE_S:
                return
            self.total -= buckets.pop(oldest)

    def add(self, second: int, amount: int) -> None:
        self.buckets[second] = self.buckets.get(second, 0) + amount
        self.total += amount

    def replace(self, reserved_in: int, second: int, *, reserved: int, used: int) -> None:
        """Corrects the bucket of the reservation; once that has left the window, what was used counts now."""
        if self.trimmed_at != second:
            self.trim(second)
        if reserved_in in self.buckets:
            self.add(reserved_in, used - reserved)
        else:
            self.add(second, used)

    def has_room_at(self, limit: int, now: float) -> float:
        """Epoch seconds at which enough will have left for one more; a whole window from `now` if that never helps."""
        left = self.total
        for second, amount in self.buckets.items():
            left -= amount
            if left < limit:
                return second + _LIVE_S
        return now + RATE_WINDOW_S


class _Settled:
    """What was settled in one budget window."""

    __slots__ = ("calls", "nanos")

    def __init__(self, nanos: int = 0, calls: int = 0) -> None:
        self.nanos = nanos
        self.calls = calls


class _Counter:
    """Everything counted for one scope."""

    __slots__ = ("in_flight", "opened_at", "requests", "reserved_nanos", "settled", "tokens", "used_at")

    def __init__(self, now: float) -> None:
        self.opened_at = now
        self.used_at = now
        self.in_flight = 0
        self.requests: _Rate | None = None
        """Counted only while there is a limit."""
        self.tokens: _Rate | None = None
        self.reserved_nanos = 0
        """Of calls in flight, whatever window they started in."""
        self.settled: dict[int, _Settled] = {}
        """By start of the window; one that is missing here is not known."""


class _Ticket:
    __slots__ = ("cost_nanos", "holds", "is_open", "remaining", "second", "tokens")

    def __init__(self, second: int, tokens: int, cost_nanos: int) -> None:
        self.second = second
        self.tokens = tokens
        self.cost_nanos = cost_nanos
        self.holds: list[tuple[Scope, _Counter]] = []
        self.remaining: Sequence[Remaining] = ()
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
        self._counters: dict[tuple[str, str], _Counter] = {}
        self._windows: dict[str | None, Window] = {}
        """The current window of each duration, shared by all scopes: the calendar is consulted once per window."""
        self._waiters: dict[asyncio.Future[None], None] = {}
        """In order of arrival."""

    async def reserve(self, scopes: Sequence[Scope], *, tokens: int, cost_nanos: int) -> Ticket | Refusal | Unseeded:
        """Takes one call, one parallel slot, `tokens` and `cost_nanos` in every scope, or nothing at all."""
        now = self._now()
        second = int(now)
        ticket = _Ticket(second, tokens, cost_nanos)
        for scope in scopes:
            counter = self._counter(scope.kind, scope.id, now)
            if not self._has_room(scope, counter, now, second):
                return self._explain(scopes, now, second)
            ticket.holds.append((scope, counter))
        remaining = []
        for scope, counter in ticket.holds:
            counter.used_at = now
            counter.in_flight += 1
            counter.reserved_nanos += cost_nanos
            if scope.kind == "session" or scope.max_calls is not None:
                settled = self._settled(counter, self._window(scope.budget_duration, now).start)
                remaining.append(_take(scope, counter, second, tokens, settled))
            elif scope.rpm is not None or scope.tpm is not None or scope.parallel is not None:
                remaining.append(_take(scope, counter, second, tokens))
        ticket.remaining = remaining
        return ticket

    async def settle(self, ticket: Ticket, *, tokens: int, cost_nanos: int) -> Settled:
        """Replaces the reservation by what was used and frees the parallel slot. Raises on a ticket settled before."""
        if not isinstance(ticket, _Ticket) or not ticket.is_open:
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
                settled = counter.settled[start] = _Settled()
            spent = settled.nanos = settled.nanos + cost_nanos
            settled.calls += 1
            counter.reserved_nanos -= ticket.cost_nanos
            counter.in_flight -= 1
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
        return Settled(tuple(charges), spent_nanos, crossed)

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

    async def seed(self, charge: Charge, spent_nanos: int, calls: int) -> None:
        """Sets settled spend and settled calls of a scope's window, unless the store knows them by now."""
        counter = self._counter(charge.scope_kind, charge.scope_id, self._now())
        if self._settled(counter, charge.window_start) is None:
            counter.settled[charge.window_start] = _Settled(spent_nanos, calls)

    async def adjust(self, charge: Charge, delta_nanos: int) -> None:
        """Adds to the settled spend of a scope's window, if the store knows it. It is no call."""
        counter = self._counters.get((charge.scope_kind, charge.scope_id))
        if counter is not None and (settled := self._settled(counter, charge.window_start)) is not None:
            settled.nanos += delta_nanos
            self._wake()

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
        horizon = min(before, self._now() - _LIVE_S)
        dropped = 0
        for position, key in enumerate(tuple(self._counters)):
            if position % _SWEEP == 0:
                await asyncio.sleep(0)  # calls go on between the slices of a long sweep
            counter = self._counters.get(key)
            if counter is not None and not counter.in_flight and counter.used_at < horizon:
                del self._counters[key]
                dropped += 1
        return dropped

    def _now(self) -> float:
        now = self._clock()
        if now < self._latest:
            return self._set_back(now)
        self._latest = now
        return now

    def _set_back(self, now: float) -> float:
        """The system clock went back: time stands still for a small step; a large one starts the rates anew."""
        if self._latest - now <= _LIVE_S:
            return self._latest
        log.warning("the clock was set back by %.0f s; rate limits start anew", self._latest - now)
        self._latest = now
        for counter in self._counters.values():
            counter.requests = counter.tokens = None
        return now

    def _counter(self, kind: str, id: str, now: float) -> _Counter:
        counter = self._counters.get((kind, id))
        if counter is None:
            counter = self._counters[kind, id] = _Counter(now)
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

    def _settled(self, counter: _Counter, start: int) -> _Settled | None:
        """What was settled in the window that began at `start`; None: not known."""
        settled = counter.settled.get(start)
        if settled is None and counter.opened_at < start:
            current = {window.start for window in self._windows.values()}
            counter.settled = {old: known for old, known in counter.settled.items() if old in current}
            settled = counter.settled[start] = _Settled()
        return settled

    def _has_room(self, scope: Scope, counter: _Counter, now: float, second: int) -> bool:
        settled = self._settled(counter, self._window(scope.budget_duration, now).start)
        if settled is None:
            return False
        if scope.budget_nanos is not None and settled.nanos + counter.reserved_nanos >= scope.budget_nanos:
            return False
        if scope.max_calls is not None and settled.calls + counter.in_flight >= scope.max_calls:
            return False
        if scope.parallel is not None and counter.in_flight >= scope.parallel:
            return False
        if scope.rpm is not None:
            requests = counter.requests
            if requests is None:
                requests = counter.requests = _Rate()
            if requests.trimmed_at != second:
                requests.trim(second)
            if requests.total >= scope.rpm:
                return False
        if scope.tpm is not None:
            tokens = counter.tokens
            if tokens is None:
                tokens = counter.tokens = _Rate()
            if tokens.trimmed_at != second:
                tokens.trim(second)
            if tokens.total >= scope.tpm:
                return False
        return True

    def _explain(self, scopes: Sequence[Scope], now: float, second: int) -> Refusal | Unseeded:
        """Why a reservation failed.

        A spent budget comes first, as in the contract, then calls that ran out; what waiting may cure comes last, so
        that nobody waits in vain.
        """
        counters = [self._counter(scope.kind, scope.id, now) for scope in scopes]
        windows = [self._window(scope.budget_duration, now) for scope in scopes]
        unseeded = tuple(
            Charge(scope.kind, scope.id, window.start)
            for scope, counter, window in zip(scopes, counters, windows, strict=True)
            if self._settled(counter, window.start) is None
        )
        if unseeded:
            return Unseeded(unseeded)
        limited = tuple(zip(scopes, counters, windows, strict=True))
        budgets = [_budget_refusal(scope, counter, window, now) for scope, counter, window in limited]
        calls = [_calls_refusal(scope, counter, window, now) for scope, counter, window in limited]
        rates = [_rate_refusal(scope, counter, now, second) for scope, counter in zip(scopes, counters, strict=True)]
        exhausted = [refusal for refusal in budgets if refusal is not None and not refusal.is_by_reservations]
        return next(refusal for refusal in (*exhausted, *calls, *rates, *budgets) if refusal is not None)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _take(scope: Scope, counter: _Counter, second: int, tokens: int, settled: _Settled | None = None) -> Remaining:
    """Counts a call that was found to have room, and says what is left; `settled`: where more than rates is told."""
    requests_left = tokens_left = parallel_left = None
    if scope.rpm is not None and counter.requests is not None:
        counter.requests.add(second, 1)
        requests_left = scope.rpm - counter.requests.total
    if scope.tpm is not None and counter.tokens is not None:
        counter.tokens.add(second, tokens)
        tokens_left = max(0, scope.tpm - counter.tokens.total)
    if scope.parallel is not None:
        parallel_left = scope.parallel - counter.in_flight
    if settled is None:
        return Remaining(scope, requests_left, tokens_left, parallel_left)
    calls_left = budget_left = None
    if scope.max_calls is not None:
        calls_left = scope.max_calls - settled.calls - counter.in_flight
    if scope.kind == "session" and scope.budget_nanos is not None:
        budget_left = scope.budget_nanos - settled.nanos
    return Remaining(scope, requests_left, tokens_left, parallel_left, calls_left, budget_left)


def _budget_refusal(scope: Scope, counter: _Counter, window: Window, now: float) -> Refusal | None:
    limit, spent = scope.budget_nanos, counter.settled[window.start].nanos
    if limit is None or spent + counter.reserved_nanos < limit:
        return None
    retry_after_s, resets_at = _end(window, now)
    return Refusal(
        scope=scope,
        kind="budget",
        limit=limit,
        remaining=max(0, limit - spent),
        retry_after_s=retry_after_s,
        resets_at=resets_at,
        spent_nanos=spent,
        is_by_reservations=spent < limit,
    )


def _calls_refusal(scope: Scope, counter: _Counter, window: Window, now: float) -> Refusal | None:
    limit, settled = scope.max_calls, counter.settled[window.start]
    calls = settled.calls + counter.in_flight
    if limit is None or calls < limit:
        return None
    return Refusal(scope, "calls", limit, 0, *_end(window, now), settled.nanos, calls=calls)


def _end(window: Window, now: float) -> tuple[float, float]:
    """Seconds until a window ends, and when that is; zeros if it never does."""
    return (0.0, 0.0) if window.end == inf else (window.end - now, window.end)


def _rate_refusal(scope: Scope, counter: _Counter, now: float, second: int) -> Refusal | None:
    rates: tuple[tuple[LimitKind, int | None, _Rate | None], ...] = (
        ("requests", scope.rpm, counter.requests),
        ("tokens", scope.tpm, counter.tokens),
    )
    for kind, limit, rate in rates:
        if limit is None or rate is None:
            continue
        rate.trim(second)
        if rate.total >= limit:
            resets_at = rate.has_room_at(limit, now)
            return Refusal(scope, kind, limit, 0, resets_at - now, resets_at)
    if scope.parallel is not None and counter.in_flight >= scope.parallel:
        return Refusal(scope, "max_parallel_requests", scope.parallel, 0, _SLOT_RETRY_S, now + _SLOT_RETRY_S)
    return None
