"""Requests: read a few fields, leave the others as the bytes they came in, patch the top level."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.core.snapshot import Deployment, Operation
from tollway.dialects.body import Fields, Request, adapt

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(str).decode

_INPUT_FIELD: dict[Operation, str] = {"chat": "messages", "completions": "prompt", "embeddings": "input"}
_ROUTE_NAME: dict[Operation, str] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
}
_TRUE = msgspec.Raw(b"true")
_NULL = msgspec.Raw(b"null")
_USAGE_WANTED = msgspec.Raw(b'{"include_usage":true}')


class StreamOptions(msgspec.Struct, gc=False):
    """`stream_options`, as far as the gateway is concerned."""

    include_usage: bool | None = None


def read_request(fields: Fields, operation: Operation) -> Request:
    """Checks the fields the gateway depends on. Raises `InvalidRequest` naming the first that is wrong."""
    raw_model = fields.get("model")
    model = _text(raw_model, "model") if raw_model is not None else None
    wanted = _INPUT_FIELD[operation]
    if wanted not in fields:
        raise InvalidRequest(f"{_ROUTE_NAME[operation]}: Missing required parameter: '{wanted}'.", param=wanted)
    if operation == "chat" and not _is_list(fields["messages"]):
        raise InvalidRequest("'messages' must be a list of message objects.", param="messages")
    if operation == "embeddings":
        return Request(fields, model, False, False, 0, 1)
    raw_stream = fields.get("stream")
    is_stream = raw_stream is not None and _boolean(raw_stream, "stream")
    return Request(
        fields,
        model,
        is_stream,
        is_stream and _wants_usage(fields),
        _output_limit(fields),
        _count(fields, "n", default=1) * (_prompts(fields) if operation == "completions" else 1),
    )


def render_request(request: Request, deployment: Deployment) -> bytes:
    """The body for a deployment: its model, its defaults and overrides, without what it refuses."""
    fields = request.fields.copy()
    fields["model"] = _encoded_name(deployment.model)
    adapt(fields, deployment)
    if request.is_stream and not request.wants_usage and deployment.sends_stream_usage:
        fields["stream_options"] = _with_usage(fields.get("stream_options"))
    elif not deployment.sends_stream_usage:
        fields.pop("stream_options", None)
    return _encode(fields)


_names: dict[str, msgspec.Raw] = {}


def _encoded_name(name: str) -> msgspec.Raw:
    """A model name as JSON. Kept, since there are few; started over if a wildcard brought very many."""
    raw = _names.get(name)
    if raw is None:
        if len(_names) > 4096:
            _names.clear()
        raw = _names[name] = msgspec.Raw(_encode(name))
    return raw


def _with_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    if options is None or options == _NULL:
        return _USAGE_WANTED
    fields = _decode_fields(options)
    fields["include_usage"] = _TRUE
    return msgspec.Raw(_encode(fields))


def _wants_usage(fields: Fields) -> bool:
    raw = fields.get("stream_options")
    if raw is None:
        return False
    options: StreamOptions | None = _typed(raw, "stream_options", StreamOptions | None, "an object")
    return options is not None and bool(options.include_usage)


def _output_limit(fields: Fields) -> int | None:
    """`max_completion_tokens` has replaced `max_tokens`; where both are given the larger bounds the answer."""
    limits = [_count(fields, name, default=0) for name in ("max_completion_tokens", "max_tokens") if name in fields]
    return max(limits) or None if limits else None


def _prompts(fields: Fields) -> int:
    """Prompts of a text completion: one for a text or a token array, else the length of the list."""
    raw = fields["prompt"]
    if not _is_list(raw):
        return 1
    prompts: list[Any] = _typed(raw, "prompt", list[Any], "a text or a list")
    return len(prompts) if prompts and not isinstance(prompts[0], int) else 1


def _count(fields: Fields, name: str, *, default: int) -> int:
    raw = fields.get(name)
    if raw is None:
        return default
    value: int | None = _typed(raw, name, int | None, "an integer")
    if value is not None and value < 0:
        raise InvalidRequest(f"'{name}' must not be negative.", param=name)
    return default if value is None else value


def _text(raw: msgspec.Raw, name: str) -> str | None:
    try:
        return _decode_text(raw)
    except msgspec.DecodeError:
        text: str | None = _typed(raw, name, str | None, "a string")
        return text


def _is_list(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == 0x5B


def _boolean(raw: msgspec.Raw, name: str) -> bool:
    if raw == _TRUE:
        return True
    value: bool | None = _typed(raw, name, bool | None, "true or false")
    return bool(value)


def _typed(raw: msgspec.Raw, name: str, type: Any, expected: str) -> Any:
    try:
        return msgspec.json.decode(raw, type=type)
    except msgspec.DecodeError:
        raise InvalidRequest(f"'{name}' must be {expected}.", param=name) from None
