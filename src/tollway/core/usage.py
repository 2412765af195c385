"""How many tokens a call used, by class."""

from __future__ import annotations

from typing import Literal

import msgspec

ServiceTier = Literal["", "standard", "flex", "priority", "batch"]
"""How fast and at which price a vendor has served a call; empty: nobody said."""

_TIERS: dict[str, ServiceTier] = {
    "priority": "priority",
    "on_demand_priority": "priority",
    "flex": "flex",
    "on_demand_flex": "flex",
    "batch": "batch",
    "auto": "",
    "": "",
}


def service_tier_of(word: str | None) -> ServiceTier:
    """The tier that a vendor's word means: of OpenAI, Anthropic, Bedrock (`service_tier`), Vertex AI (`trafficType`).

    `auto` leaves it open. Every other word (`default`, `standard`, what is paid in advance) is billed as the standard.
    """
    return _TIERS.get(word.lower(), "standard") if word else ""


class Usage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Tokens of one call.

    `input_tokens` is the whole prompt, every input class included; `output_tokens` is the whole answer, reasoning and
    audio included. The classes below them are parts, so that cost is a sum over disjoint classes.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    """Written with the default lifetime (5 minutes)."""
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    output_audio_tokens: int = 0
    is_estimated: bool = False
    """Counted by the gateway, because the provider did not report."""
    service_tier: ServiceTier = ""
    """That the answer names; empty where it names none."""

    @property
    def total_tokens(self) -> int:
        """Prompt plus answer."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: Usage) -> Usage:
        """Both together; estimated if one is. The tier is that of the first that has one."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        is_estimated = self.is_estimated or other.is_estimated
        return Usage(**counts, is_estimated=is_estimated, service_tier=self.service_tier or other.service_tier)


def in_tier(usage: Usage, service_tier: ServiceTier) -> Usage:
    """The same in this service tier, unless it has one."""
    if usage.service_tier or not service_tier:
        return usage
    return msgspec.structs.replace(usage, service_tier=service_tier)


_COUNTS = tuple(name for name in Usage.__struct_fields__ if name not in ("is_estimated", "service_tier"))

NO_USAGE = Usage()
