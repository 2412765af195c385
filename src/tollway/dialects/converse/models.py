"""Families of Bedrock's models, by their ids, and what they differ in.

Claude: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html,
Nova: https://docs.aws.amazon.com/nova/latest/userguide (2026-11-26).
"""

from __future__ import annotations

import re
from typing import Any, Literal

Family = Literal["claude", "nova", "gpt-oss", "other"]

_NAMES: tuple[tuple[str, Family], ...] = (("claude", "claude"), ("nova", "nova"), ("gpt-oss", "gpt-oss"))
_NAMELESS = re.compile(r":(application-inference-profile|provisioned-model|prompt-router|default-prompt-router)/")


def family_of(model: str) -> Family:
    """The family of a model id. What only has a number is taken for Claude: there is most to lose with it."""
    name = model.lower()
    for mark, family in _NAMES:
        if mark in name:
            return family
    return "claude" if _NAMELESS.search(name) else "other"


def takes_cache_points(family: Family) -> bool:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html"""
    return family in ("claude", "nova")


def write_top_k(family: Family, value: int) -> dict[str, Any]:
    """`top_k`, which each maker calls in a way of its own."""
    return {"inferenceConfig": {"topK": value}} if family == "nova" else {"top_k": value}
