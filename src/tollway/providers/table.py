"""Vendors that speak the OpenAI dialect, one row each. Adding one is adding a row; the tests loop over them all.

A row claims only what the vendor's page says; the page is in the row. Names and environment variables are the ones that
existing LiteLLM configurations use.
"""

from __future__ import annotations

from tollway.providers._kit import CHAT, COMPLETIONS, EMBEDDINGS, Provider

ROWS: tuple[Provider, ...] = (
    Provider(
        name="openai", title="OpenAI", base_url="https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",), base_env=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        operations=CHAT | COMPLETIONS | EMBEDDINGS, docs="https://platform.openai.com/docs/api-reference",
    ),
    Provider(
        name="groq", title="Groq", base_url="https://api.groq.com/openai/v1",
        key_env=("GROQ_API_KEY",), base_env=("GROQ_API_BASE",), docs="https://console.groq.com/docs/openai",
    ),
    Provider(
        name="demo", title="Built-in demo model", base_url="http://demo.invalid/v1", needs_key=False, auth="none",
        operations=CHAT | COMPLETIONS | EMBEDDINGS, transport="demo", docs="https://github.com/tollway/tollway",
    ),
)  # fmt: skip

ALIASES: dict[str, str] = {"text-completion-openai": "openai"}
"""Other names of a row."""

CODED: dict[str, str] = {}
"""Vendors that need code: name to module. Imported when first asked for."""

LATER: dict[str, str] = {}
"""Vendors whose own dialect a later release brings: name to what is missing."""
