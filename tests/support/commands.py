"""Terminal commands against a running gateway."""

from __future__ import annotations

from collections.abc import Callable

import click
from click.testing import CliRunner, Result
from tests.support.gateway import Gateway

Run = Callable[..., Result]


def runner(gateway: Gateway, command: click.Command) -> Run:
    """Runs a command with the gateway's address and key in its environment, but for what is named here.

    `stdin` is what it is given to read.
    """
    environment = {"TOLLWAY_URL": gateway.url, "TOLLWAY_MASTER_KEY": gateway.master_key}

    def run(*arguments: str, stdin: str | None = None, **changes: str | None) -> Result:
        return CliRunner(env=environment | changes).invoke(command, arguments, input=stdin)

    return run
