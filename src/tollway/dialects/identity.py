"""What a format must offer where both sides speak it: a light reading of the request, and a relay of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from tollway.core.errors import Header, TollwayError, UpstreamError
from tollway.core.snapshot import Deployment
from tollway.core.usage import Usage
from tollway.dialects.body import Fields, Request


class Reply(msgspec.Struct, gc=False):
    """An answer, ready for the client."""

    body: bytes
    response_id: str
    usage: Usage | None
    """None where the provider did not report any."""
    text: str = ""
    """What was answered, where no usage was reported: to be counted."""


Passed = tuple[tuple[tuple[str, str], ...], tuple[str, ...]]
"""Headers for the provider, and names of what is left out."""
NOTHING_PASSED: Passed = ((), ())


class Relay(Protocol):
    """One stream on its way to the client.

    `feed` every chunk and forward what it returns. When `is_done` turns true nothing meaningful follows; when the body
    ends otherwise, forward `end` and then `close`.
    """

    @property
    def is_done(self) -> bool:
        """The stream said so itself: nothing meaningful follows."""
        ...

    @property
    def usage(self) -> Usage:
        """Last usage the provider reported."""
        ...

    @property
    def known(self) -> Usage:
        """What the provider said of the prompt before the answer; counts where `usage` never comes."""
        ...

    @property
    def response_id(self) -> str:
        """The answer's id, where it has one."""
        ...

    def opening_error(self, data: bytes, vendor: str) -> UpstreamError | None:
        """The error that came in place of an answer, if one has. `data`: everything that has been fed while the answer
        itself has not begun; `vendor` is who is to blame."""
        ...

    def has_begun(self, data: bytes) -> bool:
        """Whether the answer itself has begun in this opening, rather than what only announces it."""
        ...

    def feed(self, data: bytes) -> bytes:
        """What to forward now: every event that is complete."""
        ...

    def end(self) -> bytes:
        """The body has ended: what a last event without its blank line still has to say."""
        ...

    def close(self, error: TollwayError | None) -> bytes:
        """The last bytes for the client: the format's proper end, or `error` if that is news."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its own end."""
        ...

    @property
    def failure(self) -> UpstreamError | None:
        """The error that the provider ended the stream with, if it did."""
        ...

    @property
    def text(self) -> str:
        """Everything the model has said so far, for counting where usage is missing."""
        ...


class Identity(Protocol):
    """A format that passes through."""

    def pass_headers(self, headers: Mapping[bytes, bytes], deployment: Deployment) -> Passed:
        """Headers of the caller that are the provider's, and what of them the deployment does not know.

        `headers`: names in lower case.
        """
        ...

    def read_request(self, fields: Fields, *, path_model: str | None, is_stream: bool) -> Request:
        """Checks the fields the gateway depends on. `path_model` and `is_stream`: what the path says, in formats where
        the body does not. Raises `InvalidRequest` naming the first that is wrong."""
        ...

    def render_request(self, request: Request, deployment: Deployment) -> bytes:
        """The body for a deployment: its model, its defaults and overrides, without what it refuses."""
        ...

    def read_reply(self, body: bytes, public_model: str) -> Reply:
        """Renames the model of an answer. Raises `msgspec.DecodeError` if it is not a JSON object."""
        ...

    def relay(self, public_model: str, *, forwards_usage: bool) -> Relay:
        """For one stream. `forwards_usage`: the client asked for the usage event."""
        ...

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...]) -> UpstreamError:
        """What to tell the client about an error answer."""
        ...

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        ...
