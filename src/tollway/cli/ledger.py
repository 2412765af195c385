"""`tollway ledger`: checks of the ledger, against itself and against what providers say."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from typing_extensions import override

from tollway.cli.orphans import orphans, release
from tollway.cli.output import dollars, print_fields, print_json, print_table

if TYPE_CHECKING:
    from tollway.accounting.reconciliation import Compared, Reconciliation
    from tollway.ports.verification import BudgetUse, Difference, Verification

_DIFFERS = 1
_CANNOT_CHECK = 2
_PROGRESS_EVERY_S = 1.0

_STATUS = """\b
Exit status: 0 agrees, 1 differs, 2 could not be checked.
"""


@click.group("ledger")
def command() -> None:
    """Prove that sums, budgets and reports follow from the ledger's records, and compare them with a provider's bill.

    All commands read the database or the shared Redis, not a running gateway. Gateways may go on serving meanwhile.
    """


command.add_command(orphans)
command.add_command(release)


def _checking(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say which ledger, which days and how to print; failures end with status 2."""

    @wraps(command)
    def checking(
        *, config: Path | None, database_url: str | None, since: datetime | None, until: datetime | None, **others: Any
    ) -> None:
        from tollway.app.ledger_check import find_ledger
        from tollway.config.problem import ConfigurationError
        from tollway.core.errors import TollwayError

        first, last = (moment.date() if moment else None for moment in (since, until))
        if first and last and first > last:
            raise click.UsageError(f"--since {first} must not be after --until {last}.")
        try:
            with_counters = others.get("counters", False)
            checked = asyncio.run(find_ledger(config, database_url, os.environ, with_counters=with_counters))
            command(checked, since=first, until=last, **others)
        except ConfigurationError as error:
            _give_up(str(error))
        except TollwayError as error:
            cause = error.__cause__
            _give_up(error.message if cause is None else f"{error.message} Cause: {getattr(cause, 'orig', cause)}")

    for option in (
        click.option("--json", "is_json", is_flag=True, help="Print one JSON object."),
        click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="Last day (UTC)."),
        click.option("--since", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="First day (UTC)."),
        click.option(
            "--database-url",
            envvar=["TOLLWAY_DATABASE_URL", "DATABASE_URL"],
            metavar="URL",
            help="The database. Better given in the environment: arguments are visible to every user of the machine. "
            "[default: that of the configuration]",
        ),
        click.option(
            "--config", "-c", type=click.Path(path_type=Path), help="Configuration file, for database and time zone."
        ),
    ):
        checking = option(checking)
    return checking


def _give_up(text: str) -> NoReturn:
    click.echo(f"Error: {text}", err=True)
    sys.exit(_CANNOT_CHECK)


# ---- verify ----------------------------------------------------------------------------------------------------------


@command.command(epilog=_STATUS)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Rows of each table shown.")
@click.option("--counters", is_flag=True, help="Compare the live counters that gateways share, too.")
@click.option("--repair", is_flag=True, help="Make sums that differ follow from the records, after asking.")
@click.option("--yes", is_flag=True, help="Repair without asking.")
@_checking
def verify(
    checked: Any,
    *,
    counters: bool,
    since: date | None,
    until: date | None,
    is_json: bool,
    limit: int,
    repair: bool,
    yes: bool,
) -> None:
    """Replay the ledger and prove that what is derived follows from it.

    Adds up every record anew and compares the result with what is stored: spend of each budget window, usage by day,
    totals by day and week. Then compares each budget with what was spent of it: no more than its limit and one call.
    Windows that lost records to retention, or to --since and --until, are compared as far as that goes.

    --counters has every gateway bring its records to the database, and compares what the shared Redis of the
    configuration has as spent, but for windows in which something is settled meanwhile.

    --repair adds to differing sums what they lack, one transaction for each table, while gateways go on. Running
    gateways keep the spend they know by heart until they are restarted.
    """
    from tollway.app.ledger_check import verify as run

    if counters and checked.redis is None:
        raise click.UsageError("--counters needs a shared Redis: name it in the configuration or as REDIS_URL.")

    def agree(found: Verification) -> bool:
        if not repair:
            return False
        for check in found.tables:
            if check.differing:
                click.echo(f"To be repaired: {check.differing:,} rows of {check.table}.", err=True)
        return yes or click.confirm("Repair them?", err=True)

    found, repaired = asyncio.run(run(checked, since=since, until=until, progress=_Progress(), repair=agree))
    if is_json:
        print_json(_verification(found, repaired))
    else:
        _print_verification(found, repaired, limit)
    is_mended = all(check.table in repaired for check in found.tables if check.differing) and not found.budgets.over
    sys.exit(0 if found.agrees or (repaired and is_mended) else _DIFFERS)


