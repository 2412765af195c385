from __future__ import annotations

from typing import Any

import pytest
from tests.support.management import Management, error_of, good
from tests.support.rows import store

from tollway.core.principal import Scope
from tollway.stores.sql.rows import OrganizationMember, Team, TeamMember, User

ROW = {
    *("project_id", "project_alias", "description", "team_id", "budget_id", "metadata", "models", "spend"),
    *("model_spend", "model_rpm_limit", "model_tpm_limit", "blocked", "object_permission_id", "created_by"),
    *("updated_by", "created_at", "updated_at", "litellm_budget_table", "object_permission"),
}
"""Fields of the contract."""


@pytest.fixture
async def team(management: Management) -> Management:
    """Team t1 of organization o1 with an admin and a member, an admin of the organization, and a team of nobody's."""
    engine = management.services.engine
    good(await management.post("/organization/new", {"organization_id": "o1", "organization_alias": "o1"}))
    await store(engine, Team, team_id="t1", organization_id="o1")
    await store(engine, Team, team_id="t2")
    for user_id in ("ada", "bob", "olga", "eve"):
        await store(engine, User, user_id=user_id, user_role="internal_user")
    await store(engine, TeamMember, team_id="t1", user_id="ada", role="admin")
    await store(engine, TeamMember, team_id="t1", user_id="bob")
    await store(engine, OrganizationMember, organization_id="o1", user_id="olga", role="org_admin")
    return management


async def key_of(management: Management, user_id: str) -> str:
    key: str = (await management.new_key(user_id=user_id))["key"]
    return key


async def new_project(management: Management, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = good(await management.post("/project/new", {"project_id": "p1", "team_id": "t1", **fields}))
    return made


async def info(management: Management, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = good(await management.get("/project/info", project_id="p1", **options))
    return found


async def test_a_project_has_the_fields_of_the_contract(team: Management) -> None:
    made = await new_project(
        team,
        project_alias="Search",
        description="of papers",
        models=["gpt-4o"],
        metadata={"a": 1},
        tags=["search"],
        max_budget=5,
        budget_duration="1d",
        model_rpm_limit={"gpt-4o": 3},
        object_permission={"agents": ["x"]},
    )
    assert made.keys() == ROW
    assert (made["team_id"], made["project_alias"], made["description"]) == ("t1", "Search", "of papers")
    assert made["metadata"] == {"a": 1, "tags": ["search"]}
    assert (made["model_rpm_limit"], made["model_tpm_limit"], made["blocked"]) == ({"gpt-4o": 3}, {}, False)
    assert made["litellm_budget_table"]["max_budget"] == 5
    assert await info(team) == made
    assert good(await team.get("/project/list")) == [made]


async def test_a_project_without_limits_has_no_budget(team: Management) -> None:
    assert (await new_project(team))["budget_id"] is None


async def test_an_update_changes_what_is_sent_and_null_clears(team: Management) -> None:
    await new_project(team, models=["gpt-4o"], max_budget=5, tags=["x"], model_tpm_limit={"gpt-4o": 3})
    body = {"project_id": "p1", "max_budget": 6, "models": None, "metadata": {"b": 2}, "model_tpm_limit": None}
    changed = good(await team.post("/project/update", body))
    assert (changed["models"], changed["metadata"]) == ([], {"b": 2, "tags": ["x"]})
    assert (changed["litellm_budget_table"]["max_budget"], changed["model_tpm_limit"]) == (6, {})
    moved = good(await team.post("/project/update", {"project_id": "p1", "team_id": "t2", "tags": None}))
    assert (moved["team_id"], moved["metadata"]) == ("t2", {"b": 2})
    assert await info(team) == moved


async def test_a_blocked_project_blocks_its_keys(team: Management) -> None:
    await new_project(team)
    key = (await team.new_key(team_id="t1", project_id="p1"))["key"]
    assert good(await team.post("/project/update", {"project_id": "p1", "blocked": True}))["blocked"] is True
    assert "blocked" in error_of(await team.get("/key/info", by=key), 401)["message"]
    good(await team.post("/project/update", {"project_id": "p1", "blocked": False}))
    assert (await team.get("/key/info", by=key)).status_code == 200


async def test_what_a_project_spends_is_shown_and_goes_along(team: Management) -> None:
    await new_project(team, max_budget=5, budget_duration="1d")
    await team.spend_in(Scope(kind="project", id="p1", budget_duration="1d"), dollars=2)
    assert (await info(team))["spend"] == 2
    changed = good(await team.post("/project/update", {"project_id": "p1", "budget_duration": None}))
    assert changed["spend"] == 2


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"project_id": "p1", "team_id": "t1"}, 400, "already exists"),
        ({"team_id": "nope"}, 404, "nope"),
        ({"team_id": "t1", "max_budget": -1}, 400, "max_budget"),
        ({"team_id": "t1", "model_rpm_limit": {"m": -1}}, 400, "model_rpm_limit"),
        ({"team_id": "t1", "budget_id": "nope"}, 404, "nope"),
    ],
)
async def test_what_cannot_be_made_is_said(body: dict[str, Any], status: int, word: str, team: Management) -> None:
    await new_project(team)
    assert word in error_of(await team.post("/project/new", body), status)["message"]
    assert len(good(await team.get("/project/list"))) == 1


