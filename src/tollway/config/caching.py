"""From `cache` and `cache_params` to where answers are kept, and which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from tollway.config.configuration import AnswerKind, AnswerStorage, Sourced
from tollway.config.findings import Findings
from tollway.config.keys import CACHE_PARAMS, GENERAL, LIBRARY, ROUTER
from tollway.config.problem import nearest
from tollway.config.redis import cache_address
from tollway.core.bucket import Bucket
from tollway.core.caching import CacheScope, Caching, Likeness
from tollway.core.errors import Misconfigured
from tollway.core.redis import RedisAddress
from tollway.db.url import postgres_url

_CALL_TYPES: Mapping[str, str] = {
    "completion": "chat",
    "text_completion": "completions",
    "embedding": "embeddings",
    "responses": "responses",
    "anthropic_messages": "messages",
    "generate_content": "gemini",
}
"""The contract's names of operations; each also with an `a` in front, for the same."""
_LATER = frozenset({"transcription", "rerank"})
_KEPT = frozenset(_CALL_TYPES.values())
_SECTION = CACHE_PARAMS.name
_KINDS: frozenset[AnswerKind] = frozenset(get_args(AnswerKind))
_TIMEOUTS: Mapping[AnswerKind, float] = {"s3": 0.5}
"""Seconds, where they are not the usual ones."""
_TTLS: Mapping[AnswerKind, str] = {"redis": "default_in_redis_ttl"}
"""Which of the contract's settings is of this kind, where it is not that of memory."""
_BUCKET_FIELDS: Mapping[str, str] = {
    "s3_bucket_name": "name",
    "s3_region_name": "region",
    "s3_endpoint_url": "endpoint_url",
    "s3_path": "path",
    "s3_use_ssl": "is_tls",
    "s3_verify": "verify",
    "s3_aws_access_key_id": "access_key_id",
    "s3_aws_secret_access_key": "secret_access_key",
    "s3_aws_session_token": "session_token",
}
_MIB = 1024 * 1024
_OF_OTHER_SERVERS = frozenset({"redis-semantic", "valkey-semantic", "qdrant-semantic"})
_SHARED = "use `pgvector-semantic` to share them"
_EMBEDDING_MODELS = (
    "semantic_cache_embedding_model",
    *(f"{server}_semantic_cache_embedding_model" for server in ("redis", "valkey", "qdrant")),
)
"""Names for the same; the first that says something counts."""
_SEMANTIC = (*_EMBEDDING_MODELS, "similarity_threshold", "semantic_cache_scope", "semantic_cache_timeout")


def answer_storage(
    origins: Mapping[str, Sourced], shared: RedisAddress | None, data_dir: Path, findings: Findings
) -> AnswerStorage | None:
    """Where answers are kept; None: nowhere. `shared`: the Redis that replicas share."""
    params = _params(origins)
    if not origins[f"{LIBRARY.name}.cache"].value or params.get("supported_call_types") == ():
        return None
    kind = _kind(origins, shared, findings)
    redis = bucket = None
    if kind == "s3":
        bucket = _bucket(origins[_SECTION].origin, params, findings)
    elif kind == "redis":
        redis = cache_address(origins, findings) or shared
        if redis is None:
            findings.note(origins[_SECTION].origin, _SECTION, "names no server, so answers are kept in memory")
            kind = "local"
    return AnswerStorage(
        kind=kind,
        redis=redis,
        timeout_s=params.get("timeout") or _TIMEOUTS.get(kind) or _value(params, "timeout"),
        max_bytes=round(_value(params, "max_size_mb") * _MIB),
        folder=Path(params["disk_cache_dir"]) if params.get("disk_cache_dir") else data_dir / "cache",
        bucket=bucket,
    )


def caching(origins: Mapping[str, Sourced], storage: AnswerStorage | None, findings: Findings) -> Caching | None:
    """Which answers are kept, and for how long; None: none."""
    if storage is None:
        return None
    params = _params(origins)
    of_kind = params.get(_TTLS.get(storage.kind, "default_in_memory_ttl"))
    return Caching(
        operations=_operations(origins[_SECTION].origin, params, findings),
        is_on_by_default=_value(params, "mode") == "default_on",
        ttl_s=float(params.get("ttl") or of_kind or _value(params, "ttl")),
        max_messages=params["max_messages"] if "max_messages" in params else _value(params, "max_messages"),
        namespace=params.get("namespace") or "",
        scope=_scope(origins, storage, findings),
        groups=_groups(origins, findings),
        is_single_flight=_value(params, "single_flight"),
        max_answer_bytes=round(_value(params, "max_answer_size_mb") * _MIB),
        likeness=_likeness(origins, storage, findings),
    )


