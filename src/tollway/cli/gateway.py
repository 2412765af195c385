"""A running gateway as terminal commands see it: which one, with what key, and what it says when it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click

FINDING = """\
The commands talk to a running gateway ('tollway serve'). They find it through --url or TOLLWAY_URL, and are let in by
the master key: --key, TOLLWAY_MASTER_KEY, or the one the gateway made and keeps in its data folder."""
"""How the gateway is found, for the end of a command's help."""

_URL_VARIABLES = ("TOLLWAY_URL", "LITELLM_PROXY_URL")
_KEY_VARIABLES = ("TOLLWAY_MASTER_KEY", "LITELLM_MASTER_KEY", "LITELLM_PROXY_API_KEY")
_DEFAULT_URL = "http://127.0.0.1:4000"
_DEFAULT_DATA_DIR = "~/.local/share/tollway"
_TIMEOUT_S = 30


class Gateway(NamedTuple):
    """A running gateway and the key to its management API."""

    url: str
    key: str

    def get(self, path: str, **query: Any) -> Any:
        """The decoded answer. Raises `click.ClickException` saying what to do."""
        from urllib.parse import urlencode

        return self._call("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def list_all(self, path: str, entries: str, **query: Any) -> list[dict[str, Any]]:
        """Every page of a listing that has its rows under `entries`. Raises `click.ClickException`."""
        rows: list[dict[str, Any]] = []
        page = last = 1
        while page <= last:
            answer = self.get(path, page=page, **query)
            rows += answer[entries]
            page, last = page + 1, answer["total_pages"]
        return rows

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
        text = _detail(document.get("detail", "no explanation")) if isinstance(document, dict) else "no explanation"
    if status == 401:
        text += "\nUse the gateway's master key: --key, TOLLWAY_MASTER_KEY, or --data-dir with the folder it runs on."
    raise click.ClickException(f"{text} (status {status})")


def _detail(detail: Any) -> str:
    """What is wrong where, of a body whose fields have the wrong types."""
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in detail)


def _explain_absence(url: str, error: Exception) -> NoReturn:
    reason = getattr(error, "reason", error)
    raise click.ClickException(
        f"No gateway answers at {url} ({reason}).\n"
        "Start one with 'tollway serve', or name another with --url or TOLLWAY_URL."
    )


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say which gateway; the command gets it as its first argument."""

    @wraps(command)
    def with_gateway(*, url: str | None, admin_key: str | None, data_dir: str | None, **others: Any) -> None:
        command(_gateway(url, admin_key, data_dir), **others)

    options = (
        click.option("--url", help=f"Address of the gateway.  [default: $TOLLWAY_URL or {_DEFAULT_URL}]"),
        click.option("--key", "admin_key", help="Master key.  [default: $TOLLWAY_MASTER_KEY, or the generated one]"),
        click.option("--data-dir", help="Data folder of the gateway, where it keeps the key it generated."),
        click.option("--json", "is_json", is_flag=True, help="Print the answer of the gateway as JSON."),
    )
    for option in reversed(options):
        with_gateway = option(with_gateway)
    return with_gateway


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
