from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseSteerFailedEvent
from openai.types.responses.response_created_event import ResponseCreatedEvent

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields, read_fields
from tollway.dialects.responses.socket import (
    Memory,
    Turn,
    body_of,
    error_message,
    going_on_from,
    in_lane,
    read_turn,
)


def turn_of(**message: Any) -> Turn:
    turn = read_turn(json.dumps({"type": "response.create", **message}).encode())
    assert isinstance(turn, Turn)
    return turn


def fields_of(**fields: Any) -> Fields:
    return read_fields(json.dumps({"model": "m", "store": False, **fields}).encode())


def plain(fields: Fields) -> dict[str, Any]:
    return dict(json.loads(msgspec.json.encode(fields)))


def ended(id: str, text: str) -> bytes:
    """The last event of a response."""
    message = {"type": "message", "id": f"msg_{id}", "role": "assistant", "content": text}
    response = {"id": id, "model": "m", "created_at": 1, "status": "completed", "output": [message]}
    return json.dumps({"type": "response.completed", "response": response}).encode()


def said(fields: Fields) -> list[str]:
    return [item["content"] for item in plain(fields)["input"] if isinstance(item["content"], str)]


@pytest.mark.parametrize(
    "message",
    [
        {"model": "m", "input": "Hi", "stream": False, "background": False, "stream_id": "a"},
        {"response": {"model": "m", "input": "Hi"}, "stream_id": "a"},
    ],
)
def test_a_turn_is_the_body_of_a_request_that_is_streamed(message: dict[str, Any]) -> None:
    turn = turn_of(**message)
    assert (turn.lane, turn.is_generated) == ("a", True)
    assert json.loads(body_of(turn.fields)) == {"model": "m", "input": "Hi", "stream": True}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("nonsense", "request_body"),
        ("[]", "request_body"),
        ("{}", "type"),
        ('{"type": "response.cancel"}', "type"),
        ('{"type": 1}', "type"),
        ('{"type": "response.create", "stream_id": 1}', "stream_id"),
        ('{"type": "response.create", "stream_id": "%s"}' % ("x" * 257), "stream_id"),
        ('{"type": "response.create", "generate": "no"}', "generate"),
        ('{"type": "response.create", "response": "no"}', "request_body"),
    ],
)
def test_what_is_not_understood_is_named(message: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_turn(message.encode())
    assert caught.value.param == param


def test_steering_is_refused_and_what_was_sent_handed_back() -> None:
    answer = read_turn(b'{"type": "response.steer", "previous_response_id": "resp_1", "input": "Stop"}')
    assert isinstance(answer, bytes)
    event = ResponseSteerFailedEvent.model_validate_json(answer)
    assert (event.error.code, event.steer.input, event.steer.previous_response_id) == (
        "steering_not_supported",
        "Stop",
        "resp_1",
    )


def test_events_name_their_lane() -> None:
    assert json.loads(in_lane(b'{"type": "a"} ', 'l"1')) == {"type": "a", "stream_id": 'l"1'}
    assert in_lane(b'{"type":"a"}', "") == b'{"type":"a"}'


def test_events_name_the_response_they_go_on_from() -> None:
    event = b'{"response":{"previous_response_id" : null,"a":"\\"previous_response_id\\":null"}}'
    assert json.loads(going_on_from(event, "resp_1"))["response"] == {
        "previous_response_id": "resp_1",
        "a": '"previous_response_id":null',
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "too much", "type": "budget_exceeded", "param": null, "code": "400"}}', "too much"),
        (b'{"detail": "not yours"}', "not yours"),
        (b"<html>", "the call failed"),
        (b"[]", "the call failed"),
    ],
)
def test_an_error_is_an_event_with_its_status(body: bytes, message: str) -> None:
    event = json.loads(error_message(400, body))
    assert (event["type"], event["status"], event["error"]["message"]) == ("error", 400, message)


def test_a_response_that_is_not_stored_can_be_gone_on_from() -> None:
    memory = Memory(10_000)
    memory.add(fields_of(input="one", instructions="Be brief."), (), ended("resp_1", "first"))
    second = fields_of(input="two", previous_response_id="resp_1")
    extended, chain = memory.extend(second)
    assert len(plain(extended)["input"]) == 3
    assert said(extended) == ["first"]
    assert "previous_response_id" not in extended
    assert "instructions" not in extended
    memory.add(second, chain, ended("resp_2", "second"))
    third, chain = memory.extend(fields_of(input="three", previous_response_id="resp_2"))
    assert [state.id for state in chain] == ["resp_1", "resp_2"]
    assert len(plain(third)["input"]) == 5
    branch, _ = memory.extend(fields_of(input="other", previous_response_id="resp_1"))
    assert len(plain(branch)["input"]) == 3


def test_what_is_stored_elsewhere_is_left_to_others() -> None:
    memory = Memory(10_000)
    memory.add(fields_of(input="one", store=True), (), ended("resp_1", "first"))
    asked = fields_of(input="two", previous_response_id="resp_1")
    assert memory.extend(asked) == (asked, ())
    memory.add(asked, (), ended("resp_2", "second"))
    extended, _ = memory.extend(fields_of(input="three", previous_response_id="resp_2"))
    assert plain(extended)["previous_response_id"] == "resp_1", "before that, the store knows"
    assert len(plain(extended)["input"]) == 3


def test_what_did_not_end_is_not_remembered() -> None:
    memory = Memory(10_000)
    memory.add(fields_of(input="one"), (), b'{"type":"response.failed","response":{"id":"resp_1"}}')
    memory.add(fields_of(input="one"), (), b"")
    asked = fields_of(input="two", previous_response_id="resp_1")
    assert memory.extend(asked) == (asked, ())


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    memory = Memory(1_500, most=3)
    for number in range(5):
        memory.add(fields_of(input="x"), (), ended(f"resp_{number}", "y"))
    known = [bool(memory.extend(fields_of(previous_response_id=f"resp_{number}"))[1]) for number in range(5)]
    assert known == [False, False, True, True, True]
    memory.add(fields_of(input="x" * 2_000), (), ended("resp_long", "y"))
    known = [bool(memory.extend(fields_of(previous_response_id=f"resp_{number}"))[1]) for number in range(5)]
    assert not any(known)
    assert memory.extend(fields_of(previous_response_id="resp_long"))[1] == ()


def test_a_response_is_prepared_without_a_model() -> None:
    memory = Memory(10_000)
    created, completed = memory.prepare(fields_of(input="warm", tools=[]), (), id="resp_1", now=7)
    event = ResponseCreatedEvent.model_validate_json(created)
    assert (event.response.id, event.response.status, event.response.created_at) == ("resp_1", "in_progress", 7)
    response = json.loads(completed)["response"]
    assert (response["status"], response["output"], response["usage"]["total_tokens"]) == ("completed", [], 0)
    extended, _ = memory.extend(fields_of(input="go", previous_response_id="resp_1"))
    assert len(plain(extended)["input"]) == 2
    with pytest.raises(InvalidRequest):
        memory.prepare(fields_of(input=7), (), id="resp_2", now=7)
