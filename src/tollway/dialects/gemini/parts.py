"""The parts of a turn, read into the middle form and written from it.

A part holds one thing and, beside it, what is said about that thing: a signature, which part of a film to look at. What
the middle form has no field for follows the part as an `Opaque` whose kind begins with `part.`, and is put back into
the part before it when it is written for Gemini.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tollway.dialects.body import Fields
from tollway.dialects.gemini.fields import fields_of, invalid, list_of, text_in, typed
from tollway.dialects.gemini.signature import read_signature, write_signature
from tollway.dialects.generation.request import (
    Json,
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

ABOUT = "part."
"""How the kind of an `Opaque` begins that belongs to the part before it."""

_encode = msgspec.json.Encoder().encode
_TRUE = Json(b"true")
_RESPONSE_KEYS = ("result", "output")
"""A response that is nothing but a text under one of these is that text."""


def media_kind(media_type: str | None) -> MediaKind:
    """What kind of thing a MIME type is."""
    family = (media_type or "").partition("/")[0]
    return family if family in ("image", "audio", "video") else "file"  # type: ignore[return-value]  # checked


def read_part(raw: Json, path: str, call_id: Callable[[], str]) -> list[Part]:
    """A part, and what is said about it. `call_id` makes an id for a call that has none.

    Results of functions that do not say which call they answer have an empty `call_id`.
    """
    fields = fields_of(raw, path)
    signature = text_in(fields, "thoughtSignature", path)
    seal = read_signature(signature) if signature else None
    kind = next((name for name in _READERS if name in fields), None)
    if kind is None:
        return _unknown(fields, seal, raw)
    part = _READERS[kind](fields, path, seal, call_id)
    about = {name: value for name, value in fields.items() if name not in _KNOWN and name != kind}
    if not about:
        return [part]
    return [part, Opaque(origin="gemini", kind=ABOUT + next(iter(about)), raw=Json(_encode(about)))]


_KNOWN = frozenset({"thought", "thoughtSignature"})


def _unknown(fields: Fields, seal: Seal | None, raw: Json) -> list[Part]:
    others = [name for name in fields if name not in _KNOWN]
    if others:
        return [Opaque(origin="gemini", kind=others[0], raw=raw)]
    if seal is None:
        return []
    if fields.get("thought") == _TRUE:
        return [Thinking(seal=seal, is_redacted=True)]
    return [Text(text="", seal=seal)]


def _text(fields: Fields, path: str, seal: Seal | None, call_id: Callable[[], str]) -> Part:
    text: str = typed(fields["text"], f"{path}.text", str, "a string")
    if fields.get("thought") == _TRUE:
        return Thinking(text=text, seal=seal)
    return Text(text=text, seal=seal)


def _inline_data(fields: Fields, path: str, seal: Seal | None, call_id: Callable[[], str]) -> Part:
    blob = fields_of(fields["inlineData"], f"{path}.inlineData")
    media_type = text_in(blob, "mimeType", path)
    data = text_in(blob, "data", path)
    if data is None:
        raise invalid(f"{path}.inlineData", "an object with mimeType and data, the data in base64")
    name = text_in(blob, "displayName", path)
    return Media(kind=media_kind(media_type), media_type=media_type, data=data, filename=name, seal=seal)


def _file_data(fields: Fields, path: str, seal: Seal | None, call_id: Callable[[], str]) -> Part:
    file = fields_of(fields["fileData"], f"{path}.fileData")
    media_type = text_in(file, "mimeType", path)
    url = text_in(file, "fileUri", path)
    if url is None:
        raise invalid(f"{path}.fileData", "an object with a fileUri")
    name = text_in(file, "displayName", path)
    return Media(kind=media_kind(media_type), media_type=media_type, url=url, filename=name, seal=seal)


def _function_call(fields: Fields, path: str, seal: Seal | None, call_id: Callable[[], str]) -> Part:
    call = fields_of(fields["functionCall"], f"{path}.functionCall")
    name = text_in(call, "name", f"{path}.functionCall")
    if not name:
        raise invalid(f"{path}.functionCall", "an object with the name of a function")
    arguments = call.get("args", Json(b"{}"))
    return ToolCall(
        id=text_in(call, "id", path) or call_id(), name=name, arguments=bytes(arguments).decode(), seal=seal
    )


def _function_response(fields: Fields, path: str, seal: Seal | None, call_id: Callable[[], str]) -> Part:
    wire = fields_of(fields["functionResponse"], f"{path}.functionResponse")
    name = text_in(wire, "name", f"{path}.functionResponse")
    text, is_error = read_response(wire.get("response", Json(b"{}")), f"{path}.functionResponse.response")
    parts: list[Part] = [Text(text=text)]
    for number, raw in enumerate(list_of(wire.get("parts"), f"{path}.functionResponse.parts")):
        parts += read_part(raw, f"{path}.functionResponse.parts[{number}]", call_id)
    return ToolResult(call_id=text_in(wire, "id", path) or "", name=name, parts=parts, is_error=is_error)


_READERS: dict[str, Callable[[Fields, str, Seal | None, Callable[[], str]], Part]] = {
    "text": _text,
    "functionCall": _function_call,
    "functionResponse": _function_response,
    "inlineData": _inline_data,
    "fileData": _file_data,
}


def read_response(raw: Json, path: str) -> tuple[str, bool]:
    """A function's response as text, and whether it is an error."""
    try:
        fields = msgspec.json.decode(raw, type=dict[str, Json])
    except msgspec.DecodeError:
        raise invalid(path, "an object") from None
    if len(fields) == 1:
        name, value = next(iter(fields.items()))
        if name == "error" or name in _RESPONSE_KEYS:
            is_text = memoryview(value)[0] == 0x22
            text = msgspec.json.decode(value, type=str) if is_text else bytes(value).decode()
            if is_text or name == "error":
                return text, name == "error"
    return bytes(raw).decode(), False


