"""Access tokens that end: fetched once for everybody, renewed ahead of time. For vendors that want a sign-in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

RENEW_BEFORE_S = 300.0


class Token(msgspec.Struct, frozen=True):
    """An access token and how long it lives from now, in seconds."""

    value: str
    expires_in_s: float


class TokenSource:
    """The `Authorization` header of an access token: fetched once for all who ask, renewed before it ends.

    In its last five minutes a token is still handed out while the next one is fetched, so that a short outage of the
    token endpoint hurts nobody. A failed fetch is not remembered.
    """

    def __init__(self, fetch: Callable[[], Awaitable[Token]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._header: tuple[tuple[str, str], ...] = ()
        self._renew_at = self._ends_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def __call__(self) -> tuple[tuple[str, str], ...]:
        """The header. Raises `UpstreamError` when there is no valid token and none can be had."""
        now = self._clock()
        if now >= self._renew_at and self._fetching is None:
            self._fetching = asyncio.create_task(self._renew())
            self._fetching.add_done_callback(self._finish)
        if now >= self._ends_at and self._fetching is not None:
            await asyncio.shield(self._fetching)  # one caller's cancellation is not everybody's
        return self._header

    async def _renew(self) -> None:
        token = await self._fetch()
        now = self._clock()
        self._header = (("Authorization", f"Bearer {token.value}"),)
        self._ends_at = now + token.expires_in_s
        self._renew_at = now + max(token.expires_in_s - RENEW_BEFORE_S, token.expires_in_s / 2)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # whoever waits has it; where nobody does, the old token still serves
