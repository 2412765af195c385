"""The sockets that several workers listen on, opened by the process that starts them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from tollway.core.errors import Misconfigured

BACKLOG = 2048
_EACH_ITS_OWN = sys.platform == "linux"
"""Linux spreads connections over sockets of one address (SO_REUSEPORT), whatever the workers are doing. On a socket
that all of them share whoever is idle first takes all that wait: of 32 connections that two workers were offered at
once, one of them got none in the worst of three rounds, against 10 and more on sockets of their own. Elsewhere
SO_REUSEPORT does not spread, and one is shared.
"""


class Listeners:
    """One set of sockets per worker: an address may stand for several (IPv4 and IPv6)."""

    def __init__(self, host: str, port: int) -> None:
        """Opens those of worker 0: who connects from now on waits for it. Raises `Misconfigured`."""
        self._sets: dict[int, list[socket.socket]] = {}
        self._addresses: list[tuple[int, tuple[str | int, ...]]] = []
        try:
            self._open_first(host, port)
        except OSError as error:
            self.close()
            raise Misconfigured(
                f"Cannot listen on {host}:{port}: {error.strerror}. Give another --port or --host.", param="port"
            ) from None

    @property
    def port(self) -> int:
        """The one that was given, or found where that was 0."""
        return int(self._addresses[0][1][1])

    def of(self, number: int) -> Sequence[socket.socket]:
        """The sockets of one worker."""
        return self._sets[number]

    def open(self, number: int) -> None:
        """Opens those of a worker, unless they are open. Raises `OSError`."""
        if number not in self._sets:
            self._sets[number] = (
                [_listening(family, address) for family, address in self._addresses]
                if _EACH_ITS_OWN
                else [one.dup() for one in next(iter(self._sets.values()))]
            )

    def shut(self, number: int) -> None:
        """Nobody serves this worker's share for now: the others get it. Connections that wait there are lost."""
        if len(self._sets) > 1:
            for one in self._sets.pop(number, []):
                one.close()

    def keep(self, number: int) -> None:
        """Closes all but those of one worker, in whose process this is."""
        for other in [other for other in self._sets if other != number]:
            self.shut(other)

    def close(self) -> None:
        """Nobody can connect any more, but to sockets that workers still have."""
        for sockets in self._sets.values():
            for one in sockets:
                one.close()
        self._sets.clear()

    def _open_first(self, host: str, port: int) -> None:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sockets = self._sets[0] = []
        for family, _, _, _, address in dict.fromkeys(found):
            wanted = (address[0], port or (self.port if sockets else 0), *address[2:])
            if wanted[1]:
                # With SO_REUSEPORT it would quietly be shared with another gateway of the same user.
                _bound(family, wanted, is_shared=False).close()
            sockets.append(_listening(family, wanted))
            self._addresses.append((family, sockets[-1].getsockname()))


def _listening(family: int, address: tuple[str | int, ...]) -> socket.socket:
    one = _bound(family, address, is_shared=_EACH_ITS_OWN)
    one.listen(BACKLOG)
    return one


def _bound(family: int, address: tuple[str | int, ...], *, is_shared: bool) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError:
        one.close()
        raise
    return one
