"""`tollway shadow`: what would be different with another gateway, found with the traffic there is."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from tollway.cli.output import dollars, print_table

if TYPE_CHECKING:
    from tollway.shadow.proxy import Shadow
    from tollway.shadow.report import Report

_SHOWN = 40


def _address(ctx: click.Context, param: click.Parameter, value: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise click.BadParameter("write a whole address, such as http://litellm:4000")
    return value


@click.command()
@click.option("--primary", required=True, callback=_address, help="The gateway that answers callers.")
@click.option("--second", required=True, callback=_address, help="The gateway that is asked the same.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=4100, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option(
    "--sample", default=1.0, show_default=True, type=click.FloatRange(0, 1), help="Share of calls that is copied."
)
@click.option(
    "--second-key",
    envvar="TOLLWAY_SHADOW_SECOND_KEY",
    help="Key for the second gateway; callers' own keys if it is left out. Rather set TOLLWAY_SHADOW_SECOND_KEY.",
)
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="File for calls that differ, appended.")
@click.option(
    "--every", default=100, show_default=True, type=click.IntRange(1), help="Calls after which a summary is shown."
)
@click.option(
    "--compare-text", is_flag=True, help="Compare answers word for word: for models that always answer alike."
)
def command(
    primary: str,
    second: str,
    host: str,
    port: int,
    sample: float,
    second_key: str | None,
    report: Path | None,
    every: int,
    compare_text: bool,
) -> None:
    """Mirror traffic to a second gateway, and report where its answers differ.

    A proxy: callers get the answers of the primary, byte for byte. Calls of models are copied to the second when the
    primary has answered, from a queue, so that nobody waits for it; management is never copied. Compared are status,
    fields and their types, events of streams, model, finish reason, usage, cost and headers; what was asked and
    answered is not written down, and neither are keys.

    The second pays for what it is asked: sample, if that matters.
    """
    from tollway.shadow.proxy import Shadow
    from tollway.shadow.report import Report

    with report.open("ab") if report is not None else nullcontext() as file:
        found = Report(_lines(file), has_text=compare_text)
        shadow = Shadow(
            primary,
            second,
            found,
            sample=sample,
            second_key=second_key,
            after=lambda: _show_sometimes(found, every),
        )
        try:
            asyncio.run(_serve(shadow, host, port))
        except OSError as fault:
            click.echo(f"Error: {host}:{port} cannot be listened on: {fault.strerror}; choose another --port", err=True)
            sys.exit(1)
        found.close()
        _show(found.summary())


def _lines(file: BinaryIO | None) -> Callable[[bytes], None]:
    """Writes each line at once: the report can be followed while it grows."""

    def write(line: bytes) -> None:
        if file is not None:
            file.write(line + b"\n")
            file.flush()

    return write


async def _serve(shadow: Shadow, host: str, port: int) -> None:
    until = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, until.set)
    runner = await shadow.start(host, port)
    click.echo(f"Listening on http://{host}:{port}. Stop with Ctrl-C for the summary.")
    try:
        await until.wait()
    finally:
        await runner.cleanup()
        await shadow.stop()


def _show_sometimes(report: Report, every: int) -> None:
    if (report.compared + report.left_out.total()) % every == 0:
        _show(report.summary())


def _show(summary: dict[str, Any]) -> None:
    left_out = "".join(f", {count} left out: {reason}" for reason, count in summary["left_out"].items())
    click.echo(f"{summary['compared']} calls compared, {summary['same']} the same{left_out}")
    for name in ("primary", "second"):
        seconds = summary["seconds"][name]
        if seconds:
            cost = dollars(summary["cost"][name])
            click.echo(f"  {name}: p50 {seconds['p50']:.3f} s, p95 {seconds['p95']:.3f} s, {cost} by its own header")
    differences = summary["differences"]
    if differences:
        print_table(
            ("COUNT", "ROUTE", "DIFFERENCE", "WHERE", "PRIMARY", "SECOND"),
            [
                (
                    str(one["count"]),
                    one["route"],
                    one["kind"],
                    one["path"],
                    *(_short(one["examples"][0][name]) if one["examples"] else "" for name in ("primary", "second")),
                )
                for one in differences[:_SHOWN]
            ],
        )
    if len(differences) > _SHOWN:
        click.echo(f"and {len(differences) - _SHOWN} more kinds of differences; see --report")


def _short(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
