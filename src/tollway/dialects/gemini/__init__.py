"""Google's generateContent as a dialect of the middle form.

Source: https://ai.google.dev/api/generate-content. Where both sides speak it nothing is translated: see `identity`.
"""

from __future__ import annotations

from tollway.dialects.gemini.answer import parse_answer, render_answer
from tollway.dialects.gemini.decode import GeminiDecoder
from tollway.dialects.gemini.encode import GeminiEncoder
from tollway.dialects.gemini.errors import parse_error, render_error
from tollway.dialects.gemini.parse import parse_request
from tollway.dialects.gemini.render import render_request
from tollway.dialects.generation.request import DialectName


class GeminiDialect:
    """generateContent, for clients and providers."""

    name: DialectName = "gemini"
    parse_request = staticmethod(parse_request)
    render_request = staticmethod(render_request)
    parse_answer = staticmethod(parse_answer)
    render_answer = staticmethod(render_answer)
    decoder = GeminiDecoder
    encoder = GeminiEncoder
    parse_error = staticmethod(parse_error)
    render_error = staticmethod(render_error)


DIALECT = GeminiDialect()