def _bucket(place: str, params: Mapping[str, Any], findings: Findings) -> Bucket | None:
    given = {field: params[name] for name, field in _BUCKET_FIELDS.items() if params.get(name) is not None}
    if "name" not in given:
        findings.reject(place, f"{_SECTION}.s3_bucket_name", "is missing", "name the bucket that answers are kept in")
        return None
    if ("access_key_id" in given) != ("secret_access_key" in given):
        missing = "s3_aws_secret_access_key" if "access_key_id" in given else "s3_aws_access_key_id"
        findings.reject(place, f"{_SECTION}.{missing}", "is missing", "give both keys, or neither")
        return None
    return Bucket(**given)


def _kind(origins: Mapping[str, Sourced], shared: RedisAddress | None, findings: Findings) -> AnswerKind:
    """Without a word about it, the Redis that is known."""
    params, place = _params(origins), origins[_SECTION].origin
    asked = params.get("type")
    if asked in _OF_OTHER_SERVERS:
        kept = "each process keeps answers in its memory, as with `local-semantic`"
        findings.note(place, f"{_SECTION}.type", f"{asked} is not used by this release: {kept}", _SHARED)
        return "local-semantic"
    if asked == "pgvector-semantic" and not _has_postgres(origins):
        remedy = "set `general_settings.database_url: postgresql://…`, or use `local-semantic`"
        findings.reject(place, f"{_SECTION}.type", "pgvector-semantic keeps answers in Postgres", remedy)
    if asked in _KINDS:
        kind: AnswerKind = asked
        return kind
    return "redis" if not params and shared is not None else "local"


def _has_postgres(origins: Mapping[str, Sourced]) -> bool:
    url = origins[f"{GENERAL.name}.database_url"].value
    try:
        return url is not None and postgres_url(url) is not None
    except Misconfigured:
        return True  # another finding says what is wrong with it


def _scope(origins: Mapping[str, Sourced], storage: AnswerStorage, findings: Findings) -> CacheScope:
    """Answers to questions in other words are not for everybody unless somebody says so."""
    params, name = _params(origins), "semantic_cache_scope"
    scope: CacheScope | None = params.get("scope")
    semantic: CacheScope | None = params.get(name)
    if not storage.is_semantic:
        return scope or "global"
    if scope and semantic and scope != semantic:
        message, remedy = f"{semantic} is not what `scope: {scope}` says", "keep one of them"
        findings.reject(origins[_SECTION].origin, f"{_SECTION}.{name}", message, remedy)
    return semantic or scope or "key"


def _likeness(origins: Mapping[str, Sourced], storage: AnswerStorage, findings: Findings) -> Likeness | None:
    params = _params(origins)
    if not storage.is_semantic:
        for name in (name for name in _SEMANTIC if params.get(name) is not None):
            message = f"counts for a semantic `type` only, and not for {storage.kind}"
            remedy = "use `local-semantic` or `pgvector-semantic`"
            findings.note(origins[_SECTION].origin, f"{_SECTION}.{name}", message, remedy)
        return None
    named = (params[name] for name in _EMBEDDING_MODELS if params.get(name))
    return Likeness(
        model=next(named, CACHE_PARAMS.by_name[_EMBEDDING_MODELS[0]].default),
        threshold=_value(params, "similarity_threshold"),
        timeout_s=_value(params, "semantic_cache_timeout"),
    )


def _params(origins: Mapping[str, Sourced]) -> Mapping[str, Any]:
    params: Mapping[str, Any] = origins[_SECTION].value
    return params


def _value(params: Mapping[str, Any], name: str) -> Any:
    found = params.get(name)
    if found is not None:
        return found
    key = CACHE_PARAMS.by_name[name]
    return key.kind.read(key.default)


def _operations(place: str, params: Mapping[str, Any], findings: Findings) -> frozenset[str]:
    given = params.get("supported_call_types")
    if given is None:
        return _KEPT
    operations = set()
    for name in given:
        plain = name if name in _CALL_TYPES or name in _LATER else name.removeprefix("a")
        if plain in _CALL_TYPES:
            operations.add(_CALL_TYPES[plain])
        elif plain not in _LATER:
            meant = nearest(name, _CALL_TYPES)
            remedy = f"did you mean `{meant}`?" if meant else f"known are {', '.join(_CALL_TYPES)}"
            findings.reject(place, f"{_SECTION}.supported_call_types", f"{name} is no kind of call", remedy)
    return frozenset(operations)


def _groups(origins: Mapping[str, Sourced], findings: Findings) -> tuple[frozenset[str], ...]:
    path = f"{ROUTER.name}.caching_groups"
    setting = origins[path]
    groups = []
    for index, names in enumerate(setting.value or ()):
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            groups.append(frozenset(names))
        else:
            findings.reject(setting.origin, f"{path}[{index}]", "expected a list of model names")
    return tuple(groups)
