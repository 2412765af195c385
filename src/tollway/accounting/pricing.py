"""What a call costs. Whole numbers only: rates are exact rationals, summed exactly, rounded once per call, half up.

A price states some token classes; the others are billed at their parent's rate (cached, written and audio input at
the input rate, one-hour writes at the write rate, reasoning and audio output at the output rate). That is decided here
once, when a `Price` is compiled, so that costing a call is nine multiplications without a question asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import lcm
from typing import Any, Literal

import msgspec

from tollway.accounting.tool_pricing import (
    TOOL_KEYS,
    tool_cost_nanos,
    tool_prices_from_config,
    tool_prices_to_config,
)
from tollway.core.money import NANOS_PER_DOLLAR, divide_half_up
from tollway.core.price import Price, PriceOrigin, Rates, Tier, ToolPrices
from tollway.core.usage import ServiceTier, Usage

RateClass = Literal[
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "output",
    "reasoning",
    "output_audio",
    "request",
]
RateSheet = Mapping[RateClass, Fraction]
"""Dollars per token of each class that has a price of its own; `request` is dollars per call."""

PARENTS: Mapping[RateClass, RateClass] = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "input_audio": "input",
    "reasoning": "output",
    "output_audio": "output",
}
"""Where a class without a price of its own is billed. A parent comes before its children."""

NO_SERVICE_TIERS: Mapping[ServiceTier, Mapping[int, RateSheet]] = {}
_STANDARD: ServiceTier = ""

RATE_CLASSES: tuple[RateClass, ...] = Rates.__struct_fields__  # type: ignore[assignment]


def cost_nanos(price: Price, usage: Usage) -> int:
    """Nano-dollars for one call, half up; 0 where the price is unknown (see `Price.is_known`)."""
    if price.service_tiers and usage.service_tier:
        price = price_in(price, usage.service_tier)
    rates = rates_for(price, usage.input_tokens) if price.tiers else price.rates
    cache_read = usage.cache_read_tokens
    cache_write = usage.cache_write_tokens
    cache_write_1h = usage.cache_write_1h_tokens
    input_audio = usage.input_audio_tokens
    reasoning = usage.reasoning_tokens
    output_audio = usage.output_audio_tokens
    text_in = usage.input_tokens - cache_read - cache_write - cache_write_1h - input_audio
    text_out = usage.output_tokens - reasoning - output_audio
    exact = (
        (text_in * rates.input if text_in > 0 else 0)
        + cache_read * rates.cache_read
        + cache_write * rates.cache_write
        + cache_write_1h * rates.cache_write_1h
        + input_audio * rates.input_audio
        + (text_out * rates.output if text_out > 0 else 0)
        + reasoning * rates.reasoning
        + output_audio * rates.output_audio
        + rates.request
    )
    denominator = price.denominator
    cost = (2 * exact + denominator) // (2 * denominator)
    if usage.tools is not None and price.tools is not None:
        cost += tool_cost_nanos(price.tools, usage.tools)
    return cost


def price_in(price: Price, service_tier: ServiceTier) -> Price:
    """The price of a service tier: the standard one, where the model has no other for it."""
    return next((one for tier, one in price.service_tiers if tier == service_tier), price)


def rates_for(price: Price, input_tokens: int) -> Rates:
    """The rates for a prompt of this length: those of the last tier it has passed. The whole call is billed at them."""
    rates = price.rates
    for tier in price.tiers:
        if input_tokens <= tier.above_input_tokens:
            break
        rates = tier.rates
    return rates


def upper_bound_nanos(price: Price, *, input_tokens: int, output_tokens: int, in_any_tier: bool = False) -> int:
    """The most a call can cost whose prompt and answer are no longer than this, whatever classes its tokens fall in.

    `in_any_tier`: and whatever service tier it ends in; otherwise it is the standard one. Holds for usage whose parts
    are within its totals. Rounded up.
    """
    if in_any_tier:
        prices = (price, *(one for _, one in price.service_tiers))
        return max(upper_bound_nanos(one, input_tokens=input_tokens, output_tokens=output_tokens) for one in prices)
    dearest = _at_most(price.rates, input_tokens, output_tokens)
    for tier in price.tiers:
        if tier.above_input_tokens < input_tokens:
            dearest = max(dearest, _at_most(tier.rates, input_tokens, output_tokens))
    return -(-dearest // price.denominator)


def _at_most(rates: Rates, input_tokens: int, output_tokens: int) -> int:
    return (
        input_tokens * max(rates.input, rates.cache_read, rates.cache_write, rates.cache_write_1h, rates.input_audio)
        + output_tokens * max(rates.output, rates.reasoning, rates.output_audio)
        + rates.request
    )


class Breakdown(msgspec.Struct, frozen=True, kw_only=True):
    """A call's cost by part, in whole nano-dollars. The parts add up to `total`, which is `cost_nanos`."""

    input: int
    """Uncached text."""
    cache_read: int
    cache_write: int
    cache_write_1h: int
    input_audio: int
    output: int
    """Text, without reasoning."""
    reasoning: int
    output_audio: int
    request: int
    tools: int
    """Searches and the like, beside the tokens."""
    total: int


