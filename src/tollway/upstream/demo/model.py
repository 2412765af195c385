"""The demo model itself: choices and vectors for a body. Pure but for the counting of tokens, which is handed in."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence
from typing import Any

from tollway.upstream.demo.answer import Answer, encode
from tollway.upstream.demo.request import MAX_CHOICES, Chat, Completion, Embedding, Refusal, items
from tollway.upstream.demo.shaping import shape_value
from tollway.upstream.demo.words import Prompt, compose, content_text, describe, embed, last_words, parts

CountTokens = Callable[[str], int]

DEFAULT_DIMENSIONS = 256
MAX_DIMENSIONS = 4096
IMAGE_TOKENS = 85
"""What OpenAI charges for an image in low detail."""
MESSAGE_TOKENS = 3
"""Around each message, and once more for the reply: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken"""


class DemoModel:
    """Answers bodies."""

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count = count_tokens

    def chat(self, body: Chat) -> tuple[list[Answer], int]:
        """The choices, and the tokens of the prompt."""
        if not body.messages:
            raise Refusal(400, "messages must hold at least one message.", param="messages")
        subject = last_words(body.messages)
        prompt_tokens = MESSAGE_TOKENS + sum(self._count_message(message) for message in body.messages)
        if body.tools:
            prompt_tokens += self._count(_text(body.tools))
        tool = _forced_tool(body) if body.demo.text is None else None
        limit = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
        seed = encode(body.messages)

        def answer(choice: int) -> Answer:
            if tool is not None:
                arguments = _text(shape_value(tool.get("parameters") or {"type": "object"}, subject))
                return self._limit(arguments, limit, (), tool=tool["name"])
            text = body.demo.text
            if text is None:
                text = _formatted(body, subject, compose(subject, prompt_tokens, seed + b"%d" % choice))
            return self._limit(text, limit, body.stops)

        return [answer(choice) for choice in body.choices], prompt_tokens

    def complete(self, body: Completion) -> tuple[list[Answer], int]:
        """The choices of each prompt, and the tokens of all."""
        prompts = items(body.prompt, "prompt")
        if len(prompts) * len(body.choices) > MAX_CHOICES:
            raise Refusal(400, f"prompts times n must not be more than {MAX_CHOICES}.", param="n")
        prompt_tokens = sum(self._count_prompt(prompt) for prompt in prompts)

        def answer(prompt: Prompt, choice: int) -> Answer:
            subject = describe(prompt)
            text = body.demo.text
            if text is None:
                text = " " + compose(subject, self._count_prompt(prompt), encode(prompt) + b"%d" % choice)
            limited = self._limit(text, body.max_tokens, body.stops)
            echoed = prompt if body.echo and isinstance(prompt, str) else ""
            return Answer(echoed + limited.text, limited.finish_reason, limited.tokens)

        return [answer(prompt, choice) for prompt in prompts for choice in body.choices], prompt_tokens

    def embed(self, body: Embedding) -> dict[str, Any]:
        """The whole answer."""
        dimensions = DEFAULT_DIMENSIONS if body.dimensions is None else body.dimensions
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise Refusal(400, f"dimensions must be between 1 and {MAX_DIMENSIONS}.", param="dimensions")
        inputs = items(body.input, "input")
        render = _base64_floats if body.encoding_format == "base64" else list
        tokens = sum(self._count_prompt(item) for item in inputs)
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": render(embed(item, dimensions))}
                for index, item in enumerate(inputs)
            ],
            "model": body.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    def _count_prompt(self, prompt: Prompt) -> int:
        return self._count(prompt) if isinstance(prompt, str) else len(prompt)

    def _count_message(self, message: dict[str, Any]) -> int:
        images = [part for part in parts(message) if part.get("type") == "image_url"]
        calls = message.get("tool_calls")
        words = [str(message.get("role", "")), content_text(message), _text(calls) if calls else ""]
        return MESSAGE_TOKENS + IMAGE_TOKENS * len(images) + sum(self._count(word) for word in words if word)

    def _limit(self, text: str, max_tokens: int | None, stops: Sequence[str], *, tool: str | None = None) -> Answer:
        """Cut before the first stop sequence, then to the token limit."""
        if max_tokens is not None and max_tokens < 1:
            raise Refusal(400, "max_tokens must be at least 1.", param="max_tokens")
        ends = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
        text = text[: min(ends)] if ends else text
        tokens = self._count(text)
        if max_tokens is None or tokens <= max_tokens:
            return Answer(text, "tool_calls" if tool else "stop", tokens, tool)
        text = self._longest_prefix(text, max_tokens)
        return Answer(text, "length", self._count(text), tool)

    def _longest_prefix(self, text: str, max_tokens: int) -> str:
        fits, too_long = 0, len(text)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if self._count(text[:middle]) <= max_tokens:
                fits = middle
            else:
                too_long = middle
        return text[:fits]


def _formatted(body: Chat, subject: str, text: str) -> str:
    """`text` in the `response_format` that was asked for."""
    wanted = body.response_format or {}
    if wanted.get("type") == "json_object":
        return _text({"answer": text})
    if wanted.get("type") == "json_schema":
        return _text(shape_value(_object(wanted.get("json_schema")).get("schema"), subject))
    return text


def _forced_tool(body: Chat) -> dict[str, Any] | None:
    """The function that must be called, if one must."""
    choice = body.tool_choice
    if choice is None or (isinstance(choice, str) and choice != "required"):
        return None
    functions = [_object(tool.get("function")) for tool in body.tools or []]
    name = _object(_object(choice).get("function")).get("name")
    found = next((function for function in functions if choice == "required" or function.get("name") == name), None)
    if not found or not isinstance(found.get("name"), str):
        raise Refusal(400, "tool_choice names no function among tools.", param="tool_choice")
    return found


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _base64_floats(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _text(value: object) -> str:
    return encode(value).decode()
