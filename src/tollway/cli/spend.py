"""`tollway spend`: who spent how much, from a terminal, as a client of the management API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import wraps
from math import fsum
from typing import Any, NamedTuple

import click
from typing_extensions import override

from tollway.cli.gateway import FINDING, Gateway, connected
from tollway.cli.output import dollars, given_fields, print_fields, print_json, print_table
from tollway.core.ids import hash_key
from tollway.core.record import MASTER_KEY_ID

_EPILOG = f"""\b
Examples:
  tollway spend
  tollway spend --from 2026-01-01 --to 2026-01-31
  tollway spend keys --limit 5
  tollway spend teams --from 2026-01-01
  tollway spend logs --virtual-key my-app --limit 50

\b
{FINDING}
"""

_DEFAULT_COMMAND = "days"
_DEFAULT_DAYS = 30
_BAR = 40
_MAX_ENTITIES = 50
_HASH_LENGTH = 64


class _DaysFirst(click.Group):
    """Without a command shows the days: that is what most look for."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_default = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if is_default and not ctx.resilient_parsing:
            args = [_DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)


class _Span(NamedTuple):
    """Days, both included, in UTC."""

    first: date
    last: date

    @property
    def query(self) -> dict[str, str]:
        return {"start_date": str(self.first), "end_date": str(self.last)}

    @property
    def days(self) -> list[str]:
        count = (self.last - self.first).days + 1
        return [str(self.first + timedelta(days=offset)) for offset in range(count)]

    @override
    def __str__(self) -> str:
        return f"from {self.first} to {self.last}"