def cost_breakdown(price: Price, usage: Usage) -> Breakdown:
    """Which part of the usage cost what. The fractions of a nano-dollar go to the parts with the largest ones."""
    price = price_in(price, usage.service_tier)
    rates = rates_for(price, usage.input_tokens)
    counts = {
        "input": max(
            usage.input_tokens
            - usage.cache_read_tokens
            - usage.cache_write_tokens
            - usage.cache_write_1h_tokens
            - usage.input_audio_tokens,
            0,
        ),
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
        "input_audio": usage.input_audio_tokens,
        "output": max(usage.output_tokens - usage.reasoning_tokens - usage.output_audio_tokens, 0),
        "reasoning": usage.reasoning_tokens,
        "output_audio": usage.output_audio_tokens,
        "request": 1,
    }
    exact = {name: count * getattr(rates, name) for name, count in counts.items()}
    total = divide_half_up(sum(exact.values()), price.denominator)
    parts = {name: amount // price.denominator for name, amount in exact.items()}
    by_fraction = sorted(exact, key=lambda name: exact[name] % price.denominator, reverse=True)
    for name in by_fraction[: total - sum(parts.values())]:
        parts[name] += 1
    tools = tool_cost_nanos(price.tools, usage.tools) if price.tools and usage.tools else 0
    return Breakdown(**parts, tools=tools, total=total + tools)


def compile_price(
    base: RateSheet,
    tiers: Sequence[tuple[int, RateSheet]] = (),
    *,
    service_tiers: Mapping[ServiceTier, Mapping[int, RateSheet]] = NO_SERVICE_TIERS,
    tools: ToolPrices | None = None,
    origin: PriceOrigin,
    source: str = "",
) -> Price:
    """A price from what was stated. A tier states what changes above its threshold; the rest stays as in `base`.

    `service_tiers`: what each states, by threshold (0: its base). What it does not is the standard's, of a long prompt
    that of the standard for so long a prompt.
    """
    price = _compile(base, tiers, tools=tools, origin=origin, source=source)
    if not service_tiers:
        return price
    by_length = dict(tiers)
    own = [
        (
            tier,
            _compile(
                {**base, **stated.get(0, {})},
                [
                    (above, {**by_length.get(above, {}), **stated.get(above, {})})
                    for above in sorted((by_length.keys() | stated.keys()) - {0})
                ],
                tools=tools,
                origin=origin,
                source=source,
            ),
        )
        for tier, stated in service_tiers.items()
    ]
    return msgspec.structs.replace(price, service_tiers=tuple(own))


def _compile(
    base: RateSheet,
    tiers: Sequence[tuple[int, RateSheet]],
    *,
    tools: ToolPrices | None,
    origin: PriceOrigin,
    source: str,
) -> Price:
    sheets = [_inherit(base), *(_inherit({**base, **sheet}) for _, sheet in tiers)]
    denominator = lcm(*((rate * NANOS_PER_DOLLAR).denominator for sheet in sheets for rate in sheet.values()))
    first, *rest = (
        Rates(**{name: int(rate * NANOS_PER_DOLLAR * denominator) for name, rate in sheet.items()}) for sheet in sheets
    )
    thresholds = (above for above, _ in tiers)
    return Price(
        rates=first,
        tiers=tuple(sorted(map(Tier, thresholds, rest), key=lambda tier: tier.above_input_tokens)),
        denominator=denominator,
        origin=origin,
        source=source,
        tools=tools,
    )


def _inherit(stated: RateSheet) -> dict[RateClass, Fraction]:
    """Every class with the rate it is billed at."""
    roots: tuple[RateClass, ...] = ("input", "output", "request")
    sheet = {name: stated.get(name, Fraction(0)) for name in roots}
    for child, parent in PARENTS.items():
        sheet[child] = stated.get(child, sheet[parent])
    return sheet


_ALWAYS_SHOWN: RateSheet = {"input": Fraction(0), "output": Fraction(0)}
_Sheets = dict[tuple[ServiceTier, int], dict[RateClass, Fraction]]
"""What is stated, by service tier (empty: the standard) and threshold (0: the base)."""


def _stated_sheets(price: Price) -> _Sheets:
    """Statements that compile to this price. The inverse of `compile_price`."""
    base = _stated(price, price.rates, frozenset())
    always = _ALWAYS_SHOWN.keys() | base.keys()
    tiers = {tier.above_input_tokens: _stated(price, tier.rates, always) for tier in price.tiers}
    sheets: _Sheets = {("", above): sheet for above, sheet in {0: base, **tiers}.items()}
    for name, own in price.service_tiers:
        implied: dict[RateClass, Fraction] = {**_ALWAYS_SHOWN, **base}
        sheets[name, 0] = _news(_stated(own, own.rates, implied.keys()), implied)
        for tier in own.tiers:
            above = tier.above_input_tokens
            meant = {**implied, **sheets[name, 0], **tiers.get(above, {})}
            stated = _stated(own, tier.rates, meant.keys())
            # One that says nothing new still ends what the one before it says.
            sheets[name, above] = _news(stated, meant) or {"input": stated["input"]}
    return sheets


def _news(stated: RateSheet, implied: RateSheet) -> dict[RateClass, Fraction]:
    """What is not so anyway."""
    return {name: rate for name, rate in stated.items() if implied.get(name) != rate}


def _stated(price: Price, rates: Rates, always: Set[RateClass]) -> dict[RateClass, Fraction]:
    """Classes whose rate is not simply their parent's, and those in `always`."""
    scale = price.denominator * NANOS_PER_DOLLAR
    sheet = {name: Fraction(getattr(rates, name), scale) for name in RATE_CLASSES}
    parent_rates = {name: sheet[PARENTS[name]] if name in PARENTS else Fraction(0) for name in sheet}
    return {name: rate for name, rate in sheet.items() if name in always or rate != parent_rates[name]}


# ---- LiteLLM's configuration keys -----------------------------------------------------------------------------------

_CONFIG_KEYS: Mapping[RateClass, str] = {
    "input": "input_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "input_audio": "input_cost_per_audio_token",
    "output": "output_cost_per_token",
    "reasoning": "output_cost_per_reasoning_token",
    "output_audio": "output_cost_per_audio_token",
    "request": "input_cost_per_request",
}
_CLASS_OF_KEY: Mapping[str, RateClass] = {key: name for name, key in _CONFIG_KEYS.items()}
_TIER_KEY = re.compile(r"(?P<key>.+)_above_(?P<thousands>\d+)k_tokens")
_SERVICE_TIER_KEY = re.compile(r"(?P<key>.+)_(?P<tier>priority|flex|batches)")
_SUFFIXES: Mapping[ServiceTier, str] = {"priority": "priority", "flex": "flex", "batch": "batches"}
_TIER_OF_SUFFIX: Mapping[str, ServiceTier] = {suffix: tier for tier, suffix in _SUFFIXES.items()}
_LOOKS_LIKE_A_PRICE = re.compile(r"_cost_per_|_token_cost|^cost_per_")


def price_from_config(params: Mapping[str, Any], *, book: Price | None = None) -> Price | None:
    """The price that configuration keys state; None if they state none.

    `input_cost_per_token` or `output_cost_per_token` set the whole price; without them the other keys adjust `book`'s.
    Prices of service tiers or tools alone say nothing of a model whose standard price nobody knows.
    Floats count as the decimal they print as. Raises ValueError naming the key for what is no amount. Keys that no
    token can be billed by are in `unusable_price_keys`.
    """
    sheets: _Sheets = {}
    for key, value in params.items():
        if value is not None and (meaning := _meaning(key)) is not None:
            tier, above, name = meaning
            sheets.setdefault((tier, above), {})[name] = _amount(key, value)
    tools = tool_prices_from_config(params, _amount)
    if not sheets and tools is None:
        return None
    is_whole = bool({"input", "output"} & sheets.get(("", 0), {}).keys())
    if book is not None and book.is_known and not is_whole:
        sheets = _adjusted(book, sheets)
        tools = tool_prices_from_config(params, _amount, book.tools) or book.tools
    elif not any(tier == "" for tier, _ in sheets):
        return None
    keys = ", ".join(sorted(key for key in params if params[key] is not None and (_meaning(key) or key in TOOL_KEYS)))
    standard = {above: sheet for (tier, above), sheet in sheets.items() if not tier}
    service_tiers: dict[ServiceTier, dict[int, RateSheet]] = {}
    for (tier, above), sheet in sheets.items():
        if tier:
            service_tiers.setdefault(tier, {})[above] = sheet
    base = standard.pop(0, {})
    by_length = sorted(standard.items())
    return compile_price(base, by_length, service_tiers=service_tiers, tools=tools, origin="config", source=keys)


def unusable_price_keys(params: Mapping[str, Any]) -> list[str]:
    """Keys that state a price no token or call can be billed by (per second, image, character, …): to report."""
    return sorted(
        key
        for key, value in params.items()
        if value is not None and _LOOKS_LIKE_A_PRICE.search(key) and _meaning(key) is None and key not in TOOL_KEYS
    )


def price_to_config(price: Price) -> dict[str, Any]:
    """The price in configuration keys, dollars as floats, as `/model/info` shows it; empty if unknown.

    `input_cost_per_token` and `output_cost_per_token` are always there, other classes where they differ from these.
    """
    if not price.is_known:
        return {}
    sheets = _stated_sheets(price)
    sheets["", 0] = {**_ALWAYS_SHOWN, **sheets["", 0]}
    stated = {
        _CONFIG_KEYS[name]
        + (f"_above_{round(above / 1000)}k_tokens" if above else "")
        + (f"_{_SUFFIXES[tier]}" if tier else ""): float(rate)
        for (tier, above), sheet in sheets.items()
        for name, rate in sheet.items()
    }
    return {**stated, **tool_prices_to_config(price.tools)}


def _meaning(key: str) -> tuple[ServiceTier, int, RateClass] | None:
    """The service tier (empty: the standard), the threshold (0: none) and the class a key is about."""
    above, tier = 0, _STANDARD
    if match := _SERVICE_TIER_KEY.fullmatch(key):
        key, tier = match["key"], _TIER_OF_SUFFIX[match["tier"]]
    if match := _TIER_KEY.fullmatch(key):
        key, above = match["key"], int(match["thousands"]) * 1000
    name = _CLASS_OF_KEY.get(key)
    return None if name is None else (tier, above, name)


def _amount(key: str, value: Any) -> Fraction:
    try:
        dollars = None if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        dollars = None
    if dollars is None or not dollars.is_finite() or dollars < 0:
        raise ValueError(f"{key}: expected an amount in dollars such as 0.0000025, got {value!r}")
    return Fraction(dollars)


def _adjusted(book: Price, changes: _Sheets) -> _Sheets:
    sheets = _stated_sheets(book)
    for place, sheet in changes.items():
        sheets.setdefault(place, {}).update(sheet)
    return sheets
