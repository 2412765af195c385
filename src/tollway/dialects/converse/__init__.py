"""Bedrock's Converse API as a dialect of the middle form, for providers: clients do not speak it.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and the service description
in botocore 1.44 (2026-11-26).
"""

from __future__ import annotations

from tollway.dialects.converse.answer import parse_answer
from tollway.dialects.converse.decode import ConverseDecoder
from tollway.dialects.converse.errors import parse_error
from tollway.dialects.converse.render import render_request
from tollway.dialects.generation.request import DialectName


class ConverseDialect:
    """The Converse API, for providers."""

    name: DialectName = "converse"
    render_request = staticmethod(render_request)
    parse_answer = staticmethod(parse_answer)
    decoder = ConverseDecoder
    parse_error = staticmethod(parse_error)


DIALECT = ConverseDialect()
