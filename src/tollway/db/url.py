"""Database addresses as people write them. Imports no driver and no SQLAlchemy, so that it is free at start."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

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
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return urlunsplit((scheme, f"{user}{':***' if colon else ''}{at}{host}", parts.path, "", ""))
