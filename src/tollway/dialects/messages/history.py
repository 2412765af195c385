"""The history of a request that passes through, without the thoughts that other vendors sealed.

A conversation may have been answered by another vendor's model before: its seals went to the client in Anthropic's
blocks (see `generation.seals`), come back in the next turn, and would be refused there.
"""

from __future__ import annotations

import msgspec

from tollway.dialects.generation.seals import read_seal
from tollway.dialects.messages.blocks import OWN, text_of
from tollway.dialects.messages.wire import UNREADABLE, Block

_MARK = b"tollway."
_SLOTS = {"thinking": "signature", "redacted_thinking": "data"}

_encode = msgspec.json.Encoder().encode
_decode_messages = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_blocks = msgspec.json.Decoder(list[Block]).decode


def drop_foreign_seals(messages: msgspec.Raw) -> msgspec.Raw:
    """`messages` without blocks that another vendor sealed; untouched, byte for byte, where there are none."""
    if _MARK not in bytes(messages):
        return messages
    try:
        kept = [message for each in _decode_messages(messages) if (message := _without(each)) is not None]
    except UNREADABLE:
        return messages  # the vendor says better what is wrong with it
    return msgspec.Raw(_encode(kept))


def _without(message: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw] | None:
    """A message without such blocks; None if nothing else was in it."""
    content = bytes(message.get("content", b""))
    if not content.startswith(b"[") or _MARK not in content:
        return message
    blocks = _decode_blocks(content)
    kept = [block for block in blocks if not _is_foreign(block)]
    if len(kept) == len(blocks):
        return message
    return {**message, "content": msgspec.Raw(_encode(kept))} if kept else None


def _is_foreign(block: Block) -> bool:
    slot = _SLOTS.get(text_of(block.get("type")))
    return slot is not None and read_seal(text_of(block.get(slot)), OWN).origin != OWN
