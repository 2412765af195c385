"""Limits and budgets that hold on any number of workers: counters in Redis or Valkey.

Every call asks once, before its provider is asked; settlements are told and not waited for. What this worker itself
holds is kept beside (`MemoryCounterStore`), for two reasons: a counter that the server lost is made again from the
ledger and from what all workers hold (`gathering`); and while the server is away each worker goes on alone, with its
share of every limit (`share`).

Why the counters are exact, whatever is lost on the way:

1. A scope's counters have a generation. What was held in another one is not settled in this one.
2. A new generation knows the spend of a window only after every member has registered what it holds and brought its
   journal to the ledger; a settlement that comes in between makes the reader read again.
3. A record reaches the database only after its settlement has reached the server (`delivered`), so what the reader
   finds there is never told again.
4. A worker that lost its lease, its connection, or an answer, forgets on its return every scope that it has touched
   since (rule 2 then makes them anew). So it never matters what became of an operation that was under way.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec

from tollway.core.errors import StoreUnavailable
from tollway.core.principal import Scope, budget_only
from tollway.core.record import Charge
from tollway.core.tasks import end_tasks
from tollway.ports.counters import Crossed, Reading, Refusal, Settled, Ticket, Unseeded
from tollway.stores.memory.counter import SettledSum, explain
from tollway.stores.memory.counters import MemoryCounterStore, MemoryTicket
from tollway.stores.redis.channel import Operation, OperationChannel, Pending, Send
from tollway.stores.redis.gathering import Gathering, Generations, Members
from tollway.stores.redis.reservation import Reservation
from tollway.stores.redis.retries import Retries
from tollway.stores.redis.share import Known, local_share
from tollway.stores.redis.wire import Settlement, buckets_of, counter_of, is_told, limit_of, name_of, remaining

_log = logging.getLogger(__name__)

LEASE_S = 3.0
_RENEWALS = 6
"""In one lease."""
_RETRY_S = 0.25
_POLL_S = 0.1
"""How often a call that waits for others' reservations asks again: settlements elsewhere wake nobody here."""
_RECENT_S = 10.0
"""Far longer than a settlement takes to get through: what was used before is safely told."""
_FORGET_AT_ONCE = 1_000
_FLUSH_S = 1.0
"""Who reads spend waits no longer for other members: they flush by themselves every second."""


class Opened(dict[str, tuple[str, int]]):
    """`ports.counters.Reading`: generation and number of early settlements of each scope, before the ledger is read."""


