"""What is counted for one scope, and why a reservation does not fit: plain arithmetic, shared by every store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from tollway.core.principal import Scope
from tollway.core.windows import Window
from tollway.ports.counters import LimitKind, Refusal, Remaining

RATE_WINDOW_S = 60

LIVE_S = RATE_WINDOW_S + 1
"""A bucket collects one second, so it counts a second longer than the window: late, never early."""

_SLOT_RETRY_S = 1.0
"""A parallel slot comes free whenever some call ends; nobody knows when."""


class Rate:
    """A sliding sum over the last minute."""

    __slots__ = ("buckets", "total", "trimmed_at")

    def __init__(self, buckets: Iterable[tuple[int, int]] = ()) -> None:
        self.buckets: dict[int, int] = dict(sorted(buckets))
        """Amounts by second, oldest first."""
        self.total = sum(self.buckets.values())
        self.trimmed_at = 0

    def trim(self, second: int) -> None:
        """Forgets what has left the window by `second`."""
        self.trimmed_at = second
        buckets = self.buckets
        while buckets:
            oldest = next(iter(buckets))
            if oldest > second - LIVE_S:
                return
            self.total -= buckets.pop(oldest)

    def add(self, second: int, amount: int) -> None:
        """Counts an amount in one second."""
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
                return second + LIVE_S
        return now + RATE_WINDOW_S


class SettledSum:
    """What was settled in one budget window."""

    __slots__ = ("calls", "nanos")

    def __init__(self, nanos: int = 0, calls: int = 0) -> None:
        self.nanos = nanos
        self.calls = calls


class Counter:
    """Everything counted for one scope."""

    __slots__ = (
        "elsewhere_nanos",
        "generation",
        "in_flight",
        "latest",
        "name",
        "opened_at",
        "repeats",
        "requests",
        "reserved_nanos",
        "settled",
        "tokens",
        "used_at",
    )

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        """Kind and id of the scope, as shared counters are called: `team:t1`."""
        self.generation: str | None = None
        """Of the shared counters in which all that is held here is held there too; None: in none."""
        self.opened_at = now
        self.used_at = now
        self.in_flight = 0
        self.requests: Rate | None = None
        """Counted only while there is a limit."""
        self.tokens: Rate | None = None
        self.reserved_nanos = 0
        """Of calls in flight, whatever window they started in."""
        self.elsewhere_nanos = 0
        """Reserved by other workers, as of the last call here."""
        self.settled: dict[int, SettledSum] = {}
        """By start of the window; one that is missing here is not known."""

        self.latest = ""
        """Fingerprint of the request that was admitted last, where repetitions are limited."""
        self.repeats = 0
        """How often in a row."""

    def is_stuck(self, scope: Scope) -> bool:
        """Whether this request was admitted as often in a row as it may be."""
        return scope.max_repeats is not None and scope.fingerprint == self.latest and self.repeats >= scope.max_repeats

    def repeat(self, fingerprint: str) -> None:
        """A request was admitted."""
        self.repeats = self.repeats + 1 if fingerprint == self.latest else 1
        self.latest = fingerprint

    def follow(self, scope: Scope) -> None:
        """Counts from now on what this scope limits."""
        if scope.rpm is not None and self.requests is None:
            self.requests = Rate()
        if scope.tpm is not None and self.tokens is None:
            self.tokens = Rate()


def explain(scopes: Sequence[Scope], counters: Sequence[Counter], windows: Sequence[Window], now: float) -> Refusal:
    """Why a reservation did not fit, where all that was settled is known.

    A spent budget comes first, as in the contract, then calls that ran out; what waiting may cure comes last, so that
    nobody waits in vain.
    """
    limited = tuple(zip(scopes, counters, windows, strict=True))
    budgets = [_budget_refusal(scope, counter, window, now) for scope, counter, window in limited]
    calls = [_calls_refusal(scope, counter, window, now) for scope, counter, window in limited]
    stuck = [_repeats_refusal(scope, counter) for scope, counter in zip(scopes, counters, strict=True)]
    rates = [_rate_refusal(scope, counter, now) for scope, counter in zip(scopes, counters, strict=True)]
    exhausted = [refusal for refusal in budgets if refusal is not None and not refusal.is_by_reservations]
    return next(refusal for refusal in (*exhausted, *calls, *stuck, *rates, *budgets) if refusal is not None)


def count_call(
    scope: Scope, counter: Counter, second: int, tokens: int, settled: SettledSum | None = None
) -> Remaining:
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


def _budget_refusal(scope: Scope, counter: Counter, window: Window, now: float) -> Refusal | None:
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


def _calls_refusal(scope: Scope, counter: Counter, window: Window, now: float) -> Refusal | None:
    limit, settled = scope.max_calls, counter.settled[window.start]
    calls = settled.calls + counter.in_flight
    if limit is None or calls < limit:
        return None
    return Refusal(scope, "calls", limit, 0, *_end(window, now), settled.nanos, calls=calls)


def _repeats_refusal(scope: Scope, counter: Counter) -> Refusal | None:
    if scope.max_repeats is None or not counter.is_stuck(scope):
        return None
    return Refusal(scope, "repeats", scope.max_repeats, 0, 0.0, 0.0, calls=counter.repeats)


def _end(window: Window, now: float) -> tuple[float, float]:
    """Seconds until a window ends, and when that is; zeros if it never does."""
    return (0.0, 0.0) if window.end == inf else (window.end - now, window.end)


def _rate_refusal(scope: Scope, counter: Counter, now: float) -> Refusal | None:
    rates: tuple[tuple[LimitKind, int | None, Rate | None], ...] = (
        ("requests", scope.rpm, counter.requests),
        ("tokens", scope.tpm, counter.tokens),
    )
    for kind, limit, rate in rates:
        if limit is None or rate is None:
            continue
        rate.trim(int(now))
        if rate.total >= limit:
            resets_at = rate.has_room_at(limit, now)
            return Refusal(scope, kind, limit, 0, resets_at - now, resets_at)
    if scope.parallel is not None and counter.in_flight >= scope.parallel:
        return Refusal(scope, "max_parallel_requests", scope.parallel, 0, _SLOT_RETRY_S, now + _SLOT_RETRY_S)
    return None
