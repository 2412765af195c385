"""Database addresses as people write them. Imports no driver and no SQLAlchemy, so that it is free at start."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from tollway.core.errors import Misconfigured

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def sqlite_url(path: Path) -> str:
    """The address of an SQLite file."""
    return f"sqlite:///{path}"


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


def sqlite_path(url: str) -> Path | None:
    """The file behind an SQLite address; None for any other database and for one in memory."""
    driver, _, rest = with_driver(url).partition("://")
    path = rest.partition("?")[0].removeprefix("/")
    if driver != "sqlite+aiosqlite" or path in ("", ":memory:"):
        return None
    return Path(unquote(path))


def mask_url(url: str) -> str:
    """The address fit for a log: without password and without parameters."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    if scheme.lower().startswith("sqlite"):
        return f"{scheme}://{rest.partition('?')[0]}"
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return urlunsplit((scheme, f"{user}{':***' if colon else ''}{at}{host}", parts.path, "", ""))
