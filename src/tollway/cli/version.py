"""`tollway version`."""

from __future__ import annotations

import platform

import click

from tollway import __version__


@click.command("version")
def command() -> None:
    """Show the version of Tollway and of the Python it runs on."""
    click.echo(f"tollway {__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})")
