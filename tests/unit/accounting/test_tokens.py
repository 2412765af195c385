from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.accounting.tokens import (
    COUNTED_CHARACTERS,
    SHA256_OF_VOCABULARY,
    TOOLS_ALLOWANCE,
    EncodingName,
    count_chat_request,
    count_completion_prompt,
    count_in_thread,
    count_text,
    encoding,
    encoding_name,
    input_bound,
    read_vocabulary,
    usage_for,
)
from tollway.dialects.body import read_fields


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection or looks up a name fails."""

    def refuse(*args: object) -> None:
        raise AssertionError(f"tried to reach the network: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def chat(*messages: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": list(messages), **fields}, ensure_ascii=False).encode()


# ---- vocabularies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHA256_OF_VOCABULARY)
def test_the_shipped_vocabularies_are_the_published_ones(name: EncodingName) -> None:
    published = b"".join(
        b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(read_vocabulary(name))
    )

    assert hashlib.sha256(published).hexdigest() == SHA256_OF_VOCABULARY[name]


@pytest.mark.parametrize("name", SHA256_OF_VOCABULARY)
def test_our_definitions_are_those_of_tiktoken(name: EncodingName, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own constructor, with the vocabulary handed to it in place of the download."""
    openai_public = importlib.import_module("tiktoken_ext.openai_public")
    ranks = {token: rank for rank, token in enumerate(read_vocabulary(name))}
    expected_hashes = []

    def local(url: str, expected_hash: str) -> dict[bytes, int]:
        expected_hashes.append(expected_hash)
        return ranks

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", local)
    theirs = getattr(openai_public, name)()
    ours = encoding(name)

    assert expected_hashes == [SHA256_OF_VOCABULARY[name]]
    assert ours._pat_str == theirs["pat_str"]
    assert ours._special_tokens.items() <= theirs["special_tokens"].items()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("ft:gpt-4o-2024-08-06:acme", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("openai/gpt-4-0613", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("ft:gpt-3.5-turbo:acme", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("text-embedding-ada-002", "cl100k_base"),
        ("claude-sonnet-4-5", "o200k_base"),
        ("llama-3.3-70b", "o200k_base"),
    ],
)
def test_each_model_has_its_vocabulary(model: str, name: EncodingName) -> None:
    assert encoding_name(model) == name


def test_nothing_loads_before_the_first_count() -> None:
    program = (
        "import sys, tollway.accounting.tokens as t\n"
        "t.input_bound(b'{}', {}); t.encoding_name('gpt-4o')\n"
        "print('tiktoken' in sys.modules)\n"
        "t.count_text('x', model='gpt-4o')\n"
        "print('tiktoken' in sys.modules, 'requests' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.split() == ["False", "True", "False"]


async def test_threads_that_ask_at_the_same_time_get_one_encoding() -> None:
    encodings = await asyncio.gather(*(asyncio.to_thread(encoding, "cl100k_base") for _ in range(8)))

    assert len({id(each) for each in encodings}) == 1


# ---- counting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "model", "expected"),
    [
        # From OpenAI's cookbook, "How to count tokens with tiktoken", section 5.
        ("antidisestablishmentarianism", "gpt-4", 6),
        ("antidisestablishmentarianism", "gpt-4o", 6),
        ("2 + 2 = 4", "gpt-4", 7),
        ("2 + 2 = 4", "gpt-4o", 7),
        ("お誕生日おめでとう", "gpt-4", 9),
        ("お誕生日おめでとう", "gpt-4o", 8),
        ("tiktoken is great!", "gpt-4", 6),
        ("", "gpt-4o", 0),
    ],
)
def test_texts_have_their_known_counts(text: str, model: str, expected: int) -> None:
    assert count_text(text, model=model) == expected


def test_what_looks_like_a_special_token_is_text() -> None:
    assert count_text("<|endoftext|>", model="gpt-4o") > 1
    assert count_text("<|endofprompt|><|fim_prefix|>", model="gpt-4") > 2


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_can_be_counted_and_has_no_more_tokens_than_bytes(text: str) -> None:
    assert count_text(text, model="gpt-4o") <= len(text.encode("utf-8", "surrogatepass"))


COOKBOOK_MESSAGES = (
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon"
        " into plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities"
        " for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
)


@pytest.mark.parametrize(("model", "reported"), [("gpt-3.5-turbo", 129), ("gpt-4", 129), ("gpt-4o", 124)])
def test_a_chat_counts_what_openai_reported_for_it(model: str, reported: int) -> None:
    """The cookbook's example, section 6, with the numbers the API returned."""
    assert count_chat_request(chat(*COOKBOOK_MESSAGES), model) == reported


def test_parts_tool_calls_tools_and_schemas_are_counted() -> None:
    plain = chat({"role": "user", "content": "hello"})
    parts = chat({"role": "user", "content": [{"type": "text", "text": "hello"}]})
    call = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": '{"q": "x"}'}}
    tools = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"minimum": 1.5}}}
    base = count_chat_request(plain, "gpt-4o")

    assert count_chat_request(parts, "gpt-4o") == base == 3 + 3 + 1 + 1
    assert count_chat_request(chat({"role": "assistant", "content": None, "tool_calls": [call]}), "gpt-4o") == (
        3 + 3 + 1 + count_text("look_up", model="gpt-4o") + count_text('{"q": "x"}', model="gpt-4o")
    )
    for field, value in (("tools", tools), ("response_format", schema)):
        text = json.dumps(value, separators=(",", ":"))
        body = chat({"role": "user", "content": "hello"}, **{field: value})
        assert count_chat_request(body, "gpt-4o") == base + count_text(text, model="gpt-4o")


