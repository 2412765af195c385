"""What makes calls belong together, where the operator wants such calls to go to one deployment."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from tollway.core.routing import Routing
from tollway.dialects.body import Fields
from tollway.gateway.call import Call

_LEAST_CACHED_BYTES = 4096
"""About 1,024 tokens: no provider caches a shorter prompt."""
_BEGINNING = ("system", "systemInstruction", "system_instruction", "instructions", "tools")
"""What stands before the turns of a conversation, in all formats."""
_TURNS = ("messages", "input", "contents")
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def affinity_of(call: Call, routing: Routing) -> str:
    """A name that all calls share which belong together; empty where none do."""
    wanted = routing.affinities
    if "session_affinity" in wanted and call.controls.session_id:
        return f"session:{call.principal.spend_id}:{call.controls.session_id}"
    if "prompt_caching" in wanted and len(call.raw_body) >= _LEAST_CACHED_BYTES:
        return f"prompt:{_beginning_of(call.request.fields)}"
    if "deployment_affinity" in wanted:
        return f"key:{call.principal.spend_id}"
    return ""


def _beginning_of(fields: Fields) -> str:
    """A digest of what a conversation begins with, which stays while it grows."""
    parts = [bytes(fields[name]) for name in _BEGINNING if name in fields]
    turns = next((fields[name] for name in _TURNS if name in fields), None)
    if turns is not None:
        parts.append(_first_of(bytes(turns)))
    return blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def _first_of(turns: bytes) -> bytes:
    try:
        return bytes(next(iter(_decode_list(turns)), b""))
    except msgspec.DecodeError:  # a text
        return turns
