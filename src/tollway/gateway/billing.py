"""What a call is billed by that the usage in its answer does not say: the service tier, and the vendor's own tools."""

from __future__ import annotations

import msgspec

from tollway.core.price import Price
from tollway.core.snapshot import Deployment
from tollway.core.usage import SearchContext, ServiceTier, ToolUse, Usage, in_tier, service_tier_of
from tollway.dialects.body import Request
from tollway.gateway.call import Call

SEARCH_OPTIONS = "web_search_options"
"""Of chat completions: the answer says nothing of the search that they ask for, which is always one."""


def complete_usage(call: Call, deployment: Deployment, usage: Usage, known: Usage) -> Usage:
    """The usage with all that the deployment's price depends on, of what the answer left open.

    `known`: what the provider said before it. A tier that it did not name is the one it was asked for.
    """
    price = deployment.price
    if not usage.total_tokens:
        return usage
    if price.service_tiers and not usage.service_tier:
        usage = in_tier(usage, known.service_tier)
        if not usage.service_tier and may_change_tier(call.request, deployment):
            usage = in_tier(usage, _asked(call).tier)
    if price.tools is None:
        return usage
    tools = usage.tools or _asked_to_search(call, deployment)
    if tools is not None and tools.web_searches and _depends_on_context(price):
        tools = msgspec.structs.replace(tools, search_context=_asked(call).search_context)
    return usage if tools is usage.tools else msgspec.structs.replace(usage, tools=tools)


def may_change_tier(request: Request, deployment: Deployment) -> bool:
    """Whether the call can end in another service tier than the standard, by what it or the operator asks for."""
    for fields in (deployment.overrides, request.fields, deployment.defaults):
        said = fields.get("service_tier") or fields.get("serviceTier")
        if said is not None:
            return bytes(said).strip(b' "').lower() not in _STANDARD_TIERS
    return False


_STANDARD_TIERS = frozenset({b"", b"null", b"default", b"standard", b"standard_only"})


def _asked_to_search(call: Call, deployment: Deployment) -> ToolUse | None:
    """The search of a chat completion that was asked for one."""
    conversation = call.conversation
    if conversation is None or conversation.operation != "chat":
        return None
    if call.operation == "chat":
        asks = (
            SEARCH_OPTIONS in call.request.fields
            or SEARCH_OPTIONS in deployment.defaults
            or SEARCH_OPTIONS in deployment.overrides
        )
    else:
        asks = b'"web_search_options"' in call.upstream_body
    return ToolUse(web_searches=1) if asks and _asked(call).searches else None


def _depends_on_context(price: Price) -> bool:
    return price.tools is not None and len(set(price.tools.web_search.values())) > 1


class _Options(msgspec.Struct, gc=False):
    search_context_size: str | None = None


class _Named(msgspec.Struct, gc=False):
    type: str | None = None


class _Asked(msgspec.Struct, gc=False):
    """What was asked for, in the formats that can ask for it."""

    service_tier: str | None = None
    serviceTier: str | _Named | None = None  # noqa: N815  (Gemini's and Bedrock's name)
    web_search_options: _Options | None = None
    tools: list[_Options] | None = None

    @property
    def tier(self) -> ServiceTier:
        """The service tier; empty where nobody asked for one."""
        other = self.serviceTier
        return service_tier_of(self.service_tier or (other.type if isinstance(other, _Named) else other))

    @property
    def searches(self) -> bool:
        """Whether a chat completion is to search."""
        return self.web_search_options is not None

    @property
    def search_context(self) -> SearchContext:
        """How much is to be read; vendors take `medium` where nothing is said."""
        options = [*([self.web_search_options] if self.web_search_options else []), *(self.tools or [])]
        said = next((one.search_context_size for one in options if one.search_context_size), None)
        return _CONTEXTS.get(said or "", "medium")


_CONTEXTS: dict[str, SearchContext] = {"low": "low", "high": "high"}
_decode_asked = msgspec.json.Decoder(_Asked).decode
_NOTHING = _Asked()


def _asked(call: Call) -> _Asked:
    try:
        return _decode_asked(call.upstream_body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NOTHING
