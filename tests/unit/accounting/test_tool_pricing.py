"""What the vendors' own tools cost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.accounting.pricing import cost_breakdown, cost_nanos, price_from_config, price_to_config
from tollway.accounting.tool_pricing import tool_bound_nanos, tool_cost_nanos
from tollway.core.price import FREE, Price, Rates, ToolPrices
from tollway.core.usage import SearchContext, ToolUse, Usage

nanos = st.integers(min_value=0, max_value=10**9)
counts = st.integers(min_value=0, max_value=100)
contexts: st.SearchStrategy[SearchContext] = st.sampled_from(["low", "medium", "high"])
prices = st.builds(
    ToolPrices,
    web_search=st.fixed_dictionaries({"low": nanos, "medium": nanos, "high": nanos}),
    file_search=nanos,
    code_session=nanos,
    searches_per_call=st.booleans(),
)
uses = st.builds(ToolUse, web_searches=counts, file_searches=counts, code_sessions=counts, search_context=contexts)


@given(prices, uses, st.integers(min_value=0, max_value=1000))
def test_tools_are_added_to_the_tokens_and_shown_apart(tools: ToolPrices, use: ToolUse, tokens: int) -> None:
    price = Price(rates=Rates(input=7), tools=tools, origin="config")
    usage = Usage(input_tokens=tokens, tools=use)
    breakdown = cost_breakdown(price, usage)

    assert cost_nanos(price, usage) == 7 * tokens + tool_cost_nanos(tools, use) == breakdown.total
    assert breakdown.tools == tool_cost_nanos(tools, use)
    assert cost_nanos(FREE, usage) == 0


@given(prices, contexts, counts)
def test_no_number_of_searches_within_the_bound_costs_more(
    tools: ToolPrices, context: SearchContext, searches: int
) -> None:
    use = ToolUse(web_searches=searches, search_context=context)

    assert tool_cost_nanos(tools, use) <= tool_bound_nanos(tools, searches) or not searches


@given(prices)
def test_prices_written_as_configuration_read_back_as_the_same(tools: ToolPrices) -> None:
    price = Price(rates=Rates(input=1, output=1), tools=tools, origin="book")
    again = price_from_config(price_to_config(price))

    assert again is not None
    for context in tools.web_search:
        use = ToolUse(web_searches=1, file_searches=1, code_sessions=1, search_context=context)
        assert cost_nanos(again, Usage(tools=use)) == cost_nanos(price, Usage(tools=use))


@pytest.mark.parametrize(
    ("stated", "searches"),
    [
        ({"search_context_size_medium": 0.02}, (20, 20, 20)),
        ({"search_context_size_low": 0.01, "search_context_size_high": 0.05}, (10, 50, 50)),
        ({"search_context_size_low": 0.01, "search_context_size_medium": 0.02}, (10, 20, 20)),
    ],
)
def test_a_size_without_a_price_costs_what_the_next_larger_one_does(
    stated: dict[str, float], searches: tuple[int, int, int]
) -> None:
    price = price_from_config({"input_cost_per_token": 0, "search_context_cost_per_query": stated})

    assert price is not None
    assert price.tools is not None
    assert tuple(amount // 1_000_000 for amount in price.tools.web_search.values()) == searches


def test_prices_of_tools_alone_adjust_a_known_price_and_no_other() -> None:
    book = Price(rates=Rates(input=5), tools=ToolPrices(web_search=dict.fromkeys(("low", "medium", "high"), 9)))
    known = Price(rates=book.rates, tools=book.tools, origin="book")
    adjusted = price_from_config({"file_search_cost_per_1k_calls": 2.5}, book=known)

    assert price_from_config({"file_search_cost_per_1k_calls": 2.5}) is None
    assert price_from_config({"file_search_cost_per_1k_calls": 2.5}, book=book) is None, "nobody knows what it costs"
    assert adjusted is not None
    assert (
        cost_nanos(adjusted, Usage(input_tokens=2, tools=ToolUse(web_searches=1, file_searches=1)))
        == 10 + 9 + 2_500_000
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"search_context_cost_per_query": 0.01}, "search_context_cost_per_query: expected a mapping"),
        ({"search_context_cost_per_query": {"low": 0.01}}, r"search_context_cost_per_query\.low: expected one of"),
        (
            {"search_context_cost_per_query": {"search_context_size_low": "dear"}},
            r"search_context_cost_per_query\.search_context_size_low: expected an amount in dollars",
        ),
        ({"code_interpreter_cost_per_session": -1}, "code_interpreter_cost_per_session: expected an amount"),
    ],
)
def test_what_is_no_price_is_refused_with_the_key_named(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        price_from_config(params)
