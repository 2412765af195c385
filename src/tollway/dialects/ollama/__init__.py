"""Ollama's own chat API (`/api/chat`) as a dialect of the middle form. Only providers speak it.

Source: https://docs.ollama.com/api/chat and the types of the vendor's SDK, 0.6 (2026-11-26). A stream is JSON objects,
one a line (`application/x-ndjson`).

Tool calls have no ids in answers of most versions: they get one from the answer's time and their number, so that calls
of different turns never share one.
"""

from __future__ import annotations

from tollway.dialects.generation.request import DialectName
from tollway.dialects.ollama.answer import parse_answer
from tollway.dialects.ollama.decode import OllamaDecoder
from tollway.dialects.ollama.errors import parse_error
from tollway.dialects.ollama.render import render_request


class OllamaDialect:
    """The chat API, for providers."""

    name: DialectName = "ollama"
    render_request = staticmethod(render_request)
    parse_answer = staticmethod(parse_answer)
    decoder = OllamaDecoder
    parse_error = staticmethod(parse_error)


DIALECT = OllamaDialect()
