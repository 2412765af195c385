"""A stream of the Responses API, written from the events of the middle form.

    response.created  response.in_progress  ( output_item.added  …  output_item.done )*  response.completed

An item is closed when the next begins or the answer ends, since only then is it known whether it was cut short. Ids of
items derive from the response's; ids of calls are kept as the provider gave them, because clients answer to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tollway.core.errors import TollwayError
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.generation.answer import (
    Cited,
    Delta,
    Event,
    Metered,
    PartEnded,
    PartStarted,
    Pinged,
    Sealed,
    Started,
    Stopped,
    StopReason,
    TokenProbability,
)
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import (
    ClientSearch,
    CustomTool,
    Media,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
)
from tollway.dialects.responses.custom import InputReader
from tollway.dialects.responses.errors import failure, render_error_event
from tollway.dialects.responses.opened import CONTENT_EVENTS, INCOMPLETE, THOUGHT_EVENTS, OpenItem, OpenPart
from tollway.dialects.responses.parts import CONTENT, render_citation, render_probabilities
from tollway.dialects.responses.response import ResponseWriter, item_id, response_id
from tollway.dialects.responses.search import CALL, write_call
from tollway.dialects.responses.thoughts import write_thoughts
from tollway.dialects.responses.tools import name_fields

_encode = msgspec.json.Encoder().encode
_PING = b": ping\n\n"


class ResponsesEncoder:
    """Writes one stream."""

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        request = options.request
        tools = request.tools if request is not None else ()
        self._tools = {tool.name: tool for tool in tools if isinstance(tool, Tool | CustomTool)}
        self._writer = ResponseWriter(options)
        self._out: list[bytes] = []
        self._sequence = 0
        self._items: list[bytes] = []
        self._item: OpenItem | None = None
        self._part: OpenPart | None = None
        self._usage: Usage = NO_USAGE
        self._stop: StopReason = "end"
        self._is_open = False
        self._is_closed = False

    def push(self, events: Sequence[Event]) -> bytes:
        """The bytes for these events."""
        for event in events:
            kind = event.__class__
            if kind is Delta:
                self._delta(event)  # type: ignore[arg-type]  # it is one
            elif kind is Metered:
                self._usage = event.usage  # type: ignore[union-attr]
            elif kind is Pinged:
                self._out.append(_PING)
            elif kind is Started:
                self._start(event)  # type: ignore[arg-type]
            elif getattr(event, "choice", 0) == 0:  # a response is one answer
                _HANDLERS[kind](self, event)
        return self._taken()

    def close(self, error: TollwayError | None) -> bytes:
        """`response.completed` or `response.incomplete`; or the error, and `response.failed`."""
        if self._is_closed:
            return b""
        self._is_closed = True
        self._ensure_open()
        if error is None:
            self._finish()
            name, response = self._final()
            self._event(name, b'"response":' + response)
        else:
            self._out.append(render_error_event(error, self._sequence))
            self._sequence += 1
            response = self._writer.render("failed", self._items, self._usage, error=failure(error))
            self._event(b"response.failed", b'"response":' + response)
        return self._taken()

    def response(self, service_tier: str | None = None) -> bytes:
        """The whole response, once all events were pushed."""
        self._ensure_open()
        self._finish()
        self._writer.service_tier = service_tier
        return self._final()[1]

    def _final(self) -> tuple[bytes, bytes]:
        reason = INCOMPLETE.get(self._stop)
        status = "completed" if reason is None else "incomplete"
        return b"response." + status.encode(), self._writer.render(status, self._items, self._usage, reason=reason)

    def _taken(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)

    def _event(self, name: bytes, body: bytes) -> None:
        self._out.append(
            b'event: %s\ndata: {"type":"%s",%s,"sequence_number":%d}\n\n' % (name, name, body, self._sequence)
        )
        self._sequence += 1

    def _at(self) -> bytes:
        assert self._item is not None
        return b'"item_id":"%s","output_index":%d' % (self._item.id.encode(), self._item.index)

    def _start(self, event: Started) -> None:
        if self._is_open:
            return
        self._is_open = True
        options = self._options
        name = options.id or response_id(event.id or options.call_id)
        self._writer.begin(name, event.created or options.created)
        self._usage = event.usage
        response = self._writer.render("in_progress", [], None)
        self._event(b"response.created", b'"response":' + response)
        self._event(b"response.in_progress", b'"response":' + response)

    def _ensure_open(self) -> None:
        if not self._is_open:
            self._start(Started(id="", model=""))

    def _begin_item(self, kind: str, prefix: str, wire: dict[str, Any], id: str | None = None) -> OpenItem:
        self._end_item("completed")
        index = len(self._items)
        identity = id or item_id(prefix, self._writer.id, index)
        item = self._item = OpenItem(kind, identity, index, {"id": identity, "type": kind, **wire})
        self._event(b"response.output_item.added", b'"output_index":%d,"item":%s' % (index, _encode(item.wire)))
        return item

    def _end_item(self, status: str) -> None:
        item = self._item
        if item is None:
            return
        self._item = None
        if item.kind == "message":
            item.wire["content"] = item.content
        if item.kind in ("message", "function_call", CALL):
            item.wire["status"] = status
        self._item_done(item.index, _encode(item.wire))

    def _item_done(self, index: int, wire: bytes) -> None:
        self._items.append(wire)
        self._event(b"response.output_item.done", b'"output_index":%d,"item":%s' % (index, wire))

    def _finish(self) -> None:
        """Closes what is open."""
        self._end_part()
        self._end_item("completed" if INCOMPLETE.get(self._stop) is None else "incomplete")

    def _start_part(self, event: PartStarted) -> None:
        self._ensure_open()
        self._end_part()
        part = event.part
        opener = _OPENERS.get(part.__class__)
        if opener is not None:
            opener(self, part)

    def _open_content(self, part: Text | Refusal) -> None:
        item = self._item
        if item is None or item.kind != "message":
            item = self._begin_item("message", "msg", {"status": "in_progress", "role": "assistant", "content": []})
        place = b'%s,"content_index":%d' % (self._at(), len(item.content))
        name, empty, tail = CONTENT_EVENTS[part.__class__]
        self._event(b"response.content_part.added", b'%s,"part":%s' % (place, empty))
        self._open(part, name, place, part.text, tail)

    def _open_thinking(self, part: Thinking) -> None:
        item = self._item
        # Only this API names its thoughts, and only its own can be told from a summary: others are shown as one.
        is_summary = part.is_summary or part.id is None
        if item is None or item.kind != "reasoning" or part.id is None or item.id != part.id:
            item = self._begin_item("reasoning", "rs", {"summary": []}, part.id)
        if part.is_redacted and not part.text:
            self._part = OpenPart(part)
            return
        field = "summary" if is_summary else "content"
        place = b'%s,"%s_index":%d' % (self._at(), field.encode(), len(item.wire.get(field, ())))
        if is_summary:
            empty = b'"part":{"type":"summary_text","text":""}'
            self._event(b"response.reasoning_summary_part.added", b"%s,%s" % (place, empty))
        else:
            self._event(b"response.content_part.added", b'%s,"part":{"type":"reasoning_text","text":""}' % place)
        self._open(part, THOUGHT_EVENTS[is_summary], place, part.text).is_summary = is_summary

    def _open_call(self, part: ToolCall) -> None:
        tool = self._tools.get(part.name)
        names = name_fields(part.name, tool)
        is_custom = part.is_custom or isinstance(tool, CustomTool)
        if isinstance(tool, ClientSearch):
            empty = msgspec.structs.replace(part, arguments="")
            self._begin_item(CALL, "tsc", {**write_call(empty), "status": "in_progress"})
        elif is_custom:
            self._begin_item("custom_tool_call", "ctc", {"call_id": part.id, "input": "", **names})
        else:
            wire = {"status": "in_progress", "call_id": part.id, "arguments": "", **names}
            self._begin_item("function_call", "fc", wire)
        name = b"response.custom_tool_call_input" if is_custom else b"response.function_call_arguments"
        name = b"" if isinstance(tool, ClientSearch) else name
        reader = InputReader() if is_custom and not part.is_custom else None
        self._open(part, name, self._at(), part.arguments, reader=reader)
        if part.seal is not None:
            self._seal(Sealed(part.seal))

    def _open_opaque(self, part: Opaque) -> None:
        if part.origin != "responses" or part.kind.startswith(CONTENT):
            return
        self._end_item("completed")
        index = len(self._items)
        raw = bytes(part.raw)
        self._event(b"response.output_item.added", b'"output_index":%d,"item":%s' % (index, raw))
        self._item_done(index, raw)

    def _open_media(self, part: Media) -> None:
        """A picture that the model made."""
        if part.kind == "image":
            picture = {"status": "completed", "result": part.data if part.data is not None else part.url}
            self._begin_item("image_generation_call", "ig", picture)

    def _open(
        self,
        part: Part,
        name: bytes,
        place: bytes,
        text: str,
        tail: bytes = b"",
        *,
        reader: InputReader | None = None,
    ) -> OpenPart:
        opened = self._part = OpenPart(part)
        opened.reader = reader
        opened.is_silent = not name
        opened.head = b'event: %s.delta\ndata: {"type":"%s.delta",%s,"delta":' % (name, name, place)
        opened.tail = tail + b',"sequence_number":'
        if text:
            self._delta(Delta(text))
        return opened

    def _delta(self, event: Delta) -> None:
        part = self._part
        if part is None or not part.head or event.choice:
            return
        text = event.text
        if part.reader is not None:
            text = part.reader.feed(text)
        if event.logprobs is not None and part.part.__class__ is Text:
            self._with_logprobs(part, text, event.logprobs)
        elif text and part.is_silent:
            part.pieces.append(text)
        elif text:
            part.pieces.append(text)
            self._out.append(b"%s%s%s%d}\n\n" % (part.head, _encode(text), part.tail, self._sequence))
            self._sequence += 1

    def _with_logprobs(self, part: OpenPart, text: str, logprobs: list[TokenProbability]) -> None:
        part.pieces.append(text)
        part.logprobs += logprobs
        self._out.append(
            b'%s%s,"logprobs":%s,"sequence_number":%d}\n\n'
            % (part.head, _encode(text), _encode(render_probabilities(logprobs)), self._sequence)
        )
        self._sequence += 1

    def _cite(self, event: Cited) -> None:
        part = self._part
        annotation = render_citation(event.citation)
        if part is None or self._item is None or annotation is None or not isinstance(part.part, Text):
            return
        place = b'%s,"content_index":%d,"annotation_index":%d' % (
            self._at(),
            len(self._item.content),
            len(part.annotations),
        )
        part.annotations.append(annotation)
        self._event(b"response.output_text.annotation.added", b'%s,"annotation":%s' % (place, _encode(annotation)))

    def _seal(self, event: Sealed) -> None:
        """Kept on the part until it ends."""
        part = self._part
        if part is not None and isinstance(part.part, Text | Thinking | ToolCall):
            part.part = msgspec.structs.replace(part.part, seal=event.seal)

    def _end(self, event: PartEnded) -> None:
        self._end_part()

    def _end_part(self) -> None:
        opened = self._part
        if opened is None or self._item is None:
            self._part = None
            return
        if opened.reader is not None:
            rest = opened.reader.end()
            opened.reader = None
            if rest:
                self._delta(Delta(rest))
        elif not opened.pieces and self._item.kind == "function_call":
            self._delta(Delta("{}"))
        self._part = None
        text = "".join(opened.pieces)
        seal: Seal | None = None
        match opened.part:
            case Text():
                self._end_text(self._item, opened, text)
                seal = opened.part.seal
            case Refusal():
                self._end_refusal(self._item, text)
            case Thinking():
                self._end_thinking(self._item, opened, opened.part, text)
            case _:
                assert isinstance(opened.part, ToolCall)
                self._end_call(self._item, opened.part, text)
                seal = opened.part.seal
        if seal is not None:
            self._seal_behind(seal)

    def _end_text(self, item: OpenItem, opened: OpenPart, text: str) -> None:
        place = b'%s,"content_index":%d' % (self._at(), len(item.content))
        logprobs = render_probabilities(opened.logprobs)
        part = {"type": "output_text", "text": text, "annotations": opened.annotations, "logprobs": logprobs}
        item.content.append(part)
        done = b'%s,"text":%s,"logprobs":%s' % (place, _encode(text), _encode(logprobs))
        self._event(b"response.output_text.done", done)
        self._event(b"response.content_part.done", b'%s,"part":%s' % (place, _encode(part)))

    def _end_refusal(self, item: OpenItem, text: str) -> None:
        place = b'%s,"content_index":%d' % (self._at(), len(item.content))
        part = {"type": "refusal", "refusal": text}
        item.content.append(part)
        self._event(b"response.refusal.done", b'%s,"refusal":%s' % (place, _encode(text)))
        self._event(b"response.content_part.done", b'%s,"part":%s' % (place, _encode(part)))

    def _end_thinking(self, item: OpenItem, opened: OpenPart, part: Thinking, text: str) -> None:
        if part.seal is not None or part.id is None:
            item.wire["encrypted_content"] = write_thoughts(part.seal)
        if not opened.head:
            return  # nothing is shown
        field, kind = ("summary", "summary_text") if opened.is_summary else ("content", "reasoning_text")
        texts: list[Any] = item.wire.setdefault(field, [])
        place = b'%s,"%s_index":%d' % (self._at(), field.encode(), len(texts))
        shown = {"type": kind, "text": text}
        texts.append(shown)
        self._event(THOUGHT_EVENTS[opened.is_summary] + b".done", b'%s,"text":%s' % (place, _encode(text)))
        name = b"response.reasoning_summary_part.done" if opened.is_summary else b"response.content_part.done"
        self._event(name, b'%s,"part":%s' % (place, _encode(shown)))

    def _end_call(self, item: OpenItem, call: ToolCall, text: str) -> None:
        if item.kind == CALL:  # whole at its end, without events of its own
            item.wire |= write_call(msgspec.structs.replace(call, arguments=text))
            return
        if item.kind == "custom_tool_call":
            name, field = b"response.custom_tool_call_input.done", "input"
        else:
            name, field = b"response.function_call_arguments.done", "arguments"
        item.wire[field] = text
        self._event(name, b'%s,"%s":%s' % (self._at(), field.encode(), _encode(text)))

    def _seal_behind(self, seal: Seal) -> None:
        """A call or text has no place for a seal: it goes as a reasoning item behind it, and comes back with it."""
        self._begin_item("reasoning", "rs", {"summary": [], "encrypted_content": write_thoughts(seal)})

    def _stopped(self, event: Stopped) -> None:
        self._stop = event.reason
        self._ensure_open()
        self._finish()


_HANDLERS: dict[type, Callable[[ResponsesEncoder, Any], None]] = {
    PartStarted: ResponsesEncoder._start_part,
    PartEnded: ResponsesEncoder._end,
    Sealed: ResponsesEncoder._seal,
    Cited: ResponsesEncoder._cite,
    Stopped: ResponsesEncoder._stopped,
}
_OPENERS: dict[type, Callable[[ResponsesEncoder, Any], None]] = {
    Text: ResponsesEncoder._open_content,
    Refusal: ResponsesEncoder._open_content,
    Thinking: ResponsesEncoder._open_thinking,
    ToolCall: ResponsesEncoder._open_call,
    Opaque: ResponsesEncoder._open_opaque,
    Media: ResponsesEncoder._open_media,
}
