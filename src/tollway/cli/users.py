"""`tollway users`: people from a terminal, as a client of the management API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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
  tollway users create --email ann@example.com --max-budget 50 --budget-duration 30d
  tollway users create --id ci --role internal_user_viewer --no-key
  tollway users list --search ann
  tollway users info ann@example.com
  tollway users update ann@example.com --max-budget 100
  tollway users update ann@example.com --spend 0
  tollway users delete ann@example.com

\b
{FINDING}
"""

_PAGE_SIZE = 100
_ROLES = ("proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer")


def _with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options for what can be said about a user, when they are made and later."""
    options = (
        click.option("--email", help="Their address; unique."),
        click.option("--alias", help="A name for people."),
        click.option("--role", type=click.Choice(_ROLES), help="What they may manage.  [default: internal_user]"),
        click.option("--models", "--model", multiple=True, help="What their personal keys may call. Repeatable."),
        click.option("--max-budget", "--budget", type=float, help="Dollars, in all or per --budget-duration."),
        click.option("--budget-duration", help="When the budget begins anew: 1h, 1d, 7d, 30d, ..."),
        click.option("--rpm", type=int, help="Requests per minute, all their personal keys together."),
        click.option("--tpm", type=int, help="Tokens per minute."),
        click.option("--parallel", type=int, help="Requests at the same time."),
        click.option("--team", "teams", multiple=True, help="Id of a team to join. Repeatable."),
        click.option("--metadata", help="A JSON object to keep with them."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    return given_fields(
        user_email=given["email"],
        user_alias=given["alias"],
        user_role=given["role"],
        models=list(given["models"]),
        max_budget=given["max_budget"],
        budget_duration=given["budget_duration"],
        rpm_limit=given["rpm"],
        tpm_limit=given["tpm"],
        max_parallel_requests=given["parallel"],
        teams=list(given["teams"]),
        metadata=json_object("--metadata", given["metadata"]),
    )


@click.group("users", epilog=_EPILOG)
def command() -> None:
    """Create, list and change users.

    A user is a person with keys of their own. What all of them spend together counts in the user's budget; keys of a
    team spend the team's.
    """


@command.command("create")
@click.option("--id", "user_id", help="An id of your own.  [default: a random one]")
@_with_fields
@click.option("--no-key", is_flag=True, help="Make no key along with them.")
@connected
def create(gateway: Gateway, *, is_json: bool, user_id: str | None, no_key: bool, **given: Any) -> None:
    """Create a user, and show the key that is made for them. It is shown this once."""
    made = gateway.post("/user/new", given_fields(user_id=user_id, auto_create_key=not no_key) | _fields(given))
    if is_json:
        print_json(made)
        return
    click.echo(made["key"] or made["user_id"])
    click.echo(f"\n{_name(made)}: {made['user_role']}, {budget(made) or 'no budget'}.", err=True)
    if made["key"]:
        click.echo("Keep the key safe: it is not shown again.", err=True)


@command.command("list")
@click.option("--search", help="Only users with this in their id, address or alias.")
@click.option("--role", type=click.Choice(_ROLES), help="Only users with this role.")
@click.option("--team", help="Only users in this team.")
@click.option("--organization", help="Only users in this organization.")
@connected
def list_users(gateway: Gateway, *, is_json: bool, **given: Any) -> None:
    """List users, newest first, with what they may spend and have spent."""
    organizations = given.pop("organization")
    query = given_fields(**given, organization_ids=organizations)
    users = gateway.list_all("/user/list", "users", page_size=_PAGE_SIZE, **query)
    if is_json:
        print_json(users)
        return
    if not users:
        click.echo("No users. Create one with 'tollway users create --email ann@example.com'.", err=True)
        return
    print_table(("ID", "EMAIL", "ROLE", "KEYS", "TEAMS", "SPEND", "BUDGET"), map(_list_row, users))


@command.command("info")
@click.argument("user_id")
@connected
def info(gateway: Gateway, *, is_json: bool, user_id: str) -> None:
    """Show a user with their keys and teams."""
    found = gateway.get("/user/info", user_id=user_id)
    if is_json:
        print_json(found)
        return
    user = found["user_info"]
    print_fields(
        [
            ("id", user["user_id"]),
            ("email", user["user_email"]),
            ("alias", user["user_alias"]),
            ("role", user["user_role"]),
            ("models", joined(user["models"])),
            ("spend", dollars(user["spend"])),
            ("budget", budget(user)),
            ("resets", moment(user["budget_reset_at"])),
            ("rpm", user["rpm_limit"]),
            ("tpm", user["tpm_limit"]),
            ("parallel", user["max_parallel_requests"]),
            ("keys", joined([key["key_alias"] or key["key_name"] for key in found["keys"]], none="none")),
            ("teams", joined([team["team_alias"] or team["team_id"] for team in found["teams"]], none="none")),
            ("created", moment(user["created_at"])),
            ("metadata", json.dumps(user["metadata"]) if user["metadata"] else None),
        ]
    )


@command.command("update")
@click.argument("user_id")
@_with_fields
@click.option("--spend", type=float, help="What they shall have spent in the current period; 0 to begin anew.")
@connected
def update(gateway: Gateway, *, is_json: bool, user_id: str, spend: float | None, **given: Any) -> None:
    """Change the fields that are given. A user that does not exist yet is made, without a key."""
    changes = _fields(given) | given_fields(spend=spend)
    if not changes:
        raise click.UsageError("Nothing to change. 'tollway users update --help' shows what can be.")
    changed = gateway.post("/user/update", {"user_id": user_id, **changes})
    if is_json:
        print_json(changed)
        return
    user = changed["data"]
    spent = f"{dollars(user['spend'])} spent"
    click.echo(f"{_name(user)}: {user['user_role']}, {budget(user) or 'no budget'}, {spent}")


@command.command("delete")
@click.argument("user_ids", nargs=-1, required=True, metavar="USER_ID...")
@connected
def delete(gateway: Gateway, *, is_json: bool, user_ids: Sequence[str]) -> None:
    """Delete users with their keys and memberships. Their spend stays in the ledger."""
    deleted = gateway.post("/user/delete", {"user_ids": list(user_ids)})
    if is_json:
        print_json(deleted)
        return
    for user_id in user_ids:
        click.echo(f"{user_id}: deleted")


def _name(user: Mapping[str, Any]) -> str:
    return str(user["user_alias"] or user["user_email"] or user["user_id"])


def _list_row(user: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        user["user_id"],
        user["user_email"] or "-",
        user["user_role"] or "-",
        str(user["key_count"]),
        str(len(user["teams"])),
        dollars(user["spend"]),
        budget(user) or "-",
    )
