"""A request of the Responses API, read into the middle form.

Source: OpenAI API reference, "Create a model response".
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields
from tollway.dialects.chat.fields import NULL, typed
from tollway.dialects.generation.request import Message, OutputFormat, Reasoning, Request, Text, WebSearch
from tollway.dialects.responses.items import read_input
from tollway.dialects.responses.tools import is_offline, read_tool_choice, read_tools
from tollway.dialects.responses.wire import ABSENT, given

_SCALARS: dict[str, tuple[str, Any, str]] = {
    # field: (attribute of the middle form, type, what is expected)
    "temperature": ("temperature", float | None, "a number"),
    "top_p": ("top_p", float | None, "a number"),
    "max_output_tokens": ("max_output_tokens", int | None, "an integer"),
    "parallel_tool_calls": ("allows_parallel_tools", bool | None, "true or false"),
    "service_tier": ("service_tier", str | None, "a string"),
    "store": ("store", bool | None, "true or false"),
    "prompt_cache_key": ("prompt_cache_key", str | None, "a string"),
    "metadata": ("metadata", msgspec.Raw, "an object"),
    "safety_identifier": ("user", str | None, "a string"),
    "user": ("user", str | None, "a string"),
}
_READ_APART = frozenset(
    {
        "model", "input", "instructions", "stream", "tools", "tool_choice", "text", "reasoning", "include",
        "top_logprobs",
    }
)  # fmt: skip
_SAYS_NOTHING: dict[str, tuple[bytes, ...]] = {
    # Values that ask for what happens anyway.
    "truncation": (b'"disabled"',),
    "background": (b"false",),
    "stream_options": (b'{"include_obfuscation":false}', b'{"include_obfuscation": false}', b"{}"),
}
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
OFFLINE_SEARCH = "tools.web_search"
"""Where `extra` keeps a web search without access to the web."""
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def parse_request(fields: Fields, *, model: str, is_stream: bool) -> Request:
    """Reads a request's top level. Raises `InvalidRequest` naming the field that is wrong."""
    request = Request(origin="responses", model=model, messages=_messages(fields), is_stream=is_stream)
    for name, (attribute, type_, expected) in _SCALARS.items():
        raw = fields.get(name)
        if raw is not None and raw != NULL:
            setattr(request, attribute, raw if type_ is msgspec.Raw else typed(raw, name, type_, expected))
    tools = read_tools(fields)
    request.tools = [tool for tool in tools if not is_offline(tool)]
    request.tool_choice = read_tool_choice(fields)
    request.extra = {
        name: raw
        for name, raw in fields.items()
        if name not in _SCALARS and name not in _READ_APART and raw != NULL and not _says_nothing(name, raw)
    }
    if request.tool_choice is None and fields.get("tool_choice", NULL) != NULL:
        request.extra["tool_choice"] = fields["tool_choice"]
    for tool in tools:
        # Others search the web itself, which the caller did not allow. Nothing is asked of the model with it, so it is
        # left out there rather than refused.
        if isinstance(tool, WebSearch) and is_offline(tool):
            request.extra[OFFLINE_SEARCH] = tool.raw
    if fields.get("user", NULL) != NULL and fields.get("safety_identifier", NULL) != NULL:
        request.extra["safety_identifier"] = fields["safety_identifier"]  # `user` has the attribute
    _read_text(fields, request)
    _read_reasoning(fields, request)
    _read_include(fields, request)
    return request


def _says_nothing(name: str, raw: msgspec.Raw) -> bool:
    return name in _SAYS_NOTHING and bytes(raw) in _SAYS_NOTHING[name]


def _messages(fields: Fields) -> list[Message]:
    messages = read_input(fields)
    raw = fields.get("instructions")
    if raw is None or raw == NULL:
        return messages
    text: str = typed(raw, "instructions", str, "a string")
    return [Message(role="system", parts=[Text(text=text)]), *messages] if text else messages


class _Format(msgspec.Struct, gc=False):
    type: str = "text"
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = ABSENT
    strict: bool | None = None


class _TextWire(msgspec.Struct, gc=False):
    format: _Format | None = None
    verbosity: str | None = None


def _read_text(fields: Fields, request: Request) -> None:
    raw = fields.get("text")
    if raw is None or raw == NULL:
        return
    wire: _TextWire = typed(raw, "text", _TextWire, "an object with a format")
    request.verbosity = wire.verbosity
    _keep_unknown(request, "text", raw, _TextWire)
    form = wire.format
    if form is None:
        return
    if form.type not in ("text", "json_object", "json_schema"):
        raise InvalidRequest(
            f"text.format.type: '{form.type}' is not one of text, json_object, json_schema.", param="text.format"
        )
    if form.type == "json_schema" and given(form.schema) is None:
        raise InvalidRequest("text.format: 'json_schema' needs a 'schema'.", param="text.format")
    request.format = OutputFormat(
        kind=form.type,  # type: ignore[arg-type]  # checked above
        name=form.name,
        description=form.description,
        schema=given(form.schema),
        is_strict=form.strict,
    )


class _ReasoningWire(msgspec.Struct, gc=False):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    """The older name of `summary`."""


def _read_reasoning(fields: Fields, request: Request) -> None:
    raw = fields.get("reasoning")
    if raw is None or raw == NULL:
        return
    wire: _ReasoningWire = typed(raw, "reasoning", _ReasoningWire, "an object with an effort")
    if wire.effort is not None and wire.effort not in EFFORTS:
        raise InvalidRequest(
            f"reasoning.effort: '{wire.effort}' is not one of {', '.join(EFFORTS)}.", param="reasoning.effort"
        )
    request.reasoning = Reasoning(
        effort=wire.effort,  # type: ignore[arg-type]  # checked above
        is_off=wire.effort == "none",
        summary=wire.summary or wire.generate_summary,
    )
    _keep_unknown(request, "reasoning", raw, _ReasoningWire)


def _keep_unknown(request: Request, name: str, raw: msgspec.Raw, known: type[msgspec.Struct]) -> None:
    """Keeps a field as it is if it says more than the middle form can."""
    if not set(msgspec.json.decode(raw, type=dict[str, msgspec.Raw])) <= set(known.__struct_fields__):
        request.extra[name] = raw


def _read_include(fields: Fields, request: Request) -> None:
    raw = fields.get("include")
    wanted: list[str] = typed(raw, "include", list[str] | None, "a list of strings") or [] if raw is not None else []
    others = [name for name in wanted if name not in (LOGPROBS, ENCRYPTED)]
    if others:
        request.extra["include"] = msgspec.Raw(msgspec.json.encode(others))
    top = fields.get("top_logprobs")
    count: int | None = typed(top, "top_logprobs", int | None, "an integer") if top is not None else None
    if count or LOGPROBS in wanted:
        request.logprobs = count or 0
