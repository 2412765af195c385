"""What can get lost between two dialects, and what is done about it.

A renderer returns its losses. Those that change what the model is asked for are refused with 400 unless the caller or
the operator said `drop_params`; the others are dropped and named in the header `x-tollway-dropped`.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from tollway.dialects.generation.request import Media, Request, Tool, ToolCall, ToolResult


class LossKind(Enum):
    """Each kind with its meaning, and whether it is refused unless dropping is allowed."""

    PARAMETER = ("a parameter that the target has no counterpart for", True)
    TOOL = ("a tool that only the caller's own format knows", True)
    MEDIA = ("an image, sound, film or file of a kind the target does not take", True)
    PART = ("a content part that only the caller's own format knows", False)
    CACHE_HINT = ("a cache hint, where the target decides by itself what to cache", False)
    FOREIGN_SEAL = ("thoughts that another vendor sealed", False)
    HINT = (
        "a parameter that does not change what is asked for: a user's name, a key for caching, a service tier",
        False,
    )
    UNKNOWN = ("a field that Tollway does not know, in another format than the target's", False)

    def __init__(self, meaning: str, is_refused: bool) -> None:
        self.meaning = meaning
        self.is_refused = is_refused


class Loss(msgspec.Struct, frozen=True, gc=False):
    """One thing that the target cannot express."""

    kind: LossKind
    field: str
    """Where it stood in the caller's request: `logprobs`, `messages.content.image`, …"""


def unknown_fields(request: Request) -> list[Loss]:
    """The fields of tools, calls and media that only the request's own dialect knows: lost in any other."""
    fields = [f"tools.{name}" for tool in request.tools if isinstance(tool, Tool) for name in tool.extra]
    for message in request.messages:
        for part in message.parts:
            for each in (part, *(part.parts if isinstance(part, ToolResult) else ())):
                if isinstance(each, ToolCall | Media):
                    fields += [f"messages.content.{name}" for name in each.extra]
    return [Loss(LossKind.UNKNOWN, field) for field in dict.fromkeys(fields)]
