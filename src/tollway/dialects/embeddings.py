"""Embeddings of models that do not speak OpenAI's format: Amazon's Titan and Cohere's, as Bedrock serves them.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html and
…/model-parameters-embed.html, …/model-parameters-embed-v4.html (2026-11-26).
"""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.core.usage import Usage
from tollway.dialects.body import Fields
from tollway.dialects.identity import Reply

_MOST_TEXTS = 96
"""Of one call to Cohere's models."""
_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "user", "input_type", "truncate", "normalize"})

_encode = msgspec.json.Encoder().encode


class Asked(msgspec.Struct, frozen=True):
    """A request for embeddings, as far as it can be told."""

    texts: list[str]
    dimensions: int | None
    is_base64: bool
    rest: dict[str, msgspec.Raw]
    """Fields of the model's own."""


def parse(fields: Fields) -> Asked:
    """An OpenAI request. Raises `InvalidRequest` naming the field that is wrong."""
    given = _typed(fields, "input", str | list[str], "a text or a list of texts; these models take no tokens")
    texts = [given] if isinstance(given, str) else given
    if not texts:
        raise InvalidRequest("'input' must hold at least one text.", param="input")
    form = _typed(fields, "encoding_format", str | None, "'float' or 'base64'")
    if form not in (None, "float", "base64"):
        raise InvalidRequest("'encoding_format' must be 'float' or 'base64'.", param="encoding_format")
    own = ("input_type", "truncate", "normalize")
    return Asked(
        texts=texts,
        dimensions=_typed(fields, "dimensions", int | None, "an integer"),
        is_base64=form == "base64",
        rest={name: fields[name] for name in own if name in fields},
    )


def unsaid(fields: Fields) -> tuple[str, ...]:
    """What the caller said that no model is told."""
    return tuple(name for name in fields if name not in _KNOWN or name == "user")


def render(asked: Asked, model: str) -> dict[str, Any]:
    """The body for a model. Raises `InvalidRequest` for what it cannot do."""
    return _render_titan(asked, model) if "titan" in model else _render_cohere(asked, model)


def _render_titan(asked: Asked, model: str) -> dict[str, Any]:
    if len(asked.texts) != 1:
        raise InvalidRequest(
            f"{model} embeds one text per call, and 'input' has {len(asked.texts)}. Send them one by one.",
            param="input",
        )
    fields: dict[str, Any] = {"inputText": asked.texts[0]}
    if asked.dimensions is not None:
        if "embed-text-v2" not in model:
            raise _no_dimensions(model)
        fields["dimensions"] = asked.dimensions
    return fields | {name: raw for name, raw in asked.rest.items() if name == "normalize"}


def _render_cohere(asked: Asked, model: str) -> dict[str, Any]:
    if len(asked.texts) > _MOST_TEXTS:
        raise InvalidRequest(
            f"{model} embeds at most {_MOST_TEXTS} texts per call, and 'input' has {len(asked.texts)}.", param="input"
        )
    fields: dict[str, Any] = {"texts": asked.texts, "input_type": "search_document", "embedding_types": ["float"]}
    if asked.dimensions is not None:
        if "embed-v4" not in model:
            raise _no_dimensions(model)
        fields["output_dimension"] = asked.dimensions
    return fields | {name: raw for name, raw in asked.rest.items() if name != "normalize"}


def _no_dimensions(model: str) -> InvalidRequest:
    return InvalidRequest(
        f"litellm.UnsupportedParamsError: {model} has embeddings of one length, and does not support parameters: "
        "['dimensions']. Leave it out.",
        param="dimensions",
    )


_NONE = msgspec.Raw()


class _ByType(msgspec.Struct):
    float: list[msgspec.Raw] = []


class _Answer(msgspec.Struct):
    embedding: msgspec.Raw = _NONE
    """Titan's."""
    input_tokens: int | None = msgspec.field(name="inputTextTokenCount", default=None)
    embeddings: _ByType | list[msgspec.Raw] | None = None
    """Cohere's."""
    id: str = ""


_decode = msgspec.json.Decoder(_Answer, strict=False).decode


def read_reply(body: bytes, asked: Asked, public_model: str) -> Reply:
    """The answer in OpenAI's format. Raises `msgspec.DecodeError` if it is not one."""
    answer = _decode(body)
    vectors = answer.embeddings.float if isinstance(answer.embeddings, _ByType) else answer.embeddings or []
    if answer.embedding is not _NONE:
        vectors = [answer.embedding]
    if len(vectors) != len(asked.texts) or not all(bytes(vector).startswith(b"[") for vector in vectors):
        raise msgspec.ValidationError(f"{len(asked.texts)} texts were asked for, and {len(vectors)} answered")
    tokens = answer.input_tokens
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if asked.is_base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens or 0, "total_tokens": tokens or 0}
    document = {"object": "list", "data": data, "model": public_model, "usage": usage}
    return Reply(_encode(document), answer.id, Usage(input_tokens=tokens) if tokens else None)


def _packed(vector: msgspec.Raw) -> str:
    """Little-endian 32-bit floats in base64, as OpenAI has them."""
    numbers = msgspec.json.decode(vector, type=list[float])
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _typed(fields: Fields, name: str, type_: Any, expected: str) -> Any:
    try:
        return msgspec.json.decode(fields.get(name, b"null"), type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest(f"'{name}' must be {expected}.", param=name) from None
