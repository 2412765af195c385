"""Conversations that a provider does not keep: what has to be remembered of a response to go on from it.

Pure: who stores the states and whose they are is decided elsewhere. A state has only what its own call sent and got;
what came before is in the state that `previous` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from tollway.core.errors import InvalidRequest, NotFound
from tollway.dialects.body import Fields, read_fields
from tollway.dialects.chat.fields import NULL, typed
from tollway.dialects.responses.items import item_type
from tollway.dialects.responses.response import item_id
from tollway.dialects.responses.wire import LifecycleWire, read_typed
from tollway.dialects.sse import EventReader

VERSION = 1
_NOT_ECHOED = frozenset({"input", "stream", "stream_options", "include"})
_LARGEST_PAGE = 100
_END_TYPES = ("response.completed", "response.incomplete")
_ENDS = tuple(f'"{kind}"'.encode() for kind in _END_TYPES)

_encode = msgspec.json.Encoder().encode


class ResponseState(msgspec.Struct, frozen=True, kw_only=True):
    """One response, as the store keeps it."""

    version: int = VERSION
    id: str
    owner: str
    """Who may use it."""
    model: str
    created: int
    status: str
    previous: str | None = None
    """The response that it went on from."""
    input: list[msgspec.Raw]
    """The items that the call itself sent."""
    output: list[msgspec.Raw]
    echo: dict[str, msgspec.Raw]
    """The other fields of the request."""
    response: msgspec.Raw
    """The whole answer, to be retrieved."""


class _Answer(msgspec.Struct):
    id: str
    model: str = ""
    created_at: float = 0
    status: str = "completed"
    output: list[msgspec.Raw] = []


def remember(body: bytes, answer: bytes, *, owner: str = "") -> ResponseState:
    """What to keep of a call: its request, before anything was put in front of it, and the whole response.

    Raises `msgspec.DecodeError` if `answer` is no response.
    """
    fields = read_fields(body)
    wire = msgspec.json.decode(answer, type=_Answer, strict=False)
    return ResponseState(
        id=wire.id,
        owner=owner,
        model=wire.model,
        created=int(wire.created_at),
        status=wire.status,
        previous=previous_id(fields),
        input=input_of(fields),
        output=wire.output,
        echo={name: raw for name, raw in fields.items() if name not in _NOT_ECHOED},
        response=msgspec.Raw(answer),
    )


def ended_with(block: bytes) -> bytes | None:
    """The response in the last event of a stream; None if it did not come to its own end."""
    reader = EventReader()
    for _, document in reversed([*reader.feed(block), *reader.end()]):
        if not any(kind in document for kind in _ENDS):
            continue
        try:
            event = msgspec.json.decode(document, type=LifecycleWire, strict=False)
        except msgspec.DecodeError:
            continue
        if event.type in _END_TYPES:
            return bytes(event.response)
    return None


def previous_id(fields: Fields) -> str | None:
    """The response that a request goes on from."""
    previous: str | None = typed(
        fields.get("previous_response_id", NULL), "previous_response_id", str | None, "a string"
    )
    return previous


def input_of(fields: Fields) -> list[msgspec.Raw]:
    """The items of `input`; a text is a message of the user."""
    raw = fields.get("input", NULL)
    value: str | list[msgspec.Raw] | None = typed(
        raw, "input", str | list[msgspec.Raw] | None, "a string or a list of items"
    )
    if isinstance(value, str):
        message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}
        return [msgspec.Raw(_encode(message))]
    return value or []


def extend(fields: Fields, states: Sequence[ResponseState]) -> Fields:
    """A request with the conversation before it, oldest state first, and without `previous_response_id`.

    Instructions are not taken over: the API reference says so of `previous_response_id`.
    """
    items = [item for state in states for item in (*state.input, *state.output)]
    extended = {name: raw for name, raw in fields.items() if name != "previous_response_id"}
    extended["input"] = msgspec.Raw(_encode([*items, *input_of(fields)]))
    return extended


def references(fields: Fields) -> list[str]:
    """The ids of the items that a request only refers to."""
    raw = fields.get("input")
    if raw is None or b'"id"' not in bytes(raw):
        return []
    return [named for item in input_of(fields) if (named := _reference(item)) is not None]


def _reference(item: msgspec.Raw) -> str | None:
    try:
        head = read_typed(item)
    except msgspec.DecodeError:
        return None
    return head.id if item_type(head) == "item_reference" else None


def known_items(states: Sequence[ResponseState]) -> dict[str, msgspec.Raw]:
    """The items of these states by their ids."""
    return {name: item for state in states for name, item in _named_items(state)}


def _named_items(state: ResponseState) -> Iterator[tuple[str, msgspec.Raw]]:
    for item in state.output:
        name = read_typed(item).id
        if name is not None:
            yield name, item
    for page_item in _listed(state):
        yield page_item["id"], msgspec.Raw(_encode(page_item))


def resolve(fields: Fields, items: Mapping[str, msgspec.Raw]) -> Fields:
    """A request with the items themselves where it referred to them. Raises `InvalidRequest` for one not known."""
    wanted = references(fields)
    if not wanted:
        return fields
    missing = next((name for name in wanted if name not in items), None)
    if missing is not None:
        raise InvalidRequest(
            f"input: the item '{missing}' is not known here. Send the item itself, or use 'previous_response_id'.",
            param="input",
        )
    resolved = [items[name] if (name := _reference(item)) is not None else item for item in input_of(fields)]
    return {**fields, "input": msgspec.Raw(_encode(resolved))}


def input_items(
    state: ResponseState, *, limit: int = 20, order: Literal["asc", "desc"] = "desc", after: str | None = None
) -> dict[str, Any]:
    """A page of a response's input items. Raises `NotFound` for an `after` that is none of them."""
    if not 1 <= limit <= _LARGEST_PAGE:
        raise InvalidRequest(f"'limit' must be between 1 and {_LARGEST_PAGE}.", param="limit")
    if order not in ("asc", "desc"):
        raise InvalidRequest("'order' must be asc or desc.", param="order")
    items = _listed(state)
    if order == "desc":
        items.reverse()
    start = 0
    if after is not None:
        start = next((number + 1 for number, item in enumerate(items) if item["id"] == after), -1)
        if start < 0:
            raise NotFound(f"after: the response '{state.id}' has no input item '{after}'.", param="after")
    page = items[start : start + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(items),
    }


def _listed(state: ResponseState) -> list[dict[str, Any]]:
    """The input items with what the API adds to them: ids, types, parts for a text."""
    return [_complete(msgspec.json.decode(item), number, state) for number, item in enumerate(state.input)]


def _complete(item: dict[str, Any], number: int, state: ResponseState) -> dict[str, Any]:
    kind = item.get("type") or "message"
    named = {"id": item.get("id") or item_id(f"{_PREFIXES.get(kind, 'item')}_in", state.id, number)}
    complete = {**item, "type": kind, **named}
    if kind == "message":
        complete["content"] = _complete_content(item.get("content"), is_output=item.get("role") == "assistant")
    if kind in _PREFIXES and kind != "reasoning":
        complete.setdefault("status", "completed")
    return complete


def _complete_content(content: Any, *, is_output: bool) -> Any:
    if isinstance(content, str):
        content = [{"type": "output_text" if is_output else "input_text", "text": content}]
    if not is_output or not isinstance(content, list):
        return content
    return [{"annotations": [], **part} if part.get("type") == "output_text" else part for part in content]


_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
