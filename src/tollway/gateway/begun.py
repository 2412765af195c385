"""What a deployment has answered, or has begun to: not yet the answer of the call, as another may be quicker."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from tollway.core.errors import Header
from tollway.core.usage import Usage
from tollway.dialects.identity import Reply
from tollway.gateway.attempt import Attempt
from tollway.gateway.call import Call
from tollway.gateway.stream import Stream, unreadable
from tollway.ports.transport import UpstreamResponse


class Begun(msgspec.Struct, gc=False):
    """What a deployment has answered, or has begun to."""

    attempt: Attempt
    headers: Sequence[Header]
    reply: Reply | None = None
    stream: Stream | None = None

    def drop(self) -> Usage | None:
        """Nobody wants it; what it has used, as far as known."""
        if self.stream is not None:
            self.stream.drop()
        self.attempt.leave()
        return self.reply.usage if self.reply is not None else None


async def read_reply(call: Call, attempt: Attempt, response: UpstreamResponse) -> Reply:
    """A whole answer. Raises `UpstreamError` if it is none."""
    try:
        body = await response.read()
    finally:
        response.close()
        call.upstream_s = time.perf_counter() - call.sent
    assert call.conversation is not None
    try:
        return call.conversation.read_answer(call, body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise unreadable(attempt.deployment, "is not valid JSON, or not an answer") from None