async def test_unknown_projects_are_not_found(team: Management) -> None:
    await new_project(team)
    for answer in (
        await team.get("/project/info", project_id="nope"),
        await team.post("/project/update", {"project_id": "nope"}),
        await team.send("DELETE", "/project/delete", {"project_ids": ["p1", "nope"]}),
    ):
        assert "nope" in error_of(answer, 404)["message"]
    moved = await team.post("/project/update", {"project_id": "p1", "team_id": "nope"})
    assert "nope" in error_of(moved, 404)["message"]
    assert (await info(team))["project_id"] == "p1"


async def test_a_project_with_keys_stays(team: Management) -> None:
    await new_project(team)
    key = (await team.new_key(team_id="t1", project_id="p1"))["key"]
    delete = {"project_ids": ["p1"]}
    assert "1 keys" in error_of(await team.send("DELETE", "/project/delete", delete), 400)["message"]
    good(await team.post("/key/delete", {"keys": [key]}))
    (gone,) = good(await team.send("DELETE", "/project/delete", delete))
    assert gone["project_id"] == "p1"
    assert good(await team.get("/project/list")) == []


async def test_admins_of_the_team_and_the_organization_make_projects_and_others_do_not(team: Management) -> None:
    for user_id in ("ada", "olga"):
        body = {"team_id": "t1", "project_id": f"p-{user_id}", "max_budget": 1, "models": ["gpt-4o"]}
        good(await team.post("/project/new", body, by=await key_of(team, user_id)))
        error_of(await team.post("/project/new", {**body, "team_id": "t2"}, by=await key_of(team, user_id)), 403)
        error_of(await team.post("/project/new", {**body, "team_id": "nope"}, by=await key_of(team, user_id)), 403)
    for user_id in ("bob", "eve"):
        error_of(await team.post("/project/new", {"team_id": "t1"}, by=await key_of(team, user_id)), 401)


LIMITS = {
    "max_budget": 1e6,
    "soft_budget": 0.5,
    "budget_duration": "1d",
    "rpm_limit": 10**6,
    "tpm_limit": 10**6,
    "tpd_limit": 10**6,
    "max_parallel_requests": 10**6,
    "model_max_budget": {"gpt-4o": 1e6},
    "models": [],
    "model_rpm_limit": None,
    "model_tpm_limit": None,
    "object_permission": None,
    "blocked": False,
}


@pytest.mark.parametrize("field", [*LIMITS, "budget_id", "team_id"])
async def test_a_team_admin_lifts_nothing_that_was_set_on_a_project(field: str, team: Management) -> None:
    before = await new_project(team, max_budget=1, models=["gpt-4o"], blocked=True)
    values = {**LIMITS, "budget_id": None, "team_id": "t2"}
    body = {"project_id": "p1", field: values[field]}
    key = await key_of(team, "ada")
    assert error_of(await team.post("/project/update", body, by=key), 403)["param"] == field
    assert await info(team) == before
    renamed = good(await team.post("/project/update", {"project_id": "p1", "project_alias": "Mine"}, by=key))
    assert renamed["project_alias"] == "Mine"


async def test_an_organization_admin_changes_limits_of_a_project_but_no_shared_budget(team: Management) -> None:
    good(await team.post("/budget/new", {"budget_id": "b1", "max_budget": 1, "rpm_limit": 9}))
    await new_project(team, budget_id="b1")
    await team.new_key(budget_id="b1")
    key = await key_of(team, "olga")
    error_of(await team.post("/project/update", {"project_id": "p1", "budget_id": None}, by=key), 403)
    changed = good(await team.post("/project/update", {"project_id": "p1", "max_budget": 50}, by=key))
    assert changed["budget_id"] != "b1"
    own = changed["litellm_budget_table"]
    assert (own["max_budget"], own["rpm_limit"]) == (50, 9)
    (shared,) = good(await team.post("/budget/info", {"budgets": ["b1"]}))
    assert shared["max_budget"] == 1
    again = good(await team.post("/project/update", {"project_id": "p1", "max_budget": 60}, by=key))
    assert (again["budget_id"], again["litellm_budget_table"]["max_budget"]) == (changed["budget_id"], 60)


async def test_everybody_sees_the_projects_of_their_teams(team: Management) -> None:
    await new_project(team)
    await new_project(team, project_id="p2", team_id="t2")

    async def listed(user_id: str) -> list[str]:
        found = good(await team.get("/project/list", by=await key_of(team, user_id)))
        return [one["project_id"] for one in found]

    assert [await listed(user_id) for user_id in ("ada", "bob", "olga", "eve")] == [["p1"], ["p1"], ["p1"], []]
    assert (await info(team, by=await key_of(team, "bob")))["project_id"] == "p1"
    error_of(await team.get("/project/info", project_id="p1", by=await key_of(team, "eve")), 404)
    service = (await team.new_key(team_id="t1"))["key"]
    error_of(await team.get("/project/list", by=service), 401)
