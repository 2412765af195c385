"""A request in the middle form, written as a chat-completions request.

What OpenAI itself refuses and compatible servers take (`top_k`, cache hints, thoughts of earlier turns) goes by the
provider's traits.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.losses import LossKind, unknown_fields
from tollway.dialects.generation.request import (
    CUSTOM_TOOL_PARAMETERS,
    CacheHint,
    CustomTool,
    Media,
    Message,
    Opaque,
    OpaqueTool,
    OutputFormat,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    WebSearch,
    effort_for,
)
from tollway.dialects.generation.seals import write_seal
from tollway.dialects.generation.unsaid import sampling_loss
from tollway.dialects.generation.writer import Writer

_REASONS = re.compile(
    r"(^|[/.-])(o[134]($|-)|gpt-5|gpt-oss|codex|grok-(3-mini|4)|deepseek-(r|v3\.)|qwen3|magistral|gemini|claude|glm-4\.)"
)
"""Models that take `reasoning_effort`; the others answer 400 to it, or ignore it."""

_PLAIN: tuple[tuple[str, str], ...] = (
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("seed", "seed"),
    ("n", "choices"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("logit_bias", "logit_bias"),
    ("verbosity", "verbosity"),
    ("modalities", "modalities"),
    ("audio", "audio"),
    ("prediction", "prediction"),
    ("user", "user"),
)
_OPENAI_ALONE: tuple[tuple[str, str], ...] = (
    ("service_tier", "service_tier"),
    ("store", "store"),
    ("prompt_cache_key", "prompt_cache_key"),
)
_COMPATIBLE_ALONE: tuple[tuple[str, str], ...] = (("top_k", "top_k"), ("min_p", "min_p"))


class _ChatWriter(Writer):
    """Collects the fields and the losses of one request."""

    def __init__(self, request: Request, target: Target) -> None:
        super().__init__(request, target)
        self.is_openai = "openai_fields" in target.traits
        self.takes_cache_hints = "cache_hints" in target.traits
        self.takes_thoughts = "earlier_thoughts" in target.traits

    def cache_control(self, hint: CacheHint | None, field: str) -> dict[str, Any]:
        if hint is None:
            return {}
        if not self.takes_cache_hints:
            self.lose(LossKind.CACHE_HINT, field)
            return {}
        ttl = {"ttl": hint.ttl} if hint.ttl is not None else {}
        return {"cache_control": {"type": "ephemeral", **ttl}}


def render_request(request: Request, target: Target) -> Rendered:
    """The body for a provider, and what chat cannot say."""
    writer = _ChatWriter(request, target)
    fields: dict[str, Any] = {"model": target.model, "messages": _messages(writer)}
    _settings(writer, fields)
    _tools(writer, fields)
    if request.is_stream:
        fields["stream"] = True
        if target.sends_stream_usage:
            fields["stream_options"] = {"include_usage": True}
    if request.cache is not None:
        writer.lose(LossKind.CACHE_HINT, "cache_control")
    if request.safety_settings is not None:
        writer.lose(LossKind.PARAMETER, "safetySettings")
    for name, raw in request.extra.items():
        if request.origin == "chat":
            fields.setdefault(name, raw)
        else:
            writer.lose(LossKind.UNKNOWN, name)
    for loss in unknown_fields(request):
        writer.lose(loss.kind, loss.field)
    return Rendered(fields=fields, losses=list(writer.losses))


def _settings(writer: _ChatWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    for name, attribute in _PLAIN:
        value = getattr(request, attribute)
        if value is not None:
            fields[name] = value
    for name, attribute in _OPENAI_ALONE:
        value = getattr(request, attribute)
        if value is not None:
            if writer.is_openai:
                fields[name] = value
            else:
                writer.lose(LossKind.HINT, name)
    for name, attribute in _COMPATIBLE_ALONE:
        value = getattr(request, attribute)
        if value is not None:
            if writer.is_openai:
                writer.lose(sampling_loss(request), name)
            else:
                fields[name] = value
    if request.max_output_tokens is not None:
        fields["max_completion_tokens" if writer.is_openai else "max_tokens"] = request.max_output_tokens
    if request.stop:
        fields["stop"] = request.stop
    if request.logprobs is not None:
        fields["logprobs"] = True
        if request.logprobs:
            fields["top_logprobs"] = request.logprobs
    if request.format is not None and request.format.kind != "text":
        fields["response_format"] = _format(request.format)
    if request.metadata is not None:
        if request.origin == "chat" and request.store:
            fields["metadata"] = request.metadata
        else:
            writer.lose(LossKind.HINT, "metadata")
    _reasoning(writer, fields)


def _reasoning(writer: _ChatWriter, fields: dict[str, Any]) -> None:
    reasoning = writer.request.reasoning
    if reasoning is None:
        return
    effort = reasoning.effort
    if effort is None and reasoning.budget_tokens is not None:
        effort = effort_for(reasoning.budget_tokens)
    if _REASONS.search(writer.target.model.lower()) is None:
        if not reasoning.is_off:
            writer.lose(LossKind.HINT, "reasoning")
    elif effort is not None and not (reasoning.is_off and effort != "none"):
        fields["reasoning_effort"] = "xhigh" if effort == "max" else effort


def _format(wanted: OutputFormat) -> dict[str, Any]:
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": wanted.name or "answer"}
    if wanted.description is not None:
        schema["description"] = wanted.description
    if wanted.schema is not None:
        schema["schema"] = wanted.schema
    if wanted.is_strict is not None:
        schema["strict"] = wanted.is_strict
    return {"type": "json_schema", "json_schema": schema}


def _tools(writer: _ChatWriter, fields: dict[str, Any]) -> None:
    request = writer.request
    tools = [wire for tool in request.tools if (wire := _tool(tool, writer, fields)) is not None]
    if not tools:
        return
    fields["tools"] = tools
    if request.tool_choice is not None:
        fields["tool_choice"] = _tool_choice(request.tool_choice, writer)
    if request.allows_parallel_tools is not None:
        fields["parallel_tool_calls"] = request.allows_parallel_tools


def _tool(tool: Any, writer: _ChatWriter, fields: dict[str, Any]) -> dict[str, Any] | msgspec.Raw | None:
    match tool:
        case Tool():
            function: dict[str, Any] = {"name": tool.name}
            if tool.description is not None:
                function["description"] = tool.description
            if tool.parameters is not None:
                function["parameters"] = tool.parameters
            if tool.is_strict is not None:
                function["strict"] = tool.is_strict
            return {"type": "function", "function": function, **writer.cache_control(tool.cache, "tools.cache_control")}
        case CustomTool():
            return _custom_tool(tool, writer)
        case WebSearch():
            fields.update(_web_search(tool, writer))
        case OpaqueTool(origin="chat"):
            return tool.raw
        case OpaqueTool():
            writer.lose(LossKind.TOOL, f"tools.{tool.kind}")
    return None


def _custom_tool(tool: CustomTool, writer: _ChatWriter) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description is not None else {}
    if not writer.is_openai:
        return {"type": "function", "function": {"name": tool.name, **described, "parameters": CUSTOM_TOOL_PARAMETERS}}
    custom: dict[str, Any] = {"name": tool.name, **described}
    if tool.format is not None:
        inner = msgspec.json.decode(tool.format, type=dict[str, Any])
        kind = inner.pop("type", "text")
        custom["format"] = {"type": kind, "grammar": inner} if inner else {"type": kind}
    return {"type": "custom", "custom": custom}


def _web_search(tool: WebSearch, writer: _ChatWriter) -> dict[str, Any]:
    if writer.is_openai and "search" not in writer.target.model:
        writer.lose(LossKind.TOOL, "tools.web_search")
        return {}
    options: dict[str, Any] = {}
    if tool.context_size is not None:
        options["search_context_size"] = tool.context_size
    if tool.user_location is not None:
        place = msgspec.json.decode(tool.user_location, type=dict[str, Any])
        place.pop("type", None)
        options["user_location"] = {"type": "approximate", "approximate": place}
    return {"web_search_options": options}


def _tool_choice(choice: ToolChoice, writer: _ChatWriter) -> Any:
    if choice.mode == "tool":
        name = choice.names[0] if choice.names else ""
        is_custom = writer.is_openai and any(
            isinstance(tool, CustomTool) and tool.name == name for tool in writer.request.tools
        )
        return {"type": "custom", "custom": {"name": name}} if is_custom else _named(name)
    if choice.names and writer.is_openai:
        allowed = {"mode": choice.mode, "tools": [_named(name) for name in choice.names]}
        return {"type": "allowed_tools", "allowed_tools": allowed}
    if choice.names:
        writer.lose(LossKind.PARAMETER, "tool_choice")
    return choice.mode


def _named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def _messages(writer: _ChatWriter) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for message in writer.request.messages:
        if message.role == "assistant":
            messages.append(_assistant(message, writer))
        elif message.role == "system":
            role = "developer" if message.is_developer and writer.is_openai else "system"
            messages.append(_with_name({"role": role, "content": _content(message.parts, writer)}, message))
        else:
            messages += _user(message, writer)
    return messages


def _with_name(wire: dict[str, Any], message: Message) -> dict[str, Any]:
    if message.name is not None:
        wire["name"] = message.name
    return wire


def _user(message: Message, writer: _ChatWriter) -> list[dict[str, Any]]:
    """Results of tools are messages of their own; pictures in them, which those cannot hold, follow as the user's."""
    wires: list[dict[str, Any]] = []
    rest: list[Part] = []
    pictures: list[Part] = []
    for part in message.parts:
        if not isinstance(part, ToolResult):
            rest.append(part)
            continue
        texts = [each for each in part.parts if isinstance(each, Text | Refusal)]
        others = [each for each in part.parts if not isinstance(each, Text | Refusal)]
        if others:
            pictures += [Text(text=f"Output of the tool call {part.call_id}:"), *others]
        wire: dict[str, Any] = {"role": "tool", "tool_call_id": part.call_id, "content": _content([*texts], writer)}
        wires.append(wire | writer.cache_control(part.cache, "messages.cache_control"))
    if rest or pictures or not wires:
        wires.append(_with_name({"role": "user", "content": _content([*pictures, *rest], writer)}, message))
    return wires


