"""Cohere's chat API, version 2, as a dialect of the middle form. Only providers speak it.

Source: https://docs.cohere.com/reference/chat and the types of the vendor's SDK, 7.3 (2026-11-26).

The plan that models make before they call tools (`tool_plan`) is a thought here: the vendor's own prompt template puts
both in the same place. It becomes a plan again on the next turn, if that turn called tools.

What is charged are `usage.billed_units`: `usage.tokens` has tokens besides that the vendor adds by itself and does not
charge (https://docs.cohere.com/docs/how-does-cohere-pricing-work). `cached_tokens` are part of the prompt.
"""

from __future__ import annotations

from tollway.dialects.cohere.answer import parse_answer
from tollway.dialects.cohere.decode import CohereDecoder
from tollway.dialects.cohere.errors import parse_error
from tollway.dialects.cohere.render import render_request
from tollway.dialects.generation.request import DialectName


class CohereDialect:
    """The chat API, for providers."""

    name: DialectName = "cohere"
    render_request = staticmethod(render_request)
    parse_answer = staticmethod(parse_answer)
    decoder = CohereDecoder
    parse_error = staticmethod(parse_error)


DIALECT = CohereDialect()
