"""What a vendor's own tools cost beside the tokens: searches of the web and of files, sessions of code.

Source of the configuration keys: LiteLLM's price map (`search_context_cost_per_query`, `file_search_cost_per_1k_calls`,
`code_interpreter_cost_per_session`). Amounts are rounded to nano-dollars per use, half up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import msgspec

from tollway.core.money import NANOS_PER_DOLLAR, divide_half_up
from tollway.core.price import ToolPrices
from tollway.core.usage import SearchContext, ToolUse

SEARCH_KEY = "search_context_cost_per_query"
FILES_KEY = "file_search_cost_per_1k_calls"
CODE_KEY = "code_interpreter_cost_per_session"
TOOL_KEYS = frozenset({SEARCH_KEY, FILES_KEY, CODE_KEY})
_SIZES: Mapping[SearchContext, str] = {
    "low": "search_context_size_low",
    "medium": "search_context_size_medium",
    "high": "search_context_size_high",
}
_NONE = ToolPrices(web_search={"low": 0, "medium": 0, "high": 0})

Amount = Callable[[str, Any], Fraction]
"""Reads dollars; the first argument is the name for messages."""


def tool_cost_nanos(prices: ToolPrices, use: ToolUse) -> int:
    """Nano-dollars for the tools of one call."""
    searches = min(use.web_searches, 1) if prices.searches_per_call else use.web_searches
    return (
        searches * prices.web_search[use.search_context]
        + use.file_searches * prices.file_search
        + use.code_sessions * prices.code_session
    )


def tool_bound_nanos(prices: ToolPrices, uses: int) -> int:
    """The most that this many uses of any tool cost."""
    dearest = max(*prices.web_search.values(), prices.file_search, prices.code_session)
    return dearest * (1 if prices.searches_per_call else uses)


def one_price_per_search(dollars: Fraction) -> dict[SearchContext, int]:
    """For vendors whose price of a search does not depend on its context."""
    return dict.fromkeys(_SIZES, _nanos(dollars))


def tool_prices_from_config(
    params: Mapping[str, Any], amount: Amount, base: ToolPrices | None = None
) -> ToolPrices | None:
    """The prices that configuration keys state, the others as in `base`; None if they state none.

    A size of the context without a price costs what the next larger one does, or else the largest that has one. Raises
    ValueError naming the key.
    """
    if not any(params.get(key) is not None for key in TOOL_KEYS):
        return None
    prices = base or _NONE
    by_size = params.get(SEARCH_KEY) or {}
    if not isinstance(by_size, Mapping):
        raise ValueError(f"{SEARCH_KEY}: expected a mapping such as {{search_context_size_medium: 0.01}}")
    if strange := sorted(by_size.keys() - set(_SIZES.values())):
        raise ValueError(f"{SEARCH_KEY}.{strange[0]}: expected one of {', '.join(_SIZES.values())}")
    stated = [
        (size, _nanos(amount(f"{SEARCH_KEY}.{key}", by_size[key]))) for size, key in _SIZES.items() if key in by_size
    ]
    changes: dict[str, Any] = {}
    if stated:
        order = list(_SIZES)
        changes["web_search"] = {
            size: next((nanos for other, nanos in stated if order.index(other) >= order.index(size)), stated[-1][1])
            for size in order
        }
    if params.get(FILES_KEY) is not None:
        changes["file_search"] = _nanos(amount(FILES_KEY, params[FILES_KEY]) / 1000)
    if params.get(CODE_KEY) is not None:
        changes["code_session"] = _nanos(amount(CODE_KEY, params[CODE_KEY]))
    return msgspec.structs.replace(prices, **changes)


def tool_prices_to_config(prices: ToolPrices | None) -> dict[str, Any]:
    """The prices in configuration keys, dollars as floats; empty if there are none."""
    if prices is None:
        return {}
    stated: dict[str, Any] = {}
    if any(prices.web_search.values()):
        stated[SEARCH_KEY] = {key: _dollars(prices.web_search[size]) for size, key in _SIZES.items()}
    if prices.file_search:
        stated[FILES_KEY] = _dollars(prices.file_search * 1000)
    if prices.code_session:
        stated[CODE_KEY] = _dollars(prices.code_session)
    return stated


def _nanos(dollars: Fraction) -> int:
    exact = dollars * NANOS_PER_DOLLAR
    return divide_half_up(exact.numerator, exact.denominator)


def _dollars(nanos: int) -> float:
    return float(Fraction(nanos, NANOS_PER_DOLLAR))
