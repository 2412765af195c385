"""Errors of Ollama: an object whose `error` is a text. https://docs.ollama.com/api/errors"""

from __future__ import annotations

from tollway.core.errors import Header, UpstreamError
from tollway.dialects.openai.errors import upstream_error

VENDOR = "OllamaException"
"""How it is called where nobody said otherwise."""

_CONTEXT_MARKS = ("max context length", "exceeds the context length", "exceeds the available context size")


def parse_error(status: int, body: bytes, vendor: str, headers: tuple[Header, ...] = ()) -> UpstreamError:
    """What to tell the client about an error answer."""
    return upstream_error(status, body, vendor, headers, context_marks=_CONTEXT_MARKS)
