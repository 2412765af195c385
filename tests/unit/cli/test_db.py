from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result
from tests.support.databases import DATABASES, empty_database
from tests.support.filled import fill
from tests.support.ports import free_port

from tollway.cli import main
from tollway.db.engine import open_engine
from tollway.db.upgrade import head_revision, upgrade
from tollway.db.url import sqlite_url


@pytest.mark.parametrize("database", DATABASES)
def test_upgrade_brings_an_empty_database_to_the_newest_revision(database: str, tmp_path: Path) -> None:
    environment = {"TOLLWAY_DATABASE_URL": empty_database(database, tmp_path)}
    before = CliRunner().invoke(main, ["db", "current"], env=environment)
    assert "database: empty" in before.output
    assert "Run `tollway db upgrade`" in before.output

    for _ in range(2):
        done = CliRunner().invoke(main, ["db", "upgrade"], env=environment)
        assert (done.exit_code, done.output) == (0, f"The schema is at revision {head_revision()}.\n")

    after = CliRunner().invoke(main, ["db", "current"], env=environment)
    assert after.output == f"database: {head_revision()}\nneeded:   {head_revision()}\n"


@pytest.mark.parametrize("subcommand", ["current", "upgrade"])
def test_a_database_that_is_not_supported_is_an_error_without_its_password(subcommand: str) -> None:
    result = CliRunner().invoke(main, ["db", subcommand], env={"DATABASE_URL": "mysql://root:s3cr3t@h/d"})
    assert result.exit_code == 1
    assert "write sqlite:///path/to/file.db" in result.output
    assert "s3cr3t" not in result.output


def test_variables_that_spell_out_the_address_are_enough(tmp_path: Path) -> None:
    url = urlsplit(empty_database("postgres", tmp_path))
    parts = {"HOST": url.hostname, "PORT": str(url.port), "USERNAME": url.username, "NAME": url.path.strip("/")}
    shown = CliRunner().invoke(main, ["db", "current"], env={f"DATABASE_{part}": text for part, text in parts.items()})
    assert (shown.exit_code, shown.output.splitlines()[0]) == (0, "database: empty")


def test_without_any_address_it_is_asked_for() -> None:
    shown = CliRunner().invoke(main, ["db", "current"])
    assert shown.exit_code == 2
    assert "Missing option '--database-url'" in shown.output


@pytest.mark.parametrize("subcommand", ["current", "upgrade"])
def test_what_keeps_it_out_is_told_without_the_password(subcommand: str) -> None:
    url = f"postgresql://root:s3cr3t@127.0.0.1:{free_port()}/d"
    result = CliRunner().invoke(main, ["db", subcommand], env={"DATABASE_URL": url})
    assert result.exit_code == 1
    assert "cannot be reached" in result.output
    assert "Connect call failed" in result.output
    assert "s3cr3t" not in result.output


@pytest.mark.parametrize(
    ("subcommand", "word"), [("", "schema"), ("upgrade", "schema"), ("current", "schema"), ("copy", "Stop")]
)
def test_help_explains_itself(subcommand: str, word: str) -> None:
    result = CliRunner().invoke(main, ["db", *subcommand.split(), "--help"])
    assert result.exit_code == 0
    assert word in result.output


def copy(*options: str, source: str, target: str) -> Result:
    return CliRunner().invoke(
        main, ["db", "copy", *options], env={"TOLLWAY_COPY_FROM": source, "TOLLWAY_COPY_TO": target}
    )


@pytest.fixture
def filled(tmp_path: Path) -> str:
    url = sqlite_url(tmp_path / "source.db")

    async def make() -> None:
        await upgrade(url)
        engine = open_engine(url)
        await fill(engine, 3)
        await engine.dispose()

    asyncio.run(make())
    return url


def test_a_database_is_copied_into_a_new_one(filled: str, tmp_path: Path) -> None:
    target = empty_database("postgres", tmp_path)
    done = copy(source=filled, target=target)
    assert done.exit_code == 0, done.output
    assert re.search(r"^virtual_keys +3$", done.output, re.MULTILINE)
    assert "both databases have the same numbers" in done.output
    assert "tollway ledger verify" in done.output

    again = copy(source=filled, target=target)
    assert again.exit_code == 1
    assert "is not empty" in again.output
    assert "--resume" in again.output

    assert copy("--resume", source=filled, target=target).exit_code == 0


def test_what_cannot_be_copied_is_told(filled: str, tmp_path: Path) -> None:
    nothing = sqlite_url(tmp_path / "nothing.db")
    assert "nothing to copy" in copy(source=nothing, target=sqlite_url(tmp_path / "target.db")).output
    assert "are the same" in copy(source=filled, target=filled).output
    with sqlite3.connect(tmp_path / "source.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    old = copy(source=filled, target=sqlite_url(tmp_path / "target.db"))
    assert old.exit_code == 1
    assert "Run `tollway db upgrade` on it first" in old.output


def test_a_long_copy_says_how_far_it_is(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollway.cli.output.PROGRESS_EVERY_S", 0.0)
    done = copy(source=filled, target=sqlite_url(tmp_path / "target.db"))
    assert "virtual_keys: 3 of 3 rows" in done.stderr
