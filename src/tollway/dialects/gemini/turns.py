"""Messages of the middle form, written as `systemInstruction` and `contents`.

Gemini wants turns that alternate, and all results of one turn's calls together, in the order of the calls. Sources:
https://ai.google.dev/gemini-api/docs/function-calling and …/thought-signatures, checked 2026-11-26.
"""

from __future__ import annotations

from collections.abc import Sequence
from mimetypes import guess_type
from typing import Any, Literal

from msgspec.structs import replace

from tollway.dialects.gemini.fields import fields_of
from tollway.dialects.gemini.parts import (
    ABOUT,
    call_part,
    is_made_up,
    media_part,
    signed,
    thought_part,
    write_response,
)
from tollway.dialects.gemini.signature import UNSIGNED
from tollway.dialects.gemini.writer import GeminiWriter
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import (
    Json,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    name_results,
)

_FILES = "https://generativelanguage.googleapis.com/v1beta/"
_Wire = dict[str, Any]


class _Turn:
    """What one side says until the other speaks."""

    def __init__(self, role: Literal["user", "model"]) -> None:
        self.role: Literal["user", "model"] = role
        self.parts: list[Part] = []


def write_messages(messages: Sequence[Message], writer: GeminiWriter) -> _Wire:
    """`systemInstruction`, where there are instructions at the beginning, and `contents`."""
    name_results(list(messages))
    leading = next((at for at, message in enumerate(messages) if message.role != "system"), len(messages))
    instructions = [part for message in messages[:leading] for part in message.parts]
    turns = _turns(messages[leading:], writer)
    if not turns and instructions:  # contents are required: instructions alone are what is asked
        turns, instructions = [_Turn("user")], []
        turns[0].parts = [part for message in messages for part in message.parts]
    fields: _Wire = {}
    spoken = _parts(instructions, writer)
    if spoken:
        fields["systemInstruction"] = {"parts": spoken}
    contents: list[_Wire] = []
    calls: list[ToolCall] = []
    for turn in turns:
        if turn.role == "model":
            calls = [part for part in turn.parts if isinstance(part, ToolCall)]
            parts = _model_parts(turn.parts, writer)
        else:
            parts = _user_parts(turn.parts, calls, writer)
        if parts:
            contents.append({"role": turn.role, "parts": parts})
    fields["contents"] = contents
    return fields


def _turns(messages: Sequence[Message], writer: GeminiWriter) -> list[_Turn]:
    turns: list[_Turn] = []
    for message in messages:
        role: Literal["user", "model"] = "model" if message.role == "assistant" else "user"
        if message.name is not None:
            writer.lose(LossKind.HINT, "messages.name")
        if not turns or turns[-1].role != role:
            turns.append(_Turn(role))
        turns[-1].parts += message.parts
    return turns


def _model_parts(parts: list[Part], writer: GeminiWriter) -> list[Any]:
    wires = _parts(parts, writer)
    if writer.generation >= 3:
        _mark_unsigned(wires)
    return wires


def _mark_unsigned(wires: list[Any]) -> None:
    """Gemini 3 refuses a turn whose first call is not signed. Other models' calls, and those of clients that lose
    signatures, get the value that Google has for them."""
    calls = [wire for wire in wires if isinstance(wire, dict) and "functionCall" in wire]
    if calls and "thoughtSignature" not in calls[0]:
        calls[0]["thoughtSignature"] = UNSIGNED


def _user_parts(parts: list[Part], calls: list[ToolCall], writer: GeminiWriter) -> list[Any]:
    order = {call.id: number for number, call in enumerate(calls)}
    results = [part for part in parts if isinstance(part, ToolResult)]
    results.sort(key=lambda result: order.get(result.call_id, len(order)))
    behind: list[Any] = []
    wires: list[Any] = [_result(result, behind, writer) for result in results]
    return [*wires, *behind, *_parts([part for part in parts if not isinstance(part, ToolResult)], writer)]


