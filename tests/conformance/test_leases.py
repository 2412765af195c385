"""What one of several processes does for all."""

from __future__ import annotations

from uuid import uuid4

from tests.conformance.test_shared_cooldowns import address
from tests.support.ports import free_port
from tests.support.valkey import shared_url

from tollway.stores.redis.connection import close_redis, open_redis
from tollway.stores.redis.lease import RedisLease


async def test_one_holds_it_until_it_has_not_asked_for_long() -> None:
    at = address(shared_url(), uuid4().hex)
    client = open_redis(at)
    try:
        one = RedisLease(client, at, "probes", holder="one", seconds=60)
        two = RedisLease(client, at, "probes", holder="two", seconds=60)
        assert await one.hold()
        assert not await two.hold()
        assert await one.hold()
        await client.execute_command("DEL", f"{at.prefix}lease:probes")
        assert await two.hold()
        assert not await one.hold()
    finally:
        await close_redis(client)


async def test_where_nobody_can_be_asked_everybody_has_it() -> None:
    at = address(f"redis://127.0.0.1:{free_port()}", uuid4().hex)
    client = open_redis(at)
    try:
        assert await RedisLease(client, at, "probes", holder="one", seconds=60).hold()
    finally:
        await close_redis(client)
