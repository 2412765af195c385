"""OpenAI's chat completions as a dialect of the middle form. Source: OpenAI API reference, "Chat".

Where both sides speak it nothing here is used: see `dialects.openai`.
"""

from __future__ import annotations

from tollway.core.errors import Header, TollwayError, UpstreamError
from tollway.dialects.body import Fields
from tollway.dialects.chat.answer import parse_answer, render_answer
from tollway.dialects.chat.decode import ChatDecoder
from tollway.dialects.chat.encode import ChatEncoder
from tollway.dialects.chat.parse import parse_request
from tollway.dialects.chat.render import render_request
from tollway.dialects.generation.answer import Answer
from tollway.dialects.generation.dialect import Rendered, StreamOptions, Target
from tollway.dialects.generation.request import DialectName, Request
from tollway.dialects.openai.errors import render_error, upstream_error


class ChatDialect:
    """Chat completions, for clients and providers."""

    name: DialectName = "chat"

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

    def decoder(self) -> ChatDecoder:
        """For one stream."""
        return ChatDecoder()

    def encoder(self, options: StreamOptions) -> ChatEncoder:
        """For one stream."""
        return ChatEncoder(options)

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        return render_error(error)

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
        """What to tell the client about an error answer."""
        return upstream_error(status, body, vendor, headers)


DIALECT = ChatDialect()
