"""OpenAI's Responses API as a dialect of the middle form. Source: OpenAI API reference, "Responses".

`relay` is for calls that need no translation, `state` for conversations that the provider does not keep.
"""

from __future__ import annotations

from tollway.dialects.generation.request import DialectName
from tollway.dialects.openai.errors import render_error, upstream_error
from tollway.dialects.responses.answer import parse_answer, render_answer
from tollway.dialects.responses.decode import ResponsesDecoder
from tollway.dialects.responses.encode import ResponsesEncoder
from tollway.dialects.responses.parse import parse_request
from tollway.dialects.responses.render import render_request


class ResponsesDialect:
    """The Responses API, for clients and providers."""

    name: DialectName = "responses"
    parse_request = staticmethod(parse_request)
    render_request = staticmethod(render_request)
    parse_answer = staticmethod(parse_answer)
    render_answer = staticmethod(render_answer)
    decoder = ResponsesDecoder
    encoder = ResponsesEncoder
    parse_error = staticmethod(upstream_error)
    render_error = staticmethod(render_error)


DIALECT = ResponsesDialect()
