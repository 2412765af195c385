"""Answers keep every byte but the model's name."""

from __future__ import annotations

import json

import msgspec
import pytest

from tollway.dialects.openai.response import read_reply


def test_only_the_name_changes_in_a_pretty_printed_answer() -> None:
    body = (
        b'{\n  "id": "chatcmpl-1",\n  "model": "gpt-4o-2024",\n'
        b'  "choices": [ {"message": {"content": "\\u00e9"}} ],\n'
        b'  "usage": {"prompt_tokens": 3, "completion_tokens": 2}\n}\n'
    )
    reply = read_reply(body, "gpt-4o")
    assert reply.body == body.replace(b"gpt-4o-2024", b"gpt-4o")
    assert reply.response_id == "chatcmpl-1"
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 2)


def test_a_name_written_with_escapes_is_replaced_all_the_same() -> None:
    reply = read_reply(rb'{"model":"org\/m","id":"1"}', "m")
    assert json.loads(reply.body) == {"model": "m", "id": "1"}


def test_an_answer_with_the_public_name_is_not_touched() -> None:
    body = b'{"model":"m"}'
    assert read_reply(body, "m").body is body


@pytest.mark.parametrize("usage", [b"null", b"{}", b'{"prompt_tokens":0,"completion_tokens":0}'])
def test_no_usage_is_not_zero_usage(usage: bytes) -> None:
    assert read_reply(b'{"id":"1","usage":' + usage + b"}", "m").usage is None


def test_every_class_of_tokens_is_read_once() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 5},
    }
    read = read_reply(json.dumps({"usage": usage}).encode(), "m").usage
    assert read is not None
    assert read.cache_read_tokens == 40
    assert read.input_audio_tokens == 10
    assert read.reasoning_tokens == 30
    assert read.output_audio_tokens == 5
    assert read.total_tokens == 150


@pytest.mark.parametrize("name", ["prompt_cache_hit_tokens", "cache_read_input_tokens"])
def test_other_names_of_cached_tokens_are_known(name: str) -> None:
    read = read_reply(json.dumps({"usage": {"prompt_tokens": 9, "completion_tokens": 1, name: 4}}).encode(), "m").usage
    assert read is not None
    assert read.cache_read_tokens == 4


def test_null_and_float_counts_are_tolerated() -> None:
    body = b'{"usage":{"prompt_tokens":3.0,"completion_tokens":null,"total_tokens":5,"prompt_tokens_details":null}}'
    read = read_reply(body, "m").usage
    assert read is not None
    assert (read.input_tokens, read.output_tokens) == (3, 2)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"id":'])
def test_what_is_not_a_json_object_is_an_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_reply(body, "m")
