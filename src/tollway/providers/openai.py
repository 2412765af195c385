"""OpenAI, and servers that are called as if they were OpenAI."""

from __future__ import annotations

import msgspec
from typing_extensions import override

from tollway.core.snapshot import OPERATIONS, Endpoint, Operation
from tollway.providers._address import locate
from tollway.providers._kit import CHAT, COMPLETIONS, EMBEDDINGS, OPENAI_FIELDS, RESPONSES, ConnectionParams, Provider


class OpenAI(Provider, frozen=True, kw_only=True):
    """Its newer API keeps thoughts between turns, so what has to be translated goes there."""

    @override
    def preference(self, params: ConnectionParams) -> tuple[Operation, ...]:
        """Servers behind another address mostly speak chat; the Responses API is for callers who ask for it."""
        if self.configured_base(params):
            return OPERATIONS
        return ("responses", *(one for one in OPERATIONS if one != "responses"))

    @override
    def complete(self, operation: Operation, endpoint: Endpoint, base: str, params: ConnectionParams) -> Endpoint:
        if operation != "responses":
            return endpoint
        counting = locate(base, "/responses/input_tokens", field=self._base_field, verify=params.verify)
        return msgspec.structs.replace(endpoint, for_counting=counting.beside(endpoint))

    @override
    def seals(self, model: str) -> frozenset[str]:
        return frozenset({"openai"})


PROVIDERS = (
    OpenAI(
        name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        key_env=("OPENAI_API_KEY",),
        base_env=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        traits=OPENAI_FIELDS,
        operations=CHAT | COMPLETIONS | EMBEDDINGS | RESPONSES,
        docs="https://platform.openai.com/docs/api-reference",
        checked="2026-11-26",
    ),
)
