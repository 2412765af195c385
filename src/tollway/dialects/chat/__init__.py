"""OpenAI's chat completions as a dialect of the middle form. Source: OpenAI API reference, "Chat".

Where both sides speak it nothing here is used: see `dialects.openai`.
"""

from __future__ import annotations

from tollway.dialects.chat.answer import parse_answer, render_answer
from tollway.dialects.chat.decode import ChatDecoder
from tollway.dialects.chat.encode import ChatEncoder
from tollway.dialects.chat.parse import parse_request
from tollway.dialects.chat.render import render_request
from tollway.dialects.generation.request import DialectName
from tollway.dialects.openai.errors import render_error, upstream_error


class ChatDialect:
    """Chat completions, for clients and providers."""

    name: DialectName = "chat"
    parse_request = staticmethod(parse_request)
    render_request = staticmethod(render_request)
    parse_answer = staticmethod(parse_answer)
    render_answer = staticmethod(render_answer)
    decoder = ChatDecoder
    encoder = ChatEncoder
    parse_error = staticmethod(upstream_error)
    render_error = staticmethod(render_error)


DIALECT = ChatDialect()
