"""Answers about teams have the names and JSON types that a running LiteLLM 1.106.2 was seen to send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.management import Management, good
from tests.support.people import People
from tests.support.recorded import shape

OBSERVED = json.loads(Path(__file__).with_name("observed.json").read_text())


@pytest.fixture
async def answers(people: People) -> dict[str, Any]:
    management = people.management
    await people.add_user("u", user_email="u@x.io", email_key="u@x.io", max_budget_nanos=10**11, budget_duration="30d")
    made = await management.new_team(
        team_alias="t", max_budget=1000, budget_duration="30d", tpm_limit=1_000_000, rpm_limit=10_000, models=["gpt-4o"]
    )
    team_id = made["team_id"]
    answers = {"POST /team/new": made, "GET /team/info": good(await management.get("/team/info", team_id=team_id))}
    member = {"role": "user", "user_id": "u"}
    added = {"team_id": team_id, "member": member, "max_budget_in_team": 50}
    for path, body in (
        ("/team/member_add", added),
        ("/team/member_update", {"team_id": team_id, "user_id": "u", "max_budget_in_team": 7}),
        ("/team/update", {"team_id": team_id, "max_budget": 2000}),
        ("/team/block", {"team_id": team_id}),
        ("/team/member_delete", {"team_id": team_id, "user_id": "u"}),
        ("/team/delete", {"team_ids": [team_id]}),
    ):
        answers[f"POST {path}"] = good(await management.post(path, body))
    return answers


def without_lists_of_teams(answer: dict[str, Any]) -> dict[str, Any]:
    """LiteLLM shows a user's teams as they were before the change."""
    users = [{**user, "teams": []} for user in answer.get("updated_users", ())]
    return {**answer, "updated_users": users} if users else answer


@pytest.mark.parametrize("request_line", OBSERVED)
async def test_an_answer_has_the_observed_names_and_types(request_line: str, answers: dict[str, Any]) -> None:
    assert shape(without_lists_of_teams(answers[request_line])) == shape(OBSERVED[request_line])


def test_every_observed_body_is_compared(answers: dict[str, Any]) -> None:
    assert answers.keys() == OBSERVED.keys()


async def test_values_are_the_observed_ones_too(answers: dict[str, Any]) -> None:
    made, observed = answers["POST /team/new"], OBSERVED["POST /team/new"]
    own = ("team_id", "team_alias", "created_at", "updated_at", "budget_reset_at")
    assert {name: made[name] for name in made if name not in own} == {
        name: observed[name] for name in observed if name not in own
    }


async def test_an_unknown_team_is_not_found(management: Management) -> None:
    shown = await management.get("/team/info", team_id="none")
    assert (shown.status_code, shown.json()["error"]) == (
        404,
        {
            "message": "Team not found, passed team id: none.",
            "type": "auth_error",
            "param": "None",
            "code": "404",
        },
    )
    changed = await management.post("/team/update", {"team_id": "none"})
    assert (changed.status_code, changed.json()["error"]["message"]) == (404, "Team not found, passed team_id=none")
    nameless = await management.get("/team/info")
    assert (nameless.status_code, nameless.json()["error"]["type"]) == (422, "auth_error")
