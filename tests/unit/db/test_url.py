from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from tollway.core.errors import Misconfigured
from tollway.db.url import is_in_memory, mask_url, sqlite_path, sqlite_url, with_driver


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
    ("url", "shown"),
    [
        ("postgresql://ada:s3cr3t@db:5432/tollway?password=s3cr3t", "postgresql://ada:***@db:5432/tollway"),
        ("postgresql://ada:s3@cr3t@db/tollway", "postgresql://ada:***@db/tollway"),
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
