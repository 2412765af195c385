"""Tools of the vendor's in a response's output: those that are billed beside the tokens.

Source: OpenAI API reference, "Responses", and the pricing page: searches are billed, and pages that are opened are not;
a container is billed once however often it runs code.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tollway.core.usage import ToolUse


class _Action(msgspec.Struct, gc=False):
    type: str | None = None


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    status: str | None = None
    action: _Action | None = None
    container_id: str | None = None


_read = msgspec.json.Decoder(_Item).decode


def may_bill_tools(document: bytes) -> bool:
    """Whether it is worth looking: most responses hold no such item. Within a text the quotes are escaped."""
    return b'_search_call"' in document or b'"code_interpreter_call"' in document


def billed_tools(output: Iterable[msgspec.Raw] | None) -> ToolUse | None:
    """What the items of `output` are billed for; None for nothing."""
    searches = files = 0
    containers: set[str] = set()
    for raw in output or ():
        try:
            item = _read(raw)
        except msgspec.DecodeError:
            continue
        if item.status == "failed":
            continue
        if item.type == "web_search_call":
            searches += item.action is None or item.action.type in (None, "search")
        elif item.type == "file_search_call":
            files += 1
        elif item.type == "code_interpreter_call":
            containers.add(item.container_id or "")
    if not (searches or files or containers):
        return None
    return ToolUse(web_searches=searches, file_searches=files, code_sessions=len(containers))
