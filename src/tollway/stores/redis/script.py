"""The script that keeps the shared counters, and how it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

SOURCE = files(__package__).joinpath("counters.lua").read_text("utf-8")
_SHA = hashlib.sha1(SOURCE.encode(), usedforsecurity=False).hexdigest()  # how servers name scripts


class CountersScript:
    """Performs encoded operations for one worker, in one round trip. Raises what the client raises."""

    def __init__(self, client: Any, *, prefix: str, worker: str, clock: Callable[[], float] | None = None) -> None:
        """`prefix` holds a hash tag. `clock`: epoch seconds, instead of the server's own clock (tests)."""
        self._client = client
        self._prefix = prefix
        self._worker = worker
        self._clock = clock

    async def __call__(self, encoded: bytes) -> bytes | None:
        """The encoded answers; None if the worker is not a member."""
        arguments = (1, self._prefix, self._worker, "" if self._clock is None else repr(self._clock()), encoded)
        try:
            answers: bytes | None = await self._client.evalsha(_SHA, *arguments)
        except NoScriptError:  # a server that was restarted; this call teaches it the script
            answers = await self._client.eval(SOURCE, *arguments)
        return answers
