"""Reserve, then settle: every limit and budget that a call touches, in one step.

A call is admitted while settled + reserved < limit in each scope, all or nothing. Settlement replaces the reservation
by what was really used, and always runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal, Protocol

import msgspec

from tollway.core.principal import Scope
from tollway.core.record import Charge

LimitKind = Literal["requests", "tokens", "max_parallel_requests", "budget", "calls", "repeats"]


class Remaining(msgspec.Struct, frozen=True, gc=False):
    """What is left in one scope right after a reservation, for headers. None: it has no limit of that sort.

    Told of every scope with a rate limit or a limit of calls, and of every session.
    """

    scope: Scope
    requests: int | None
    tokens: int | None
    parallel: int | None
    calls: int | None = None
    budget_nanos: int | None = None
    """Of a session only: what settled spend leaves of its budget, calls in flight not deducted."""


class Ticket(Protocol):
    """A reserved allowance, to be settled exactly once."""

    calls: int
    """1; 0: it only adds money to another ticket of the same call."""
    remaining: Sequence[Remaining]
    divided_by: int
    """More than 1: the shared counters are away, and the call was admitted within this part of every limit."""


class Settled(msgspec.Struct, frozen=True, gc=False):
    """What a settlement did: the spend windows to name in the record, and what changed in them."""

    charges: tuple[Charge, ...]
    spent_nanos: int
    """The key's spend after it."""


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Which limit said no. Nothing was reserved."""

    scope: Scope
    kind: LimitKind
    limit: int
    remaining: int
    retry_after_s: float
    """Seconds until the limit can have room again; for a budget or calls: until its window ends (0: never)."""
    resets_at: float
    """Epoch seconds; 0: never."""
    spent_nanos: int = 0
    """Settled spend of the window, where a budget or calls ran out."""
    divided_by: int = 1
    """More than 1: the shared counters are away, and `limit` is this part of the real one."""
    is_by_reservations: bool = False
    """Budget only: settled spend is below the limit; others' reservations stand in the way. Waiting may help."""
    calls: int = 0
    """Settled in the window and in flight, where calls ran out; how often in a row, where one repeats itself."""


class Unseeded(msgspec.Struct, frozen=True, gc=False):
    """The store does not know the spend of these scopes yet. Load it, `seed` it, reserve again."""

    charges: tuple[Charge, ...]


class HeldScope(msgspec.Struct, frozen=True):
    """What a worker that is gone still holds in one scope."""

    scope: str
    """Kind and id: `team:t1`."""
    calls: int
    reserved_nanos: int


class Orphan(msgspec.Struct, frozen=True):
    """A worker that ended with calls in flight, and whose journal nobody has replayed."""

    worker: str
    since: float | None
    """Epoch seconds at which its lease ended; None: not known any more."""
    scopes: tuple[HeldScope, ...]

    @property
    def calls(self) -> int:
        """Calls that were in flight. Each is held once in every scope it touches, and so in most of one kind."""
        return max(self._by_kind(lambda held: held.calls).values(), default=0)

    @property
    def reserved_nanos(self) -> int:
        """Nano-dollars that these had reserved."""
        return max(self._by_kind(lambda held: held.reserved_nanos).values(), default=0)

    def _by_kind(self, figure: Callable[[HeldScope], int]) -> Counter[str]:
        sums: Counter[str] = Counter()
        for held in self.scopes:
            sums[held.scope.partition(":")[0]] += figure(held)
        return sums


Crossed = Callable[[Scope], None]
"""Told of a scope whose soft budget a settlement has reached: of all that share the counters, by one of them."""

Reading = object
"""What a store has to remember from `prepare` until it is seeded."""


class CounterStore(Protocol):
    """Live counters of every scope. Times are epoch seconds from the store's clock.

    Settled spend and settled calls are counted in every scope, limited or not, by budget window.
    """

    async def reserve(
        self, scopes: Sequence[Scope], *, tokens: int, cost_nanos: int, is_more: bool = False
    ) -> Ticket | Refusal | Unseeded:
        """Takes one call, one parallel slot, `tokens` and `cost_nanos` in every scope, or nothing at all.

        `is_more`: of a call that has a ticket for these scopes. It takes no further call, no slot and no request; only
        the scopes' budgets can refuse it, so `tokens` is 0.

        A scope has no room for a call once those settled in its window and those in flight have reached `max_calls`:
        a refusal that no waiting cures, since every call that was admitted counts, however it ends. Nor has it for a
        request that was the last `max_repeats` that it had room for; what was refused does not count.
        """
        ...

    async def settle(self, ticket: Ticket, *, tokens: int, cost_nanos: int) -> Settled:
        """Replaces the reservation by what was used and frees the parallel slot. A failed call counts as one too."""
        ...

    async def withdraw(self, ticket: Ticket, scopes: Collection[Scope]) -> None:
        """Ends what an open ticket holds in these scopes: the call will not use them after all.

        It counts as none of their settled calls; a request that was counted stays counted.
        """
        ...

    def tell_crossed(self, crossed: Crossed) -> None:
        """Who is told from now on, at a settlement or as soon as everybody's spend is known."""
        ...

    async def changed(self, timeout_s: float) -> bool:
        """Waits until some reservation was settled; False after `timeout_s`."""
        ...

    async def prepare(self, charges: Sequence[Charge]) -> Reading:
        """To be awaited before these windows are read from the ledger: whoever counts in them brings there what it
        lacks. Raises `StoreUnavailable` where that cannot be.
        """
        ...

    async def seed(self, charge: Charge, spent_nanos: int, calls: int, reading: Reading = None) -> bool:
        """Sets settled spend and settled calls of a scope's window, as read from the ledger after `prepare`.

        Does nothing if the store knows them by now. False: something was settled meanwhile, prepare and read again.
        """
        ...

    async def adjust(self, charge: Charge, delta_nanos: int) -> None:
        """Adds to the settled spend of a scope's window, if the store knows it. It is no call."""
        ...

    async def forget(self, charges: Iterable[Charge]) -> None:
        """The ledger got records of these windows that were not settled here: they have to be seeded anew."""
        ...

    async def delivered(self) -> None:
        """Returns once everyone who shares these counters sees each settlement so far, or cannot be told.

        To be awaited before the records of those settlements are written where `seed` reads.
        """
        ...

    async def everyone_flushes(self) -> None:
        """Returns once everyone who shares these counters has brought its records to the ledger, or cannot."""
        ...

    async def release(self, worker: str) -> bool:
        """Gives back what a worker that is gone had reserved, once its records are in the ledger; False: try later."""
        ...

    async def spent(self, scope: Scope) -> int | None:
        """Settled nano-dollars in the scope's current window; None if the store does not know."""
        ...

    async def forget_idle(self, before: float) -> int:
        """Drops counters unused since `before` that hold no reservation; how many. Their spend is in the ledger."""
        ...
