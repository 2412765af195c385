"""`tollway import-litellm`."""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tollway.cli.output import Progress, dollars, print_table

if TYPE_CHECKING:
    from tollway.litellm_import.report import Report


@click.command("import-litellm")
@click.option(
    "--database-url",
    "source",
    envvar="DATABASE_URL",
    metavar="URL",
    help="LiteLLM's database. It is only read.  [env: DATABASE_URL, as LiteLLM has it; default: the one that --config "
    "names]",
)
@click.option(
    "--into",
    "target",
    envvar="TOLLWAY_DATABASE_URL",
    metavar="URL",
    help="Tollway's database; its tables are made if there are none.  [env: TOLLWAY_DATABASE_URL]",
)
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="LiteLLM's config.yaml, which the gateway will start with: each of its settings is reported. Where no "
    "database is named, that is all.",
)
@click.option(
    "--salt-key",
    envvar="LITELLM_SALT_KEY",
    metavar="KEY",
    help="What LiteLLM encrypted with.  [env: LITELLM_SALT_KEY; default: the master key]",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; report what an import would do.")
@click.option(
    "--report", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write every row as JSON lines."
)
@click.option("--no-spend", is_flag=True, help="Leave the spend logs. What counts in budgets comes over all the same.")
@click.option(
    "--spend-since", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="Leave spend logs before (UTC)."
)
def command(
    *,
    source: str | None,
    target: str | None,
    config: Path | None,
    salt_key: str | None,
    dry_run: bool,
    file: Path | None,
    no_spend: bool,
    spend_since: datetime | None,
) -> None:
    """Move in from LiteLLM: keys, people, teams, budgets, models and what they spent.

    Keys keep their hashes, so that every virtual key goes on working. Stored provider keys are opened with LiteLLM's
    salt key and sealed with ours. What was spent in the current budget windows counts on. What is there already is
    left as it is, so that an import can be repeated: it brings what has come since.

    Stop Tollway's gateways meanwhile, or restart them afterwards: they know by heart what was spent. LiteLLM may go on
    serving; import once more when it has stopped.

    \b
    Examples:
      export DATABASE_URL=postgresql://llmproxy@db/litellm TOLLWAY_DATABASE_URL=postgresql://tollway@db/tollway
      tollway import-litellm --config config.yaml --dry-run --report report.jsonl
      tollway import-litellm --config config.yaml
    """
    from tollway.app.litellm_import import Wanted, import_litellm, named_database, read_configuration
    from tollway.config.problem import ConfigurationError
    from tollway.core.errors import TollwayError
    from tollway.litellm_import.report import Report

    try:
        source = source or named_database(config, os.environ)
        if source is None and config is None:
            raise click.UsageError("Name LiteLLM's database (--database-url), its configuration (--config), or both.")
        if source is not None and target is None:
            raise click.UsageError("Name the database to import into: --into, or TOLLWAY_DATABASE_URL.")
        with file.open("w", encoding="utf-8") if file else nullcontext() as opened:
            report = Report(opened)
            environ = {**os.environ, **({"TOLLWAY_DATABASE_URL": target} if target else {})}
            configuration = read_configuration(config, environ, report)
            if source is None or target is None:
                _print(report)
                click.echo("\nNo database was named: this is what becomes of the configuration alone.")
                return
            wanted = Wanted(
                source=source,
                target=target,
                salt_key=salt_key,
                with_history=not no_spend,
                since=spend_since.replace(tzinfo=UTC) if spend_since else None,
                is_rehearsal=dry_run,
            )
            carried = asyncio.run(import_litellm(wanted, configuration, report, Progress()))
    except ConfigurationError as error:
        raise click.ClickException(f"A gateway would not start with this configuration:\n{error}") from error
    except TollwayError as error:
        cause = error.__cause__
        text = error.message if cause is None else f"{error.message} Cause: {getattr(cause, 'orig', cause)}"
        raise click.ClickException(text) from error
    _print(report)
    click.echo(f"\nCounts in budgets now, from LiteLLM's counters: {dollars(carried / 1e9)}")
    if dry_run:
        click.echo("\nNothing was changed: this was a rehearsal.")
    else:
        click.echo(f"\nNext: tollway ledger verify --database-url {_mask(target)}; then start the gateway with it.")
        _tell_salt_key(configuration)


def _print(report: Report) -> None:
    from tollway.litellm_import.report import OUTCOMES

    rows = [
        (table, *(f"{found[outcome]:,}" if found[outcome] else "" for outcome in OUTCOMES))
        for table, found in report.rows.items()
    ]
    print_table(("", *(outcome.upper() for outcome in OUTCOMES)), rows or [("nothing",) + ("",) * len(OUTCOMES)])
    if report.remarks:
        click.echo("\nChanged and dropped:")
    for (table, field, text), remark in report.remarks.items():
        place = f"{table}.{field}" if field and table else table or field
        example = f", such as {remark.example[:40]}" if remark.example else ""
        click.echo(f"  {place}: {text} ({remark.count:,} rows{example})")
    if any(found["differs"] for found in report.rows.values()):
        click.echo("Rows that DIFFER were there already, otherwise than LiteLLM has them; they stayed as they were.")


def _tell_salt_key(configuration: Any) -> None:
    server = configuration.server
    if server.salt_key is None:
        click.echo(f"Secrets are sealed with {server.data_dir / 'salt_key'}: gateways need that file, or its content.")


def _mask(url: str) -> str:
    from tollway.db.url import mask_url

    return mask_url(url)
