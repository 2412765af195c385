from __future__ import annotations

import msgspec

from tollway.dialects.generation.losses import Loss, LossKind, unknown_fields
from tollway.dialects.generation.request import CustomTool, Media, Message, Request, Text, Tool, ToolCall, ToolResult

ONE = msgspec.Raw(b"1")


def test_fields_of_tools_calls_and_media_that_only_their_own_format_knows_are_told_once() -> None:
    picture = Media(kind="image", url="https://x", extra={"transformations": ONE})
    request = Request(
        origin="messages",
        model="m",
        messages=[
            Message(role="assistant", parts=[ToolCall(id="c", name="f", arguments="", extra={"caller": ONE})] * 2),
            Message(role="user", parts=[ToolResult(call_id="c", parts=[picture]), Text(text="Hi")]),
        ],
        tools=[Tool(name="f", extra={"defer_loading": ONE}), CustomTool(name="g")],
    )
    assert unknown_fields(request) == [
        Loss(LossKind.UNKNOWN, field)
        for field in ("tools.defer_loading", "messages.content.caller", "messages.content.transformations")
    ]


def test_most_requests_have_none() -> None:
    request = Request(origin="chat", model="m", messages=[Message(role="user", parts=[Text(text="Hi")])])
    assert unknown_fields(request) == []
