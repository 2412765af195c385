"""What Claude Code says to all, and not every model or cloud takes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tollway.core.snapshot import Cloud, Deployment, Operation
from tollway.dialects.body import read_fields
from tollway.dialects.generation.dialect import Target
from tollway.dialects.generation.losses import Loss, LossKind
from tollway.dialects.messages import DIALECT
from tollway.dialects.messages.instructions import as_users_words, without_billing
from tollway.dialects.messages.relay import MessagesIdentity
from tollway.dialects.registry import find_dialect

BILLING = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197.1c0; cc_entrypoint=sdk-cli;"}
BRIEF = {"type": "text", "text": "Be brief."}
LATE: list[dict[str, Any]] = [
    {"role": "user", "content": "Hi"},
    {"role": "system", "content": [{"type": "text", "text": "Available agents: none", "cache_control": None}]},
    {"role": "assistant", "content": 'the role is "system"'},
]
AS_USER = [LATE[0], {**LATE[1], "role": "user"}, LATE[2]]
IDENTITY = MessagesIdentity()


def sent(model: str, cloud: Cloud = "anthropic") -> dict[str, Any]:
    fields = read_fields(json.dumps({"max_tokens": 5, "system": [BILLING, BRIEF], "messages": LATE}).encode())
    to = Deployment(id="d", group="g", provider="p", model=model, model_name=f"p/{model}", endpoints={}, cloud=cloud)
    request = IDENTITY.read_request(fields, path_model=None, is_stream=False)
    body: dict[str, Any] = json.loads(IDENTITY.render_request(request, to))
    return body


@pytest.mark.parametrize(
    ("model", "messages"),
    [
        ("claude-3-5-haiku-latest", AS_USER),
        ("claude-sonnet-4-20250514", AS_USER),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", AS_USER),
        ("claude-opus-4.7", AS_USER),
        ("claude-opus-4-8", LATE),
        ("claude-sonnet-5", LATE),
        ("claude-fable-5", LATE),
        ("a-model-of-somebody-else", LATE),
    ],
)
def test_later_instructions_are_the_users_words_where_the_model_takes_no_others(
    model: str, messages: list[dict[str, Any]]
) -> None:
    assert sent(model)["messages"] == messages


@pytest.mark.parametrize(
    ("cloud", "system"), [("anthropic", [BILLING, BRIEF]), ("amazon", [BRIEF]), ("google", [BRIEF])]
)
def test_what_is_for_anthropics_accounts_goes_to_nobody_else(cloud: Cloud, system: list[dict[str, Any]]) -> None:
    assert sent("claude-opus-4-8", cloud)["system"] == system


@pytest.mark.parametrize(
    "messages",
    [b'[ {"role": "user", "content": "the role \\"system\\""} ]', b'["system"]', b'[{"role":"assistant"}]'],
)
def test_other_messages_pass_byte_for_byte(messages: bytes) -> None:
    raw = msgspec.Raw(messages)
    assert as_users_words(raw, "claude-opus-4-8") is raw
    assert bytes(as_users_words(msgspec.Raw(b'["system"]'), "claude-3")) == b'["system"]'


@pytest.mark.parametrize(
    "system",
    [b'"Be  brief."', b'[ {"type":"text","text":"Be brief."} ]', b'"x-anthropic-billing-header: x"', b'["x"]'],
)
def test_other_instructions_pass_byte_for_byte(system: bytes) -> None:
    assert bytes(without_billing(msgspec.Raw(system))) == system


@pytest.mark.parametrize("operation", ["chat", "responses", "gemini", "converse", "cohere", "ollama"])
def test_translated_requests_are_without_it_and_say_so(operation: Operation) -> None:
    fields = read_fields(json.dumps({"max_tokens": 5, "system": [BILLING, BRIEF], "messages": LATE}).encode())
    request = DIALECT.parse_request(fields, model="m", is_stream=False)
    rendered = find_dialect(operation).render_request(request, Target(model="m"))
    written = msgspec.json.encode(rendered.fields)
    assert b"Be brief." in written
    assert b"billing" not in written
    assert LossKind.PART in {loss.kind for loss in rendered.losses}


def test_in_its_own_format_it_stays() -> None:
    fields = read_fields(json.dumps({"max_tokens": 5, "system": [BILLING, BRIEF], "messages": LATE}).encode())
    rendered = DIALECT.render_request(DIALECT.parse_request(fields, model="m", is_stream=False), Target(model="m"))
    assert json.loads(msgspec.json.encode(rendered.fields["system"])) == [BILLING, BRIEF]
    assert rendered.losses == list[Loss]()
