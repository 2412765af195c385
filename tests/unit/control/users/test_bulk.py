"""Many users at once: each on its own, answered for by its place in the request."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support.management import Management, error_of, good

BULK, BULK_DELETE = "/management/v1/users/bulk", "/management/v1/users/bulk_delete"


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of an answer with this status."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    return problem


async def test_users_are_made_each_on_its_own(management: Management) -> None:
    await management.new_team(team_id="red")
    await management.new_user(user_id="taken", user_email="ada@x.io")
    asked = [
        {"user_id": "one", "user_email": "one@x.io", "teams": ["red"], "max_budget": 5},
        {"user_id": "taken"},
        {"user_email": "Ada@X.io"},
        {"user_id": "two", "auto_create_key": True, "user_role": "internal_user_viewer"},
        {"user_id": "three", "teams": [{"team_id": "nowhere"}]},
        {"user_id": "one"},
        {"user_id": "four", "max_budget": -1},
    ]
    answer = good(await management.post(BULK, {"users": asked}))
    assert answer["meta"] == {"total_requested": 7, "created": 2, "failed": 5}
    assert [one["index"] for one in answer["data"]] == list(range(7))
    assert [one["status"] for one in answer["data"]] == [200, 409, 409, 200, 404, 409, 400]
    first, taken, _, keyed, lost, _, _ = answer["data"]
    assert first == {
        "index": 0,
        "user_id": "one",
        "user_email": "one@x.io",
        "success": True,
        "status": 200,
        "error": None,
        "teams": ["red"],
        "key": None,
    }
    assert (taken["success"], taken["error"]) == (False, "User with id taken already exists")
    assert "nowhere" in lost["error"]
    assert (await management.info(keyed["key"]))["user_id"] == "two"
    listed = good(await management.get("/user/list"))["users"]
    assert {user["user_id"] for user in listed} == {"taken", "one", "two"}
    assert {user["user_id"]: user["max_budget"] for user in listed}["one"] == 5.0


async def test_users_are_deleted_each_on_its_own(management: Management) -> None:
    made = await management.new_user(user_id="one")
    await management.new_user(user_id="two")
    answer = good(await management.post(BULK_DELETE, {"user_ids": ["one", "nobody", "two", "one"]}))
    assert answer["meta"] == {"total_requested": 4, "deleted": 2, "failed": 2}
    assert [(one["index"], one["user_id"], one["success"], one["status"]) for one in answer["data"]] == [
        (0, "one", True, 200),
        (1, "nobody", False, 404),
        (2, "two", True, 200),
        (3, "one", False, 404),
    ]
    assert good(await management.get("/user/list"))["users"] == []
    assert (await management.get("/key/list", by=made["key"])).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        (BULK, {"users": [{"user_id": "u"}], "extra": 1}, ["body", "extra"]),
        (BULK, {"users": [{"user_id": "u"}, {"user_idd": "v"}]}, ["body", "users", 1, "user_idd"]),
        (BULK, {"users": [{"teams": [{"team_id": "t", "colour": "red"}]}]}, None),
        (BULK, {"users": [{"send_invite_email": True}]}, ["body", "users", 0, "send_invite_email"]),
        (BULK, {"users": [{"password": "chosen for you"}]}, ["body", "users", 0]),
        (BULK, {"users": []}, ["body", "users"]),
        (BULK, {"users": [{}] * 501}, ["body", "users"]),
        (BULK, {}, ["body", "users"]),
        (BULK_DELETE, {"user_ids": ["u"] * 501}, ["body", "user_ids"]),
        (BULK_DELETE, {"user_ids": []}, ["body", "user_ids"]),
        (BULK_DELETE, {"user_ids": [""]}, ["body", "user_ids", 0]),
        (BULK_DELETE, {"user_ids": ["u"], "force": True}, ["body", "force"]),
    ],
)
async def test_a_body_of_the_wrong_form_does_nothing(path: str, body: Any, where: Any, management: Management) -> None:
    await management.new_user(user_id="u", auto_create_key=False)
    problem = problem_of(await management.post(path, body), 422)
    assert where is None or problem["errors"][0]["loc"] == where
    assert len(good(await management.get("/user/list"))["users"]) == 1


@pytest.mark.parametrize("path", [BULK, BULK_DELETE])
async def test_only_a_proxy_admin_handles_users_by_the_hundred(path: str, management: Management) -> None:
    key = (await management.new_user(user_id="u"))["key"]
    error_of(await management.post(path, {"users": [{}], "user_ids": ["u"]}, by=key), 401)


async def test_fields_without_effect_are_named_once(management: Management) -> None:
    asked = [{"user_id": name, "guardrails": ["g"]} for name in ("a", "b")]
    response = await management.post(BULK, {"users": asked})
    assert response.headers["x-tollway-warning"] == "'guardrails' is stored, and not enforced in this release"
