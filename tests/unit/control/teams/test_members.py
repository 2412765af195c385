"""Who is in a team, and with how much of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from tests.support.management import Management, error_of, good
from tests.support.people import People

from tollway.core.money import nanos_from_dollars
from tollway.core.principal import Principal
from tollway.core.record import Charge
from tollway.db.budgets import budgets
from tollway.db.engine import reading
from tollway.db.users import users


async def add(management: Management, user_id: str, **fields: Any) -> dict[str, Any]:
    body = {"team_id": "t", "member": {"role": "user", "user_id": user_id}, **fields}
    added: dict[str, Any] = good(await management.post("/team/member_add", body))
    return added


async def membership(management: Management, user_id: str) -> dict[str, Any]:
    shown = good(await management.get("/team/info", team_id="t"))["team_memberships"]
    [found] = [one for one in shown if one["user_id"] == user_id]
    assert isinstance(found, dict)
    return found


async def member_key(management: Management, user_id: str) -> tuple[str, Principal]:
    key = (await management.new_key(team_id="t", user_id=user_id))["key"]
    return key, await management.authenticator.authenticate(key)


async def spend(management: Management, user_id: str, dollars: float) -> None:
    """A call of a member on the team's account, charged as their key is."""
    key, principal = await member_key(management, user_id)
    [scope] = [one for one in principal.scopes if one.kind == "team_member"]
    start = 0 if scope.budget_duration is None else 1_768_348_800
    await management.spend(key, dollars, team_id="t", charges=(Charge(*scope.key, start),))


async def test_somebody_who_is_no_user_yet_becomes_one(management: Management) -> None:
    await management.new_team(team_id="t")
    by_id = await add(management, "john@company.com", max_budget_in_team=50)
    assert [one["user_id"] for one in by_id["updated_users"]] == ["john@company.com"]
    assert by_id["updated_users"][0]["teams"] == ["t"]
    assert by_id["updated_team_memberships"][0]["litellm_budget_table"]["max_budget"] == 50.0
    body = {"team_id": "t", "member": [{"role": "admin", "user_email": "Ada@x.io"}]}
    by_email = good(await management.post("/team/member_add", body))
    assert (by_email["updated_users"][0]["user_email"], by_email["updated_users"][0]["user_role"]) == (
        "Ada@x.io",
        "internal_user",
    )
    found = {one["user_email"]: one["role"] for one in by_email["members_with_roles"]}
    assert found["Ada@x.io"] == "admin"


async def test_two_spellings_of_an_address_are_one_person(management: Management) -> None:
    await management.new_team(team_id="t")
    for email, status in (("ada@x.io", 200), ("ADA@x.io", 400)):
        body = {"team_id": "t", "member": {"role": "user", "user_email": email}}
        assert (await management.post("/team/member_add", body)).status_code == status


async def test_nobody_is_in_a_team_twice(management: Management) -> None:
    await management.new_team(team_id="t")
    await add(management, "u")
    again = {"team_id": "t", "member": [{"role": "user", "user_id": i} for i in ("new", "u")]}
    error = error_of(await management.post("/team/member_add", again), 400)
    assert (error["type"], error["param"]) == ("team_member_already_in_team", "member")
    assert error["message"] == "User already in team. Member: user_id=u, user_email=None"
    async with reading(management.services.engine) as connection:
        assert set((await connection.execute(select(users.c.user_id))).scalars()) == {"u"}, "nothing is half-written"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"team_id": "none", "member": {"role": "user", "user_id": "u"}}, 404),
        ({"team_id": "t", "member": {"role": "user"}}, 400),
        ({"team_id": "t", "member": {"role": "owner", "user_id": "u"}}, 422),
        ({"team_id": "t", "member": {"user_id": "u"}}, 422),
        ({"team_id": "t"}, 422),
        ({"team_id": "t", "member": {"role": "user", "user_id": "u"}, "max_budget_in_team": -1}, 400),
        ({"team_id": "t", "member": {"role": "user", "user_id": "u"}, "budget_duration": "x"}, 400),
        ({"team_id": "t", "member": [{"role": "user", "user_id": str(i)} for i in range(501)]}, 422),
    ],
)
async def test_an_addition_that_cannot_be_is_refused(body: Any, status: int, management: Management) -> None:
    await management.new_team(team_id="t")
    assert (await management.post("/team/member_add", body)).status_code == status


