"""`tollway check-config`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from tollway.config.configuration import Configuration, ModelEntry
    from tollway.config.problem import ConfigurationError, Problem
    from tollway.core.price import Price, Rates
    from tollway.core.snapshot import Deployment, Snapshot


@click.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--with-database", is_flag=True, help="Count the settings that were changed over the API as well.")
def command(file: Path | None, as_json: bool, with_database: bool) -> None:
    """Show what a configuration comes to, and what is wrong with it.

    FILE is a config.yaml. Without one, TOLLWAY_CONFIG and CONFIG_FILE_PATH are looked at, and without those, what the
    environment alone comes to is shown.

    Every setting is printed with the source it comes from. For each, the first of these counts: a flag of 'tollway
    serve', the TOLLWAY_ variable of its name, the database (what was changed over the API; read only --with-database),
    the file, another program's variable such as DATABASE_URL, the default. Secrets are masked. Every model is shown
    with its provider, address, price and limits.

    Starts nothing and calls no provider; a secret manager is asked for what the file refers to. Exits with 1 if
    'tollway serve' would refuse to start, naming every problem with file and line.

    \b
    Examples:
      tollway check-config config.yaml
      TOLLWAY_PORT=8080 tollway check-config config.yaml
      tollway check-config config.yaml --json | jq .models
    """
    import os

    from tollway.config.problem import ConfigurationError

    try:
        configuration, entries, snapshot, notices = _resolve(file, os.environ, with_database=with_database)
    except ConfigurationError as error:
        _refuse(error, as_json=as_json)
    if as_json:
        _print_json(_document(configuration, entries, snapshot, notices))
    else:
        click.echo("\n".join(_report(configuration, entries, snapshot, notices)))


def _resolve(
    file: Path | None, environ: Any, *, with_database: bool
) -> tuple[Configuration, Sequence[ModelEntry], Snapshot, Sequence[Problem]]:
    from tollway.accounting.price_book import PriceBook
    from tollway.config.compile import compile_snapshot
    from tollway.config.discover import discover
    from tollway.config.load import load

    configuration = load(file, environ=environ)
    if with_database:
        configuration = _with_database(configuration)
    discovered = () if configuration.has_model_list else discover(configuration.environ)
    notices = list(configuration.notices)
    snapshot = compile_snapshot(
        configuration, prices=PriceBook.load(), discovered=discovered, version=1, notices=notices
    )
    return configuration, (*configuration.models, *discovered), snapshot, notices


def _with_database(configuration: Configuration) -> Configuration:
    import asyncio

    from tollway.app.settings import with_settings_of_database
    from tollway.core.errors import StoreUnavailable

    try:
        return asyncio.run(with_settings_of_database(configuration))
    except StoreUnavailable as error:
        raise click.ClickException(error.message) from error


def _refuse(error: ConfigurationError, *, as_json: bool) -> NoReturn:
    if as_json:
        _print_json({"problems": [_problem(problem) for problem in error.problems]})
    else:
        click.echo(str(error), err=True)
    raise click.exceptions.Exit(1)


def _report(
    configuration: Configuration, entries: Sequence[ModelEntry], snapshot: Snapshot, notices: Sequence[Problem]
) -> Iterator[str]:
    from tollway.config.configuration import combine

    if configuration.files:
        yield f"Files: {', '.join(map(str, configuration.files))}\n"
    yield "Settings"
    yield from _table((path, _text(setting.value), setting.origin) for path, setting in configuration.origins.items())
    if configuration.added_environment:
        yield f"\nVariables that file and database set: {', '.join(configuration.added_environment)}"
    yield "\nModels"
    origins = _origins(entries)
    yield from _table(
        (
            one.group,
            one.model_name,
            one.api_base,
            price_text(one.price),
            _limits(one),
            origins.get(one.id, origins[one.group]),
        )
        for group in snapshot.groups.values()
        for one in group.deployments
    )
    yield from _table(
        (wildcard.pattern, f"{len(wildcard.examples)} known models" if wildcard.examples else "any name it stands for")
        for wildcard in snapshot.wildcards
    )
    if not snapshot.groups and not snapshot.wildcards:
        yield "  none: add a `model_list`, or set a provider key such as OPENAI_API_KEY"
    if snapshot.aliases:
        yield "\nAliases"
        yield from _table(
            (name, target, "hidden" if name in snapshot.hidden else "") for name, target in snapshot.aliases.items()
        )
    yield f"\n{combine(notices)}" if notices else "\nNothing to remark."


def _document(
    configuration: Configuration, entries: Sequence[ModelEntry], snapshot: Snapshot, notices: Sequence[Problem]
) -> dict[str, Any]:
    from tollway.config.secret import masked

    origins = _origins(entries)
    return {
        "files": [str(path) for path in configuration.files],
        "settings": {
            path: {"value": masked(setting.value), "origin": setting.origin}
            for path, setting in configuration.origins.items()
        },
        "models": [
            _model(one, origins.get(one.id, origins[one.group]))
            for group in snapshot.groups.values()
            for one in group.deployments
        ],
        "wildcards": {wildcard.pattern: list(wildcard.examples) for wildcard in snapshot.wildcards},
        "aliases": snapshot.aliases,
        "warnings": [_problem(notice) for notice in notices],
    }


def _origins(entries: Sequence[ModelEntry]) -> dict[str, str]:
    """Where each model was written, by id; by name for those that an entry makes several of."""
    return {entry.model_name: entry.origin for entry in entries} | {entry.id: entry.origin for entry in entries}


def _model(deployment: Deployment, origin: str) -> dict[str, Any]:
    from tollway.accounting.pricing import price_to_config

    return {
        "model_name": deployment.group,
        "id": deployment.id,
        "provider": deployment.provider,
        "model": deployment.model,
        "api_base": deployment.api_base,
        "price": price_to_config(deployment.price),
        "price_origin": deployment.price.origin,
        "price_source": deployment.price.source,
        "max_input_tokens": deployment.max_input_tokens,
        "max_output_tokens": deployment.max_output_tokens,
        "rpm": deployment.rpm,
        "tpm": deployment.tpm,
        "max_parallel_requests": deployment.parallel,
        "weight": deployment.weight,
        "order": deployment.order,
        "origin": origin,
    }


def price_text(price: Price) -> str:
    """`$2.5 in, $10 out per million tokens (book)`."""
    if not price.is_known:
        return "price unknown"
    if not any((price.rates.input, price.rates.output, price.rates.request)):
        return "free"
    parts = [f"${_per_million(price, name)} {word}" for name, word in (("input", "in"), ("output", "out"))]
    text = f"{', '.join(parts)} per million tokens ({price.origin})"
    return f"{text}, more for long prompts" if price.tiers else text


def _per_million(price: Price, name: str) -> str:
    rates: Rates = price.rates
    dollars = Fraction(getattr(rates, name) * 1_000_000, price.denominator * 1_000_000_000)
    return f"{float(dollars):.6g}"


def _limits(deployment: Deployment) -> str:
    limits = (
        (deployment.max_input_tokens, "tokens in"),
        (deployment.max_output_tokens, "tokens out"),
        (deployment.rpm, "rpm"),
        (deployment.tpm, "tpm"),
        (deployment.parallel, "parallel"),
    )
    return ", ".join(f"{value:,} {unit}" for value, unit in limits if value is not None)


def _table(rows: Any) -> Iterator[str]:
    """Columns as wide as their widest cell."""
    rows = [tuple(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _text(value: Any) -> str:
    from tollway.config.secret import masked

    shown = masked(value)
    if shown is None or shown in ("", [], {}):
        return "-"
    match shown:
        case bool():
            return str(shown).lower()
        case float():
            return f"{shown:.15g}"
        case list():
            return ", ".join(map(str, shown))
        case dict():
            return _json(shown)
        case _:
            return str(shown)


def _problem(problem: Problem) -> dict[str, str]:
    return {"place": problem.place, "key": problem.key, "message": problem.message, "remedy": problem.remedy}


def _print_json(document: dict[str, Any]) -> None:
    import msgspec

    click.echo(msgspec.json.format(_json(document), indent=2))


def _json(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value, enc_hook=str).decode()
