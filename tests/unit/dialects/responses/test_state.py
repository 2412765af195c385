"""Conversations that the provider does not keep are put together from what was remembered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter

from tollway.core.errors import InvalidRequest, NotFound
from tollway.dialects.body import read_fields
from tollway.dialects.responses import DIALECT
from tollway.dialects.responses.state import (
    ResponseState,
    extend,
    input_items,
    known_items,
    previous_id,
    references,
    remember,
    resolve,
)

CORPUS = Path(__file__).parents[3] / "contract/dialects/responses"
ITEM: TypeAdapter[Any] = TypeAdapter(ResponseItem)


def fields_of(**body: Any) -> dict[str, msgspec.Raw]:
    return read_fields(json.dumps(body).encode())


def state(number: int, said: str, answered: str, **fields: Any) -> ResponseState:
    message = {
        "type": "message",
        "id": f"msg_{number}_0",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": answered, "annotations": []}],
    }
    answer = {"id": f"resp_{number}", "model": "m", "created_at": number, "status": "completed", "output": [message]}
    body = {"model": "m", "input": said, "instructions": "first", **fields}
    return remember(json.dumps(body).encode(), json.dumps(answer).encode(), owner="key-1")


def texts(fields: dict[str, msgspec.Raw]) -> list[str]:
    items = json.loads(bytes(fields["input"]))
    return [item["content"][0]["text"] if isinstance(item["content"], list) else item["content"] for item in items]


def test_a_state_has_the_call_and_survives_the_store() -> None:
    kept = state(2, "hi", "hello", previous_response_id="resp_1", stream=True, temperature=1)
    assert (kept.id, kept.owner, kept.model, kept.created, kept.status) == ("resp_2", "key-1", "m", 2, "completed")
    assert (kept.version, kept.previous) == (1, "resp_1")
    assert set(kept.echo) == {"model", "instructions", "previous_response_id", "temperature"}
    stored = msgspec.json.encode(kept)
    again = msgspec.json.decode(stored, type=ResponseState)
    assert json.loads(bytes(again.response))["id"] == "resp_2"
    assert msgspec.json.encode(again) == stored


def test_a_request_is_extended_by_its_conversation_and_not_by_its_instructions() -> None:
    fields = fields_of(model="m", input="three", previous_response_id="resp_2", temperature=1)
    assert previous_id(fields) == "resp_2"
    extended = extend(fields, [state(1, "one", "a1"), state(2, "two", "a2")])
    assert texts(extended) == ["one", "a1", "two", "a2", "three"]
    assert set(extended) == {"model", "input", "temperature"}
    request = DIALECT.parse_request(extended, model="m", is_stream=False)
    assert [message.role for message in request.messages] == ["user", "assistant", "user", "assistant", "user"]
    assert "previous_response_id" in fields


def test_going_on_without_anything_new() -> None:
    assert texts(extend(fields_of(previous_response_id="resp_1"), [state(1, "one", "a1")])) == ["one", "a1"]


def test_references_are_resolved_to_the_items_themselves() -> None:
    states = [state(1, "one", "a1")]
    said = input_items(states[0])["data"][0]["id"]
    fields = fields_of(
        input=[{"type": "item_reference", "id": said}, {"id": "msg_1_0"}, {"role": "user", "content": "x"}]
    )
    assert references(fields) == [said, "msg_1_0"]
    assert texts(resolve(fields, known_items(states))) == ["one", "a1", "x"]


def test_a_reference_to_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'msg_9' is not known here"):
        resolve(fields_of(input=[{"type": "item_reference", "id": "msg_9"}]), {})


@pytest.mark.parametrize("body", [{"input": "text"}, {"input": [{"role": "user", "content": "x", "id": "a"}, 5]}, {}])
def test_requests_without_references_stay_the_same(body: dict[str, Any]) -> None:
    fields = fields_of(**body)
    assert resolve(fields, {}) is fields


def test_input_items_are_of_the_official_types() -> None:
    body = json.loads((CORPUS / "request_codex_history.json").read_text())
    supported = [item for item in body["input"] if item["type"] in ("message", "function_call", "custom_tool_call")]
    kept = remember(
        json.dumps({"input": [*supported, {"role": "assistant", "content": "plain"}]}).encode(), b'{"id":"resp_1"}'
    )
    page = input_items(kept, limit=100, order="asc")
    for item in page["data"]:
        ITEM.validate_python(item)
    assert len(page["data"]) == len(supported) + 1
    assert page["data"][-1]["content"] == [{"type": "output_text", "text": "plain", "annotations": []}]
    assert len({item["id"] for item in page["data"]}) == len(page["data"])


def test_pages_of_input_items() -> None:
    body = {"input": [{"role": "user", "content": str(number), "id": f"msg_{number}"} for number in range(5)]}
    kept = remember(json.dumps(body).encode(), b'{"id":"resp_1"}')

    def page(**options: Any) -> tuple[list[str], bool]:
        found = input_items(kept, **options)
        names = [item["id"] for item in found["data"]]
        assert (found["first_id"], found["last_id"]) == ((names[0], names[-1]) if names else (None, None))
        return names, found["has_more"]

    assert page(limit=2) == (["msg_4", "msg_3"], True)
    assert page(limit=2, after="msg_3") == (["msg_2", "msg_1"], True)
    assert page(limit=2, after="msg_1") == (["msg_0"], False)
    assert page(after="msg_0") == ([], False)
    assert page(limit=3, order="asc", after="msg_1") == (["msg_2", "msg_3", "msg_4"], False)


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 101}, {"order": "up"}])
def test_wrong_pages_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        input_items(state(1, "a", "b"), **options)


def test_an_unknown_place_is_not_found() -> None:
    with pytest.raises(NotFound, match="no input item 'msg_9'"):
        input_items(state(1, "a", "b"), after="msg_9")


def test_items_of_every_kind_can_be_listed_and_found() -> None:
    body = {
        "input": [{"type": "reasoning", "summary": []}, {"type": "local_shell_call_output", "id": "x", "output": ""}]
    }
    answer = {"id": "resp_1", "output": [{"type": "reasoning", "summary": []}, {"type": "compaction", "id": "cmp_1"}]}
    kept = remember(json.dumps(body).encode(), json.dumps(answer).encode())
    assert set(known_items([kept])) == {"cmp_1", "rs_in_1_0", "x"}
    assert [item.get("status") for item in input_items(kept)["data"]] == [None, None]
