"""What the demo model says, and where it puts texts in space. Pure: the same prompt, the same answer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

Prompt = str | list[int]
"""Text, or tokens whose text nobody here knows."""

_OPENINGS = ("You asked", "Your question was", "I read", "You wrote")
_REMARKS = (
    "Ask the same thing again and the answer will be the same, word for word.",
    "Nothing left this machine, and nothing was charged.",
    "Streams, tools, JSON formats and embeddings work here exactly as they do with a real model.",
    "Tell me to be slow, to fail or to fall silent, and see how your application takes it.",
)


def compose(subject: str, prompt_tokens: int, seed: bytes) -> str:
    """An answer about `subject`, always the same for the same `seed`."""
    pick = hashlib.blake2b(seed, digest_size=2).digest()
    opening, remark = _OPENINGS[pick[0] % len(_OPENINGS)], _REMARKS[pick[1] % len(_REMARKS)]
    return (
        f"{opening}: \u201c{subject}\u201d. That came to {prompt_tokens} tokens. "
        f"I am the built-in demo model: I answer without a key, from inside the gateway. {remark} "
        "Add a provider and its key to the gateway, and this same request reaches a real model."
    )


def parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a message whose content is not plain text."""
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def content_text(message: dict[str, Any]) -> str:
    """All text of a message."""
    content = message.get("content")
    return content if isinstance(content, str) else " ".join(str(part.get("text") or "") for part in parts(message))


def last_words(messages: list[dict[str, Any]]) -> str:
    """What the answer is about: the last message that says anything."""
    return describe(next((text for message in reversed(messages) if (text := content_text(message).strip())), ""))


def describe(prompt: Prompt) -> str:
    """The beginning of a prompt, on one line."""
    if isinstance(prompt, list):
        return f"a prompt of {len(prompt)} tokens"
    words = prompt.split(maxsplit=24)
    excerpt = " ".join(words[:24])[:160]
    return excerpt if excerpt == " ".join(words) else f"{excerpt}…"


def embed(prompt: Prompt, dimensions: int) -> list[float]:
    """A unit vector by feature hashing, so that texts that share words lie close together.

    https://en.wikipedia.org/wiki/Feature_hashing of words and their trigrams, in the first 8,192 characters or tokens.
    """
    vector = [0.0] * dimensions
    for feature in _features(prompt):
        number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest())
        vector[number % dimensions] += 1.0 if number >> 63 else -1.0
    length = math.sqrt(sum(value * value for value in vector))
    if not length:
        return [1.0, *vector[1:]]
    return [value / length for value in vector]


def _features(prompt: Prompt) -> Iterator[str]:
    words = [str(token) for token in prompt[:8192]] if isinstance(prompt, list) else prompt[:8192].lower().split()
    for word in words:
        yield word
        yield from (word[at : at + 3] for at in range(len(word) - 3))
