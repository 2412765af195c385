"""Where Cohere is called, however its address is written."""

from __future__ import annotations

import pytest

from tollway import providers
from tollway.providers import ConnectionParams


@pytest.mark.parametrize(
    "base",
    [
        None,
        "https://api.cohere.com",
        "https://api.cohere.com/",
        "https://api.cohere.com/v2",
        "https://api.cohere.com/v1",
        "https://api.cohere.com/v2/chat",
        "https://api.cohere.com/v1/chat",
        "https://api.cohere.com/compatibility/v1",
    ],
)
def test_each_api_has_its_own_version_below_one_address(base: str | None) -> None:
    provider = providers.find("cohere_chat")
    assert provider is not None
    endpoints = provider.endpoints(ConnectionParams(model="command-a-03-2025", api_key="k", api_base=base))
    assert {operation: (endpoint.origin.host, endpoint.target) for operation, endpoint in endpoints.items()} == {
        "cohere": ("api.cohere.com", "/v2/chat"),
        "embeddings": ("api.cohere.com", "/compatibility/v1/embeddings"),
    }
    assert ("Authorization", "Bearer k") in endpoints["cohere"].headers
