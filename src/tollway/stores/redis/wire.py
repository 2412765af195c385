"""What goes over the wire between a worker and the shared counters, in the terms of either side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tollway.core.principal import Scope
from tollway.core.record import Charge
from tollway.ports.counters import Remaining
from tollway.stores.memory.counter import Counter, Rate, SettledSum
from tollway.stores.memory.counters import MemoryTicket
from tollway.stores.redis.channel import Operation


class Settlement:
    """The operation that settles a ticket. Made when it goes out: generations may have changed by then."""

    __slots__ = ("_asked", "_calls", "_charges", "_cost_nanos", "_holds", "_ticket", "_tokens")

    def __init__(
        self, ticket: MemoryTicket, charges: Sequence[Charge], *, tokens: int, cost_nanos: int, calls: int
    ) -> None:
        """Settles what the ticket holds now, as `calls` calls: 0 or 1."""
        self._ticket = ticket
        self._holds = ticket.holds
        self._charges = charges
        self._tokens = tokens
        self._cost_nanos = cost_nanos
        self._calls = calls
        self._asked: list[Scope] = []

    def __call__(self) -> Operation:
        """What goes over the wire."""
        ticket = self._ticket
        holds = [
            (
                *(counter.name, counter.generation, charge.window_start, scope.tpm is not None),
                scope.soft_budget_nanos is not None,
            )
            for (scope, counter), charge in zip(self._holds, self._charges, strict=True)
            if counter.generation is not None
        ]
        self._asked = [
            scope
            for scope, counter in self._holds
            if counter.generation is not None and scope.soft_budget_nanos is not None
        ]
        reserved, used = (ticket.tokens, self._tokens), (ticket.cost_nanos, self._cost_nanos)
        return ("settle", ticket.second, *reserved, *used, holds, ticket.calls, self._calls)

    def crossed(self, sums: Sequence[Any], crossed_here: Sequence[Scope]) -> list[Scope]:
        """Scopes whose soft budget this settlement has reached: of everybody's, exactly one does.

        `crossed_here`: as far as this worker knew. That counts where the server does not know what was spent.
        """
        if not self._asked and not crossed_here:
            return []
        known = {scope.key: int(settled) for scope, settled in zip(self._asked, sums, strict=True) if settled >= 0}
        return [
            scope
            for scope, _ in self._holds
            if (soft := scope.soft_budget_nanos) is not None
            and (
                known[scope.key] - self._cost_nanos < soft <= known[scope.key]
                if scope.key in known
                else scope in crossed_here
            )
        ]


def counter_of(scope: Scope, state: Sequence[Any], start: int, now: float) -> Counter:
    """A counter of the server's, as far as it explains a refusal."""
    settled, reserved, in_flight, calls, requests, tokens, repeats = state
    counter = Counter(f"{scope.kind}:{scope.id}", now)
    counter.settled[start] = SettledSum(int(settled), int(calls))
    counter.reserved_nanos = int(reserved)
    counter.in_flight = int(in_flight)
    counter.requests, counter.tokens = Rate(requests), Rate(tokens)
    counter.latest, counter.repeats = scope.fingerprint, int(repeats)
    return counter


def remaining(scope: Scope, state: Sequence[Any]) -> Remaining:
    """What is left in a scope, after the server took a call."""
    _, settled, in_flight, requests, tokens, calls, _ = state
    return Remaining(
        scope,
        None if scope.rpm is None else scope.rpm - int(requests),
        None if scope.tpm is None else max(0, scope.tpm - int(tokens)),
        None if scope.parallel is None else scope.parallel - int(in_flight),
        None if scope.max_calls is None else scope.max_calls - int(calls) - int(in_flight),
        scope.budget_nanos - int(settled) if scope.kind == "session" and scope.budget_nanos is not None else None,
    )


def is_told(scope: Scope) -> bool:
    """Whether headers say what is left in a scope."""
    limits = (scope.rpm, scope.tpm, scope.parallel, scope.max_calls)
    return scope.kind == "session" or any(limit is not None for limit in limits)


def name_of(charge: Charge) -> str:
    """How the server calls the scope of a window."""
    return f"{charge.scope_kind}:{charge.scope_id}"


def limit_of(limit: int | None) -> int:
    """A limit on the wire; -1: none."""
    return -1 if limit is None else limit


def buckets_of(rate: Rate | None) -> list[tuple[int, int]]:
    """What was counted in each second."""
    return [] if rate is None else list(rate.buckets.items())
