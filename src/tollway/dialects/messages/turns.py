"""Messages of the middle form, written as the turns of a Messages request."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.generation.functions import arguments_object
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import (
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollway.dialects.messages.blocks import clean_id, write_cache, write_citation, write_thinking
from tollway.dialects.messages.writer import MessagesWriter

Block = dict[str, Any] | msgspec.Raw
Turn = tuple[str, list[Block]]

_BEFORE_ASSISTANT = "(continue)"
"""The user's turn where a conversation begins with the assistant's: the API wants the user to begin."""


def write_turns(writer: MessagesWriter) -> tuple[list[Block], list[Turn]]:
    """The instructions that begin the request, and the turns that follow.

    Neighbours of one role become one turn, and results of tools come first in theirs. Later instructions are the user's
    words, unless the caller's own format is this one: then they stay what they are. A request of instructions alone,
    which the API refuses, puts the last of them as the user's turn.
    """
    messages = writer.request.messages
    first = next((at for at, message in enumerate(messages) if message.role != "system"), len(messages))
    system = [blocks for message in messages[:first] if (blocks := _blocks(message.parts, writer))]
    turns: list[Turn] = []
    for message in messages[first:]:
        _add(turns, _role(message, writer), message, writer)
    if not turns and system:
        turns.append(("user", system.pop()))
    if not turns:
        raise InvalidRequest("messages: at least one message with content is required", param="messages")
    if turns[0][0] == "assistant":
        turns.insert(0, ("user", [{"type": "text", "text": _BEFORE_ASSISTANT}]))
    for role, blocks in turns:
        if role == "user":
            blocks.sort(key=_is_no_result)
    if not writer.is_own:
        _trim_prefill(turns[-1])
    return [block for blocks in system for block in blocks], turns


def _role(message: Message, writer: MessagesWriter) -> str:
    if message.role == "system":
        return "system" if writer.is_own else "user"
    return message.role


def _add(turns: list[Turn], role: str, message: Message, writer: MessagesWriter) -> None:
    if message.name is not None:
        writer.lose(LossKind.HINT, "messages.name")
    blocks = _blocks(message.parts, writer, in_answer=role == "assistant")
    if blocks and turns and turns[-1][0] == role:
        turns[-1][1].extend(blocks)
    elif blocks:
        turns.append((role, blocks))


def _is_no_result(block: Block) -> bool:
    return not isinstance(block, dict) or block["type"] != "tool_result"


def _trim_prefill(turn: Turn) -> None:
    """The API refuses the beginning of an answer that ends in white space."""
    role, blocks = turn
    last = blocks[-1]
    if role == "assistant" and isinstance(last, dict) and last["type"] == "text":
        last["text"] = last["text"].rstrip()


def continues_without_thoughts(turns: list[Turn]) -> bool:
    """Whether the last turn brings results of calls that were made without a thought, or whose thoughts were not kept.

    With a budget for thinking, the API refuses such a turn.
    """
    answers = [blocks for role, blocks in turns if role == "assistant"]
    if turns[-1][0] != "user" or _is_no_result(turns[-1][1][0]) or not answers:
        return False
    first = answers[-1][0]
    return not isinstance(first, dict) or first["type"] not in ("thinking", "redacted_thinking")


def plain(blocks: list[Block]) -> Any:
    """One text without anything else as a string."""
    only = blocks[0] if len(blocks) == 1 else None
    return only["text"] if isinstance(only, dict) and only.keys() == {"type", "text"} else blocks


def _blocks(parts: list[Part], writer: MessagesWriter, *, in_answer: bool = False) -> list[Block]:
    return [block for part in parts if (block := _block(part, writer, in_answer)) is not None]


def _block(part: Part, writer: MessagesWriter, in_answer: bool) -> Block | None:
    match part:
        case Text():
            _lose_seal(part.seal, writer)
            return _text(part) if part.text.strip() else None
        case Refusal():
            return {"type": "text", "text": part.text} if part.text.strip() else None
        case Media():
            _lose_seal(part.seal, writer)
            return _media(part, writer, in_answer)
        case ToolCall():
            _lose_seal(part.seal, writer)
            return _call(part, writer)
        case ToolResult():
            return _result(part, writer)
        case Thinking():
            if part.seal is not None and part.seal.origin in writer.target.seals:
                return write_thinking(part)
            writer.lose(LossKind.FOREIGN_SEAL, "messages.thinking")
        case Opaque(origin="messages"):
            return part.raw
        case Opaque():
            writer.lose(LossKind.PART, f"messages.content.{part.kind}")
    return None


def _lose_seal(seal: Seal | None, writer: MessagesWriter) -> None:
    """The seal of a text, a picture or a call: Anthropic's format has no place for one."""
    if seal is not None:
        writer.lose(LossKind.FOREIGN_SEAL, "messages.content")


