"""What callers hold of responses, sealed: ids of those that a provider keeps, and summaries of conversations.

An id has the deployment and the owner in it: so a call that goes on from it finds its way back on any replica, and
nobody else can use it, without anything being stored.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from tollway.core.principal import Principal
from tollway.ports.sealing import Seal

_PREFIX = "resp_"
_PLACE, _SUMMARY = "response id", "conversation summary"


class UpstreamResponse(msgspec.Struct, frozen=True, array_like=True):
    """A response that a provider keeps."""

    deployment_id: str
    model: str
    """What the caller called the model."""
    owner: str
    id: str
    """What the provider calls it."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(UpstreamResponse).decode


class ResponseIds:
    """Writes and reads them. `await ready()` first."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self.ready = seal.ready

    def write(self, response: UpstreamResponse) -> str:
        """The id for its caller; another each time."""
        return _PREFIX + self._sealed(_encode(response), _PLACE)

    def read(self, id: str) -> UpstreamResponse | None:
        """What an id stands for; None if it was not made here."""
        opened = self._opened(id.removeprefix(_PREFIX), _PLACE) if id.startswith(_PREFIX) else None
        return None if opened is None else _decode(opened)

    def write_summary(self, text: str, owner: str) -> str:
        """A summary that only its owner can use."""
        return self._sealed(text.encode(), _SUMMARY, owner)

    def read_summary(self, sealed: str, owner: str) -> str | None:
        """None if it is not one of that owner."""
        opened = self._opened(sealed, _SUMMARY, owner)
        return None if opened is None else opened.decode()

    def _sealed(self, data: bytes, *place: str) -> str:
        return urlsafe_b64encode(self._seal.seal_bytes(data, *place)).rstrip(b"=").decode()

    def _opened(self, text: str, *place: str) -> bytes | None:
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            return None
        return self._seal.open_bytes(sealed, *place)


def owner_of(principal: Principal) -> str:
    """Whose a response is: the user's behind the key, else the team's, else the key's own."""
    if principal.is_admin:
        return "master"
    if principal.user_id:
        return f"user:{principal.user_id}"
    return f"team:{principal.team_id}" if principal.team_id else f"key:{principal.spend_id}"
