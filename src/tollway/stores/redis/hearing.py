"""Hearing what is published on a channel, and noticing when it cannot be heard any more."""

from __future__ import annotations

from collections.abc import AsyncIterator

from redis.exceptions import RedisClusterException, RedisError

from tollway.stores.redis.connection import RedisClient

UNREACHABLE = (RedisError, RedisClusterException, OSError)
"""What the client raises when the server cannot be asked."""
_QUIET_S = 2.0
"""After so long without a word the server is asked whether it is still there."""


async def hear(client: RedisClient, channel: str, *, answer_timeout_s: float) -> AsyncIterator[bytes]:
    """Every message of a channel, after one empty message that says that it hears from now on.

    Takes one connection of the client. Ends by raising one of `UNREACHABLE`, soon after nothing can be heard any more.
    """
    listener = client.pubsub()
    try:
        await client.initialize()  # a cluster has to be known before there is somebody to listen to
        await listener.subscribe(channel)
        is_asked = False
        while True:
            wait_s = answer_timeout_s if is_asked else _QUIET_S
            message = await listener.get_message(ignore_subscribe_messages=False, timeout=wait_s)
            if message is None and is_asked:
                raise TimeoutError("Redis does not answer")
            is_asked = message is None
            if message is None:
                await listener.ping()
            elif message["type"] == "subscribe":
                yield b""
            elif message["type"] == "message":
                yield message["data"]
    finally:
        await listener.aclose()  # type: ignore[no-untyped-call]