async def test_an_address_of_somebody_else_is_not_taken_over(people: People) -> None:
    management = people.management
    await people.add_user("ada", user_email="ada@x.io", email_key="ada@x.io")
    await management.new_team(team_id="t")
    body = {"team_id": "t", "member": {"role": "user", "user_id": "eve", "user_email": "ADA@x.io"}}
    assert "belongs to another user" in error_of(await management.post("/team/member_add", body), 400)["message"]


async def test_members_have_the_default_budget_until_they_get_their_own(management: Management) -> None:
    await management.new_team(team_id="t", team_member_budget=3, team_member_rpm_limit=9)
    await add(management, "u")
    first = await membership(management, "u")
    assert (first["budget_source"], first["litellm_budget_table"]["max_budget"]) == ("team_default", 3.0)
    changed = good(
        await management.post("/team/member_update", {"team_id": "t", "user_id": "u", "max_budget_in_team": 7})
    )
    assert (changed["max_budget_in_team"], changed["rpm_limit"], changed["user_email"]) == (7.0, None, None)
    own = await membership(management, "u")
    assert (own["budget_source"], own["litellm_budget_table"]["max_budget"]) == ("individual", 7.0)
    assert own["litellm_budget_table"]["rpm_limit"] == 9, "to set one limit does not lift the others"
    reset = good(await management.post("/team/t/member/u/reset_budget"))
    assert reset == {
        "team_id": "t",
        "user_id": "u",
        "budget_id": first["budget_id"],
        "previous_budget_id": own["budget_id"],
        "budget_source": "team_default",
    }
    async with reading(management.services.engine) as connection:
        assert list((await connection.execute(select(budgets.c.budget_id))).scalars()) == [first["budget_id"]]


async def test_a_member_without_any_budget_says_so(management: Management) -> None:
    await management.new_team(team_id="t")
    shown = await membership(management, "default_user_id")
    assert (shown["budget_source"], shown["budget_id"], shown["litellm_budget_table"]) == ("none", None, None)


async def test_every_field_of_a_member_changes_and_null_clears(management: Management) -> None:
    await management.new_team(team_id="t")
    await add(management, "u")
    fields = {
        "max_budget_in_team": 7.0,
        "tpm_limit": 5,
        "rpm_limit": 4,
        "budget_duration": "1d",
        "allowed_models": ["gpt-4o"],
        "temp_budget_increase": 2.0,
        "temp_budget_expiry": "2026-01-20T00:00:00Z",
    }
    changed = good(await management.post("/team/member_update", {"team_id": "t", "user_id": "u", **fields}))
    assert {name: changed[name] for name in fields} == fields
    naive = {"temp_budget_increase": 1, "temp_budget_expiry": "2026-01-20T00:00:00"}
    good(await management.post("/team/member_update", {"team_id": "t", "user_id": "u", **naive}))
    cleared = {"max_budget_in_team": None, "allowed_models": None, "role": "admin"}
    good(await management.post("/team/member_update", {"team_id": "t", "user_id": "u", **cleared}))
    table = (await membership(management, "u"))["litellm_budget_table"]
    assert (table["max_budget"], table["allowed_models"], table["rpm_limit"]) == (None, [], 4)
    assert table["temp_budget_expiry"] == "2026-01-20T00:00:00Z"
    shown = good(await management.get("/team/info", team_id="t"))["team_info"]["members_with_roles"]
    assert {"u": "admin"}.items() <= {one["user_id"]: one["role"] for one in shown}.items()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/team/member_update", {"team_id": "t", "user_id": "none"}),
        ("/team/member_update", {"team_id": "t"}),
        ("/team/member_update", {"team_id": "t", "user_id": "default_user_id", "temp_budget_increase": 1}),
        ("/team/member_delete", {"team_id": "t", "user_email": "none@x.io"}),
        ("/team/member_delete", {"team_id": "t"}),
        ("/team/t/member/none/reset_spend", {"reset_to": 0}),
        ("/team/t/member/default_user_id/reset_spend", {"reset_to": 1}),
        ("/team/t/member/default_user_id/reset_spend", {"reset_to": -1}),
    ],
)
async def test_a_change_of_a_member_that_cannot_be_is_refused(path: str, body: Any, management: Management) -> None:
    await management.new_team(team_id="t")
    error = error_of(await management.post(path, body), 400)
    assert error["type"] == "bad_request_error"


