"""`tollway models`: what there is to call, from a terminal, as a client of the management API."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from tollway.cli.gateway import FINDING, Gateway, connected
from tollway.cli.output import given_fields, print_json, print_table

_EPILOG = f"""\b
Examples:
  tollway models add gpt-4o openai/gpt-4o --api-key os.environ/OPENAI_API_KEY
  tollway models add gpt-4o openai/gpt-4o --api-key - < openai.key
  tollway models add local openai/llama3 --api-base http://localhost:8000/v1 --rpm 60 --param temperature=0.2
  tollway models list
  tollway models block gpt-4o
  tollway models delete gpt-4o

\b
A provider's key can be given in three ways, none of which shows it again:
  --api-key os.environ/NAME  a variable of the gateway, not of this terminal: nothing is stored but its name
  --api-key -                asked for without showing it, or read from a pipe or a file
  --api-key VALUE            stays in the shell's history

\b
{FINDING}
"""

_PAGE_SIZE = 500
_STDIN = "-"


@click.group("models", epilog=_EPILOG)
def command() -> None:
    """Add, list and block models.

    A model has a public name, which callers say, and the provider's own, which is called. Models of one public name
    share its calls. Those of the configuration file are changed there; those added here are served at once.
    """


@command.command("add")
@click.argument("name")
@click.argument("model", metavar="PROVIDER/MODEL")
@click.option("--id", "model_id", help="An id of your own.  [default: a random one]")
@click.option("--api-base", help="Address of the provider, where it is not the usual one.")
@click.option("--api-key", help="The provider's key: os.environ/NAME, or - to be asked for it, or the key itself.")
@click.option("--rpm", type=int, help="Requests per minute that it can take.")
@click.option("--tpm", type=int, help="Tokens per minute.")
@click.option(
    "--param", "params", multiple=True, metavar="KEY=VALUE", help="Anything else of litellm_params. Repeatable."
)
@connected
def add(gateway: Gateway, *, is_json: bool, name: str, model: str, model_id: str | None, **given: Any) -> None:
    """Add a model, and show its id. NAME: what callers say; PROVIDER/MODEL: what is called, like openai/gpt-4o.

    A --param is read as JSON where it is JSON, else as text.
    """
    params = _params(given["params"]) | given_fields(
        model=model,
        api_base=given["api_base"],
        api_key=_provider_key(given["api_key"]),
        rpm=given["rpm"],
        tpm=given["tpm"],
    )
    info = given_fields(id=model_id)
    added = gateway.post("/model/new", {"model_name": name, "litellm_params": params, "model_info": info})
    if is_json:
        print_json(added)
        return
    click.echo(added["model_id"])
    click.echo(f"\nCalls of {name} go to {model}.", err=True)


@command.command("list")
@click.option("--search", help="Only models with this in their public or their provider's name.")
@connected
def list_models(gateway: Gateway, *, is_json: bool, search: str | None) -> None:
    """List models with where they come from: the configuration file, or the database."""
    models = _list(gateway, **given_fields(search=search))
    if is_json:
        print_json(models)
        return
    if not models:
        click.echo("No models. Add one with 'tollway models add gpt-4o openai/gpt-4o'.", err=True)
        return
    print_table(("NAME", "MODEL", "ID", "FROM", "STATUS"), map(_list_row, models))


@command.command("block")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@connected
def block(gateway: Gateway, *, is_json: bool, names: Sequence[str]) -> None:
    """Take models out of use, at once, until they are unblocked. NAME: public name or id."""
    _change(gateway, "/model/block", "model_id", names, "blocked", is_json=is_json)


@command.command("unblock")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@connected
def unblock(gateway: Gateway, *, is_json: bool, names: Sequence[str]) -> None:
    """Let blocked models be used again. NAME: public name or id."""
    _change(gateway, "/model/unblock", "model_id", names, "works again", is_json=is_json)


@command.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@connected
def delete(gateway: Gateway, *, is_json: bool, names: Sequence[str]) -> None:
    """Delete models for good. Calls in flight finish. NAME: public name or id."""
    _change(gateway, "/model/delete", "id", names, "deleted", is_json=is_json)


def _provider_key(given: str | None) -> str | None:
    """The key, which is asked for or read from standard input where that is wanted."""
    if given != _STDIN:
        return given
    is_terminal = sys.stdin.isatty()
    key = click.prompt("Key of the provider", hide_input=True, err=True) if is_terminal else sys.stdin.read()
    if not key.strip():
        raise click.UsageError("--api-key - reads the key from standard input, and there is none.")
    return key.strip()


def _params(given: Iterable[str]) -> dict[str, Any]:
    params = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            # What was written may hold a secret, so it is not repeated.
            raise click.UsageError("--param must be KEY=VALUE, like temperature=0.2.")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params


def _change(gateway: Gateway, path: str, field: str, names: Sequence[str], outcome: str, *, is_json: bool) -> None:
    ids = [_resolve(gateway, name) for name in names]
    for name, model_id in zip(names, ids, strict=True):
        changed = gateway.post(path, {field: model_id})
        if is_json:
            print_json(changed)
        else:
            click.echo(f"{name}: {outcome}")


def _list(gateway: Gateway, **query: Any) -> list[dict[str, Any]]:
    return gateway.list_all("/v2/model/info", "data", size=_PAGE_SIZE, **query)


def _resolve(gateway: Gateway, name: str) -> str:
    """The id of a model that is named by its id or its public name."""
    if _list(gateway, modelId=name):
        return name
    named = [str(model["model_info"]["id"]) for model in _list(gateway, model=name)]
    if not named:
        raise click.ClickException(f"There is no model {name!r}. 'tollway models list' shows those there are.")
    if len(named) > 1:
        raise click.ClickException(f"Several models have the name {name!r}. Use an id: {', '.join(named)}.")
    return named[0]


def _list_row(model: Mapping[str, Any]) -> tuple[str, ...]:
    info = model["model_info"]
    return (
        model["model_name"],
        model["litellm_params"].get("model", "-"),
        info["id"],
        "database" if info["db_model"] else "file",
        _status(info),
    )


def _status(info: Mapping[str, Any]) -> str:
    if info.get("blocked"):
        return "blocked"
    # Only what is served has a provider; the log of the gateway says why a model is left out.
    return "active" if "litellm_provider" in info else "not served"
