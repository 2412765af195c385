"""Sealed thoughts in the slot that the Responses API has for them: `encrypted_content`.

Thoughts of other vendors carry a seal with its origin there, also those that nobody sealed: so they can be told from
OpenAI's own, which would refuse to open them, or look for an item that it never stored.
"""

from __future__ import annotations

import msgspec

from tollway.dialects.generation.request import Seal
from tollway.dialects.generation.seals import read_seal, write_seal
from tollway.dialects.responses.wire import read_item, read_typed

_OWN = "openai"
_NOBODYS = "unsealed"
_MARK = b'"tollway.'


def write_thoughts(seal: Seal | None) -> str:
    """`encrypted_content` of a reasoning item."""
    return write_seal(seal if seal is not None else Seal(_NOBODYS, ""), _OWN)


def read_thoughts(encrypted: str | None) -> Seal | None:
    """The seal in `encrypted_content`; None if there is none."""
    seal = read_seal(encrypted, _OWN) if encrypted else None
    return None if seal is None or seal.origin == _NOBODYS else seal


def own_thoughts(raw: msgspec.Raw) -> msgspec.Raw:
    """`input` for OpenAI itself: without the thoughts of other vendors, after a conversation has moved."""
    if _MARK not in bytes(raw):
        return raw
    try:
        items = msgspec.json.decode(raw, type=list[msgspec.Raw])
        return msgspec.Raw(msgspec.json.encode([item for item in items if not _is_foreign(item)]))
    except msgspec.DecodeError:
        return raw  # the provider says what is wrong with it


def _is_foreign(item: msgspec.Raw) -> bool:
    if _MARK not in bytes(item) or read_typed(item).type != "reasoning":
        return False
    encrypted = read_item(item).encrypted_content
    return bool(encrypted) and read_seal(encrypted or "", _OWN).origin != _OWN
