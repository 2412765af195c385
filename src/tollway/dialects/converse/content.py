"""Messages and their parts as Converse's turns and content blocks."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

import msgspec

from tollway.dialects.converse.media import write_media
from tollway.dialects.converse.models import family_of, takes_cache_points
from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.functions import arguments_object
from tollway.dialects.generation.losses import LossKind
from tollway.dialects.generation.request import (
    CacheHint,
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
)
from tollway.dialects.generation.writer import Writer

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_.:-]")
_LONGEST_ID = 64
_OPENING = {"text": "(continue)"}
"""Models want a user's turn first."""

Block = dict[str, Any]


class ConverseWriter(Writer):
    """Collects the losses of one request."""

    def __init__(self, request: Request, target: Target) -> None:
        super().__init__(request, target)
        self.family = family_of(target.model)
        self.documents: set[str] = set()

    def cache_points(self, hint: CacheHint | None, field: str) -> list[Block]:
        """The mark that everything before it may be kept; none where nobody asked, or nobody would understand."""
        if hint is None:
            return []
        if not takes_cache_points(self.family) or (self.family == "nova" and field == "tools"):
            self.lose(LossKind.CACHE_HINT, field)
            return []
        is_long = hint.ttl == "1h" and self.family == "claude"
        return [{"cachePoint": {"type": "default", **({"ttl": "1h"} if is_long else {})}}]


def write_turns(messages: list[Message], writer: ConverseWriter) -> list[Block]:
    """Turns alternate: neighbours of one role become one, later instructions are the user's words."""
    turns: list[Block] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        parts = message.parts
        if message.name is not None:
            writer.lose(LossKind.HINT, "messages.name")
        if role == "user":
            parts = sorted(parts, key=lambda part: not isinstance(part, ToolResult))  # results come first
        blocks = write_blocks(parts, writer, "messages")
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if turns and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [_OPENING]})
    if turns:
        turns[-1]["content"] += writer.cache_points(writer.request.cache, "cache_control")
    return turns


def write_blocks(parts: list[Part], writer: ConverseWriter, field: str) -> list[Block]:
    """Content blocks, with the cache points between them. System prompts hold nothing but texts."""
    blocks: list[Block] = []
    for part in parts:
        block = _system(part, writer) if field == "system" else _block(part, writer)
        if block is None:
            continue
        blocks.append(block)
        if isinstance(part, Text | Media | ToolCall | ToolResult):
            blocks += writer.cache_points(part.cache, f"{field}.cache_control")
    return blocks


def _system(part: Part, writer: ConverseWriter) -> Block | None:
    if isinstance(part, Text):
        return _text(part.text)
    writer.lose(LossKind.MEDIA if isinstance(part, Media) else LossKind.PART, "system")
    return None


def _text(text: str) -> Block | None:
    """A blank text is refused by the API."""
    return {"text": text} if text.strip() else None


def _block(part: Part, writer: ConverseWriter) -> Block | None:
    if isinstance(part, Text | Media | ToolCall) and part.seal is not None:
        writer.lose(LossKind.FOREIGN_SEAL, "messages.content")
    match part:
        case Text():
            if part.citations:
                writer.lose(LossKind.PART, "messages.content.citations")
            return _text(part.text)
        case Refusal():
            return _text(part.text)
        case Media():
            block = write_media(part, writer.documents)
            if block is None:
                writer.lose(LossKind.MEDIA, f"messages.content.{part.kind}")
            elif part.detail not in (None, "auto"):
                writer.lose(LossKind.HINT, "messages.content.detail")
            return block
        case ToolCall():
            return {"toolUse": {"toolUseId": clean_id(part.id), "name": part.name, "input": arguments_object(part)}}
        case ToolResult():
            return _result(part, writer)
        case Thinking():
            return _thinking(part, writer)
        case Opaque(origin="converse"):
            return msgspec.json.decode(part.raw, type=dict[str, Any])
        case Opaque():
            writer.lose(LossKind.PART, f"messages.content.{part.kind}")
    return None


def _result(part: ToolResult, writer: ConverseWriter) -> Block:
    content = []
    for piece in part.parts:
        block = _block(piece, writer) if isinstance(piece, Text | Media | Opaque) else None
        if block is not None:
            content.append(block)
    wire: Block = {"toolUseId": clean_id(part.call_id), "content": content}
    if part.is_error:
        wire["status"] = "error"
    return {"toolResult": wire}


def _thinking(part: Thinking, writer: ConverseWriter) -> Block | None:
    """Thoughts go back only with their seal: Claude insists on it, others refuse to read what they thought."""
    seal = part.seal
    if seal is None or seal.origin not in writer.target.seals:
        writer.lose(LossKind.FOREIGN_SEAL, "messages.thinking")
        return None
    if part.is_redacted:
        return {"reasoningContent": {"redactedContent": seal.data}}
    return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": seal.data}}}


def clean_id(id_: str) -> str:
    """An id in the characters and the length that Bedrock takes; the same for a call and its result."""
    clean = _NOT_IN_IDS.sub("_", id_) or "_"
    if len(clean) <= _LONGEST_ID:
        return clean
    return f"{clean[:40]}_{blake2b(id_.encode(), digest_size=8).hexdigest()}"
