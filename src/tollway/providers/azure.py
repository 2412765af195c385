"""Azure OpenAI and Azure AI Foundry: deployment URLs, the v1 API, and access tokens from Microsoft Entra ID.

URLs: https://learn.microsoft.com/azure/ai-foundry/openai/reference (deployments, `api-version`),
https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle (v1; checked 2026-11-24).
Claude in Foundry: https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry (2026-11-26).
Tokens: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.
"""

from __future__ import annotations

import asyncio
import re
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec
from typing_extensions import override

from tollway.core.errors import Misconfigured, UpstreamError
from tollway.core.snapshot import CredentialHeaders, Endpoint, Operation
from tollway.providers._address import PATHS, Location, locate
from tollway.providers._form import ask, secure_url
from tollway.providers._kit import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MESSAGES,
    OPENAI_FIELDS,
    RESPONSES,
    ConnectionParams,
    Provider,
    text,
)
from tollway.providers._token import Token, TokenSource

DEFAULT_VERSION = "2024-10-21"
"""The last dated version that is not a preview."""
FIRST_VERSION_WITH_STREAM_USAGE = "2024-09-01"
FIRST_VERSION_WITH_RESPONSES = "2025-03-01-preview"
FOUNDRY_VERSION = "2024-05-01-preview"
DEFAULT_SCOPE = "https://cognitiveservices.azure.com/.default"
DEFAULT_AUTHORITY = "https://login.microsoftonline.com"

_CLAUDE_VERSION = "2023-06-01"

_V1_VERSIONS = ("v1", "latest", "preview")
_IDENTITY = ("azure_ad_token", "tenant_id", "client_id", "client_secret")
_FOUNDRY_HOSTS = (".services.ai.azure.com", ".cognitiveservices.azure.com")


class Azure(Provider, frozen=True, kw_only=True):
    """What both services share: who signs in, and how."""

    @override
    def key(self, params: ConnectionParams) -> str | None:
        # Credentials of the deployment go before a key that merely lies in the environment.
        given = text(params.api_key)
        return given if given or _names_identity(params) else super().key(params)

    @override
    def authorization(self, params: ConnectionParams) -> dict[str, str]:
        if self.key(params):
            return super().authorization(params)
        token = _option(params, "azure_ad_token")
        if token and token.startswith("oidc/"):
            raise Misconfigured(
                f"{self.name}: azure_ad_token from an OIDC provider is not supported yet; "
                "use tenant_id, client_id and client_secret",
                param="azure_ad_token",
            )
        if token and not _names_client(params):
            return {"Authorization": f"Bearer {token}"}
        return {}

    @override
    def credential(self, params: ConnectionParams) -> CredentialHeaders | None:
        if self.authorization(params):
            return None
        client = client_credentials(params, provider=self.name)
        return TokenSource(client.fetch) if client else super().credential(params)

    @override
    def missing(self, params: ConnectionParams) -> str | None:
        if self.authorization(params) or client_credentials(params, provider=self.name):
            return None
        if any(name.lower() in ("authorization", "api-key", "x-api-key") for name in params.headers):
            return None
        keys = ", ".join(("api_key", *self.key_env))
        return (
            f"{self.name}: no credential; set one of {keys}, azure_ad_token, or tenant_id, client_id and client_secret"
        )


class AzureOpenAI(Azure, frozen=True, kw_only=True):
    """Models behind deployment URLs, or behind the v1 API where the base ends in `/openai/v1`."""

    @override
    def locate(self, operation: Operation, base: str, params: ConnectionParams) -> Location:
        field = f"api_base of {self.name}"
        path = urlsplit(base).path.rstrip("/")
        version = self.version(params)
        if path.endswith("/openai/v1") or version in _V1_VERSIONS:
            tail = PATHS[operation] if "/openai/v1" in path else f"/openai/v1{PATHS[operation]}"
            query = f"api-version={quote(version)}" if version in ("latest", "preview") else ""
            return locate(base, tail, field=field, verify=params.verify, query=query)
        query = "" if "api-version=" in urlsplit(base).query else f"api-version={quote(version)}"
        if operation == "responses":  # one address for all deployments: the body names the model
            return self._responses(base, path, version, params)
        if "/deployments/" in path:
            return locate(base, PATHS[operation], field=field, verify=params.verify, query=query)
        root = "" if path.endswith("/openai") else "/openai"
        tail = f"{root}/deployments/{quote(params.model, safe='')}{PATHS[operation]}"
        return locate(base, tail, field=field, verify=params.verify, query=query)

    def _responses(self, base: str, path: str, version: str, params: ConnectionParams) -> Location:
        root = base.partition("/deployments/")[0] if "/deployments/" in path else base
        prefix = "" if urlsplit(root).path.rstrip("/").endswith("/openai") else "/openai"
        field = f"api_base of {self.name}"
        if version < FIRST_VERSION_WITH_RESPONSES:
            return locate(root, f"{prefix}/v1/responses", field=field, verify=params.verify)
        query = f"api-version={quote(version)}"
        return locate(root, f"{prefix}/responses", field=field, verify=params.verify, query=query)

    @override
    def understands_stream_usage(self, params: ConnectionParams) -> bool:
        version = self.version(params)
        return version in _V1_VERSIONS or version >= FIRST_VERSION_WITH_STREAM_USAGE

    def version(self, params: ConnectionParams) -> str:
        """The API version: the deployment's, else the environment's, else the default."""
        return text(params.api_version) or text(params.environ.get("AZURE_API_VERSION")) or DEFAULT_VERSION


