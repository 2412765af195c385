"""A request in the middle form, written for Ollama's chat API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.functions import arguments_object, function_tool
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import (
    Effort,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    effort_for,
    name_results,
)
from tollway.dialects.generation.unsaid import unsaid
from tollway.dialects.generation.writer import Writer

_LEVELS: dict[Effort | None, str | bool] = {
    None: True,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""How much gpt-oss thinks: https://docs.ollama.com/capabilities/thinking. Others only think or do not."""
_TAKES_LEVELS = re.compile(r"gpt-oss")
_THINKS = re.compile(
    r"gpt-oss|qwen3|qwq|deepseek-(r1|v3\.)|magistral|glm-[4-9]|kimi-k2|minimax-m|nemotron|gemma4|thinking|reasoning"
)
"""Models that may be told to think: others answer 400 to it. Those that are not known here think by themselves."""

_OPTIONS: tuple[tuple[str, str], ...] = (
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("min_p", "min_p"),
    ("seed", "seed"),
    ("num_predict", "max_output_tokens"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
)
_MORE_OPTIONS = frozenset(
    {
        "num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "typical_p",
        "repeat_last_n", "repeat_penalty", "mirostat", "mirostat_tau", "mirostat_eta", "penalize_newline",
    }
)  # fmt: skip
"""Options of Ollama alone, which callers of any format may send as if they were fields:
https://docs.ollama.com/modelfile#valid-parameters-and-values"""
_OWN = frozenset({"keep_alive", "think", "truncate", "shift"})


class _OllamaWriter(Writer):
    """Collects the losses of one request."""

    def __init__(self, request: Request, target: Target) -> None:
        super().__init__(request, target)
        self.losses |= dict.fromkeys(unsaid(request, frozenset({"min_p"})))


def render_request(request: Request, target: Target) -> Rendered:
    """The body for a provider, and what Ollama cannot be told."""
    writer = _OllamaWriter(request, target)
    name_results(request.messages)
    fields: dict[str, Any] = {
        "model": target.model,
        "messages": [wire for message in request.messages for wire in _message(message, writer)],
        "stream": request.is_stream,  # it streams unless it is told not to
    }
    _settings(request, fields)
    _tools(writer, fields)
    _reasoning(writer, fields)
    _options(writer, fields)
    return Rendered(fields=fields, losses=list(writer.losses))


def _settings(request: Request, fields: dict[str, Any]) -> None:
    wanted = request.format
    if wanted is not None and wanted.kind != "text":
        fields["format"] = wanted.schema if wanted.schema is not None else "json"
    if request.logprobs is not None:
        fields["logprobs"] = True
        if request.logprobs:
            fields["top_logprobs"] = request.logprobs


def _options(writer: _OllamaWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    options = {name: value for name, attribute in _OPTIONS if (value := getattr(request, attribute)) is not None}
    if request.stop:
        options["stop"] = request.stop
    for name, raw in request.extra.items():
        if name == "options":
            options |= _given_options(raw)
        elif name in _MORE_OPTIONS:
            options[name] = raw
        elif name in _OWN or request.origin == "chat":
            fields.setdefault(name, raw)
        else:
            writer.lose(LossKind.UNKNOWN, name)
    if options:
        fields["options"] = options


def _given_options(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        raise InvalidRequest("'options' must be an object of Ollama's model options.", param="options") from None


def _reasoning(writer: _OllamaWriter, fields: dict[str, Any]) -> None:
    reasoning = writer.request.reasoning
    if reasoning is None:
        return
    model = writer.target.model.lower()
    if reasoning.is_off or reasoning.effort == "none":
        fields["think"] = False
    elif _THINKS.search(model) is None:
        writer.lose(LossKind.HINT, "reasoning")
    elif _TAKES_LEVELS.search(model) is None:
        fields["think"] = True
    else:
        effort: Effort | None = reasoning.effort
        if effort is None and reasoning.budget_tokens is not None:
            effort = effort_for(reasoning.budget_tokens)
        fields["think"] = _LEVELS.get(effort, False)


def _tools(writer: _OllamaWriter, fields: dict[str, Any]) -> None:
    """Tools cannot be forced or forbidden: who forbids them offers none, and those allowed are all there are."""
    request = writer.request
    choice = request.tool_choice
    allowed = frozenset(choice.names) if choice is not None else frozenset()
    if choice is not None and choice.mode == "none":
        return
    tools = [wire for tool in request.tools if (wire := function_tool(tool, allowed, writer)) is not None]
    if not tools:
        return
    fields["tools"] = tools
    if choice is not None and choice.mode != "auto":
        writer.lose(LossKind.PARAMETER, "tool_choice")


def _message(message: Message, writer: _OllamaWriter) -> list[dict[str, Any]]:
    if message.role != "user":
        return [_said({"role": message.role}, message.parts, writer)]
    wires: list[dict[str, Any]] = []
    rest: list[Part] = []
    pictures: list[Part] = []
    for part in message.parts:
        if not isinstance(part, ToolResult):
            rest.append(part)
            continue
        if part.cache is not None:
            writer.lose(LossKind.CACHE_HINT, "messages.cache_control")
        found = [each for each in part.parts if isinstance(each, Media) and each.kind == "image"]
        if found:
            pictures += [Text(text=f"Output of the tool call {part.call_id}:"), *found]
        wire = {"role": "tool", "tool_call_id": part.call_id}  # older versions go by the tool's name alone
        if part.name is not None:
            wire["tool_name"] = part.name
        wires.append(_said(wire, [each for each in part.parts if each not in found], writer))
    if rest or pictures or not wires:  # pictures in results, which few templates show, follow as the user's
        wires.append(_said({"role": "user"}, [*pictures, *rest], writer))
    return wires


def _said(wire: dict[str, Any], parts: Sequence[Part], writer: _OllamaWriter) -> dict[str, Any]:
    """A message with its content: texts are one text, the rest has fields of its own."""
    texts: list[str] = []
    thoughts: list[str] = []
    images: list[str] = []
    calls: list[dict[str, Any]] = []
    for part in parts:
        match part:
            case Text() | Refusal():
                texts.append(part.text)
            case Media(text=str() as text):
                texts.append(f"{part.title}\n\n{text}" if part.title else text)
            case Media(kind="image", data=str() as data):
                images.append(data)
            case Media():  # it fetches nothing from the web
                writer.lose(LossKind.MEDIA, f"messages.content.{part.kind}")
            case ToolCall():
                calls.append(_call(part, len(calls)))
            case Thinking():
                if part.text:
                    thoughts.append(part.text)
                else:
                    writer.lose(LossKind.FOREIGN_SEAL, "messages.thinking")
            case Opaque():
                writer.lose(LossKind.PART, f"messages.content.{part.kind}")
            case ToolResult():
                writer.lose(LossKind.PART, "messages.content")
        if isinstance(part, Text | Media | ToolCall) and part.cache is not None:
            writer.lose(LossKind.CACHE_HINT, "messages.content.cache_control")
    wire["content"] = "\n\n".join(texts)
    if thoughts:
        wire["thinking"] = "".join(thoughts)
    if images:
        wire["images"] = images
    if calls:
        wire["tool_calls"] = calls
    return wire


def _call(call: ToolCall, index: int) -> dict[str, Any]:
    function = {"index": index, "name": call.name, "arguments": arguments_object(call)}
    return {"id": call.id, "type": "function", "function": function}
