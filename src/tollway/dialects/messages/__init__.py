"""Anthropic's Messages API as a dialect of the middle form.

Source: https://platform.claude.com/docs/en/api/messages and the types of the vendor's SDK, 2.14 (2026-11-26).
"""

from __future__ import annotations

from tollway.dialects.generation.request import DialectName
from tollway.dialects.messages.answer import parse_answer, render_answer
from tollway.dialects.messages.decode import MessagesDecoder
from tollway.dialects.messages.encode import MessagesEncoder
from tollway.dialects.messages.errors import parse_error, render_error
from tollway.dialects.messages.parse import parse_request
from tollway.dialects.messages.render import render_request


class MessagesDialect:
    """The Messages API, for clients and providers."""

    name: DialectName = "messages"
    parse_request = staticmethod(parse_request)
    render_request = staticmethod(render_request)
    parse_answer = staticmethod(parse_answer)
    render_answer = staticmethod(render_answer)
    decoder = MessagesDecoder
    encoder = MessagesEncoder
    parse_error = staticmethod(parse_error)
    render_error = staticmethod(render_error)


DIALECT = MessagesDialect()
