"""A request in the middle form. It models the union of what the dialects can say, so that little is lost.

What no field is made for stays as it came: `Opaque` parts and tools, and `extra` keys, each with the dialect it is in.
They are written back verbatim into that dialect, and are a loss in any other.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Json = msgspec.Raw
"""A JSON value as bytes: schemas and the like, which nobody has to look into."""

DialectName = Literal["chat", "responses", "messages", "gemini", "converse", "cohere", "ollama"]
Role = Literal["system", "user", "assistant"]
MediaKind = Literal["image", "audio", "video", "file"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Seal(msgspec.Struct, frozen=True, gc=False):
    """What a vendor wants back unread on the next turn: a signature, encrypted reasoning, a thought signature."""

    origin: str
    """Who can open it: `anthropic`, `openai`, `gemini`, …"""
    data: str


class CacheHint(msgspec.Struct, frozen=True, gc=False):
    """Everything up to here may be kept by the provider for the next call."""

    ttl: Literal["5m", "1h"] | None = None
    """None: as long as the provider does when it is told nothing."""


class Citation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where a piece of text comes from."""

    url: str | None = None
    title: str | None = None
    cited_text: str | None = None
    start: int | None = None
    """Characters of the text it supports."""
    end: int | None = None
    origin: DialectName | None = None
    raw: Json = Json(b"")
    """The citation as it came, in the dialect `origin`."""


class Text(msgspec.Struct, kw_only=True, gc=False):
    """Plain text."""

    text: str
    cache: CacheHint | None = None
    citations: tuple[Citation, ...] = ()
    seal: Seal | None = None
    """Gemini signs texts too."""


class Media(msgspec.Struct, kw_only=True, gc=False):
    """An image, sound, film or file: exactly one of `data`, `url`, `file_id` and `text` is set."""

    kind: MediaKind
    media_type: str | None = None
    """`image/png`, `application/pdf`, …; None: not said."""
    data: str | None = None
    """Base64."""
    url: str | None = None
    """http(s) or a storage scheme; `data:` URLs are taken apart into `media_type` and `data`."""
    file_id: str | None = None
    """Of the provider's file store."""
    text: str | None = None
    """A document that is given as text."""
    filename: str | None = None
    title: str | None = None
    context: str | None = None
    detail: str | None = None
    """How closely to look: `low`, `high`, `auto`, …"""
    wants_citations: bool = False
    cache: CacheHint | None = None
    seal: Seal | None = None
    """Gemini signs the images it makes."""
    extra: dict[str, Json] = {}
    """Fields that have no counterpart here, in the dialect of the request: written back into that, lost in others."""


class ToolCall(msgspec.Struct, kw_only=True, gc=False):
    """The model wants a tool of the caller's to be run."""

    id: str
    name: str
    arguments: str
    """JSON text of an object, as the model wrote it; any text if `is_custom`."""
    is_custom: bool = False
    seal: Seal | None = None
    cache: CacheHint | None = None
    extra: dict[str, Json] = {}
    """Fields that have no counterpart here, in the dialect of the request: written back into that, lost in others."""


class ToolResult(msgspec.Struct, kw_only=True, gc=False):
    """What a tool gave back; a part of a `user` message."""

    call_id: str
    name: str | None = None
    """Where the dialect says it; see `name_results`."""
    parts: list[Part]
    is_error: bool = False
    is_custom: bool = False
    cache: CacheHint | None = None


class Thinking(msgspec.Struct, kw_only=True, gc=False):
    """What the model thought before it answered."""

    text: str = ""
    seal: Seal | None = None
    is_redacted: bool = False
    """Only the seal is there: the vendor does not show the text."""
    id: str | None = None
    """Responses API: the item's id."""
    is_summary: bool = False
    """A summary of the thoughts rather than the thoughts."""


class Refusal(msgspec.Struct, kw_only=True, gc=False):
    """The model says that it will not."""

    text: str


class Opaque(msgspec.Struct, kw_only=True, gc=False):
    """A part that only its own dialect knows: a server tool's call or result, a container, a new block type."""

    origin: DialectName
    kind: str
    """Its type on the wire, for losses and messages."""
    raw: Json


Part = Text | Media | ToolCall | ToolResult | Thinking | Refusal | Opaque


class Message(msgspec.Struct, kw_only=True, gc=False):
    """One turn. Instructions are messages of the role `system`, wherever they stand; those that begin the request are
    what other dialects keep in a field of their own. Tool results are parts of `user` messages."""

    role: Role
    parts: list[Part]
    name: str | None = None
    is_developer: bool = False
    """A `system` message that its dialect calls `developer`."""
    id: str | None = None
    """Responses API: the item's id."""


class Namespace(msgspec.Struct, frozen=True, gc=False):
    """A group of tools (OpenAI). Their names begin with its name wherever groups are not known."""

    name: str
    description: str = ""


