"""`tollway ledger orphans` and `release`: what gateways that are gone for good still hold of budgets."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tollway.cli.output import dollars, print_json, print_table

if TYPE_CHECKING:
    from tollway.core.redis import RedisAddress
    from tollway.ports.counters import Orphan

_NOT_RELEASED = 1
_CANNOT_LOOK = 2

_IN_MEMORY = (
    "No shared Redis is configured: each gateway counts in its own memory, and what it had reserved ends with it."
)


def _looking(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the option that says whose counters; failures end with status 2."""

    @click.option("--config", "-c", type=click.Path(path_type=Path), help="Configuration file, for the shared Redis.")
    @wraps(command)
    def looking(*, config: Path | None, **others: Any) -> None:
        from tollway.app.orphans import find_counters
        from tollway.config.problem import ConfigurationError
        from tollway.core.errors import TollwayError

        try:
            command(find_counters(config, os.environ), **others)
        except ConfigurationError as error:
            _give_up(str(error))
        except TollwayError as error:
            _give_up(error.message)

    return looking


def _give_up(text: str) -> NoReturn:
    click.echo(f"Error: {text}", err=True)
    sys.exit(_CANNOT_LOOK)


@click.command()
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object, with what is held in each scope.")
@_looking
def orphans(address: RedisAddress | None, *, is_json: bool) -> None:
    """List gateways that are gone and still hold money.

    The calls that a gateway has in flight are reserved in every budget they touch. If it is killed, the money stays
    reserved until its journal has been brought to the ledger: by itself when it starts again, or by another that
    shares the folder. One whose machine is lost, disk and all, shows here for good; `tollway ledger release` gives
    back what it held. Counters that nobody uses for six hours are made anew, and hold nothing of it any more.
    """
    from tollway.app.orphans import orphans as find

    found = [] if address is None else asyncio.run(find(address))
    if is_json:
        print_json({"is_shared": address is not None, "orphans": [_plain(orphan) for orphan in found]})
    elif address is None:
        click.echo(_IN_MEMORY)
    elif found:
        _print(found)
    else:
        click.echo("No gateway that is gone holds anything.")


@click.command()
@click.argument("workers", nargs=-1, metavar="[WORKER]...")
@click.option("--all", "is_all", is_flag=True, help="Release every worker that `tollway ledger orphans` lists.")
@click.option("--yes", is_flag=True, help="Release without asking.")
@_looking
def release(address: RedisAddress | None, *, workers: tuple[str, ...], is_all: bool, yes: bool) -> None:
    """Give back what gateways that are gone had reserved, where their journals are lost.

    What it held is counted anew from the ledger, and from what running gateways have in flight. What a lost journal
    held is not in the ledger, so those calls were free; one that is found after all can still be replayed, and counts
    then. A gateway that is at work keeps what it holds.

    Exit status: 0 released, 1 some are not gone or hold nothing, 2 counters could not be reached.
    """
    from tollway.app.orphans import orphans as find
    from tollway.app.orphans import release as give_back

    if bool(workers) == is_all:
        raise click.UsageError("Name the workers to release, as `tollway ledger orphans` lists them, or give --all.")
    if address is None:
        _give_up(_IN_MEMORY)
    found = {orphan.worker: orphan for orphan in asyncio.run(find(address))}
    wanted = list(found) if is_all else list(dict.fromkeys(workers))
    known = [found[worker] for worker in wanted if worker in found]
    for worker in wanted:
        if worker not in found:
            click.echo(f"{worker}: not gone, or holds nothing; see `tollway ledger orphans`.", err=True)
    if not known:
        click.echo("Nothing to release.")
        sys.exit(_NOT_RELEASED if wanted else 0)
    _print(known)
    if not (yes or click.confirm("Are their journals lost, and is this to be given back?", err=True)):
        sys.exit(_NOT_RELEASED)
    released = asyncio.run(give_back(address, [orphan.worker for orphan in known]))
    for worker, scopes in released.items():
        click.echo(f"{worker}: is at work again" if scopes is None else f"{worker}: released in {scopes} scopes")
    sys.exit(0 if len(known) == len(wanted) and None not in released.values() else _NOT_RELEASED)


def _print(found: Sequence[Orphan]) -> None:
    print_table(
        ("WORKER", "GONE SINCE", "CALLS", "RESERVED", "SCOPES"),
        [
            (
                orphan.worker,
                "unknown" if orphan.since is None else f"{_moment(orphan.since):%Y-%m-%d %H:%M:%S} UTC",
                f"{orphan.calls:,}",
                dollars(orphan.reserved_nanos / 1e9),
                f"{len(orphan.scopes):,}",
            )
            for orphan in found
        ],
    )


def _plain(orphan: Orphan) -> dict[str, Any]:
    return {
        "worker": orphan.worker,
        "gone_since": None if orphan.since is None else _moment(orphan.since).isoformat(timespec="seconds"),
        "calls": orphan.calls,
        "reserved": orphan.reserved_nanos / 1e9,
        "scopes": [
            {"scope": held.scope, "calls": held.calls, "reserved": held.reserved_nanos / 1e9} for held in orphan.scopes
        ],
    }


def _moment(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)
