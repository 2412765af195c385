"""How long a model is to think: `thinkingConfig`.

Gemini 3 is told in words, earlier models in tokens; each model has its own bounds, and some cannot stop thinking.
Source: https://ai.google.dev/gemini-api/docs/thinking, checked 2026-11-26.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tollway.dialects.gemini.writer import GeminiWriter
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import Effort, Reasoning, budget_for, effort_for

_WITHOUT = re.compile(r"gemini-(1\.|2\.0|pro$|pro-vision)|gemma|learnlm|imagen|tts|-live")
"""Models that answer 400 to `thinkingConfig`."""


class _Budgets(msgspec.Struct, frozen=True):
    least: int
    most: int
    can_stop: bool


_BUDGETS: tuple[tuple[str, _Budgets], ...] = (
    ("2.5-pro", _Budgets(128, 32_768, False)),
    ("2.5-flash-lite", _Budgets(512, 24_576, True)),
    ("2.5-flash", _Budgets(1, 24_576, True)),
)
_ANY = _Budgets(1, 32_768, True)

_LEVELS: dict[Effort, str] = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
_OF_PRO: dict[str, str] = {"MINIMAL": "LOW"}
"""Pro models do not know the least level."""
_OF_FIRST_PRO: dict[str, str] = {"MINIMAL": "LOW", "MEDIUM": "HIGH"}
"""Gemini 3 Pro, the first one, knows two levels."""
_SHOWING = frozenset({"chat", "messages", "converse", "ollama", "cohere"})
"""Dialects that show thoughts wherever there are any."""


def thinking_config(reasoning: Reasoning, writer: GeminiWriter) -> dict[str, Any]:
    """`thinkingConfig`; empty where there is nothing to say."""
    if _WITHOUT.search(writer.model):
        if not reasoning.is_off:
            writer.lose(LossKind.HINT, "reasoning")
        return {}
    config = _levels(reasoning, writer) if writer.generation >= 3 else _budget(reasoning, writer)
    shows = _shows(reasoning, writer)
    if shows is not None:
        config["includeThoughts"] = shows
    return config


def _shows(reasoning: Reasoning, writer: GeminiWriter) -> bool | None:
    if reasoning.summary == "none":
        return False
    if reasoning.summary is not None:
        return True
    return True if writer.request.origin in _SHOWING and not reasoning.is_off else None


def _levels(reasoning: Reasoning, writer: GeminiWriter) -> dict[str, Any]:
    effort = reasoning.effort
    if reasoning.is_off:
        effort = "none"
    elif effort is None and reasoning.budget_tokens is not None:
        effort = effort_for(reasoning.budget_tokens)
    if effort is None:
        return {}  # the model decides
    if writer.is_own and effort == reasoning.effort:
        return {"thinkingLevel": effort.upper()}
    level = _LEVELS[effort]
    if "gemini-3-pro" in writer.model:
        level = _OF_FIRST_PRO.get(level, level)
    elif "-pro" in writer.model:
        level = _OF_PRO.get(level, level)
    if effort == "none":
        writer.lose(LossKind.HINT, "reasoning")  # it thinks as little as it can
    return {"thinkingLevel": level}


def _budget(reasoning: Reasoning, writer: GeminiWriter) -> dict[str, Any]:
    if reasoning.is_adaptive:
        return {"thinkingBudget": -1}
    budgets = next((found for name, found in _BUDGETS if name in writer.model), _ANY)
    if reasoning.is_off:
        if budgets.can_stop:
            return {"thinkingBudget": 0}
        writer.lose(LossKind.HINT, "reasoning")
        return {"thinkingBudget": budgets.least}
    budget = reasoning.budget_tokens
    if budget is None and reasoning.effort is not None:
        budget = budget_for(reasoning.effort)
    if budget is None:
        return {}
    return {"thinkingBudget": min(max(budget, budgets.least), budgets.most)}
