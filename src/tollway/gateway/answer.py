"""What a call ends in, where it is not a stream."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tollway.core.errors import Header


class Answer(msgspec.Struct, gc=False):
    """A whole answer for the client."""

    body: bytes
    upstream_headers: Sequence[Header]
    cost_nanos: int
