from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tollway.accounting.pricing import (
    PARENTS,
    RATE_CLASSES,
    RateClass,
    RateSheet,
    compile_price,
    cost_breakdown,
    cost_nanos,
    price_from_config,
    price_to_config,
    unusable_price_keys,
    upper_bound_nanos,
)
from tollway.core.money import NANOS_PER_DOLLAR
from tollway.core.price import FREE, UNKNOWN_PRICE, Price
from tollway.core.usage import ServiceTier, Usage

MILLION = 1_000_000


def per_million(**dollars: str) -> dict[RateClass, Fraction]:
    return {name: Fraction(amount) / MILLION for name, amount in dollars.items()}  # type: ignore[misc]


# ---- an independent statement of the rules, in exact rationals ------------------------------------------------------


@dataclass(frozen=True)
class Sheets:
    """What a price list states: the base, and what changes above each threshold."""

    base: dict[RateClass, Fraction]
    tiers: list[tuple[int, dict[RateClass, Fraction]]]
    service_tiers: dict[ServiceTier, dict[int, dict[RateClass, Fraction]]] = field(default_factory=dict)

    def compiled(self) -> Price:
        return compile_price(self.base, self.tiers, service_tiers=self.service_tiers, origin="book")

    def rate(self, name: RateClass, input_tokens: int, service_tier: ServiceTier = "") -> Fraction:
        standard, own = dict(self.tiers), self.service_tiers.get(service_tier, {})
        stated: dict[RateClass, Fraction] = self.base | own.get(0, {})
        reached = [above for above in standard.keys() | own.keys() if 0 < above < input_tokens]
        if reached:
            stated |= standard.get(max(reached), {}) | own.get(max(reached), {})
        while name not in stated and name in PARENTS:
            name = PARENTS[name]
        return stated.get(name, Fraction(0))

    def dollars(self, usage: Usage) -> Fraction:
        counts = disjoint_counts(usage)
        return sum(
            (count * self.rate(name, usage.input_tokens, usage.service_tier) for name, count in counts.items()),
            Fraction(0),
        )


def disjoint_counts(usage: Usage) -> dict[RateClass, int]:
    parts: dict[RateClass, int] = {
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
        "input_audio": usage.input_audio_tokens,
    }
    answer: dict[RateClass, int] = {"reasoning": usage.reasoning_tokens, "output_audio": usage.output_audio_tokens}
    return {
        "input": usage.input_tokens - sum(parts.values()),
        **parts,
        "output": usage.output_tokens - sum(answer.values()),
        **answer,
        "request": 1,
    }


rates = st.decimals(min_value=0, max_value=1000, places=9, allow_nan=False).map(lambda d: Fraction(d) / MILLION)
rate_sheets = st.dictionaries(st.sampled_from(RATE_CLASSES), rates)
tokens = st.integers(min_value=0, max_value=300_000)


SERVICE_TIERS: tuple[ServiceTier, ...] = ("flex", "priority", "batch")


@st.composite
def price_lists(draw: st.DrawFn) -> Sheets:
    thresholds = draw(st.lists(st.integers(min_value=1, max_value=1_000_000), max_size=3, unique=True))
    tiers = [(above, draw(rate_sheets)) for above in sorted(thresholds)]
    lengths = st.sampled_from([0, 1_000, *thresholds])
    own = st.dictionaries(st.sampled_from(SERVICE_TIERS), st.dictionaries(lengths, rate_sheets, max_size=2), max_size=2)
    return Sheets(draw(rate_sheets), tiers, draw(own))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    read, write, write_1h, audio, text = (draw(tokens) for _ in range(5))
    reasoning, output_audio, output_text = (draw(tokens) for _ in range(3))
    return Usage(
        input_tokens=read + write + write_1h + audio + text,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=write_1h,
        input_audio_tokens=audio,
        output_tokens=reasoning + output_audio + output_text,
        reasoning_tokens=reasoning,
        output_audio_tokens=output_audio,
        service_tier=draw(st.sampled_from(["", "standard", *SERVICE_TIERS])),
    )


# ---- laws -----------------------------------------------------------------------------------------------------------


@given(price_lists(), usages())
def test_the_cost_is_the_exact_sum_over_disjoint_classes_rounded_once_half_up(sheets: Sheets, usage: Usage) -> None:
    exact = sheets.dollars(usage) * NANOS_PER_DOLLAR

    cost = cost_nanos(sheets.compiled(), usage)

    assert exact - Fraction(1, 2) < cost <= exact + Fraction(1, 2)


