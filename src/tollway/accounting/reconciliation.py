"""What the gateway counted beside what a provider did, by day and model. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from tollway.accounting.provider_export import ExportLine
from tollway.core.money import NANOS_PER_DOLLAR
from tollway.ports.verification import GatewayLine

Measure = Literal["cost", "tokens"]
"""What is compared: dollars, or tokens where the export tells no costs."""

_DATE = re.compile(r"[-@:](20\d\d-?[01]\d-?[0-3]\d|latest)$")
_OTHER = re.compile(r"[^a-z0-9:/@]+")


class Figures(msgspec.Struct, frozen=True):
    """One side of a comparison."""

    cost: Decimal = Decimal(0)
    """Dollars."""
    input_tokens: int = 0
    output_tokens: int = 0

    def measured(self, measure: Measure) -> Decimal:
        """The figure that is compared."""
        return self.cost if measure == "cost" else Decimal(self.input_tokens + self.output_tokens)


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a reconciliation."""

    day: date | None
    """None: all days."""
    model: str
    """Without a date suffix, where the two sides spell it differently."""
    gateway_models: Sequence[str]
    """As the gateway calls them; empty: it knows none."""
    provider_models: Sequence[str]
    gateway: Figures
    provider: Figures
    difference: Decimal
    """Gateway less provider, in what is compared."""
    percent: Decimal | None
    """Of the provider's figure; None where that is 0 and the gateway's is not."""
    unpriced_calls: int
    is_within: bool
    """Whether the difference is tolerated."""


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """An export compared with the ledger."""

    measure: Measure
    lines: Sequence[Compared]
    total: Compared

    @property
    def is_within(self) -> bool:
        """Whether every line and the total are within what is tolerated."""
        return self.total.is_within and all(line.is_within for line in self.lines)


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """How far two sides may be apart: by either measure."""

    percent: Decimal = Decimal(0)
    """Of the provider's figure."""
    absolute: Decimal = Decimal(0)
    """Dollars, or tokens."""

    def holds(self, difference: Decimal, provider: Decimal) -> bool:
        """Whether a difference is tolerated."""
        return abs(difference) <= max(abs(provider) * self.percent / 100, self.absolute)


def reconcile(gateway: Iterable[GatewayLine], provider: Iterable[ExportLine], tolerance: Tolerance) -> Reconciliation:
    """Compares by day and model. Costs where the export tells them, else tokens."""
    told = list(provider)
    measure: Measure = "cost" if any(line.cost is not None for line in told) else "tokens"
    ours: defaultdict[tuple[date, str], dict[str, list[GatewayLine]]] = defaultdict(lambda: defaultdict(list))
    theirs: defaultdict[tuple[date, str], dict[str, list[ExportLine]]] = defaultdict(lambda: defaultdict(list))
    for line in gateway:
        ours[line.day, model_family(line.model)][line.model].append(line)
    for entry in told:
        theirs[entry.day, model_family(entry.model)][entry.model].append(entry)
    lines = [
        compared
        for day, family in sorted({*ours, *theirs})
        for compared in _compare(day, family, ours[day, family], theirs[day, family], measure, tolerance)
    ]
    return Reconciliation(measure=measure, lines=lines, total=_total(lines, measure, tolerance))


def model_family(name: str) -> str:
    """A model's name without provider and date: `openai/gpt-4o-2024-08-06` and `GPT-4o` are `gpt-4o`."""
    plain = _plain(name)
    return _DATE.sub("", plain) or plain


def _plain(name: str) -> str:
    """As an identifier: consoles show `Claude Haiku 4.5` for `claude-haiku-4-5`."""
    bare = name.strip().lower().rpartition("/")[2]
    is_shown = " " in bare
    return _OTHER.sub("-", bare) if is_shown or bare.startswith("claude") else bare


def _compare(
    day: date,
    family: str,
    ours: Mapping[str, list[GatewayLine]],
    theirs: Mapping[str, list[ExportLine]],
    measure: Measure,
    tolerance: Tolerance,
) -> Iterable[Compared]:
    """One line for each model where both sides spell them alike, else one for all of the family."""
    if {_plain(name) for name in ours} == {_plain(name) for name in theirs}:
        for plain in sorted(map(_plain, ours)):
            here = {name: lines for name, lines in ours.items() if _plain(name) == plain}
            there = {name: lines for name, lines in theirs.items() if _plain(name) == plain}
            yield _line(day, plain, here, there, measure, tolerance)
    else:
        yield _line(day, family, ours, theirs, measure, tolerance)


def _line(
    day: date,
    model: str,
    ours: Mapping[str, list[GatewayLine]],
    theirs: Mapping[str, list[ExportLine]],
    measure: Measure,
    tolerance: Tolerance,
) -> Compared:
    here = [line for lines in ours.values() for line in lines]
    there = [line for lines in theirs.values() for line in lines]
    return _compared(
        day,
        model,
        (sorted(ours), sorted(theirs)),
        Figures(
            Decimal(sum(line.spend_nanos for line in here)) / NANOS_PER_DOLLAR,
            sum(line.input_tokens for line in here),
            sum(line.output_tokens for line in here),
        ),
        Figures(
            sum((line.cost or Decimal(0) for line in there), Decimal(0)),
            sum(line.input_tokens or 0 for line in there),
            sum(line.output_tokens or 0 for line in there),
        ),
        sum(line.unpriced_calls for line in here),
        measure,
        tolerance,
    )


def _total(lines: Sequence[Compared], measure: Measure, tolerance: Tolerance) -> Compared:
    return _compared(
        None,
        "",
        ([], []),
        _added([line.gateway for line in lines]),
        _added([line.provider for line in lines]),
        sum(line.unpriced_calls for line in lines),
        measure,
        tolerance,
    )


def _added(sides: Sequence[Figures]) -> Figures:
    return Figures(
        sum((side.cost for side in sides), Decimal(0)),
        sum(side.input_tokens for side in sides),
        sum(side.output_tokens for side in sides),
    )


def _compared(
    day: date | None,
    model: str,
    names: tuple[Sequence[str], Sequence[str]],
    gateway: Figures,
    provider: Figures,
    unpriced_calls: int,
    measure: Measure,
    tolerance: Tolerance,
) -> Compared:
    ours, theirs = gateway.measured(measure), provider.measured(measure)
    difference = ours - theirs
    percent = difference / theirs * 100 if theirs else None
    return Compared(
        day=day,
        model=model,
        gateway_models=names[0],
        provider_models=names[1],
        gateway=gateway,
        provider=provider,
        difference=difference,
        percent=percent if difference else Decimal(0),
        unpriced_calls=unpriced_calls,
        is_within=tolerance.holds(difference, theirs),
    )
