"""Cohere: its chat API, version 2, and embeddings in OpenAI's format from its compatibility API.

https://docs.cohere.com/reference/chat, https://docs.cohere.com/docs/compatibility-api (checked 2026-11-26).
"""

from __future__ import annotations

from typing_extensions import override

from tollway.core.snapshot import Operation
from tollway.providers._address import Location, locate
from tollway.providers._kit import COHERE, EMBEDDINGS, ConnectionParams, Provider

_ENDS = ("/v2/chat", "/v1/chat", "/compatibility/v1", "/v2", "/v1")
"""Ways in which existing configurations write the base."""
_PATHS: dict[Operation, str] = {"cohere": "/v2/chat", "embeddings": "/compatibility/v1/embeddings"}


class Cohere(Provider, frozen=True, kw_only=True):
    """The two APIs are below one address, each with a version of its own."""

    @override
    def locate(self, operation: Operation, base: str, params: ConnectionParams) -> Location:
        base = base.rstrip("/")
        root = next((base.removesuffix(end) for end in _ENDS if base.endswith(end)), base)
        return locate(root, _PATHS[operation], field=self._base_field, verify=params.verify)


PROVIDERS = (
    Cohere(
        name="cohere",
        title="Cohere",
        base_url="https://api.cohere.com",
        key_env=("COHERE_API_KEY", "CO_API_KEY"),
        operations=COHERE | EMBEDDINGS,
        docs="https://docs.cohere.com/reference/chat",
        checked="2026-11-26",
    ),
)
