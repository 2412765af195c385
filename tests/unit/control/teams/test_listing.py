"""Looking at teams: which, in which order, and who sees what of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.management import Management, error_of, good
from tests.support.people import MADE, People, open_people

from tollway.control.services import TeamPolicy
from tollway.db.access_groups import access_groups


async def listed(management: Management, **query: Any) -> list[str]:
    return [team["team_id"] for team in good(await management.get("/v2/team/list", **query))["teams"]]


@pytest.fixture
async def three(management: Management) -> Management:
    for team_id, alias, budget in (("a", "Zebra", 3), ("b", "apple", 1), ("c", "Zoo 100%", None)):
        await management.new_team(team_id=team_id, team_alias=alias, max_budget=budget)
        management.clock.advance(1)
    await management.post("/team/update", {"team_id": "b", "spend": 2})
    return management


async def test_teams_come_in_pages(three: Management) -> None:
    first = good(await three.get("/v2/team/list", page_size=2))
    assert [team["team_id"] for team in first["teams"]] == ["a", "b"]
    assert (first["total"], first["page"], first["page_size"], first["total_pages"]) == (3, 1, 2, 2)
    assert await listed(three, page_size=2, page=2) == ["c"]
    assert (await three.get("/v2/team/list", page_size=1000)).status_code == 422


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sort_by": "max_budget"}, ["b", "a", "c"]),
        ({"sort_by": "max_budget", "sort_order": "desc"}, ["a", "b", "c"]),
        ({"sort_by": "created_at", "sort_order": "desc"}, ["c", "b", "a"]),
        ({"sort_by": "spend", "sort_order": "desc"}, ["b", "a", "c"]),
        ({"search": "z"}, ["a", "c"]),
        ({"search": "b"}, ["a", "b"]),
        ({"search": "100%"}, ["c"]),
        ({"search": "' OR 1=1 --"}, []),
        ({"team_alias": "APPLE"}, ["b"]),
        ({"team_id": "c"}, ["c"]),
        ({"user_id": "default_user_id", "team_id": "a"}, ["a"]),
        ({"user_id": "nobody"}, []),
        ({"organization_id": "org"}, []),
    ],
)
async def test_teams_are_sorted_and_found(query: dict[str, str], expected: list[str], three: Management) -> None:
    assert await listed(three, **query) == expected


async def test_an_unknown_order_is_refused(management: Management) -> None:
    assert (await management.get("/v2/team/list", sort_by="members")).status_code == 422


async def test_deleted_teams_are_listed_apart(three: Management) -> None:
    await three.post("/team/delete", {"team_ids": ["b"]})
    assert await listed(three) == ["a", "c"]
    [gone] = good(await three.get("/v2/team/list", status="deleted"))["teams"]
    assert (gone["team_id"], gone["team_alias"], gone["deleted_by"]) == ("b", "apple", "default_user_id")
    assert gone["deleted_at"] is not None


async def test_a_page_counts_members_and_keys(management: Management) -> None:
    await management.new_team(team_id="t")
    await management.new_key(team_id="t")
    [shown] = good(await management.get("/v2/team/list"))["teams"]
    assert (shown["members_count"], shown["keys_count"]) == (1, 1)


async def test_the_list_without_pages_has_keys_and_memberships(management: Management) -> None:
    await management.new_team(team_id="t")
    await management.new_team(team_id="u")
    key = await management.new_key(team_id="t")
    shown = {team["team_id"]: team for team in good(await management.get("/team/list"))}
    assert shown.keys() == {"t", "u"}
    assert [one["token"] for one in shown["t"]["keys"]] == [key["token"]]
    assert [one["user_id"] for one in shown["t"]["team_memberships"]] == ["default_user_id"]
    assert shown["u"]["keys"] == []


async def test_the_newest_keys_of_a_team_are_shown(management: Management) -> None:
    await management.new_team(team_id="t")
    keys = []
    for _ in range(3):
        keys.append((await management.new_key(team_id="t"))["token"])
        management.clock.advance(1)
    response = await management.get("/team/info", team_id="t", key_limit=2)
    assert [one["token"] for one in good(response)["keys"]] == keys[:0:-1]
    assert "the newest 2 keys" in response.headers["x-tollway-warning"]


async def test_access_groups_and_the_organization_say_what_they_add(people: People) -> None:
    group = {"models": ["gpt-4o"], "mcp_server_ids": ["s"], "agent_ids": [], **MADE}
    await people.add(access_groups, access_group_id="g", name="good", **group)
    good(await people.management.post("/team/update", {"team_id": "team", "access_group_ids": ["g", "g"]}))
    shown = good(await people.management.get("/team/info", team_id="team"))["team_info"]
    assert (shown["access_group_ids"], shown["access_group_models"]) == (["g"], ["gpt-4o"])
    assert (shown["access_group_mcp_server_ids"], shown["access_group_agent_ids"]) == (["s"], [])
    assert shown["access_group_details"][0]["access_group_name"] == "good"
    assert shown["organization_models"] == []


async def test_budgets_of_models_say_what_was_spent(management: Management) -> None:
    await management.new_team(team_id="t", model_max_budget={"gpt-4o": {"max_budget": 3, "budget_duration": "1d"}})
    shown = good(await management.get("/team/info", team_id="t"))["team_info"]
    assert shown["model_max_budget_usage"] == {"gpt-4o": {"current_spend": 0.0}}


@pytest.mark.parametrize(
    ("caller", "kind", "sees"),
    [
        ("root", "unrestricted", {"of-member", "of-team"}),
        ("boss", "unrestricted", {"of-member", "of-team"}),
        ("lead", "team_admin", {"of-member", "of-team"}),
        ("auditor", "none", {"of-member", "of-team"}),
        ("member", "none", {"of-member"}),
        ("viewer", "none", set()),
    ],
)
async def test_members_see_their_own_keys_and_managers_all(
    caller: str, kind: str, sees: set[str], people: People
) -> None:
    await people.management.new_key(team_id="team", user_id="member", key_alias="of-member")
    await people.management.new_key(team_id="team", key_alias="of-team")
    shown = good(await people.look(caller, "/team/info", team_id="team"))
    assert shown["team_info"]["caller_edit_access"]["kind"] == kind
    assert {key["key_alias"] for key in shown["keys"]} == sees


async def test_a_team_may_let_members_see_all_keys(people: People) -> None:
    await people.management.new_key(team_id="team", key_alias="of-team")
    permissions = {"team_id": "team", "team_member_permissions": ["/key/list"]}
    good(await people.management.post("/team/permissions_update", permissions))
    assert [key["key_alias"] for key in good(await people.look("member", "/team/info", team_id="team"))["keys"]] == [
        "of-team"
    ]


async def test_a_key_of_the_team_sees_it_and_itself(people: People) -> None:
    key = await people.management.new_key(team_id="team")
    await people.management.new_key(team_id="team")
    shown = good(await people.management.get("/team/info", team_id="team", by=key["key"]))
    assert [one["token"] for one in shown["keys"]] == [key["token"]]


async def test_secrets_in_metadata_are_for_those_who_manage_the_team(people: People) -> None:
    metadata = {"logging": [{"callback_vars": {"langfuse_secret": "hidden"}}]}
    good(await people.management.post("/team/update", {"team_id": "team", "metadata": metadata}))
    for caller, is_shown in (("lead", True), ("member", False)):
        assert ("hidden" in (await people.look(caller, "/team/info", team_id="team")).text) is is_shown


async def test_strangers_see_nothing(people: People) -> None:
    error = error_of(await people.look("stranger", "/team/info", team_id="team"), 403)
    assert error["type"] == "auth_error"
    assert good(await people.look("stranger", "/team/list")) == []
    assert good(await people.look("stranger", "/v2/team/list"))["total"] == 0
    assert error_of(await people.look("stranger", "/team/permissions_list", team_id="team"), 401)


@pytest.mark.parametrize(
    ("caller", "sees"),
    [("root", ["other", "team"]), ("auditor", ["other", "team"]), ("boss", ["team"]), ("member", ["team"])],
)
async def test_everybody_lists_the_teams_that_are_theirs(caller: str, sees: list[str], people: People) -> None:
    shown = good(await people.look(caller, "/team/list"))
    assert sorted(team["team_id"] for team in shown) == sees


async def test_users_join_a_team_that_is_open_to_all(tmp_path: Path) -> None:
    async with open_people(tmp_path, team_policy=TeamPolicy(available_teams=("other", "gone"))) as people:
        assert [one["team_id"] for one in good(await people.look("stranger", "/team/available"))] == ["other"]
        joins = {"team_id": "other", "member": {"role": "user", "user_id": "stranger"}}
        for change in ({"max_budget_in_team": 5}, {"member": {"role": "admin", "user_id": "stranger"}}):
            assert error_of(await people.ask("stranger", "/team/member_add", **(joins | change)), 403)
        others = {"team_id": "other", "member": {"role": "user", "user_id": "member"}}
        assert error_of(await people.ask("stranger", "/team/member_add", **others), 403)
        good(await people.ask("stranger", "/team/member_add", **joins))
        good(await people.look("stranger", "/team/info", team_id="other"))


@pytest.mark.parametrize(
    ("caller", "query", "found"),
    [
        ("root", {}, ["other", "team"]),
        ("auditor", {"team_id": "TEA"}, ["team"]),
        ("auditor", {"team_id": "%"}, []),
        ("root", {"team_alias": "nobody"}, []),
        ("root", {"page_size": 1, "page": 2}, ["team"]),
        ("lead", {}, ["team"]),
        ("member", {"team_id": "o"}, []),
        ("boss", {}, ["team"]),
        ("stranger", {}, []),
    ],
)
async def test_teams_are_searched_among_those_the_caller_sees(
    caller: str, query: dict[str, Any], found: list[str], people: People
) -> None:
    answer = good(await people.look(caller, "/team/filter/ui", **query))
    assert answer == [{"team_id": team_id, "team_alias": None} for team_id in found]


async def test_teams_are_searched_by_part_of_their_name(management: Management) -> None:
    await management.new_team(team_id="t-1", team_alias="Red Pandas")
    await management.new_team(team_id="t-2", team_alias="Blue Whales")
    answer = good(await management.get("/team/filter/ui", team_alias="panda"))
    assert answer == [{"team_id": "t-1", "team_alias": "Red Pandas"}]
    assert (await management.get("/team/filter/ui", page_size=101)).status_code == 422
