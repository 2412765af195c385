"""Amazon Bedrock: Converse, and InvokeModel for Claude in Anthropic's format; calls are signed or carry a key.

Endpoints: https://docs.aws.amazon.com/general/latest/gr/bedrock.html. Keys:
https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html. Checked 2026-11-26.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec
from typing_extensions import override

from tollway.core.errors import Misconfigured
from tollway.core.snapshot import CredentialHeaders, Endpoint, Operation
from tollway.providers._address import Location, locate
from tollway.providers._aws import ENVIRONMENT, domain, key_source, names_identity, option, region_of_profile
from tollway.providers._kit import CONVERSE, EMBEDDINGS, MESSAGES, ConnectionParams, Provider, text
from tollway.providers._sigv4 import Signer

DEFAULT_REGION = "us-west-2"
"""Where nobody names one: existing configurations count on it."""

_ROUTES = re.compile(r"^(converse|converse_like|invoke|llama|deepseek_r1|nova|qwen3|openai|moonshot)/")
"""What existing configurations put before a model to say how it is called. It is called by Converse, but for Claude in
its own format: callers of that get it as it is, and `invoke/` asks for it whoever calls."""
_REGION = re.compile(r"^([a-z]{2}(?:-[a-z]+)+-\d)/")
_ARN_REGION = re.compile(r"^arn:aws[^:]*:[a-z-]+:([a-z0-9-]+):")
_EMBEDDING = re.compile(r"amazon\.titan-embed-text|amazon\.titan-embed-g1-text|cohere\.embed-")
_VERSION = "bedrock-2023-05-31"
_GEOGRAPHY = re.compile(r"^(?:us|us-gov|eu|apac|jp|au|ca|in|sa|af|il|me|mx|global)\.(?=anthropic\.)")
"""Of profiles across regions. Tokens are counted by the model itself."""
_OF_ANTHROPIC_ALONE = frozenset({"service_tier", "container", "mcp_servers", "inference_geo"})
"""Fields of the Messages API that Amazon does not take."""
_CLAUDE = re.compile(r"claude|:application-inference-profile/|:provisioned-model/")
"""Claude, and what has a number for a name and may well be Claude."""

_MORE_PARAMS = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_region_name",
    "aws_role_name",
    "aws_session_name",
    "aws_external_id",
    "aws_web_identity_token",
    "aws_profile_name",
    "aws_sts_endpoint",
    "aws_bedrock_runtime_endpoint",
)


class Bedrock(Provider, frozen=True, kw_only=True):
    """The model is in the path, the region in the host, and the signature covers both."""

    @override
    def configured_base(self, params: ConnectionParams) -> str | None:
        return text(params.extra.get("aws_bedrock_runtime_endpoint")) or super().configured_base(params)

    @override
    def base(self, params: ConnectionParams) -> str:
        configured = self.configured_base(params)
        if configured:
            return configured
        name = region(params)
        return f"https://bedrock-runtime.{name}.{domain(name)}"

    @override
    def preference(self, params: ConnectionParams) -> tuple[Operation, ...]:
        # What has to be translated goes to Converse, which is documented for all models; what need not be, does not.
        if _EMBEDDING.search(params.model):
            return ("embeddings",)
        route = _route(params.model)
        if route == "invoke" and _CLAUDE.search(params.model):
            return ("messages",)
        is_claude = "claude" in params.model and route is None
        return ("converse", "messages") if is_claude else ("converse",)

    @override
    def locate(self, operation: Operation, base: str, params: ConnectionParams) -> Location:
        return self._method("converse" if operation == "converse" else "invoke", base, params)

    @override
    def complete(self, operation: Operation, endpoint: Endpoint, base: str, params: ConnectionParams) -> Endpoint:
        if operation == "embeddings":
            return msgspec.structs.replace(endpoint, wrapping="amazon")
        is_own = operation == "messages"
        streams = self._method("invoke-with-response-stream" if is_own else "converse-stream", base, params)
        counting = self._counting(base, params)
        found = msgspec.structs.replace(
            endpoint,
            for_streams=streams.beside(endpoint),
            for_counting=counting.beside(endpoint) if counting is not None else None,
        )
        if not is_own:
            return found
        return msgspec.structs.replace(
            found,
            wrapping="amazon",
            sets={"anthropic_version": msgspec.Raw(msgspec.json.encode(_VERSION))},
            omits=frozenset({"model", "stream"}) | _OF_ANTHROPIC_ALONE,
        )

    def _counting(self, base: str, params: ConnectionParams) -> Location | None:
        """Where tokens are counted: for Claude, by the model's own id."""
        name = _GEOGRAPHY.sub("", model_id(params.model))
        if not name.startswith("anthropic."):
            return None
        path = f"/model/{quote(name, safe='')}/count-tokens"
        return locate(base, path, field=self._base_field, verify=params.verify)

    @override
    def key(self, params: ConnectionParams) -> str | None:
        # Credentials of the deployment go before a key that merely lies in the environment.
        given = text(params.api_key)
        return given if given or names_identity(params) else super().key(params)

    @override
    def credential(self, params: ConnectionParams) -> CredentialHeaders | None:
        if self.authorization(params):
            return None
        source = key_source(params, region(params))
        if source is None:
            return super().credential(params)
        return Signer(source, region=region(params), service="bedrock")

    @override
    def missing(self, params: ConnectionParams) -> str | None:
        if self.authorization(params) or key_source(params, region(params)) is not None:
            return None
        if any(name.lower() == "authorization" for name in params.headers):
            return None
        return (
            f"{self.name}: no credential; set one of {', '.join(('api_key', *self.key_env))}, aws_access_key_id with "
            "aws_secret_access_key, aws_profile_name, or aws_role_name with aws_web_identity_token"
        )

    @override
    def is_in(self, environ: Mapping[str, str]) -> bool:
        # Keys alone may be there for anything; with a region they are meant to be used.
        has_keys = all(text(environ.get(name)) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
        has_region = any(text(environ.get(name)) for name in ENVIRONMENT["aws_region_name"])
        return super().is_in(environ) or (has_keys and has_region)

    @override
    def upstream_model(self, model: str) -> str:
        return model_id(model)

    @override
    def seals(self, model: str) -> frozenset[str]:
        return frozenset({"anthropic"}) if _CLAUDE.search(model) else frozenset()

    def _method(self, method: str, base: str, params: ConnectionParams) -> Location:
        path = f"/model/{quote(model_id(params.model), safe='')}/{method}"
        return locate(base, path, field=self._base_field, verify=params.verify)


def model_id(model: str) -> str:
    """The id in the path: without what says how and where to call it."""
    return _REGION.sub("", _ROUTES.sub("", _REGION.sub("", model)))


def _route(model: str) -> str | None:
    """What the name says of how it is called."""
    found = _ROUTES.match(model) or _ROUTES.match(_REGION.sub("", model))
    return found[1] if found else None


def region(params: ConnectionParams) -> str:
    """The region: of the model's name, the deployment, the model's ARN, the environment; else the default."""
    named = _REGION.match(params.model) or _REGION.match(_ROUTES.sub("", params.model))
    if named:
        return named[1]
    given = text(params.extra.get("aws_region_name"))
    arn = _ARN_REGION.match(model_id(params.model))
    found = given or (arn[1] if arn else None) or option(params, "aws_region_name")
    found = found or region_of_profile(params) or DEFAULT_REGION
    if not re.fullmatch(r"[a-z0-9-]+", found):
        raise Misconfigured(f"bedrock: {found!r} cannot be the name of a region", param="aws_region_name")
    return found


PROVIDERS = (
    Bedrock(
        name="bedrock",
        title="Amazon Bedrock",
        base_url=f"https://bedrock-runtime.{DEFAULT_REGION}.amazonaws.com",
        key_env=("AWS_BEARER_TOKEN_BEDROCK",),
        base_env=("AWS_BEDROCK_RUNTIME_ENDPOINT",),
        cloud="amazon",
        operations=CONVERSE | MESSAGES | EMBEDDINGS,
        more_params=_MORE_PARAMS,
        docs="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
        checked="2026-11-26",
    ),
)
