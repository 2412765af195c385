"""Usage and cost exports of providers, as their consoles and administration APIs give them. Pure.

Which export it is follows from its columns. A CSV of anybody's is read too: `date`, `model`, and any of `input_tokens`,
`output_tokens` and `cost` (dollars).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec


class Unreadable(Exception):
    """The export cannot be read; says where and why."""


class ExportLine(msgspec.Struct, frozen=True):
    """What a provider counted on one day (UTC) for one model."""

    day: date
    model: str
    cost: Decimal | None
    """Dollars; None: this export tells no costs."""
    input_tokens: int | None
    """The whole prompt, what was cached included."""
    output_tokens: int | None


class Export(msgspec.Struct, frozen=True):
    """A provider's export."""

    kind: str
    """What it was recognised as."""
    provider: str
    """As the ledger calls it; empty where the export could be anybody's."""
    lines: Sequence[ExportLine]


class _Format(NamedTuple):
    """A CSV by its columns. Where there are several for one thing, the first that has a value counts."""

    kind: str
    provider: str
    needs: frozenset[str]
    day: tuple[str, ...]
    model: str
    cost: str | None = None
    currency: str | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


_FORMATS = (
    _Format(
        "OpenAI costs",
        "openai",
        frozenset({"start_time", "amount_value", "line_item"}),
        day=("start_time_iso", "start_time"),
        model="line_item",
        cost="amount_value",
        currency="amount_currency",
    ),
    _Format(
        "OpenAI usage",
        "openai",
        frozenset({"start_time", "num_model_requests", "input_tokens", "output_tokens", "model"}),
        day=("start_time_iso", "start_time"),
        model="model",
        inputs=("input_tokens",),
        outputs=("output_tokens",),
    ),
    _Format(
        "Anthropic costs",
        "anthropic",
        frozenset({"usage_date_utc", "model", "token_type", "cost_usd"}),
        day=("usage_date_utc",),
        model="model",
        cost="cost_usd",
    ),
    _Format(
        "Anthropic usage",
        "anthropic",
        frozenset({"usage_date_utc", "model_version", "usage_output_tokens"}),
        day=("usage_date_utc",),
        model="model_version",
        inputs=(
            "usage_input_tokens_no_cache",
            "usage_input_tokens_cache_write_5m",
            "usage_input_tokens_cache_write_1h",
            "usage_input_tokens_cache_read",
        ),
        outputs=("usage_output_tokens",),
    ),
)
_ANYBODYS = ("cost", "input_tokens", "output_tokens")


def read_export(text: str) -> Export:
    """The export in a file's text. Raises `Unreadable` with line and column, or the place in the JSON."""
    begins = text.lstrip("\ufeff \t\r\n")[:1]
    if begins in ("{", "["):
        return _read_json(text.lstrip("\ufeff"))
    return _read_csv(text.lstrip("\ufeff"))


# ---- CSV -------------------------------------------------------------------------------------------------------------


class _Cells:
    """One row of a CSV, whose complaints name line and column."""

    def __init__(self, values: Mapping[str, str], line: int) -> None:
        self._values = values
        self._line = line

    def text(self, *columns: str) -> str:
        """The first of these columns with a value; empty if none has one."""
        return next((value for column in columns if (value := self._values.get(column, "").strip())), "")

    def read(self, columns: Sequence[str], of: Callable[[str], Any], expected: str) -> Any:
        """What the first of these columns with a value says."""
        text = self.text(*columns)
        try:
            return of(text)
        except (ValueError, InvalidOperation, OverflowError):
            column = next((one for one in columns if self.text(one)), columns[0])
            raise self.complaint(column, f"expected {expected}, found {text!r}") from None

    def tokens(self, columns: Sequence[str]) -> int | None:
        """The sum of these columns; None if there are none."""
        if not columns:
            return None
        counts: list[int] = [self.read((column,), _count, "a whole number") for column in columns if self.text(column)]
        return sum(counts)

    def complaint(self, column: str, what: str) -> Unreadable:
        return Unreadable(f"line {self._line}, column {column}: {what}")


