"""Repairs of a conversation that a provider would refuse (`modify_params`), in the middle form.

Clients cut histories, and frameworks lose a tool's result. Where the operator allows it such a request is mended, by
adding what says nothing or taking out what nobody asked for, and each repair has a name that the caller is told.
"""

from __future__ import annotations

from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.request import (
    DialectName,
    Message,
    Part,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tollway.dialects.messages.models import traits_of

CONTINUE = "(continue)"
NO_RESULT = "[The conversation holds no result of this call.]"

REPAIRS: dict[str, str] = {
    "messages": "a user's turn is added where there is no turn at all",
    "messages.prefill": "a user's turn is added after the assistant's, where a model of Anthropic's insists on it",
    "messages.tool_result.missing": "a call without its result gets one that says so, marked as an error",
    "messages.tool_result.orphaned": "a result of a call that is not in the turn before it is taken out",
    "tools": "tools that the conversation has used are declared, taking anything, where none is declared",
    "max_tokens": "a limit above the model's own is lowered to that",
}
"""Each repair by the name in `x-tollway-repaired`, and what is done."""

_WANTS_TOOLS_DECLARED: frozenset[DialectName] = frozenset({"messages"})
"""Formats that refuse calls and results without tools; Converse's renderer declares them in any case."""
_MAY_REFUSE_PREFILL: frozenset[DialectName] = frozenset({"messages", "converse"})


def repair(request: Request, provider: DialectName, target: Target) -> tuple[str, ...]:
    """Mends `request` in place for a provider that speaks so. The names of what was done."""
    done: list[str] = []
    messages = _pair_results(request.messages, done)
    if not any(message.role != "system" and message.parts for message in messages):
        messages.append(Message(role="user", parts=[Text(text=CONTINUE)]))
        done.append("messages")
    if _is_refused_prefill(messages, provider, target):
        messages.append(Message(role="user", parts=[Text(text=CONTINUE)]))
        done.append("messages.prefill")
    request.messages = messages
    if provider in _WANTS_TOOLS_DECLARED and not request.tools and (used := _used(messages)):
        request.tools = [Tool(name=name) for name in used]
        done.append("tools")
    limit = target.max_output_tokens
    if limit is not None and request.max_output_tokens is not None and request.max_output_tokens > limit:
        request.max_output_tokens = limit
        done.append("max_tokens")
    return tuple(dict.fromkeys(done))


def _pair_results(messages: list[Message], done: list[str]) -> list[Message]:
    """Every call followed by its result, and every result after its call."""
    kept: list[Message] = []
    open_calls: dict[str, ToolCall] = {}
    for message in messages:
        calls = {part.id: part for part in message.parts if isinstance(part, ToolCall)}
        has_results = any(isinstance(part, ToolResult) for part in message.parts)
        if open_calls and not has_results and _ends_results(message, kept):
            _close(open_calls, kept, done)
        parts = [part for part in message.parts if not isinstance(part, ToolResult) or _answers(part, open_calls)]
        if len(parts) < len(message.parts):
            done.append("messages.tool_result.orphaned")
        if parts or not message.parts:
            kept.append(message if len(parts) == len(message.parts) else _with(message, parts))
        open_calls |= calls
    if open_calls:
        _close(open_calls, kept, done)
    return kept


def _ends_results(message: Message, kept: list[Message]) -> bool:
    """Whether no more results can come: the user speaks, or the assistant does after some of them came."""
    if message.role == "assistant":
        return next(each.role for each in reversed(kept) if each.role != "system") != "assistant"
    return message.role == "user"


def _answers(result: ToolResult, open_calls: dict[str, ToolCall]) -> bool:
    """Whether it is the first result of a call of the turn before."""
    return open_calls.pop(result.call_id, None) is not None


def _with(message: Message, parts: list[Part]) -> Message:
    return Message(role=message.role, parts=parts, name=message.name, is_developer=message.is_developer, id=message.id)


def _close(open_calls: dict[str, ToolCall], kept: list[Message], done: list[str]) -> None:
    """Results for calls that have none."""
    parts: list[Part] = [
        ToolResult(
            call_id=call.id, name=call.name, parts=[Text(text=NO_RESULT)], is_error=True, is_custom=call.is_custom
        )
        for call in open_calls.values()
    ]
    kept.append(Message(role="user", parts=parts))
    open_calls.clear()
    done.append("messages.tool_result.missing")


def _is_refused_prefill(messages: list[Message], provider: DialectName, target: Target) -> bool:
    turns = [message for message in messages if message.role != "system"]
    return provider in _MAY_REFUSE_PREFILL and turns[-1].role == "assistant" and traits_of(target.model).is_adaptive


def _used(messages: list[Message]) -> list[str]:
    parts = [part for message in messages for part in message.parts]
    return list(dict.fromkeys(part.name for part in parts if isinstance(part, ToolCall)))
