"""Credentials that end: fetched once for everybody, renewed ahead of time. For vendors that want a sign-in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from tollway.core.snapshot import Endpoint

RENEW_BEFORE_S = 300.0


class Lease(Protocol):
    """What ends."""

    @property
    def expires_in_s(self) -> float:
        """How long it lives from when it was fetched, in seconds."""
        ...


LeaseT = TypeVar("LeaseT", bound=Lease)


class Token(msgspec.Struct, frozen=True):
    """An access token and how long it lives from now, in seconds."""

    value: str
    expires_in_s: float


class Renewed(Generic[LeaseT]):
    """A credential that ends: fetched once for all who ask, renewed before it ends.

    In its last five minutes it is still handed out while the next one is fetched, so that a short outage of whoever
    gives it out hurts nobody. A failed fetch is not remembered.
    """

    def __init__(self, fetch: Callable[[], Awaitable[LeaseT]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lease: LeaseT | None = None
        self._renew_at = self._ends_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def get(self) -> LeaseT:
        """One that is valid. Raises `UpstreamError` when there is none and none can be had."""
        now = self._clock()
        if now >= self._renew_at and self._fetching is None:
            self._fetching = asyncio.create_task(self._renew())
            self._fetching.add_done_callback(self._finish)
        if now >= self._ends_at and self._fetching is not None:
            await asyncio.shield(self._fetching)  # one caller's cancellation is not everybody's
        assert self._lease is not None
        return self._lease

    async def _renew(self) -> None:
        lease = await self._fetch()
        now = self._clock()
        self._lease = lease
        self._ends_at = now + lease.expires_in_s
        self._renew_at = now + max(lease.expires_in_s - RENEW_BEFORE_S, lease.expires_in_s / 2)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # whoever waits has it; where nobody does, the old one still serves


class TokenSource:
    """The `Authorization` header of an access token."""

    def __init__(self, fetch: Callable[[], Awaitable[Token]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens = Renewed(fetch, clock=clock)

    async def __call__(self, endpoint: Endpoint, body: bytes) -> tuple[tuple[str, str], ...]:
        """The header, whatever is asked. Raises `UpstreamError` when there is no valid token and none can be had."""
        token = await self._tokens.get()
        return (("Authorization", f"Bearer {token.value}"),)
