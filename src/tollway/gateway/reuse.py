"""Answers that were given before: found, handed out again, and kept.

serve ── cache_key ──┬─ none ──────────── asked
                     ├─ found ─────────── reused: admitted, settled at no cost
                     ├─ on its way ────── waited for (single flight), then reused
                     └─ not found ─────── asked, and kept if it came well
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tollway.core.caching import Caching
from tollway.core.snapshot import Deployment, ModelGroup
from tollway.core.usage import NO_USAGE, Usage
from tollway.gateway.admission import Admission
from tollway.gateway.answer import Answer
from tollway.gateway.call import Call
from tollway.gateway.resemblance import Resemblance
from tollway.gateway.settle import Settler
from tollway.gateway.stream import Keep, Replay, Stream
from tollway.ports.responses import KeptAnswer, ResponseStore
from tollway.routing.router import Router

Served = Answer | Stream | Replay
Ask = Callable[[Call, ModelGroup], Awaitable[Answer | Stream]]


class Reuse:
    """The cache of answers, as the gateway uses it."""

    def __init__(
        self,
        store: ResponseStore,
        admission: Admission,
        settler: Settler,
        clock: Callable[[], float],
        resemblance: Resemblance | None = None,
    ) -> None:
        """`clock` gives epoch seconds. Without `resemblance` answers are found by the same words only."""
        self.store = store
        self._resemblance = resemblance
        self._admission = admission
        self._settler = settler
        self._clock = clock
        self._flights: dict[str, asyncio.Future[KeptAnswer | None]] = {}
        """Of whole answers that are on their way, by key; None: nothing came of it."""

    async def serve(self, call: Call, group: ModelGroup, caching: Caching, router: Router, ask: Ask) -> Served:
        """The answer that a call can have without asking, else what comes of `ask`. Raises what either does."""
        kept = await self.find(call)
        is_shared = caching.is_single_flight and not call.request.is_stream and not call.controls.cache.skips_read
        if kept is None and is_shared:
            kept = await self.wait(call)
        if kept is not None:
            return await self._again(call, group, kept)
        if not is_shared:
            return await self._resemble_or_ask(call, group, caching, router, ask)
        key, flight = call.cache_key, self.lead(call)
        try:
            return await self._resemble_or_ask(call, group, caching, router, ask)
        finally:
            self.land(key, flight)

    def keeping(self, call: Call, caching: Caching) -> Keep | None:
        """Keeps the answer of a call, if it is to be kept."""
        if not call.cache_key:
            return None

        def keep(body: bytes, usage: Usage | None, cost_nanos: int, response_id: str) -> None:
            self.keep(call, caching, body, usage=usage, cost_nanos=cost_nanos, response_id=response_id)

        return keep

    async def _resemble_or_ask(
        self, call: Call, group: ModelGroup, caching: Caching, router: Router, ask: Ask
    ) -> Served:
        if self._resemblance is not None and caching.likeness is not None:
            similar = await self._resemblance.look(call, group, caching, caching.likeness, router)
            if similar is not None:
                call.cache_key, call.similarity = similar.key, similar.similarity
                return await self._again(call, group, similar.answer)
        return await ask(call, group)

    async def _again(self, call: Call, group: ModelGroup, kept: KeptAnswer) -> Served:
        await self.settle(call, group, kept)
        return Replay(kept.body) if kept.is_stream else Answer(kept.body, (), 0)

    async def find(self, call: Call) -> KeptAnswer | None:
        """The answer that a call can have, by its `cache_key`."""
        control = call.controls.cache
        if control.skips_read:
            return None
        kept = await self.store.get(call.cache_key)
        if kept is None or kept.is_stream != call.request.is_stream:
            return None
        if control.max_age_s is not None and self._clock() - kept.created_at > control.max_age_s:
            return None
        return kept

    async def wait(self, call: Call) -> KeptAnswer | None:
        """The answer of a call that is alike and on its way, once it is there; None: this call has to ask itself."""
        while (flight := self._flights.get(call.cache_key)) is not None:
            kept = await asyncio.shield(flight)
            if kept is not None:
                return kept
        return None

    def lead(self, call: Call) -> asyncio.Future[KeptAnswer | None]:
        """Others that are alike wait for this call from now on, until `land`."""
        flight = self._flights[call.cache_key] = asyncio.get_running_loop().create_future()
        return flight

    def land(self, key: str, flight: asyncio.Future[KeptAnswer | None]) -> None:
        """They need not wait any longer. `key`: of the call when it began to lead."""
        self._flights.pop(key, None)
        if not flight.done():
            flight.set_result(None)

    async def settle(self, call: Call, group: ModelGroup, kept: KeptAnswer) -> None:
        """Admits a call that gets an answer again, and settles it: it counts as a call, and costs nothing.

        Raises what admission raises, and what settlement does.
        """
        call.kept = kept
        call.deployment = _made_by(kept, group)
        await self._admission.admit_reuse(call)
        if call.audience is not None:
            call.audience.answer.add(kept.body)
        await self._settler.settle(call, NO_USAGE, response_id=kept.response_id)

    def keep(
        self, call: Call, caching: Caching, body: bytes, *, usage: Usage | None, cost_nanos: int, response_id: str
    ) -> None:
        """Keeps the answer that a call got, for as long as it wants."""
        assert call.deployment is not None
        kept = KeptAnswer(
            created_at=self._clock(),
            body=body,
            is_stream=call.request.is_stream,
            response_id=response_id,
            deployment_id=call.deployment.id,
            cost_nanos=cost_nanos,
            tokens=usage.total_tokens if usage is not None else 0,
        )
        flight = self._flights.get(call.cache_key)
        if flight is not None and not flight.done():
            flight.set_result(kept)
        control = call.controls.cache
        if not control.skips_write and len(body) <= caching.max_answer_bytes:
            ttl_s = caching.ttl_s if control.ttl_s is None else control.ttl_s
            if self._resemblance is not None and call.meaning is not None:
                self._resemblance.put(call.cache_key, kept, ttl_s, call.meaning)
            else:
                self.store.put(call.cache_key, kept, ttl_s)


def _made_by(kept: KeptAnswer, group: ModelGroup) -> Deployment:
    """The deployment that had made the answer; if that is gone, another of the group stands for it in the record."""
    return next((one for one in group.deployments if one.id == kept.deployment_id), group.deployments[0])
