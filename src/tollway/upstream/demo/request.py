"""What clients send, and the refusal of what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from tollway.upstream.demo.words import Prompt

MAX_CHOICES = 128
MAX_INPUTS = 2048

Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=600_000)]


class Behaviour(msgspec.Struct, frozen=True):
    """The `demo` object of a body; see the module."""

    latency_ms: Milliseconds = 50.0
    chunk_ms: Milliseconds = 20.0
    text: str | None = None
    fault: Literal["error_500", "rate_limit", "refuse", "cut", "stall", "malformed"] | None = None
    after_chunks: Annotated[int, msgspec.Meta(ge=0)] = 3
    retry_after_s: Annotated[int, msgspec.Meta(ge=0)] = 1


class StreamOptions(msgspec.Struct):
    """Of a streamed generation."""

    include_usage: bool | None = None


class Generation(msgspec.Struct, kw_only=True):
    """What chat and completions have in common."""

    model: str
    n: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    demo: Behaviour = Behaviour()

    @property
    def choices(self) -> range:
        """Indices of the choices that are asked for."""
        count = 1 if self.n is None else self.n
        if not 1 <= count <= MAX_CHOICES:
            raise Refusal(400, f"n must be between 1 and {MAX_CHOICES}.", param="n")
        return range(count)

    @property
    def stops(self) -> list[str]:
        """Texts that the answer ends before."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


class Chat(Generation, kw_only=True):
    """https://platform.openai.com/docs/api-reference/chat/create"""

    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None


class Completion(Generation, kw_only=True):
    """https://platform.openai.com/docs/api-reference/completions/create"""

    prompt: str | list[str | int | list[int]] = "<|endoftext|>"
    echo: bool | None = None


class Embedding(msgspec.Struct, kw_only=True):
    """https://platform.openai.com/docs/api-reference/embeddings/create"""

    model: str
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None
    demo: Behaviour = Behaviour()


class Refusal(Exception):
    """An error that goes out as OpenAI's envelope."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        latency_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = msgspec.json.encode({"error": {"message": message, "type": type, "param": param, "code": code}})
        self.headers = headers
        self.latency_s = latency_s


Body = TypeVar("Body", Chat, Completion, Embedding)


def parse(body: bytes, type: type[Body]) -> Body:
    """The body as `type`. Raises `Refusal` for what is not JSON, or not of that form."""
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        field = re.search(r"\$\.(\w+)|`(\w+)`$", str(error))
        raise Refusal(400, f"{error}.", param=field and (field[1] or field[2])) from None
    except (msgspec.DecodeError, RecursionError):
        raise Refusal(400, "We could not parse the JSON body of your request.") from None


def items(value: str | list[str | int | list[int]], field: str) -> list[Prompt]:
    """Each text or token array of a field that may hold one or many."""
    if isinstance(value, str):
        value = [value]
    tokens = [item for item in value if isinstance(item, int)]
    items: list[Prompt] = [tokens] if tokens else [item for item in value if not isinstance(item, int)]
    if not items or len(items) > MAX_INPUTS or (tokens and len(tokens) < len(value)) or not all(items):
        raise Refusal(
            400, f"{field} must hold texts or token arrays, 1 to {MAX_INPUTS} of them, none empty.", param=field
        )
    return items
