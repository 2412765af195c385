"""Anthropic's Messages API as a dialect of the middle form.

Source: https://platform.claude.com/docs/en/api/messages and the types of the vendor's SDK, 2.14 (2026-11-26).
"""

from __future__ import annotations

from tollway.core.errors import Header, TollwayError, UpstreamError
from tollway.dialects.body import Fields
from tollway.dialects.generation.answer import Answer
from tollway.dialects.generation.dialect import Rendered, StreamOptions, Target
from tollway.dialects.generation.request import DialectName, Request
from tollway.dialects.messages.answer import parse_answer, render_answer
from tollway.dialects.messages.decode import MessagesDecoder
from tollway.dialects.messages.encode import MessagesEncoder
from tollway.dialects.messages.errors import parse_error, render_error
from tollway.dialects.messages.parse import parse_request
from tollway.dialects.messages.render import render_request


class MessagesDialect:
    """The Messages API, for clients and providers."""

    name: DialectName = "messages"

    def parse_request(self, fields: Fields, *, model: str, is_stream: bool) -> Request:
        """The request. Raises `InvalidRequest` naming the field that is wrong."""
        return parse_request(fields, model=model, is_stream=is_stream)

    def render_request(self, request: Request, target: Target) -> Rendered:
        """The body for a provider."""
        return render_request(request, target)

    def parse_answer(self, body: bytes) -> Answer:
        """A whole answer. Raises `msgspec.DecodeError` if it is not one."""
        return parse_answer(body)

    def render_answer(self, answer: Answer, options: StreamOptions) -> bytes:
        """A whole answer."""
        return render_answer(answer, options)

    def decoder(self) -> MessagesDecoder:
        """For one stream."""
        return MessagesDecoder()

    def encoder(self, options: StreamOptions) -> MessagesEncoder:
        """For one stream."""
        return MessagesEncoder(options)

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        return render_error(error)

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
        """What to tell the client about an error answer."""
        return parse_error(status, body, vendor, headers)


DIALECT = MessagesDialect()
