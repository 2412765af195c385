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


SearchContext = Literal["low", "medium", "high"]
"""How much of what it finds a search puts into the prompt; vendors price it."""


class ToolUse(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How often a vendor has used tools of its own in one call, those that it bills beside the tokens."""

    web_searches: int = 0
    file_searches: int = 0
    code_sessions: int = 0
    search_context: SearchContext = "medium"

    def plus(self, other: ToolUse) -> ToolUse:
        """Both together; the context is that of the first."""
        return ToolUse(
            web_searches=self.web_searches + other.web_searches,
            file_searches=self.file_searches + other.file_searches,
            code_sessions=self.code_sessions + other.code_sessions,
            search_context=self.search_context,
        )


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
    tools: ToolUse | None = None
    """Tools of the vendor's that are billed beside the tokens; None where none was used."""

    @property
    def total_tokens(self) -> int:
        """Prompt plus answer."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: Usage) -> Usage:
        """Both together; estimated if one is. The tier is that of the first that has one."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        is_estimated = self.is_estimated or other.is_estimated
        tier = self.service_tier or other.service_tier
        tools = self.tools.plus(other.tools) if self.tools and other.tools else self.tools or other.tools
        return Usage(**counts, is_estimated=is_estimated, service_tier=tier, tools=tools)


def in_tier(usage: Usage, service_tier: ServiceTier) -> Usage:
    """The same in this service tier, unless it has one."""
    if usage.service_tier or not service_tier:
        return usage
    return msgspec.structs.replace(usage, service_tier=service_tier)


_COUNTS = tuple(name for name in Usage.__struct_fields__ if name.endswith("_tokens"))

NO_USAGE = Usage()
