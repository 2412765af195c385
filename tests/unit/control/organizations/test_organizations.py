from __future__ import annotations

from typing import Any

import pytest
from tests.support.management import Management, bearer, error_of, good
from tests.support.rows import store

from tollway.core.principal import Scope
from tollway.stores.sql.rows import OrganizationMember, Team, TeamMember, User

ROW = {
    *("organization_id", "organization_alias", "budget_id", "spend", "metadata", "models", "model_spend"),
    *("created_by", "updated_by", "users", "litellm_budget_table", "object_permission", "object_permission_id"),
    *("created_at", "updated_at"),
}
"""Fields of the contract."""


async def new_organization(management: Management, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = good(
        await management.post("/organization/new", {"organization_id": "o1", "organization_alias": "One", **fields})
    )
    return made


async def info(management: Management, organization_id: str = "o1", **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = good(await management.get("/organization/info", organization_id=organization_id, **options))
    return found


async def key_of_member(management: Management, role: str, *, user_id: str = "ada", organization_id: str = "o1") -> str:
    """A key of somebody who is this in the organization."""
    engine = management.services.engine
    await store(engine, User, user_id=user_id, user_role="internal_user")
    await store(engine, OrganizationMember, organization_id=organization_id, user_id=user_id, role=role)
    key: str = (await management.new_key(user_id=user_id))["key"]
    return key


async def test_an_organization_has_the_fields_of_the_contract_and_a_budget(management: Management) -> None:
    made = await new_organization(
        management,
        models=["gpt-4o"],
        metadata={"unit": "north"},
        max_budget=10,
        budget_duration="30d",
        rpm_limit=5,
        model_rpm_limit={"gpt-4o": 2},
        object_permission={"vector_stores": ["v"]},
    )
    assert made.keys() == ROW
    assert (made["organization_id"], made["organization_alias"], made["spend"]) == ("o1", "One", 0.0)
    assert made["metadata"] == {"unit": "north", "model_rpm_limit": {"gpt-4o": 2}}
    assert made["object_permission"] == {"vector_stores": ["v"]}
    budget = made["litellm_budget_table"]
    assert budget["budget_id"] == made["budget_id"]
    assert (budget["max_budget"], budget["budget_duration"], budget["rpm_limit"]) == (10.0, "30d", 5)
    assert budget["budget_reset_at"] == "2026-02-01T00:00:00Z"
    assert await info(management) == {**made, "members": [], "teams": []}
    assert good(await management.post("/organization/info", {"organizations": ["o1", "nobody's"]})) == [
        await info(management)
    ]


async def test_an_organization_without_limits_has_a_budget_all_the_same(management: Management) -> None:
    assert (await new_organization(management))["litellm_budget_table"]["max_budget"] is None


async def test_an_organization_can_link_to_a_budget(management: Management) -> None:
    good(await management.post("/budget/new", {"budget_id": "b1", "max_budget": 3}))
    made = await new_organization(management, budget_id="b1")
    assert (made["budget_id"], made["litellm_budget_table"]["max_budget"]) == ("b1", 3.0)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"organization_id": "o1", "organization_alias": "x"}, 400, "already exists"),
        ({"organization_alias": "x", "budget_id": "nope"}, 404, "nope"),
        ({"organization_alias": "x", "max_budget": -1}, 400, "max_budget"),
        ({"organization_alias": "x", "model_rpm_limit": {"m": -1}}, 400, "model_rpm_limit"),
    ],
)
async def test_what_cannot_be_made_is_said_and_nothing_is_left_behind(
    body: dict[str, Any], status: int, word: str, management: Management
) -> None:
    await new_organization(management)
    good(await management.post("/budget/new", {"budget_id": "b1"}))
    assert word in error_of(await management.post("/organization/new", body), status)["message"]
    assert len(good(await management.get("/organization/list"))) == 1
    assert len(good(await management.get("/budget/list"))) == 2


async def test_a_budget_is_linked_or_its_own(management: Management) -> None:
    good(await management.post("/budget/new", {"budget_id": "b1"}))
    body = {"organization_alias": "x", "budget_id": "b1", "max_budget": 1}
    answer = await management.post("/organization/new", body)
    assert (answer.status_code, "budget_id" in answer.json()["detail"][0]["msg"]) == (422, True)


@pytest.mark.parametrize("body", [{}, {"organization_alias": ""}, {"organization_alias": 1}])
async def test_an_organization_needs_an_alias(body: dict[str, Any], management: Management) -> None:
    answer = await management.post("/organization/new", body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "organization_alias"])


async def test_only_a_proxy_admin_makes_and_deletes_organizations(management: Management) -> None:
    await new_organization(management)
    key = await key_of_member(management, "org_admin")
    for answer in (
        await management.post("/organization/new", {"organization_alias": "x"}, by=key),
        await management.send("DELETE", "/organization/delete", {"organization_ids": ["o1"]}, by=key),
    ):
        assert "Only proxy admin" in error_of(answer, 401)["message"]


