"""Flags of the `anthropic-beta` header, and which of those who serve Anthropic's models take them.

Anthropic takes every flag it knows, and clients of each month send new ones: they pass. Bedrock and Vertex answer 400
to a flag they do not know, so they get those that are known to work there, under the name they have there. A flag
that has become the default everywhere is dropped there too: newer models refuse it.

Sources, checked 2026-11-26: the SDK's `AnthropicBetaParam`; Bedrock's page "Anthropic Claude Messages API" (request
field `anthropic_beta`); reports of what is refused (anthropics/claude-code#21625, #34802, #49370, #56595;
BerriAI/litellm#19877; QuantumNous/new-api#2975; vercel/ai#14542).
"""

from __future__ import annotations

from tollway.core.snapshot import Cloud

_BOTH: frozenset[Cloud] = frozenset({"amazon", "google"})
_AMAZON: frozenset[Cloud] = frozenset({"amazon"})
_NEITHER: frozenset[Cloud] = frozenset()

FLAGS: dict[str, frozenset[Cloud]] = {
    # flag without its date: the clouds that take it; Anthropic takes them all
    "interleaved-thinking": _BOTH,
    "context-1m": _BOTH,
    "context-management": _BOTH,
    "computer-use": _BOTH,
    "token-efficient-tools": _BOTH,
    "output-128k": _BOTH,
    "dev-full-thinking": _BOTH,
    "tool-search-tool": _BOTH,
    "compact": _BOTH,
    "tool-examples": _AMAZON,
    "effort": _AMAZON,
    "fine-grained-tool-streaming": _NEITHER,
    # Of the first-party API alone.
    "claude-code": _NEITHER,
    "oauth": _NEITHER,
    "prompt-caching": _NEITHER,
    "prompt-caching-scope": _NEITHER,
    "extended-cache-ttl": _NEITHER,
    "structured-outputs": _NEITHER,
    "files-api": _NEITHER,
    "mcp-client": _NEITHER,
    "mcp-servers": _NEITHER,
    "code-execution": _NEITHER,
    "skills": _NEITHER,
    "web-fetch": _NEITHER,
    "web-search": _NEITHER,
    "adaptive-thinking": _NEITHER,
    "fast-mode": _NEITHER,
    "redact-thinking": _NEITHER,
    "message-batches": _NEITHER,
    "pdfs": _NEITHER,
    "token-counting": _NEITHER,
    "task-budgets": _NEITHER,
}

_RENAMED: dict[str, str] = {"advanced-tool-use": "tool-search-tool-2025-10-19"}
"""Tool search goes by a name of its own at the clouds
(https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool)."""


def filter_betas(header: str, kind: Cloud) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The flags to send on, and those that are dropped. `header`: names separated by commas, as clients send them."""
    flags = dict.fromkeys(name for part in header.split(",") if (name := part.strip()))
    if kind == "anthropic":
        return tuple(flags), ()
    kept: dict[str, None] = {}
    dropped: list[str] = []
    for flag in flags:
        family = _family(flag)
        if family in _RENAMED:
            kept[_RENAMED[family]] = None
        elif kind in FLAGS.get(family, _NEITHER):
            kept[flag] = None
        else:
            dropped.append(flag)
    return tuple(kept), tuple(dropped)


def _family(flag: str) -> str:
    """A flag without its date: `context-1m-2025-08-07` and `claude-code-20250219` alike."""
    words = flag.split("-")
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    return "-".join(words)
