from __future__ import annotations

from typing import Any

import pytest
from tests.support.management import MASTER_KEY, Management, bearer, error_of, good
from tests.support.places import join_organization, join_team, make_org_admin, make_organization, make_team


async def test_a_user_sees_themselves_and_nobody_else(management: Management) -> None:
    key = (await management.new_user(user_id="u"))["key"]
    await management.new_user(user_id="other")
    shown = good(await management.get("/user/info", by=key))
    assert (shown["user_id"], len(shown["keys"])) == ("u", 1)
    for user_id in ("other", "nobody"):
        error = error_of(await management.get("/user/info", by=key, user_id=user_id), 403)
        assert error["message"] == "You are not allowed to access this user's info. Your role=internal_user"


async def test_nobody_is_not_found(management: Management) -> None:
    error = error_of(await management.get("/user/info", user_id="none"), 404)
    assert (error["message"], error["param"]) == ("User none not found", None)


async def test_a_key_of_nobody_has_nobody_to_show(management: Management) -> None:
    key = (await management.new_key())["key"]
    assert "belongs to no user" in error_of(await management.get("/user/info", by=key), 400)["message"]
    assert error_of(await management.get("/v2/user/info", by=key), 400)["param"] == "user_id"
    orphan = (await management.new_key(user_id="gone"))["key"]
    error_of(await management.get("/user/info", by=orphan), 404)


@pytest.mark.parametrize("query", ["user_id=a+b@x.y", "user_id=a%2Bb@x.y", "user_id=a+b%40x.y"])
async def test_a_plus_in_an_id_stands_for_itself(query: str, management: Management) -> None:
    await management.new_user(user_id="a+b@x.y")
    for path in ("/user/info", "/v2/user/info"):
        response = await management.client.get(f"{path}?{query}", headers=bearer(MASTER_KEY))
        assert good(response)["user_id"] == "a+b@x.y"
    await management.post("/user/update", {"user_id": "a+b@x.y", "user_email": "a+b@x.y"})
    for part in (query, query.replace("_id", "_email")):
        found = await management.client.get(f"/user/filter/ui?{part}", headers=bearer(MASTER_KEY))
        assert good(found) == [{"user_id": "a+b@x.y", "user_email": "a+b@x.y"}]


async def test_what_was_spent_is_shown(management: Management) -> None:
    key = (await management.new_user(user_id="u", max_budget=5, budget_duration="1d"))["key"]
    await management.call_as(key, 2)
    shown = good(await management.get("/user/info", user_id="u"))
    assert shown["user_info"]["spend"] == 2
    assert shown["user_info"]["budget_reset_at"] == "2026-01-15T00:00:00Z"
    assert shown["keys"][0]["total_spend"] == 2
    assert good(await management.get("/v2/user/info", user_id="u"))["spend"] == 2
    assert good(await management.get("/user/list"))["users"][0]["spend"] == 2


async def test_an_admin_who_names_nobody_sees_all_keys_and_teams_a_page_at_a_time(management: Management) -> None:
    await make_team(management, "t", team_alias="engineering", max_budget_nanos=10**9)
    for number in range(3):
        management.clock.advance(1)
        await management.new_key(key_alias=f"k{number}", team_id="t" if number == 2 else None)
    first = await management.get("/user/info", size=2)
    shown = good(first)
    assert (shown["user_id"], shown["user_info"]["user_role"]) == ("default_user_id", "proxy_admin")
    assert [(key["key_alias"], key["team_alias"]) for key in shown["keys"]] == [("k2", "engineering"), ("k1", "None")]
    assert [(team["team_alias"], team["max_budget"]) for team in shown["teams"]] == [("engineering", 1)]
    assert "page 1 of 3 keys" in first.headers["x-tollway-warning"]
    second = await management.get("/user/info", size=2, page=2)
    assert [key["key_alias"] for key in good(second)["keys"]] == ["k0"]
    assert "x-tollway-warning" not in second.headers


async def test_a_viewer_sees_everybody(management: Management) -> None:
    viewer = (await management.new_user(user_role="proxy_admin_viewer"))["key"]
    await management.new_user(user_id="u")
    assert good(await management.get("/user/info", by=viewer, user_id="u"))["user_id"] == "u"


async def test_an_organizations_admin_sees_their_users(management: Management) -> None:
    boss = await make_org_admin(management, "mine", "boss")
    await make_organization(management, "other")
    await management.new_user(user_id="ours", organizations=["mine"])
    await management.new_user(user_id="shared", organizations=["mine", "other"])
    assert good(await management.get("/user/info", by=boss, user_id="ours"))["user_id"] == "ours"
    error_of(await management.get("/user/info", by=boss, user_id="shared"), 403)


async def test_a_team_admin_sees_the_profile_of_teammates(management: Management) -> None:
    admin = (await management.new_user(user_id="admin"))["key"]
    await management.new_user(user_id="mate")
    await management.new_user(user_id="stranger")
    await make_team(management, "t")
    await join_team(management, "t", "admin", role="admin")
    await join_team(management, "t", "mate")
    shown = good(await management.get("/v2/user/info", by=admin, user_id="mate"))
    assert (shown["user_id"], shown["teams"]) == ("mate", ["t"])
    for hidden in ("stranger", "nobody"):
        error = error_of(await management.get("/v2/user/info", by=admin, user_id=hidden), 404)
        assert error["message"] == f"User {hidden} not found"


