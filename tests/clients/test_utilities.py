"""Questions about models: what would be sent, what a model can be told, how long a prompt is."""

from typing import Any

import pytest
from tests.support.gateway import Gateway

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello!"}]}


def test_the_request_that_a_provider_would_get_is_shown_without_secrets(gateway: Gateway, key: str) -> None:
    body = {"call_type": "completion", "request_body": {"model": "claude", "max_tokens": 7, **ASK}}
    shown = gateway.request("POST", "/utils/transform_request", body, key=key).json()
    assert shown["raw_request_api_base"].endswith("/v1/messages")
    assert shown["raw_request_body"] == {"model": "claude-sonnet-4-5", "max_tokens": 7, **ASK}
    assert shown["raw_request_headers"]["x-api-key"] == "*****"
    assert "sk-vendor" not in str(shown)
    assert shown["error"] is None


@pytest.mark.parametrize(
    ("call_type", "body", "words"),
    [
        ("completion", {"model": "nope", **ASK}, "model=nope"),
        ("magic", {"model": "claude", **ASK}, "call_type"),
        ("completion", {"model": "claude", "seed": 1, **ASK}, "UnsupportedParamsError"),
    ],
)
def test_what_could_not_be_sent_is_said(
    gateway: Gateway, key: str, call_type: str, body: dict[str, Any], words: str
) -> None:
    wanted = {"call_type": call_type, "request_body": body}
    answer = gateway.request("POST", "/utils/transform_request", wanted, key=key)
    assert answer.status == 200
    assert words in answer.json()["error"]


def test_each_model_says_what_it_can_be_told(gateway: Gateway, key: str) -> None:
    def supported(model: str) -> set[str]:
        answer = gateway.request("GET", f"/utils/supported_openai_params?model={model}", key=key)
        return set(answer.json()["supported_openai_params"])

    assert {"seed", "n", "tools", "logprobs"} <= supported("gpt-4o")
    assert {"tools", "stop", "max_tokens"} <= supported("claude")
    assert not {"seed", "n", "logprobs"} & supported("claude")
    unknown = gateway.request("GET", "/utils/supported_openai_params?model=nope", key=key)
    assert (unknown.status, unknown.json()) == (400, {"detail": {"error": "Could not map model=nope"}})


@pytest.mark.parametrize(
    "body",
    [
        {"model": "gpt-4o", **ASK},
        {"model": "gpt-4o", "prompt": "Hello there, how are you?"},
        {"model": "claude", **ASK},
    ],
)
def test_a_prompt_is_counted(gateway: Gateway, key: str, body: dict[str, Any]) -> None:
    answer = gateway.request("POST", "/utils/token_counter", body, key=key).json()
    assert 3 < answer["total_tokens"] < 30
    assert answer["request_model"] == body["model"]
    assert answer["count_source"] in ("provider", "local_estimate")


def test_without_a_key_nothing_is_said(gateway: Gateway) -> None:
    for method, path in (
        ("POST", "/utils/token_counter"),
        ("POST", "/utils/transform_request"),
        ("GET", "/utils/supported_openai_params?model=gpt-4o"),
        ("POST", "/v1/messages/count_tokens"),
    ):
        assert gateway.request(method, path, {} if method == "POST" else None).status == 401