class _Progress:
    """Says on standard error how far a long replay is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_EVERY_S

    def __call__(self, count: int, started_at: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PROGRESS_EVERY_S
        moment = datetime.fromtimestamp(started_at / 1e6, UTC)
        click.echo(f"replayed {count:,} records, up to {moment:%Y-%m-%d %H:%M} UTC", err=True)


def _verification(found: Verification, repaired: Mapping[str, int]) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(found)
    for use, plain in zip(found.budgets.listed, document["budgets"]["listed"], strict=True):
        plain["verdict"] = use.verdict
    return {"agrees": found.agrees, **document, "repaired": dict(repaired)}


def _print_verification(found: Verification, repaired: Mapping[str, int], limit: int) -> None:
    print_fields(
        [
            ("records", f"{found.records:,}"),
            ("from", found.since),
            ("to", found.until),
            ("dropped before", found.dropped_before),
        ]
    )
    click.echo()
    checks = [*found.tables, *([found.counters] if found.counters else [])]
    print_table(
        ("SUMS", "COMPARED", "IN PART", "DIFFER", "REPAIRED"),
        [
            (
                check.table,
                f"{check.rows:,}",
                f"{check.parts:,}",
                f"{check.differing:,}",
                _repaired(repaired, check.table),
            )
            for check in checks
        ],
    )
    for check in checks:
        if check.differing:
            click.echo(f"\n{check.table}: {check.differing:,} differ" + _shown(check.differing, limit))
            print_table(("ROW", "SUM", "STORED", "REPLAYED"), _difference_rows(check.differences[:limit]))
    budgets = found.budgets
    if budgets.budgets:
        click.echo(
            f"\nbudgets: {budgets.budgets:,}; over by more than a call: {budgets.over:,}; "
            f"cannot be proven: {budgets.unproven:,}" + _shown(budgets.budgets, limit)
        )
        print_table(
            ("BUDGET", "SPENT", "LIMIT", "DEAREST CALL", "NOT LIMITED", ""), map(_budget_row, budgets.listed[:limit])
        )
        if budgets.over:
            click.echo("A limit that was lowered after it was spent counts as over, too.")
    click.echo(
        "\nEverything follows from the records." if found.agrees else "\nNot everything follows from the records."
    )


def _repaired(repaired: Mapping[str, int], table: str) -> str:
    return f"{repaired[table]:,}" if table in repaired else ""


def _shown(count: int, limit: int) -> str:
    return f" (the first {limit:,} are shown)" if count > limit else ""


def _difference_rows(differences: Sequence[Difference]) -> list[tuple[str, str, str, str]]:
    return [
        (
            " ".join(str(value) or "-" for value in difference.key.values()),
            name + (" (in part)" if difference.is_part else ""),
            _figure(name, stored),
            _figure(name, difference.replayed[name]),
        )
        for difference in differences
        for name, stored in difference.stored.items()
    ]


def _figure(name: str, value: int) -> str:
    return dollars(value / 1e9) if name.endswith("_nanos") else f"{value:,}"


def _budget_row(use: BudgetUse) -> tuple[str, ...]:
    money = (use.spent_nanos, use.limit_nanos, use.dearest_nanos, use.unlimited_nanos)
    return (f"{use.scope_kind} {use.scope_id}", *(dollars(nanos / 1e9) for nanos in money), use.verdict)


# ---- reconcile -------------------------------------------------------------------------------------------------------


class _Percent(click.ParamType[Decimal]):
    """`0.5%` or `0.5`."""

    name = "percent"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            percent = Decimal(str(value).strip().removesuffix("%"))
        except InvalidOperation:
            percent = Decimal("NaN")
        if not percent.is_finite() or percent < 0:
            self.fail(f"{value!r} is no percentage such as 0.5%", param, ctx)
        return percent


@command.command(epilog=_STATUS)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--provider", metavar="NAME", help="Whose models to compare.  [default: whose export it is, or all]")
@click.option("--tolerance", type=_Percent(), default="0.5%", show_default=True, help="Difference that is tolerated.")
@click.option(
    "--ignore-below",
    type=click.FloatRange(min=0),
    default=0.01,
    show_default=True,
    help="Dollars (or tokens, where no costs are told) that a line may differ by whatever the percentage.",
)
@_checking
def reconcile(
    checked: Any,
    *,
    file: Path,
    provider: str | None,
    tolerance: Decimal,
    ignore_below: float,
    since: date | None,
    until: date | None,
    is_json: bool,
) -> None:
    """Compare the ledger with a provider's usage or cost export, by day and model.

    FILE is what the provider's console exports or its administration API answers: costs or usage of OpenAI or
    Anthropic, as CSV or JSON; or any CSV with the columns date, model, and some of cost (dollars), input_tokens and
    output_tokens. `-` reads standard input. Days are UTC, as those of the ledger.

    Where the export tells costs, dollars are compared, else tokens. Models are matched by the provider's name; where
    one side has a date in it that the other has not, both spellings are shown. Calls that nobody said the price of
    are listed: they cost nothing here, and something there.
    """
    from tollway.accounting.provider_export import Unreadable, days_of, read_export
    from tollway.accounting.reconciliation import Tolerance
    from tollway.app.ledger_check import reconcile_with
    from tollway.ports.spend import Days

    try:
        with click.open_file(str(file), encoding="utf-8") as opened:
            export = read_export(opened.read())
    except (Unreadable, UnicodeDecodeError, OSError) as error:
        _give_up(f"{file}: {error}")
    span = days_of(export.lines)
    if span is None:
        _give_up(f"{file}: holds nothing to compare")
    days = Days(since or span[0], until or span[1])
    allowed = Tolerance(percent=tolerance, absolute=Decimal(str(ignore_below)))
    found, known_from = asyncio.run(reconcile_with(checked, export, allowed, provider=provider, days=days))
    if is_json:
        print_json(_reconciliation(found, export.kind, days, known_from))
    else:
        click.echo(f"{export.kind} from {days.first} to {days.last} (UTC)\n")
        _print_reconciliation(found)
        if known_from is not None and known_from > days.first:
            click.echo(f"Records before {known_from} were dropped: unpriced calls are not known before.")
    sys.exit(0 if found.is_within else _DIFFERS)


def _reconciliation(found: Reconciliation, kind: str, days: Any, known_from: date | None) -> dict[str, Any]:
    return {
        "is_within": found.is_within,
        "export": kind,
        "since": str(days.first),
        "until": str(days.last),
        "compared": found.measure,
        "lines": [_compared(line) for line in found.lines],
        "total": _compared(found.total),
        "unpriced_calls_known_from": None if known_from is None else str(known_from),
    }


def _compared(line: Compared) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(line)
    for name in ("difference", "percent"):
        document[name] = None if document[name] is None else float(document[name])
    for side in ("gateway", "provider"):
        document[side]["cost"] = float(document[side]["cost"])
    return document


def _print_reconciliation(found: Reconciliation) -> None:
    rows = [_compared_row(found, line, str(line.day), _model(line)) for line in found.lines]
    rows.append(_compared_row(found, found.total, "total", ""))
    print_table(("DAY", "MODEL", "GATEWAY", "PROVIDER", "DIFFERENCE", "%", "UNPRICED CALLS", ""), rows)


def _compared_row(found: Reconciliation, line: Compared, day: str, model: str) -> tuple[str, ...]:
    show = _dollars if found.measure == "cost" else _tokens
    percent = "-" if line.percent is None else f"{line.percent:+.2f}"
    return (
        day,
        model,
        show(line.gateway.measured(found.measure)),
        show(line.provider.measured(found.measure)),
        show(line.difference),
        percent,
        f"{line.unpriced_calls:,}" if line.unpriced_calls else "",
        "" if line.is_within else _why(line),
    )


def _why(line: Compared) -> str:
    if line.day is not None and not line.gateway_models:
        return "only the provider knows it"
    if line.day is not None and not line.provider_models:
        return "only the gateway knows it"
    return "differs"


def _model(line: Compared) -> str:
    ours, theirs = ", ".join(line.gateway_models), ", ".join(line.provider_models)
    return f"{ours} (provider: {theirs})" if ours and theirs and ours != theirs else ours or theirs


def _dollars(amount: Decimal) -> str:
    return ("-" if amount < 0 else "") + dollars(float(abs(amount)))


def _tokens(count: Decimal) -> str:
    return f"{int(count):,}"