async def test_a_profile_has_the_fields_of_the_contract(management: Management) -> None:
    await management.new_user(user_id="u", model_max_budget={"gpt-4o": {"max_budget": 1}})
    shown = good(await management.get("/v2/user/info", user_id="u"))
    names = (
        "user_id user_email user_alias user_role spend max_budget tpm_limit rpm_limit models budget_duration "
        "budget_reset_at metadata created_at updated_at sso_user_id teams object_permission model_max_budget "
        "model_max_budget_usage"
    )
    assert shown.keys() == set(names.split())
    assert shown["model_max_budget"] == {"gpt-4o": {"max_budget": 1}}


async def list_ids(management: Management, **query: Any) -> list[str]:
    return [user["user_id"] for user in good(await management.get("/user/list", **query))["users"]]


async def test_users_are_listed_filtered_sorted_and_paged(management: Management) -> None:
    await make_team(management, "t")
    await make_organization(management, "o")
    people: dict[str, dict[str, Any]] = {
        "ann": {"user_email": "ann@a.io", "teams": ["t"], "sso_user_id": "s1"},
        "bob": {"user_alias": "Bobby", "organizations": ["o"], "spend": 5},
        "cy_": {"user_role": "proxy_admin_viewer", "spend": 1},
    }
    for user_id, fields in people.items():
        management.clock.advance(1)
        await management.new_user(user_id=user_id, **fields)
    assert await list_ids(management) == ["cy_", "bob", "ann"]
    for query, expected in (
        ({"role": "internal_user", "sort_by": "user_id"}, ["ann", "bob"]),
        ({"user_ids": "ann, cy_", "sort_by": "user_id"}, ["ann", "cy_"]),
        ({"sso_user_ids": "s1"}, ["ann"]),
        ({"user_email": "ANN@"}, ["ann"]),
        ({"search": "bobb"}, ["bob"]),
        ({"search": "_"}, ["cy_"]),
        ({"search": "%"}, []),
        ({"search": "'; DROP TABLE users; --"}, []),
        ({"team": "t"}, ["ann"]),
        ({"organization_ids": "o"}, ["bob"]),
        ({"organization_ids": "", "user_ids": ",", "sort_by": "user_id"}, ["ann", "bob", "cy_"]),
        ({"sort_by": "spend"}, ["ann", "cy_", "bob"]),
        ({"sort_by": "spend", "sort_order": "desc", "page_size": 1}, ["bob"]),
        ({"sort_by": "user_email", "sort_order": "DESC", "page_size": 1}, ["ann"]),
    ):
        assert await list_ids(management, **query) == expected, query
    page = good(await management.get("/user/list", page=2, page_size=2))
    assert (page["total"], page["page"], page["page_size"], page["total_pages"]) == (3, 2, 2, 2)
    assert [user["user_id"] for user in page["users"]] == ["ann"]
    assert page["users"][0]["teams"] == ["t"]


@pytest.mark.parametrize("query", [{"sort_by": "password_hash"}, {"sort_by": "user_id", "sort_order": "up"}])
async def test_lists_are_sorted_only_by_what_there_is(query: dict[str, str], management: Management) -> None:
    assert error_of(await management.get("/user/list", **query), 400)["param"] in query


async def test_lists_have_no_passwords(management: Management) -> None:
    await management.new_user(user_id="u")
    await management.post("/user/update", {"user_id": "u", "password": "correct horse"})
    for path in ("/user/list", "/user/info?user_id=u", "/v2/user/info?user_id=u", "/user/filter/ui"):
        text = (await management.get(path)).text
        assert "correct horse" not in text
        assert "scrypt" not in text
        assert "password_hash" not in text


async def test_an_organizations_admin_lists_their_users_only(management: Management) -> None:
    boss = await make_org_admin(management, "mine", "boss")
    await management.new_user(user_id="ours", organizations=["mine"])
    await management.new_user(user_id="other")
    for query in ({}, {"sort_by": "spend"}, {"organization_ids": "mine"}):
        listed = good(await management.get("/user/list", by=boss, **query))
        assert {user["user_id"] for user in listed["users"]} == {"boss", "ours"}
    assert good(await management.get("/user/list", by=boss, organization_ids="o2"))["total"] == 0
    found = good(await management.get("/user/filter/ui", by=boss))
    assert [user["user_id"] for user in found] == ["boss", "ours"]


@pytest.mark.parametrize("path", ["/user/list", "/user/filter/ui"])
async def test_an_internal_user_lists_nobody(path: str, management: Management) -> None:
    key = (await management.new_user(user_id="u"))["key"]
    await make_organization(management, "o")
    await join_organization(management, "o", "u")
    error_of(await management.get(path, by=key), 401)


async def test_the_roles_are_named(management: Management) -> None:
    key = (await management.new_key())["key"]
    roles = good(await management.get("/user/available_roles", by=key))
    assert list(roles) == ["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]
    assert all(words.keys() == {"description", "ui_label"} for words in roles.values())
