"""How many tokens a call used, by class."""

from __future__ import annotations

import msgspec


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

    @property
    def total_tokens(self) -> int:
        """Prompt plus answer."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: Usage) -> Usage:
        """Both together; estimated if one is."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return Usage(**counts, is_estimated=self.is_estimated or other.is_estimated)


_COUNTS = tuple(name for name in Usage.__struct_fields__ if name != "is_estimated")

NO_USAGE = Usage()
