"""Google's generateContent as a dialect of the middle form.

Source: https://ai.google.dev/api/generate-content. Where both sides speak it nothing is translated: see `identity`.
"""

from __future__ import annotations

from tollway.core.errors import Header, TollwayError, UpstreamError
from tollway.dialects.body import Fields
from tollway.dialects.gemini.answer import parse_answer, render_answer
from tollway.dialects.gemini.decode import GeminiDecoder
from tollway.dialects.gemini.encode import GeminiEncoder
from tollway.dialects.gemini.errors import parse_error, render_error
from tollway.dialects.gemini.parse import parse_request
from tollway.dialects.gemini.render import render_request
from tollway.dialects.generation.answer import Answer
from tollway.dialects.generation.dialect import Rendered, StreamOptions, Target
from tollway.dialects.generation.request import DialectName, Request


class GeminiDialect:
    """generateContent, for clients and providers."""

    name: DialectName = "gemini"

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

    def decoder(self) -> GeminiDecoder:
        """For one stream."""
        return GeminiDecoder()

    def encoder(self, options: StreamOptions) -> GeminiEncoder:
        """For one stream."""
        return GeminiEncoder(options)

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        return render_error(error)

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
        """What to tell the client about an error answer."""
        return parse_error(status, body, vendor, headers)


DIALECT = GeminiDialect()