class Tool(msgspec.Struct, kw_only=True, gc=False):
    """A function of the caller's."""

    name: str
    namespace: Namespace | None = None
    """Where it is part of a group; `name` is unique without it."""
    description: str | None = None
    parameters: Json | None = None
    """JSON Schema; None: it takes none."""
    is_strict: bool | None = None
    cache: CacheHint | None = None
    extra: dict[str, Json] = {}
    """Fields that have no counterpart here, in the dialect of the request: written back into that, lost in others."""


class ClientSearch(Tool):
    """A search among tools that the caller has not declared yet, and runs itself (OpenAI's `tool_search`). To everybody
    else it is a function like any other."""

    raw: Json


CUSTOM_TOOL_PARAMETERS = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""Where custom tools are not known they are functions with one text."""


class CustomTool(msgspec.Struct, kw_only=True, gc=False):
    """A tool that takes free text, possibly bound by a grammar (OpenAI)."""

    name: str
    namespace: Namespace | None = None
    description: str | None = None
    format: Json | None = None
    """As in the Responses API: `{"type": "grammar", "syntax": …, "definition": …}`."""
    cache: CacheHint | None = None


class WebSearch(msgspec.Struct, kw_only=True, gc=False):
    """The provider's own web search."""

    max_uses: int | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    user_location: Json | None = None
    """`{"type": "approximate", "city": …, "country": …, "region": …, "timezone": …}`."""
    context_size: str | None = None
    """`low`, `medium`, `high`."""
    cache: CacheHint | None = None
    origin: DialectName | None = None
    raw: Json = Json(b"")
    """As it came, for its own dialect."""


class OpaqueTool(msgspec.Struct, kw_only=True, gc=False):
    """A tool that only its own dialect knows."""

    origin: DialectName
    kind: str
    raw: Json


AnyTool = Tool | CustomTool | WebSearch | OpaqueTool


class ToolChoice(msgspec.Struct, kw_only=True, gc=False):
    """Whether tools are to be used."""

    mode: Literal["auto", "none", "required", "tool"]
    names: tuple[str, ...] = ()
    """For `tool` the one to use; for `auto` and `required` those allowed, empty for all."""


class OutputFormat(msgspec.Struct, kw_only=True, gc=False):
    """The form of the answer's text."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: Json | None = None
    is_strict: bool | None = None


class Reasoning(msgspec.Struct, kw_only=True, gc=False):
    """How long to think. Dialects say it in words (`effort`) or in tokens; `effort_for` and `budget_for` convert."""

    effort: Effort | None = None
    budget_tokens: int | None = None
    is_adaptive: bool = False
    """The model decides (Anthropic `adaptive`, Gemini `-1`)."""
    is_off: bool = False
    summary: str | None = None
    """Whether thoughts are shown: `auto`, `concise`, `detailed`, …; `none`: hidden."""


class Request(msgspec.Struct, kw_only=True, gc=False):
    """A chat-like call."""

    origin: DialectName
    model: str
    messages: list[Message]
    is_stream: bool = False
    wants_stream_usage: bool = False
    tools: list[AnyTool] = []
    tool_choice: ToolChoice | None = None
    allows_parallel_tools: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    stop: list[str] = []
    seed: int | None = None
    choices: int | None = None
    """How many answers; None: one."""
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: int | None = None
    """Most alternatives for each token; 0: only the token's own probability; None: not wanted."""
    logit_bias: Json | None = None
    format: OutputFormat | None = None
    reasoning: Reasoning | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: Json | None = None
    """OpenAI's `audio`: voice and format of a spoken answer."""
    prediction: Json | None = None
    service_tier: str | None = None
    user: str | None = None
    store: bool | None = None
    metadata: Json | None = None
    """The provider's own metadata, where the dialect has it."""
    prompt_cache_key: str | None = None
    cache: CacheHint | None = None
    """For the whole prompt (Anthropic's automatic caching)."""
    safety_settings: Json | None = None
    """Gemini."""
    extra: dict[str, Json] = {}
    """Top-level keys that the middle form has no field for, in the dialect `origin`."""


EFFORT_TOKENS: dict[Effort, int] = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 2048,
    "high": 4096,
    "xhigh": 8192,
    "max": 16384,
}
"""Tokens for thinking by effort: existing configurations count on 1,024, 2,048 and 4,096 for low, medium and high."""


def budget_for(effort: Effort) -> int:
    """Tokens to think with that an effort stands for."""
    return EFFORT_TOKENS[effort]


def effort_for(budget_tokens: int) -> Effort:
    """The least effort that comes with so many tokens."""
    if budget_tokens <= 0:
        return "none"
    steps: tuple[Effort, ...] = ("low", "medium", "high", "xhigh")
    return next((effort for effort in steps if budget_tokens <= EFFORT_TOKENS[effort]), "max")


def name_results(messages: list[Message]) -> None:
    """Gives tool results the name of the tool they answer: Gemini and Cohere want it, others do not say it."""
    names: dict[str, str] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                names[part.id] = part.name
            elif isinstance(part, ToolResult) and part.name is None:
                part.name = names.get(part.call_id)


def split_data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 of a `data:` URL (RFC 2397); None for any other URL."""
    if not url.startswith("data:"):
        return None
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        return None
    return head[: -len(";base64")].partition(";")[0] or "application/octet-stream", data