class AzureFoundry(Azure, frozen=True, kw_only=True):
    """Models behind one endpoint that routes by the body's `model`; Claude behind one of Anthropic's format."""

    @override
    def preference(self, params: ConnectionParams) -> tuple[Operation, ...]:
        if self._is_claude(params):
            return ("messages",)
        return tuple(operation for operation in super().preference(params) if operation != "messages")

    @override
    def seals(self, model: str) -> frozenset[str]:
        return frozenset({"anthropic"}) if "claude" in model.lower() else frozenset()

    @override
    def complete(self, operation: Operation, endpoint: Endpoint, base: str, params: ConnectionParams) -> Endpoint:
        if operation != "messages":
            return endpoint
        counting = self._located(base, "/messages/count_tokens", params)
        return msgspec.structs.replace(endpoint, for_counting=counting.beside(endpoint))

    def _is_claude(self, params: ConnectionParams) -> bool:
        """By its name; a deployment that is called otherwise has an address that says so."""
        return "claude" in params.model.lower() or "/anthropic" in urlsplit(self.configured_base(params) or "").path

    @override
    def base(self, params: ConnectionParams) -> str:
        base = super().base(params)
        parts = urlsplit(base)
        if self._is_claude(params):
            return _anthropic_base(base)
        if parts.path.strip("/"):
            return base
        return base.rstrip("/") + ("/models" if (parts.hostname or "").endswith(_FOUNDRY_HOSTS) else "/v1")

    @override
    def locate(self, operation: Operation, base: str, params: ConnectionParams) -> Location:
        return self._located(base, PATHS[operation], params)

    def _located(self, base: str, path: str, params: ConnectionParams) -> Location:
        parts = urlsplit(base)
        is_models = "/models" in parts.path and "api-version=" not in parts.query
        query = f"api-version={quote(text(params.api_version) or FOUNDRY_VERSION)}" if is_models else ""
        return locate(base, path, field=f"api_base of {self.name}", verify=params.verify, query=query)

    @override
    def headers(self, params: ConnectionParams) -> tuple[tuple[str, str], ...]:
        found = super().headers(params)
        if not self._is_claude(params) or any(name.lower() == "anthropic-version" for name, _ in found):
            return found
        return (*found, ("anthropic-version", _CLAUDE_VERSION))

    @override
    def authorization(self, params: ConnectionParams) -> dict[str, str]:
        ours = super().authorization(params)
        if self._is_claude(params):
            return {"x-api-key": ours["api-key"]} if "api-key" in ours else ours
        host = urlsplit(self.configured_base(params) or "").hostname or ""
        if "api-key" in ours and not host.endswith(".azure.com"):
            return {"Authorization": f"Bearer {ours['api-key']}"}  # serverless endpoints take the key as a bearer token
        return ours


def _anthropic_base(base: str) -> str:
    """Where Claude is: beside the other models of a resource, or where the operator says."""
    parts = urlsplit(base)
    path = parts.path.rstrip("/").removesuffix("/messages").removesuffix("/v1").removesuffix("/models")
    if not path.endswith("/anthropic"):
        path += "/anthropic"
    return urlunsplit(parts._replace(path=f"{path}/v1"))


class ClientCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """A service principal that signs in with a secret."""

    url: str
    client_id: str
    client_secret: str
    scope: str
    verify: bool | str

    @override
    def __repr__(self) -> str:
        """Names the application, not its secret."""
        return f"ClientCredentials({self.url!r}, {self.client_id!r})"

    async def fetch(self) -> Token:
        """One POST to the token endpoint. Raises `UpstreamError`."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": self.scope,
        }
        # Once an hour: a thread and the standard library do, and they know the machine's proxy.
        status, body = await asyncio.to_thread(
            ask,
            self.url,
            urlencode(form).encode(),
            service="The Microsoft Entra token endpoint",
            check="AZURE_AUTHORITY_HOST",
            verify=self.verify,
        )
        answer = _decode(body)
        token, lifetime = answer.get("access_token"), answer.get("expires_in")
        if status == 200 and isinstance(token, str) and re.fullmatch(r"[\x21-\x7e]+", token):
            return Token(token, _seconds(lifetime))
        raise _sign_in_error(status, answer)


def client_credentials(params: ConnectionParams, *, provider: str) -> ClientCredentials | None:
    """The service principal that deployment or environment name; None unless all three parts are there."""
    tenant, client_id, secret = (_option(params, name) for name in ("tenant_id", "client_id", "client_secret"))
    if not (tenant and client_id and secret):
        return None
    return ClientCredentials(
        url=_token_url(text(params.environ.get("AZURE_AUTHORITY_HOST")) or DEFAULT_AUTHORITY, tenant, provider),
        client_id=client_id,
        client_secret=secret,
        scope=_option(params, "azure_scope") or DEFAULT_SCOPE,
        verify=params.verify,
    )


_ENVIRONMENT = {
    "azure_ad_token": "AZURE_AD_TOKEN",
    "tenant_id": "AZURE_TENANT_ID",
    "client_id": "AZURE_CLIENT_ID",
    "client_secret": "AZURE_CLIENT_SECRET",
    "azure_scope": "AZURE_SCOPE",
}


def _option(params: ConnectionParams, name: str) -> str | None:
    return text(params.extra.get(name)) or text(params.environ.get(_ENVIRONMENT[name]))


def _names_client(params: ConnectionParams) -> bool:
    """True if the deployment itself, not the environment, names a service principal."""
    is_named = any(text(params.extra.get(name)) for name in ("tenant_id", "client_id", "client_secret"))
    return is_named and not text(params.extra.get("azure_ad_token"))


def _names_identity(params: ConnectionParams) -> bool:
    return bool(text(params.extra.get("azure_ad_token"))) or _names_client(params)


def _token_url(authority: str, tenant: str, provider: str) -> str:
    return secure_url(
        authority, f"/{quote(tenant, safe='')}/oauth2/v2.0/token", field=f"AZURE_AUTHORITY_HOST of {provider}"
    )


def _decode(body: bytes) -> dict[str, object]:
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _seconds(lifetime: object) -> float:
    try:
        return max(0.0, float(str(lifetime)))
    except ValueError:
        return 0.0


def _sign_in_error(status: int, answer: dict[str, object]) -> UpstreamError:
    """Names the endpoint's error codes; its prose stays out, for it may repeat what was sent."""
    code = re.search(r"AADSTS\d+", str(answer.get("error_description", "")))
    error = re.fullmatch(r"[a-z_]{1,40}", str(answer.get("error", "")))
    why = ", ".join(match[0] for match in (error, code) if match) or "no usable answer"
    is_ours = 400 <= status < 500
    return UpstreamError(
        f"Microsoft Entra ID gave no access token (HTTP {status}: {why}); "
        "check tenant_id, client_id, client_secret and azure_scope",
        status=401 if is_ours else 503,
        error_class="AuthenticationError" if is_ours else "ServiceUnavailableError",
        is_retryable=not is_ours,
        upstream_status=status,
    )


PROVIDERS = (
    AzureOpenAI(
        name="azure",
        title="Azure OpenAI",
        key_env=("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
        base_env=("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"),
        operations=CHAT | COMPLETIONS | EMBEDDINGS | RESPONSES,
        traits=OPENAI_FIELDS,
        auth="api-key",
        more_params=("api_version", *_IDENTITY),
        docs="https://learn.microsoft.com/azure/ai-foundry/openai/reference",
        checked="2026-11-24",
    ),
    AzureFoundry(
        name="azure_ai",
        title="Azure AI Foundry",
        key_env=("AZURE_AI_API_KEY",),
        base_env=("AZURE_AI_API_BASE",),
        operations=CHAT | EMBEDDINGS | MESSAGES,
        auth="api-key",
        more_params=_IDENTITY,
        sends_stream_usage=False,
        docs="https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints",
        checked="2026-11-24",
    ),
)
