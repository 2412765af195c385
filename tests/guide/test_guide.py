"""The commands of the user's guide, verbatim: only the address and the placeholders are replaced.

To switch on another section once what it describes exists, add its heading to `SECTIONS`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.guide.guide import Command, read_guide
from tests.support.aimock import running_aimock
from tests.support.gateway import Gateway, running_gateway

SECTIONS = {
    *("Health Checks", "API Key Management", "User Management", "Team Management", "Making LLM Requests"),
    *("Check Spend", "View Metrics", "Configuration Updates", "Budget Management", "Rate Limiting"),
}
"""Sections and subsections of the guide whose commands have to work."""
OTHER_PROGRAMS = ("docker-compose ", "open ")
"""What runs beside the gateway, and a browser."""
COMMANDS = [
    command
    for command in read_guide()
    if {command.section, command.subsection} & SECTIONS and not command.text.startswith(OTHER_PROGRAMS)
]
MODELS = ("gpt-4o", "claude-3-5-sonnet")
USER = "john@company.com"
GREETING = "Hello! How can I help you today?"
STORY = "Once upon a time"
ANSWERS = Path(__file__).parents[1] / "clients" / "answers.json"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("guide")
    with running_aimock(folder, ANSWERS) as vendor:
        params = {"api_base": vendor.api_base, "api_key": "sk-vendor"}
        models = [{"model_name": name, "litellm_params": {"model": f"openai/{name}", **params}} for name in MODELS]
        with running_gateway(folder, {"model_list": models}, env={"LITELLM_MASTER_KEY": "sk-1234"}) as running:
            yield running


def made_real(command: Command, gateway: Gateway) -> tuple[Command, str]:
    """The command for this gateway, and the virtual key that stands where the guide has a placeholder."""
    key = gateway.create_key()
    text = command.text
    if "team-uuid" in text:
        team_id = gateway.admin("POST", "/team/new", {"team_alias": "of the guide"})["team_id"]
        text = text.replace("team-uuid-here", team_id).replace("team-uuid", team_id)
    for placeholder, value in (
        ("http://localhost:4000", gateway.url),
        ("http://localhost", gateway.url),
        ("sk-your-virtual-key", key),
        ("sk-your-key", key),
    ):
        text = text.replace(placeholder, value)
    return Command(command.section, command.subsection, command.language, text), key


def with_its_user(command: Command, gateway: Gateway) -> None:
    """Brings the user whom the guide speaks of to where its reader is: not there before `/user/new`, there after it."""
    if USER not in command.text:
        return
    gateway.admin("POST", "/user/update", {"user_id": USER})
    if command.name == "POST /user/new":
        gateway.admin("POST", "/user/delete", {"user_ids": [USER]})


def curl(command: Command, folder: Path) -> tuple[int, str]:
    """Status and body of a command run by bash as it stands; curl's own settings file makes it tell the status."""
    (folder / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\n%{http_code}"\n')
    ran = subprocess.run(
        ["bash", "-c", command.text],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    body, _, status = ran.stdout.rpartition("\n")
    return int(status), body


Check = Callable[[Command, str, Any], None]


def is_healthy(_command: Command, _key: str, answer: Any) -> None:
    assert answer["status"] == "healthy"


def is_alive(_command: Command, _key: str, answer: Any) -> None:
    assert answer == "I'm alive!"


def is_ready(_command: Command, _key: str, answer: Any) -> None:
    assert (answer["status"], answer["db"]) == ("healthy", "connected")


def names_the_service(_command: Command, _key: str, answer: Any) -> None:
    assert "langfuse" in answer["error"]["message"]


def has_a_new_key(command: Command, _key: str, answer: Any) -> None:
    assert answer["key"].startswith("sk-")
    shown = answer | {name: value for name, value in answer["metadata"].items() if name.startswith("model_")}
    assert {name: shown[name] for name in command.body if name != "duration"} == {
        name: value for name, value in command.body.items() if name != "duration"
    }
    assert bool(answer["expires"]) is ("duration" in command.body)


def describes_the_key(_command: Command, key: str, answer: Any) -> None:
    assert answer["info"]["key_name"] == f"sk-...{key[-4:]}"
    assert answer["info"]["spend"] == 0


def has_the_new_budget(command: Command, _key: str, answer: Any) -> None:
    assert answer["max_budget"] == command.body["max_budget"]


def names_the_deleted_key(_command: Command, key: str, answer: Any) -> None:
    assert answer["deleted_keys"] == [key]


def is_blocked(_command: Command, _key: str, answer: Any) -> None:
    assert answer["blocked"] is True


def is_unblocked(_command: Command, _key: str, answer: Any) -> None:
    assert answer["blocked"] is False


def is_the_team(command: Command, _key: str, answer: Any) -> None:
    assert {name: answer[name] for name in command.body} == command.body
    assert [member["user_id"] for member in answer["members_with_roles"]] == ["default_user_id"]


def describes_the_team(command: Command, _key: str, answer: Any) -> None:
    assert f"team_id={answer['team_id']}" in command.path
    assert answer["team_info"]["team_alias"] == "of the guide"
    assert answer["team_info"]["spend"] == 0


def has_the_new_member(command: Command, _key: str, answer: Any) -> None:
    member, [membership] = command.body["member"], answer["updated_team_memberships"]
    assert membership["user_id"] == member["user_id"]
    assert membership["litellm_budget_table"]["max_budget"] == command.body["max_budget_in_team"]
    assert member["user_id"] in [one["user_id"] for one in answer["members_with_roles"]]


def has_the_new_team_budget(command: Command, _key: str, answer: Any) -> None:
    assert answer["team_id"] == command.body["team_id"]
    assert answer["data"]["max_budget"] == command.body["max_budget"]


def is_a_new_user(command: Command, _key: str, answer: Any) -> None:
    assert answer["key"].startswith("sk-")
    assert {name: answer[name] for name in command.body} == command.body


def describes_the_user(_command: Command, _key: str, answer: Any) -> None:
    assert (answer["user_id"], answer["user_info"]["user_id"]) == (USER, USER)
    assert answer["user_info"]["spend"] == 0


def has_the_changed_user(command: Command, _key: str, answer: Any) -> None:
    assert answer["user_id"] == USER
    assert {name: answer["data"][name] for name in command.body} == command.body


def counts_one_user(_command: Command, _key: str, answer: Any) -> None:
    assert answer == 1


def is_the_spend_of_all(_command: Command, _key: str, answer: Any) -> None:
    assert answer == {"spend": 0.0, "max_budget": 0.0}


def is_the_new_model(command: Command, _key: str, answer: Any) -> None:
    assert answer["model_name"] == command.body["model_name"]
    assert answer["model_id"] == answer["model_info"]["id"]
    assert answer["created_by"] == "default_user_id"


def lists_models(_command: Command, _key: str, answer: Any) -> None:
    assert {model["id"] for model in answer["data"]} >= set(MODELS)


def is_a_chat_completion(_command: Command, _key: str, answer: Any) -> None:
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "gpt-4o"
    assert answer["choices"][0]["message"]["content"] == GREETING
    assert answer["usage"]["total_tokens"] == 29


CHECKS: dict[str, tuple[int, Check]] = {
    "GET /health": (200, is_healthy),
    "GET /health/liveliness": (200, is_alive),
    "GET /health/readiness": (200, is_ready),
    "GET /health/services?service=langfuse": (422, names_the_service),
    "POST /key/generate": (200, has_a_new_key),
    "GET /key/info?key=sk-your-key": (200, describes_the_key),
    "POST /key/update": (200, has_the_new_budget),
    "POST /key/delete": (200, names_the_deleted_key),
    "POST /key/block": (200, is_blocked),
    "POST /key/unblock": (200, is_unblocked),
    "POST /team/new": (200, is_the_team),
    "GET /team/info?team_id=team-uuid": (200, describes_the_team),
    "POST /team/member_add": (200, has_the_new_member),
    "POST /team/update": (200, has_the_new_team_budget),
    "POST /user/new": (200, is_a_new_user),
    f"GET /user/info?user_id={USER}": (200, describes_the_user),
    "POST /user/update": (200, has_the_changed_user),
    "POST /user/delete": (200, counts_one_user),
    "GET /global/spend?start_date=2024-01-01&end_date=2024-01-31": (200, is_the_spend_of_all),
    "POST /model/new": (200, is_the_new_model),
    "GET /v1/models": (200, lists_models),
    "POST /v1/chat/completions": (200, is_a_chat_completion),
}
"""What each address of the guide answers: status, and what matters in the body."""


def named(commands: list[Command]) -> list[Any]:
    return [pytest.param(command, id=f"{number}-{command.name}") for number, command in enumerate(commands)]


def is_stream(command: Command) -> bool:
    return command.is_curl and "-d" in command.text and command.body.get("stream") is True


def is_scrape(command: Command) -> bool:
    return command.name == "GET /metrics"


def is_question(command: Command) -> bool:
    """Whether it is answered by one JSON document."""
    return command.is_curl and not is_stream(command) and not is_scrape(command)


@pytest.mark.parametrize("command", named([c for c in COMMANDS if is_question(c)]))
def test_curl_commands_answer_as_the_guide_says(command: Command, gateway: Gateway, tmp_path: Path) -> None:
    expected_status, check = CHECKS[command.name]
    real, key = made_real(command, gateway)
    with_its_user(command, gateway)
    status, body = curl(real, tmp_path)
    assert status == expected_status, body
    check(real, key, json.loads(body))


@pytest.mark.parametrize("command", named([c for c in COMMANDS if is_scrape(c)]))
def test_metrics_are_open_as_the_guide_says(command: Command, gateway: Gateway, tmp_path: Path) -> None:
    status, body = curl(made_real(command, gateway)[0], tmp_path)
    assert status == 200
    assert "# TYPE litellm_proxy_total_requests_metric" in body


@pytest.mark.parametrize("command", named([c for c in COMMANDS if is_stream(c)]))
def test_curl_commands_stream(command: Command, gateway: Gateway, tmp_path: Path) -> None:
    real, _ = made_real(command, gateway)
    status, body = curl(real, tmp_path)
    assert status == 200, body
    *events, last = [line.removeprefix("data: ") for line in body.split("\n\n") if line.strip()]
    assert last == "[DONE]"
    text = "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events)
    assert text.startswith(STORY)


@pytest.mark.parametrize("command", named([c for c in COMMANDS if c.language == "python"]))
def test_python_programs_run_as_they_are(command: Command, gateway: Gateway, tmp_path: Path) -> None:
    real, _ = made_real(command, gateway)
    program = tmp_path / "program.py"
    program.write_text(real.text)
    ran = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert GREETING in ran.stdout
    assert (STORY in ran.stdout) is ("Tell me a story" in command.text)


def test_no_command_of_these_sections_is_left_out() -> None:
    kinds = [command for command in COMMANDS if command.is_curl or command.language == "python"]
    assert kinds == COMMANDS
    found = {section for command in COMMANDS for section in (command.section, command.subsection)}
    assert found >= SECTIONS
    assert len(COMMANDS) == 38