def _read_csv(text: str) -> Export:
    rows = csv.reader(io.StringIO(text))
    header = [name.strip().lower() for name in next(rows, [])]
    found = _format_of(set(header))
    lines = []
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise Unreadable(
                f"line {rows.line_num}, column {header[min(len(row), len(header) - 1)]}: "
                f"expected {len(header)} columns, found {len(row)}"
            )
        line = _line_of(_Cells(dict(zip(header, row, strict=True)), rows.line_num), found)
        if line is not None:
            lines.append(line)
    return Export(found.kind, found.provider, tuple(lines))


def _format_of(columns: set[str]) -> _Format:
    known = next((one for one in _FORMATS if one.needs <= columns), None)
    if known is not None:
        return known
    figures = columns & set(_ANYBODYS)
    if {"date", "model"} <= columns and figures:
        return _Format(
            "CSV",
            "",
            frozenset(),
            day=("date",),
            model="model",
            cost="cost" if "cost" in columns else None,
            inputs=("input_tokens",) if "input_tokens" in columns else (),
            outputs=("output_tokens",) if "output_tokens" in columns else (),
        )
    missing = sorted({"date", "model"} - columns) or [" or ".join(_ANYBODYS)]
    raise Unreadable(
        f"line 1, column {missing[0]}: is missing; expected the columns of an OpenAI or Anthropic export, or "
        "date,model,input_tokens,output_tokens,cost"
    )


def _line_of(cells: _Cells, found: _Format) -> ExportLine | None:
    if found.provider and found.cost is not None and not cells.text(found.cost):
        return None  # consoles list days without costs too
    currency = cells.text(found.currency) if found.currency else ""
    if found.currency and currency.lower() not in ("", "usd"):
        raise cells.complaint(found.currency, f"expected usd, found {currency!r}")
    model = _model(cells.text(found.model))
    if not model:
        raise cells.complaint(found.model, "is empty; export it once more, grouped by model (line item)")
    return ExportLine(
        cells.read(found.day, _day, "a date such as 2026-01-31"),
        model,
        cells.read((found.cost,), _dollars, "an amount in dollars") if found.cost else None,
        cells.tokens(found.inputs),
        cells.tokens(found.outputs),
    )


def _model(text: str) -> str:
    """Of a line item (`gpt-4o-2024-08-06, cached input`), the model."""
    return text.partition(", ")[0]


def _day(text: str) -> date:
    if text.isdigit():
        return datetime.fromtimestamp(int(text), UTC).date()
    moment = datetime.fromisoformat(text)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()


def _dollars(text: str) -> Decimal:
    amount = Decimal(text.removeprefix("$"))
    if not amount.is_finite():
        raise ValueError(text)
    return amount


def _count(text: str) -> int:
    number = Decimal(text)
    if number != number.to_integral_value():
        raise ValueError(text)
    return int(number)


# ---- JSON ------------------------------------------------------------------------------------------------------------


