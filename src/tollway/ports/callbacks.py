"""Where calls are told about: tools for tracing, webhooks, chats, object storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tollway.core.record import Record


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A call that ended."""

    record: Record
    payload: Mapping[str, Any]
    """The contract's `StandardLoggingPayload`: what is left of it where messages are not to be told is decided here."""


class Destination(Protocol):
    """One place that is told about calls, some at a time."""

    async def deliver(self, events: Sequence[Event]) -> None:
        """Sends them all; to be told of one twice must do no harm.

        Raises `UpstreamError` where trying again may help, and `Misconfigured` where it does not.
        """
        ...

    async def close(self) -> None:
        """Lets go of connections. What was not delivered is lost."""
        ...
