from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update
from tests.support.databases import DATABASES, MissingDatabase, empty_database
from tests.support.ports import free_port
from tests.support.records import NOON, make_record
from tests.support.rows import store as store_row

from tollway.cli import main
from tollway.core.record import Charge
from tollway.core.usage import Usage
from tollway.db.engine import open_engine, writing
from tollway.db.ledger import spend_windows
from tollway.ports.ledger import Retention
from tollway.stores.sql.ledger import SqlLedgerStore
from tollway.stores.sql.rows import Team

DAY = 86_400_000_000


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    database = MissingDatabase(request.param, tmp_path)
    asyncio.run(fill(database))
    return database.url


async def fill(database: MissingDatabase) -> None:
    await database.appear()
    engine = open_engine(database.url)
    await store_row(engine, Team, team_id="red", max_budget_nanos=1_000_000_000)
    await SqlLedgerStore(engine).insert(
        [
            make_record(
                NOON + n * DAY,
                model="gpt-4o",
                cost_nanos=500_000_000,
                usage=Usage(input_tokens=100, output_tokens=10),
                charges=(Charge("team", "red", 0),),
                is_priced=n != 1,
            )
            for n in range(2)
        ]
    )
    await engine.dispose()


def run(*arguments: str, url: str | None = None, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["ledger", *arguments], env={"TOLLWAY_DATABASE_URL": url}, input=stdin)


def change(url: str, **values: Any) -> None:
    async def execute() -> None:
        engine = open_engine(url)
        async with writing(engine) as connection:
            await connection.execute(update(spend_windows).values(**values))
        await engine.dispose()

    asyncio.run(execute())


def test_a_ledger_that_agrees_says_so_and_ends_with_0(url: str) -> None:
    done = run("verify", url=url)
    assert done.exit_code == 0, done.output
    assert "Everything follows from the records." in done.output
    assert "team red  $1.00  $1.00  $0.50         $0.00        within" in done.output


def test_what_differs_is_shown_and_ends_with_1(url: str) -> None:
    change(url, spend_nanos=7_000_000_000)
    done = run("verify", url=url)
    assert done.exit_code == 1
    assert "team red 0  spend_nanos  $7.00   $1.00" in done.output
    assert "over by more than a call: 1" in done.output
    assert "Not everything follows from the records." in done.output


def test_json_says_everything_a_program_needs(url: str) -> None:
    change(url, records=9)
    done = run("verify", "--json", url=url)
    document = json.loads(done.stdout)
    (check,) = [check for check in document["tables"] if check["differing"]]
    assert (done.exit_code, document["agrees"], document["records"]) == (1, False, 2)
    assert check["differences"][0]["stored"] == {"records": 9}
    assert document["budgets"]["listed"][0]["verdict"] == "within"


def test_a_repair_asks_first(url: str) -> None:
    change(url, records=9)
    refused = run("verify", "--repair", url=url, stdin="n\n")
    assert (refused.exit_code, "To be repaired: 1 rows of spend_windows." in refused.output) == (1, True)
    assert run("verify", url=url).exit_code == 1
    done = run("verify", "--repair", "--yes", url=url)
    assert done.exit_code == 0, done.output
    assert run("verify", url=url).exit_code == 0


def test_days_are_taken(url: str) -> None:
    done = run("verify", "--since", "2026-01-02", "--until", "2026-01-02", "--json", url=url)
    assert (done.exit_code, json.loads(done.stdout)["records"]) == (0, 1)
    assert run("verify", "--since", "2026-01-02", "--until", "2026-01-01", url=url).exit_code == 2


def test_the_configuration_tells_where_the_ledger_is(tmp_path: Path) -> None:
    database = MissingDatabase("sqlite", tmp_path)
    asyncio.run(fill(database))
    config = tmp_path / "config.yaml"
    config.write_text(
        f"general_settings:\n  database_url: {database.url}\nlitellm_settings:\n  timezone: Asia/Tokyo\n",
        encoding="utf-8",
    )
    assert run("verify", "--config", str(config)).exit_code == 0
    config.write_text("general_settings:\n  port: nowhere\n", encoding="utf-8")
    refused = run("verify", "--config", str(config))
    assert (refused.exit_code, "general_settings.port" in refused.output) == (2, True)


def test_a_ledger_that_cannot_be_read_ends_with_2_without_the_password(tmp_path: Path) -> None:
    away = run("verify", url=f"postgresql://root:s3cr3t@127.0.0.1:{free_port()}/d")
    assert (away.exit_code, "cannot be reached" in away.output, "s3cr3t" in away.output) == (2, True, False)
    empty = run("verify", url=empty_database("sqlite", tmp_path))
    assert (empty.exit_code, "has no ledger" in empty.output) == (2, True)


