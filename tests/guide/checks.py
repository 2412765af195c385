"""What each command of the guide that asks the gateway has to answer."""

from collections.abc import Callable
from typing import Any

from tests.guide.guide import Command

MODELS = ("gpt-4o", "claude-3-5-sonnet")
USER = "john@company.com"
GREETING = "Hello! How can I help you today?"
STORY = "Once upon a time"

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


def caches(_command: Command, _key: str, answer: Any) -> None:
    assert (answer["status"], answer["cache_type"]) == ("healthy", "redis")


def has_forgotten(_command: Command, _key: str, answer: Any) -> None:
    assert answer["status"] == "success"


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
    "GET /cache/ping": (200, caches),
    "POST /cache/clear": (200, has_forgotten),
}
"""What each address of the guide answers: status, and what matters in the body."""
