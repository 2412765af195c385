from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.support.litellm_database import SALT_KEY, litellm_database
from tests.support.ports import free_port
from tests.support.postgres import databases

from tollway.cli import main
from tollway.db.url import sqlite_url


@pytest.fixture
def source() -> Iterator[str]:
    """Runs beside the command, which has a loop of its own."""
    with asyncio.Runner() as runner:
        opened = litellm_database()
        yield runner.run(opened.__aenter__()).url
        runner.run(opened.__aexit__(None, None, None))


def run(*options: str, source: str, folder: Path, **environ: str) -> Result:
    environment = {
        "DATABASE_URL": source,
        "TOLLWAY_DATABASE_URL": sqlite_url(folder / "tollway.db"),
        "LITELLM_SALT_KEY": SALT_KEY,
        "TOLLWAY_DATA_DIR": str(folder / "data"),
        **environ,
    }
    return CliRunner().invoke(main, ["import-litellm", *options], env=environment)


def test_it_is_rehearsed_and_done(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, report = tmp_path / "config.yaml", tmp_path / "report.jsonl"
    config.write_text("model_list:\n- model_name: demo\n  litellm_params: {model: demo/demo}\n")
    rehearsal = run("--config", str(config), "--dry-run", "--report", str(report), source=source, folder=tmp_path)
    assert rehearsal.exit_code == 0, rehearsal.output
    assert "Nothing was changed" in rehearsal.output
    assert not (tmp_path / "tollway.db").exists()
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    assert {row["outcome"] for row in rows} == {"kept", "changed", "dropped"}
    assert "sk-vendor-secret" not in report.read_text()
    assert "a secret question" not in report.read_text()

    monkeypatch.setattr("tollway.cli.output.PROGRESS_EVERY_S", 0.0)
    done = run("--config", str(config), source=source, folder=tmp_path)
    assert done.exit_code == 0, done.output
    assert "LiteLLM_UserTable.password: kept otherwise than here" in done.output
    assert "Counts in budgets now, from LiteLLM's counters: $" in done.output
    assert "tollway ledger verify" in done.output
    assert "LiteLLM_SpendLogs: 6 of 6 rows" in done.stderr


def test_secrets_need_the_key_they_are_sealed_with(source: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = run("--salt-key", SALT_KEY, source=source, folder=tmp_path, LITELLM_SALT_KEY="")
    assert done.exit_code == 0, done.output
    assert f"Secrets are sealed with {tmp_path / 'data' / 'salt_key'}" in done.output


def test_what_is_no_database_of_litellm_is_told(tmp_path: Path) -> None:
    empty = databases().new_url()
    databases().create(empty)
    assert "it is no database of LiteLLM" in run(source=empty, folder=tmp_path).output
    databases().drop(empty)
    assert "LiteLLM keeps its data in Postgres" in run(source="sqlite:///x.db", folder=tmp_path).output
    away = run(source=f"postgresql://u:s3cr3t@127.0.0.1:{free_port()}/d", folder=tmp_path)
    assert (away.exit_code, "cannot be reached" in away.output, "s3cr3t" in away.output) == (1, True, False)


def test_a_configuration_that_would_not_start_is_told_first(source: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("general_settings: {port: seven}\n")
    refused = run("--config", str(config), source=source, folder=tmp_path)
    assert refused.exit_code == 1
    assert "would not start with this configuration" in refused.output
    assert "general_settings.port" in refused.output


def test_the_database_may_be_named_by_the_file(source: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"general_settings: {{database_url: '{source}'}}\n")
    done = run("--config", str(config), "--dry-run", source="", folder=tmp_path, LITELLM_MASTER_KEY="sk-a-master-key")
    assert done.exit_code == 0, done.output
    assert "LiteLLM_SpendLogs" in done.output


def test_a_file_without_a_database_is_reported_on_alone(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("litellm_settings: {drop_params: true, unheard_of_here: 1}\n")
    done = run("--config", str(config), source="", folder=tmp_path)
    assert done.exit_code == 0, done.output
    assert "litellm_settings.unheard_of_here" in done.output
    assert "No database was named" in done.output


def test_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    nothing = run(source="", folder=tmp_path)
    assert (nothing.exit_code, "Name LiteLLM's database" in nothing.output) == (2, True)
    nowhere = run(source="postgresql://h/d", folder=tmp_path, TOLLWAY_DATABASE_URL="")
    assert (nowhere.exit_code, "Name the database to import into" in nowhere.output) == (2, True)


def test_help_teaches() -> None:
    shown = CliRunner().invoke(main, ["import-litellm", "--help"])
    assert shown.exit_code == 0
    assert "every virtual key goes on working" in shown.output
