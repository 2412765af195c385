"""Where answers are kept: the store that the configuration asks for."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from tollway.app.late import Database
from tollway.config.configuration import AnswerStorage
from tollway.core.errors import Misconfigured
from tollway.core.snapshot import TransportName
from tollway.ports.responses import AnswerTable, ResponseStore
from tollway.ports.sealing import Seal
from tollway.ports.transport import Transport
from tollway.stores.redis import require_client

_CONNECTIONS = 32


class Surroundings(msgspec.Struct, frozen=True):
    """What the stores use of the gateway."""

    database: Database
    table: AnswerTable
    seal: Seal
    transports: Mapping[TransportName, Transport]
    environ: Mapping[str, str]


def open_answers(storage: AnswerStorage | None, surroundings: Surroundings) -> ResponseStore | None:
    """The store; None where nothing is kept. Connects to nothing yet, and imports what it needs only.

    Raises `Misconfigured` without the library that it needs, and where nobody says who may use a bucket.
    """
    if storage is None:
        return None
    if storage.redis is not None:
        return _on_redis(storage)
    if storage.bucket is not None:
        return _in_bucket(storage, surroundings)
    match storage.kind:
        case "disk":
            from tollway.stores.disk.responses import DiskResponseStore

            return DiskResponseStore(storage.folder, time.time, max_bytes=storage.max_bytes)
        case "database":
            from tollway.stores.gathered import GatheredResponseStore

            return GatheredResponseStore(
                surroundings.table,
                surroundings.seal,
                time.time,
                timeout_s=storage.timeout_s,
                max_bytes=storage.max_bytes,
            )
        case "pgvector-semantic":
            from tollway.stores.sql.similar import DatabaseSimilarAnswers

            return DatabaseSimilarAnswers(
                surroundings.database.engine,
                surroundings.seal,
                time.time,
                timeout_s=storage.timeout_s,
                max_bytes=storage.max_bytes,
            )
        case "local-semantic":
            return _similar_in_memory(storage)
        case _:
            from tollway.stores.memory.responses import MemoryResponseStore

            return MemoryResponseStore(time.time, max_bytes=storage.max_bytes)


def _on_redis(storage: AnswerStorage) -> ResponseStore:
    assert storage.redis is not None
    require_client()
    from tollway.stores.redis.connection import open_redis
    from tollway.stores.redis.responses import RedisResponseStore

    address = msgspec.structs.replace(storage.redis, connections=max(storage.redis.connections, _CONNECTIONS))
    return RedisResponseStore(open_redis(address), address, timeout_s=storage.timeout_s)


def _in_bucket(storage: AnswerStorage, surroundings: Surroundings) -> ResponseStore:
    assert storage.bucket is not None
    from tollway.providers.amazon import SignedBucket
    from tollway.stores.s3.responses import S3ResponseStore

    signed = SignedBucket(storage.bucket, surroundings.environ)
    return S3ResponseStore(
        surroundings.transports[signed.transport],
        signed.endpoint,
        signed,
        time.time,
        bucket_path=signed.path,
        prefix=storage.bucket.path,
        timeout_s=storage.timeout_s,
    )


def _similar_in_memory(storage: AnswerStorage) -> ResponseStore:
    try:
        from tollway.stores.memory.similar import MemorySimilarAnswers
    except ImportError:
        raise Misconfigured(
            "`cache_params.type: local-semantic` compares vectors with numpy: "
            "run `pip install 'tollway[semantic]'`, or use `pgvector-semantic`.",
            param="cache_params.type",
        ) from None
    return MemorySimilarAnswers(time.time, max_bytes=storage.max_bytes)
