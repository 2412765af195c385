"""Headers that a client puts into the body, in every format, to upstreams of its own format and of others."""

from typing import Any

import pytest
from tests.support.aimock import Aimock
from tests.support.gateway import Gateway

TEXT = "Hello!"
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": TEXT}]},
    "/v1/responses": {"input": TEXT},
    "/v1/messages": {"max_tokens": 50, "messages": [{"role": "user", "content": TEXT}]},
    "/v1beta/models/{model}:generateContent": {"contents": [{"role": "user", "parts": [{"text": TEXT}]}]},
}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("model", ["gpt-4o", "claude", "gemini"])
def test_they_arrive_as_headers_and_not_in_the_body(
    gateway: Gateway, key: str, vendor: Aimock, path: str, model: str
) -> None:
    body = {"model": model, **BODIES[path], "extra_headers": {"X-Feature": "on"}}
    answer = gateway.request("POST", path.replace("{model}", model), body, key=key)
    assert answer.status == 200, answer.body
    asked = vendor.requests()[-1]
    assert asked["headers"]["x-feature"] == "on"
    assert "extra_headers" not in asked["body"]


@pytest.mark.parametrize("path", BODIES)
def test_a_credential_is_refused(gateway: Gateway, key: str, path: str) -> None:
    body = {"model": "claude", **BODIES[path], "extra_headers": {"X-Api-Key": "sk-other"}}
    answer = gateway.request("POST", path.replace("{model}", "claude"), body, key=key)
    assert answer.status == 400
    assert b"X-Api-Key" in answer.body
    assert b"sk-other" not in answer.body
