"""Bedrock's Converse API as a dialect of the middle form, for providers: clients do not speak it.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and the service description
in botocore 1.44 (2026-11-26).
"""

from __future__ import annotations

from tollway.core.errors import Header, UpstreamError
from tollway.dialects.converse.answer import parse_answer
from tollway.dialects.converse.decode import ConverseDecoder
from tollway.dialects.converse.errors import parse_error
from tollway.dialects.converse.render import render_request
from tollway.dialects.generation.answer import Answer
from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.request import DialectName, Request


class ConverseDialect:
    """The Converse API."""

    name: DialectName = "converse"

    def render_request(self, request: Request, target: Target) -> Rendered:
        """The body for a provider."""
        return render_request(request, target)

    def parse_answer(self, body: bytes) -> Answer:
        """A whole answer. Raises `msgspec.DecodeError` if it is not one."""
        return parse_answer(body)

    def decoder(self) -> ConverseDecoder:
        """For one stream."""
        return ConverseDecoder()

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
        """What to tell the client about an error answer."""
        return parse_error(status, body, vendor, headers)


DIALECT = ConverseDialect()
