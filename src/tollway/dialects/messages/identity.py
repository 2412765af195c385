"""Where the registry finds how this format passes through."""

from __future__ import annotations

from tollway.core.snapshot import Operation
from tollway.dialects.identity import Identity
from tollway.dialects.messages.relay import MessagesIdentity

IDENTITIES: dict[Operation, Identity] = {"messages": MessagesIdentity()}
