"""A search among tools that the caller has not declared yet."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.support import grammar_responses

from tollway.core.snapshot import Operation
from tollway.dialects.body import read_fields
from tollway.dialects.generation.answer import Answer, Choice, events_of
from tollway.dialects.generation.dialect import StreamOptions, Target
from tollway.dialects.generation.losses import Loss, LossKind
from tollway.dialects.generation.request import Request, Text, ToolCall
from tollway.dialects.registry import find_dialect
from tollway.dialects.responses import DIALECT

SEARCH = {
    "type": "tool_search",
    "execution": "client",
    "description": "Finds tools.",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
}
HELPERS = {
    "type": "namespace",
    "name": "helpers",
    "description": "Helpers.",
    "tools": [{"type": "function", "name": "spawn", "parameters": {"type": "object"}, "defer_loading": True}],
}
CALL = {
    "type": "tool_search_call",
    "call_id": "call_1",
    "status": "completed",
    "execution": "client",
    "arguments": {"query": "helpers"},
}
OUTPUT = {
    "type": "tool_search_output",
    "call_id": "call_1",
    "status": "completed",
    "execution": "client",
    "tools": [HELPERS],
}
ASKED = {"type": "message", "role": "user", "content": "Spawn one"}


def parse(*items: Any, tools: tuple[Any, ...] = (SEARCH,)) -> Request:
    fields = read_fields(json.dumps({"input": [ASKED, *items], "tools": tools}).encode())
    return DIALECT.parse_request(fields, model="m", is_stream=False)


def sent(request: Request, operation: Operation) -> tuple[Any, list[Loss]]:
    rendered = find_dialect(operation).render_request(request, Target(model="m"))
    return json.loads(msgspec.json.encode(rendered.fields)), rendered.losses


@pytest.mark.parametrize("operation", ["chat", "messages", "gemini", "converse", "cohere", "ollama"])
def test_for_others_it_is_a_function_and_what_it_found_is_declared(operation: Operation) -> None:
    fields, losses = sent(parse(CALL, OUTPUT), operation)
    tools = json.dumps(fields.get("tools") or fields["toolConfig"])
    assert '"tool_search"' in tools
    assert '"helpers__spawn"' in tools
    assert not [loss for loss in losses if loss.kind.is_refused or loss.kind is LossKind.PART]


def test_its_call_and_output_are_a_functions() -> None:
    _, call, result = sent(parse(CALL, OUTPUT), "chat")[0]["messages"]
    function = call["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("tool_search", {"query": "helpers"})
    assert (result["tool_call_id"], json.loads(result["content"])) == ("call_1", [HELPERS])


def test_in_its_own_format_it_stays_what_it_is() -> None:
    fields, losses = sent(parse(CALL, OUTPUT), "responses")
    assert (fields["input"][1:], fields["tools"][0], losses) == ([CALL, OUTPUT], SEARCH, [])


def test_tools_are_declared_once_and_those_of_the_request_count() -> None:
    own = {"type": "function", "name": "helpers__spawn", "description": "mine"}
    later = {"type": "additional_tools", "role": "developer", "tools": [HELPERS, {"type": "function", "name": "g"}]}
    request = parse(CALL, OUTPUT, CALL, OUTPUT, later, tools=(own,))
    assert [getattr(tool, "name", "") for tool in request.tools] == ["helpers__spawn", "g"]
    assert getattr(request.tools[0], "description", "") == "mine"
    assert "additional_tools" not in str(sent(request, "chat"))
    assert parse({**later, "tools": "x"}, tools=()).tools == []


@pytest.mark.parametrize(
    "item",
    [
        {**CALL, "execution": "server", "call_id": None},
        {**OUTPUT, "execution": "server", "call_id": None, "tools": []},
    ],
)
def test_searches_that_openai_runs_are_left_to_it(item: dict[str, Any]) -> None:
    request = parse(item, tools=())
    assert request.tools == []
    assert sent(request, "responses")[0]["input"][1:] == [item]


def test_a_search_that_openai_runs_is_refused_elsewhere() -> None:
    request = parse(tools=({"type": "tool_search", "execution": "server"},))
    assert sent(request, "chat")[1] == [Loss(LossKind.TOOL, "tools.tool_search")]


@pytest.mark.parametrize(("arguments", "read"), [('{"query":"helpers"}', {"query": "helpers"}), ("", {})])
def test_a_models_call_of_it_is_an_item_without_events_of_its_own(arguments: str, read: dict[str, str]) -> None:
    answer = Answer(
        origin="chat",
        id="1",
        model="x",
        choices=[
            Choice(
                parts=[Text(text="I look."), ToolCall(id="call_1", name="tool_search", arguments=arguments)],
                stop="tool_use",
            )
        ],
    )
    options = StreamOptions(model="m", request=parse())
    body = json.loads(DIALECT.render_answer(answer, options))
    item = {**CALL, "arguments": read, "id": body["output"][1]["id"]}
    assert (body["status"], body["output"][1]) == ("completed", item)
    encoder = DIALECT.encoder(options)
    stream = encoder.push(events_of(answer)) + encoder.close(None)
    grammar_responses.check_stream(stream)
    assert b"function_call" not in stream
    again = read_fields(json.dumps({"input": body["output"]}).encode())
    call = DIALECT.parse_request(again, model="m", is_stream=False).messages[0].parts[1]
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, json.loads(call.arguments)) == ("call_1", "tool_search", read)
