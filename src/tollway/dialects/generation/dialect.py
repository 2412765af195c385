"""What a dialect must offer to be spoken by clients and providers. All of it is pure: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from tollway.core.errors import Header, TollwayError, UpstreamError
from tollway.core.snapshot import Trait
from tollway.dialects.body import Fields
from tollway.dialects.generation.answer import Answer, Event
from tollway.dialects.generation.losses import Loss
from tollway.dialects.generation.request import DialectName, Request


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The deployment that a request is written for."""

    model: str
    """What the provider calls it."""
    provider: str = ""
    max_output_tokens: int | None = None
    """The model's limit, where known."""
    traits: frozenset[Trait] = frozenset()
    """What its chat format has besides the usual."""
    seals: frozenset[str] = frozenset()
    """Origins of the seals that it can open; those of others are left out."""
    sends_stream_usage: bool = True


class Rendered(msgspec.Struct, kw_only=True):
    """A request in a dialect: its top level, and what could not be said."""

    fields: dict[str, Any]
    """Values are `msgspec.Raw` or anything `msgspec.json` can encode."""
    losses: list[Loss]


class StreamDecoder(Protocol):
    """Reads a provider's stream. Bytes may be split anywhere."""

    @property
    def is_done(self) -> bool:
        """The stream said itself that it is over: nothing meaningful follows."""
        ...

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete. Never raises: what cannot be read is skipped or a `Failed`."""
        ...

    def end(self) -> list[Event]:
        """The body has ended properly: what remains. Open parts are closed only if the answer came to its end."""
        ...


class StreamEncoder(Protocol):
    """Writes a client's stream."""

    def push(self, events: Sequence[Event]) -> bytes:
        """The bytes for these events. `Failed` is not among them: see `close`."""
        ...

    def close(self, error: TollwayError | None) -> bytes:
        """The last bytes: the proper end, or an honest error after whatever was sent so far."""
        ...


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What an encoder must know of the request."""

    model: str
    """The public name."""
    call_id: str = ""
    """For ids, where the provider gave none."""
    id: str = ""
    """Of the answer, whatever the provider calls it; empty: as the provider does."""
    created: int = 0
    """Epoch seconds."""
    wants_usage: bool = False
    """Chat: the client asked for the usage event."""
    request: Request | None = None
    """Responses API: echoed in the answer."""
    is_sse: bool = True
    """Gemini: False for a stream that is one JSON array."""


class ClientSide(Protocol):
    """A dialect that clients speak."""

    name: DialectName

    def parse_request(self, fields: Fields, *, model: str, is_stream: bool) -> Request:
        """The request whose top level is `fields`. `model` is the public name; `is_stream` may be said by the path.

        Raises `InvalidRequest` naming the field that is wrong and the remedy.
        """
        ...

    def render_answer(self, answer: Answer, options: StreamOptions) -> bytes:
        """A whole answer."""
        ...

    def encoder(self, options: StreamOptions) -> StreamEncoder:
        """For one stream."""
        ...

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        ...


class ProviderSide(Protocol):
    """A dialect that providers speak."""

    name: DialectName

    def render_request(self, request: Request, target: Target) -> Rendered:
        """The body for a provider. Raises `InvalidRequest` only for what no provider of this dialect could serve."""
        ...

    def parse_answer(self, body: bytes) -> Answer:
        """A whole answer. Raises `msgspec.DecodeError` if it is not one."""
        ...

    def decoder(self, vendor: str) -> StreamDecoder:
        """For one stream. `vendor` names it in errors."""
        ...

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
        """What to tell the client about an error answer. `headers` are passed on with it."""
        ...
