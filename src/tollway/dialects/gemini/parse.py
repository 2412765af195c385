"""A generateContent request, read into the middle form.

Source: https://ai.google.dev/api/generate-content, checked 2026-11-26. The model and whether the answer is streamed are
said by the path. What the middle form has no field for is kept in `extra` under its path
(`generationConfig.speechConfig`), so that a loss of it is told by name.
"""

from __future__ import annotations

from typing import Any

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields
from tollway.dialects.gemini.contents import read_contents, read_instruction
from tollway.dialects.gemini.fields import fields_of, in_camel_case, typed
from tollway.dialects.gemini.schema import to_json_schema
from tollway.dialects.gemini.tools import read_tool_config, read_tools
from tollway.dialects.generation.request import Effort, Json, OutputFormat, Reasoning, Request

_CONFIG = "generationConfig"
_SETTINGS: dict[str, tuple[str, Any, str]] = {
    # field: (attribute of the middle form, type, what is expected)
    "maxOutputTokens": ("max_output_tokens", int, "an integer"),
    "temperature": ("temperature", float, "a number"),
    "topP": ("top_p", float, "a number"),
    "candidateCount": ("choices", int, "an integer"),
    "stopSequences": ("stop", list[str], "a list of strings"),
    "seed": ("seed", int, "an integer"),
    "presencePenalty": ("presence_penalty", float, "a number"),
    "frequencyPenalty": ("frequency_penalty", float, "a number"),
    "responseModalities": ("modalities", list[str], "a list of strings"),
}
_LEVELS: dict[str, Effort] = {
    "MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "XHIGH": "xhigh"
}  # fmt: skip
_FORMAT_FIELDS = ("responseMimeType", "responseSchema", "responseJsonSchema")
_TOP = frozenset({"contents", "systemInstruction", "tools", "toolConfig", _CONFIG, "safetySettings"})


def parse_request(fields: Fields, *, model: str, is_stream: bool) -> Request:
    """Reads a request's top level. Raises `InvalidRequest` naming the field that is wrong."""
    fields = in_camel_case(fields)
    if "contents" not in fields:
        raise InvalidRequest("Missing required parameter: 'contents', a list of turns with parts.", param="contents")
    request = Request(
        origin="gemini",
        model=model,
        messages=[*read_instruction(fields.get("systemInstruction")), *read_contents(fields["contents"])],
        is_stream=is_stream,
        wants_stream_usage=is_stream,
        safety_settings=fields.get("safetySettings"),
    )
    extra = {name: raw for name, raw in fields.items() if name not in _TOP}
    request.tools = read_tools(fields.get("tools"))
    request.tool_choice = read_tool_config(fields.get("toolConfig"), extra)
    if _CONFIG in fields:
        _read_config(request, fields_of(fields[_CONFIG], _CONFIG), extra)
    request.extra = extra
    return request


def _read_config(request: Request, config: Fields, extra: dict[str, Json]) -> None:
    for name, (attribute, type_, expected) in _SETTINGS.items():
        raw = config.pop(name, None)
        if raw is not None:
            setattr(request, attribute, typed(raw, f"{_CONFIG}.{name}", type_, expected))
    if "topK" in config:  # a float in Google's JSON
        request.top_k = int(typed(config.pop("topK"), f"{_CONFIG}.topK", float, "a number"))
    if request.modalities is not None:
        request.modalities = [name.lower() for name in request.modalities]
    request.logprobs = _logprobs(config)
    request.format = _format(config)
    if "thinkingConfig" in config:
        path = f"{_CONFIG}.thinkingConfig"
        thinking = fields_of(config.pop("thinkingConfig"), path)
        request.reasoning = _reasoning(thinking, path)
        extra.update({f"{path}.{name}": raw for name, raw in thinking.items()})
    extra.update({f"{_CONFIG}.{name}": raw for name, raw in config.items()})


def _logprobs(config: Fields) -> int | None:
    wanted = config.pop("responseLogprobs", None)
    count = config.pop("logprobs", None)
    if wanted is None or not typed(wanted, f"{_CONFIG}.responseLogprobs", bool, "true or false"):
        return None
    return 0 if count is None else int(typed(count, f"{_CONFIG}.logprobs", int, "an integer"))


def _format(config: Fields) -> OutputFormat | None:
    media_type = ""
    if "responseMimeType" in config:
        media_type = typed(config["responseMimeType"], f"{_CONFIG}.responseMimeType", str, "a string")
    if media_type not in ("", "text/plain", "application/json"):
        return None  # `text/x.enum`, which nobody else knows: kept as it came
    schema = config.get("responseJsonSchema")
    if schema is None and "responseSchema" in config:
        fields_of(config["responseSchema"], f"{_CONFIG}.responseSchema")
        schema = to_json_schema(config["responseSchema"])
    for name in _FORMAT_FIELDS:
        config.pop(name, None)
    if schema is not None:
        return OutputFormat(kind="json_schema", schema=schema)
    if not media_type:
        return None
    return OutputFormat(kind="json_object" if media_type == "application/json" else "text")


def _reasoning(thinking: Fields, path: str) -> Reasoning:
    budget: int | None = None
    if "thinkingBudget" in thinking:
        budget = typed(thinking.pop("thinkingBudget"), f"{path}.thinkingBudget", int, "an integer")
    shows: bool | None = None
    if "includeThoughts" in thinking:
        shows = typed(thinking.pop("includeThoughts"), f"{path}.includeThoughts", bool, "true or false")
    effort: Effort | None = None
    if "thinkingLevel" in thinking:
        level: str = typed(thinking.pop("thinkingLevel"), f"{path}.thinkingLevel", str, "a string")
        effort = _LEVELS.get(level.upper())
        if effort is None and level.upper() != "THINKING_LEVEL_UNSPECIFIED":
            raise InvalidRequest(f"'{path}.thinkingLevel' must be one of {', '.join(_LEVELS)}.", param=_CONFIG)
    return Reasoning(
        effort=effort,
        budget_tokens=budget if budget is not None and budget >= 0 else None,
        is_adaptive=budget is not None and budget < 0,
        is_off=budget == 0,
        summary=None if shows is None else "auto" if shows else "none",
    )
