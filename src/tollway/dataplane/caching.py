"""What a caller wants of answers that are kept, from body fields and headers of the wire contract."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tollway.core.caching import NO_CACHE_CONTROL, CacheControl
from tollway.core.errors import Forbidden, InvalidRequest
from tollway.core.principal import Principal
from tollway.dataplane.fields import decoded
from tollway.gateway.call import Headers

FIELDS = frozenset({"cache", "caching", "ttl"})
"""Body fields that are read here."""
HEADER = b"cache-control"
_MAX_AGE = re.compile(rb"\bs-maxage\s*=\s*(\d{1,10})")
_LONGEST_NAMESPACE = 200


class _CacheField(msgspec.Struct, rename="kebab"):
    no_cache: bool | None = None
    no_store: bool | None = None
    ttl: float | None = None
    s_maxage: float | None = None
    namespace: str | None = None
    use_cache: bool | None = None


def read_cache_control(values: Mapping[str, msgspec.Raw], headers: Headers, principal: Principal) -> CacheControl:
    """The wishes of a call. `values`: the gateway's own fields of the body.

    Raises `InvalidRequest`, or `Forbidden` for what the caller's key does not allow.
    """
    header = _MAX_AGE.search(headers[HEADER]) if HEADER in headers else None
    if header is None and values.keys().isdisjoint(FIELDS):
        return NO_CACHE_CONTROL
    field = decoded(values, "cache", _CacheField | None, 'an object such as {"no-cache": true}') or _CacheField()
    _check_allowed(values, principal)
    caches = decoded(values, "caching", bool | None, "true or false")
    ttl = field.ttl if field.ttl is not None else decoded(values, "ttl", float | None, "a number of seconds")
    if header is not None and ttl is None:
        ttl = float(header[1])
    return CacheControl(
        skips_read=bool(field.no_cache) or caches is False,
        skips_write=bool(field.no_store) or caches is False,
        ttl_s=_positive(ttl, "cache.ttl"),
        max_age_s=_positive(field.s_maxage, "cache.s-maxage"),
        namespace=_short(field.namespace or ""),
        opts_in=field.use_cache if field.use_cache is not None else caches,
    )


def _check_allowed(values: Mapping[str, msgspec.Raw], principal: Principal) -> None:
    allowed = principal.cache_controls
    if not allowed or "cache" not in values:
        return
    for name in decoded(values, "cache", dict[str, msgspec.Raw] | None, "an object") or {}:
        if name not in allowed:
            raise Forbidden(
                f"Not allowed to set {name[:100]} as a cache control. Contact admin to change permissions.",
                param="cache",
            )


def _positive(seconds: float | None, name: str) -> float | None:
    if seconds is not None and not 0 <= seconds < float("inf"):
        raise InvalidRequest(f"'{name}' must be a number of seconds, 0 or more.", param=name.partition(".")[0])
    return seconds


def _short(namespace: str) -> str:
    if len(namespace) > _LONGEST_NAMESPACE or not namespace.isprintable():
        raise InvalidRequest(f"'cache.namespace' must be at most {_LONGEST_NAMESPACE} letters.", param="cache")
    return namespace
