"""Ollama's own chat API (`/api/chat`) as a dialect of the middle form. Only providers speak it.

Source: https://docs.ollama.com/api/chat and the types of the vendor's SDK, 0.6 (2026-11-26). A stream is JSON objects,
one a line (`application/x-ndjson`).

Tool calls have no ids in answers of most versions: they get one from the answer's time and their number, so that calls
of different turns never share one.
"""

from __future__ import annotations

from tollway.core.errors import Header, UpstreamError
from tollway.dialects.generation.answer import Answer
from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.request import DialectName, Request
from tollway.dialects.ollama.answer import parse_answer
from tollway.dialects.ollama.decode import OllamaDecoder
from tollway.dialects.ollama.errors import parse_error
from tollway.dialects.ollama.render import render_request


class OllamaDialect:
    """The chat API, for providers."""

    name: DialectName = "ollama"

    def render_request(self, request: Request, target: Target) -> Rendered:
        """The body for a provider."""
        return render_request(request, target)

    def parse_answer(self, body: bytes) -> Answer:
        """A whole answer. Raises `msgspec.DecodeError` if it is not one."""
        return parse_answer(body)

    def decoder(self) -> OllamaDecoder:
        """For one stream."""
        return OllamaDecoder()

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
        """What to tell the client about an error answer."""
        return parse_error(status, body, vendor, headers)


DIALECT = OllamaDialect()