async def test_a_member_who_leaves_loses_their_keys_of_the_team(management: Management) -> None:
    await management.new_team(team_id="t")
    await add(management, "u", max_budget_in_team=5)
    of_team = await management.new_key(team_id="t", user_id="u")
    personal = await management.new_key(user_id="u")
    others = await management.new_key(team_id="t")
    removed = good(await management.post("/team/member_delete", {"team_id": "t", "user_id": "u"}))
    assert [one["user_id"] for one in removed["members_with_roles"]] == ["default_user_id"]
    assert error_of(await management.get("/key/info", by=of_team["key"]), 401)
    for kept in (personal, others):
        good(await management.get("/key/info", by=kept["key"]))
    async with reading(management.services.engine) as connection:
        assert not (await connection.execute(select(budgets))).all(), "their own budget goes with them"


async def test_spend_of_a_member_is_shown_lowered_and_kept_when_they_come_back(management: Management) -> None:
    await management.new_team(team_id="t")
    await add(management, "u", max_budget_in_team=5)
    await spend(management, "u", 4)
    shown = await membership(management, "u")
    assert (shown["spend"], shown["total_spend"]) == (4.0, 4.0)
    reset = good(await management.post("/team/t/member/u/reset_spend", {"reset_to": 1}))
    assert reset == {"team_id": "t", "user_id": "u", "spend": 1.0, "previous_spend": 4.0, "max_budget": 5.0}
    assert (
        "the current spend of 1.0"
        in error_of(await management.post("/team/t/member/u/reset_spend", {"reset_to": 2}), 400)["message"]
    )
    await management.post("/team/member_delete", {"team_id": "t", "user_id": "u"})
    await add(management, "u")
    back = await membership(management, "u")
    assert (back["spend"], back["total_spend"]) == (1.0, 4.0)


async def test_spend_of_members_follows_into_another_period(management: Management) -> None:
    await management.new_team(team_id="t", team_member_budget=5)
    await add(management, "u")
    await spend(management, "u", 4)
    await management.post("/team/update", {"team_id": "t", "team_member_budget_duration": "1d"})
    assert (await membership(management, "u"))["spend"] == 4.0
    own = {"team_id": "t", "user_id": "u", "budget_duration": "30d"}
    await management.post("/team/member_update", own)
    assert (await membership(management, "u"))["spend"] == 4.0
    await management.post("/team/t/member/u/reset_budget")
    assert (await membership(management, "u"))["spend"] == 4.0
    management.clock.advance(86_400)
    assert (await membership(management, "u"))["spend"] == 0.0


async def test_many_are_added_at_once_and_each_is_answered_for(people: People) -> None:
    management = people.management
    await management.new_team(team_id="t")
    await add(management, "member")
    body = {
        "team_id": "t",
        "members": [{"role": "user", "user_id": "member"}, {"role": "user"}, {"role": "admin", "user_email": "a@x.io"}],
        "max_budget_in_team": 2,
    }
    added = good(await management.post("/team/bulk_member_add", body))
    assert (added["total_requested"], added["successful_additions"], added["failed_additions"]) == (3, 1, 2)
    assert [one["success"] for one in added["results"]] == [False, False, True]
    assert added["results"][0]["error"].startswith("User already in team.")
    assert added["results"][2]["updated_user"]["user_email"] == "a@x.io"
    assert added["results"][2]["updated_team_membership"]["litellm_budget_table"]["max_budget"] == 2.0
    everybody = good(await management.post("/team/bulk_member_add", {"team_id": "t", "all_users": True}))
    assert everybody["failed_additions"] == 0
    names = {one["user_id"] for one in everybody["updated_team"]["members_with_roles"]}
    assert {"lead", "boss", "stranger", "root"} <= names
    assert error_of(await management.post("/team/bulk_member_add", {"team_id": "t"}), 400)["param"] == "members"


async def test_a_member_sees_themselves(people: People) -> None:
    own = good(await people.look("member", "/team/team/members/me"))
    assert (own["user_id"], own["team_id"], own["role"], own["spend"]) == ("member", "team", "user", 0.0)
    assert error_of(await people.look("stranger", "/team/team/members/me"), 404)["param"] == "team_id"


async def test_membership_counts_from_the_next_call_on(management: Management) -> None:
    await management.new_team(team_id="t", team_member_rpm_limit=4)
    key, principal = await member_key(management, "u")
    assert "team_member" not in {scope.kind for scope in principal.scopes}
    await add(management, "u")
    principal = await management.authenticator.authenticate(key)
    assert [scope.rpm for scope in principal.scopes if scope.kind == "team_member"] == [4]
    await management.post("/team/member_update", {"team_id": "t", "user_id": "u", "max_budget_in_team": 7})
    principal = await management.authenticator.authenticate(key)
    assert [scope.budget_nanos for scope in principal.scopes if scope.kind == "team_member"] == [nanos_from_dollars(7)]
