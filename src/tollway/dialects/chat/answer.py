"""Whole chat answers, read into the middle form and written from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.usage import NO_USAGE
from tollway.dialects.chat.messages import thinking_parts, tool_call
from tollway.dialects.chat.render import thinking_block
from tollway.dialects.chat.wire import AnswerWire, ChoiceWire, LogProbsWire, LogProbWire, MessageWire, usage_to_wire
from tollway.dialects.generation.answer import Answer, Choice, StopReason, TokenProbability
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import (
    Citation,
    Media,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    split_data_url,
)
from tollway.dialects.generation.seals import write_seal
from tollway.dialects.openai.wire import usage_from_wire

STOP_REASONS: dict[str, StopReason] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filter",
    # Vendors that answer in chat with words of their own.
    "eos": "end",
    "end_turn": "end",
    "max_tokens": "length",
    "model_length": "length",
    "tool_use": "tool_use",
    "stop_sequence": "stop_sequence",
}
FINISH_REASONS: dict[StopReason, str] = {
    "end": "stop",
    "length": "length",
    "tool_use": "tool_calls",
    "stop_sequence": "stop",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "context": "length",
}

_decode = msgspec.json.Decoder(AnswerWire, strict=False).decode
_encode = msgspec.json.Encoder().encode


def stop_reason(finish_reason: str | None, *, has_calls: bool) -> StopReason:
    """Why a choice stopped. Some servers say `stop` after tool calls."""
    reason = STOP_REASONS.get(finish_reason or "stop", "end")
    return "tool_use" if has_calls and reason == "end" else reason


def parse_answer(body: bytes) -> Answer:
    """Raises `msgspec.DecodeError` if it is not a chat answer."""
    wire = _decode(body)
    return Answer(
        origin="chat",
        id=wire.id or "",
        model=wire.model or "",
        created=int(wire.created or 0),
        choices=[_choice(choice) for choice in wire.choices],
        usage=usage_from_wire(wire.usage, wire.service_tier) if wire.usage is not None else NO_USAGE,
        service_tier=wire.service_tier,
    )


def _choice(wire: ChoiceWire) -> Choice:
    message = wire.message or MessageWire()
    parts = _parts(message)
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    return Choice(
        index=wire.index,
        parts=parts,
        stop=stop_reason(wire.finish_reason, has_calls=has_calls),
        logprobs=probabilities(wire.logprobs),
    )


def _parts(message: MessageWire) -> list[Part]:
    parts: list[Part] = list(thinking_parts(message))
    text, thoughts = _content(message.content)
    if thoughts and not parts:
        parts.append(Thinking(text=thoughts))
    if text:
        parts.append(Text(text=text, citations=citations(message.annotations)))
    if message.refusal:
        parts.append(Refusal(text=message.refusal))
    parts += images(message.images)
    parts += [tool_call(call, f"call_{number}") for number, call in enumerate(message.tool_calls or ())]
    if message.function_call is not None:
        name = message.function_call.name or ""
        parts.append(ToolCall(id=f"call_{name}", name=name, arguments=message.function_call.arguments or ""))
    return parts


def _content(raw: msgspec.Raw) -> tuple[str, str]:
    """Text and thoughts: most send a string, some (Mistral) a list of parts."""
    value = msgspec.json.decode(raw)
    return text_and_thoughts(value)


def text_and_thoughts(value: Any) -> tuple[str, str]:
    """Content as text, and what of it is thoughts: a string, or parts of the types `text` and `thinking` (Mistral)."""
    if isinstance(value, str):
        return value, ""
    texts: list[str] = []
    thoughts: list[str] = []
    for part in value if isinstance(value, list) else ():
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif part.get("type") == "thinking":
            thoughts.append(text_and_thoughts(part.get("thinking"))[0])
    return "".join(texts), "".join(thoughts)


def citations(annotations: list[dict[str, Any]] | None) -> tuple[Citation, ...]:
    """`url_citation` annotations; others as they are."""
    return tuple(citation(annotation) for annotation in annotations or ())


def citation(annotation: dict[str, Any]) -> Citation:
    """One annotation."""
    wire = annotation.get("url_citation")
    wire = wire if isinstance(wire, dict) else {}
    return Citation(
        url=wire.get("url"),
        title=wire.get("title"),
        start=wire.get("start_index"),
        end=wire.get("end_index"),
        origin="chat",
        raw=msgspec.Raw(_encode(annotation)),
    )


def images(wires: list[dict[str, Any]] | None) -> list[Part]:
    """Pictures that a model made, where OpenRouter and others put them."""
    found: list[Part] = []
    for wire in wires or ():
        image = wire.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        if isinstance(url, str):
            data = split_data_url(url)
            found.append(
                Media(kind="image", media_type=data[0], data=data[1]) if data else Media(kind="image", url=url)
            )
    return found


def probabilities(wire: LogProbsWire | None) -> list[TokenProbability] | None:
    """`logprobs` of a choice or an event."""
    if wire is None or (wire.content is None and wire.refusal is None):
        return None
    return [_probability(token) for token in (*(wire.content or ()), *(wire.refusal or ()))]


def _probability(wire: LogProbWire) -> TokenProbability:
    return TokenProbability(
        token=wire.token,
        logprob=wire.logprob,
        bytes=tuple(wire.bytes) if wire.bytes is not None else None,
        top=tuple(_probability(token) for token in wire.top_logprobs),
    )


def render_answer(answer: Answer, options: StreamOptions) -> bytes:
    """A whole chat answer."""
    body: dict[str, Any] = {
        "id": answer.id or f"chatcmpl-{options.call_id}",
        "object": "chat.completion",
        "created": answer.created or options.created,
        "model": options.model,
        "choices": [_render_choice(choice) for choice in answer.choices],
        "usage": usage_to_wire(answer.usage),
    }
    if answer.service_tier is not None:
        body["service_tier"] = answer.service_tier
    return _encode(body)


def _render_choice(choice: Choice) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "index": choice.index,
        "message": _message(choice.parts),
        "finish_reason": FINISH_REASONS[choice.stop],
    }
    if choice.logprobs is not None:
        wire["logprobs"] = {"content": render_probabilities(choice.logprobs), "refusal": None}
    return wire


def _message(parts: list[Part]) -> dict[str, Any]:
    texts = [part for part in parts if isinstance(part, Text)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    thoughts = [part for part in parts if isinstance(part, Thinking)]
    calls = [render_call(part) for part in parts if isinstance(part, ToolCall)]
    pictures = [part for part in parts if isinstance(part, Media)]
    text = "".join(part.text for part in texts)
    message: dict[str, Any] = {"role": "assistant", "content": text if texts or not (calls or refusals) else None}
    if refusals:
        message["refusal"] = "".join(refusals)
    if thoughts:
        message["reasoning_content"] = "".join(thought.text for thought in thoughts)
        if any(thought.seal is not None for thought in thoughts):
            message["thinking_blocks"] = [thinking_block(thought) for thought in thoughts]
    found = [citation for part in texts for citation in part.citations]
    if found:
        message["annotations"] = [annotation for each in found if (annotation := render_citation(each)) is not None]
    if pictures:
        message["images"] = [render_image(picture, index) for index, picture in enumerate(pictures)]
    if calls:
        message["tool_calls"] = calls
    return message


def render_call(call: ToolCall) -> dict[str, Any]:
    """A whole tool call."""
    if call.is_custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    wire: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }
    if call.seal is not None:
        signature = write_seal(call.seal, "gemini")
        wire["extra_content"] = {"google": {"thought_signature": signature}}
        wire["provider_specific_fields"] = {"thought_signature": signature}
    return wire


def render_citation(citation: Citation) -> dict[str, Any] | msgspec.Raw | None:
    """An annotation; None for a citation that is not of a page of the web."""
    if citation.origin == "chat":
        return citation.raw
    if citation.url is None:
        return None
    wire = {
        "url": citation.url,
        "title": citation.title or "",
        "start_index": citation.start or 0,
        "end_index": citation.end or 0,
    }
    return {"type": "url_citation", "url_citation": wire}


def render_image(picture: Media, index: int) -> dict[str, Any]:
    """A picture that the model made."""
    url = picture.url or f"data:{picture.media_type or 'image/png'};base64,{picture.data}"
    return {"type": "image_url", "index": index, "image_url": {"url": url}}


def render_probabilities(tokens: Sequence[TokenProbability]) -> list[dict[str, Any]]:
    """`logprobs.content`."""
    return [
        {
            "token": token.token,
            "logprob": token.logprob,
            "bytes": list(token.bytes) if token.bytes is not None else None,
            "top_logprobs": [
                {
                    "token": other.token,
                    "logprob": other.logprob,
                    "bytes": list(other.bytes) if other.bytes is not None else None,
                }
                for other in token.top
            ],
        }
        for token in tokens
    ]
