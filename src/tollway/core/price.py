"""What a model costs, as exact integers. The arithmetic is in `accounting.pricing`."""

from __future__ import annotations

from typing import Literal

import msgspec

from tollway.core.usage import SearchContext, ServiceTier

PriceOrigin = Literal["book", "config", "free", "unknown"]


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of each token class: nano-dollars per token times the price's `denominator`."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    input_audio: int = 0
    output: int = 0
    reasoning: int = 0
    output_audio: int = 0
    request: int = 0
    """Flat, per call."""


class Tier(msgspec.Struct, frozen=True):
    """Rates for the whole call once its prompt is longer than `above_input_tokens`."""

    above_input_tokens: int
    rates: Rates


class ToolPrices(msgspec.Struct, frozen=True, kw_only=True):
    """What tools of the vendor's cost beside the tokens, in nano-dollars per use."""

    web_search: dict[SearchContext, int]
    file_search: int = 0
    code_session: int = 0
    searches_per_call: bool = False
    """However many searches a call makes, it is billed as one."""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A model's price: exact rationals with one common denominator."""

    rates: Rates = Rates()
    tiers: tuple[Tier, ...] = ()
    """Ascending by threshold."""
    denominator: int = 1
    origin: PriceOrigin = "unknown"
    source: str = ""
    """Where the number comes from: a catalogue entry, a configuration key."""
    service_tiers: tuple[tuple[ServiceTier, Price], ...] = ()
    """Whole prices of the tiers that have their own; these have none themselves. The rest costs the standard."""

    tools: ToolPrices | None = None

    @property
    def is_more_than_rates(self) -> bool:
        """Whether it depends on more of a call than its tokens."""
        return bool(self.service_tiers) or self.tools is not None

    @property
    def is_known(self) -> bool:
        """False where nobody said what the model costs; such calls are listed, never silently free."""
        return self.origin != "unknown"


UNKNOWN_PRICE = Price()
FREE = Price(origin="free")
