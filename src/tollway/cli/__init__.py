"""The `tollway` command. Each subcommand lives in its own module and is imported when it is called."""

from __future__ import annotations

import importlib

import click
from typing_extensions import override

from tollway import __version__

_COMMANDS = {
    "serve": ("tollway.cli.serve", "Start the gateway."),
    "check-config": ("tollway.cli.check_config", "Check a configuration file and show what it resolves to."),
    "keys": ("tollway.cli.keys", "Create, list and block virtual keys."),
    "teams": ("tollway.cli.teams", "Create, list and change teams and their members."),
    "users": ("tollway.cli.users", "Create, list and change users."),
    "models": ("tollway.cli.models", "Add, list and block models."),
    "spend": ("tollway.cli.spend", "Show who spent how much."),
    "ledger": ("tollway.cli.ledger", "Prove that sums follow from records; compare with a provider's bill."),
    "shadow": ("tollway.cli.shadow", "Mirror traffic to a second gateway, and report differences."),
    "import-litellm": ("tollway.cli.import_litellm", "Move in from LiteLLM, with every key and budget."),
    "db": ("tollway.cli.db", "Look after the database schema, and move to another database."),
    "version": ("tollway.cli.version", "Show the version."),
}


class _LateGroup(click.Group):
    """Imports a subcommand only when it is asked for, so that starting the gateway loads nothing else."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.group(
    cls=_LateGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with 'tollway serve': it needs no configuration. 'tollway COMMAND --help' explains each command.",
)
@click.version_option(__version__, prog_name="tollway")
def main() -> None:
    """An LLM gateway: one address for every model vendor, with virtual keys, budgets that hold, and metered spend."""