def _assistant(message: Message, writer: _ChatWriter) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": "assistant"}
    content: list[Part] = []
    calls: list[dict[str, Any]] = []
    thoughts: list[Thinking] = []
    for part in message.parts:
        match part:
            case ToolCall():
                calls.append(_call(part, writer))
            case Thinking():
                thoughts.append(part)
            case Opaque(origin="chat", kind="audio"):
                wire["audio"] = part.raw
            case Refusal():
                wire["refusal"] = part.text
            case _:
                content.append(part)
    _add_thoughts(wire, thoughts, writer)
    wire["content"] = _content(content, writer) if content else None
    if calls:
        wire["tool_calls"] = calls
    elif wire["content"] is None and "refusal" not in wire and "audio" not in wire:
        wire["content"] = ""
    return _with_name(wire, message)


def _add_thoughts(wire: dict[str, Any], thoughts: list[Thinking], writer: _ChatWriter) -> None:
    if not thoughts:
        return
    if not writer.takes_thoughts:
        writer.lose(LossKind.FOREIGN_SEAL, "messages.thinking")
        return
    text = "".join(thought.text for thought in thoughts)
    if text:
        wire["reasoning_content"] = text
    if writer.target.seals:
        wire["thinking_blocks"] = [thinking_block(thought) for thought in thoughts]


