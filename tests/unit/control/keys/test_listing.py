"""Finding keys: one, several, pages of them, and what a key sees of itself."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.management import Management, error_of, good
from tests.support.people import People


async def test_keys_are_listed_newest_first_in_pages(management: Management) -> None:
    made = []
    for _ in range(5):
        made.append((await management.new_key())["token"])
        management.clock.advance(1)
    first = good(await management.get("/key/list", size=2))
    assert first == {"keys": made[:-3:-1], "total_count": 5, "current_page": 1, "total_pages": 3}
    last = good(await management.get("/key/list", size=2, page=3))
    assert (last["keys"], last["current_page"]) == ([made[0]], 3)
    assert good(await management.get("/key/list", page=9))["keys"] == []


@pytest.mark.parametrize(
    ("query", "aliases"),
    [
        ({"user_id": "u-1"}, ["ada"]),
        ({"team_id": "t-1"}, ["ada", "bob"]),
        ({"organization_id": "o-1"}, ["bob"]),
        ({"project_id": "p-1"}, ["bob"]),
        ({"agent_id": "a-1"}, ["bob"]),
        ({"key_alias": "ada"}, ["ada"]),
        ({"key_alias": "AD"}, []),
        ({"key_alias": "AD", "substring_matching": True}, ["ada"]),
        ({"user_id": "u-", "substring_matching": True}, ["ada"]),
        ({"search": "BOB"}, ["bob"]),
        ({"search": "nobody"}, []),
        ({"status": "active"}, ["ada", "eve"]),
        ({"status": "revoked"}, ["bob"]),
        ({"status": "expired"}, ["old"]),
        ({"expires": "expired"}, ["old"]),
        ({"expires": "active"}, ["ada", "bob", "eve"]),
        ({"status": "deleted"}, ["gone"]),
    ],
)
async def test_keys_are_found_by(query: dict[str, Any], aliases: list[str], management: Management) -> None:
    await management.new_key(key_alias="ada", user_id="u-1", team_id="t-1")
    others = {"organization_id": "o-1", "project_id": "p-1", "agent_id": "a-1"}
    await management.new_key(key_alias="bob", team_id="t-1", blocked=True, **others)
    await management.new_key(key_alias="eve")
    await management.new_key(key_alias="old", duration="1s")
    await management.new_key(key_alias="gone")
    await management.post("/key/delete", {"key_aliases": ["gone"]})
    management.clock.advance(1)
    found = good(await management.get("/key/list", return_full_object=True, **query))
    assert sorted(key["key_alias"] for key in found["keys"]) == aliases
    assert found["total_count"] == len(aliases)


@pytest.mark.parametrize("name", ["key", "token"])
async def test_a_key_is_found_by_value_or_hash(name: str, management: Management) -> None:
    made = await management.new_key()
    await management.new_key()
    assert good(await management.get("/key/list", key_hash=made[name]))["keys"] == [made["token"]]


@pytest.mark.parametrize(
    ("sort_by", "ascending"),
    [
        ("spend", ["b", "c", "a"]),
        ("max_budget", ["c", "a", "b"]),
        ("created_at", ["a", "b", "c"]),
        ("updated_at", ["b", "c", "a"]),
        ("key_alias", ["a", "b", "c"]),
    ],
)
async def test_keys_are_sorted(sort_by: str, ascending: list[str], management: Management) -> None:
    for alias, budget, spent in (("a", 20, 3), ("b", 30, 1), ("c", 10, 2)):
        made = await management.new_key(key_alias=alias, max_budget=budget)
        await management.spend(made["key"], spent)
        management.clock.advance(1)
    await management.post("/key/update", {"key_alias": "a", "rpm_limit": 1})
    for order, wanted in (("asc", ascending), ("desc", ascending[::-1])):
        query: dict[str, Any] = {"sort_by": sort_by, "sort_order": order, "return_full_object": True}
        keys = good(await management.get("/key/list", **query))["keys"]
        assert [key["key_alias"] for key in keys] == wanted
        page = good(await management.get("/key/list", size=1, page=2, **query))["keys"]
        assert [key["key_alias"] for key in page] == [wanted[1]]


async def test_full_entries_call_the_organization_org_id_and_show_users_on_demand(management: Management) -> None:
    await management.new_key(organization_id="o", user_id="u", soft_budget=3)
    (plain,) = good(await management.get("/key/list", return_full_object=True))["keys"]
    assert (plain["org_id"], plain["user"], plain["soft_budget"]) == ("o", None, 3.0)
    (shown,) = good(await management.get("/key/list", expand="user"))["keys"]
    assert (shown["user"], shown["created_by_user"]) == ({"user_id": "u"}, {"user_id": "default_user_id"})


@pytest.mark.parametrize("field", ["sort_by", "sort_order", "status", "expires"])
async def test_a_choice_that_is_none_names_those_there_are(field: str, management: Management) -> None:
    error = error_of(await management.get("/key/list", **{field: "nonsense"}), 400)
    assert error["param"] == field
    assert "Use one of: " in error["message"]


@pytest.mark.parametrize("query", [{"page": 0}, {"size": 0}, {"size": 101}, {"page": "x"}])
async def test_a_page_that_cannot_be(query: dict[str, Any], management: Management) -> None:
    response = await management.get("/key/list", **query)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", next(iter(query))]


async def test_aliases_are_listed_in_pages(management: Management) -> None:
    for alias, team in (("b", "t"), ("a", "t"), ("c", None), (None, None)):
        await management.new_key(key_alias=alias, team_id=team)
    assert good(await management.get("/key/aliases", size=2)) == {
        "aliases": ["a", "b"],
        "total_count": 3,
        "current_page": 1,
        "total_pages": 2,
        "size": 2,
    }
    assert good(await management.get("/key/aliases", team_id="t", search="A"))["aliases"] == ["a"]


async def test_several_keys_at_once(management: Management) -> None:
    one, two = await management.new_key(key_alias="one"), await management.new_key(key_alias="two")
    body = {"keys": [one["key"], "sk-unknown-0123456789"], "key_aliases": ["two"]}
    answer = good(await management.post("/v2/key/info", body))
    assert answer["key"] == body["keys"]
    assert [row["token"] for row in answer["info"]] == [one["token"], two["token"]]
    assert (await management.post("/v2/key/info")).status_code == 422


async def test_an_unknown_key_is_not_found(management: Management) -> None:
    assert error_of(await management.get("/key/info", key="sk-unknown-0123456789"), 404) == {
        "message": "Key not found in database",
        "type": "not_found_error",
        "param": "key",
        "code": "404",
    }


async def test_an_expired_key_says_so(management: Management) -> None:
    key = (await management.new_key(duration="1m"))["key"]
    assert (await management.info(key))["status"] == "active"
    management.clock.advance(60)
    assert (await management.info(key))["status"] == "expired"


async def test_a_key_sees_itself_and_nobody_else(management: Management) -> None:
    own, other = await management.new_key(key_alias="own"), await management.new_key(key_alias="other")
    shown = good(await management.get("/key/info", by=own["key"]))
    assert (shown["key"], shown["info"]["key_alias"]) == (own["token"], "own")
    assert good(await management.get("/key/info", by=own["key"], key=own["key"]))["key"] == own["key"]
    for name in (other["key"], other["token"], "sk-unknown-0123456789"):
        error = error_of(await management.get("/key/info", by=own["key"], key=name), 403)
        assert error["message"] == "You are not allowed to access this key's info. Your role=internal_user"
    assert good(await management.get("/key/list", by=own["key"]))["keys"] == [own["token"]]


async def test_a_key_of_a_user_sees_the_keys_of_that_user(management: Management) -> None:
    mine = [(await management.new_key(user_id="ada")) for _ in range(2)]
    await management.new_key(user_id="bob")
    for query in ({}, {"user_id": "ada"}, {"search": "sk-"}):
        keys = good(await management.get("/key/list", by=mine[0]["key"], **query))["keys"]
        assert sorted(keys) == sorted(key["token"] for key in mine)
    assert good(await management.get("/key/list", by=mine[0]["key"], user_id="bob"))["keys"] == []


async def test_keys_are_found_by_the_access_group_they_were_given(management: Management) -> None:
    given, _ = await management.new_key(), await management.new_key()
    made = await management.post(
        "/v1/access_group", {"access_group_name": "fast", "assigned_key_ids": [given["token"]]}
    )
    found = good(await management.get("/key/list", access_group_id=made.json()["access_group_id"]))
    assert (found["keys"], found["total_count"]) == ([given["token"]], 1)
    assert good(await management.get("/key/list", access_group_id="nobody's"))["keys"] == []


@pytest.mark.parametrize(
    ("caller", "query", "owners"),
    [
        ("lead", {}, ["lead"]),
        ("lead", {"include_team_keys": True}, ["lead", "member", "team"]),
        ("lead", {"team_id": "team"}, ["member", "team"]),
        ("lead", {"user_id": "member"}, ["member"]),
        ("lead", {"include_created_by_keys": True}, ["lead", "team"]),
        ("boss", {"organization_id": "org"}, ["member", "team"]),
        ("member", {"include_team_keys": True}, ["member", "member"]),
        ("member", {"team_id": "team"}, ["member"]),
        ("stranger", {"team_id": "team"}, []),
        ("stranger", {"user_id": "lead"}, []),
    ],
)
async def test_callers_list_their_own_keys_and_on_demand_those_they_manage(
    caller: str, query: dict[str, Any], owners: list[str], people: People
) -> None:
    good(await people.ask("root", "/key/generate", team_id="team", user_id="member"))
    good(await people.ask("lead", "/key/generate", team_id="team"))
    listed = good(await people.look(caller, "/key/list", return_full_object=True, **query))
    assert sorted(key["user_id"] or key["team_id"] for key in listed["keys"]) == owners
    assert listed["total_count"] == len(owners)


async def test_members_list_the_keys_of_others_where_the_team_permits_it(people: People) -> None:
    service = good(await people.ask("lead", "/key/generate", team_id="team"))["token"]
    assert service not in good(await people.look("member", "/key/list", team_id="team"))["keys"]
    permitted = {"team_id": "team", "team_member_permissions": ["/key/list"]}
    good(await people.management.post("/team/permissions_update", permitted))
    assert service in good(await people.look("member", "/key/list", team_id="team"))["keys"]
