"""Google's Gemini API with an API key: generateContent, and OpenAI's embeddings."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from typing_extensions import override

from tollway.core.snapshot import Endpoint, Operation
from tollway.providers._address import Location, locate
from tollway.providers._kit import EMBEDDINGS, GEMINI, ConnectionParams, Provider

_KEY = "x-goog-api-key"
"""The part of the API that is compatible with OpenAI's takes the key as a bearer token instead."""


class Gemini(Provider, frozen=True, kw_only=True):
    """The model and the method are in the path; the key goes into a header, never into the URL."""

    @override
    def locate(self, operation: Operation, base: str, params: ConnectionParams) -> Location:
        if operation == "gemini":
            return self._method("generateContent", base, params)
        root = base.rstrip("/")
        tail = "/embeddings" if root.endswith("/openai") else "/openai/embeddings"
        return locate(root, tail, field=self._base_field, verify=params.verify)

    @override
    def complete(self, operation: Operation, endpoint: Endpoint, base: str, params: ConnectionParams) -> Endpoint:
        if operation != "gemini":
            headers = tuple((_bearer(value) if name == _KEY else (name, value)) for name, value in endpoint.headers)
            return msgspec.structs.replace(endpoint, headers=headers)
        streams = self._method("streamGenerateContent", base, params, query="alt=sse")
        counting = self._method("countTokens", base, params)
        return msgspec.structs.replace(
            endpoint, for_streams=streams.beside(endpoint), for_counting=counting.beside(endpoint)
        )

    @override
    def authorization(self, params: ConnectionParams) -> dict[str, str]:
        key = self.key(params)
        return {_KEY: key} if key else {}

    @override
    def seals(self, model: str) -> frozenset[str]:
        return frozenset({"gemini"})

    def _method(self, method: str, base: str, params: ConnectionParams, *, query: str = "") -> Location:
        root = base.rstrip("/").removesuffix("/openai")
        model = quote(params.model.removeprefix("models/"), safe="")
        return locate(root, f"/models/{model}:{method}", field=self._base_field, verify=params.verify, query=query)


def _bearer(key: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {key}"


PROVIDERS = (
    Gemini(
        name="gemini",
        title="Google Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        base_env=("GEMINI_API_BASE",),
        bare_path="/v1beta",
        operations=GEMINI | EMBEDDINGS,
        docs="https://ai.google.dev/api/generate-content",
        checked="2026-11-26",
    ),
)
