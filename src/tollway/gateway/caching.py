"""Which calls are alike: the key under which an answer is kept, and whether it may be looked for or kept at all.

Two calls are alike when everything that goes to a provider is the same, whatever the order of JSON members, and they
ask for the same model group.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from tollway.core.caching import Caching
from tollway.core.snapshot import ModelGroup
from tollway.dialects.body import Fields
from tollway.gateway.call import Call, is_background

_canonical = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_CONVERSATIONS = ("messages", "input", "contents")
_FLAGS = b"anthropic-beta"
"""The header of callers that reaches a provider unasked, and changes what it answers."""
_LIST = ord("[")
_NOT_ASKED = frozenset({"metadata", "model"})
"""Fields of the body that change no answer, or are told otherwise."""


def cache_key(call: Call, group: ModelGroup, caching: Caching) -> str:
    """64 hexadecimal digits, behind a namespace if there is one; empty: the answer is neither looked for nor kept."""
    control = call.controls.cache
    wants = caching.is_on_by_default if control.opts_in is None else control.opts_in
    if not wants or call.operation not in caching.operations or call.controls.mock_response is not None:
        return ""
    if control.skips_read and control.skips_write:
        return ""
    fields = call.request.fields
    if is_background(call):
        return ""  # its answer is only that it has begun
    if caching.max_messages is not None and _turns(fields) > caching.max_messages:
        return ""
    return _spaced(_digest(call, group, caching, _question(fields)), call, caching)


def bucket_of(call: Call, group: ModelGroup, caching: Caching, rest: Mapping[str, Any], *, embedder: str) -> str:
    """What two calls have in common that are compared by the words of their last turn, in the form of a `cache_key`.

    `rest`: all fields without those words; `embedder`: who made vectors of them.
    """
    asked = _canonical({name: value for name, value in rest.items() if name not in _NOT_ASKED})
    return _spaced(_digest(call, group, caching, asked, embedder.encode()), call, caching)


def _digest(call: Call, group: ModelGroup, caching: Caching, asked: bytes, *more: bytes) -> str:
    flags, sent = call.headers.get(_FLAGS), call.controls.extra_headers
    return sha256(
        b"\n".join(
            (
                call.operation.encode(),
                _model(group.name, caching).encode(),
                _tenant(call, caching).encode(),
                b"stream" if call.request.is_stream else b"",
                asked,
                *(sorted(flag.strip() for flag in flags.split(b",")) if flags else (b"",)),
                *(sorted(f"{name.lower()}: {value}".encode() for name, value in sent) if sent else ()),
                *more,
            )
        )
    ).hexdigest()


def _spaced(digest: str, call: Call, caching: Caching) -> str:
    namespace = call.controls.cache.namespace or caching.namespace
    return f"{namespace}:{digest}" if namespace else digest


def _question(fields: Mapping[str, msgspec.Raw]) -> bytes:
    try:
        return _canonical({name: _decode(raw) for name, raw in fields.items() if name not in _NOT_ASKED})
    except (msgspec.DecodeError, UnicodeDecodeError, msgspec.EncodeError, ValueError):
        # No JSON that could be put in order; the provider will say so. The bytes are as good a question.
        named = sorted((name.encode(errors="replace"), bytes(raw)) for name, raw in fields.items())
        return b"\n".join(b"%b %b" % one for one in named)


def _model(group: str, caching: Caching) -> str:
    alike = next((names for names in caching.groups if group in names), None)
    return group if alike is None else ",".join(sorted(alike))


def _tenant(call: Call, caching: Caching) -> str:
    tenant = _tenant_of_scope(call, caching)
    # Nobody else could go on from the response, or ask for it again.
    return tenant if call.thread is None else f"{tenant}\n{call.thread.owner}"


def _tenant_of_scope(call: Call, caching: Caching) -> str:
    principal = call.principal
    if caching.scope == "team" and principal.team_id is not None:
        return f"team:{principal.team_id}"
    if caching.scope == "end_user":
        return f"key:{principal.spend_id}\nend_user:{call.controls.end_user}"
    return "" if caching.scope == "global" else f"key:{principal.spend_id}"


def _turns(fields: Fields) -> int:
    turns = next((fields[name] for name in _CONVERSATIONS if name in fields), None)
    if turns is None or memoryview(turns)[0] != _LIST:
        return 1
    try:
        return len(_decode_list(turns))
    except msgspec.DecodeError:
        return 1
