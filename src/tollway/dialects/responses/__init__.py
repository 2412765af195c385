"""OpenAI's Responses API as a dialect of the middle form. Source: OpenAI API reference, "Responses".

`relay` is for calls that need no translation, `state` for conversations that the provider does not keep.
"""

from __future__ import annotations

from tollway.core.errors import Header, TollwayError, UpstreamError
from tollway.dialects.body import Fields
from tollway.dialects.generation.answer import Answer
from tollway.dialects.generation.dialect import Rendered, StreamOptions, Target
from tollway.dialects.generation.request import DialectName, Request
from tollway.dialects.openai.errors import render_error, upstream_error
from tollway.dialects.responses.answer import parse_answer, render_answer
from tollway.dialects.responses.decode import ResponsesDecoder
from tollway.dialects.responses.encode import ResponsesEncoder
from tollway.dialects.responses.parse import parse_request
from tollway.dialects.responses.render import render_request


class ResponsesDialect:
    """The Responses API, for clients and providers."""

    name: DialectName = "responses"

    def parse_request(self, fields: Fields, *, model: str, is_stream: bool) -> Request:
        """The request. Raises `InvalidRequest` naming the field that is wrong."""
        return parse_request(fields, model=model, is_stream=is_stream)

    def render_request(self, request: Request, target: Target) -> Rendered:
        """The body for a provider."""
        return render_request(request, target)

    def parse_answer(self, body: bytes) -> Answer:
        """A whole answer. Raises `msgspec.DecodeError` if it is not one, and the error of one that failed."""
        return parse_answer(body)

    def render_answer(self, answer: Answer, options: StreamOptions) -> bytes:
        """A whole answer."""
        return render_answer(answer, options)

    def decoder(self) -> ResponsesDecoder:
        """For one stream."""
        return ResponsesDecoder()

    def encoder(self, options: StreamOptions) -> ResponsesEncoder:
        """For one stream."""
        return ResponsesEncoder(options)

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        return render_error(error)

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
        """What to tell the client about an error answer."""
        return upstream_error(status, body, vendor, headers)


DIALECT = ResponsesDialect()
