"""`/cache/*`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from tollway.control.cache.schemas import CacheDelete, CacheDone, CacheState, RedisInfo
from tollway.control.cache.service import CacheService
from tollway.control.kit.body import warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import DetailRoute, resource_router

router = resource_router("cache", route_class=DetailRoute)


async def _cache_service(context: ContextDep) -> CacheService:
    return CacheService(context)


Cache = Annotated[CacheService, Depends(_cache_service)]


@router.get("/cache/ping")
async def ping_cache(cache: Cache) -> CacheState:
    """Whether answers can be kept and read; 503 if not, or if there is no cache."""
    await cache.ping()
    is_redis = cache.kind == "redis"
    return CacheState(
        cache_type=cache.kind,
        ping_response=True if is_redis else None,
        set_cache_response="success" if is_redis else None,
        litellm_cache_params=cache.params,
        health_check_cache_params={} if is_redis else None,
    )


@router.get("/cache/redis/info")
async def show_redis(cache: Cache) -> RedisInfo:
    """What the Redis of the cache says about itself. Its clients are counted, not listed."""
    info = await cache.redis_info()
    return RedisInfo(num_clients=int(info.get("connected_clients", 0)), clients=[], info=info)


@router.post("/cache/delete")
async def delete_answers(body: CacheDelete, response: Response, cache: Cache) -> CacheDone:
    """Forget answers by the keys that `x-litellm-cache-key` shows."""
    deleted = await cache.delete(body.keys)
    warn(response, body)
    return CacheDone(deleted=deleted)


@router.post("/cache/clear")
async def clear_answers(cache: Cache) -> CacheDone:
    """Forget every answer, wherever they are kept. Counters, keys and sessions stay."""
    await cache.clear()
    return CacheDone()


@router.post("/cache/flushall")
async def flush_answers(cache: Cache) -> CacheDone:
    """Forget every answer, as `/cache/clear` does: whatever else a Redis holds, it keeps."""
    await cache.clear()
    return CacheDone()
