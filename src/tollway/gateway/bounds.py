"""The most that a call can use of each side: what is reserved before it is sent."""

from __future__ import annotations

import re

from tollway.accounting.tokens import input_bound
from tollway.core.snapshot import Deployment, Operation, Settings
from tollway.dialects.body import Request
from tollway.gateway.billing import SEARCH_OPTIONS
from tollway.gateway.call import Call
from tollway.gateway.conversation import REFERENCES

_KEPT_PROMPTS: dict[Operation, frozenset[str]] = {
    "responses": frozenset(REFERENCES),
    "gemini": frozenset({"cachedContent", "cached_content"}),
}
"""Fields that stand for a part of the prompt which the provider keeps: it may be as long as the model reads."""
_LONGEST_PROMPT = 200_000


def prompt_bound(call: Call, deployment: Deployment) -> int:
    """Most tokens the prompt can have: what the body shows, and what it only names."""
    fields = call.request.fields
    bound = input_bound(call.raw_body, fields, model=deployment.model)
    kept = _KEPT_PROMPTS.get(call.operation)
    if kept is not None and not fields.keys().isdisjoint(kept):
        bound += deployment.max_input_tokens or _LONGEST_PROMPT
    return bound


_VENDORS_TOOL = re.compile(
    rb'"type"\s*:\s*"(?:web_search|file_search|code_interpreter)|"google_?[sS]earch(?:Retrieval)?"\s*:'
)
_MAX_USES = re.compile(rb'"max_uses"\s*:\s*(\d+)')
_USES_RESERVED = 10
"""Searches that are reserved for where nobody says how many a call may make."""


def tool_bound(request: Request) -> int:
    """How often a call may use tools of the vendor's that are billed: as it says itself, else what is usual."""
    fields = request.fields
    searches = 1 if SEARCH_OPTIONS in fields else 0
    tools = fields.get("tools")
    if tools is None or _VENDORS_TOOL.search(tools) is None:
        return searches
    limits = [int(digits[:6]) for digits in _MAX_USES.findall(tools)]
    if not limits and (calls := bytes(fields.get("max_tool_calls", b"")).strip()).isdigit():
        limits = [int(calls[:6])]
    return sum(limits) or _USES_RESERVED


def answer_bound(request: Request, deployment: Deployment, settings: Settings) -> int:
    """Most tokens the answer can have: the caller's limit, else the model's, capped unless reservations are strict."""
    limit = request.output_limit
    if limit is None:
        limit = deployment.max_output_tokens or settings.output_reservation_tokens
        if not settings.is_output_reservation_strict:
            limit = min(limit, settings.output_reservation_tokens)
    return limit * request.choices
