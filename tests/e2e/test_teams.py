"""What teams do to calls: each limit of a team and of its members, from the very next call on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream

from tollway.db.engine import writing
from tollway.db.organizations import organizations

CENTS = 0.000_001
"""Less than any call costs: the first one goes through and uses it up."""


async def ask(gateway: Embedded, path: str, **body: Any) -> Any:
    response = await gateway.post(path, body)
    assert response.status == 200, await response.text()
    return await response.json()


async def join(gateway: Embedded, user_id: str, **fields: Any) -> str:
    """Makes somebody a member of the team `t`; a key of theirs in it."""
    await ask(gateway, "/team/member_add", team_id="t", member={"role": "user", "user_id": user_id}, **fields)
    return await gateway.create_key(team_id="t", user_id=user_id)


async def call(gateway: Embedded, key: str, **fields: Any) -> tuple[int, str]:
    """Status of a call, and what was wrong: the error's type and text."""
    response = await gateway.chat(key=key, max_tokens=1, **fields)
    error = (await response.json()).get("error", {})
    return response.status, f"{error.get('type', '')}: {error.get('message', '')}"


async def test_keys_of_a_team_share_its_budget(gateway: Embedded) -> None:
    await ask(gateway, "/team/new", team_id="t", max_budget=CENTS)
    first, second = await gateway.create_key(team_id="t"), await gateway.create_key(team_id="t")
    stranger = await gateway.create_key()
    assert (await call(gateway, first))[0] == 200
    for key in (first, second):
        status, error = await call(gateway, key)
        assert status == 422
        assert error.startswith("budget_exceeded: Budget has been exceeded! Team=t ")
    assert (await call(gateway, stranger))[0] == 200
    await ask(gateway, "/team/update", team_id="t", max_budget=10)
    assert (await call(gateway, second))[0] == 200
    shown = await (await gateway.get("/team/info?team_id=t")).json()
    assert shown["team_info"]["spend"] > CENTS


async def test_setting_the_spend_of_a_team_opens_its_budget_again(gateway: Embedded) -> None:
    await ask(gateway, "/team/new", team_id="t", max_budget=CENTS)
    key = await gateway.create_key(team_id="t")
    assert [(await call(gateway, key))[0] for _ in range(2)] == [200, 422]
    await ask(gateway, "/team/update", team_id="t", spend=0)
    assert (await call(gateway, key))[0] == 200


async def test_the_first_that_refuses_is_named_member_then_key_then_team(gateway: Embedded) -> None:
    await ask(gateway, "/team/new", team_id="t", max_budget=CENTS)
    key = await join(gateway, "u", max_budget_in_team=CENTS)
    await ask(gateway, "/key/update", key=key, max_budget=CENTS)
    assert (await call(gateway, key))[0] == 200
    assert "TeamMember=t:u " in (await call(gateway, key))[1]
    await ask(gateway, "/team/member_update", team_id="t", user_id="u", max_budget_in_team=10)
    assert "Key=" in (await call(gateway, key))[1]
    await ask(gateway, "/key/update", key=key, max_budget=10)
    assert "Team=t " in (await call(gateway, key))[1]
    await ask(gateway, "/team/update", team_id="t", max_budget=10)
    assert (await call(gateway, key))[0] == 200


async def test_a_members_budget_is_theirs_alone(gateway: Embedded) -> None:
    await ask(gateway, "/team/new", team_id="t", team_member_budget=CENTS)
    first, second = await join(gateway, "u"), await join(gateway, "v")
    service = await gateway.create_key(team_id="t")
    assert [(await call(gateway, first))[0] for _ in range(2)] == [200, 422]
    assert (await call(gateway, second))[0] == 200
    assert [(await call(gateway, service))[0] for _ in range(2)] == [200, 200]
    await ask(gateway, "/team/t/member/u/reset_spend", reset_to=0)
    assert (await call(gateway, first))[0] == 200
    raised = {"temp_budget_increase": 10, "temp_budget_expiry": "2199-01-01T00:00:00Z"}
    await ask(gateway, "/team/member_update", team_id="t", user_id="u", **raised)
    assert (await call(gateway, first))[0] == 200
    await ask(gateway, "/team/t/member/u/reset_budget")
    assert (await call(gateway, first))[0] == 422


async def test_rates_of_members_of_the_team_and_of_its_models_hold(gateway: Embedded) -> None:
    await ask(gateway, "/team/new", team_id="t", team_member_rpm_limit=1)
    first, second = await join(gateway, "u"), await join(gateway, "v")
    assert (await call(gateway, first))[0] == 200
    status, error = await call(gateway, first)
    assert (status, "team_member: t:u" in error) == (429, True)
    assert (await call(gateway, second))[0] == 200
    await ask(gateway, "/team/update", team_id="t", team_member_rpm_limit=None, rpm_limit=1)
    assert (await call(gateway, first))[0] == 200
    status, error = await call(gateway, second)
    assert (status, "team: t" in error) == (429, True)
    await ask(gateway, "/team/update", team_id="t", rpm_limit=None, model_rpm_limit={"m": 1})
    service = await gateway.create_key(team_id="t")
    assert (await call(gateway, service))[0] == 200
    status, error = await call(gateway, service)
    assert (status, "model_per_team" in error) == (429, True)


