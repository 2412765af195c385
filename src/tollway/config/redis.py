"""The Redis or Valkey that replicas share: which of several sources names it, and what that comes to.

The first of these that names one counts, whole: a flag or `TOLLWAY_REDIS_*`, `general_settings.coordination_redis`,
`router_settings.redis_*`, `litellm_settings.cache_params` of type redis, `REDIS_*` variables. What it leaves open is
taken from `REDIS_*` variables, unless these name another server: its password is not for this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from tollway.config.configuration import Sourced
from tollway.config.findings import Findings
from tollway.config.keys import CACHE_PARAMS, COORDINATION_REDIS, ENVIRONMENT_PREFIX, LIBRARY, Section
from tollway.config.secret import Secret
from tollway.core.redis import RedisAddress, RedisKind, RedisNode

_ROUTER_FIELDS = {
    "redis_url": "url", "redis_host": "host", "redis_port": "port", "redis_username": "username",
    "redis_password": "password", "redis_db": "db", "redis_ssl": "ssl", "redis_cluster_nodes": "redis_startup_nodes",
    "redis_sentinel_nodes": "sentinel_nodes", "redis_service_name": "service_name",
    "redis_sentinel_password": "sentinel_password",
}  # fmt: skip
"""Settings of `router_settings`, and the fields of the mappings that mean the same."""
_PLACES = ("url", "host", "redis_startup_nodes", "sentinel_nodes")
"""Fields that say where the server is."""
_PLACE_VARIABLES = ("REDIS_URL", "REDIS_HOST", "REDIS_CLUSTER_NODES", "REDIS_SENTINEL_NODES")
_ADDRESS_FIELDS = {
    "socket_path": "socket_path", "username": "username", "password": "password", "db": "db", "ssl": "is_tls",
    "service_name": "service_name", "sentinel_username": "sentinel_username", "sentinel_password": "sentinel_password",
    "ssl_ca_certs": "ca_file", "namespace": "namespace", "max_connections": "connections",
    "socket_connect_timeout": "connect_timeout_s", "socket_timeout": "answer_timeout_s",
}  # fmt: skip
"""And what our own address calls them."""
_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
"""And whether each means TLS."""
_COORDINATION, _CACHE_PARAMS = COORDINATION_REDIS.name, CACHE_PARAMS.name
_CACHE = f"{LIBRARY.name}.cache"
_DEFAULT_PORT = 6379
_FROM_API = "database"


class _Said(msgspec.Struct, frozen=True):
    """What one source says about the server."""

    fields: Mapping[str, Any]
    path: str
    """As errors name it."""
    origin: str

    @property
    def names_a_place(self) -> bool:
        return any(self.fields.get(name) for name in _PLACES)


def settle_redis(origins: dict[str, Sourced], environ: Mapping[str, str], findings: Findings) -> Sourced:
    """The address of the server that replicas share, or None if nobody names one, and who named it.

    Puts the mappings into `origins` as they are read, with secrets that are masked when they are shown.
    """
    is_elsewhere = any(environ.get(name) for name in _PLACE_VARIABLES)
    variables = _router(origins, lambda origin: origin.startswith("environment REDIS_"))
    sources = (
        _router(origins, lambda origin: origin.startswith(("flag", f"environment {ENVIRONMENT_PREFIX}"))),
        _mapping(origins, COORDINATION_REDIS, findings),
        _router(origins, lambda origin: not origin.startswith(("flag", "environment", "default"))),
        _cache(origins, findings),
        variables,
    )
    for source in sources:
        if source.names_a_place:
            said = source if is_elsewhere else _over(variables, source)
            return Sourced(_address(said, findings), said.origin)
        if source.fields and source.path in (_COORDINATION, _CACHE_PARAMS) and variables.names_a_place:
            return Sourced(_address(_over(variables, source), findings), source.origin)
        if source.path == _COORDINATION and source.fields:
            findings.reject(source.origin, source.path, "does not say where the server is", "add `url` or `host`")
            break
    else:
        if origins[_CACHE_PARAMS].value.get("type") == "redis" and _counts(origins):
            where = origins[_CACHE_PARAMS].origin
            findings.note(where, _CACHE_PARAMS, "names no server, so none is shared", "add `host`, or set REDIS_HOST")
    return Sourced(None, "default")


def _over(weak: _Said, strong: _Said) -> _Said:
    return _Said({**weak.fields, **strong.fields}, strong.path, strong.origin)


def _router(origins: Mapping[str, Sourced], counts: Any) -> _Said:
    found = {
        field: (origins[f"router_settings.{name}"], f"router_settings.{name}")
        for name, field in _ROUTER_FIELDS.items()
        if counts(origins[f"router_settings.{name}"].origin)
    }
    for place in (*_PLACES, *found):
        if place in found:
            setting, path = found[place]
            return _Said({field: setting.value for field, (setting, _) in found.items()}, path, setting.origin)
    return _Said({}, "", "")


def _mapping(origins: dict[str, Sourced], section: Section, findings: Findings) -> _Said:
    """Checks and reads a mapping, each value by its kind."""
    setting = origins[section.name]
    fields: dict[str, Any] = {}
    for name, value in setting.value.items():
        key, path = section.find(name), f"{section.name}.{name}"
        if key is None:
            findings.report_unknown(setting.origin, path, name, section.by_name)
        elif key.support == "later":
            if value is not None and value != key.default:
                findings.note(setting.origin, path, "has no effect in this release", key.remedy)
        elif value is None:
            fields[name] = None
        elif value != "":
            fields[name] = findings.read(key.kind, value, place=setting.origin, path=path)
    origins[section.name] = Sourced(fields, setting.origin)
    return _Said({name: value for name, value in fields.items() if value is not None}, section.name, setting.origin)


def cache_address(origins: Mapping[str, Sourced], findings: Findings) -> RedisAddress | None:
    """The server that `cache_params` names for answers; None: no other than replicas share."""
    setting = origins[_CACHE_PARAMS]
    fields = {name: value for name, value in setting.value.items() if value is not None}
    said = _Said(fields, _CACHE_PARAMS, setting.origin)
    return _address(said, findings) if said.names_a_place else None


def _cache(origins: dict[str, Sourced], findings: Findings) -> _Said:
    """The Redis of the cache."""
    said = _mapping(origins, CACHE_PARAMS, findings)
    is_redis = said.fields.get("type") == "redis"
    if not is_redis or not _counts(origins):
        return _Said({}, said.path, said.origin)
    if said.origin == _FROM_API:
        findings.note(said.origin, said.path, "does not decide which Redis is shared", "write it in the file")
        return _Said({}, said.path, said.origin)
    return said


def _counts(origins: Mapping[str, Sourced]) -> bool:
    return bool(origins[_CACHE].value) or origins[_CACHE].origin == "default"


def _address(said: _Said, findings: Findings) -> RedisAddress | None:
    fields = dict(said.fields)
    problems_before = len(findings.problems)
    if fields.get("url"):
        fields |= _from_url(fields["url"], said, findings)
    kind = _kind(fields)
    _check(fields, kind, said, findings)
    if len(findings.problems) > problems_before:
        return None
    nodes = fields.get("redis_startup_nodes") or fields.get("sentinel_nodes") or ()
    if kind == "standalone" and fields.get("host"):
        nodes = (RedisNode(fields["host"], fields.get("port") or _DEFAULT_PORT),)
    given = {name: fields[field] for field, name in _ADDRESS_FIELDS.items() if fields.get(field)}
    return RedisAddress(kind=kind, nodes=nodes, checks_certificate=fields.get("ssl_cert_reqs") != "none", **given)


def _kind(fields: Mapping[str, Any]) -> RedisKind:
    if fields.get("redis_startup_nodes"):
        return "cluster"
    return "sentinel" if fields.get("sentinel_nodes") else "standalone"


def _from_url(url: str, said: _Said, findings: Findings) -> dict[str, Any]:
    """What an address says. Its parts win over fields beside it."""
    remedy = "write redis://user:password@host:6379/0, rediss://… for TLS, or unix:///path"
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        findings.reject(said.origin, said.path, "is no address of a Redis", remedy)
        return {}
    scheme = parts.scheme.lower()
    query = dict(parse_qsl(parts.query))
    number = query.pop("db", None) or (parts.path.strip("/") if scheme != "unix" else "") or None
    found: dict[str, Any] = {"username": unquote(parts.username or "") or None, "db": number}
    found["password"] = Secret(unquote(parts.password)) if parts.password else None
    if scheme == "unix" and parts.path:
        found |= {"socket_path": unquote(parts.path), "host": None}
    elif scheme in _SCHEMES and host:
        found |= {"host": host, "port": port or _DEFAULT_PORT, "ssl": _SCHEMES[scheme] or None}
    else:
        findings.reject(said.origin, said.path, "is no address of a Redis", remedy)
    if number is not None:
        found["db"] = int(number) if number.isdecimal() else None
        if found["db"] is None:
            findings.reject(said.origin, said.path, "names no database: what follows the host is its number", remedy)
    for name in ("ssl_cert_reqs", "ssl_ca_certs"):
        found[name] = query.pop(name, None)
    if query:
        names = ", ".join(f"`{name}`" for name in query)
        findings.note(said.origin, said.path, f"these parameters have no effect: {names}", "remove them")
    return {name: value for name, value in found.items() if value is not None or name == "host"}


def _check(fields: Mapping[str, Any], kind: RedisKind, said: _Said, findings: Findings) -> None:
    def reject(message: str, remedy: str) -> None:
        findings.reject(said.origin, said.path, message, remedy)

    if fields.get("redis_startup_nodes") and fields.get("sentinel_nodes"):
        reject("names a cluster and sentinels", "keep one of them")
    if kind != "standalone" and fields.get("socket_path"):
        reject("names a socket of this machine beside other servers", "keep one of them")
    if kind == "sentinel" and not fields.get("service_name"):
        reject("names sentinels, but not the server they watch", "set `service_name`, or REDIS_SERVICE_NAME")
    if kind == "cluster" and fields.get("db"):
        reject("a cluster has only database 0", "leave `db` out")
    if any(letter in (fields.get("namespace") or "") for letter in "{}"):
        reject("`namespace` may hold no braces: in a cluster they decide where a key is kept", "choose another name")
