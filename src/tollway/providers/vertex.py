"""Google Vertex AI: Gemini in its own format, Claude in Anthropic's.

Sources: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference,
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude (2026-11-26). Claude's model
is in the path and its API version in the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from typing_extensions import override

from tollway.core.errors import Misconfigured
from tollway.core.snapshot import CredentialHeaders, Endpoint, Operation
from tollway.providers._address import Location, locate
from tollway.providers._google import GoogleCredentials, google_credentials
from tollway.providers._kit import GEMINI, MESSAGES, ConnectionParams, Provider, text
from tollway.providers._token import TokenSource

_DEFAULT_LOCATION = "us-central1"
_CLAUDE_VERSION = "vertex-2023-10-16"
_PROJECT = ("VERTEXAI_PROJECT", "DEFAULT_VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT")
_LOCATION = ("VERTEXAI_LOCATION", "VERTEX_LOCATION", "DEFAULT_VERTEXAI_LOCATION", "GOOGLE_CLOUD_LOCATION")


class VertexAI(Provider, frozen=True, kw_only=True):
    """The publisher of a model decides how it is asked."""

    @override
    def endpoints(self, params: ConnectionParams) -> dict[Operation, Endpoint]:
        whole, streamed, operation = _methods(params.model)
        base = self.base(params)
        endpoint = self._method(whole, base, params).endpoint(self.headers(params), self.credential(params))
        counting = self._method("countTokens", base, params).beside(endpoint) if operation == "gemini" else None
        streams = self._method(streamed, base, params).beside(endpoint)
        return {operation: msgspec.structs.replace(endpoint, for_streams=streams, for_counting=counting)}

    @override
    def base(self, params: ConnectionParams) -> str:
        configured = self.configured_base(params)
        if configured:
            return configured
        location = _location(params)
        host = "aiplatform.googleapis.com" if location == "global" else f"{location}-aiplatform.googleapis.com"
        return f"https://{host}/v1"

    @override
    def authorization(self, params: ConnectionParams) -> dict[str, str]:
        return {}

    @override
    def credential(self, params: ConnectionParams) -> CredentialHeaders:
        return TokenSource(_credentials(params).fetch)

    @override
    def missing(self, params: ConnectionParams) -> str | None:
        return None  # the machine itself may have an identity

    @override
    def is_in(self, environ: Mapping[str, str]) -> bool:
        has_project = any(text(environ.get(name)) for name in _PROJECT)
        has_credentials = bool(text(environ.get("GOOGLE_APPLICATION_CREDENTIALS")))
        return super().is_in(environ) or (has_project and has_credentials)

    @override
    def seals(self, model: str) -> frozenset[str]:
        return frozenset({"anthropic" if _is_claude(model) else "gemini"})

    @override
    def refuses(self, model: str) -> frozenset[str]:
        return frozenset({"model"}) if _is_claude(model) else frozenset()

    @override
    def sets(self, model: str) -> dict[str, Any]:
        return {"anthropic_version": _CLAUDE_VERSION} if _is_claude(model) else {}

    def _method(self, method: str, base: str, params: ConnectionParams) -> Location:
        publisher = "anthropic" if _is_claude(params.model) else "google"
        path = "/".join(
            (
                "/projects",
                quote(_project(params), safe=""),
                "locations",
                quote(_location(params), safe=""),
                "publishers",
                publisher,
                "models",
                f"{quote(params.model, safe='@')}:{method}",
            )
        )
        query = "alt=sse" if method == "streamGenerateContent" else ""
        return locate(base, path, field=self._base_field, verify=params.verify, query=query)


def _is_claude(model: str) -> bool:
    return "claude" in model


def _methods(model: str) -> tuple[str, str, Operation]:
    if _is_claude(model):
        return "rawPredict", "streamRawPredict", "messages"
    return "generateContent", "streamGenerateContent", "gemini"


def _credentials(params: ConnectionParams) -> GoogleCredentials:
    given = text(params.extra.get("vertex_credentials"))
    return google_credentials(given, params.environ, params.verify, may_use_machine=params.may_use_machine)


def _project(params: ConnectionParams) -> str:
    found = text(params.extra.get("vertex_project")) or _first(params, _PROJECT) or _credentials(params).project
    if not found:
        raise Misconfigured(
            f"vertex_ai: no project is known; set vertex_project or {_PROJECT[0]}", param="vertex_project"
        )
    return found


def _location(params: ConnectionParams) -> str:
    return text(params.extra.get("vertex_location")) or _first(params, _LOCATION) or _DEFAULT_LOCATION


def _first(params: ConnectionParams, names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := text(params.environ.get(name)))), None)


PROVIDERS = (
    VertexAI(
        name="vertex_ai",
        title="Google Vertex AI",
        base_url="https://us-central1-aiplatform.googleapis.com/v1",
        base_env=("VERTEXAI_API_BASE",),
        needs_key=False,
        auth="none",
        operations=GEMINI | MESSAGES,
        cloud="google",
        more_params=("vertex_project", "vertex_location", "vertex_credentials"),
        docs="https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
        checked="2026-11-26",
    ),
)