def _read_json(text: str) -> Export:
    try:
        document = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise Unreadable(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    pages = document if isinstance(document, list) else [document]
    if not pages or not isinstance(pages[-1], dict):
        raise Unreadable("expected an answer of the provider's API with `data`, or a list of such pages")
    if pages[-1].get("has_more"):
        raise Unreadable("`has_more` is true: pages are missing; fetch them all and put them into one list")
    lines: list[ExportLine] = []
    kinds: dict[tuple[str, str], None] = {}
    for number, page in enumerate(pages):
        for place, bucket in _listed(page, "data", f"[{number}]." if isinstance(document, list) else ""):
            day, is_anthropic = _bucket_day(bucket, place)
            for where, result in _listed(bucket, "results", f"{place}."):
                kind, line = (_anthropic_line if is_anthropic else _openai_line)(day, result, where)
                kinds["anthropic" if is_anthropic else "openai", kind] = None
                lines.append(line)
    if len(kinds) > 1:
        raise Unreadable(f"holds several sorts of exports: {', '.join(kind for _, kind in kinds)}; give one at a time")
    provider, kind = next(iter(kinds), ("", "an export without usage"))
    return Export(kind, provider, tuple(lines))


def _listed(document: Any, name: str, before: str) -> Iterator[tuple[str, dict[str, Any]]]:
    values = document.get(name) if isinstance(document, dict) else None
    if not isinstance(values, list):
        raise Unreadable(f"{before}{name}: expected a list")
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise Unreadable(f"{before}{name}[{number}]: expected an object")
        yield f"{before}{name}[{number}]", value


def _bucket_day(bucket: Mapping[str, Any], place: str) -> tuple[date, bool]:
    is_anthropic = "starting_at" in bucket
    name = "starting_at" if is_anthropic else "start_time"
    return _field(bucket, name, place, lambda value: _day(str(value)), "a moment"), is_anthropic


def _openai_line(day: date, result: Mapping[str, Any], place: str) -> tuple[str, ExportLine]:
    if "amount" in result:
        amount = result["amount"] if isinstance(result["amount"], dict) else {}
        _check_currency(amount, f"{place}.amount")
        cost = _field(amount, "value", f"{place}.amount", lambda value: _dollars(str(value)), "an amount in dollars")
        return "OpenAI costs", ExportLine(day, _named(result, "line_item", place), cost, None, None)
    tokens = [_tokens(result, name, place) for name in ("input_tokens", "output_tokens")]
    return "OpenAI usage", ExportLine(day, _named(result, "model", place), None, *tokens)


def _anthropic_line(day: date, result: Mapping[str, Any], place: str) -> tuple[str, ExportLine]:
    if "amount" in result:
        _check_currency(result, place)
        cents = _field(result, "amount", place, lambda value: _dollars(str(value)), "an amount in cents")
        name = "model" if result.get("model") else "description"
        return "Anthropic costs", ExportLine(day, _named(result, name, place), cents / 100, None, None)
    written = result.get("cache_creation")
    parts = written if isinstance(written, dict) else {}
    prompt = [
        _tokens(result, "uncached_input_tokens", place),
        _tokens(result, "cache_read_input_tokens", place),
        *(_tokens(parts, name, f"{place}.cache_creation") for name in parts),
    ]
    line = ExportLine(day, _named(result, "model", place), None, sum(prompt), _tokens(result, "output_tokens", place))
    return "Anthropic usage", line


def _tokens(values: Mapping[str, Any], name: str, place: str) -> int:
    if values.get(name) is None:
        return 0
    count: int = _field(values, name, place, lambda value: _count(str(value)), "a whole number")
    return count


def _named(values: Mapping[str, Any], name: str, place: str) -> str:
    model = _model(str(values.get(name) or ""))
    if not model:
        raise Unreadable(f"{place}.{name}: is empty; fetch it once more, grouped by model (line item, description)")
    return model


def _check_currency(values: Mapping[str, Any], place: str) -> None:
    currency = values.get("currency") or "usd"
    if str(currency).lower() != "usd":
        raise Unreadable(f"{place}.currency: expected usd, found {currency!r}")


def _field(values: Mapping[str, Any], name: str, place: str, of: Callable[[Any], Any], expected: str) -> Any:
    try:
        return of(values[name])
    except (KeyError, ValueError, InvalidOperation, OverflowError):
        raise Unreadable(f"{place}.{name}: expected {expected}, found {values.get(name)!r}") from None


def days_of(lines: Iterable[ExportLine]) -> tuple[date, date] | None:
    """First and last day of an export; None if it is empty."""
    days = {line.day for line in lines}
    return (min(days), max(days)) if days else None