@pytest.mark.parametrize("path", ["/organization/update", "/v2/organization/o1"])
async def test_an_update_changes_what_is_sent_and_null_clears(path: str, management: Management) -> None:
    await new_organization(management, models=["gpt-4o"], max_budget=10, metadata={"a": 1}, model_tpm_limit={"m": 9})
    named = {"organization_id": "o1"} if path == "/organization/update" else {}
    body = {**named, "organization_alias": "Two", "max_budget": None, "rpm_limit": 3, "metadata": {"b": 2}}
    changed = good(await management.send("PATCH", path, body))
    assert (changed["organization_alias"], changed["models"]) == ("Two", ["gpt-4o"])
    assert changed["metadata"] == {"b": 2, "model_tpm_limit": {"m": 9}}
    assert (changed["litellm_budget_table"]["max_budget"], changed["litellm_budget_table"]["rpm_limit"]) == (None, 3)
    assert (changed["members"], changed["teams"]) == ([], [])
    cleared = good(await management.send("PATCH", path, {**named, "models": None, "model_tpm_limit": None}))
    assert (cleared["models"], cleared["metadata"]) == ([], {"b": 2})
    assert await info(management) == cleared


async def test_the_newer_update_refuses_fields_it_does_not_know(management: Management) -> None:
    await new_organization(management)
    answer = await management.send("PATCH", "/v2/organization/o1", {"organization_alias": "x", "max_bugdet": 1})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "max_bugdet"])
    older = await management.send("PATCH", "/organization/update", {"organization_id": "o1", "max_bugdet": 1})
    assert "did you mean 'max_budget'" in older.headers["x-tollway-warning"]


async def test_a_budget_can_be_changed_for_another_and_left(management: Management) -> None:
    await new_organization(management, max_budget=10)
    good(await management.post("/budget/new", {"budget_id": "b1", "max_budget": 3}))
    update = "/organization/update"
    linked = good(await management.send("PATCH", update, {"organization_id": "o1", "budget_id": "b1"}))
    assert linked["litellm_budget_table"]["max_budget"] == 3
    left = good(await management.send("PATCH", update, {"organization_id": "o1", "budget_id": None}))
    assert (left["budget_id"], left["litellm_budget_table"]) == (None, None)
    again = good(await management.send("PATCH", update, {"organization_id": "o1", "max_budget": 4}))
    assert again["litellm_budget_table"]["max_budget"] == 4


async def test_what_was_spent_goes_along_into_a_window_of_another_length(management: Management) -> None:
    await new_organization(management, max_budget=10, budget_duration="1d")
    await management.spend_in(Scope(kind="organization", id="o1", budget_duration="1d"), dollars=2.5)
    assert (await info(management))["spend"] == 2.5
    changed = good(
        await management.send("PATCH", "/organization/update", {"organization_id": "o1", "budget_duration": "30d"})
    )
    assert changed["spend"] == 2.5


async def test_unknown_organizations_are_not_found(management: Management) -> None:
    answer = await management.get("/organization/info", organization_id="nope")
    assert (answer.status_code, answer.json()) == (404, {"detail": {"error": "Organization not found"}})
    for method, path, body in (
        ("PATCH", "/organization/update", {"organization_id": "nope"}),
        ("PATCH", "/v2/organization/nope", {}),
        ("DELETE", "/organization/delete", {"organization_ids": ["nope"]}),
    ):
        error = error_of(await management.send(method, path, body), 404)
        assert (error["type"], "nope" in error["message"]) == ("not_found_error", True)


async def test_deleting_takes_the_memberships_along(management: Management) -> None:
    await new_organization(management)
    await key_of_member(management, "internal_user")
    (gone,) = good(await management.send("DELETE", "/organization/delete", {"organization_ids": ["o1"]}))
    assert [member["user_id"] for member in gone["members"]] == ["ada"]
    await new_organization(management)
    assert (await info(management))["members"] == []


async def test_an_organization_with_teams_or_keys_stays_and_so_do_the_others(management: Management) -> None:
    await new_organization(management)
    await new_organization(management, organization_id="o2")
    await store(management.services.engine, Team, team_id="t1", organization_id="o1")
    await management.new_key(organization_id="o1")
    answer = await management.send("DELETE", "/organization/delete", {"organization_ids": ["o2", "o1"]})
    assert "1 teams and 1 keys" in error_of(answer, 400)["message"]
    assert len(good(await management.get("/organization/list"))) == 2


