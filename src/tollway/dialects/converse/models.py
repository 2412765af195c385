"""What the models of Bedrock take besides Converse's own fields, by family: Converse hands it on as it is.

Claude: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html,
Nova: https://docs.aws.amazon.com/nova/latest/userguide, gpt-oss:
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html (2026-11-26).
"""

from __future__ import annotations

import re
from typing import Any, Literal

from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.request import Reasoning, Request, budget_for, effort_for
from tollway.dialects.messages.models import traits_of
from tollway.dialects.messages.reasoning import LEAST_BUDGET

Family = Literal["claude", "nova", "gpt-oss", "other"]

_NAMES: tuple[tuple[str, Family], ...] = (("claude", "claude"), ("nova", "nova"), ("gpt-oss", "gpt-oss"))
_NAMELESS = re.compile(r":(application-inference-profile|provisioned-model|prompt-router|default-prompt-router)/")
_ROOM_FOR_ANSWER = 4096


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


class Thoughts:
    """How a model is told to think."""

    def __init__(self, request: Request, target: Target) -> None:
        self.more: dict[str, Any] = {}
        """Fields of the model's own."""
        self.effort: str | None = None
        """Converse's `outputConfig.effort`."""
        self.max_tokens = request.max_output_tokens
        self.is_lost = False
        """There is no way to say it."""
        reasoning = request.reasoning
        if reasoning is None:
            return
        is_off = reasoning.is_off or reasoning.effort == "none"
        match family_of(target.model):
            case "claude":
                if not is_off:
                    self._claude(reasoning, request, target)
            case "nova":
                level = _level(reasoning)
                thinks = {"type": "disabled"} if is_off else {"type": "enabled", "maxReasoningEffort": level}
                self.more = {"reasoningConfig": thinks}
            case "gpt-oss":
                self.more = {"reasoning_effort": "low" if is_off else _level(reasoning)}
            case "other":
                self.is_lost = True

    def _claude(self, reasoning: Reasoning, request: Request, target: Target) -> None:
        effort = "low" if reasoning.effort == "minimal" else reasoning.effort
        if effort is not None and traits_of(target.model).efforts:
            self.effort = effort
        choice = request.tool_choice
        if choice is not None and choice.mode in ("required", "tool"):
            self.is_lost = True  # a forced tool rules thinking out
            return
        thinking = self._thinking(reasoning, target)
        if thinking is not None:
            if reasoning.summary == "none":
                thinking["display"] = "omitted"
            self.more = {"thinking": thinking}

    def _thinking(self, reasoning: Reasoning, target: Target) -> dict[str, Any] | None:
        budget = reasoning.budget_tokens
        if budget is None and (reasoning.is_adaptive or traits_of(target.model).is_adaptive):
            return {"type": "adaptive"} if reasoning.is_adaptive or reasoning.effort is not None else None
        if budget is None:
            if reasoning.effort is None:
                return None
            budget = budget_for(reasoning.effort)
        budget = max(budget, LEAST_BUDGET)
        if self.max_tokens is None:
            self.max_tokens = budget + _ROOM_FOR_ANSWER
            if target.max_output_tokens is not None:
                self.max_tokens = min(self.max_tokens, target.max_output_tokens)
        budget = min(budget, self.max_tokens - 1)
        if budget < LEAST_BUDGET:
            self.is_lost = True
            return None
        return {"type": "enabled", "budget_tokens": budget}


def _level(reasoning: Reasoning) -> str:
    """`low`, `medium` or `high`."""
    effort = reasoning.effort or effort_for(reasoning.budget_tokens or 2048)
    return {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)