def test_pictures_sounds_and_files_are_counted() -> None:
    def added(part: dict[str, Any], model: str = "gpt-4o") -> int:
        return count_chat_request(chat({"role": "user", "content": [part]}), model) - 7

    image = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    assert added(image) == 85 + 4 * 170
    assert added({"type": "image_url", "image_url": {**image["image_url"], "detail": "low"}}) == 85  # type: ignore[dict-item]
    one_second = base64.b64encode(bytes(8000)).decode()
    assert added({"type": "input_audio", "input_audio": {"data": one_second, "format": "mp3"}}) == 11
    assert added({"type": "file", "file": {"file_id": "file-1"}}) == 2_000


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"not json",
        b'{"messages": "no list"}',
        b'{"messages": [1, null, {"role": 3, "content": {"text": 4}, "tool_calls": [{}]}]}',
        b"\xff\xfe",
        b'{"a":' * 5000,
    ],
)
def test_counting_a_strange_body_does_not_fail(body: bytes) -> None:
    assert count_chat_request(body, "gpt-4o") >= 3
    assert count_completion_prompt(body, "gpt-4o") == 0
    assert usage_for(body, "", "gpt-4o").is_estimated
    assert input_bound(body, {}) >= len(body)


def test_half_a_surrogate_pair_is_counted_as_one_strange_character() -> None:
    body = b'{"messages": [{"role": "user", "content": "a \\ud83d b \\udc00"}], "tools": [{"n": "\\ud800"}]}'

    assert count_chat_request(body, "gpt-4o") > 7


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"prompt": "hello world"}, 2),
        ({"prompt": ["hello world", "hello"]}, 3),
        ({"prompt": [15339, 1917, 0]}, 3),
        ({"input": [[15339], [1917, 0]]}, 3),
        ({"input": "hello world"}, 2),
        ({"input": None}, 0),
    ],
)
def test_prompts_and_embedding_inputs_are_counted(body: dict[str, Any], expected: int) -> None:
    encoded = json.dumps(body).encode()

    assert count_completion_prompt(encoded, "gpt-4") == expected
    assert usage_for(encoded, "hello", "gpt-4").input_tokens == expected


def test_an_estimated_usage_has_both_sides_and_says_so() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": base64.b64encode(bytes(80_000)).decode()}}
    usage = usage_for(chat({"role": "user", "content": [sound]}), "hello world", "gpt-4o-audio-preview")

    assert (usage.input_tokens, usage.input_audio_tokens, usage.output_tokens) == (7 + 101, 101, 2)
    assert usage.is_estimated


async def test_long_texts_are_counted_in_a_thread_and_short_ones_at_once() -> None:
    async def counted_in(content: str) -> str:
        import threading

        def count(text: str, *, model: str) -> str:
            return threading.current_thread().name

        return await count_in_thread(count, content, model="gpt-4o")

    encoding("o200k_base")
    assert await counted_in("short") == "MainThread"
    assert await counted_in("long" * 20_000) != "MainThread"
    assert await count_in_thread(count_text, "hello world", model="gpt-4o") == 2


