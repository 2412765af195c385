"""The database's address: what it says beside the place, and what a shared database asks for."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from tollway.config.configuration import Sourced
from tollway.config.findings import Findings
from tollway.config.keys import GENERAL
from tollway.config.secret import Secret
from tollway.core.errors import Misconfigured
from tollway.db.url import PostgresUrl, is_in_memory, postgres_url

_URL = "general_settings.database_url"
_SHARED_KEYS = {"general_settings.master_key": "LITELLM_MASTER_KEY", "general_settings.salt_key": "LITELLM_SALT_KEY"}


def settle_database(origins: dict[str, Sourced], environ: Mapping[str, str], findings: Findings) -> None:
    """Puts into `origins` the address that variables spell out in parts, and settings that an address holds."""
    if origins[_URL].value is None and (address := address_from_parts(environ)):
        origins[_URL] = Sourced(Secret(address), "environment DATABASE_HOST")
    url = origins[_URL]
    if url.value is None:
        return
    try:
        postgres = postgres_url(url.value)
        has_no_file = postgres is None and is_in_memory(url.value)
    except Misconfigured as error:
        findings.reject(url.origin, _URL, error.message)
        return
    if has_no_file:
        findings.reject(url.origin, _URL, "this database would be gone at the end", "write sqlite:///path/to/file.db")
    if postgres is not None:
        _settle_parameters(postgres, origins, findings)


def _settle_parameters(postgres: PostgresUrl, origins: dict[str, Sourced], findings: Findings) -> None:
    origin = origins[_URL].origin
    for name, text in postgres.settings.items():
        key = GENERAL.by_name[name]
        if origins[key.path].origin != "default":
            continue  # said twice: the setting is the plainer word
        try:
            origins[key.path] = Sourced(key.kind.read(text), f"{origin} (in the address)")
        except ValueError:
            findings.note(origin, _URL, f"`{text}` is no value for `{key.name}`", f"expected {key.kind.name}")
    if postgres.ignored:
        names = ", ".join(f"`{name}`" for name in postgres.ignored)
        findings.note(origin, _URL, f"these parameters have no effect: {names}", "remove them")


def check_sharing(origins: Mapping[str, Sourced], redis: Sourced, findings: Findings) -> None:
    """What several gateways share has to be the same for all of them, and what they do not share is told.

    `redis` is the address of the Redis they share, or None.
    """
    url = origins[_URL]
    is_postgres = url.value is not None and _is_postgres(url.value)
    if not is_postgres and redis.value is None:
        return
    origin, name, place = (url.origin, "Postgres", "database") if is_postgres else (redis.origin, "Redis", "Redis")
    for path, variable in _SHARED_KEYS.items():
        if origins[path].value is None:
            findings.reject(
                origin,
                path,
                f"is needed with {name}: it must be the same wherever this {place} is used",
                f"set {variable}",
            )
    if redis.value is None:
        findings.note(
            url.origin,
            _URL,
            "without a shared Redis each gateway counts budgets and limits for itself",
            "let one gateway use this database at a time, or set REDIS_URL",
        )


def _is_postgres(url: str) -> bool:
    try:
        return postgres_url(url) is not None
    except Misconfigured:  # told already
        return False


def address_from_parts(environ: Mapping[str, str]) -> str | None:
    """The address that `DATABASE_HOST`, `DATABASE_NAME` and the like spell out."""
    host, name = environ.get("DATABASE_HOST"), environ.get("DATABASE_NAME")
    if not host or not name:
        return None
    user = environ.get("DATABASE_USERNAME") or environ.get("DATABASE_USER")
    password = environ.get("DATABASE_PASSWORD")
    port, schema = environ.get("DATABASE_PORT"), environ.get("DATABASE_SCHEMA")
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "") + "@" if user else ""
    query = f"?schema={quote(schema, safe='')}" if schema else ""
    return f"postgresql://{login}{host}{f':{port}' if port else ''}/{quote(name, safe='')}{query}"
