"""`tollway serve`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_EPILOG = """\b
Examples:
  tollway serve                                  try it: SQLite, the demo model, keys from the environment
  OPENAI_API_KEY=sk-... tollway serve            every OpenAI model under its own name
  tollway serve --config config.yaml             a LiteLLM configuration file works as it is
  tollway serve --config config.yaml --reload-config
  tollway serve --config config.yaml --workers 4 several processes that count as one

\b
Every setting has a variable (TOLLWAY_PORT, TOLLWAY_DATA_DIR, ...) and a key in the file.
Precedence: flag, TOLLWAY_*, settings changed over the API, file, LITELLM_* and plain variables, default.
'tollway check-config FILE' shows what is in force and why. SIGTERM lets calls in flight finish; SIGHUP
reloads the configuration.

\b
Several workers keep budgets and limits together through REDIS_URL, or through a Valkey of their own that is started
with them (pip install 'tollway[workers]'). One that dies is started again; /metrics shows the sum of all.
"""


F = TypeVar("F", bound=Callable[..., Any])


def _accepted(*names: str, takes_value: bool = False) -> Callable[[F], F]:
    """An option of the original that means nothing here: taken, so that scripts keep working."""
    return click.option(*names, hidden=True, expose_value=False, is_flag=not takes_value)


@click.command("serve", epilog=_EPILOG)
@click.option("--config", "-c", "config", type=click.Path(path_type=Path), help="Configuration file (YAML).")
@click.option("--host", help="Address to listen on.  [default: 0.0.0.0]")
@click.option("--port", type=int, help="Port to listen on.  [default: 4000]")
@click.option("--workers", "--num_workers", type=int, help="Worker processes, about one per processor.  [default: 1]")
@click.option("--database-url", help="Database; an SQLite file in the data folder if not given.")
@click.option("--redis-url", help="Redis or Valkey that several gateways share.")
@click.option("--data-dir", help="Folder for database, journal and generated keys.  [default: ~/.local/share/tollway]")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="How log lines look.  [default: text]")
@click.option("--reload-config", is_flag=True, help="Apply changes of the configuration file as they are saved.")
@click.option("--debug", is_flag=True, default=None, help="Log more.")
@click.option("--detailed_debug", "--detailed-debug", is_flag=True, default=None, help="Log everything.")
@click.option("--ssl_keyfile_path", "--ssl-keyfile", help="Private key for HTTPS.")
@click.option("--ssl_certfile_path", "--ssl-certfile", help="Certificate chain for HTTPS.")
@click.option("--keepalive_timeout", "--keepalive-timeout", type=float, help="Seconds an idle connection is kept.")
@click.option("--model", "-m", help="Serve this one model (provider/name) without a configuration file.")
@click.option("--alias", help="Public name of --model.")
@click.option("--api_base", "--api-base", help="Base URL of --model.")
@click.option("--api_version", "--api-version", help="API version of --model (Azure).")
@click.option("--headers", hidden=True, help="JSON object of headers for --model.")
@click.option("--temperature", type=float, hidden=True, help="Default temperature of --model.")
@click.option("--max_tokens", type=int, hidden=True, help="Default max_tokens of --model.")
@click.option("--request_timeout", "--request-timeout", type=float, help="Seconds a whole call may take.")
@_accepted("--drop_params")
@_accepted("--run_gunicorn")
@_accepted("--run_hypercorn")
@_accepted("--run_granian")
@_accepted("--add_function_to_prompt")
@_accepted("--use_prisma_db_push")
@_accepted("--skip_server_startup")
@_accepted("--telemetry", takes_value=True)
@_accepted("--max_budget", takes_value=True)
def command(config: Path | None, reload_config: bool, headers: str | None, **flags: Any) -> None:
    """Start the gateway.

    Needs nothing: without a configuration it keeps its data in an SQLite file, makes a master key and prints it once,
    serves the built-in 'demo' model, and every model of the providers whose keys it finds in the environment.
    """
    from tollway.app.server import serve
    from tollway.config.problem import ConfigurationError
    from tollway.core.errors import Misconfigured

    if headers is not None:
        flags["headers"] = _json_object(headers)
    try:
        serve(config, flags, os.environ, watches_files=reload_config)
    except (ConfigurationError, Misconfigured) as error:
        click.echo(f"{error}", err=True)
        sys.exit(1)


def _json_object(text: str) -> dict[str, Any]:
    import msgspec

    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"must be a JSON object: {error}", param_hint="--headers") from None