# ---- bounding -------------------------------------------------------------------------------------------------------

some_text = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60),
    st.text(alphabet='こんにちは世界你好안녕😀👩‍👩‍👧🏳️‍🌈\u200b\n\t"\\', max_size=40),
    st.text(alphabet="0123456789 {}[]", max_size=60),
)
images = st.builds(
    lambda url, detail: {"type": "image_url", "image_url": {"url": url, "detail": detail}},
    st.one_of(
        st.just("https://example.com/a.png"),
        st.binary(max_size=200).map(lambda data: "data:image/png;base64," + base64.b64encode(data).decode()),
        st.tuples(st.integers(0, 50_000), st.integers(0, 50_000)).map(
            lambda size: (
                "data:image/gif;base64,"
                + base64.b64encode(b"GIF89a" + b"".join(n.to_bytes(4, "little")[:2] for n in size)).decode()
            )
        ),
    ),
    st.sampled_from(["low", "high", "auto", "original"]),
)
sounds = st.binary(max_size=5000).map(
    lambda data: {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}
)
documents = st.binary(max_size=500).map(
    lambda data: {
        "type": "file",
        "file": {"file_data": "data:application/pdf;base64," + base64.b64encode(data).decode()},
    }
)
parts = st.lists(
    st.one_of(some_text.map(lambda text: {"type": "text", "text": text}), images, sounds, documents), max_size=4
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": st.one_of(some_text, parts)},
    optional={"name": some_text.filter(bool)},
)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(some_text, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(some_text, inner, max_size=4)),
    max_leaves=8,
)
tools = st.lists(
    st.fixed_dictionaries({"type": st.just("function"), "function": st.dictionaries(some_text, values, max_size=3)}),
    max_size=3,
)


def with_escaped_keys(body: bytes) -> bytes:
    """The same JSON, with media keys written as nobody expects."""
    for key in (b"image_url", b"input_audio", b"file", b"tools"):
        body = body.replace(b'"%s"' % key, b'"\\u%04x%s"' % (key[0], key[1:]))
    return body


def bound_of(body: bytes, model: str = "") -> int:
    return input_bound(body, read_fields(body), model=model)


@settings(max_examples=200)
@given(
    st.lists(messages, max_size=4),
    tools,
    st.booleans(),
    st.booleans(),
    st.sampled_from(
        ["gpt-4o", "gpt-4o-mini", "gpt-4", "gpt-5-mini", "gpt-5.9", "o4-mini", "claude-x", "gemini-x", "qwen-vl"]
    ),
)
def test_the_bound_is_never_below_the_exact_count(
    conversation: list[dict[str, Any]], given_tools: list[dict[str, Any]], ascii_only: bool, escaped: bool, model: str
) -> None:
    body = json.dumps(
        {"model": model, "messages": conversation, "tools": given_tools}, ensure_ascii=ascii_only
    ).encode()
    if escaped:
        body = with_escaped_keys(body)

    assert bound_of(body, model) >= count_chat_request(body, model)


def test_without_media_the_bound_is_the_length_of_the_body() -> None:
    body = chat({"role": "user", "content": 'see "image_url": it is only a word here'})

    assert bound_of(body) == len(body)
    assert bound_of(chat({"role": "user", "content": "hi"}, tools=[])) == TOOLS_ALLOWANCE + len(
        chat({"role": "user", "content": "hi"}, tools=[])
    )


OTHER_FORMATS: dict[str, tuple[dict[str, Any], int, str]] = {
    # a body, the documented maximum of its media, the model
    "Anthropic's picture": (
        {"messages": [{"content": [{"type": "image", "source": {"type": "base64", "data": "A" * 40_000}}]}]},
        4784,
        "claude-x",
    ),
    "Anthropic's file in a tool's result": (
        {
            "messages": [
                {"content": [{"type": "tool_result", "content": [{"type": "document", "source": {"url": "u"}}]}]}
            ]
        },
        778_400,
        "claude-x",
    ),
    "a picture of the Responses API": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y"}]}]},
        1445,
        "gpt-4o",
    ),
    "a file of the Responses API": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x/y"}]}]},
        778_400,
        "gpt-4o",
    ),
    "Gemini's sound": (
        {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/mp3", "data": "A" * 40_000}}]}]},
        41 * 32,
        "gemini-x",
    ),
    "Gemini's film": (
        {"contents": [{"parts": [{"file_data": {"mime_type": "video/mp4", "file_uri": "u"}}]}]},
        1_080_000,
        "gemini-x",
    ),
}


