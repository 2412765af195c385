"""Ollama, which speaks two formats: OpenAI's and one of its own.

Callers of OpenAI's formats are passed on to the compatible endpoints below `/v1`, untouched. Who speaks another format
is translated into the API of its own (`/api/chat`), which says more: thoughts by themselves, whether to think, the size
of the context (`num_ctx`) and `keep_alive`, options such as `top_k`, and tool calls that are always whole.
`ollama/…` and `ollama_chat/…` are the same.

https://docs.ollama.com/api/chat, https://docs.ollama.com/api/openai-compatibility (checked 2026-11-26).
"""

from __future__ import annotations

from typing_extensions import override

from tollway.core.snapshot import OPERATIONS, Operation
from tollway.providers._address import Location, locate
from tollway.providers._kit import CHAT, COMPLETIONS, EMBEDDINGS, OLLAMA, ConnectionParams, Provider

_NATIVE_ENDS = ("/api/chat", "/api/generate", "/api")
"""How the base is written where the compatible endpoints are not thought of."""


class Ollama(Provider, frozen=True, kw_only=True):
    """Both formats are below one address, with and without `/v1`."""

    @override
    def preference(self, params: ConnectionParams) -> tuple[Operation, ...]:
        return ("ollama", *(one for one in OPERATIONS if one != "ollama"))

    @override
    def locate(self, operation: Operation, base: str, params: ConnectionParams) -> Location:
        base = base.rstrip("/")
        native = next((base.removesuffix(end) for end in _NATIVE_ENDS if base.endswith(end)), None)
        if operation == "ollama":
            root = native if native is not None else base.removesuffix("/v1")
            return locate(root, "/api/chat", field=self._base_field, verify=params.verify)
        return super().locate(operation, base if native is None else f"{native}/v1", params)


PROVIDERS = (
    Ollama(
        name="ollama",
        title="Ollama",
        base_url="http://127.0.0.1:11434/v1",
        key_env=("OLLAMA_API_KEY",),
        base_env=("OLLAMA_API_BASE",),
        needs_key=False,
        bare_path="/v1",
        operations=OLLAMA | CHAT | COMPLETIONS | EMBEDDINGS,
        docs="https://docs.ollama.com/api/chat",
        checked="2026-11-26",
    ),
)
