"""Messages of a chat request and their parts, read into the middle form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields
from tollway.dialects.chat.fields import NULL, cache_hint, text_of, typed
from tollway.dialects.chat.wire import FunctionWire, MessageWire, ToolCallWire
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
    split_data_url,
)
from tollway.dialects.generation.seals import read_seal


def read_messages(fields: Fields) -> list[Message]:
    """The messages; results of tools that follow each other become one turn of the user."""
    wires: list[MessageWire] = typed(
        fields["messages"], "messages", list[MessageWire], "a list of message objects, each with a role"
    )
    messages: list[Message] = []
    for number, wire in enumerate(wires):
        reader = _ROLES.get(wire.role)
        if reader is None:
            raise InvalidRequest(
                f"messages[{number}].role: '{wire.role}' is not one of {', '.join(_ROLES)}.", param="messages"
            )
        message = reader(wire, f"messages[{number}]")
        previous = messages[-1] if messages else None
        if wire.role in _RESULT_ROLES and previous is not None and wires[number - 1].role in _RESULT_ROLES:
            previous.parts += message.parts  # the results of one turn belong together
        else:
            messages.append(message)
    return messages


def _system(wire: MessageWire, path: str) -> Message:
    parts = _content(wire.content, path)
    return Message(role="system", parts=parts, name=wire.name, is_developer=wire.role == "developer")


def _user(wire: MessageWire, path: str) -> Message:
    parts = _content(wire.content, path)
    _hint_last(parts, wire.cache_control)
    return Message(role="user", parts=parts, name=wire.name)


def _assistant(wire: MessageWire, path: str) -> Message:
    parts: list[Part] = list(thinking_parts(wire))
    parts += _content(wire.content, path)
    if wire.refusal:
        parts.append(Refusal(text=wire.refusal))
    if wire.audio != NULL:
        parts.append(Opaque(origin="chat", kind="audio", raw=wire.audio))
    parts += [tool_call(call, f"call_{number}") for number, call in enumerate(wire.tool_calls or ())]
    if wire.function_call is not None:
        parts.append(
            ToolCall(
                id=f"call_{wire.function_call.name or ''}",
                name=wire.function_call.name or "",
                arguments=wire.function_call.arguments or "",
            )
        )
    _hint_last(parts, wire.cache_control)
    return Message(role="assistant", parts=parts, name=wire.name)


def _tool(wire: MessageWire, path: str) -> Message:
    if not wire.tool_call_id:
        raise InvalidRequest(f"{path}.tool_call_id: name the call that this result answers.", param="messages")
    parts = _content(wire.content, path)
    result = ToolResult(call_id=wire.tool_call_id, name=wire.name, parts=parts, cache=cache_hint(wire.cache_control))
    return Message(role="user", parts=[result])


def _function(wire: MessageWire, path: str) -> Message:
    name = wire.name or ""
    result = ToolResult(call_id=f"call_{name}", name=name, parts=_content(wire.content, path))
    return Message(role="user", parts=[result])


_ROLES: dict[str, Callable[[MessageWire, str], Message]] = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
    "function": _function,
}
_RESULT_ROLES = frozenset({"tool", "function"})


def thinking_parts(wire: MessageWire) -> list[Thinking]:
    """The thoughts of an assistant's message: `thinking_blocks` where there are any, else its reasoning text."""
    if wire.thinking_blocks:
        return [_thinking(block) for block in wire.thinking_blocks]
    text = wire.reasoning_content or wire.reasoning
    return [Thinking(text=text)] if text else []


def _thinking(block: dict[str, Any]) -> Thinking:
    if block.get("type") == "redacted_thinking":
        return Thinking(seal=read_seal(str(block.get("data") or ""), "anthropic"), is_redacted=True)
    signature = block.get("signature")
    seal = read_seal(signature, "anthropic") if isinstance(signature, str) and signature else None
    return Thinking(text=str(block.get("thinking") or ""), seal=seal)


def tool_call(call: ToolCallWire, otherwise: str) -> ToolCall:
    """A tool call; `otherwise` is its id where the vendor gave none."""
    if call.custom is not None:
        return ToolCall(
            id=call.id or otherwise, name=call.custom.name or "", arguments=call.custom.input or "", is_custom=True
        )
    function = call.function or FunctionWire()
    return ToolCall(
        id=call.id or otherwise,
        name=function.name or "",
        arguments=function.arguments_text(),
        seal=_call_seal(call),
        cache=cache_hint(call.cache_control),
    )


