"""How long a server of answers is waited for, and when it is left alone.

A call waits for it no longer than a bound, and once it has waited in vain, nobody does for a while: an answer from a
provider is better than none from a cache.
"""

from __future__ import annotations

import logging
import time

from tollway.core.errors import StoreUnavailable, TollwayError

_log = logging.getLogger(__name__)

_REST_S = 2.0
"""How long the server is left alone once it was too slow, or away."""


class Patience:
    """What is known about one server."""

    def __init__(self, server: str) -> None:
        """`server` as operators call it, at the beginning of a message."""
        self._server = server
        self._rests_until = 0.0
        self._is_told = False
        self.waited = 0
        """Calls that waited in vain."""

    @property
    def is_over(self) -> bool:
        """Whether the server is left alone for now."""
        return time.monotonic() < self._rests_until

    def waited_in_vain(self, error: BaseException) -> None:
        """A call has had no answer in time."""
        self.waited += 1
        self.lose(error)

    def lose(self, error: BaseException) -> None:
        """Leaves the server alone for a while, and says so once."""
        self._rests_until = time.monotonic() + _REST_S
        if not self._is_told:
            what = f"{self._server} does not answer ({_say(error)})"
            _log.error("%s; until it does every call goes to its provider", what)
        self._is_told = True

    def regain(self) -> None:
        """The server has answered."""
        if self._is_told:
            _log.warning("%s answers again", self._server)
            self._is_told = False

    def away(self, error: BaseException) -> StoreUnavailable:
        """For those who ask for more than an answer."""
        return StoreUnavailable(f"{self._server} does not answer ({_say(error)}).")


def _say(error: BaseException) -> str:
    return error.message.rstrip(".") if isinstance(error, TollwayError) else type(error).__name__
