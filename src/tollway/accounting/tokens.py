"""Counting tokens offline, and bounding them without counting.

`input_bound` serves admission: an upper bound from the body's bytes, never tokenising. The `count_…` functions and
`usage_for` serve calls whose provider reported no usage. Exact for OpenAI's text models; for other vendors, who publish
no tokenizer, the o200k vocabulary stands in, and the answer is an estimate.

The vocabularies ship in the package. tiktoken is imported and a vocabulary loaded at the first count (0.3 s, 80 MB for
o200k), once per process; nothing is ever downloaded. In an event loop, call these functions through `count_in_thread`.
"""

from __future__ import annotations

import asyncio
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from importlib.resources import files
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from tollway.accounting.media import (
    AUDIO_REFERENCE_MAXIMUM,
    PAGE_TOKENS,
    audio_tokens,
    file_tokens,
    image_tokens,
    media_maximum,
)
from tollway.core.usage import Usage

if TYPE_CHECKING:
    from tiktoken import Encoding

T = TypeVar("T")

EncodingName = Literal["o200k_base", "cl100k_base"]

SHA256_OF_VOCABULARY: Mapping[EncodingName, str] = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
"""Of OpenAI's own vocabulary files, as in `tiktoken_ext.openai_public`."""

THREAD_ABOVE_BYTES = 50_000
COUNTED_CHARACTERS = 1_000_000
"""Longer inputs are counted in a thread: 14 MB/s would hold the event loop for more than 4 ms."""

TOKENS_PER_MESSAGE = 3
TOKENS_PER_NAME = 1
TOKENS_OF_REPLY_PRIMING = 3
"""OpenAI's rule for chats: cookbook.openai.com, "How to count tokens with tiktoken", section 6."""

TOOLS_ALLOWANCE = 1_000
"""Tokens a vendor adds to a prompt with tools, beyond their text (Anthropic: 264 to 804 by model and tool choice)."""

# Patterns and special tokens are the vocabularies' published definitions, as in `tiktoken_ext.openai_public`.
_PATTERNS: Mapping[EncodingName, str] = {
    "o200k_base": "|".join(
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        )
    ),
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s"
    ),
}
_END_OF_TEXT: Mapping[EncodingName, int] = {"o200k_base": 199_999, "cl100k_base": 100_257}

_CL100K_MODELS = re.compile(
    r"(?:^|/)(?:ft:)?(?:gpt-4(?!o|\.)|gpt-3\.?5|text-embedding-(?:ada|3)|davinci-002|babbage-002|text-davinci)"
)


# ---- vocabularies ---------------------------------------------------------------------------------------------------


def encoding_name(model: str) -> EncodingName:
    """The vocabulary for a model: cl100k for GPT-3.5, GPT-4 and OpenAI's embeddings, o200k for the rest.

    Right for OpenAI's models (GPT-4o, 4.1, 5 and later and the o-series use o200k); an estimate for everybody else's.
    """
    return "cl100k_base" if _CL100K_MODELS.search(model.lower()) else "o200k_base"


def read_vocabulary(name: EncodingName) -> Iterator[bytes]:
    """The tokens of a vocabulary in the package, in order of rank. `scripts/compile_vocabularies.py` wrote it."""
    content = zlib.decompress((files("tollway.accounting") / "data" / f"{name}.vocabulary.z").read_bytes())
    count = content.index(0)
    bounds = accumulate(content[:count], initial=count + 1)
    return (content[start:end] for start, end in pairwise(bounds))


_loaded: dict[EncodingName, Encoding] = {}
_loading = threading.Lock()


def encoding(name: EncodingName) -> Encoding:
    """The encoding, loaded at the first call; threads that ask at the same time wait for one load."""
    if (loaded := _loaded.get(name)) is not None:
        return loaded
    with _loading:
        return _loaded.get(name) or _loaded.setdefault(name, _load(name))


def _load(name: EncodingName) -> Encoding:
    from tiktoken import Encoding  # noqa: PLC0415 - heavy, and most processes never count

    return Encoding(
        name,
        pat_str=_PATTERNS[name],
        mergeable_ranks={token: rank for rank, token in enumerate(read_vocabulary(name))},
        special_tokens={"<|endoftext|>": _END_OF_TEXT[name]},
    )


async def count_in_thread(count: Callable[..., T], *content: str | bytes, model: str) -> T:
    """Runs one of this module's counts over `content` without holding the event loop.

    Short content is counted right here once the model's vocabulary is loaded; long content, and the first, in a thread.
    """
    if sum(map(len, content)) <= THREAD_ABOVE_BYTES and encoding_name(model) in _loaded:
        return count(*content, model=model)
    return await asyncio.to_thread(count, *content, model=model)


