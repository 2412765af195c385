"""The rules for the events of the Responses API, as a checker: what the official SDKs and Codex rely on."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]

_DELTAS = {
    # event: (type of the item, type of the part, the field of `.done` that has all of it)
    "response.output_text": ("message", "output_text", "text"),
    "response.refusal": ("message", "refusal", "refusal"),
    "response.reasoning_text": ("reasoning", "reasoning_text", "text"),
    "response.reasoning_summary_text": ("reasoning", "summary_text", "text"),
    "response.function_call_arguments": ("function_call", "", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "", "input"),
}
_ENDS = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}


class Illegal(AssertionError):
    """A sequence that no encoder may emit."""


def check_stream(data: bytes) -> list[Json]:
    """Raises `Illegal` at the first event that may not stand where it does; returns all events."""
    checker = _Checker()
    events: list[Json] = []
    for block in data.decode().split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, _, document = block.partition("\n")
        event: Json = json.loads(document.removeprefix("data: "))
        _require(name == f"event: {event['type']}", f"{name} is of the type {event['type']}")
        _require(event["sequence_number"] == len(events), f"{event} is out of order")
        checker.take(event)
        events.append(event)
    _require(data.endswith(b"\n\n") or not data, "the last event is cut")
    _require(checker.has_ended, "it has no end")
    return events


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise Illegal(problem)


class _Checker:
    def __init__(self) -> None:
        self.has_ended = False
        self._response: Json | None = None
        self._is_in_progress = False
        self._has_error = False
        self._items: list[Json] = []
        self._item: Json | None = None
        self._parts: dict[str, list[Json]] = {"content": [], "summary": []}
        self._part: Json | None = None
        self._text: str | None = None
        """What the deltas came to; None once the `.done` of it was seen."""
        self._annotations = 0

    def take(self, event: Json) -> None:
        kind: str = event["type"]
        _require(not self.has_ended, f"{kind} after the end")
        _require(not self._has_error or kind == "response.failed", f"{kind} after an error")
        if kind == "response.created":
            _require(self._response is None, "created twice")
            self._response = event["response"]
            _require(event["response"]["status"] == "in_progress" and not event["response"]["output"], "not new")
        elif self._response is None:
            raise Illegal(f"{kind} before the start")
        elif kind == "response.in_progress":
            _require(not self._is_in_progress and not self._items and self._item is None, "in progress twice")
            self._is_in_progress = True
        elif kind == "error":
            self._has_error = True
        elif kind in _ENDS:
            self._end(kind, event["response"])
        else:
            _require(self._is_in_progress, f"{kind} before response.in_progress")
            self._inner(kind, event)

    def _end(self, kind: str, response: Json) -> None:
        assert self._response is not None
        self.has_ended = True
        _require(response["id"] == self._response["id"], "the response has another id now")
        _require(response["status"] == _ENDS[kind], f"{kind} with the status {response['status']}")
        _require(response["output"] == self._items, "the response has other items than the stream")
        _require((response["error"] is not None) == (kind == "response.failed"), f"{kind} with a wrong error")
        _require((response["incomplete_details"] is not None) == (kind == "response.incomplete"), "wrong details")
        if kind != "response.failed":
            _require(self._item is None, f"{kind} with an open item")
            _require(response["usage"] is not None, "no usage at the end")

    def _inner(self, kind: str, event: Json) -> None:
        if kind == "response.output_item.added":
            self._item_added(event)
            return
        item = self._item
        if item is None:
            raise Illegal(f"{kind} while no item is open")
        _require(event["output_index"] == len(self._items), f"{event} is of another item")
        if kind == "response.output_item.done":
            self._item_done(item, event["item"])
            return
        _require(event["item_id"] == item["id"], f"{event} is of another item")
        match kind.rpartition("."):
            case ("response.content_part" | "response.reasoning_summary_part", _, "added"):
                self._part_added(item, kind, event)
            case ("response.content_part" | "response.reasoning_summary_part", _, "done"):
                self._part_done(kind, event)
            case ("response.output_text.annotation", _, "added"):
                self._place(event)
                _require(event["annotation_index"] == self._annotations, f"{event} is out of order")
                self._annotations += 1
            case (name, _, "delta") if name in _DELTAS:
                self._belongs(name, item, event)
                _require(self._text is not None, f"{event} after its end")
                self._text = (self._text or "") + event["delta"]
            case (name, _, "done") if name in _DELTAS:
                self._belongs(name, item, event)
                _require(self._text is not None, f"{event} after its end")
                whole = event[_DELTAS[name][2]]
                _require(whole == self._text, f"{event} differs from its pieces")
                self._text = None
            case _:
                raise Illegal(f"an unknown event {kind}")

    def _item_added(self, event: Json) -> None:
        _require(self._item is None, "an item while another is open")
        _require(event["output_index"] == len(self._items), f"{event} has a number out of order")
        self._item = event["item"]
        self._parts = {"content": [], "summary": []}
        self._text = "" if event["item"]["type"] in ("function_call", "custom_tool_call") else None

    def _item_done(self, item: Json, done: Json) -> None:
        for field in ("id", "type", "call_id", "name"):
            _require(item.get(field) == done.get(field), f"{done} has another {field} now")
        _require(self._part is None, "an item ended with an open part")
        _require(self._text is None, "a call ended without its arguments")
        if item["type"] in ("message", "reasoning"):
            _require(done.get("content", []) == self._parts["content"], f"{done} has other content than its parts")
            _require(done.get("summary", []) == self._parts["summary"], f"{done} has another summary than its parts")
        self._items.append(done)
        self._item = None

    def _part_added(self, item: Json, kind: str, event: Json) -> None:
        _require(self._part is None, "a part while another is open")
        field = "summary" if "summary" in kind else "content"
        _require(event[f"{field}_index"] == len(self._parts[field]), f"{event} has a number out of order")
        _require(item["type"] in ("message", "reasoning"), f"a part in an item of the type {item['type']}")
        self._part = event["part"]
        self._text = ""
        self._annotations = 0

    def _part_done(self, kind: str, event: Json) -> None:
        part = self._place(event)
        _require(self._text is None, "a part ended without the end of its text")
        _require(event["part"]["type"] == part["type"], f"{event} is of another type")
        self._parts["summary" if "summary" in kind else "content"].append(event["part"])
        self._part = None

    def _place(self, event: Json) -> Json:
        part = self._part
        if part is None:
            raise Illegal(f"{event} while no part is open")
        field = "summary" if part["type"] == "summary_text" else "content"
        _require(event[f"{field}_index"] == len(self._parts[field]), f"{event} is of another part")
        return part

    def _belongs(self, name: str, item: Json, event: Json) -> None:
        item_type, part_type, _ = _DELTAS[name]
        _require(item["type"] == item_type, f"{event} in an item of the type {item['type']}")
        if part_type:
            _require(self._place(event)["type"] == part_type, f"{event} in a part of another type")
