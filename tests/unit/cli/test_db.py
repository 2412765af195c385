from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from tests.support.databases import DATABASES, empty_database
from tests.support.ports import free_port

from tollway.cli import main
from tollway.db.upgrade import head_revision


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


@pytest.mark.parametrize("arguments", [["db", "--help"], ["db", "upgrade", "--help"], ["db", "current", "--help"]])
def test_help_explains_itself(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert "schema" in result.output
