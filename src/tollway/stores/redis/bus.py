"""`ChangeBus` on Redis or Valkey: one channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from typing_extensions import override

from tollway.core.changes import NumberedChange, encode_words
from tollway.core.redis import RedisAddress
from tollway.ports.changes import BusUnavailable, ChangeBus
from tollway.stores.redis.connection import RedisClient
from tollway.stores.redis.hearing import UNREACHABLE, hear


class RedisBus(ChangeBus):
    """Publishes and hears on the channel of an address. One connection of the client is taken while it listens."""

    def __init__(self, client: RedisClient, address: RedisAddress) -> None:
        self._client = client
        self._answer_timeout_s = address.answer_timeout_s
        # Channels are the same for all databases of a server, other than keys.
        self._channel = f"{address.prefix}changes" + (f":{address.db}" if address.db else "")

    @override
    async def publish(self, told_by: str, changes: Sequence[NumberedChange]) -> None:
        try:
            for message in encode_words(told_by, changes):
                await self._client.execute_command("PUBLISH", self._channel, message)
        except UNREACHABLE as error:
            raise _unavailable(error) from error

    @override
    async def listen(self) -> AsyncIterator[bytes]:
        try:
            async for message in hear(self._client, self._channel, answer_timeout_s=self._answer_timeout_s):
                yield message
        except UNREACHABLE as error:
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> BusUnavailable:
    return BusUnavailable(f"Redis does not answer ({type(error).__name__})")
