"""Instructions that pass through, without what the model or its cloud refuses. Claude Code sends both kinds to all.

- A message with the role `system` amid the conversation is taken by Claude 4.8 and later; older models answer 400
  (https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages; BerriAI/litellm#33807).
- A block of `system` that begins with `x-anthropic-billing-header:` tells Anthropic which program is asking. Amazon
  answers 400 to it (anthropics/claude-code#24168); to nobody but Anthropic it says anything.
"""

from __future__ import annotations

import msgspec

from tollway.dialects.messages.models import refuses_late_instructions
from tollway.dialects.messages.wire import UNREADABLE

_SYSTEM = b'"system"'
_USER = msgspec.Raw(b'"user"')
_BILLING = "x-anthropic-billing-header:"
BILLING_KIND = "billing_header"
"""What such a block is called where losses are named."""

_encode = msgspec.json.Encoder().encode
_decode_messages = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_blocks = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _TextWire(msgspec.Struct, gc=False):
    text: str = ""


_decode_text = msgspec.json.Decoder(_TextWire).decode


def is_billing(text: str) -> bool:
    """Whether a block of `system` is for Anthropic's own accounts."""
    return text.startswith(_BILLING)


def as_users_words(messages: msgspec.Raw, model: str) -> msgspec.Raw:
    """`messages` with later instructions as the user's, if the model takes no others; else untouched, byte for byte."""
    if not refuses_late_instructions(model) or _SYSTEM not in bytes(messages):
        return messages
    try:
        changed = [_as_user(message) for message in _decode_messages(messages)]
    except UNREADABLE:
        return messages  # the vendor says better what is wrong with it
    return msgspec.Raw(_encode(changed))


def _as_user(message: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    return {**message, "role": _USER} if bytes(message.get("role", b"")) == _SYSTEM else message


def without_billing(system: msgspec.Raw) -> msgspec.Raw:
    """`system` without the block for Anthropic's accounts; untouched, byte for byte, where there is none."""
    if _BILLING.encode() not in bytes(system):
        return system
    try:
        blocks = _decode_blocks(system)
        return msgspec.Raw(_encode([block for block in blocks if not is_billing(_decode_text(block).text)]))
    except UNREADABLE:
        return system  # a string, or what the vendor says better what is wrong with
