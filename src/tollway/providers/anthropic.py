"""Anthropic: the Messages API."""

from __future__ import annotations

import msgspec
from typing_extensions import override

from tollway.core.snapshot import Endpoint, Operation
from tollway.providers._address import locate
from tollway.providers._kit import MESSAGES, ConnectionParams, Provider

_VERSION = "2023-06-01"
"""https://platform.claude.com/docs/en/api/versioning"""


class Anthropic(Provider, frozen=True, kw_only=True):
    """Takes its key in a header of its own, OAuth tokens as bearer."""

    @override
    def authorization(self, params: ConnectionParams) -> dict[str, str]:
        key = self.key(params)
        version = {"anthropic-version": _VERSION}
        if not key:
            return version if self._has_own_credential(params) else {}
        if key.startswith("sk-ant-oat"):
            return {"Authorization": f"Bearer {key}", **version}
        return {"x-api-key": key, **version}

    @override
    def complete(self, operation: Operation, endpoint: Endpoint, base: str, params: ConnectionParams) -> Endpoint:
        counting = locate(base, "/messages/count_tokens", field=self._base_field, verify=params.verify)
        return msgspec.structs.replace(endpoint, for_counting=counting.beside(endpoint))

    @override
    def seals(self, model: str) -> frozenset[str]:
        return frozenset({"anthropic"})

    def _has_own_credential(self, params: ConnectionParams) -> bool:
        return bool(self.configured_base(params)) or any(
            name.lower() in ("authorization", "x-api-key") for name in params.headers
        )


PROVIDERS = (
    Anthropic(
        name="anthropic",
        title="Anthropic",
        base_url="https://api.anthropic.com/v1",
        key_env=("ANTHROPIC_API_KEY",),
        base_env=("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
        bare_path="/v1",
        operations=MESSAGES,
        docs="https://platform.claude.com/docs/en/api/messages",
        checked="2026-11-26",
    ),
)