def as_object(text: str) -> Json | None:
    """A text that is a JSON object; None if it is anything else."""
    if text[:1] != "{" and not text.lstrip().startswith("{"):
        return None
    try:
        msgspec.json.decode(text, type=dict[str, Json])
    except msgspec.DecodeError:
        return None
    return Json(text.encode())


def write_response(text: str, *, is_error: bool) -> Any:
    """A tool's result as the object that Gemini wants."""
    found = as_object(text)
    if is_error:
        return {"error": found or text}
    return found or {"result": text}


def arguments_of(call: ToolCall) -> Any:
    """The arguments of a call as the object that Gemini wants; free text as the function's one input."""
    if call.is_custom:
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    return as_object(call.arguments) or {"input": call.arguments}


def signed(wire: dict[str, Any], seal: Seal | None) -> dict[str, Any]:
    """A part with its signature."""
    if seal is not None:
        wire["thoughtSignature"] = write_signature(seal)
    return wire


def thought_part(part: Thinking) -> dict[str, Any]:
    """A thought. One that is only a seal has no text."""
    wire: dict[str, Any] = {"thought": True} if part.is_redacted and not part.text else {"text": part.text}
    wire["thought"] = True
    return signed(wire, part.seal)


def call_part(call: ToolCall, call_id: str | None) -> dict[str, Any]:
    """A call of a function; `call_id` None: it is told by its place."""
    function: dict[str, Any] = {"id": call_id} if call_id else {}
    function |= {"name": call.name, "args": arguments_of(call)}
    return signed({"functionCall": function}, call.seal)


def media_part(part: Media) -> dict[str, Any] | None:
    """A medium that is given as bytes or by its address; None for any other."""
    named = {"displayName": part.filename} if part.filename is not None else {}
    if part.data is not None:
        media_type = part.media_type or _TYPES[part.kind]
        return signed({"inlineData": {"mimeType": media_type, "data": part.data, **named}}, part.seal)
    if part.url is not None:
        typed_as = {"mimeType": part.media_type} if part.media_type is not None else {}
        return signed({"fileData": {**typed_as, "fileUri": part.url, **named}}, part.seal)
    return None


_TYPES: dict[MediaKind, str] = {
    "image": "image/png", "audio": "audio/wav", "video": "video/mp4", "file": "application/pdf"
}  # fmt: skip


def answer_part(part: Part, response_id: str) -> Json | dict[str, Any] | None:
    """A part of an answer; None for what only another dialect knows."""
    match part:
        case Text():
            return signed({"text": part.text}, part.seal)
        case Refusal():
            return {"text": part.text}
        case Thinking():
            return thought_part(part)
        case ToolCall():
            return call_part(part, None if is_made_up(part.id, response_id) else part.id)
        case Media():
            return media_part(part)
        case Opaque(origin="gemini"):
            return part.raw
    return None


def made_up_id(turn: str, number: int) -> str:
    """The id of a call that Gemini gave none: the same whenever the same turn is read."""
    return f"call_{turn}_{number}"


def is_made_up(call_id: str, turn: str = "") -> bool:
    """Whether Gemini does not know the id."""
    head, _, number = call_id.rpartition("_")
    return number.isdigit() and (head == f"call_{turn}" if turn else head[5:].isdigit() and head[:5] == "call_")
