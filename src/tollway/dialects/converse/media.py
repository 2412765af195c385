"""Images, documents, sounds and films as Converse takes them: a format by name, and bytes or a place in S3."""

from __future__ import annotations

import re
from typing import Any

from tollway.dialects.generation.request import Media, MediaKind

_FORMATS: dict[MediaKind, dict[str, str]] = {
    "image": {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"},
    "file": {
        "application/pdf": "pdf",
        "text/csv": "csv",
        "application/msword": "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "text/html": "html",
        "text/plain": "txt",
        "text/markdown": "md",
    },
    "video": {
        "video/x-matroska": "mkv",
        "video/quicktime": "mov",
        "video/mp4": "mp4",
        "video/webm": "webm",
        "video/x-flv": "flv",
        "video/mpeg": "mpeg",
        "video/mpg": "mpg",
        "video/x-ms-wmv": "wmv",
        "video/3gpp": "three_gp",
    },
    "audio": {
        "audio/mpeg": "mp3",
        "audio/mp3": "mp3",
        "audio/opus": "opus",
        "audio/wav": "wav",
        "audio/x-wav": "wav",
        "audio/aac": "aac",
        "audio/flac": "flac",
        "audio/mp4": "m4a",
        "audio/ogg": "ogg",
        "audio/pcm": "pcm",
        "audio/webm": "webm",
    },
}
_DEFAULTS: dict[MediaKind, str] = {"image": "png", "file": "pdf", "video": "mp4", "audio": "mp3"}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9\-()\[\]]+")
"""https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html"""
_LONGEST_NAME = 190


def write_media(part: Media, names: set[str]) -> dict[str, Any] | None:
    """The block for a part; None for what is elsewhere than S3, in a file store, or of an unknown format.

    `names` are the documents' names so far: no two may be alike.
    """
    source = _source(part)
    kind = _format(part)
    if source is None or kind is None:
        return None
    if part.kind != "file":
        return {part.kind: {"format": kind, "source": source}}
    document: dict[str, Any] = {"format": kind, "name": _name(part, names), "source": source}
    if part.context is not None:
        document["context"] = part.context
    if part.wants_citations:
        document["citations"] = {"enabled": True}
    return {"document": document}


def _source(part: Media) -> dict[str, Any] | None:
    if part.data is not None:
        return {"bytes": part.data}
    if part.text is not None and part.kind == "file":
        return {"text": part.text}
    if part.url is not None and part.url.startswith("s3://"):
        return {"s3Location": {"uri": part.url}}
    return None


def _format(part: Media) -> str | None:
    """The format; the usual one where nothing is said, None where something unknown is."""
    known = _FORMATS[part.kind]
    if part.text is not None:
        return "txt"
    if part.media_type is not None and part.media_type != "application/octet-stream":
        return known.get(part.media_type.partition(";")[0].strip().lower())
    ending = (part.filename or part.url or "").rpartition(".")[2].lower()
    return ending if ending in known.values() else _DEFAULTS[part.kind]


def _name(part: Media, names: set[str]) -> str:
    given = part.title or (part.filename or "").rpartition(".")[0] or part.filename or "document"
    name = _NOT_IN_NAMES.sub(" ", given).strip()[:_LONGEST_NAME] or "document"
    unique, number = name, 1
    while unique in names:
        number += 1
        unique = f"{name} {number}"
    names.add(unique)
    return unique