# ---- counting -------------------------------------------------------------------------------------------------------


def count_text(text: str, *, model: str) -> int:
    """Tokens of a text. What looks like a special token is text.

    Of a text longer than `COUNTED_CHARACTERS` the beginning is counted and the rest taken to be like it: counting goes
    on while a client waits for the end of its answer.
    """
    if not text:
        return 0
    counted = text[:COUNTED_CHARACTERS]
    tokens = len(encoding(encoding_name(model)).encode_ordinary(counted))
    return tokens if len(counted) == len(text) else -(-tokens * len(text) // len(counted))


def count_chat_request(body: bytes, model: str) -> int:
    """Prompt tokens of a chat request: OpenAI's rule for messages; tools and answer schemas by their JSON text.

    Images by the model's tile or patch rule, audio and files estimated (`accounting.media`). What cannot be read as
    part of a chat counts as nothing.
    """
    return _chat_usage(_object(body), model).input_tokens


def count_completion_prompt(body: bytes, model: str) -> int:
    """Prompt tokens of a completions request (`prompt`) or an embeddings request (`input`): texts, or tokens given."""
    request = _object(body)
    given = request.get("prompt", request.get("input"))
    return _count_prompt(given, model)


def usage_for(body: bytes, output_text: str, model: str) -> Usage:
    """The usage of a call whose provider reported none: both sides counted here, and marked as an estimate.

    `body` is a chat, completions or embeddings request; `output_text` all the text that was answered, reasoning and
    tool arguments included.
    """
    request = _object(body)
    if "messages" in request:
        usage = _chat_usage(request, model)
    elif "contents" in request or _dicts(request.get("input")):
        usage = Usage(input_tokens=_count_items(request, model))
    else:
        usage = Usage(input_tokens=_count_prompt(_texts(request), model))
    return msgspec.structs.replace(usage, output_tokens=count_text(output_text, model=model), is_estimated=True)


def _texts(request: Mapping[str, Any]) -> Any:
    """What is completed or embedded, under the names that vendors have for it."""
    return next((request[name] for name in ("prompt", "input", "texts", "inputText") if name in request), None)


_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def _object(body: bytes) -> dict[str, Any]:
    """The body's top level, numbers as written; empty if there is none, because counting must not fail a served call.

    Halves of surrogate pairs, which some clients send and JSON allows, are read as U+FFFD.
    """
    for text in (body, _SURROGATE.sub(rb"\\ufffd", body)):
        try:
            decoded = _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        return decoded if isinstance(decoded, dict) else {}
    return {}


def _chat_usage(request: Mapping[str, Any], model: str) -> Usage:
    text, audio = TOKENS_OF_REPLY_PRIMING + _count_system(request, model), 0
    for message in _dicts(request.get("messages")):
        text += TOKENS_PER_MESSAGE + _count_message(message, model)
        audio += sum(audio_tokens(part) for part in _parts(message) if "input_audio" in part)
    for field in ("tools", "functions", "response_format"):
        if request.get(field):
            text += count_text(_encoder.encode(request[field]).decode(), model=model)
    return Usage(input_tokens=text + audio, input_audio_tokens=audio)


def _count_system(request: Mapping[str, Any], model: str) -> int:
    """Anthropic keeps instructions apart from the messages."""
    return _count_texts(request.get("system"), model)


def _count_message(message: Mapping[str, Any], model: str) -> int:
    texts = [message.get("role"), message.get("content"), message.get("refusal"), message.get("name")]
    tokens = TOKENS_PER_NAME if isinstance(message.get("name"), str) else 0
    for call in (*_dicts(message.get("tool_calls")), {"function": message.get("function_call")}):
        function = call.get("function")
        if isinstance(function, dict):
            texts += [function.get("name"), function.get("arguments")]
    for part in _parts(message):
        texts += [part.get("text"), part.get("refusal")]
        if "image_url" in part:
            tokens += image_tokens(part, model)
        elif "file" in part:
            tokens += file_tokens(part)
        elif part.get("type") not in _CHAT_PARTS:
            tokens += _count_texts(part, model)
    return tokens + sum(count_text(text, model=model) for text in texts if isinstance(text, str))


def _count_items(request: Mapping[str, Any], model: str) -> int:
    """Texts and pictures of the Responses API and of Gemini, an estimate: roles and framing by chat's rule."""
    tokens = TOKENS_OF_REPLY_PRIMING
    for name in ("input", "contents", "instructions", "systemInstruction", "system_instruction"):
        value = request.get(name)
        tokens += TOKENS_PER_MESSAGE * len(_dicts(value)) + _count_texts(value, model)
    if request.get("tools"):
        tokens += count_text(_encoder.encode(request["tools"]).decode(), model=model)
    return tokens


def _count_texts(value: Any, model: str) -> int:
    if isinstance(value, str):
        return count_text(value, model=model)
    if isinstance(value, list):
        return sum(_count_texts(item, model) for item in value)
    if not isinstance(value, dict):
        return 0
    if (media := media_maximum(value, model)) is not None:
        return min(media[0], image_tokens(value, model) if "image_url" in value else PAGE_TOKENS)
    return sum(_count_texts(item, model) for name, item in value.items() if name not in _NOT_TEXT)


_CHAT_PARTS = frozenset({"text", "refusal", "input_audio", "video_url", None})
_NOT_TEXT = frozenset({"type", "id", "call_id", "data", "signature", "encrypted_content", "thoughtSignature", "status"})


def _count_prompt(given: Any, model: str) -> int:
    if isinstance(given, str):
        return count_text(given, model=model)
    if not isinstance(given, list):
        return 0
    return sum(1 if isinstance(item, int) else _count_prompt(item, model) for item in given)


def _parts(message: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    return _dicts(message.get("content"))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


# ---- bounding -------------------------------------------------------------------------------------------------------


class _Message(msgspec.Struct, gc=False):
    content: msgspec.Raw = msgspec.Raw(b"null")
    audio: msgspec.Raw = msgspec.Raw(b"null")


_decode_messages = msgspec.json.Decoder(list[_Message]).decode
_TOOL_FIELDS = frozenset({"tools", "functions"})
_ITEMS = ("input", "contents", "system", "systemInstruction", "system_instruction")
"""Where other formats than chat have their conversation."""
_OF_TOOLS = frozenset({"input", "args", "arguments", "response", "parameters"})
_LIST = ord("[")
_NULL = msgspec.Raw(b"null")


def input_bound(body: bytes, fields: Mapping[str, msgspec.Raw], *, model: str = "") -> int:
    """An upper bound of the prompt tokens of a request, from its bytes. `fields` is the top level of `body`.

    A token is at least one byte of UTF-8, JSON never writes text in fewer bytes than UTF-8, and what a chat adds to
    each message (three tokens and the role) is less than the JSON around it. Media parts count with the maximum for
    `model` (`accounting.media`; the dearest model's where none is given) in place of their payload. A bound for what
    the body shows: prompts that a vendor adds to every call unseen are beyond anybody's knowledge. Costs one skip over
    the messages, and one JSON parse if some have parts.
    """
    bound = len(body)
    if not fields.keys().isdisjoint(_TOOL_FIELDS):
        bound += TOOLS_ALLOWANCE
    messages = fields.get("messages")
    if (messages is not None and _may_have_media(messages)) or (
        not fields.keys().isdisjoint(_ITEMS) and any(_has_objects(fields.get(name)) for name in _ITEMS)
    ):
        bound += _media_surplus(_object(body), model)
    return bound


def _has_objects(raw: msgspec.Raw | None) -> bool:
    """Whether a field is more than texts and numbers."""
    return raw is not None and b"{" in bytes(raw)


def _may_have_media(messages: msgspec.Raw) -> bool:
    """Whether some message is more than a text. Decoded, not searched: keys can be written with escapes."""
    try:
        decoded = _decode_messages(messages)
    except msgspec.DecodeError:
        return True
    return any(memoryview(message.content)[0] == _LIST or message.audio != _NULL for message in decoded)


def _media_surplus(request: Mapping[str, Any], model: str) -> int:
    """What media parts cost at most, less their payload's bytes (which the body's length has counted)."""
    surplus = sum(AUDIO_REFERENCE_MAXIMUM for message in _dicts(request.get("messages")) if "audio" in message)
    for name in ("messages", *_ITEMS):
        for part in _objects(request.get(name)):
            if (media := media_maximum(part, model)) is not None:
                tokens, payload_bytes = media
                surplus += tokens - payload_bytes
    return surplus


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within a conversation, whatever its format; not those that a tool was called with."""
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)
    elif isinstance(value, dict):
        yield value
        for name, item in value.items():
            if name not in _OF_TOOLS and isinstance(item, list | dict):
                yield from _objects(item)