@given(price_lists(), usages(), st.integers(min_value=0, max_value=10**6), st.integers(min_value=0, max_value=10**6))
def test_no_usage_within_its_bounds_costs_more_than_the_upper_bound(
    sheets: Sheets, usage: Usage, spare_input: int, spare_output: int
) -> None:
    price = sheets.compiled()
    bound = upper_bound_nanos(
        price,
        input_tokens=usage.input_tokens + spare_input,
        output_tokens=usage.output_tokens + spare_output,
        in_any_tier=usage.service_tier not in ("", "standard"),
    )

    assert cost_nanos(price, usage) <= bound


@given(price_lists(), usages())
def test_the_parts_of_a_breakdown_add_up_to_the_cost(sheets: Sheets, usage: Usage) -> None:
    price = sheets.compiled()
    breakdown = cost_breakdown(price, usage)
    parts: dict[RateClass, int] = {name: getattr(breakdown, name) for name in RATE_CLASSES}

    assert sum(parts.values()) == breakdown.total == cost_nanos(price, usage)
    for name, count in disjoint_counts(usage).items():
        exact = count * sheets.rate(name, usage.input_tokens, usage.service_tier) * NANOS_PER_DOLLAR
        assert abs(parts[name] - exact) < 1


@example(Sheets({}, [(1, {"input": Fraction(1, 10**15)})], {"flex": {0: {}, 1000: {}}}))
@given(price_lists())
def test_a_price_written_as_configuration_reads_back_as_the_same_price(sheets: Sheets) -> None:
    thousands = Sheets(
        sheets.base,
        [(above * 1000, sheet) for above, sheet in sheets.tiers],
        {tier: {above * 1000: sheet for above, sheet in own.items()} for tier, own in sheets.service_tiers.items()},
    )
    price = thousands.compiled()

    again = price_from_config(price_to_config(price))

    assert again is not None
    usage = Usage(input_tokens=2_000_000_000, cache_read_tokens=7, output_tokens=11, reasoning_tokens=3)
    for tier in ("standard", *SERVICE_TIERS):
        usage = msgspec.structs.replace(usage, service_tier=tier)
        tolerance = cost_nanos(price, usage) * 1e-12 + 1  # a float keeps 15 digits
        assert cost_nanos(again, usage) == pytest.approx(cost_nanos(price, usage), abs=tolerance)
    assert [tier.above_input_tokens for tier in again.tiers] == [above for above, _ in thousands.tiers]


# ---- receipts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Receipt:
    price: Price
    usage: Usage
    nanos: int


GPT_4O = compile_price(per_million(input="2.5", cache_read="1.25", output="10"), origin="book")
CLAUDE = compile_price(
    per_million(input="3", cache_read="0.3", cache_write="3.75", cache_write_1h="6", output="15"), origin="book"
)
GEMINI_PRO = compile_price(
    per_million(input="1.25", cache_read="0.125", output="10"),
    [(200_000, per_million(input="2.5", cache_read="0.25", output="15"))],
    origin="book",
)

RECEIPTS = {
    "OpenAI counts cached tokens inside the prompt": Receipt(
        GPT_4O,
        Usage(input_tokens=2006, cache_read_tokens=1920, output_tokens=300),
        # 86 x 2.5 + 1,920 x 1.25 + 300 x 10 = 5,615 micro-dollars
        5_615_000,
    ),
    "OpenAI bills reasoning as output": Receipt(
        GPT_4O, Usage(input_tokens=75, output_tokens=1186, reasoning_tokens=1024), 187_500 + 11_860_000
    ),
    "Anthropic bills reads, both kinds of writes and the rest apart": Receipt(
        CLAUDE,
        Usage(
            input_tokens=50 + 10_000 + 2_000 + 1_000,
            cache_read_tokens=10_000,
            cache_write_tokens=2_000,
            cache_write_1h_tokens=1_000,
            output_tokens=503,
        ),
        # 50 x 3 + 10,000 x 0.3 + 2,000 x 3.75 + 1,000 x 6 + 503 x 15 micro-dollars
        150_000 + 3_000_000 + 7_500_000 + 6_000_000 + 7_545_000,
    ),
    "Gemini at 200,000 tokens is still in the lower tier": Receipt(
        GEMINI_PRO, Usage(input_tokens=200_000, output_tokens=1_000), 250_000_000 + 10_000_000
    ),
    "Gemini above 200,000 tokens bills the whole call at the higher tier": Receipt(
        GEMINI_PRO,
        Usage(input_tokens=200_001, cache_read_tokens=100_000, output_tokens=1_000),
        # 100,001 x 2.5 + 100,000 x 0.25 + 1,000 x 15 micro-dollars
        250_002_500 + 25_000_000 + 15_000_000,
    ),
}


