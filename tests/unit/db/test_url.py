from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from tollway.core.errors import Misconfigured
from tollway.db.url import is_in_memory, mask_url, postgres_url, sqlite_path, sqlite_url, with_driver


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite:///x.db"),
        ("sqlite+aiosqlite:////a/x.db", "sqlite+aiosqlite:////a/x.db"),
        (" sqlite:// ", "sqlite+aiosqlite://"),
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql://u:p@h:5432/d?ssl=require", "postgresql+asyncpg://u:p@h:5432/d?ssl=require"),
        ("PostgreSQL://h/d", "postgresql+asyncpg://h/d"),
    ],
)
def test_the_forms_people_write_get_our_driver(written: str, used: str) -> None:
    assert with_driver(written) == used


@pytest.mark.parametrize("written", ["mysql://root:secret@h/d", "secret", "", "/var/lib/secret.db"])
def test_another_database_is_refused_with_a_remedy_and_without_the_password(written: str) -> None:
    with pytest.raises(Misconfigured, match=r"write sqlite:///path/to/file\.db") as raised:
        with_driver(written)
    assert "secret" not in raised.value.message
    assert raised.value.param == "database_url"


@pytest.mark.parametrize(
    ("written", "dsn"),
    [
        ("postgres://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql://u:p@h/d?sslmode=require", "postgresql://u:p@h/d?sslmode=require"),
        ("postgresql://u:p@h/d?ssl=true", "postgresql://u:p@h/d?sslmode=require"),
        ("postgresql://u:p@h/d?ssl=off", "postgresql://u:p@h/d?sslmode=disable"),
        ("postgresql://u:p@h/d?ssl=verify-full", "postgresql://u:p@h/d?sslmode=verify-full"),
        ("postgresql://u:p@h/d?sslmode=require&sslaccept=strict", "postgresql://u:p@h/d?sslmode=verify-full"),
        ("postgresql://u:p@h/d?sslaccept=accept_invalid_certs", "postgresql://u:p@h/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=%2Frun%2Fpostgresql"),
        ("postgresql://u:p@h1:1,h2:2/d?target_session_attrs=primary", None),
        ("postgresql://u:a#b/c[d@e@h/d", "postgresql://u:a%23b%2Fc%5Bd%40e@h/d"),
        ("postgresql://u:a%23b@h/d", "postgresql://u:a%23b@h/d"),
        ("postgresql://h/d?connection_limit=5&pgbouncer=true&channel_binding=require&schema=s", "postgresql://h/d"),
    ],
)
def test_the_driver_gets_what_it_understands(written: str, dsn: str | None) -> None:
    address = postgres_url(written)
    assert address is not None
    assert address.dsn == (dsn or written)


def test_what_an_address_says_beside_the_place_is_told() -> None:
    address = postgres_url("postgresql://h/d?schema=s&connection_limit=5&pgbouncer=true&channel_binding=require")
    assert address is not None
    assert address.schema == "s"
    assert address.settings == {
        "database_connection_pool_limit": "5",
        "database_disable_prepared_statements": "true",
    }
    assert address.ignored == ("channel_binding",)


def test_an_unknown_sslmode_is_refused() -> None:
    with pytest.raises(Misconfigured, match="sslmode must be one of disable"):
        postgres_url("postgresql://h/d?sslmode=sometimes")


def test_sqlite_is_no_postgres() -> None:
    assert postgres_url("sqlite:///x.db") is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:s3cr3t@db:5432/tollway?password=s3cr3t", "postgresql://ada:***@db:5432/tollway"),
        ("postgresql://ada:s3@cr3t@db/tollway", "postgresql://ada:***@db/tollway"),
        ("postgresql://ada:s3#c[r3/t@db/tollway", "postgresql://ada:***@db/tollway"),
        ("postgresql://db/tollway", "postgresql://db/tollway"),
        ("sqlite:////data/x.db?key=s3cr3t", "sqlite:////data/x.db"),
        ("s3cr3t", "***"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///x.db", Path("x.db")),
        ("sqlite:////data/my%20files/x.db?mode=rw", Path("/data/my files/x.db")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql://h/d", None),
    ],
)
def test_an_sqlite_address_names_its_file(url: str, path: Path | None) -> None:
    assert sqlite_path(url) == path
    assert is_in_memory(url) == (path is None and url.startswith("sqlite"))


@pytest.mark.parametrize("path", ["/data/100%20mine/what?/x.db", "relative/ü.db", "/a b/x#1.db"])
def test_a_path_survives_being_an_address(path: str) -> None:
    assert sqlite_path(sqlite_url(Path(path))) == Path(path)
    assert make_url(with_driver(sqlite_url(Path(path)))).database == path
