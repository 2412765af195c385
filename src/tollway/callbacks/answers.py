"""What a client got, as one document: streams are put together again. Whatever cannot be read is told as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tollway.core.snapshot import Operation
from tollway.dialects.sse import EventReader

_decode = msgspec.json.Decoder().decode


def document_of(answer: bytes, operation: Operation, *, is_stream: bool) -> Any:
    """The answer as its format writes one that is not streamed, as far as that matters to whoever reads it."""
    if not answer:
        return None
    if not is_stream:
        try:
            return _decode(answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return answer.decode("utf-8", "replace")
    events = list(_events(answer))
    match operation:
        case "messages":
            return _of_messages(events)
        case "responses":
            return _of_responses(events)
        case "gemini":
            return _of_gemini(events)
        case _:
            return _of_chat(events)


def _events(stream: bytes) -> Iterator[dict[str, Any]]:
    reader = EventReader()
    for _, document in (*reader.feed(stream), *reader.end()):
        try:
            found = _decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # `[DONE]`
        if isinstance(found, dict):
            yield found


def _of_chat(events: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for event in events:
        whole |= {name: value for name, value in event.items() if name != "choices" and value is not None}
        for one in event.get("choices") or ():
            choice = choices.setdefault(one.get("index", 0), {"index": one.get("index", 0)})
            if one.get("finish_reason"):
                choice["finish_reason"] = one["finish_reason"]
            if "text" in one:
                choice["text"] = choice.get("text", "") + (one["text"] or "")
            elif isinstance(one.get("delta"), dict):
                _add_delta(choice.setdefault("message", {"role": "assistant", "content": None}), one["delta"])
    if str(whole.get("object", "")).endswith(".chunk"):
        whole["object"] = str(whole["object"]).removesuffix(".chunk")
    return {**whole, "choices": [choices[index] for index in sorted(choices)]}


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            _add_tool_calls(message.setdefault("tool_calls", []), value or ())
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        elif value is not None:
            message[name] = value


def _add_tool_calls(calls: list[dict[str, Any]], deltas: Any) -> None:
    for delta in deltas:
        index = delta.get("index", len(calls))
        while len(calls) <= index:
            calls.append({"type": "function", "function": {"name": "", "arguments": ""}})
        call, function = calls[index], delta.get("function") or {}
        call |= {name: delta[name] for name in ("id", "type") if delta.get(name)}
        for name in ("name", "arguments"):
            call["function"][name] += function.get(name) or ""


def _of_messages(events: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        match event.get("type"):
            case "message_start":
                whole = dict(event.get("message") or {})
            case "content_block_start":
                blocks[event.get("index", 0)] = dict(event.get("content_block") or {})
            case "content_block_delta":
                block = blocks.setdefault(event.get("index", 0), {})
                for name, value in (event.get("delta") or {}).items():
                    if name != "type" and isinstance(value, str):
                        field = "input_json" if name == "partial_json" else name
                        block[field] = (block.get(field) or "") + value
            case "message_delta":
                whole |= event.get("delta") or {}
                whole["usage"] = {**(whole.get("usage") or {}), **(event.get("usage") or {})}
    for block in blocks.values():
        if "input_json" in block:
            text = block.pop("input_json")
            try:
                block["input"] = _decode(text)
            except msgspec.DecodeError:
                block["input"] = text
    return {**whole, "content": [blocks[index] for index in sorted(blocks)]}


def _of_responses(events: list[dict[str, Any]]) -> Any:
    """The last event holds the whole response; one that was cut short has only what was said."""
    for event in reversed(events):
        if event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            return event.get("response")
    said = "".join(event.get("delta", "") for event in events if event.get("type") == "response.output_text.delta")
    return {"output_text": said}


def _of_gemini(events: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    parts: list[Any] = []
    for event in events:
        whole |= event
        for candidate in (event.get("candidates") or ())[:1]:
            parts += (candidate.get("content") or {}).get("parts") or ()
    joined: list[Any] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(last, dict) and set(last) == set(part) == {"text"}:
            last["text"] += part["text"]
        else:
            joined.append(dict(part))
    first = dict(next(iter(whole.get("candidates") or ()), {}))
    return {**whole, "candidates": [{**first, "content": {"role": "model", "parts": joined}}]}