async def test_further_budgets_hold_beside_the_first(gateway: Embedded) -> None:
    limits = [{"budget_duration": "1d", "max_budget": CENTS}]
    await ask(gateway, "/team/new", team_id="t", max_budget=10, budget_limits=limits)
    key = await gateway.create_key(team_id="t")
    assert (await call(gateway, key))[0] == 200
    status, error = await call(gateway, key)
    assert (status, "ExceededBudget: Team=t over 1d budget." in error) == (422, True)


async def test_a_blocked_team_is_refused_until_it_is_unblocked(gateway: Embedded) -> None:
    await ask(gateway, "/team/new", team_id="t")
    key = await gateway.create_key(team_id="t")
    assert (await call(gateway, key))[0] == 200
    await ask(gateway, "/team/block", team_id="t")
    status, error = await call(gateway, key)
    assert (status, "blocked" in error) == (401, True)
    await ask(gateway, "/team/unblock", team_id="t")
    assert (await call(gateway, key))[0] == 200


async def test_models_are_those_of_team_member_and_organization(gateway: Embedded) -> None:
    await ask(gateway, "/team/new", team_id="t", models=["other"])
    key = await join(gateway, "u")
    assert (await call(gateway, key))[1].startswith("team_model_access_denied: ")
    await ask(gateway, "/team/model/add", team_id="t", models=["m"])
    assert (await call(gateway, key))[0] == 200
    await ask(gateway, "/team/member_update", team_id="t", user_id="u", allowed_models=["other"])
    assert (await call(gateway, key))[1].startswith("team_model_access_denied: ")
    await ask(gateway, "/team/member_update", team_id="t", user_id="u", allowed_models=[])
    assert (await call(gateway, key))[0] == 200
    await ask(gateway, "/team/update", team_id="t", default_team_member_models=["other"])
    assert (await call(gateway, key))[1].startswith("team_model_access_denied: ")
    await ask(gateway, "/team/update", team_id="t", default_team_member_models=None, models=None)
    assert (await call(gateway, key))[0] == 200
    await make_organization(gateway, models=["other"])
    await ask(gateway, "/team/update", team_id="t", organization_id="org")
    assert (await call(gateway, key))[1].startswith("org_model_access_denied: ")


async def make_organization(gateway: Embedded, **fields: Any) -> None:
    now = datetime.now(UTC)
    row = {"models": [], "metadata": {}, "options": {}, "created_at": now, "updated_at": now, **fields}
    engine = (await gateway.runtime.database.opened()).engine
    async with writing(engine) as connection:
        await connection.execute(insert(organizations).values(organization_id="org", **row))


async def test_a_team_has_its_own_names_for_models(gateway: Embedded) -> None:
    await ask(gateway, "/team/new", team_id="t", models=["m"], model_aliases={"fast": "m"})
    key = await gateway.create_key(team_id="t")
    assert (await call(gateway, key, model="fast"))[0] == 200
    await ask(gateway, "/team/update", team_id="t", model_aliases=None)
    assert (await call(gateway, key, model="fast"))[0] in (400, 403)


async def test_settings_of_the_file_say_how_teams_are_made(upstream: FaultyUpstream, tmp_path: Path) -> None:
    settings = {
        "litellm_settings": {"default_team_params": {"max_budget": 5, "team_member_rpm_limit": 2}},
        "general_settings": {"disable_auto_add_proxy_admin_to_teams": True},
    }
    async with embedded_gateway(tmp_path, model_list(upstream) | settings) as gateway:
        made = await ask(gateway, "/team/new", team_id="t")
        assert (made["max_budget"], made["members_with_roles"]) == (5.0, [])
        shown = await (await gateway.get("/team/info?team_id=t")).json()
        assert shown["team_info"]["team_member_budget_table"]["rpm_limit"] == 2


async def test_keys_die_with_the_membership_and_with_the_team(gateway: Embedded) -> None:
    await ask(gateway, "/team/new", team_id="t")
    of_member, of_team = await join(gateway, "u"), await gateway.create_key(team_id="t")
    assert [(await call(gateway, key))[0] for key in (of_member, of_team)] == [200, 200]
    await ask(gateway, "/team/member_delete", team_id="t", user_id="u")
    assert [(await call(gateway, key))[0] for key in (of_member, of_team)] == [401, 200]
    await ask(gateway, "/team/delete", team_ids=["t"])
    assert (await call(gateway, of_team))[0] == 401