def _result(result: ToolResult, behind: list[Any], writer: GeminiWriter) -> _Wire:
    """A function's response. Media go into it where the model takes them there (Gemini 3), else `behind` it."""
    writer.lose_hint(result.cache, "messages.cache_control")
    texts = [part.text for part in result.parts if isinstance(part, Text | Refusal)]
    others = [part for part in result.parts if not isinstance(part, Text | Refusal)]
    for part in result.parts:
        if isinstance(part, Text):
            writer.lose_hint(part.cache, "messages.content.cache_control")
    response: _Wire = {"name": result.name or result.call_id}
    if not is_made_up(result.call_id):
        response = {"id": result.call_id, **response}
    response["response"] = write_response("\n".join(texts), is_error=result.is_error)
    media = _parts(others, writer)
    if media and writer.generation >= 3:
        response["parts"] = media
    elif media:
        behind += [{"text": f"Output of {response['name']}:"}, *media]
    return {"functionResponse": response}


def _parts(parts: Sequence[Part], writer: GeminiWriter) -> list[Any]:
    wires: list[Any] = []
    last: _Wire | Json | None = None
    for part in parts:
        if isinstance(part, Opaque) and part.origin == "gemini" and part.kind.startswith(ABOUT):
            if isinstance(last, dict):
                last |= fields_of(part.raw, part.kind)
            else:
                writer.lose(LossKind.PART, f"messages.content.{part.kind}")
            continue
        last = _part(part, writer)
        if last is not None:
            wires.append(last)
    return wires


def _part(part: Part, writer: GeminiWriter) -> _Wire | Json | None:
    match part:
        case Text():
            writer.lose_hint(part.cache, "messages.content.cache_control")
            seal = writer.own(part.seal, "messages.content.signature")
            return signed({"text": part.text}, seal) if part.text or seal is not None else None
        case Refusal():
            return {"text": part.text}
        case Thinking():
            return _thinking(part, writer)
        case ToolCall():
            writer.lose_hint(part.cache, "messages.cache_control")
            call = replace(part, seal=writer.own(part.seal, "messages.tool_calls.signature"))
            return call_part(call, None if is_made_up(part.id) else part.id)
        case Media():
            return _media(part, writer)
        case Opaque(origin="gemini"):
            return part.raw
        case Opaque():
            writer.lose(LossKind.PART, f"messages.content.{part.kind}")
        case _:
            writer.lose(LossKind.PART, "messages.content.tool_result")
    return None


def _thinking(part: Thinking, writer: GeminiWriter) -> _Wire | None:
    """Gemini's own thoughts go back to it, signed or not; it has no use for anybody else's."""
    if part.seal is None and not writer.is_own:
        writer.lose(LossKind.FOREIGN_SEAL, "messages.thinking")
        return None
    seal = writer.own(part.seal, "messages.thinking")
    if part.seal is not None and seal is None:
        return None
    return thought_part(part)


def _media(part: Media, writer: GeminiWriter) -> _Wire | None:
    writer.lose_hint(part.cache, "messages.content.cache_control")
    if part.detail not in (None, "auto"):
        writer.lose(LossKind.HINT, "messages.content.detail")
    if part.wants_citations:
        writer.lose(LossKind.HINT, "messages.content.citations")
    if part.text is not None:
        heads = [head for head in (part.title, part.context) if head]
        return {"text": "\n\n".join([*heads, part.text])}
    located = replace(part, seal=writer.own(part.seal, "messages.content.signature"))
    if not writer.is_own:
        located.filename = None  # the Gemini API refuses a display name, Vertex AI takes it
    if part.file_id is not None and part.file_id.startswith("files/"):
        located.url = _FILES + part.file_id
    if located.data is None and located.url is not None and located.media_type is None and not writer.is_own:
        located.media_type = _guess(part)
    wire = media_part(located)
    if wire is None:
        writer.lose(LossKind.MEDIA, f"messages.content.{part.kind}")
    return wire


def _guess(part: Media) -> str:
    """The type of what is given by its address alone: Google does not look it up."""
    path = (part.url or "").partition("?")[0].partition("#")[0]
    return guess_type(path)[0] or guess_type(part.filename or "")[0] or _LIKELY[part.kind]


_LIKELY = {"image": "image/jpeg", "audio": "audio/mpeg", "video": "video/mp4", "file": "application/pdf"}
