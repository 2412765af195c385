"""`tollway teams`: teams and their members from a terminal, as a client of the management API."""

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
  tollway teams create --alias engineering --models gpt-4o --max-budget 1000 --budget-duration 30d
  tollway teams add-member engineering --email ann@example.com --max-budget 50
  tollway teams list
  tollway teams info engineering
  tollway teams update engineering --max-budget 2000
  tollway teams remove-member engineering --email ann@example.com
  tollway teams delete engineering

\b
{FINDING}
"""

_PAGE_SIZE = 100


def _with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options for what can be said about a team, when it is made and later."""
    options = (
        click.option("--alias", help="A name for people."),
        click.option("--organization", help="Id of the organization it belongs to."),
        click.option("--models", "--model", multiple=True, help="What its keys may call. Repeatable; default: all."),
        click.option("--max-budget", "--budget", type=float, help="Dollars, in all or per --budget-duration."),
        click.option("--budget-duration", help="When the budget begins anew: 1h, 1d, 7d, 30d, ..."),
        click.option("--rpm", type=int, help="Requests per minute, all its keys together."),
        click.option("--tpm", type=int, help="Tokens per minute."),
        click.option("--parallel", type=int, help="Requests at the same time."),
        click.option("--member-budget", type=float, help="Dollars of each member who has no budget of their own."),
        click.option("--metadata", help="A JSON object to keep with it."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _with_member(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say which member."""
    for option in (
        click.option("--user", "user_id", help="Their id."),
        click.option("--email", "user_email", help="Their address, instead of their id."),
    ):
        command = option(command)
    return command


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    return given_fields(
        team_alias=given["alias"],
        organization_id=given["organization"],
        models=list(given["models"]),
        max_budget=given["max_budget"],
        budget_duration=given["budget_duration"],
        rpm_limit=given["rpm"],
        tpm_limit=given["tpm"],
        max_parallel_requests=given["parallel"],
        team_member_budget=given["member_budget"],
        metadata=json_object("--metadata", given["metadata"]),
    )


@click.group("teams", epilog=_EPILOG)
def command() -> None:
    """Create, list and change teams and their members.

    Keys of a team share its models, limits and budget. A member can have a smaller budget of their own inside it.
    """


@command.command("create")
@click.option("--id", "team_id", help="An id of your own.  [default: a random one]")
@_with_fields
@connected
def create(gateway: Gateway, *, is_json: bool, team_id: str | None, **given: Any) -> None:
    """Create a team, and show its id."""
    made = gateway.post("/team/new", given_fields(team_id=team_id) | _fields(given))
    if is_json:
        print_json(made)
        return
    click.echo(made["team_id"])
    models = joined(made["models"], none="every model")
    click.echo(f"\nMay call: {models}; {budget(made) or 'no budget'}.", err=True)


@command.command("list")
@click.option("--search", help="Only teams with this in their alias, or with this id.")
@click.option("--organization", help="Only teams of this organization.")
@click.option("--user", help="Only teams this user is in.")
@click.option("--deleted", is_flag=True, help="Teams that were deleted.")
@connected
def list_teams(gateway: Gateway, *, is_json: bool, deleted: bool, **given: Any) -> None:
    """List teams, oldest first, with what they may spend and have spent."""
    query = given_fields(
        search=given["search"],
        organization_id=given["organization"],
        user_id=given["user"],
        status="deleted" if deleted else None,
    )
    teams = gateway.list_all("/v2/team/list", "teams", page_size=_PAGE_SIZE, **query)
    if is_json:
        print_json(teams)
        return
    if not teams:
        click.echo("No teams. Create one with 'tollway teams create --alias engineering'.", err=True)
        return
    print_table(("ALIAS", "ID", "MEMBERS", "KEYS", "MODELS", "SPEND", "BUDGET"), map(_list_row, teams))


@command.command("info")
@click.argument("name")
@connected
def info(gateway: Gateway, *, is_json: bool, name: str) -> None:
    """Show a team and its members. NAME: its id or its alias."""
    found = gateway.get("/team/info", team_id=_resolve(gateway, name))
    if is_json:
        print_json(found)
        return
    team = found["team_info"]
    print_fields(
        [
            ("alias", team["team_alias"]),
            ("id", team["team_id"]),
            ("status", "blocked" if team["blocked"] else "active"),
            ("organization", team["organization_id"]),
            ("models", joined(team["models"])),
            ("spend", dollars(team["spend"])),
            ("budget", budget(team)),
            ("resets", moment(team["budget_reset_at"])),
            ("rpm", team["rpm_limit"]),
            ("tpm", team["tpm_limit"]),
            ("parallel", team["max_parallel_requests"]),
            ("created", moment(team["created_at"])),
            ("metadata", json.dumps(team["metadata"]) if team["metadata"] else None),
        ]
    )
    click.echo()
    memberships = {one["user_id"]: one for one in found["team_memberships"]}
    members = [(member, memberships[member["user_id"]]) for member in team["members_with_roles"]]
    print_table(("MEMBER", "ROLE", "SPEND", "BUDGET"), (_member_row(*entry) for entry in members))


@command.command("update")
@click.argument("name")
@_with_fields
@click.option("--spend", type=float, help="Dollars it has spent of its current budget; 0 opens the budget again.")
@connected
def update(gateway: Gateway, *, is_json: bool, name: str, spend: float | None, **given: Any) -> None:
    """Change a team. What is not named stays. NAME: its id or its alias."""
    fields = _fields(given) | given_fields(spend=spend)
    if not fields:
        raise click.UsageError("Nothing to change: name at least one option.")
    changed = gateway.post("/team/update", {"team_id": _resolve(gateway, name), **fields})
    if is_json:
        print_json(changed)
        return
    click.echo(f"{_name(changed['data'])}: changed")


@command.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@connected
def delete(gateway: Gateway, *, is_json: bool, names: Sequence[str]) -> None:
    """Delete teams for good, with all their keys. Their spend stays in the ledger. NAME: id or alias."""
    deleted = gateway.post("/team/delete", {"team_ids": [_resolve(gateway, name) for name in names]})
    if is_json:
        print_json(deleted)
        return
    for name in names:
        click.echo(f"{name}: deleted")


@command.command("add-member")
@click.argument("name")
@_with_member
@click.option("--role", type=click.Choice(["user", "admin"]), default="user", show_default=True)
@click.option("--max-budget", "--budget", type=float, help="Dollars they may spend of the team's.")
@click.option("--budget-duration", help="When that budget begins anew: 1h, 1d, 7d, 30d, ...")
@connected
def add_member(gateway: Gateway, *, is_json: bool, name: str, **given: Any) -> None:
    """Add somebody to a team. Who is not a user yet becomes one. NAME: the team's id or alias."""
    member = _member(given)
    limits = given_fields(max_budget_in_team=given["max_budget"], budget_duration=given["budget_duration"])
    body = {"team_id": _resolve(gateway, name), "member": {"role": given["role"], **member}, **limits}
    added = gateway.post("/team/member_add", body)
    if is_json:
        print_json(added)
        return
    click.echo(f"{added['updated_team_memberships'][0]['user_id']}: added to {_name(added)}")


@command.command("remove-member")
@click.argument("name")
@_with_member
@connected
def remove_member(gateway: Gateway, *, is_json: bool, name: str, **given: Any) -> None:
    """Take somebody out of a team, and their keys of it with them. NAME: the team's id or alias."""
    member = _member(given)
    changed = gateway.post("/team/member_delete", {"team_id": _resolve(gateway, name), **member})
    if is_json:
        print_json(changed)
        return
    click.echo(f"{next(iter(member.values()))}: no longer in {_name(changed)}")


def _member(given: Mapping[str, Any]) -> dict[str, str]:
    member = given_fields(user_id=given["user_id"], user_email=given["user_email"])
    if len(member) != 1:
        raise click.UsageError("Say who: --user with their id, or --email with their address.")
    return member


def _resolve(gateway: Gateway, name: str) -> str:
    """The id of a team that is named by its id or its alias."""
    found = gateway.list_all("/v2/team/list", "teams", page_size=_PAGE_SIZE, search=name)
    if any(team["team_id"] == name for team in found):
        return name
    named = [team["team_id"] for team in found if team["team_alias"] == name]
    if not named:
        raise click.ClickException(f"There is no team {name!r}. 'tollway teams list' shows those there are.")
    if len(named) > 1:
        raise click.ClickException(f"Several teams have the alias {name!r}. Use an id: {', '.join(named)}.")
    return str(named[0])


def _list_row(team: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        team["team_alias"] or "-",
        team["team_id"],
        str(team["members_count"]),
        str(team["keys_count"]),
        joined(team["models"]),
        dollars(team["spend"]),
        budget(team) or "-",
    )


def _member_row(member: Mapping[str, Any], membership: Mapping[str, Any]) -> tuple[str, ...]:
    limits = membership["litellm_budget_table"]
    return (
        member["user_email"] or member["user_id"],
        member["role"],
        dollars(membership["spend"]),
        (budget(limits) if limits else None) or "-",
    )


def _name(team: Mapping[str, Any]) -> str:
    return str(team["team_alias"] or team["team_id"])
