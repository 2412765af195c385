"""How long to think, in the words that each of Anthropic's models understands.

Thinking rules out forced tools, a temperature other than 1, `top_k`, and a `top_p` below 0.95
(https://platform.claude.com/docs/en/build-with-claude/extended-thinking): a forced tool wins over it, the others give
way. Neither is refused: existing clients send both without thinking of it.
"""

from __future__ import annotations

from typing import Any

from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import Effort, Reasoning, budget_for, effort_for
from tollway.dialects.messages.models import nearest_effort
from tollway.dialects.messages.turns import Turn, continues_without_thoughts
from tollway.dialects.messages.writer import MessagesWriter

LEAST_BUDGET = 1024
"""The minimum of `budget_tokens`."""
ROOM_TO_ANSWER = 4096
"""Tokens beside the budget, where the caller did not limit the answer."""
_LEAST_TOP_P = 0.95


def write_reasoning(writer: MessagesWriter, fields: dict[str, Any], turns: list[Turn]) -> None:
    """`thinking` and `output_config.effort`."""
    reasoning = writer.request.reasoning
    if reasoning is None:
        return
    if reasoning.is_off or reasoning.effort == "none":
        _switch_off(reasoning, writer, fields)
        return
    effort = _effort(reasoning, writer)
    if effort is not None and writer.model.efforts:
        _say_effort(effort, writer, fields)
    thinking = _thinking(reasoning, effort, writer, fields, turns)
    if thinking is None:
        return
    if fields.get("tool_choice", {}).get("type") in ("any", "tool"):
        writer.lose(LossKind.HINT, "reasoning")
        return
    if reasoning.summary is not None:
        thinking["display"] = "omitted" if reasoning.summary == "none" else "summarized"
    fields["thinking"] = thinking
    _clear_sampling(writer, fields)


def _switch_off(reasoning: Reasoning, writer: MessagesWriter, fields: dict[str, Any]) -> None:
    model = writer.model
    if not model.can_rest:  # as little as there is
        _say_effort("low", writer, fields)
        writer.lose(LossKind.HINT, "reasoning")
    elif writer.is_own or model.thinks_unasked:
        fields["thinking"] = {"type": "disabled"}
    if model.can_rest and reasoning.effort not in (None, "none") and model.efforts:
        _say_effort(reasoning.effort, writer, fields)


def _say_effort(effort: Effort, writer: MessagesWriter, fields: dict[str, Any]) -> None:
    config = fields.setdefault("output_config", {})
    config["effort"] = nearest_effort(effort, writer.model)


def _effort(reasoning: Reasoning, writer: MessagesWriter) -> Effort | None:
    """What was said, or what the budget stands for where a model takes none."""
    if reasoning.effort is None and reasoning.budget_tokens is not None and not writer.model.takes_budget:
        return effort_for(reasoning.budget_tokens)
    return reasoning.effort


def _thinking(
    reasoning: Reasoning, effort: Effort | None, writer: MessagesWriter, fields: dict[str, Any], turns: list[Turn]
) -> dict[str, Any] | None:
    model = writer.model
    budget = reasoning.budget_tokens
    if budget is None:
        if reasoning.is_adaptive and (writer.is_own or model.is_adaptive):
            return {"type": "adaptive"}
        if writer.is_own or (effort is None and not reasoning.is_adaptive):
            return None  # Anthropic's own effort is not about thinking alone: by itself it does not ask for any
        if model.is_adaptive:
            return {"type": "adaptive"}
        budget = budget_for(effort or "medium")
    elif not model.takes_budget:
        return {"type": "adaptive"}
    if not writer.is_own and continues_without_thoughts(turns):
        writer.lose(LossKind.HINT, "reasoning")
        return None
    return _within_limit(max(budget, LEAST_BUDGET), writer, fields)


def _within_limit(budget: int, writer: MessagesWriter, fields: dict[str, Any]) -> dict[str, Any] | None:
    """A budget below `max_tokens`, which is raised where the caller did not say it."""
    if writer.request.max_output_tokens is None:
        wanted = max(fields["max_tokens"], budget + ROOM_TO_ANSWER)
        fields["max_tokens"] = min(wanted, writer.target.max_output_tokens or wanted)
    budget = min(budget, fields["max_tokens"] - 1)
    if budget < LEAST_BUDGET:
        writer.lose(LossKind.HINT, "reasoning")
        return None
    return {"type": "enabled", "budget_tokens": budget}


def _clear_sampling(writer: MessagesWriter, fields: dict[str, Any]) -> None:
    clashing = {
        "temperature": fields.get("temperature", 1) != 1,
        "top_k": "top_k" in fields,
        "top_p": fields.get("top_p", 1) < _LEAST_TOP_P,
    }
    for name, clashes in clashing.items():
        if clashes:
            del fields[name]
            writer.lose(LossKind.HINT, name)
