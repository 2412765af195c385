"""Where Ollama is called, however its address is written."""

from __future__ import annotations

import pytest

from tollway import providers
from tollway.providers import ConnectionParams


def targets(**given: str) -> dict[str, str]:
    provider = providers.find("ollama_chat")
    assert provider is not None
    endpoints = provider.endpoints(ConnectionParams(model="llama3", **given))  # type: ignore[arg-type]
    return {operation: endpoint.target for operation, endpoint in endpoints.items()}


@pytest.mark.parametrize(
    ("base", "below"),
    [
        ("http://gpu:11434", ""),
        ("http://gpu:11434/", ""),
        ("http://gpu:11434/v1", ""),
        ("http://gpu:11434/v1/", ""),
        ("http://gpu:11434/api", ""),
        ("http://gpu:11434/api/chat", ""),
        ("http://gpu:11434/api/generate", ""),
        ("https://inside.test/ollama/v1", "/ollama"),
    ],
)
def test_both_formats_are_below_one_address(base: str, below: str) -> None:
    found = targets(api_base=base)
    assert found["ollama"] == f"{below}/api/chat"
    assert found["chat"] == f"{below}/v1/chat/completions"
    assert found["embeddings"] == f"{below}/v1/embeddings"


def test_what_has_to_be_translated_goes_to_its_own_format() -> None:
    assert next(iter(targets())) == "ollama"


def test_a_key_is_for_its_cloud() -> None:
    provider = providers.find("ollama")
    assert provider is not None
    endpoint = provider.endpoints(ConnectionParams(model="m", api_key="k", api_base="https://ollama.com"))["ollama"]
    assert ("Authorization", "Bearer k") in endpoint.headers
    assert endpoint.origin.host == "ollama.com"
