"""`tollway keys`: virtual keys from a terminal, as a client of the management API."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click

_EPILOG = """\b
Examples:
  tollway keys create --alias my-app --models gpt-4o --models 'anthropic/*' --max-budget 10 --budget-duration 30d
  tollway keys create --alias batch --rpm 60 --tpm 100000 --parallel 4 --duration 90d
  tollway keys list
  tollway keys info my-app
  tollway keys block my-app
  tollway keys delete my-app

\b
The commands talk to a running gateway ('tollway serve'). They find it through --url or TOLLWAY_URL, and are let in by
the master key: --key, TOLLWAY_MASTER_KEY, or the one the gateway made and keeps in its data folder.
"""

_URL_VARIABLES = ("TOLLWAY_URL", "LITELLM_PROXY_URL")
_KEY_VARIABLES = ("TOLLWAY_MASTER_KEY", "LITELLM_MASTER_KEY", "LITELLM_PROXY_API_KEY")
_DEFAULT_URL = "http://127.0.0.1:4000"
_DEFAULT_DATA_DIR = "~/.local/share/tollway"
_TIMEOUT_S = 30
_PAGE_SIZE = 100
_HASH = re.compile(r"[0-9a-f]{64}")


class Gateway(NamedTuple):
    """A running gateway and the key to its management API."""

    url: str
    key: str

    def get(self, path: str, **query: Any) -> Any:
        """The decoded answer. Raises `click.ClickException` saying what to do."""
        from urllib.parse import urlencode

        return self._call("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The decoded answer. Raises `click.ClickException` saying what to do."""
        return self._call("POST", path, json.dumps(body).encode())

    def _call(self, method: str, target: str, body: bytes | None) -> Any:
        from urllib.error import HTTPError, URLError
        from urllib.request import Request, urlopen

        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = Request(self.url.rstrip("/") + target, body, headers, method=method)  # noqa: S310 - scheme checked
        try:
            with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - scheme checked
                warning = answer.headers.get("x-tollway-warning")
                if warning:
                    click.echo(f"Warning: {warning}", err=True)
                return json.load(answer)
        except HTTPError as error:
            with error:
                _explain_refusal(error.code, error.read())
        except (URLError, TimeoutError, ConnectionError) as error:
            _explain_absence(self.url, error)
        except ValueError:
            raise click.ClickException(
                f"{self.url} answered, but not as a gateway would. Is --url the address of a Tollway?"
            ) from None


def _explain_refusal(status: int, body: bytes) -> NoReturn:
    try:
        document = json.loads(body)
    except ValueError:
        document = {}
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict):
        text = str(error.get("message"))
    else:
        text = str(document.get("detail", "no explanation")) if isinstance(document, dict) else "no explanation"
    if status == 401:
        text += "\nUse the gateway's master key: --key, TOLLWAY_MASTER_KEY, or --data-dir with the folder it runs on."
    raise click.ClickException(f"{text} (status {status})")


def _explain_absence(url: str, error: Exception) -> NoReturn:
    reason = getattr(error, "reason", error)
    raise click.ClickException(
        f"No gateway answers at {url} ({reason}).\n"
        "Start one with 'tollway serve', or name another with --url or TOLLWAY_URL."
    )


