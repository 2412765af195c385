"""The OpenAI SDK for JavaScript, unchanged but for its address."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateway import Gateway
from tests.support.programs import find_program

Run = Callable[[str], Any]


@pytest.fixture
def run(gateway: Gateway, key: str) -> Run:
    """Runs one scenario of the script and returns what it saw."""

    def run_scenario(name: str) -> Any:
        script = Path(__file__).with_name("openai_client.mjs")
        command = [find_program("node", package="nodejs"), str(script), name, f"{gateway.url}/v1", key]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run_scenario


def test_models_are_listed(run: Run) -> None:
    assert {"gpt-4o", "demo", "text-embedding-3-small"} <= set(run("models"))


def test_a_chat_is_answered(run: Run) -> None:
    assert run("chat") == {"text": "Hello! How can I help you today?", "model": "gpt-4o", "usage": 9}


@pytest.mark.parametrize(("scenario", "usage"), [("stream", []), ("streamWithUsage", [22])])
def test_a_stream_arrives_in_pieces_with_usage_only_for_who_asked(run: Run, scenario: str, usage: list[int]) -> None:
    seen = run(scenario)
    assert seen["text"].endswith("the sums agreed.")
    assert seen["chunks"] > 5
    assert seen["usage"] == usage


def test_tools_are_called(run: Run) -> None:
    assert run("tools") == {"name": "get_weather", "arguments": '{"city":"Paris"}'}


def test_embeddings_come_back_as_numbers(run: Run) -> None:
    assert run("embeddings") == [[0.25, -0.5, 0.125]] * 2


def test_embeddings_in_base64_are_decoded_by_the_sdk(run: Run) -> None:
    first, second = run("encodedEmbeddings")
    assert len(first) == len(second) > 10
    assert first != second
    assert all(-1 <= number <= 1 for number in first + second)


def test_completions_are_answered(run: Run) -> None:
    assert run("completions")


def test_errors_are_the_sdks_own(run: Run) -> None:
    seen = run("failures")
    assert seen["wrongKey"] == {"name": "AuthenticationError", "status": 401, "type": "token_not_found_in_db"}
    assert seen["unknownModel"] == {"name": "BadRequestError", "status": 400, "type": "invalid_request_error"}
    assert seen["rateLimited"] == {"name": "RateLimitError", "status": 429, "type": "throttling_error"}
