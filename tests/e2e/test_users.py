"""What users are held to by their own row: budget, limits, models and role, from the next call on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.embedded import Embedded
from tests.support.faulty_upstream import FaultyUpstream

from tollway.control.kit.rows import Rows
from tollway.db.engine import writing
from tollway.db.teams import teams
from tollway.stores.sql.rows import Team

TINY = 0.000001


@pytest.fixture
async def team(gateway: Embedded) -> str:
    """The id of a team without limits."""
    now = datetime.now(UTC)
    opened = await gateway.runtime.database.opened()
    async with writing(opened.engine) as connection:
        await Rows(connection, teams, Team).insert(Team(team_id="t", created_at=now, updated_at=now))
    return "t"


async def new_user(gateway: Embedded, **fields: Any) -> str:
    """Makes a user `u`, unless told otherwise; their key."""
    response = await gateway.post("/user/new", {"user_id": "u", **fields})
    assert response.status == 200, await response.text()
    key: str = (await response.json())["key"]
    return key


async def update(gateway: Embedded, **fields: Any) -> None:
    response = await gateway.post("/user/update", {"user_id": "u", **fields})
    assert response.status == 200, await response.text()


async def refusal(gateway: Embedded, key: str, **fields: Any) -> tuple[int, str]:
    """Status and type of a call that is refused."""
    answer = await gateway.chat(key=key, **fields)
    return answer.status, (await answer.json())["error"]["type"]


async def test_a_budget_holds_for_all_personal_keys_together(gateway: Embedded) -> None:
    first = await new_user(gateway, max_budget=TINY)
    second = await gateway.create_key(user_id="u")
    assert (await gateway.chat(key=first, max_tokens=1)).status == 200
    for key in (first, second):
        assert await refusal(gateway, key, max_tokens=1) == (422, "budget_exceeded")


async def test_team_keys_spend_the_teams_money(gateway: Embedded, team: str) -> None:
    personal = await new_user(gateway, max_budget=TINY)
    shared = await gateway.create_key(user_id="u", team_id=team)
    assert (await gateway.chat(key=personal, max_tokens=1)).status == 200
    assert await refusal(gateway, personal, max_tokens=1) == (422, "budget_exceeded")
    assert (await gateway.chat(key=shared, max_tokens=1)).status == 200


async def test_what_was_spent_is_set_to_nothing_and_calls_go_on(gateway: Embedded) -> None:
    key = await new_user(gateway, max_budget=TINY, budget_duration="30d")
    assert (await gateway.chat(key=key, max_tokens=1)).status == 200
    assert (await refusal(gateway, key, max_tokens=1))[0] == 422
    await update(gateway, spend=0)
    assert (await gateway.chat(key=key, max_tokens=1)).status == 200


async def test_a_raised_budget_counts_from_the_next_call_on(gateway: Embedded) -> None:
    key = await new_user(gateway, max_budget=0)
    assert (await refusal(gateway, key))[0] == 422
    await update(gateway, max_budget=5)
    assert (await gateway.chat(key=key)).status == 200
    await update(gateway, max_budget=0)
    assert (await refusal(gateway, key))[0] == 422


async def test_limits_hold_over_all_keys_together(gateway: Embedded) -> None:
    first = await new_user(gateway, rpm_limit=1)
    second = await gateway.create_key(user_id="u")
    assert (await gateway.chat(key=first)).status == 200
    assert await refusal(gateway, second) == (429, "throttling_error")
    await update(gateway, rpm_limit=None)
    assert (await gateway.chat(key=second)).status == 200
    await update(gateway, max_parallel_requests=0)
    assert (await refusal(gateway, second))[0] == 429
    await update(gateway, max_parallel_requests=None, model_rpm_limit={"m": 0})
    assert (await refusal(gateway, second))[0] == 429


async def test_models_of_a_user_bind_personal_keys(gateway: Embedded, upstream: FaultyUpstream, team: str) -> None:
    personal = await new_user(gateway, models=["no-default-models"])
    shared = await gateway.create_key(user_id="u", team_id=team)
    assert await refusal(gateway, personal) == (403, "user_model_access_denied")
    assert upstream.requests == []
    assert (await gateway.chat(key=shared)).status == 200
    await update(gateway, models=["m"])
    assert (await gateway.chat(key=personal)).status == 200


async def test_who_only_looks_makes_no_calls(gateway: Embedded) -> None:
    key = await new_user(gateway, user_role="proxy_admin_viewer")
    answer = await gateway.chat(key=key)
    assert answer.status == 403
    assert "not allowed to access this OpenAI routes" in (await answer.json())["error"]["message"]
    assert (await gateway.get("/user/list", key=key)).status == 200
    await update(gateway, user_role="internal_user_viewer")
    assert (await gateway.chat(key=key)).status == 200


async def test_a_deleted_users_keys_stop_at_once(gateway: Embedded) -> None:
    key = await new_user(gateway)
    assert (await gateway.chat(key=key)).status == 200
    await gateway.post("/user/delete", {"user_ids": ["u"]})
    assert (await refusal(gateway, key))[0] == 401


async def test_a_plus_in_an_id_arrives(gateway: Embedded) -> None:
    await new_user(gateway, user_id="a+b@x.y")
    answer = await gateway.get("/user/info?user_id=a+b@x.y")
    assert (await answer.json())["user_id"] == "a+b@x.y"
