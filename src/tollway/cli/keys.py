"""`tollway keys`: virtual keys from a terminal, as a client of the management API."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from tollway.cli.gateway import FINDING, Gateway, connected
from tollway.cli.output import (
    budget,
    dollars,
    given_fields,
    joined,
    json_object,
    moment,
    print_fields,
    print_json,
    print_table,
)

_EPILOG = f"""\b
Examples:
  tollway keys create --alias my-app --models gpt-4o --models 'anthropic/*' --max-budget 10 --budget-duration 30d
  tollway keys create --alias batch --rpm 60 --tpm 100000 --parallel 4 --duration 90d
  tollway keys list
  tollway keys info my-app
  tollway keys block my-app
  tollway keys delete my-app

\b
{FINDING}
"""

_PAGE_SIZE = 100
_HASH = re.compile(r"[0-9a-f]{64}")


@click.group("keys", epilog=_EPILOG)
def command() -> None:
    """Create, list and block virtual keys.

    A virtual key is what an application gets instead of a vendor's key: it may call the models you allow, for as long
    and as much as you allow, and its spend is its own.
    """


@command.command("create")
@click.option("--alias", help="A name for people; unique.")
@click.option("--models", "--model", multiple=True, help="A model it may call, or a pattern. Repeatable; default: all.")
@click.option("--max-budget", "--budget", type=float, help="Dollars it may spend, in all or per --budget-duration.")
@click.option("--budget-duration", help="When the budget begins anew: 1h, 1d, 7d, 30d, ...")
@click.option("--duration", help="How long the key lives: 12h, 90d, 1mo, ...  [default: for ever]")
@click.option("--rpm", type=int, help="Requests per minute.")
@click.option("--tpm", type=int, help="Tokens per minute.")
@click.option("--parallel", type=int, help="Requests at the same time.")
@click.option("--user", help="Id of the user it belongs to.")
@click.option("--team", help="Id of the team it belongs to.")
@click.option("--tag", "tags", multiple=True, help="A tag for everything it is used for. Repeatable.")
@click.option("--metadata", help="A JSON object to keep with it.")
@click.option("--value", help="A value of your own: sk- and at least 16 characters in all.")
@connected
def create(gateway: Gateway, *, is_json: bool, **given: Any) -> None:
    """Create a key and show it. It is shown this once: only its hash is kept."""
    body = given_fields(
        key_alias=given["alias"],
        models=list(given["models"]),
        max_budget=given["max_budget"],
        budget_duration=given["budget_duration"],
        duration=given["duration"],
        rpm_limit=given["rpm"],
        tpm_limit=given["tpm"],
        max_parallel_requests=given["parallel"],
        user_id=given["user"],
        team_id=given["team"],
        tags=list(given["tags"]),
        metadata=json_object("--metadata", given["metadata"]),
        key=given["value"],
    )
    made = gateway.post("/key/generate", body)
    if is_json:
        print_json(made)
        return
    click.echo(made["key"])
    click.echo(f"\n{_describe_limits(made)}", err=True)
    click.echo("Keep it safe: it is not shown again.", err=True)


@command.command("list")
@click.option("--user", help="Only keys of this user.")
@click.option("--team", help="Only keys of this team.")
@click.option("--search", help="Only keys with this in their alias or name.")
@click.option("--status", type=click.Choice(["active", "expired", "revoked", "deleted"]), help="Only keys that are so.")
@connected
def list_keys(gateway: Gateway, *, is_json: bool, **given: Any) -> None:
    """List keys, newest first, with what they may spend and have spent."""
    names = {"user": "user_id", "team": "team_id", "search": "search", "status": "status"}
    query = {wire: given[option] for option, wire in names.items() if given[option] is not None}
    keys = gateway.list_all(
        "/key/list", "keys", return_full_object="true", include_team_keys="true", size=_PAGE_SIZE, **query
    )
    if is_json:
        print_json(keys)
        return
    if not keys:
        click.echo("No keys. Create one with 'tollway keys create --alias my-app'.", err=True)
        return
    header = ("ALIAS", "KEY", "STATUS", "MODELS", "SPEND", "BUDGET", "EXPIRES")
    print_table(header, (_list_row(key, given["status"]) for key in keys))


@command.command("info")
@click.argument("name")
@connected
def info(gateway: Gateway, *, is_json: bool, name: str) -> None:
    """Show a key. NAME: its alias, its value or its hash."""
    found = gateway.get("/key/info", key=_resolve(gateway, name))
    if is_json:
        print_json(found)
        return
    key = found["info"]
    fields = [
        ("alias", key["key_alias"]),
        ("key", key["key_name"]),
        ("status", key["status"]),
        ("models", joined(key["models"])),
        ("spend", dollars(key["spend"])),
        ("budget", budget(key)),
        ("resets", moment(key["budget_reset_at"])),
        ("spent in all", dollars(key["total_spend"])),
        ("rpm", key["rpm_limit"]),
        ("tpm", key["tpm_limit"]),
        ("parallel", key["max_parallel_requests"]),
        ("user", key["user_id"]),
        ("team", key["team_id"]),
        ("created", moment(key["created_at"])),
        ("expires", moment(key["expires"]) or "never"),
        ("metadata", json.dumps(key["metadata"]) if key["metadata"] else None),
    ]
    print_fields(fields)


@command.command("block")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@connected
def block(gateway: Gateway, *, is_json: bool, names: Sequence[str]) -> None:
    """Stop keys from working, at once, until they are unblocked. NAME: alias, value or hash."""
    _set_blocked(gateway, "/key/block", names, "blocked", is_json=is_json)


@command.command("unblock")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@connected
def unblock(gateway: Gateway, *, is_json: bool, names: Sequence[str]) -> None:
    """Let blocked keys work again. NAME: alias, value or hash."""
    _set_blocked(gateway, "/key/unblock", names, "works again", is_json=is_json)


@command.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@connected
def delete(gateway: Gateway, *, is_json: bool, names: Sequence[str]) -> None:
    """Delete keys for good. Their spend stays in the ledger. NAME: alias, value or hash."""
    deleted = gateway.post("/key/delete", {"keys": [_resolve(gateway, name) for name in names]})
    if is_json:
        print_json(deleted)
        return
    for name in names:
        click.echo(f"{_public(name)}: deleted")


def _set_blocked(gateway: Gateway, path: str, names: Sequence[str], outcome: str, *, is_json: bool) -> None:
    for name in names:
        changed = gateway.post(path, {"key": _resolve(gateway, name)})
        if is_json:
            print_json(changed)
        else:
            click.echo(f"{changed['key_alias'] or changed['key_name'] or _public(name)}: {outcome}")


def _resolve(gateway: Gateway, name: str) -> str:
    """What the API takes for a key: its value or its hash."""
    if name.startswith("sk-") or _HASH.fullmatch(name):
        return name
    found: list[str] = gateway.get("/key/list", key_alias=name)["keys"]
    if not found:
        raise click.ClickException(
            f"There is no key with the alias {name!r}. 'tollway keys list' shows those there are."
        )
    return found[0]


def _list_row(key: Mapping[str, Any], status: str | None) -> tuple[str, ...]:
    return (
        key["key_alias"] or "-",
        key["key_name"] or key["token"][:12],
        status or _status(key),
        joined(key["models"]),
        dollars(key["spend"]),
        budget(key) or "-",
        moment(key["expires"]) or "never",
    )


def _status(key: Mapping[str, Any]) -> str:
    if key["blocked"]:
        return "blocked"
    expires = key["expires"]
    return "expired" if expires and datetime.fromisoformat(expires) <= datetime.now(UTC) else "active"


def _describe_limits(key: Mapping[str, Any]) -> str:
    limits = [
        joined(key["models"], none="every model"),
        budget(key) or "no budget",
        *(
            f"{key[name]} {words}"
            for name, words in (
                ("rpm_limit", "requests a minute"),
                ("tpm_limit", "tokens a minute"),
                ("max_parallel_requests", "at a time"),
            )
            if key[name] is not None
        ),
        f"until {moment(key['expires'])}" if key["expires"] else "for ever",
    ]
    return "May call: " + "; ".join(limits) + "."


def _public(name: str) -> str:
    # A key's value may be in the shell's history already; it need not be in a log as well.
    return f"sk-...{name[-4:]}" if name.startswith("sk-") else name