def _call_seal(call: ToolCallWire) -> Seal | None:
    """Gemini's thought signature: where Google's own endpoint puts it, or where existing gateways do."""
    google = (call.extra_content or {}).get("google")
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    signature = signature or (call.provider_specific_fields or {}).get("thought_signature")
    return read_seal(signature, "gemini") if isinstance(signature, str) and signature else None


def _content(raw: msgspec.Raw | None, path: str) -> list[Part]:
    if raw is None or raw == NULL:
        return []
    if memoryview(raw)[0] == 0x22:
        text: str = msgspec.json.decode(raw, type=str)
        return [Text(text=text)] if text else []
    wires: list[dict[str, msgspec.Raw]] = typed(
        raw, f"{path}.content", list[dict[str, msgspec.Raw]], "a string or a list of parts", param="messages"
    )
    return [_part(wire, f"{path}.content[{number}]") for number, wire in enumerate(wires)]


def _part(wire: dict[str, msgspec.Raw], path: str) -> Part:
    kind = text_of(wire.get("type"))
    reader = _PARTS.get(kind)
    if reader is None:
        return Opaque(origin="chat", kind=kind or "unknown", raw=msgspec.Raw(msgspec.json.encode(wire)))
    try:
        part = reader(wire)
    except (msgspec.DecodeError, KeyError):
        raise InvalidRequest(f"{path}: a part of the type '{kind}' needs '{kind}' in it.", param="messages") from None
    hint = cache_hint(wire.get("cache_control"))
    if hint is not None and isinstance(part, Text | Media):
        part.cache = hint
    return part


class _ImageUrl(msgspec.Struct, gc=False):
    url: str
    detail: str | None = None
    format: str | None = None


class _Audio(msgspec.Struct, gc=False):
    data: str
    format: str = "wav"


class _File(msgspec.Struct, gc=False):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    format: str | None = None


def _image(wire: dict[str, msgspec.Raw]) -> Part:
    image: _ImageUrl | str = msgspec.json.decode(wire["image_url"], type=_ImageUrl | str)
    if isinstance(image, str):
        image = _ImageUrl(image)
    return _media("image", image.url, image.format, detail=image.detail)


def _video(wire: dict[str, msgspec.Raw]) -> Part:
    video: _ImageUrl | str = msgspec.json.decode(wire["video_url"], type=_ImageUrl | str)
    if isinstance(video, str):
        video = _ImageUrl(video)
    return _media("video", video.url, video.format)


def _audio(wire: dict[str, msgspec.Raw]) -> Part:
    audio = msgspec.json.decode(wire["input_audio"], type=_Audio)
    return Media(kind="audio", media_type=_AUDIO_TYPES.get(audio.format, f"audio/{audio.format}"), data=audio.data)


_AUDIO_TYPES = {"mp3": "audio/mpeg"}


def _file(wire: dict[str, msgspec.Raw]) -> Part:
    file = msgspec.json.decode(wire["file"], type=_File)
    if file.file_data is not None:
        media = _media("file", file.file_data, file.format)
        if media.url is not None:  # bare base64, which OpenAI takes too
            media.data, media.url = media.url, None
            media.media_type = media.media_type or "application/pdf"
        media.filename = file.filename
        return media
    if file.file_id is not None and "://" in file.file_id:
        return Media(kind="file", url=file.file_id, media_type=file.format, filename=file.filename)
    return Media(kind="file", file_id=file.file_id, media_type=file.format, filename=file.filename)


def _media(kind: Any, url: str, media_type: str | None, *, detail: str | None = None) -> Media:
    parts = split_data_url(url)
    if parts is None:
        return Media(kind=kind, url=url, media_type=media_type, detail=detail)
    return Media(kind=kind, media_type=media_type or parts[0], data=parts[1], detail=detail)


_PARTS: dict[str, Callable[[dict[str, msgspec.Raw]], Part]] = {
    "text": lambda wire: Text(text=msgspec.json.decode(wire["text"], type=str)),
    "input_text": lambda wire: Text(text=msgspec.json.decode(wire["text"], type=str)),
    "refusal": lambda wire: Refusal(text=msgspec.json.decode(wire["refusal"], type=str)),
    "image_url": _image,
    "video_url": _video,
    "input_audio": _audio,
    "file": _file,
}


def _hint_last(parts: list[Part], raw: msgspec.Raw | None) -> None:
    """A hint on a whole message stands for its last part."""
    hint = cache_hint(raw)
    if hint is not None and parts and isinstance(parts[-1], Text | Media | ToolCall | ToolResult):
        parts[-1].cache = hint