class RedisCounterStore:
    """`ports.counters.CounterStore` shared by all workers that use the same server and prefix."""

    def __init__(
        self,
        own: MemoryCounterStore,
        send: Send,
        *,
        worker: str,
        timeout_s: float = 0.04,
        lease_s: float = LEASE_S,
        workers_expected: int = 2,
    ) -> None:
        """`own`: what this worker holds. `send` performs operations for `worker`.

        `timeout_s`: an answer that takes longer counts as an outage. `lease_s`: a worker that is not heard of for so
        long does not count any more. `workers_expected`: by how many the limits are divided at least, while the server
        is away.
        """
        self._own = own
        self._workers_expected = workers_expected
        self._lease_s = lease_s
        self.members = Members(worker)
        self._channel = OperationChannel(send, timeout_s=timeout_s, lost=self._lost, expelled=self._join_again)
        self._timeout_s = timeout_s
        self._send = send
        self._gathering: Gathering | None = None
        self._flush: Callable[[], Any] | None = None
        self._crossed: Crossed = _ignore
        self.is_shared = True
        """False while the server is away and this worker goes by its share of the limits."""
        self._heard_at = own.now()
        self._known_then: dict[Charge, Known] = {}
        """What was known when the server went away, of the windows asked for since."""
        self._stale: set[str] = set()
        """Scopes whose counters missed something, to be forgotten when the server is back."""
        self._next_gathering: tuple[dict[str, None], asyncio.Task[Opened]] | None = None
        self._this_gathering: asyncio.Task[Opened] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._recovery: asyncio.Task[None] | None = None
        self._retries = Retries(_RETRY_S)

    # The port

    async def reserve(
        self, scopes: Sequence[Scope], *, tokens: int, cost_nanos: int, is_more: bool = False
    ) -> Ticket | Refusal | Unseeded:
        """Takes one call, one parallel slot, `tokens` and `cost_nanos` in every scope, or nothing at all."""
        if is_more:
            scopes = [budget_only(scope) for scope in scopes]
        calls = 0 if is_more else 1
        if self.is_shared and scopes:
            reservation = Reservation(
                make=lambda: self.request(scopes, tokens, cost_nanos, calls),
                read=lambda reply: self.answer(reply, scopes, tokens, cost_nanos, calls),
                give_back=lambda ticket: self.settle(ticket, tokens=0, cost_nanos=0),
            )
            self._channel.put(reservation)
            answer = await reservation.answer
            if answer is not None:
                return answer
        return await self._reserve_alone(scopes, tokens, cost_nanos, is_more=is_more)

    async def settle(self, ticket: Ticket, *, tokens: int, cost_nanos: int) -> Settled:
        """Replaces the reservation by what was used and frees the parallel slot. Raises on a ticket settled before."""
        settled, crossed_here = self._own.replace(ticket, tokens=tokens, cost_nanos=cost_nanos)
        assert isinstance(ticket, MemoryTicket)

        def tell(scopes: Iterable[Scope] = crossed_here) -> None:
            for scope in scopes:
                self._crossed(scope)

        if self.is_shared and ticket.holds:
            told = Settlement(ticket, settled.charges, tokens=tokens, cost_nanos=cost_nanos, calls=ticket.calls)
            self._channel.put(Pending(told, lambda sums: tell(told.crossed(sums, crossed_here)), tell))
        else:
            tell()
        return settled

    async def withdraw(self, ticket: Ticket, scopes: Collection[Scope]) -> None:
        """Ends what an open ticket holds in these scopes: the call will not use them after all."""
        part = self._own.part(ticket, scopes)
        charges = tuple(self._charge(scope) for scope, _ in part.holds)
        told = Settlement(part, charges, tokens=0, cost_nanos=0, calls=0)
        self._own.give_back(part)
        if self.is_shared and charges:
            self._channel.put(Pending(told, _ignore, _nothing))

    def tell_crossed(self, crossed: Crossed) -> None:
        """Who is told from now on of a scope whose soft budget a settlement has reached, wherever it was made."""
        self._crossed = crossed

    async def changed(self, timeout_s: float) -> bool:
        """Waits until some reservation may have been settled; False after `timeout_s`."""
        pause_s = _POLL_S * random.uniform(0.5, 1.5)
        is_settled = await self._own.changed(min(timeout_s, pause_s))
        return is_settled or pause_s < timeout_s

    async def prepare(self, charges: Sequence[Charge]) -> Reading:
        """Has everybody bring to the ledger what they know of these scopes. Raises `StoreUnavailable`."""
        if not self.is_shared:
            return None
        if self._next_gathering is None:
            wanted: dict[str, None] = {}
            task = asyncio.create_task(self._gather_after(self._this_gathering, wanted))
            task.add_done_callback(_retrieve)
            self._next_gathering = wanted, task
        wanted, task = self._next_gathering
        wanted.update((name_of(charge), None) for charge in charges)
        try:
            return await asyncio.shield(task)
        except ConnectionError:
            return None  # the server is away: each for itself

    async def seed(self, charge: Charge, spent_nanos: int, calls: int, reading: Reading = None) -> bool:
        """Sets what was settled in a scope's window, unless it is known by now; False: read again."""
        await self._own.seed(charge, spent_nanos, calls)
        if not self.is_shared:
            return True
        name = name_of(charge)
        if not isinstance(reading, Opened) or name not in reading:
            return False
        generation, early = reading[name]
        try:
            is_known: bool = await self._channel.ask(
                *("seed", name, generation, early, charge.window_start, str(spent_nanos), str(calls))
            )
        except ConnectionError:
            return True
        return is_known

    async def adjust(self, charge: Charge, delta_nanos: int) -> None:
        """Adds to the settled spend of a scope's window, if it is known."""
        await self._own.adjust(charge, delta_nanos)
        try:
            if self.is_shared:
                await self._channel.ask("adjust", name_of(charge), charge.window_start, delta_nanos)
                return
        except ConnectionError:
            pass
        self._stale.add(name_of(charge))

    async def forget(self, charges: Iterable[Charge]) -> None:
        """The ledger has records of these windows that nobody settled here: they are read from it again."""
        names = sorted({name_of(charge) for charge in charges})
        try:
            if self.is_shared:
                await self._channel.ask("forget", names)
                return
        except ConnectionError:
            pass
        self._stale.update(names)

    async def everyone_flushes(self) -> None:
        """Returns once every member has brought its records to the ledger; one that does not answer soon is left."""
        if not self.is_shared or self._gathering is None or not self.members.others():
            return
        with suppress(ConnectionError, StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._gathering.gather({})

    async def release(self, worker: str) -> bool:
        """Gives back what a worker that is gone had reserved, once its journal is in the ledger; False: try later."""
        if not self.is_shared:
            return False
        try:
            count: int = await self._channel.ask("release", worker)
        except ConnectionError:
            return False
        if count:
            _log.info("counters: worker %s is gone; its reservations in %d scopes are given back", worker, count)
        return True

    async def spent(self, scope: Scope) -> int | None:
        """Settled nano-dollars in the scope's current window, as of its last reservation here, and what followed."""
        return await self._own.spent(scope)

    async def forget_idle(self, before: float) -> int:
        """Drops what this worker keeps of scopes that it has not used since `before`. The server forgets by itself."""
        return await self._own.forget_idle(before)

    async def delivered(self) -> None:
        """Returns once every settlement so far has reached the server, or the server is away."""
        if self.is_shared:
            await self._channel.delivered()

    @property
    def workers(self) -> int:
        """By how many the limits are divided while the server is away."""
        return max(self.members.count, self._workers_expected)

    # Being a member

    async def start(self, gathering: Callable[..., Gathering], flush: Callable[[], Any]) -> None:
        """Joins the others. `flush` returns once all records so far are in the ledger."""
        self._flush = flush
        self._gathering = gathering(members=self.members, ask=self._channel.ask, bring=self._bring)
        with suppress(ConnectionError):  # said and looked after by `_lost`
            self.members.saw(await self._channel.ask("join", self._lease_s))
            await self._gathering.announce(self._lease_s)
        self._tasks = [asyncio.create_task(self._gathering.listen()), asyncio.create_task(self._renew())]

    async def close(self) -> None:
        """Leaves, once every settlement is told."""
        await end_tasks((*self._tasks, self._recovery))
        if self.is_shared:
            try:
                await self._channel.ask("leave")
            except ConnectionError:
                return

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / _RENEWALS)
            if self.is_shared:
                self._channel.put(Pending(lambda: ("join", self._lease_s), self.members.saw, _nothing))

    def _join_again(self) -> Sequence[Operation]:
        """The server does not know this worker: it was emptied, or the worker was away for longer than its lease."""
        _log.warning("counters: this worker is not a member any more; what it counted is made anew from the ledger")
        return (("join", self._lease_s), ("forget", self._touched()))

    def _touched(self) -> list[str]:
        """Scopes in which something may have got lost. Nothing is held in any generation from here on."""
        since = self._heard_at - _RECENT_S
        touched = set(self._stale)
        for counter in self._own.counters():
            if counter.in_flight or counter.used_at >= since:
                touched.add(counter.name)
            counter.generation = None
        self._stale.clear()
        return sorted(touched)

    def _lost(self, error: BaseException) -> None:
        """An answer did not come: from now on each for itself, until the server is back."""
        if not self.is_shared:
            return
        self.is_shared = False
        self._retries.went_away()
        self._known_then.clear()
        _log.error(
            "counters: the shared server is away (%s); this worker goes on alone with 1/%d of every limit",
            *(str(error) or type(error).__name__, self.workers),
        )
        self._recovery = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        joining = OperationChannel(self._send, timeout_s=self._timeout_s, lost=_ignore, expelled=lambda: ())
        while True:
            await self._retries.pause()
            try:
                members = await joining.ask("join", self._lease_s)
            except ConnectionError:
                continue
            self.members.saw(members)
            break
        self.is_shared = True
        self._retries.came_back()
        touched = self._touched()
        for start in range(0, len(touched), _FORGET_AT_ONCE):
            names = touched[start : start + _FORGET_AT_ONCE]
            self._channel.put(Pending(_operation("forget", names), _ignore, lambda: None))
        self._heard_at = self._own.now()
        self._known_then.clear()
        _log.warning("counters: the shared server is back; %d scopes are made anew from the ledger", len(touched))

    # Reserving

    def request(self, scopes: Sequence[Scope], tokens: int, cost_nanos: int, calls: int) -> Operation:
        """The operation that reserves."""
        window = self._own.current_window
        limits = [
            (
                *(f"{scope.kind}:{scope.id}", window(scope.budget_duration).start),
                *(limit_of(scope.budget_nanos), limit_of(scope.rpm), limit_of(scope.tpm)),
                *(limit_of(scope.parallel), limit_of(scope.max_calls)),
                *(() if scope.max_repeats is None else (scope.max_repeats, scope.fingerprint)),
            )
            for scope in scopes
        ]
        return ("reserve", tokens, cost_nanos, limits, calls)

    def answer(
        self, reply: Sequence[Any], scopes: Sequence[Scope], tokens: int, cost_nanos: int, calls: int
    ) -> MemoryTicket | Refusal | Unseeded:
        """What the server's reply to a reservation means; of one that was made, a ticket is kept here too."""
        self._heard_at = self._own.now()
        match reply:
            case ("taken", second, states):
                return self._taken(scopes, states, second, tokens, cost_nanos, calls)
            case ("unseeded", positions):
                asked = [scopes[position - 1] for position in positions]
                return Unseeded(
                    tuple(
                        Charge(one.kind, one.id, self._own.current_window(one.budget_duration).start) for one in asked
                    )
                )
            case (_, now, states):
                return self._refused(scopes, states, float(now))
        raise ValueError(f"unexpected reply {reply!r}")

    def _taken(
        self, scopes: Sequence[Scope], states: Sequence[Any], second: int, tokens: int, cost_nanos: int, calls: int
    ) -> MemoryTicket:
        known = [SettledSum(int(settled), int(so_far)) for _, settled, _, _, _, so_far, _ in states]
        ticket = self._own.take(scopes, known, second=second, tokens=tokens, cost_nanos=cost_nanos, calls=calls)
        for (_, counter), state in zip(ticket.holds, states, strict=True):
            generation = state[0]
            if counter.generation is not None and counter.generation != generation:
                self._stale.add(counter.name)
            counter.generation = generation
            counter.elsewhere_nanos = max(0, int(state[-1]) - counter.reserved_nanos)
        ticket.remaining = [
            remaining(scope, state) for scope, state in zip(scopes, states, strict=True) if is_told(scope)
        ]
        if self._stale:
            self._channel.put(Pending(_operation("forget", sorted(self._stale)), _ignore, _nothing))
            self._stale.clear()
        return ticket

    def _refused(self, scopes: Sequence[Scope], states: Sequence[Any], now: float) -> Refusal:
        windows = [self._own.current_window(scope.budget_duration) for scope in scopes]
        counters = [
            counter_of(scope, state, window.start, now)
            for scope, state, window in zip(scopes, states, windows, strict=True)
        ]
        return explain(scopes, counters, windows, now)

    async def _reserve_alone(
        self, scopes: Sequence[Scope], tokens: int, cost_nanos: int, *, is_more: bool
    ) -> Ticket | Refusal | Unseeded:
        """Within this worker's share of every limit."""
        workers = self.workers
        local = [local_share(scope, workers, self._known(scope), cost_nanos) for scope in scopes]
        answer = await self._own.reserve(local, tokens=tokens, cost_nanos=cost_nanos, is_more=is_more)
        if isinstance(answer, Refusal):
            return msgspec.structs.replace(answer, divided_by=workers)
        if isinstance(answer, MemoryTicket):
            answer.divided_by = workers
        return answer

    def _charge(self, scope: Scope) -> Charge:
        return Charge(scope.kind, scope.id, self._own.current_window(scope.budget_duration).start)

    def _known(self, scope: Scope) -> Known:
        charge = self._charge(scope)
        known = self._known_then.get(charge)
        if known is None:
            found = self._own.settled_in(charge)
            if found is None:
                return Known()  # nothing is reserved in it before it is seeded
            counter = self._own.named(name_of(charge))
            elsewhere = counter.elsewhere_nanos if counter is not None else 0
            known = self._known_then[charge] = Known(found.nanos, found.calls, elsewhere)
        return known

    # Making counters

    async def _gather_after(self, previous: asyncio.Task[Opened] | None, wanted: Mapping[str, None]) -> Opened:
        if previous is not None:
            await asyncio.wait([previous])
        assert self._next_gathering is not None
        assert self._gathering is not None
        self._this_gathering, self._next_gathering = self._next_gathering[1], None
        names = list(wanted)
        states, members = await self._channel.ask("open", uuid4().hex, names)
        self.members.saw(members)
        opened = Opened(zip(names, ((str(generation), int(early)) for generation, early in states), strict=True))
        await self._gathering.gather({name: generation for name, (generation, _) in opened.items()})
        return opened

    async def _bring(self, generations: Generations) -> None:
        """Registers what this worker holds in these scopes and flushes its journal.

        Raises `StoreUnavailable` without the database, `ConnectionError` without the server.
        """
        if not self.is_shared and self._recovery is not None:
            # What it admits alone cannot be registered, so nobody may read the ledger before this worker is back.
            self._retries.hear()
            await asyncio.wait([self._recovery], timeout=self._lease_s)
        if not self.is_shared:
            raise ConnectionError("The shared counters cannot be reached.")
        registered = asyncio.get_running_loop().create_future()

        def answered(_: Any) -> None:
            if not registered.done():
                registered.set_result(True)

        def failed() -> None:
            if not registered.done():
                registered.set_result(False)

        self._channel.put(Pending(lambda: ("register", self._holdings(generations)), answered, failed))
        if not await registered:
            raise ConnectionError("The shared counters cannot be reached.")
        assert self._flush is not None
        await self._flush()

    def _holdings(self, generations: Generations) -> list[tuple[Any, ...]]:
        """What is registered. Made when it goes out: every answer before is acted on, so nothing is under way."""
        holdings = []
        for name, generation in generations.items():
            counter = self._own.named(name)
            if counter is not None and counter.generation != generation:
                counter.generation = generation
                rates = (buckets_of(counter.requests), buckets_of(counter.tokens))
                holdings.append((name, generation, counter.reserved_nanos, counter.in_flight, *rates))
        return holdings


def _operation(*operation: Any) -> Callable[[], Operation]:
    return lambda: operation


def _ignore(_: Any) -> None:
    """An answer, or an error, that changes nothing."""


def _nothing() -> None:
    """A failure that `_lost` looks after."""


def _retrieve(task: asyncio.Future[Any]) -> None:
    # Everybody who waited may be gone; asyncio complains about errors that nobody looked at.
    if not task.cancelled():
        task.exception()
