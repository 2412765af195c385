"""What goes back: objects and chunks as OpenAI sends them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Literal
from uuid import uuid4

import msgspec
from typing_extensions import override

FINGERPRINT = "fp_demo"

encode = msgspec.json.encode


class Answer(msgspec.Struct, frozen=True):
    """One choice: text, or the arguments of a call of `tool`."""

    text: str
    finish_reason: Literal["stop", "length", "tool_calls"]
    tokens: int
    tool: str | None = None

    @property
    def pieces(self) -> list[str]:
        """The text as it is streamed: word by word."""
        return re.findall(r"\s*\S+|\s+", self.text)


class Shape(ABC):
    """The objects of one operation, for one answer."""

    def __init__(self, model: str, created: int) -> None:
        """`created` is epoch seconds."""
        self._common = {"created": created, "model": model, "system_fingerprint": FINGERPRINT}

    @abstractmethod
    def whole(self, answers: list[Answer], usage: dict[str, Any]) -> dict[str, Any]:
        """The body of an answer that is not streamed."""

    @abstractmethod
    def chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """The frame around the choices of one event."""

    @abstractmethod
    def opening(self, index: int, answer: Answer) -> dict[str, Any] | None:
        """The choice that comes before all text, if there is one."""

    @abstractmethod
    def piece(self, index: int, answer: Answer, piece: str) -> dict[str, Any]:
        """A choice with more text."""

    @abstractmethod
    def ending(self, index: int, answer: Answer) -> dict[str, Any]:
        """The choice that tells why it ends."""


class ChatShape(Shape):
    """https://platform.openai.com/docs/api-reference/chat/object and …/chat-streaming"""

    def __init__(self, model: str, created: int) -> None:
        super().__init__(model, created)
        self._id = f"chatcmpl-demo{uuid4().hex}"
        self._calls: dict[int, str] = {}

    @override
    def whole(self, answers: list[Answer], usage: dict[str, Any]) -> dict[str, Any]:
        choices = [
            {
                "index": index,
                "message": self._message(index, answer),
                "logprobs": None,
                "finish_reason": answer.finish_reason,
            }
            for index, answer in enumerate(answers)
        ]
        return {"id": self._id, "object": "chat.completion", **self._common, "choices": choices, "usage": usage}

    @override
    def chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self._id, "object": "chat.completion.chunk", **self._common, "choices": choices}

    @override
    def opening(self, index: int, answer: Answer) -> dict[str, Any] | None:
        delta: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        if answer.tool is not None:
            delta = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"index": 0, **self._call(index, answer, "")}],
            }
        return self._choice(index, delta)

    @override
    def piece(self, index: int, answer: Answer, piece: str) -> dict[str, Any]:
        if answer.tool is None:
            return self._choice(index, {"content": piece})
        return self._choice(index, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})

    @override
    def ending(self, index: int, answer: Answer) -> dict[str, Any]:
        return self._choice(index, {}, answer.finish_reason)

    def _choice(self, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}

    def _message(self, index: int, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
        if answer.tool is not None:
            message |= {"content": None, "tool_calls": [self._call(index, answer, answer.text)]}
        return message

    def _call(self, index: int, answer: Answer, arguments: str) -> dict[str, Any]:
        call_id = self._calls.setdefault(index, f"call_{uuid4().hex[:24]}")
        return {"id": call_id, "type": "function", "function": {"name": answer.tool, "arguments": arguments}}


class CompletionShape(Shape):
    """https://platform.openai.com/docs/api-reference/completions/object"""

    def __init__(self, model: str, created: int) -> None:
        super().__init__(model, created)
        self._id = f"cmpl-demo{uuid4().hex}"

    @override
    def whole(self, answers: list[Answer], usage: dict[str, Any]) -> dict[str, Any]:
        choices = [self._choice(index, answer.text, answer.finish_reason) for index, answer in enumerate(answers)]
        return {**self.chunk(choices), "usage": usage}

    @override
    def chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self._id, "object": "text_completion", **self._common, "choices": choices}

    @override
    def opening(self, index: int, answer: Answer) -> dict[str, Any] | None:
        return None

    @override
    def piece(self, index: int, answer: Answer, piece: str) -> dict[str, Any]:
        return self._choice(index, piece)

    @override
    def ending(self, index: int, answer: Answer) -> dict[str, Any]:
        return self._choice(index, "", answer.finish_reason)

    def _choice(self, index: int, text: str, finish_reason: str | None = None) -> dict[str, Any]:
        return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}


def chunks(shape: Shape, answers: list[Answer], usage: dict[str, Any] | None) -> Iterator[bytes]:
    """The events of a stream. With `usage` each has the field, and it is null until the last."""
    nothing_yet = {"usage": None} if usage is not None else {}

    def event(choice: dict[str, Any]) -> bytes:
        return _event({**shape.chunk([choice]), **nothing_yet})

    choices = list(enumerate(answers))
    for index, answer in choices:
        if opening := shape.opening(index, answer):
            yield event(opening)
    for step in zip_longest(*(answer.pieces for answer in answers)):
        for (index, answer), piece in zip(choices, step, strict=True):
            if piece is not None:
                yield event(shape.piece(index, answer, piece))
    for index, answer in choices:
        yield event(shape.ending(index, answer))
    if usage is not None:
        yield _event({**shape.chunk([]), "usage": usage})
    yield b"data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % encode(value)


def count_usage(prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
    """The `usage` object."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
