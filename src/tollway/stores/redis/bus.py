"""`ChangeBus` on Redis or Valkey: one channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from redis.exceptions import RedisClusterException, RedisError
from typing_extensions import override

from tollway.core.changes import NumberedChange, encode_words
from tollway.core.redis import RedisAddress
from tollway.ports.changes import BusUnavailable, ChangeBus
from tollway.stores.redis.connection import RedisClient

_QUIET_S = 2.0
"""After so long without a word the server is asked whether it is still there."""


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
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error

    @override
    async def listen(self) -> AsyncIterator[bytes]:
        listener = self._client.pubsub()
        try:
            await self._client.initialize()  # a cluster has to be known before there is somebody to listen to
            await listener.subscribe(self._channel)
            is_asked = False
            while True:
                wait_s = self._answer_timeout_s if is_asked else _QUIET_S
                message = await listener.get_message(ignore_subscribe_messages=False, timeout=wait_s)
                if message is None and is_asked:
                    raise BusUnavailable("Redis does not answer")
                is_asked = message is None
                if message is None:
                    await listener.ping()
                elif message["type"] == "subscribe":
                    yield b""
                elif message["type"] == "message":
                    yield message["data"]
        except (RedisError, RedisClusterException, OSError) as error:
            raise _unavailable(error) from error
        finally:
            await listener.aclose()  # type: ignore[no-untyped-call]


def _unavailable(error: Exception) -> BusUnavailable:
    return BusUnavailable(f"Redis does not answer ({type(error).__name__})")