def _text(part: Text) -> Block:
    """A text. One of white space alone is refused by the API, and is not written."""
    cited = [wire for each in part.citations if (wire := write_citation(each)) is not None]
    return {"type": "text", "text": part.text, **({"citations": cited} if cited else {}), **write_cache(part.cache)}


def _call(part: ToolCall, writer: MessagesWriter) -> Block:
    return {
        "type": "tool_use",
        "id": clean_id(part.id),
        "name": part.name,
        "input": arguments_object(part),
        **(part.extra if writer.is_own else {}),
        **write_cache(part.cache),
    }


def _result(part: ToolResult, writer: MessagesWriter) -> Block:
    wire: dict[str, Any] = {"type": "tool_result", "tool_use_id": clean_id(part.call_id)}
    blocks = _blocks(part.parts, writer)
    if blocks:
        wire["content"] = plain(blocks)
    if part.is_error:
        wire["is_error"] = True
    return wire | write_cache(part.cache)


_IMAGES = {"image/jpg": "image/jpeg", **{name: name for name in ("image/jpeg", "image/png", "image/gif", "image/webp")}}
_TEXTS = re.compile(r"text/|application/(json|xml|yaml|x-yaml|javascript|x-ndjson)\b")
"""Files that are texts, though they were given as base64: documents in Anthropic's format are PDF or text."""
_WEB = re.compile(r"https?://", re.IGNORECASE)


def _media(part: Media, writer: MessagesWriter, in_answer: bool) -> Block | None:
    """A picture or a document. What a model made cannot be its history here."""
    source = _source(part) if part.kind in ("image", "file") else None
    if in_answer and source is not None:
        writer.lose(LossKind.PART, f"messages.content.{part.kind}")
        return None
    if source is None:
        writer.lose(LossKind.MEDIA, f"messages.content.{part.kind}")
        return None
    if part.detail not in (None, "auto"):
        writer.lose(LossKind.HINT, "messages.content.detail")
    wire: dict[str, Any] = {"type": "image" if part.kind == "image" else "document", "source": source}
    if part.kind == "file":
        described = (("title", part.title or part.filename), ("context", part.context))
        wire |= {name: value for name, value in described if value is not None}
        if part.wants_citations:
            wire["citations"] = {"enabled": True}
    if writer.is_own:
        wire |= part.extra
    return wire | write_cache(part.cache)


def _source(part: Media) -> dict[str, Any] | None:
    """Where the bytes are; None for what the API does not take."""
    if part.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if part.url is not None:
        return {"type": "url", "url": part.url} if _WEB.match(part.url) else None
    if part.data is None:
        return None
    if part.kind == "image":
        kind = _IMAGES.get((part.media_type or "image/png").lower())
        return {"type": "base64", "media_type": kind, "data": part.data} if kind is not None else None
    kind = (part.media_type or "application/pdf").lower()
    if kind == "application/pdf":
        return {"type": "base64", "media_type": kind, "data": part.data}
    return _text_source(part.data) if _TEXTS.match(kind) else None


def _text_source(data: str) -> dict[str, Any] | None:
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return {"type": "text", "media_type": "text/plain", "data": text}
