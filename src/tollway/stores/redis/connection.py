"""Connections to Redis or Valkey: standalone, watched by Sentinels, or a cluster.

Nothing is tried twice here: a command that failed may have been done, and whoever waits is better told at once. Every
wait is bounded, and so are the connections.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionFailed
from redis.exceptions import RedisClusterException
from typing_extensions import override

from tollway.core.redis import RedisAddress

RedisClient = Redis | RedisCluster


def open_redis(address: RedisAddress) -> RedisClient:
    """A client, which connects when it is first used; `close_redis` it at the end.

    Its commands raise `redis.exceptions.RedisError` soon: none waits longer than the address says. Keys and channels
    begin with `address.prefix`.
    """
    match address.kind:
        case "cluster":
            return _open_cluster(address)
        case "sentinel":
            return Redis.from_pool(_sentinel_pool(address))
        case _:
            return Redis.from_pool(_pool(address))


async def close_redis(client: RedisClient) -> None:
    """Closes every connection of a client."""
    pool = getattr(client, "connection_pool", None)
    await client.aclose()
    if isinstance(pool, _SentinelPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _pool(address: RedisAddress) -> BlockingConnectionPool:
    options = _options(address) | {"db": address.db}
    if address.socket_path is not None:
        options |= {"connection_class": UnixDomainSocketConnection, "path": address.socket_path}
    else:
        (node,) = address.nodes
        options |= {"host": node.host, "port": node.port}
        if address.is_tls:
            options |= {"connection_class": SSLConnection, **_tls(address)}
    return BlockingConnectionPool(max_connections=address.connections, timeout=address.answer_timeout_s, **options)


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Asks the sentinels where the server is for every new connection, and has no more of them than it may."""


def _sentinel_pool(address: RedisAddress) -> _SentinelPool:
    tls = _tls(address) if address.is_tls else {}
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        [(node.host, node.port) for node in address.nodes],
        sentinel_kwargs={
            **_patience(address),
            **({"ssl": True, **tls} if tls else {}),
            "username": address.sentinel_username,
            "password": address.sentinel_password,
        },
    )
    return _SentinelPool(  # type: ignore[no-untyped-call]
        address.service_name,
        sentinels,
        max_connections=address.connections,
        timeout=address.answer_timeout_s,
        connection_class=SentinelManagedSSLConnection if tls else SentinelManagedConnection,
        db=address.db,
        **_options(address),
        **tls,
    )


class _BoundedCluster(RedisCluster):
    """A cluster whose callers wait for a connection, where the library's own refuses them."""

    def __init__(self, *, turns: int, wait_s: float, **options: Any) -> None:
        super().__init__(**options)
        self._turns = asyncio.Semaphore(turns)
        self._wait_s = wait_s

    @override
    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """As a plain client does it, once it is this command's turn."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turns.acquire()
        except TimeoutError as error:
            raise ConnectionFailed("No connection available.") from error
        try:
            return await super().execute_command(*args, **kwargs)
        except (RedisClusterException, LookupError) as error:  # no node can be asked, or none has this key
            raise ConnectionFailed(f"The cluster cannot be used: {type(error).__name__}") from error
        finally:
            self._turns.release()


def _open_cluster(address: RedisAddress) -> RedisCluster:
    return _BoundedCluster(
        turns=address.connections,
        wait_s=address.answer_timeout_s,
        startup_nodes=[ClusterNode(node.host, node.port) for node in address.nodes],
        max_connections=address.connections + 1,
        require_full_coverage=False,  # one node away must not stop a gateway whose keys are on another
        dynamic_startup_nodes=False,  # names go on being looked up: the addresses behind them change
        **_options(address),
        **({"ssl": True, **_tls(address)} if address.is_tls else {}),
    )


def _options(address: RedisAddress) -> dict[str, Any]:
    return {**_patience(address), "username": address.username, "password": address.password, "client_name": "tollway"}


def _patience(address: RedisAddress) -> dict[str, Any]:
    return {
        # The library's own default is ten tries with pauses between them, behind which callers would wait.
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": address.connect_timeout_s,
        "socket_timeout": address.answer_timeout_s,
        "protocol": 2,
    }


def _tls(address: RedisAddress) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": "required" if address.checks_certificate else "none",
        "ssl_check_hostname": address.checks_certificate,
        "ssl_ca_certs": address.ca_file,
    }
