"""How terminal commands read and show values: tables, money, moments, JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

PROGRESS_EVERY_S = 1.0


def print_json(value: Any) -> None:
    """The gateway's answer as it came, for other programs."""
    click.echo(json.dumps(value, indent=2))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under a header, in columns as wide as they need."""
    click.echo(_columns([header, *rows]))


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """One thing, a field a line; those without a value are left out."""
    click.echo(_columns([(label, str(value)) for label, value in fields if value is not None]))


def dollars(amount: float) -> str:
    """Money to the cent, or as exact as it is."""
    cents = f"{amount:.2f}"
    exact = f"{amount:.9f}".rstrip("0")
    return f"${max(cents, exact, key=len)}"


def budget(entity: Mapping[str, Any]) -> str | None:
    """`max_budget` and `budget_duration` of anything that has them: `$10.00 per 30d`."""
    if entity["max_budget"] is None:
        return None
    per = f" per {entity['budget_duration']}" if entity["budget_duration"] else ""
    return f"{dollars(entity['max_budget'])}{per}"


def moment(text: str | None) -> str | None:
    """A point in time, to the minute."""
    return text and f"{text[:16].replace('T', ' ')} UTC"


def joined(listed: Sequence[str], *, none: str = "all") -> str:
    """A list of names; `none` for an empty one."""
    return ", ".join(listed) or none


def json_object(option: str, text: str | None) -> dict[str, Any] | None:
    """The object that was given with an option. Raises `click.UsageError`."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise click.UsageError(f"""{option} must be a JSON object, like '{{"project": "search"}}'.""")
    return value


def given_fields(**fields: Any) -> dict[str, Any]:
    """A request body of those fields that were given on the command line."""
    return {name: value for name, value in fields.items() if value not in (None, [], ())}


class Progress:
    """Says on standard error, once a second, how far long work is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PROGRESS_EVERY_S

    def __call__(self, table: str, done: int, total: int) -> None:
        """To be told after each batch of a table's rows."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PROGRESS_EVERY_S
            click.echo(f"{table}: {done:,} of {total:,} rows", err=True)


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