def _with_span(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say which days; the command gets them as `span`."""

    @wraps(command)
    def with_span(*arguments: Any, first: datetime | None, last: datetime | None, **others: Any) -> None:
        until = (last or datetime.now(UTC)).date()
        since = first.date() if first else until - timedelta(days=_DEFAULT_DAYS)
        if since > until:
            raise click.UsageError(f"--from {since} must not be after --to {until}.")
        command(*arguments, span=_Span(since, until), **others)

    for name, field, text in (
        ("--to", "last", "Last day, itself included.  [default: today, UTC]"),
        ("--from", "first", f"First day.  [default: {_DEFAULT_DAYS} days before the last]"),
    ):
        with_span = click.option(name, field, type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help=text)(
            with_span
        )
    return with_span


def _with_limit(most: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--limit", type=click.IntRange(1, most), default=10, show_default=True, help="How many to show."
    )


@click.group("spend", cls=_DaysFirst, epilog=_EPILOG)
def command() -> None:
    """Show who spent how much.

    Without a command, the total and the days. All of it is read from the ledger that budgets are held to, up to the
    last call that was answered.
    """


@command.command(_DEFAULT_COMMAND)
@_with_span
@connected
def days(gateway: Gateway, *, is_json: bool, span: _Span) -> None:
    """Show the total, the budget of the gateway, and what was spent each day. 'tollway spend' alone does the same."""
    total = gateway.get("/global/spend", **span.query)
    daily = gateway.get("/global/spend/logs", **span.query)
    if is_json:
        print_json({**total, "daily": daily})
        return
    budget = dollars(total["max_budget"]) if total["max_budget"] else None
    print_fields([("spent", f"{dollars(total['spend'])} {span}"), ("budget", budget)])
    spent = {day["date"]: day["spend"] for day in daily}
    click.echo()
    _print_ranking(("DAY",), [((day,), spent.get(day, 0.0)) for day in span.days])


@command.command("keys")
@_with_span
@_with_limit(1000)
@connected
def rank_keys(gateway: Gateway, *, is_json: bool, span: _Span, limit: int) -> None:
    """Rank virtual keys by what they spent."""
    ranked = gateway.get("/global/spend/keys", limit=limit, **span.query)
    if _is_answered(ranked, span, is_json=is_json):
        return
    rows = [
        ((key["key_alias"] or "-", key["key_name"] or _short(key["api_key"])), key["total_spend"]) for key in ranked
    ]
    _print_ranking(("ALIAS", "KEY"), rows)


@command.command("models")
@_with_span
@_with_limit(1000)
@connected
def rank_models(gateway: Gateway, *, is_json: bool, span: _Span, limit: int) -> None:
    """Rank models, as their providers call them, by what was spent on them."""
    ranked = gateway.get("/global/spend/models", limit=limit, **span.query)
    if _is_answered(ranked, span, is_json=is_json):
        return
    _print_ranking(("MODEL",), [((model["model"],), model["total_spend"]) for model in ranked])


@command.command("teams")
@_with_span
@_with_limit(_MAX_ENTITIES)
@connected
def rank_teams(gateway: Gateway, *, is_json: bool, span: _Span, limit: int) -> None:
    """Rank teams by what their keys spent."""
    ranked = _rank_entities(gateway, "team", span)[:limit]
    if _is_answered(ranked, span, is_json=is_json):
        return
    rows = [((team.get("team_alias") or "-", team["team_id"]), team["total_spend"]) for team in ranked]
    _print_ranking(("ALIAS", "ID"), rows)


@command.command("users")
@_with_span
@_with_limit(_MAX_ENTITIES)
@connected
def rank_users(gateway: Gateway, *, is_json: bool, span: _Span, limit: int) -> None:
    """Rank users by what their keys spent."""
    ranked = _rank_entities(gateway, "user", span)[:limit]
    if _is_answered(ranked, span, is_json=is_json):
        return
    rows = [((user["user_id"], user.get("user_email") or "-"), user["total_spend"]) for user in ranked]
    _print_ranking(("ID", "EMAIL"), rows)


@command.command("logs")
@_with_span
@_with_limit(1000)
@click.option("--virtual-key", help="Only calls of this key: its alias, its value or its hash.")
@click.option("--user", help="Only calls of this user.")
@click.option("--team", help="Only calls of the team with this id.")
@connected
def list_calls(gateway: Gateway, *, is_json: bool, span: _Span, limit: int, **given: Any) -> None:
    """List the newest calls with what they used and cost."""
    query = given_fields(user_id=given["user"], team_id=given["team"]) | _key_filter(given["virtual_key"])
    query |= span.query | {"end_date": f"{span.last} 23:59:59"}
    calls = gateway.get("/spend/logs/v2", page_size=limit, **query)["data"]
    if _is_answered(calls, span, is_json=is_json):
        return
    print_table(("TIME (UTC)", "MODEL", "KEY", "USER", "TOKENS", "SPEND", "STATUS"), map(_call_row, calls))


def _short(key_hash: str) -> str:
    """A key that has no name; the master key has no hash either."""
    return "master key" if key_hash == MASTER_KEY_ID else key_hash[:12] or "-"


def _key_filter(name: str | None) -> dict[str, str]:
    if name is None:
        return {}
    if name.startswith("sk-"):
        return {"api_key": hash_key(name)}  # a value does not belong in an address
    return {"api_key" if len(name) == _HASH_LENGTH else "key_alias": name}


def _rank_entities(gateway: Gateway, kind: str, span: _Span) -> list[dict[str, Any]]:
    """Teams or users with their names, dearest first."""
    activity = gateway.get(f"/{kind}/daily/activity/aggregated", api_key_limit=0, **span.query)
    names: dict[str, dict[str, Any]] = {}
    spent: defaultdict[str, list[float]] = defaultdict(list)
    for day in activity["results"]:
        for entity, used in day["breakdown"]["entities"].items():
            names[entity] = used["metadata"]
            spent[entity].append(used["metrics"]["spend"])
    ranked = [{f"{kind}_id": entity, **names[entity], "total_spend": fsum(spent[entity])} for entity in names]
    return sorted(ranked, key=lambda one: -one["total_spend"])


def _is_answered(found: Sequence[Any], span: _Span, *, is_json: bool) -> bool:
    """Prints what there is for other programs, or that there is nothing."""
    if is_json:
        print_json(found)
    elif not found:
        click.echo(f"No calls {span}.", err=True)
    return is_json or not found


def _print_ranking(header: Sequence[str], rows: Sequence[tuple[Sequence[str], float]]) -> None:
    """Amounts with their names, and as bars, so that they can be compared at a glance."""
    most = max(spend for _, spend in rows)
    print_table((*header, "SPEND", ""), [(*names, dollars(spend), _bar(spend, most)) for names, spend in rows])


def _bar(spend: float, most: float) -> str:
    return "#" * max(round(_BAR * spend / most), 1) if spend > 0 else ""


def _call_row(call: Mapping[str, Any]) -> tuple[str, ...]:
    about = call["metadata"]
    error = about["error_information"]
    return (
        call["startTime"][:19].replace("T", " "),
        call["model"],
        about["user_api_key_alias"] or _short(call["api_key"]),
        call["user"] or "-",
        str(call["total_tokens"]),
        dollars(call["spend"]),
        f"failed: {error['error_code']}" if error else "ok",
    )
