"""Where answers are kept: the store that the configuration asks for."""

from __future__ import annotations

import time

import msgspec

from tollway.config.configuration import AnswerStorage
from tollway.ports.responses import ResponseStore
from tollway.stores.redis import require_client

_CONNECTIONS = 32


def open_answers(storage: AnswerStorage | None) -> ResponseStore | None:
    """The store; None where nothing is kept. Connects to nothing yet, and imports what it needs only.

    Raises `Misconfigured` without the client library.
    """
    if storage is None:
        return None
    if storage.redis is not None:
        require_client()
        from tollway.stores.redis.connection import open_redis
        from tollway.stores.redis.responses import RedisResponseStore

        address = msgspec.structs.replace(storage.redis, connections=max(storage.redis.connections, _CONNECTIONS))
        return RedisResponseStore(open_redis(address), address, timeout_s=storage.timeout_s)
    if storage.kind == "disk":
        from tollway.stores.disk.responses import DiskResponseStore

        return DiskResponseStore(storage.folder, time.time, max_bytes=storage.max_bytes)
    from tollway.stores.memory.responses import MemoryResponseStore

    return MemoryResponseStore(time.time, max_bytes=storage.max_bytes)
