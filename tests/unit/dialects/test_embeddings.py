"""Embeddings of models that do not speak OpenAI's format."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import msgspec
import pytest

from tollway.core.errors import InvalidRequest
from tollway.core.snapshot import Deployment, Endpoint, Origin, Settings
from tollway.dialects.body import Request, read_fields
from tollway.gateway.call import Call, Conversation
from tollway.gateway.conversation import converse

TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-english-v3"
COHERE_4 = "eu.cohere.embed-v4:0"
TITAN_ANSWER = b'{"embedding":[0.5,-0.25],"embeddingsByType":{"float":[0.5,-0.25]},"inputTextTokenCount":3}'
COHERE_ANSWER = (
    b'{"id":"e1","response_type":"embeddings_by_type","embeddings":{"float":[[0.5,-0.25],[1,2]]},"texts":["a","b"]}'
)


def asked(model: str, **body: Any) -> tuple[Conversation, Call, dict[str, Any]]:
    """A request for embeddings as a model on Bedrock gets it."""
    endpoint = Endpoint(origin=Origin("https", "x.test", 443), target="/", headers=(), wrapping="amazon")
    deployment = Deployment(
        id="d", group="m", provider="bedrock", model=model, model_name="x", endpoints={"embeddings": endpoint}
    )
    call = Call(operation="embeddings", path="/v1/embeddings", headers={}, client_ip="", settings=Settings())
    call.request = Request(read_fields(json.dumps({"model": "m", **body}).encode()), "m", False, False, None, 1)
    call.requested_model = "public"
    conversation = converse(call, deployment)
    return conversation, call, json.loads(conversation.render_request(call))


def test_titan_embeds_one_text() -> None:
    conversation, call, sent = asked(TITAN, input="Hello", dimensions=256, normalize=False, user="u")
    assert sent == {"inputText": "Hello", "dimensions": 256, "normalize": False}
    assert conversation.dropped == ("user",)
    reply = conversation.read_answer(call, TITAN_ANSWER)
    assert json.loads(reply.body) == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
        "model": "public",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert reply.usage is not None
    assert reply.usage.input_tokens == 3
    assert asked(TITAN, input=["Hello"])[2] == {"inputText": "Hello"}


def test_cohere_embeds_many_and_says_how() -> None:
    conversation, call, sent = asked(COHERE, input=["a", "b"], input_type="search_query", truncate="END")
    assert sent == {"texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"], "truncate": "END"}
    reply = conversation.read_answer(call, COHERE_ANSWER)
    assert [each["embedding"] for each in json.loads(reply.body)["data"]] == [[0.5, -0.25], [1, 2]]
    assert (reply.usage, reply.response_id) == (None, "e1"), "counted by the gateway"
    plain = b'{"embeddings":[[0.5,-0.25],[1,2]]}'
    assert json.loads(conversation.read_answer(call, plain).body)["data"][1]["index"] == 1
    assert asked(COHERE_4, input="a", dimensions=512)[2]["output_dimension"] == 512
    assert asked(COHERE, input="a")[2]["input_type"] == "search_document"


def test_numbers_are_packed_where_the_sdk_asks_for_it() -> None:
    conversation, call, sent = asked(TITAN, input="Hello", encoding_format="base64")
    assert "encoding_format" not in sent
    [one] = json.loads(conversation.read_answer(call, TITAN_ANSWER).body)["data"]
    assert struct.unpack("<2f", base64.b64decode(one["embedding"])) == (0.5, -0.25)


@pytest.mark.parametrize(
    ("model", "body", "param"),
    [
        (TITAN, {"input": ["a", "b"]}, "input"),
        (TITAN, {"input": []}, "input"),
        (TITAN, {}, "input"),
        (TITAN, {"input": [[1, 2]]}, "input"),
        (TITAN, {"input": [1, 2]}, "input"),
        (TITAN, {"input": "a", "encoding_format": "int8"}, "encoding_format"),
        (TITAN, {"input": "a", "dimensions": "many"}, "dimensions"),
        ("amazon.titan-embed-text-v1", {"input": "a", "dimensions": 256}, "dimensions"),
        (COHERE, {"input": "a", "dimensions": 256}, "dimensions"),
        (COHERE, {"input": ["a"] * 97}, "input"),
    ],
)
def test_what_a_model_cannot_do_is_refused(model: str, body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        asked(model, **body)
    assert (raised.value.status, raised.value.param) == (400, param)


@pytest.mark.parametrize("body", [b"{}", b"<html>", COHERE_ANSWER, b'{"embedding": 7}'])
def test_what_is_no_answer_is_not_taken_for_one(body: bytes) -> None:
    conversation, call, _ = asked(TITAN, input="Hello")
    with pytest.raises(msgspec.DecodeError):
        conversation.read_answer(call, body)


def test_an_error_has_amazons_words() -> None:
    conversation, _, _ = asked(TITAN, input="Hello")
    headers = ((b"x-amzn-errortype", b"ThrottlingException:http://internal.amazon.com/"),)
    error = conversation.refusal(400, b'{"message":"Too many requests"}', headers)
    assert (error.status, "Too many requests" in error.message) == (429, True)