@pytest.mark.parametrize("receipt", RECEIPTS.values(), ids=RECEIPTS.keys())
def test_receipts_come_out_to_the_nano_dollar(receipt: Receipt) -> None:
    assert cost_nanos(receipt.price, receipt.usage) == receipt.nanos


def test_half_a_nano_dollar_is_rounded_up() -> None:
    price = compile_price({"input": Fraction(1, 2 * NANOS_PER_DOLLAR)}, origin="book")

    assert [cost_nanos(price, Usage(input_tokens=count)) for count in range(4)] == [0, 1, 1, 2]


def test_a_provider_that_reports_more_cached_than_prompt_tokens_is_not_credited_for_it() -> None:
    usage = Usage(input_tokens=100, cache_read_tokens=150, output_tokens=10, reasoning_tokens=20)

    assert cost_nanos(GPT_4O, usage) == 150 * 1250 + 20 * 10_000
    assert cost_breakdown(GPT_4O, usage).total == cost_nanos(GPT_4O, usage)


def test_a_flat_fee_is_charged_per_call() -> None:
    price = compile_price({**per_million(input="1", output="1"), "request": Fraction("0.012")}, origin="book")

    assert cost_nanos(price, Usage()) == 12_000_000
    assert upper_bound_nanos(price, input_tokens=0, output_tokens=0) == 12_000_000


@pytest.mark.parametrize("price", [UNKNOWN_PRICE, FREE])
def test_what_is_unknown_or_free_costs_nothing_and_the_price_tells_which(price: Price) -> None:
    assert cost_nanos(price, Usage(input_tokens=10, output_tokens=10)) == 0
    assert price.is_known is (price is FREE)


# ---- configuration keys ---------------------------------------------------------------------------------------------