def test_an_export_that_agrees_ends_with_0(url: str, tmp_path: Path) -> None:
    export = tmp_path / "bill.csv"
    export.write_text(
        "date,model,cost\n2026-01-01,gpt-4o-2024-08-06,0.5\n2026-01-02,gpt-4o-2024-08-06,0.501\n", encoding="utf-8"
    )
    done = run("reconcile", str(export), url=url)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["2026-01-01", "gpt-4o", "(provider:", "gpt-4o-2024-08-06)", "$0.50", "$0.50", "$0.00", "+0.00"] in lines
    assert ["gpt-4o-2024-08-06)", "$0.50", "$0.501", "-$0.001", "-0.20", "1"] in [line[3:] for line in lines]
    assert ["total", "$1.00", "$1.001", "-$0.001", "-0.10", "1"] in lines


def test_an_export_beyond_what_is_tolerated_ends_with_1(url: str) -> None:
    text = "date,model,cost\n2026-01-01,gpt-4o,0.7\n2026-01-01,dall-e-3,0.04\n2026-01-02,gpt-4o,0.5\n"
    done = run("reconcile", "-", "--tolerance", "5%", url=url, stdin=text)
    assert done.exit_code == 1, done.output
    assert "only the provider knows it" in done.output
    assert run("reconcile", "-", "--tolerance", "30%", "--ignore-below", "0.04", url=url, stdin=text).exit_code == 0
    assert run("reconcile", "-", "--tolerance", "few", url=url, stdin=text).exit_code == 2


def test_a_reconciliation_is_printed_as_json(url: str) -> None:
    text = "date,model,input_tokens,output_tokens\n2026-01-01,gpt-4o,100,12\n"
    done = run("reconcile", "-", "--json", "--ignore-below", "1", url=url, stdin=text)
    document = json.loads(done.stdout)
    assert (done.exit_code, document["compared"], document["is_within"]) == (1, "tokens", False)
    assert (document["lines"][0]["difference"], document["total"]["unpriced_calls"]) == (-2.0, 0)


def test_models_of_other_providers_are_left_out_of_an_export_of_one(url: str) -> None:
    text = "usage_date_utc,model,token_type,cost_usd\n2026-01-01,Claude Haiku 4.5,output,0\n2026-01-02,X,output,0\n"
    done = run("reconcile", "-", "--json", url=url, stdin=text)
    assert all(not line["gateway_models"] for line in json.loads(done.stdout)["lines"])
    named = run("reconcile", "-", "--json", "--provider", "openai", url=url, stdin=text)
    assert any(line["gateway_models"] for line in json.loads(named.stdout)["lines"])


def test_dropped_records_are_said_to_be_missing(url: str) -> None:
    async def drop() -> None:
        engine = open_engine(url)
        store = SqlLedgerStore(engine)
        while await store.maintain(NOON / 1e6 + 86_400, Retention(days=0)):
            pass
        await engine.dispose()

    asyncio.run(drop())
    text = "date,model,cost\n2026-01-01,gpt-4o,0.5\n"
    done = run("reconcile", "-", url=url, stdin=text)
    assert (done.exit_code, "Records before 2026-01-02 were dropped" in done.output) == (0, True)


@pytest.mark.parametrize("text", ["date,model,cost\n2026-01-01,gpt-4o,dear\n", "nothing"])
def test_an_export_that_cannot_be_read_ends_with_2_and_its_place(text: str, tmp_path: Path) -> None:
    url = empty_database("sqlite", tmp_path)
    done = run("reconcile", "-", url=url, stdin=text)
    assert done.exit_code == 2
    assert "line " in done.output
    assert ", column " in done.output


@pytest.mark.parametrize("subcommand", ["verify", "reconcile"])
def test_help_tells_the_exit_status(subcommand: str) -> None:
    assert "0 agrees, 1 differs, 2 could not be checked" in run(subcommand, "--help").output


def test_where_every_gateway_counts_for_itself_nothing_can_be_left_over() -> None:
    shown = run("orphans")
    assert (shown.exit_code, "each gateway counts in its own memory" in shown.output) == (0, True)
    assert json.loads(run("orphans", "--json").output) == {"is_shared": False, "orphans": []}
    refused = run("release", "--all", "--yes")
    assert (refused.exit_code, "each gateway counts in its own memory" in refused.output) == (2, True)


def test_release_says_what_it_needs() -> None:
    for arguments in ((), ("w1", "--all")):
        refused = run("release", *arguments)
        assert (refused.exit_code, "or give --all" in refused.output) == (2, True)


def test_counters_that_cannot_be_reached_are_named_without_their_password() -> None:
    keys = {"LITELLM_MASTER_KEY": "sk-of-the-tests", "LITELLM_SALT_KEY": "salt-of-the-tests"}
    address = f"127.0.0.1:{free_port()}"
    env = {"REDIS_URL": f"redis://:hidden@{address}/0", **keys}
    refused = CliRunner().invoke(main, ["ledger", "orphans"], env=env)
    assert (refused.exit_code, f"{address} cannot be reached" in refused.output) == (2, True)
    assert "hidden" not in refused.output
