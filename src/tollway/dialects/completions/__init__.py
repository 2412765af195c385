"""OpenAI's text completions, for callers only: a prompt becomes a user's message, the answer's text a completion.

Source: OpenAI API reference, "Completions". Models that continue a text themselves are asked in the format itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.errors import InvalidRequest, TollwayError
from tollway.core.usage import NO_USAGE, Usage
from tollway.dialects.body import Fields
from tollway.dialects.chat.answer import FINISH_REASONS
from tollway.dialects.chat.encode import chunk_head
from tollway.dialects.chat.parse import parse_request
from tollway.dialects.chat.wire import usage_to_wire
from tollway.dialects.generation.answer import Answer, Choice, Delta, Event, Metered, PartStarted, Started, Stopped
from tollway.dialects.generation.dialect import StreamOptions
from tollway.dialects.generation.request import Refusal, Request, Text
from tollway.dialects.openai.errors import render_error, render_error_event

_encode = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"
_NOT_TRANSLATED = ("logprobs", "echo", "suffix")
"""What a chat model has no way to do."""


class CompletionsDialect:
    """Text completions, answered by models that chat."""

    def parse_request(self, fields: Fields, *, model: str, is_stream: bool) -> Request:
        """The request. Raises `InvalidRequest` for several prompts, tokens in place of a text, and what needs both."""
        for name in _NOT_TRANSLATED:
            if msgspec.json.decode(fields.get(name, b"null")):
                raise InvalidRequest(f"'{name}' cannot be had from a model that chats; leave it out.", param=name)
        chat = {name: raw for name, raw in fields.items() if name not in ("prompt", "best_of", *_NOT_TRANSLATED)}
        message = {"role": "user", "content": _prompt(fields)}
        chat["messages"] = msgspec.Raw(_encode([message]))
        return parse_request(chat, model=model, is_stream=is_stream)

    def render_answer(self, answer: Answer, options: StreamOptions) -> bytes:
        """A whole answer."""
        return _encode(
            {
                "id": answer.id or f"cmpl-{options.call_id}",
                "object": "text_completion",
                "created": answer.created or options.created,
                "model": options.model,
                "choices": [_choice(choice) for choice in answer.choices],
                "usage": usage_to_wire(answer.usage),
            }
        )

    def encoder(self, options: StreamOptions) -> CompletionsEncoder:
        """For one stream."""
        return CompletionsEncoder(options)

    def render_error(self, error: TollwayError) -> bytes:
        """The JSON body of an error."""
        return render_error(error)


def _prompt(fields: Fields) -> str:
    prompt = msgspec.json.decode(fields.get("prompt", b"null"))
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise InvalidRequest(
            "'prompt' must be one text: this model chats, and is asked one thing at a time.", param="prompt"
        )
    return prompt


def _choice(choice: Choice) -> dict[str, Any]:
    text = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
    return {"index": choice.index, "text": text, "logprobs": None, "finish_reason": FINISH_REASONS[choice.stop]}


class CompletionsEncoder:
    """Writes one stream."""

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        self._prefix = b""
        self._usage: Usage = NO_USAGE
        self._speaks: set[int] = set()
        """Choices whose open part is part of the text."""
        self._is_finished = False

    def push(self, events: Sequence[Event]) -> bytes:
        """The bytes for these events."""
        out: list[bytes] = []
        for event in events:
            match event:
                case Delta() if event.choice in self._speaks:
                    out.append(self._chunk(event.choice, event.text, b"null"))
                case Started():
                    self._start(event)
                case PartStarted():
                    told = isinstance(event.part, Text | Refusal)
                    (self._speaks.add if told else self._speaks.discard)(event.choice)
                case Stopped():
                    out.append(self._chunk(event.choice, "", _encode(FINISH_REASONS[event.reason])))
                case Metered():
                    self._usage = event.usage
        return b"".join(out)

    def close(self, error: TollwayError | None) -> bytes:
        """The usage, if it was asked for, and `[DONE]`; or the error, and `[DONE]`."""
        if self._is_finished:
            return b""
        self._is_finished = True
        if error is not None:
            return render_error_event(error)
        if not self._options.wants_usage:
            return _DONE
        return b'%s[],"usage":%s}\n\n%s' % (self._head(), _encode(usage_to_wire(self._usage)), _DONE)

    def _start(self, event: Started) -> None:
        self._prefix = chunk_head(event, self._options, kind=b"text_completion", id_prefix="cmpl")

    def _head(self) -> bytes:
        if not self._prefix:
            self._start(Started(id="", model=""))
        return self._prefix

    def _chunk(self, choice: int, text: str, reason: bytes) -> bytes:
        return b'%s[{"index":%d,"text":%s,"logprobs":null,"finish_reason":%s}]}\n\n' % (
            self._head(),
            choice,
            _encode(text),
            reason,
        )


DIALECT = CompletionsDialect()
