"""Formats by name. A package is imported when its format is first spoken: most gateways speak two or three."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from tollway.core.snapshot import Operation
from tollway.dialects.identity import Identity

_IDENTITIES: dict[Operation, str] = {
    "chat": "openai",
    "completions": "openai",
    "embeddings": "openai",
    "responses": "responses",
    "messages": "messages",
    "gemini": "gemini",
}
"""Formats that clients speak, by the package that relays them."""


@cache
def find_identity(operation: Operation) -> Identity:
    """How a format passes through."""
    module = import_module(f"tollway.dialects.{_IDENTITIES[operation]}.identity")
    identities: dict[Operation, Identity] = module.IDENTITIES
    return identities[operation]


@cache
def find_invoke() -> Any:
    """Anthropic's format as Amazon wraps it."""
    return import_module("tollway.dialects.invoke")


@cache
def find_repair() -> Any:
    """What mends a request in the middle form."""
    return import_module("tollway.dialects.repair").repair


@cache
def find_dialect(name: Operation) -> Any:
    """A format's translator: a `ClientSide`, a `ProviderSide`, or both."""
    return import_module(f"tollway.dialects.{name}").DIALECT
