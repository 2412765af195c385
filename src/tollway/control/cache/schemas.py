"""Bodies of `/cache/*`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from tollway.control.kit.body import Body


class CacheDelete(Body):
    """Which answers to forget."""

    keys: list[str]
    """As `x-litellm-cache-key` shows them."""


class CacheDone(BaseModel):
    """It is done."""

    status: Literal["success"] = "success"
    deleted: int | None = None
    """How many answers there were under the keys that were named."""


class CacheState(BaseModel):
    """The cache can be written and read."""

    status: Literal["healthy"] = "healthy"
    cache_type: str
    ping_response: bool | None
    set_cache_response: Literal["success"] | None
    litellm_cache_params: str
    """JSON: what is configured."""
    health_check_cache_params: dict[str, Any] | None


class RedisInfo(BaseModel):
    """What the server of the cache says about itself."""

    num_clients: int
    clients: list[dict[str, Any]]
    info: dict[str, Any]
