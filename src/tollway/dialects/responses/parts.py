"""Content parts of the Responses API, read into the middle form and written from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.generation.answer import TokenProbability
from tollway.dialects.generation.request import (
    CacheHint,
    Citation,
    Media,
    Opaque,
    Part,
    Refusal,
    Text,
    split_data_url,
)
from tollway.dialects.responses.wire import AudioWire, LogProbWire, PartWire, read_part, read_typed

CONTENT = "part."
"""Begins the kind of an opaque content part, to tell it from an opaque item."""


def read_content(raw: msgspec.Raw | None, path: str) -> list[Part]:
    """`content` of a message or `output` of a tool's result: a text or a list of parts."""
    if raw is None:
        return []
    try:
        value: str | list[msgspec.Raw] = msgspec.json.decode(raw, type=str | list[msgspec.Raw])
    except msgspec.DecodeError:
        raise InvalidRequest(f"'{path}' must be a string or a list of parts.", param="input") from None
    if isinstance(value, str):
        return [Text(text=value)] if value else []
    return [_read_part(part, f"{path}[{number}]") for number, part in enumerate(value)]


def _read_part(raw: msgspec.Raw, path: str) -> Part:
    try:
        return content_part(raw)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"'{path}' is not a content part with a known shape: {error}", param="input") from None


def content_part(raw: msgspec.Raw) -> Part:
    """One part. Raises `msgspec.DecodeError` where a part of a known type is not what it should be."""
    kind = read_typed(raw).type or ""
    reader = _READERS.get(kind)
    if reader is None:
        return Opaque(origin="responses", kind=f"{CONTENT}{kind or 'unknown'}", raw=raw)
    wire = read_part(raw)
    part = reader(wire)
    if wire.prompt_cache_breakpoint is not None and isinstance(part, Text | Media):
        part.cache = CacheHint("1h" if wire.prompt_cache_breakpoint.ttl == "12h" else None)
    return part


def _text(wire: PartWire) -> Part:
    return Text(text=wire.text or "", citations=tuple(citation(raw) for raw in wire.annotations or ()))


def _image(wire: PartWire) -> Part:
    media = _media("image", wire.image_url, wire)
    media.detail = wire.detail
    return media


def _file(wire: PartWire) -> Part:
    if wire.file_data is None:
        return _media("file", wire.file_url, wire)
    media = _media("file", wire.file_data, wire)
    if media.url is not None:  # bare base64, which the API takes too
        media.data, media.url = media.url, None
        media.media_type = "application/pdf"
    return media


def _media(kind: Any, url: str | None, wire: PartWire) -> Media:
    split = split_data_url(url) if url is not None else None
    if split is not None:
        return Media(kind=kind, media_type=split[0], data=split[1], filename=wire.filename)
    file_id = wire.file_id if url is None else None
    return Media(kind=kind, url=url, file_id=file_id, filename=wire.filename)


def _audio(wire: PartWire) -> Part:
    audio = wire.input_audio or AudioWire("")
    return Media(kind="audio", media_type=_AUDIO_TYPES.get(audio.format, f"audio/{audio.format}"), data=audio.data)


_AUDIO_TYPES = {"mp3": "audio/mpeg"}

_READERS: dict[str, Callable[[PartWire], Part]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
    "refusal": lambda wire: Refusal(text=wire.refusal or ""),
}


class _Annotation(msgspec.Struct, gc=False):
    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


_decode_annotation = msgspec.json.Decoder(_Annotation, strict=False).decode


def citation(raw: msgspec.Raw) -> Citation:
    """An annotation: of a page of the web with its address, of a file as it is."""
    wire = _decode_annotation(raw)
    return Citation(
        url=wire.url, title=wire.title, start=wire.start_index, end=wire.end_index, origin="responses", raw=raw
    )


def render_citation(citation: Citation) -> dict[str, Any] | msgspec.Raw | None:
    """An annotation; None for a citation that is not of a page of the web."""
    if citation.origin == "responses":
        return citation.raw
    if citation.url is None:
        return None
    return {
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title or "",
        "start_index": citation.start or 0,
        "end_index": citation.end or 0,
    }


def probabilities(wires: Sequence[LogProbWire] | None) -> list[TokenProbability] | None:
    """`logprobs` of a text; None where there are none."""
    return [_probability(wire) for wire in wires] if wires else None


def _probability(wire: LogProbWire) -> TokenProbability:
    return TokenProbability(
        token=wire.token,
        logprob=wire.logprob,
        bytes=tuple(wire.bytes) if wire.bytes is not None else None,
        top=tuple(_probability(other) for other in wire.top_logprobs or ()),
    )


def render_probabilities(tokens: Sequence[TokenProbability]) -> list[dict[str, Any]]:
    """`logprobs` of a text. The official types want the bytes of a token."""
    return [{**_render_token(token), "top_logprobs": [_render_token(other) for other in token.top]} for token in tokens]


def _render_token(token: TokenProbability) -> dict[str, Any]:
    bytes_ = token.bytes if token.bytes is not None else tuple(token.token.encode())
    return {"token": token.token, "logprob": token.logprob, "bytes": list(bytes_)}


def render_media(part: Media) -> dict[str, Any] | None:
    """A part of a user's message; None for what the Responses API does not take."""
    if part.text is not None:
        return {"type": "input_text", "text": f"{part.title}\n\n{part.text}" if part.title else part.text}
    writer = _WRITERS.get(part.kind)
    return writer(part) if writer is not None else None


def _write_image(part: Media) -> dict[str, Any]:
    detail = part.detail or "auto"
    if part.file_id is not None:
        return {"type": "input_image", "file_id": part.file_id, "detail": detail}
    return {"type": "input_image", "image_url": _url(part, "image/png"), "detail": detail}


def _write_file(part: Media) -> dict[str, Any]:
    if part.file_id is not None:
        return {"type": "input_file", "file_id": part.file_id}
    if part.url is not None:
        return {"type": "input_file", "file_url": part.url}
    name = part.filename or part.title or "document.pdf"
    return {"type": "input_file", "filename": name, "file_data": _url(part, "application/pdf")}


def _write_audio(part: Media) -> dict[str, Any] | None:
    if part.data is None:
        return None
    form = (part.media_type or "audio/wav").removeprefix("audio/").removeprefix("x-")
    audio = {"data": part.data, "format": "mp3" if form == "mpeg" else form}
    return {"type": "input_audio", "input_audio": audio}


_WRITERS: dict[str, Callable[[Media], dict[str, Any] | None]] = {
    "image": _write_image,
    "file": _write_file,
    "audio": _write_audio,
}


def _url(part: Media, media_type: str) -> str | None:
    return part.url if part.data is None else f"data:{part.media_type or media_type};base64,{part.data}"
