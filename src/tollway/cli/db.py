"""`tollway db`: look at the database schema and bring it up to date."""

from __future__ import annotations

import asyncio
import os

import click

from tollway.core.errors import TollwayError


def _or_in_parts(context: click.Context, option: click.Parameter, given: str | None) -> str:
    from tollway.config.database import address_from_parts

    address = given or address_from_parts(os.environ)
    if address is None:
        raise click.MissingParameter(ctx=context, param=option)
    return address


_url_option = click.option(
    "--database-url",
    envvar=["TOLLWAY_DATABASE_URL", "DATABASE_URL"],
    callback=_or_in_parts,
    metavar="URL",
    help="sqlite:///path/to/file.db or postgresql://user:password@host:5432/database. "
    "Unless given: what DATABASE_HOST, DATABASE_NAME and the like spell out. "
    "Better given in the environment: arguments are visible to every user of the machine.",
)


@click.group("db")
def command() -> None:
    """Look at the database schema and bring it up to date.

    `tollway serve` does this by itself at every start. Run it by hand to upgrade before a roll-out, or when a start
    says that an upgrade failed.
    """


@command.command()
@_url_option
def upgrade(database_url: str) -> None:
    """Bring the schema to the newest revision.

    Safe to repeat, and while older servers run: a schema serves its own version and its neighbours. One upgrade runs
    at a time, in one transaction; if it fails, nothing has changed.
    """
    from tollway.db.migrate import migrate
    from tollway.db.upgrade import head_revision, upgrade_lock

    try:
        with upgrade_lock(database_url):
            asyncio.run(migrate(database_url))
    except TollwayError as error:
        raise click.ClickException(_explain(error)) from error
    click.echo(f"The schema is at revision {head_revision()}.")


@command.command()
@_url_option
def current(database_url: str) -> None:
    """Show the schema's revision, and the one that this version needs."""
    from tollway.db.upgrade import current_revision, head_revision

    try:
        revision = asyncio.run(current_revision(database_url))
    except TollwayError as error:
        raise click.ClickException(_explain(error)) from error
    click.echo(f"database: {revision or 'empty'}\nneeded:   {head_revision()}")
    if revision != head_revision():
        click.echo("Run `tollway db upgrade`; `tollway serve` would do it at its next start.")


def _explain(error: TollwayError) -> str:
    # Callers are spared the driver's words; whoever sits at the terminal needs them.
    cause = error.__cause__
    return error.message if cause is None else f"{error.message} Cause: {getattr(cause, 'orig', cause)}"
