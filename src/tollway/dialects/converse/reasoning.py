"""How a model is told to think: each family has words of its own, which Converse hands on.

Claude as in Anthropic's format; Nova: https://docs.aws.amazon.com/nova/latest/userguide; gpt-oss:
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html (2026-11-26).
"""

from __future__ import annotations

from typing import Any

from tollway.dialects.converse.content import ConverseWriter
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import Reasoning, effort_for
from tollway.dialects.messages.reasoning import write_reasoning as write_own_reasoning
from tollway.dialects.messages.turns import Block
from tollway.dialects.messages.writer import MessagesWriter


def write_reasoning(writer: ConverseWriter, fields: dict[str, Any], more: dict[str, Any]) -> None:
    """How a model is told to think, in Converse's `fields` or in `more`, its own."""
    reasoning = writer.request.reasoning
    if reasoning is None:
        return
    is_off = reasoning.is_off or reasoning.effort == "none"
    match writer.family:
        case "claude":
            _claude(writer, fields, more)
        case "nova":
            thinks = {"type": "enabled", "maxReasoningEffort": _level(reasoning)}
            more["reasoningConfig"] = {"type": "disabled"} if is_off else thinks
        case "gpt-oss":
            more["reasoning_effort"] = "low" if is_off else _level(reasoning)
        case "other":
            writer.lose(LossKind.HINT, "reasoning")


def _claude(writer: ConverseWriter, fields: dict[str, Any], more: dict[str, Any]) -> None:
    """As Anthropic's own format has it, with each field in its place here."""
    request, inference = writer.request, fields.setdefault("inferenceConfig", {})
    choice = request.tool_choice
    is_forced = choice is not None and choice.mode in ("required", "tool")
    wire: dict[str, Any] = {"max_tokens": request.max_output_tokens or 0}
    wire |= {name: inference[place] for name, place in _SAMPLING.items() if place in inference}
    wire |= {name: more[name] for name in ("top_k",) if name in more}
    if is_forced:
        wire["tool_choice"] = {"type": "any"}
    own = MessagesWriter(request, writer.target)
    write_own_reasoning(
        own, wire, [(turn["role"], [_kind(block) for block in turn["content"]]) for turn in _turns(fields)]
    )
    writer.losses |= own.losses
    for name, place in _SAMPLING.items():
        if name not in wire:
            inference.pop(place, None)
    if "top_k" not in wire:
        more.pop("top_k", None)
    if wire["max_tokens"] and "thinking" in wire:
        inference["maxTokens"] = wire["max_tokens"]
    if not inference:
        del fields["inferenceConfig"]
    if "thinking" in wire:
        more["thinking"] = wire["thinking"]
    if "output_config" in wire:
        fields.setdefault("outputConfig", {}).update(wire["output_config"])


_SAMPLING = {"temperature": "temperature", "top_p": "topP"}


def _turns(fields: dict[str, Any]) -> list[dict[str, Any]]:
    return fields["messages"] or [{"role": "user", "content": [{}]}]


def _kind(block: dict[str, Any]) -> Block:
    """A block by the name of its kind in Anthropic's format, which is all that matters here."""
    names = {"toolResult": "tool_result", "reasoningContent": "thinking"}
    return {"type": next((kind for name, kind in names.items() if name in block), "text")}


def _level(reasoning: Reasoning) -> str:
    """`low`, `medium` or `high`."""
    effort = reasoning.effort or effort_for(reasoning.budget_tokens or 2048)
    return {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)
