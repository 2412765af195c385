"""What every provider is made of: how a deployment's parameters become URLs and headers.

A provider is data (`Provider`); one that needs code subclasses it in a module of its own. Nothing here does I/O, and
the environment is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from typing_extensions import override

from tollway import __version__
from tollway.core.errors import Misconfigured, UpstreamError
from tollway.core.snapshot import (
    OPERATIONS,
    Cloud,
    CredentialHeaders,
    Endpoint,
    Operation,
    Origin,
    Trait,
    TransportName,
)
from tollway.providers._address import PATHS, Location, is_proxied, locate, merge_headers

CHAT: frozenset[Operation] = frozenset({"chat"})
COMPLETIONS: frozenset[Operation] = frozenset({"completions"})
EMBEDDINGS: frozenset[Operation] = frozenset({"embeddings"})
RESPONSES: frozenset[Operation] = frozenset({"responses"})
MESSAGES: frozenset[Operation] = frozenset({"messages"})
GEMINI: frozenset[Operation] = frozenset({"gemini"})
CONVERSE: frozenset[Operation] = frozenset({"converse"})
COHERE: frozenset[Operation] = frozenset({"cohere"})
OLLAMA: frozenset[Operation] = frozenset({"ollama"})

OPENAI_FIELDS: frozenset[Trait] = frozenset({"openai_fields"})
CACHE_HINTS: frozenset[Trait] = frozenset({"cache_hints"})
EARLIER_THOUGHTS: frozenset[Trait] = frozenset({"earlier_thoughts"})

Auth = Literal["bearer", "api-key", "none"]
"""Where the key goes: `Authorization: Bearer`, an `api-key` header, nowhere."""

_PLACEHOLDER = re.compile(r"\{([A-Z0-9_]+)\}")
_KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key"})


class ConnectionParams(msgspec.Struct, frozen=True, kw_only=True):
    """How one deployment wants to be called. `None` means: not configured, look in the environment."""

    model: str
    """What the provider calls it."""
    api_key: str | None = None
    api_base: str | None = None
    api_version: str | None = None
    organization: str | None = None
    headers: dict[str, str] = {}
    """Extra headers; they win over ours."""
    extra: Mapping[str, Any] = {}
    """Parameters of one vendor alone (`azure_ad_token`, `tenant_id`, …)."""
    verify: bool | str = True
    """False: do not check certificates; text: path of a CA bundle."""
    environ: Mapping[str, str] = {}
    may_use_machine: bool = True
    """Files and identities of the machine are there for it: not for a model that a team added, which says itself where
    its calls go."""

    @override
    def __repr__(self) -> str:
        """Names the target, never a secret."""
        return f"ConnectionParams(model={self.model!r})"


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor, and what it is asked in: OpenAI's formats unless `operations` says otherwise."""

    name: str
    """The prefix in `model: <name>/<model>`."""
    title: str
    base_url: str | None = None
    """Where the API is; `{NAME}` is filled in from the environment. None: the operator must say."""
    key_env: tuple[str, ...] = ()
    """Environment variables that hold the key; the first that is set counts."""
    base_env: tuple[str, ...] = ()
    """Environment variables that replace `base_url`."""
    needs_key: bool = True
    operations: frozenset[Operation] = CHAT
    auth: Auth = "bearer"
    bare_path: str = ""
    """Added to a configured base that is only scheme and host: servers whose users write it without `/v1`."""
    model_prefix: str = ""
    """Put before model names that hold no slash."""
    dropped: frozenset[str] = frozenset()
    """Body fields it refuses."""
    renamed: dict[str, str] = {}
    """Body fields it calls otherwise."""
    more_params: tuple[str, ...] = ()
    """Parameters of a connection that it takes besides a key and an address."""
    sends_stream_usage: bool = True
    """Understands `stream_options.include_usage`."""
    cloud: Cloud = "anthropic"
    traits: frozenset[Trait] = frozenset()
    """What its chat format has besides the usual."""
    transport: TransportName = "direct"
    docs: str
    """Where it says so."""
    checked: str = ""
    """When it was read (ISO date)."""

    def endpoints(self, params: ConnectionParams) -> dict[Operation, Endpoint]:
        """Where each operation of a deployment is called, credentials included.

        Raises `Misconfigured` when no base URL is known, or a URL or header cannot be used.
        """
        headers = self.headers(params)
        credential = self.credential(params)
        base = self.base(params)
        return {
            operation: self.complete(
                operation, self.locate(operation, base, params).endpoint(headers, credential), base, params
            )
            for operation in self.preference(params)
            if operation in self.operations
        }

    def preference(self, params: ConnectionParams) -> tuple[Operation, ...]:
        """Operations in the order in which they are asked for, where a caller's own format is not among them."""
        return OPERATIONS

    def complete(self, operation: Operation, endpoint: Endpoint, base: str, params: ConnectionParams) -> Endpoint:
        """An endpoint with what only this vendor has: other addresses for streams or counting, another header."""
        return endpoint

    def locate(self, operation: Operation, base: str, params: ConnectionParams) -> Location:
        """Where `operation` is, below `base`."""
        return locate(base, PATHS[operation], field=self._base_field, verify=params.verify)

    def base(self, params: ConnectionParams) -> str:
        """The base URL: the deployment's, else the environment's, else the vendor's."""
        configured = self.configured_base(params)
        if configured:
            return _with_bare_path(configured, self.bare_path)
        if self.base_url is None:
            remedy = " or ".join(("api_base", *self.base_env))
            raise Misconfigured(f"{self.name}: no address is known for this provider; set {remedy}", param="api_base")
        return self._fill(self.base_url, params.environ)

    def configured_base(self, params: ConnectionParams) -> str | None:
        """The base URL of the deployment or of the environment, if either names one."""
        return text(params.api_base) or _first(params.environ, self.base_env)

    def key(self, params: ConnectionParams) -> str | None:
        """The API key: the deployment's, else the environment's."""
        return text(params.api_key) or _first(params.environ, self.key_env)

    def headers(self, params: ConnectionParams) -> tuple[tuple[str, str], ...]:
        """Every header that does not change from call to call."""
        ours = {
            "Content-Type": "application/json",
            # Bytes are relayed as they come: compressed ones would only have to be unpacked again.
            "Accept-Encoding": "identity",
            "User-Agent": f"tollway/{__version__}",
        }
        ours.update(self.authorization(params))
        if params.organization:
            ours["OpenAI-Organization"] = params.organization
        return merge_headers(ours, params.headers, provider=self.name)

    def authorization(self, params: ConnectionParams) -> dict[str, str]:
        """The header of a credential that stays the same; empty if there is none."""
        key = self.key(params)
        if not key or self.auth == "none":
            return {}
        return {"Authorization": f"Bearer {key}"} if self.auth == "bearer" else {"api-key": key}

    def credential(self, params: ConnectionParams) -> CredentialHeaders | None:
        """Headers fetched before each attempt; None where `authorization` is all it takes.

        A call that `missing` knows to be hopeless is refused here, with the remedy, before it leaves the house.
        """
        message = self.missing(params)
        return _refuse(message) if message else None

    def missing(self, params: ConnectionParams) -> str | None:
        """What every call will fail for lack of, as a sentence for the operator; None if nothing.

        A server of the operator's own may well be open, so that only the vendor's address insists on a key.
        """
        if not self.needs_key or self.configured_base(params) or self.authorization(params):
            return None
        if any(name.lower() in _KEY_HEADERS for name in params.headers):
            return None
        return f"{self.name}: no API key; set {' or '.join(('api_key', *self.key_env))}"

    def upstream_model(self, model: str) -> str:
        """The name to put into the body for `<provider>/<model>`."""
        return model if "/" in model else self.model_prefix + model

    def refuses(self, model: str) -> frozenset[str]:
        """Body fields that a model is not sent."""
        return self.dropped

    def sets(self, model: str) -> dict[str, Any]:
        """Body fields that a model is always sent."""
        return {}

    def seals(self, model: str) -> frozenset[str]:
        """Whose sealed thoughts a model can open."""
        return frozenset()

    def understands_stream_usage(self, params: ConnectionParams) -> bool:
        """True if this deployment may be sent `stream_options.include_usage`."""
        return self.sends_stream_usage

    def transport_to(self, origin: Origin, environ: Mapping[str, str]) -> TransportName:
        """Who carries the bytes to `origin`: `proxied` where the environment names a proxy for it."""
        if self.transport == "direct" and is_proxied(origin, environ):
            return "proxied"
        return self.transport

    def is_in(self, environ: Mapping[str, str]) -> bool:
        """True if the environment alone says everything it takes to call this provider."""
        has_base = bool(_first(environ, self.base_env))
        if not self.needs_key:
            return has_base
        is_known = self.base_url is not None and all(environ.get(name) for name in _PLACEHOLDER.findall(self.base_url))
        return (has_base or is_known) and bool(_first(environ, self.key_env))

    @property
    def _base_field(self) -> str:
        return f"api_base of {self.name}"

    def _fill(self, template: str, environ: Mapping[str, str]) -> str:
        def value(match: re.Match[str]) -> str:
            found = text(environ.get(match[1]))
            if not found:
                raise Misconfigured(
                    f"{self.name}: the address needs {match[1]}; set it in the environment, or set api_base",
                    param="api_base",
                )
            return quote(found, safe="")

        return _PLACEHOLDER.sub(value, template)


def _with_bare_path(base: str, bare_path: str) -> str:
    """`http://host` -> `http://host/v1`, unless a path was written."""
    if bare_path and base.count("/") <= 3 and base.rstrip("/").count("/") == 2 and "?" not in base:
        return base.rstrip("/") + bare_path
    return base


def _refuse(message: str) -> CredentialHeaders:
    async def refuse(endpoint: Endpoint, body: bytes) -> tuple[tuple[str, str], ...]:
        raise UpstreamError(message, status=401, type="invalid_request_error", error_class="AuthenticationError")

    return refuse


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := text(environ.get(name)))), None)


def text(value: object) -> str | None:
    """A setting as text without the line break that a secret file ends in; None if nothing is left."""
    return str(value).strip() or None if value is not None else None