async def test_everybody_lists_only_what_they_belong_to(management: Management) -> None:
    for name in ("o1", "o2", "o3"):
        management.clock.advance(1)
        await new_organization(management, organization_id=name, organization_alias=f"alias-{name}")
    admin, member = (
        await key_of_member(management, "org_admin"),
        await key_of_member(management, "internal_user", user_id="bob", organization_id="o2"),
    )
    service = (await management.new_key(organization_id="o3"))["key"]
    stranger = (await management.new_key())["key"]

    async def listed(key: str | None = None, **query: str) -> list[str]:
        by = {"by": key} if key else {}
        return [one["organization_id"] for one in good(await management.get("/organization/list", **by, **query))]

    assert await listed() == ["o3", "o2", "o1"]
    assert await listed(org_id="o2") == ["o2"]
    assert await listed(org_alias="S-O3") == ["o3"]
    assert [await listed(key) for key in (admin, member, service, stranger)] == [["o1"], ["o2"], ["o3"], []]
    assert await listed(member, org_id="o1") == []


async def test_a_plain_member_sees_nobody_else(management: Management) -> None:
    await new_organization(management)
    engine = management.services.engine
    admin = await key_of_member(management, "org_admin")
    member = await key_of_member(management, "internal_user", user_id="bob")
    await store(engine, Team, team_id="t1", organization_id="o1", max_budget_nanos=10**9)
    await store(engine, Team, team_id="t2", organization_id="o1")
    await store(engine, TeamMember, team_id="t1", user_id="bob")
    (seen,) = good(await management.get("/organization/list", by=member))
    assert [one["user_id"] for one in seen["members"]] == ["bob"]
    assert [(team["team_id"], team["max_budget"]) for team in seen["teams"]] == [("t1", 1.0)]
    (seen,) = good(await management.get("/organization/list", by=admin))
    assert [one["user_id"] for one in seen["members"]] == ["ada", "bob"]
    assert [team["team_id"] for team in seen["teams"]] == ["t1", "t2"]


async def test_an_admin_of_one_organization_sees_and_changes_no_other(management: Management) -> None:
    await new_organization(management)
    await new_organization(management, organization_id="o2")
    key = await key_of_member(management, "org_admin")
    assert (await info(management, by=key))["organization_id"] == "o1"
    assert (await management.get("/organization/info", organization_id="o2", by=key)).status_code == 404
    assert good(await management.post("/organization/info", {"organizations": ["o2"]}, by=key)) == []
    for name in ("o2", "nobody's"):
        body = {"organization_id": name, "organization_alias": "mine"}
        assert (
            error_of(await management.send("PATCH", "/organization/update", body, by=key), 403)["type"] == "auth_error"
        )
    member = await key_of_member(management, "internal_user", user_id="bob")
    error_of(await management.get("/organization/info", organization_id="o1", by=member), 401)


GREEDY = {
    "max_budget": 1e6,
    "soft_budget": 1e5,
    "budget_duration": "1d",
    "budget_id": "b1",
    "rpm_limit": 10**6,
    "tpm_limit": 10**9,
    "tpd_limit": 10**9,
    "max_parallel_requests": 10**6,
    "model_max_budget": {"gpt-4o": {"max_budget": 1e6}},
    "models": [],
    "model_rpm_limit": None,
    "model_tpm_limit": {"gpt-4o": 10**9},
    "object_permission": None,
}


@pytest.mark.parametrize("path", ["/organization/update", "/v2/organization/o1"])
@pytest.mark.parametrize("field", GREEDY)
async def test_its_admin_raises_no_limit_of_the_organization(path: str, field: str, management: Management) -> None:
    good(await management.post("/budget/new", {"budget_id": "b1", "max_budget": 1e6}))
    before = await new_organization(management, max_budget=1, models=["gpt-4o"], model_rpm_limit={"gpt-4o": 1})
    key = await key_of_member(management, "org_admin")
    named = {"organization_id": "o1"} if path == "/organization/update" else {}
    error = error_of(await management.send("PATCH", path, {**named, field: GREEDY[field]}, by=key), 403)
    assert error["param"] == field
    after = await info(management)
    assert {name: after[name] for name in ROW} == before


async def test_nor_by_putting_it_into_the_metadata(management: Management) -> None:
    await new_organization(management, model_rpm_limit={"gpt-4o": 1})
    key = await key_of_member(management, "org_admin")
    smuggled = {"organization_id": "o1", "metadata": {"model_rpm_limit": {"gpt-4o": 10**6}}}
    error_of(await management.send("PATCH", "/organization/update", smuggled, by=key), 403)
    renamed = {"organization_id": "o1", "organization_alias": "Mine", "metadata": {"a": 1}}
    changed = good(await management.send("PATCH", "/organization/update", renamed, by=key))
    assert (changed["organization_alias"], changed["metadata"]) == ("Mine", {"a": 1, "model_rpm_limit": {"gpt-4o": 1}})


async def test_a_viewer_sees_all_and_changes_nothing(management: Management) -> None:
    await new_organization(management)
    await store(management.services.engine, User, user_id="eve", user_role="proxy_admin_viewer")
    key = (await management.new_key(user_id="eve"))["key"]
    assert (await info(management, by=key))["organization_id"] == "o1"
    answer = await management.client.request(
        "PATCH", "/organization/update", json={"organization_id": "o1"}, headers=bearer(key)
    )
    error_of(answer, 401)
