"""Database addresses as people write them. Imports no driver and no SQLAlchemy, so that it is free at start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec

from tollway.core.errors import Misconfigured

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}

_UNDERSTOOD = frozenset(
    {
        *("host", "port", "user", "password", "dbname", "database", "passfile", "service", "target_session_attrs"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
        *("application_name", "options"),
    }
)
"""Parameters of libpq that mean the same to the driver. It would send any other to the server, which refuses it."""

_SETTINGS = {
    "connection_limit": "database_connection_pool_limit",
    "pool_timeout": "database_connection_timeout",
    "connect_timeout": "database_connect_timeout",
    "socket_timeout": "database_socket_timeout",
    "max_idle_connection_lifetime": "database_max_idle_connection_lifetime",
    "pgbouncer": "database_disable_prepared_statements",
}
"""Parameters of Prisma and libpq that are settings here, and the names of those."""

_SAFE_IN_CREDENTIALS = ":%!$&'()*+,;=~"
"""What needs no escape there, or is one. The rest is escaped for whoever pasted a password as it was."""

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_WORDS = {"true": "require", "1": "require", "on": "require", "false": "disable", "0": "disable", "off": "disable"}


class PostgresUrl(msgspec.Struct, frozen=True):
    """What a Postgres address says."""

    dsn: str
    """For the driver."""
    schema: str | None
    """Where the tables are, unless the server's default."""
    settings: Mapping[str, str]
    """Values for settings of `general_settings`, as they were written."""
    ignored: tuple[str, ...]
    """Parameters that mean nothing here."""


def postgres_url(url: str) -> PostgresUrl | None:
    """What a Postgres address says, in libpq's form or Prisma's; None for any other database.

    Raises `Misconfigured` for a database that is not supported, or an address that is none.
    """
    if not with_driver(url).startswith("postgresql"):
        return None
    location, _, query = with_driver(url).partition("://")[2].partition("?")
    kept: dict[str, str] = {}
    settings: dict[str, str] = {}
    ignored: list[str] = []
    schema = None
    for name, value in parse_qsl(query):
        match name:
            case "schema":
                schema = value
            case "ssl":
                kept["sslmode"] = _SSL_WORDS.get(value.lower(), value)
            case "sslaccept":  # Prisma's word for checking the certificate
                if value == "strict":
                    kept["sslmode"] = "verify-full"
            case _ if name in _UNDERSTOOD:
                kept.setdefault(name, value)
            case _ if name in _SETTINGS:
                settings[_SETTINGS[name]] = value
            case _:
                ignored.append(name)
    credentials, at, place = location.rpartition("@")
    if kept.get("sslmode", "prefer") not in _SSL_MODES:
        raise Misconfigured(f"database URL: sslmode must be one of {', '.join(_SSL_MODES)}", param="database_url")
    dsn = f"postgresql://{quote(credentials, safe=_SAFE_IN_CREDENTIALS)}{at}{place}?{urlencode(kept)}"
    return PostgresUrl(dsn.removesuffix("?"), schema, settings, tuple(ignored))


def sqlite_url(path: Path) -> str:
    """The address of an SQLite file."""
    return f"sqlite:///{quote(str(path))}"


def with_driver(url: str) -> str:
    """The address with the driver that Tollway uses: `postgres://…` becomes `postgresql+asyncpg://…`.

    Raises `Misconfigured` for a database that is not supported.
    """
    scheme, separator, rest = url.strip().partition("://")
    driver = _DRIVERS.get(scheme.lower())
    if not separator or driver is None:
        raise Misconfigured(
            f"database URL: cannot use {mask_url(url)!r}; write sqlite:///path/to/file.db or "
            "postgresql://user:password@host:5432/database",
            param="database_url",
        )
    return f"{driver}://{rest}"


def is_in_memory(url: str) -> bool:
    """Whether this is an SQLite database that lives and dies with its connection."""
    driver, path = _split(url)
    return driver == "sqlite+aiosqlite" and path in ("", ":memory:")


def sqlite_path(url: str) -> Path | None:
    """The file behind an SQLite address; None for any other database and for one in memory."""
    driver, path = _split(url)
    return Path(unquote(path)) if driver == "sqlite+aiosqlite" and not is_in_memory(url) else None


def _split(url: str) -> tuple[str, str]:
    driver, _, rest = with_driver(url).partition("://")
    return driver, rest.partition("?")[0].removeprefix("/")


def mask_url(url: str) -> str:
    """The address fit for a log: without password and without parameters."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    if scheme.lower().startswith("sqlite"):
        return f"{scheme}://{rest.partition('?')[0]}"
    credentials, at, place = rest.partition("?")[0].rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}://{user}{':***' if colon else ''}{at}{place}"