def _connected(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say which gateway; the command gets it as its first argument."""

    @wraps(command)
    def connected(*, url: str | None, admin_key: str | None, data_dir: str | None, **others: Any) -> None:
        command(_gateway(url, admin_key, data_dir), **others)

    options = (
        click.option("--url", help=f"Address of the gateway.  [default: $TOLLWAY_URL or {_DEFAULT_URL}]"),
        click.option("--key", "admin_key", help="Master key.  [default: $TOLLWAY_MASTER_KEY, or the generated one]"),
        click.option("--data-dir", help="Data folder of the gateway, where it keeps the key it generated."),
        click.option("--json", "is_json", is_flag=True, help="Print the answer of the gateway as JSON."),
    )
    for option in reversed(options):
        connected = option(connected)
    return connected


def _gateway(url: str | None, admin_key: str | None, data_dir: str | None) -> Gateway:
    address = url or _from_environment(_URL_VARIABLES) or _DEFAULT_URL
    if not address.startswith(("http://", "https://")):
        raise click.UsageError(f"--url {address!r} must begin with http:// or https://.")
    return Gateway(address, admin_key or _from_environment(_KEY_VARIABLES) or _generated_key(data_dir))


def _from_environment(names: Sequence[str]) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)


def _generated_key(data_dir: str | None) -> str:
    shared = os.environ.get("XDG_DATA_HOME")
    default = f"{shared}/tollway" if shared else _DEFAULT_DATA_DIR
    path = Path(data_dir or os.environ.get("TOLLWAY_DATA_DIR") or default).expanduser() / "master_key"
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise click.ClickException(
            f"No master key: neither --key nor {_KEY_VARIABLES[0]} is given, and {path} cannot be read "
            f"({error.strerror}).\nThe gateway makes that file at its first start: run 'tollway serve', or point "
            "--data-dir at its data folder."
        ) from None


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
@_connected
def create(gateway: Gateway, *, is_json: bool, **given: Any) -> None:
    """Create a key and show it. It is shown this once: only its hash is kept."""
    fields = {
        "key_alias": given["alias"],
        "models": list(given["models"]) or None,
        "max_budget": given["max_budget"],
        "budget_duration": given["budget_duration"],
        "duration": given["duration"],
        "rpm_limit": given["rpm"],
        "tpm_limit": given["tpm"],
        "max_parallel_requests": given["parallel"],
        "user_id": given["user"],
        "team_id": given["team"],
        "tags": list(given["tags"]) or None,
        "metadata": _json_object("--metadata", given["metadata"]),
        "key": given["value"],
    }
    body = {name: value for name, value in fields.items() if value is not None}
    made = gateway.post("/key/generate", body)
    if is_json:
        _print_json(made)
        return
    click.echo(made["key"])
    click.echo(f"\n{_describe_limits(made)}", err=True)
    click.echo("Keep it safe: it is not shown again.", err=True)


@command.command("list")
@click.option("--user", help="Only keys of this user.")
@click.option("--team", help="Only keys of this team.")
@click.option("--search", help="Only keys with this in their alias or name.")
@click.option("--status", type=click.Choice(["active", "expired", "revoked", "deleted"]), help="Only keys that are so.")
@_connected
def list_keys(gateway: Gateway, *, is_json: bool, **given: Any) -> None:
    """List keys, newest first, with what they may spend and have spent."""
    names = {"user": "user_id", "team": "team_id", "search": "search", "status": "status"}
    query = {wire: given[option] for option, wire in names.items() if given[option] is not None}
    keys = _all_pages(gateway, query)
    if is_json:
        _print_json(keys)
        return
    if not keys:
        click.echo("No keys. Create one with 'tollway keys create --alias my-app'.", err=True)
        return
    header = ("ALIAS", "KEY", "STATUS", "MODELS", "SPEND", "BUDGET", "EXPIRES")
    click.echo(_table([header, *(_list_row(key, given["status"]) for key in keys)]))


@command.command("info")
@click.argument("name")
@_connected
def info(gateway: Gateway, *, is_json: bool, name: str) -> None:
    """Show a key. NAME: its alias, its value or its hash."""
    found = gateway.get("/key/info", key=_resolve(gateway, name))
    if is_json:
        _print_json(found)
        return
    key = found["info"]
    rows = [
        ("alias", key["key_alias"]),
        ("key", key["key_name"]),
        ("status", key["status"]),
        ("models", ", ".join(key["models"]) or "all"),
        ("spend", _dollars(key["spend"])),
        ("budget", _budget(key)),
        ("resets", _moment(key["budget_reset_at"])),
        ("spent in all", _dollars(key["total_spend"])),
        ("rpm", key["rpm_limit"]),
        ("tpm", key["tpm_limit"]),
        ("parallel", key["max_parallel_requests"]),
        ("user", key["user_id"]),
        ("team", key["team_id"]),
        ("created", _moment(key["created_at"])),
        ("expires", _moment(key["expires"]) or "never"),
        ("metadata", json.dumps(key["metadata"]) if key["metadata"] else None),
    ]
    click.echo(_table([(label, str(value)) for label, value in rows if value is not None]))


@command.command("block")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_connected
def block(gateway: Gateway, *, is_json: bool, names: Sequence[str]) -> None:
    """Stop keys from working, at once, until they are unblocked. NAME: alias, value or hash."""
    _set_blocked(gateway, "/key/block", names, "blocked", is_json=is_json)


@command.command("unblock")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_connected
def unblock(gateway: Gateway, *, is_json: bool, names: Sequence[str]) -> None:
    """Let blocked keys work again. NAME: alias, value or hash."""
    _set_blocked(gateway, "/key/unblock", names, "works again", is_json=is_json)


@command.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_connected
def delete(gateway: Gateway, *, is_json: bool, names: Sequence[str]) -> None:
    """Delete keys for good. Their spend stays in the ledger. NAME: alias, value or hash."""
    deleted = gateway.post("/key/delete", {"keys": [_resolve(gateway, name) for name in names]})
    if is_json:
        _print_json(deleted)
        return
    for name in names:
        click.echo(f"{_public(name)}: deleted")


def _set_blocked(gateway: Gateway, path: str, names: Sequence[str], outcome: str, *, is_json: bool) -> None:
    for name in names:
        changed = gateway.post(path, {"key": _resolve(gateway, name)})
        if is_json:
            _print_json(changed)
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


def _all_pages(gateway: Gateway, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = []
    page = last = 1
    while page <= last:
        answer = gateway.get("/key/list", return_full_object="true", size=_PAGE_SIZE, page=page, **query)
        keys += answer["keys"]
        page, last = page + 1, answer["total_pages"]
    return keys


def _json_object(option: str, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise click.UsageError(f"""{option} must be a JSON object, like '{{"project": "search"}}'.""")
    return value


def _list_row(key: Mapping[str, Any], status: str | None) -> tuple[str, ...]:
    return (
        key["key_alias"] or "-",
        key["key_name"] or key["token"][:12],
        status or _status(key),
        ", ".join(key["models"]) or "all",
        _dollars(key["spend"]),
        _budget(key) or "-",
        _moment(key["expires"]) or "never",
    )


def _status(key: Mapping[str, Any]) -> str:
    if key["blocked"]:
        return "blocked"
    expires = key["expires"]
    return "expired" if expires and datetime.fromisoformat(expires) <= datetime.now(UTC) else "active"


def _describe_limits(key: Mapping[str, Any]) -> str:
    limits = [
        ", ".join(key["models"]) or "every model",
        _budget(key) or "no budget",
        *(
            f"{key[name]} {words}"
            for name, words in (
                ("rpm_limit", "requests a minute"),
                ("tpm_limit", "tokens a minute"),
                ("max_parallel_requests", "at a time"),
            )
            if key[name] is not None
        ),
        f"until {_moment(key['expires'])}" if key["expires"] else "for ever",
    ]
    return "May call: " + "; ".join(limits) + "."


def _budget(key: Mapping[str, Any]) -> str | None:
    if key["max_budget"] is None:
        return None
    per = f" per {key['budget_duration']}" if key["budget_duration"] else ""
    return f"{_dollars(key['max_budget'])}{per}"


def _dollars(amount: float) -> str:
    cents = f"{amount:.2f}"
    exact = f"{amount:.9f}".rstrip("0")
    return f"${max(cents, exact, key=len)}"


def _moment(text: str | None) -> str | None:
    return text and f"{text[:16].replace('T', ' ')} UTC"


def _public(name: str) -> str:
    # A key's value may be in the shell's history already; it need not be in a log as well.
    return f"sk-...{name[-4:]}" if name.startswith("sk-") else name


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))