def test_floats_in_the_configuration_count_as_the_decimals_they_print_as() -> None:
    price = price_from_config({"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1.1e-07})

    assert price is not None
    assert price.origin == "config"
    assert price.source == "input_cost_per_token, output_cost_per_token"
    assert cost_nanos(price, Usage(input_tokens=1_000_000)) == 2_500_000_000
    assert cost_nanos(price, Usage(output_tokens=1_000_000)) == 110_000_000


def test_every_kind_of_token_has_a_configuration_key() -> None:
    params = {
        "input_cost_per_token": 1e-06,
        "cache_read_input_token_cost": 2e-06,
        "cache_creation_input_token_cost": 3e-06,
        "cache_creation_input_token_cost_above_1hr": 4e-06,
        "input_cost_per_audio_token": 5e-06,
        "output_cost_per_token": 6e-06,
        "output_cost_per_reasoning_token": 7e-06,
        "output_cost_per_audio_token": 8e-06,
        "input_cost_per_request": 9e-06,
    }
    price = price_from_config(params)
    assert price is not None

    assert [getattr(price.rates, name) / price.denominator for name in RATE_CLASSES] == [
        1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000,
    ]  # fmt: skip
    assert price_to_config(price) == params


def test_prices_above_a_prompt_length_become_tiers() -> None:
    price = price_from_config(
        {
            "input_cost_per_token": 1e-06,
            "output_cost_per_token": 2e-06,
            "input_cost_per_token_above_272k_tokens": 4e-06,
            "input_cost_per_token_above_128k_tokens": 3e-06,
        }
    )

    assert price is not None
    assert [tier.above_input_tokens for tier in price.tiers] == [128_000, 272_000]
    assert cost_nanos(price, Usage(input_tokens=128_001, output_tokens=1)) == 128_001 * 3000 + 2000
    assert cost_nanos(price, Usage(input_tokens=300_000)) == 300_000 * 4000


def test_a_configured_cache_price_adjusts_the_book_and_a_configured_token_price_replaces_it() -> None:
    adjusted = price_from_config({"cache_read_input_token_cost": 1e-06}, book=GEMINI_PRO)
    replaced = price_from_config({"input_cost_per_token": 1e-06}, book=GEMINI_PRO)
    assert adjusted is not None
    assert replaced is not None

    assert cost_nanos(adjusted, Usage(input_tokens=10, cache_read_tokens=4)) == 6 * 1250 + 4 * 1000
    assert len(adjusted.tiers) == 1
    assert cost_nanos(replaced, Usage(input_tokens=10, cache_read_tokens=4, output_tokens=5)) == 10_000
    assert not replaced.tiers


TIERED = {
    "input_cost_per_token": 1e-06,
    "cache_read_input_token_cost": 1e-07,
    "output_cost_per_token": 4e-06,
    "input_cost_per_token_above_200k_tokens": 2e-06,
    "input_cost_per_token_priority": 3e-06,
    "output_cost_per_token_priority": 9e-06,
    "input_cost_per_token_above_200k_tokens_priority": 5e-06,
    "output_cost_per_token_flex": 2e-06,
    "input_cost_per_token_batches": 5e-07,
}


@pytest.mark.parametrize(
    ("tier", "nanos", "long_nanos"),
    [
        ("", 900 * 1000 + 100 * 100 + 10 * 4000, 300_000 * 2000),
        ("standard", 900 * 1000 + 100 * 100 + 10 * 4000, 300_000 * 2000),
        ("priority", 900 * 3000 + 100 * 100 + 10 * 9000, 300_000 * 5000),
        ("flex", 900 * 1000 + 100 * 100 + 10 * 2000, 300_000 * 2000),
        ("batch", 900 * 500 + 100 * 100 + 10 * 4000, 300_000 * 2000),
    ],
)
def test_a_call_costs_what_its_service_tier_does_and_the_standard_where_that_says_nothing(
    tier: ServiceTier, nanos: int, long_nanos: int
) -> None:
    price = price_from_config(TIERED)

    assert price is not None
    usage = Usage(input_tokens=1000, cache_read_tokens=100, output_tokens=10, service_tier=tier)
    assert cost_nanos(price, usage) == nanos
    assert cost_nanos(price, Usage(input_tokens=300_000, service_tier=tier)) == long_nanos
    assert price_to_config(price).items() >= TIERED.items()


def test_the_upper_bound_is_that_of_the_standard_unless_another_tier_is_asked_for() -> None:
    price = price_from_config(TIERED)

    assert price is not None
    assert upper_bound_nanos(price, input_tokens=10, output_tokens=10) == 10 * 1000 + 10 * 4000
    assert upper_bound_nanos(price, input_tokens=10, output_tokens=10, in_any_tier=True) == 10 * 3000 + 10 * 9000


def test_a_service_tiers_price_alone_adjusts_a_known_price_and_makes_no_unknown_one_free() -> None:
    priority = {"input_cost_per_token_priority": 9e-06}
    adjusted = price_from_config(priority, book=GPT_4O)

    assert price_from_config(priority) is None
    assert adjusted is not None
    assert cost_nanos(adjusted, Usage(input_tokens=2)) == 5000
    assert cost_nanos(adjusted, Usage(input_tokens=2, output_tokens=1, service_tier="priority")) == 28_000


def test_a_configured_price_of_zero_is_a_price() -> None:
    price = price_from_config({"input_cost_per_token": 0, "output_cost_per_token": 0.0})

    assert price is not None
    assert price.is_known
    assert price_to_config(price) == {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}


def test_no_price_key_means_no_price() -> None:
    assert price_from_config({"model": "gpt-4o", "input_cost_per_token": None}) is None
    assert price_to_config(UNKNOWN_PRICE) == {}


@pytest.mark.parametrize("value", [-1, "dear", float("nan"), float("inf"), True, []])
def test_what_is_no_amount_is_refused_with_the_key_named(value: object) -> None:
    with pytest.raises(ValueError, match="output_cost_per_token: expected an amount in dollars"):
        price_from_config({"output_cost_per_token": value})


def test_prices_that_no_token_can_be_billed_by_are_reported() -> None:
    params = {
        "input_cost_per_token": 1e-06,
        "input_cost_per_second": 0.1,
        "output_cost_per_image": 0.2,
        "input_cost_per_second_priority": 0.2,
        "output_cost_per_token_priority": 1e-05,
        "input_cost_per_pixel": None,
        "rpm": 3,
    }

    assert unusable_price_keys(params) == [
        "input_cost_per_second",
        "input_cost_per_second_priority",
        "output_cost_per_image",
    ]


@pytest.mark.parametrize("stated", [{}, {"input": Fraction(1, 3)}])
def test_a_price_without_a_decimal_form_is_still_exact(stated: RateSheet) -> None:
    price = compile_price(stated, origin="book")

    assert cost_nanos(price, Usage(input_tokens=3)) == 3 * stated.get("input", Fraction(0)) * NANOS_PER_DOLLAR
