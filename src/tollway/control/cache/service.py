"""Looking after the answers that are kept. Counters, keys and sessions are elsewhere, and no matter of this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.control.kit.context import Context
from tollway.core.errors import GatewayFault, InvalidRequest
from tollway.ports.responses import ResponseStore

_OFF = "No answers are kept: set `litellm_settings.cache: true`."


class CachePingError(GatewayFault):
    """The cache cannot be used, or there is none."""

    status = 503
    type = "cache_ping_error"


class CacheService:
    """The cache, for one request."""

    def __init__(self, context: Context) -> None:
        self._services = context.services

    @property
    def kind(self) -> str:
        """How operators call where answers are kept."""
        return self._store.kind

    async def ping(self) -> None:
        """Writes and reads something. Raises `CachePingError`."""
        try:
            await self._store.ping()
        except GatewayFault as error:
            raise CachePingError(self._said(error.message)) from error
        except InvalidRequest as error:
            raise CachePingError(self._said(error.message)) from error

    async def delete(self, keys: Sequence[str]) -> int:
        """Forgets these; how many there were. Raises `StoreUnavailable`."""
        return await self._store.delete(keys)

    async def clear(self) -> None:
        """Forgets every answer. Raises `StoreUnavailable`."""
        await self._store.clear()

    async def redis_info(self) -> dict[str, Any]:
        """What the server says about itself. Raises `InvalidRequest` where answers are kept elsewhere."""
        info = await self._store.info()
        if info is None:
            raise InvalidRequest(f"Cache type {self.kind} does not support redis info", status=503)
        return info

    @property
    def params(self) -> str:
        """What is configured, as JSON. It holds no secret."""
        configuration = self._services.configuration()
        caching, storage = configuration.caching, configuration.answers
        if caching is None or storage is None:
            return "{}"
        shown: dict[str, Any] = {
            "type": storage.kind,
            "supported_call_types": sorted(caching.operations),
            "mode": "default_on" if caching.is_on_by_default else "default_off",
            "ttl": caching.ttl_s,
            "max_messages": caching.max_messages,
            "namespace": caching.namespace or None,
            "scope": caching.scope,
            "single_flight": caching.is_single_flight,
        }
        if caching.likeness is not None:
            shown["similarity_threshold"] = caching.likeness.threshold
            shown["semantic_cache_embedding_model"] = caching.likeness.model
        return msgspec.json.encode(shown).decode()

    @property
    def _store(self) -> ResponseStore:
        store = self._services.answers
        if store is None:
            raise InvalidRequest(_OFF, status=503)
        return store

    def _said(self, message: str) -> str:
        """As the contract has it: JSON within the message."""
        shown = {"message": message, "litellm_cache_params": self.params, "health_check_cache_params": None}
        return msgspec.json.encode(shown).decode()
