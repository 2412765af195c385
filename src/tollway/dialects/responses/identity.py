"""Where the registry finds how this format passes through."""

from __future__ import annotations

from tollway.core.snapshot import Operation
from tollway.dialects.identity import Identity
from tollway.dialects.responses.relay import ResponsesIdentity

IDENTITIES: dict[Operation, Identity] = {"responses": ResponsesIdentity()}