@pytest.mark.parametrize(("body", "maximum", "model"), OTHER_FORMATS.values(), ids=OTHER_FORMATS.keys())
def test_media_of_other_formats_count_with_their_maximum_too(body: dict[str, Any], maximum: int, model: str) -> None:
    encoded = json.dumps(body).encode()
    framing = len(encoded) - (40_000 if "A" * 40_000 in encoded.decode() else 0)
    for written in (encoded, with_escaped_keys(encoded)):
        bound = bound_of(written, model)
        assert maximum <= bound <= maximum + len(written) - (len(encoded) - framing)


def test_what_a_tool_was_called_with_is_text_whatever_it_looks_like() -> None:
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {"image_url": "data:image/png;base64," + "A" * 9_000}}
    body = json.dumps({"messages": [{"role": "assistant", "content": [call]}]}).encode()
    assert bound_of(body, "claude-x") == len(body)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "hello world"}], "system": [{"type": "text", "text": "hello world"}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hello world"}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "hello world"}]}]},
        {"contents": [{"parts": [{"text": "hello"}]}], "systemInstruction": {"parts": [{"text": " world"}]}},
    ],
)
def test_texts_of_other_formats_are_counted(body: dict[str, Any]) -> None:
    counted = usage_for(json.dumps(body).encode(), "", "gpt-4o").input_tokens
    assert 2 + 3 <= counted <= 2 * 2 + 3 + 6


def media_bodies() -> Iterator[tuple[str, dict[str, Any], int, str]]:
    payload = "A" * 40_000
    yield "picture", {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{payload}"}}, 1445, "gpt-4o"
    yield "linked picture", {"type": "image_url", "image_url": {"url": "https://x/y"}}, 1445, "gpt-4o"
    yield "picture as text", {"type": "image_url", "image_url": f"data:image/png;base64,{payload}"}, 4784, "claude-x"
    yield "dear picture", {"type": "image_url", "image_url": {"url": "https://x/y"}}, 48_169, "gpt-4o-mini"
    yield "no model", {"type": "image_url", "image_url": {"url": "https://x/y"}}, 48_169, ""
    yield "strange model", {"type": "image_url", "image_url": {"url": "https://x/y"}}, 24_600, "qwen-vl"
    yield "sound", {"type": "input_audio", "input_audio": {"data": payload, "format": "mp3"}}, 41 * 32, "gpt-audio"
    yield "file", {"type": "file", "file": {"file_id": "file-1"}}, 778_400, "gpt-4o"
    yield "film", {"type": "video_url", "video_url": {"url": "https://x/y"}}, 1_080_000, "gemini-x"


@pytest.mark.parametrize(
    ("part", "maximum", "model"), [case[1:] for case in media_bodies()], ids=[case[0] for case in media_bodies()]
)
def test_media_count_with_their_documented_maximum_in_place_of_their_payload(
    part: dict[str, Any], maximum: int, model: str
) -> None:
    body = chat({"role": "user", "content": [part]})
    framing = len(body) - (40_000 if "A" * 40_000 in body.decode() else 0)

    for written in (body, with_escaped_keys(body)):
        bound = bound_of(written, model)
        assert maximum <= bound <= maximum + framing + 40


def test_an_earlier_answer_in_sound_is_bounded_by_the_longest_there_is() -> None:
    body = chat({"role": "assistant", "audio": {"id": "audio_1"}})

    assert bound_of(body) == len(body) + 16_384


def test_of_a_very_long_text_the_beginning_is_counted_and_the_rest_is_like_it() -> None:
    sentence = "The quick brown fox jumps over the lazy dog. "
    whole = sentence * (2 * COUNTED_CHARACTERS // len(sentence))
    exact = len(encoding("o200k_base").encode_ordinary(whole))

    assert count_text(whole, model="gpt-4o") == pytest.approx(exact, rel=0.001)
