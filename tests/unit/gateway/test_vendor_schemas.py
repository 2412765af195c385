"""What the gateway sends is what each vendor's own description of its API allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.vendor_schemas import CHECKS, errors_in_converse

from tollway.core.snapshot import Deployment, Endpoint, Operation, Origin, Settings, Wrapping
from tollway.dialects.body import read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.call import Call
from tollway.gateway.conversation import converse
from tollway.gateway.counting import _COUNTED

TESTS = Path(__file__).parents[2]
REQUESTS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text())
    for folder in ("clients/agents", "contract/requests")
    for path in sorted((TESTS / folder).glob("*.json"))
}
"""What agents and frameworks send, and a request with everything that a format can say."""
MODELS: dict[Operation, str] = {
    "chat": "gpt-5",
    "responses": "gpt-5",
    "messages": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-pro",
    "converse": "anthropic.claude-sonnet-4-5-20250929-v1:0",
}
SEALS: dict[Operation, str] = {"messages": "anthropic", "converse": "anthropic", "gemini": "gemini"}


def rendered(agent: dict[str, Any], target: Operation) -> bytes:
    """The body of an agent's request for a deployment that speaks `target` alone."""
    endpoint = Endpoint(origin=Origin("https", "x.test", 443), target="/", headers=())
    deployment = Deployment(
        id="d",
        group="m",
        provider="x",
        model=MODELS[target],
        model_name="x/m",
        endpoints={target: endpoint},
        drops_params=True,
        traits=frozenset({"openai_fields"}),
        seals=frozenset({SEALS.get(target, "openai")}),
        max_output_tokens=64_000,
    )
    operation: Operation = agent["operation"]
    call = Call(operation=operation, path=agent["path"], headers={}, client_ip="", settings=Settings())
    fields = read_fields(json.dumps(agent["body"]).encode())
    call.request = find_identity(operation).read_request(fields, path_model="m", is_stream=False)
    call.requested_model = "m"
    return converse(call, deployment).render_request(call)


@pytest.mark.parametrize(
    ("name", "target"),
    [(name, target) for name, request in REQUESTS.items() for target in MODELS if request["operation"] != target],
)
def test_a_translated_request_is_one_that_the_vendor_describes(name: str, target: Operation) -> None:
    body = json.loads(rendered(REQUESTS[name], target))
    assert CHECKS[target](body) == []


@pytest.mark.parametrize("target", MODELS)
def test_the_check_finds_what_is_wrong(target: Operation) -> None:
    body = json.loads(rendered(REQUESTS["cline"], target))
    assert CHECKS[target]({**body, "no_such_field": 1}) != []
    turns = "input" if target == "responses" else "contents" if target == "gemini" else "messages"
    assert CHECKS[target]({**body, turns: [{"role": "user", "content": [{"type": "no_such_part"}]}]}) != []


def test_tokens_are_counted_as_amazon_describes_it() -> None:
    deployment = Deployment(id="d", group="m", provider="bedrock", model="m", model_name="bedrock/m")
    kinds: tuple[tuple[Operation, Wrapping], ...] = (("converse", "none"), ("messages", "amazon"))
    for operation, wrapping in kinds:
        body = rendered(REQUESTS["claude_code"], operation)
        asked = _COUNTED[operation, wrapping].wrap(body, deployment)
        assert errors_in_converse(json.loads(msgspec.json.encode(asked)), "CountTokens") == []
