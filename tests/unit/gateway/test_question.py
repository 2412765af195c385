"""Which questions are compared by their words, and what else must be the same then."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.deployments import group

from tollway.core.caching import CacheControl, Caching
from tollway.core.principal import Principal
from tollway.core.snapshot import Operation, Settings
from tollway.dialects.body import Request, read_fields
from tollway.gateway.caching import bucket_of, cache_key
from tollway.gateway.call import Call, Controls
from tollway.gateway.question import MOST_CHARACTERS, take_apart

CACHING = Caching(operations=frozenset({"chat", "responses", "messages", "gemini", "completions"}), scope="key")


def call(operation: Operation, body: Any, *, key: str = "k", end_user: str = "", namespace: str = "") -> Call:
    one = Call(operation=operation, path="/x", headers={}, client_ip="", settings=Settings())
    one.raw_body = json.dumps(body).encode()
    one.request = Request(read_fields(one.raw_body), None, bool(body.get("stream")), False, None, 1)
    one.controls = Controls(cache=CacheControl(namespace=namespace), end_user=end_user)
    one.principal = Principal(key_hash=key, team_id="t")
    return one


def words(operation: Operation, body: Any) -> str | None:
    question = take_apart(operation, call(operation, body).request.fields)
    return None if question is None else question.words


def bucket(
    operation: Operation, body: Any, caching: Caching = CACHING, *, model: str = "m", embedder: str = "e", **more: str
) -> str:
    one = call(operation, body, **more)
    question = take_apart(operation, one.request.fields)
    assert question is not None
    return bucket_of(one, group(model), caching, question.rest, embedder=embedder)


def turn(content: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


def text(said: str, kind: str = "text") -> dict[str, str]:
    return {"type": kind, "text": said}


PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
RESULT = {"type": "tool_result", "tool_use_id": "1", "content": "4"}

COMPARED: list[tuple[Operation, dict[str, Any], str]] = [
    ("chat", {"messages": [turn("Be brief", "system"), turn("Hi")]}, "Hi"),
    ("chat", {"messages": [turn([text("One"), text("two")])]}, "One\ntwo"),
    ("completions", {"prompt": "Once upon"}, "Once upon"),
    ("responses", {"input": "Hi"}, "Hi"),
    ("responses", {"input": [turn("a", "developer"), turn([text("Hi", "input_text")])]}, "Hi"),
    ("messages", {"system": "Be brief", "max_tokens": 9, "messages": [turn([text("Hi")])]}, "Hi"),
    ("gemini", {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}, "Hi"),
    ("gemini", {"contents": [{"parts": [{"text": "Hi"}, {"text": "you"}]}]}, "Hi\nyou"),
]


@pytest.mark.parametrize(("operation", "body", "expected"), COMPARED)
def test_plain_words_of_the_user_are_taken_out(operation: Operation, body: dict[str, Any], expected: str) -> None:
    assert words(operation, body) == expected
    other = json.loads(json.dumps(body).replace("Hi", "Hello").replace("One", "Once").replace("Once upon", "At night"))
    assert words(operation, other) != expected
    assert bucket(operation, body) == bucket(operation, other)
    assert cache_key(call(operation, body), group("m"), CACHING) != bucket(operation, body)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("chat", {"messages": [turn([text("What is this?"), PICTURE])]}),
        ("chat", {"messages": [turn("Hi"), turn("Hello", "assistant")]}),
        ("chat", {"messages": [turn("Hi"), {"role": "tool", "tool_call_id": "1", "content": "4"}]}),
        ("chat", {"messages": []}),
        ("chat", {"messages": [turn("  ")]}),
        ("chat", {"messages": [turn(None)]}),
        ("chat", {"messages": [turn([])]}),
        ("chat", {"messages": [turn("x" * (MOST_CHARACTERS + 1))]}),
        ("chat", {"messages": 1}),
        ("completions", {"prompt": ["a", "b"]}),
        ("completions", {"prompt": [1, 2]}),
        ("responses", {"input": [{"type": "function_call_output", "call_id": "1", "output": "4"}]}),
        ("responses", {"input": [turn([{"type": "input_file", "file_id": "f"}, text("Read", "input_text")])]}),
        ("messages", {"max_tokens": 9, "messages": [turn([RESULT, text("And?")])]}),
        ("gemini", {"contents": [{"role": "model", "parts": [{"text": "Hi"}]}]}),
        ("gemini", {"contents": [{"parts": [{"text": "Hi", "thought": True}]}]}),
        ("embeddings", {"input": "Hi"}),
    ],
)
def test_all_else_is_the_same_or_not(operation: Operation, body: dict[str, Any]) -> None:
    assert words(operation, body) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document at which something can be changed."""
    found = [path] if path else []
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        found += _places(member, (*path, name))
    return found


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


BODY: dict[str, Any] = {
    "messages": [turn("Be brief", "system"), turn("Hi"), turn("Hello", "assistant"), turn([text("And you?")])],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "temperature": 0.5,
    "response_format": {"type": "json_object"},
    "user": "u",
    "seed": 1,
}
WORDS = ("messages", 3, "content", 0, "text")


@given(path=st.sampled_from([path for path in _places(BODY) if path != WORDS[: len(path)]]), value=values)
def test_any_change_outside_the_words_makes_another_bucket(path: tuple[Any, ...], value: Any) -> None:
    changed = copy.deepcopy(BODY)
    assume(json.dumps(_at(changed, path), sort_keys=True) != json.dumps(value, sort_keys=True))
    _at(changed, path[:-1])[path[-1]] = value
    if words("chat", changed) is not None:
        assert bucket("chat", changed) != bucket("chat", BODY)


@given(name=st.text(min_size=1, max_size=8), value=values)
def test_so_does_anything_more(name: str, value: Any) -> None:
    assume(name not in BODY and name not in ("metadata", "model", "stream"))
    assert bucket("chat", {**BODY, name: value}) != bucket("chat", BODY)


@given(said=st.text(min_size=1, max_size=40).filter(str.strip))
def test_a_change_of_the_words_alone_makes_none(said: str) -> None:
    changed = copy.deepcopy(BODY)
    changed["messages"][3]["content"][0]["text"] = said
    assert bucket("chat", changed) == bucket("chat", BODY)


def test_who_asks_whom_in_which_way_makes_another() -> None:
    of_end_users = Caching(operations=CACHING.operations, scope="end_user")
    of_teams = Caching(operations=CACHING.operations, scope="team")
    buckets = {
        bucket("chat", BODY),
        bucket("chat", {**BODY, "stream": True}),
        bucket("chat", BODY, model="n"),
        bucket("chat", BODY, embedder="other"),
        bucket("chat", BODY, key="another"),
        bucket("chat", BODY, namespace="mine"),
        bucket("chat", BODY, of_end_users, end_user="a"),
        bucket("chat", BODY, of_end_users, end_user="b"),
        bucket("chat", BODY, of_end_users, end_user="b", key="another"),
        bucket("chat", BODY, of_teams),
        bucket("messages", {**BODY, "max_tokens": 9}),
    }
    assert len(buckets) == 11
    assert bucket("chat", BODY, of_teams, key="another") == bucket("chat", BODY, of_teams)
    assert bucket("chat", {**BODY, "metadata": {"x": 1}, "model": "alias"}) == bucket("chat", BODY)
