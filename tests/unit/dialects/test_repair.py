"""Requests that a provider would refuse, mended where the operator allows it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tollway.dialects.body import read_fields
from tollway.dialects.generation.dialect import Target
from tollway.dialects.registry import find_dialect
from tollway.dialects.repair import NO_RESULT, REPAIRS, repair

CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
OTHER = {**CALL, "id": "call_2"}
ASK = {"role": "user", "content": "Look."}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "seen"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def mended(
    *messages: dict[str, Any], provider: Any = "messages", model: str = "claude-sonnet-4-5", **more: Any
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The repairs of a chat request, and the body that the provider gets."""
    fields = read_fields(json.dumps({"messages": messages, "max_tokens": 10, **more}).encode())
    request = find_dialect("chat").parse_request(fields, model="m", is_stream=False)
    target = Target(model=model, provider="x", max_output_tokens=8192)
    done = repair(request, provider, target)
    rendered = find_dialect(provider).render_request(request, target)
    body: dict[str, Any] = json.loads(msgspec.json.encode(rendered.fields))
    return done, body


def kinds(body: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Roles, and what their blocks are."""
    return [
        (turn["role"], [each["type"] for each in turn["content"]] if isinstance(turn["content"], list) else ["text"])
        for turn in body["messages"]
    ]


def test_what_is_right_stays_as_it_is() -> None:
    done, body = mended(ASK, CALLED, RESULT, tools=[TOOL])
    assert done == ()
    assert kinds(body) == [("user", ["text"]), ("assistant", ["tool_use"]), ("user", ["tool_result"])]


def test_tools_that_were_used_are_declared_where_none_is() -> None:
    done, body = mended(ASK, CALLED, RESULT)
    assert done == ("tools",)
    assert body["tools"] == [{"name": "look", "input_schema": {"type": "object"}}]
    assert mended(ASK, CALLED, RESULT, provider="chat")[0] == (), "others do not ask for it"


def test_a_call_without_its_result_gets_one_that_says_so() -> None:
    both = {**CALLED, "tool_calls": [CALL, OTHER]}
    for rest in ([], [ASK], [{"role": "assistant", "content": "Well."}, ASK]):
        done, body = mended(ASK, both, RESULT, *rest, tools=[TOOL])
        assert done == ("messages.tool_result.missing",)
        answers = [block for block in body["messages"][2]["content"] if block["type"] == "tool_result"]
        assert [block["tool_use_id"] for block in answers] == ["call_1", "call_2"]
        assert (answers[1]["content"], answers[1]["is_error"]) == (NO_RESULT, True)
    done, body = mended(ASK, CALLED, {"role": "user", "content": "Never mind."}, tools=[TOOL])
    assert done == ("messages.tool_result.missing",)
    assert kinds(body)[-1] == ("user", ["tool_result", "text"])


def test_a_result_without_its_call_is_taken_out() -> None:
    done, body = mended(ASK, RESULT, {"role": "assistant", "content": "Done."}, ASK)
    assert done == ("messages.tool_result.orphaned",)
    assert kinds(body) == [("user", ["text"]), ("assistant", ["text"]), ("user", ["text"])]
    assert mended(ASK, CALLED, RESULT, RESULT, tools=[TOOL])[0] == ("messages.tool_result.orphaned",), "answered twice"


def test_answers_of_several_messages_are_one_turn() -> None:
    done, body = mended(ASK, CALLED, {"role": "assistant", "content": "Wait."}, RESULT, tools=[TOOL])
    assert done == ()
    assert kinds(body)[1:] == [("assistant", ["tool_use", "text"]), ("user", ["tool_result"])]


@pytest.mark.parametrize("provider", ["messages", "converse", "chat"])
def test_a_conversation_without_turns_gets_one(provider: str) -> None:
    done, body = mended({"role": "system", "content": "Be brief."}, provider=provider)
    assert done == ("messages",)
    assert body["messages"][-1]["role"] == "user"


@pytest.mark.parametrize(
    ("provider", "model", "is_mended"),
    [
        ("messages", "claude-opus-4-6", True),
        ("converse", "us.anthropic.claude-sonnet-4-6-v1:0", True),
        ("messages", "claude-sonnet-4-5", False),
        ("converse", "amazon.nova-pro-v1:0", False),
        ("chat", "claude-opus-4-6", False),
    ],
)
def test_the_beginning_of_an_answer_is_ended_where_a_model_refuses_it(
    provider: str, model: str, is_mended: bool
) -> None:
    done, body = mended(ASK, {"role": "assistant", "content": "I"}, provider=provider, model=model)
    assert (done == ("messages.prefill",)) is is_mended
    assert (body["messages"][-1]["role"] == "user") is is_mended


def test_a_limit_above_the_models_own_is_lowered() -> None:
    done, body = mended(ASK, max_tokens=9000)
    assert (done, body["max_tokens"]) == (("max_tokens",), 8192)


def test_every_repair_is_documented() -> None:
    cases = (
        mended(ASK, CALLED, RESULT, max_tokens=9000),
        mended(ASK, RESULT, CALLED),
        mended(),
        mended(ASK, {"role": "assistant", "content": "I"}, model="claude-opus-4-6"),
    )
    assert {name for done, _ in cases for name in done} == REPAIRS.keys()
