"""Cohere's chat API, version 2, as a dialect of the middle form. Only providers speak it.

Source: https://docs.cohere.com/reference/chat and the types of the vendor's SDK, 7.3 (2026-11-26).

The plan that models make before they call tools (`tool_plan`) is a thought here: the vendor's own prompt template puts
both in the same place. It becomes a plan again on the next turn, if that turn called tools.

What is charged are `usage.billed_units`: `usage.tokens` has tokens besides that the vendor adds by itself and does not
charge (https://docs.cohere.com/docs/how-does-cohere-pricing-work). `cached_tokens` are part of the prompt.
"""

from __future__ import annotations

from tollway.core.errors import Header, UpstreamError
from tollway.dialects.cohere.answer import parse_answer
from tollway.dialects.cohere.decode import CohereDecoder
from tollway.dialects.cohere.errors import parse_error
from tollway.dialects.cohere.render import render_request
from tollway.dialects.generation.answer import Answer
from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.request import DialectName, Request


class CohereDialect:
    """The chat API, for providers."""

    name: DialectName = "cohere"

    def render_request(self, request: Request, target: Target) -> Rendered:
        """The body for a provider."""
        return render_request(request, target)

    def parse_answer(self, body: bytes) -> Answer:
        """A whole answer. Raises `msgspec.DecodeError` if it is not one."""
        return parse_answer(body)

    def decoder(self) -> CohereDecoder:
        """For one stream."""
        return CohereDecoder()

    def parse_error(self, status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
        """What to tell the client about an error answer."""
        return parse_error(status, body, vendor, headers)


DIALECT = CohereDialect()
