"""Responses that a provider makes in the background: their usage is settled when somebody first gets them complete.

The call that began one is recorded without usage, since nobody knows any then. The record of the usage has an id that
is made of the response's, and the time at which the provider began it: so the ledger takes it once, whoever asks how
often, and by which process.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from tollway.core.ids import record_id_of
from tollway.core.snapshot import Deployment, ModelGroup
from tollway.core.usage import Usage
from tollway.dialects.responses.wire import HeadWire
from tollway.gateway.admission import Admission
from tollway.gateway.call import Call
from tollway.gateway.settle import Settler

_log = logging.getLogger(__name__)
_REMEMBERED = 10_000

IsBilled = Callable[[str], Awaitable[bool]]
"""Whether the ledger has a record of the response, by its provider's id, with usage. Raises `StoreUnavailable`."""


class BackgroundBilling:
    """Settles what responses of the background have used."""

    def __init__(self, admission: Admission, settler: Settler, is_billed: IsBilled, *, kept_s: float | None) -> None:
        """`kept_s`: how long the ledger keeps records; what is older was settled, or is not any more."""
        self._admission = admission
        self._settler = settler
        self._is_billed = is_billed
        self._kept_s = kept_s
        self._known: OrderedDict[str, None] = OrderedDict()
        """Of these it is known that they are settled: the ledger need not be asked."""

    async def settle(
        self, call: Call, group: ModelGroup | None, deployment: Deployment, response: HeadWire, usage: Usage
    ) -> None:
        """Settles a response for whoever asks for it, unless that was done before.

        Raises `StoreUnavailable` or `Overloaded` where it cannot be settled now: then it must not be given away.
        """
        if not response.background or not usage.total_tokens or not response.id or response.created_at is None:
            return
        name = f"{deployment.id}/{response.id}"
        if name in self._known or (self._kept_s and response.created_at < time.time() - self._kept_s):
            return
        self._remember(name)  # at once: whoever asks meanwhile does not settle it too
        try:
            if not await self._is_billed(response.id):
                await self._settle(call, group, deployment, response, usage)
        except BaseException:
            self._known.pop(name, None)
            raise

    async def _settle(
        self, call: Call, group: ModelGroup | None, deployment: Deployment, response: HeadWire, usage: Usage
    ) -> None:
        call.group = call.asked_group = group
        call.deployment = deployment
        call.started_at_us = int((response.created_at or 0) * 1e6)
        digest = hashlib.sha256(f"{deployment.id}/{response.id}".encode()).digest()
        call.record_id = record_id_of(call.started_at_us // 1000, int.from_bytes(digest[:10], "big"))
        await self._admission.admit_late(call, deployment)
        cost = await self._settler.settle(call, usage, response_id=response.id or "")
        _log.debug("settled a response of the background: %s, %d nano-dollars", call.record_id, cost)

    def _remember(self, name: str) -> None:
        self._known[name] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