def thinking_block(thought: Thinking) -> dict[str, Any]:
    """A thought as existing gateways write it in chat: Anthropic's block, which may have a signature and no text."""
    seal = thought.seal
    signature = write_seal(seal, "anthropic") if seal is not None else None
    if thought.is_redacted or (not thought.text and seal is not None and seal.origin != "anthropic"):
        return {"type": "redacted_thinking", "data": signature or ""}
    block = {"type": "thinking", "thinking": thought.text}
    return block if signature is None else {**block, "signature": signature}


def _call(call: ToolCall, writer: _ChatWriter) -> dict[str, Any]:
    if call.is_custom and writer.is_openai:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    arguments = call.arguments or "{}"
    if call.is_custom:
        arguments = msgspec.json.encode({"input": call.arguments}).decode()
    wire: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if call.seal is not None and call.seal.origin in writer.target.seals:
        wire["extra_content"] = {"google": {"thought_signature": call.seal.data}}
    return wire | writer.cache_control(call.cache, "messages.cache_control")


def _content(parts: list[Part], writer: _ChatWriter) -> str | list[Any]:
    """One text as it is; anything more as a list of parts."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], Text) and (parts[0].cache is None or not writer.takes_cache_hints):
        writer.cache_control(parts[0].cache, "messages.content.cache_control")
        return parts[0].text
    return [wire for part in parts if (wire := _part(part, writer)) is not None]


def _part(part: Part, writer: _ChatWriter) -> dict[str, Any] | msgspec.Raw | None:
    match part:
        case Text():
            hint = writer.cache_control(part.cache, "messages.content.cache_control")
            return {"type": "text", "text": part.text, **hint}
        case Media():
            wire = _media(part, writer)
            hint = writer.cache_control(part.cache, "messages.content.cache_control")
            return None if wire is None else wire | hint
        case Refusal():
            return {"type": "text", "text": part.text}
        case Opaque(origin="chat"):
            return part.raw
        case Opaque():
            writer.lose(LossKind.PART, f"messages.content.{part.kind}")
        case ToolCall() | ToolResult() | Thinking():
            writer.lose(LossKind.PART, "messages.content")
    return None


def _media(part: Media, writer: _ChatWriter) -> dict[str, Any] | None:
    if part.text is not None:
        return {"type": "text", "text": f"{part.title}\n\n{part.text}" if part.title else part.text}
    url = f"data:{part.media_type or _TYPES[part.kind]};base64,{part.data}" if part.data is not None else part.url
    match part.kind:
        case "image" if url is not None:
            detail = {"detail": part.detail} if part.detail is not None else {}
            return {"type": "image_url", "image_url": {"url": url, **detail}}
        case "audio" if part.data is not None:
            form = (part.media_type or "audio/wav").removeprefix("audio/").removeprefix("x-")
            return {
                "type": "input_audio",
                "input_audio": {"data": part.data, "format": "mp3" if form == "mpeg" else form},
            }
        case "video" if url is not None and not writer.is_openai:
            return {"type": "video_url", "video_url": {"url": url}}
        case "file" if part.data is not None:
            file = {"filename": part.filename or part.title or "document.pdf", "file_data": url}
            return {"type": "file", "file": file}
        case "file" if part.file_id is not None:
            return {"type": "file", "file": {"file_id": part.file_id}}
    writer.lose(LossKind.MEDIA, f"messages.content.{part.kind}")
    return None


_TYPES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "file": "application/pdf"}
