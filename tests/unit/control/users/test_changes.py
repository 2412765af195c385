from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from tests.support.management import Management, error_of, good
from tests.support.places import (
    join_organization,
    join_team,
    make_org_admin,
    make_organization,
    make_team,
    organization_memberships,
    team_memberships,
)

from tollway.control.kit.people import UserRows
from tollway.control.users.schemas import UserUpdate
from tollway.core.errors import Unauthenticated
from tollway.db.audit import audit_log
from tollway.db.engine import reading, writing
from tollway.stores.sql.rows import User


async def audited(management: Management) -> list[tuple[str, str, Any, Any]]:
    """Action, object, before and after of every change to a user."""
    is_user = audit_log.c.resource == "LiteLLM_UserTable"
    query = select(audit_log).where(is_user).order_by(audit_log.c.id)
    async with reading(management.services.engine) as connection:
        rows = (await connection.execute(query)).all()
    return [(row.action, row.object_id, row.before, row.after) for row in rows]


async def test_only_what_is_sent_changes_and_null_clears(management: Management) -> None:
    await management.new_user(
        user_id="u", user_alias="U", max_budget=5, budget_duration="1d", rpm_limit=3, models=["a"], metadata={"x": 1}
    )
    changed = good(await management.post("/user/update", {"user_id": "u", "max_budget": None, "models": None}))
    assert changed["user_id"] == "u"
    data = changed["data"]
    assert (data["user_alias"], data["max_budget"], data["models"], data["rpm_limit"]) == ("U", None, [], 3)
    data = good(await management.post("/user/update", {"user_id": "u", "user_role": None}))["data"]
    assert data["user_role"] == "internal_user"


async def test_metadata_replaces_ones_own_entries_and_keeps_the_reserved(management: Management) -> None:
    await management.new_user(user_id="u", metadata={"x": 1}, model_tpm_limit={"gpt-4o": 9})
    data = good(await management.post("/user/update", {"user_id": "u", "metadata": {"y": 2}}))["data"]
    assert data["metadata"] == {"y": 2, "model_tpm_limit": {"gpt-4o": 9}}
    data = good(await management.post("/user/update", {"user_id": "u", "model_tpm_limit": None}))["data"]
    assert data["metadata"] == {"y": 2}


async def test_an_address_names_a_user_however_it_is_spelled(management: Management) -> None:
    await management.new_user(user_id="u", user_email="Ann@a.io")
    changed = good(await management.post("/user/update", {"user_email": "ann@A.IO", "max_budget": 5}))
    assert (changed["user_id"], changed["data"]["user_email"], changed["data"]["max_budget"]) == ("u", "Ann@a.io", 5)
    error_of(await management.post("/user/update", {"user_email": "bob@a.io"}), 404)
    assert error_of(await management.post("/user/update", {"max_budget": 5}), 400)["param"] == "user_id"


async def test_an_address_that_is_taken_cannot_be_had(management: Management) -> None:
    await management.new_user(user_id="a", user_email="a@a.io")
    await management.new_user(user_id="b")
    error = error_of(await management.post("/user/update", {"user_id": "b", "user_email": "A@a.io"}), 409)
    assert error["param"] == "user_email"


async def test_an_unknown_id_is_made(management: Management) -> None:
    changed = good(await management.post("/user/update", {"user_id": "new", "max_budget": 5, "spend": 2}))
    assert (changed["data"]["max_budget"], changed["data"]["spend"]) == (5, 2)
    assert good(await management.get("/key/list"))["total_count"] == 0


async def test_spend_is_set_by_a_record_of_the_difference(management: Management) -> None:
    key = (await management.new_user(user_id="u", max_budget=10, budget_duration="30d"))["key"]
    await management.call_as(key, 4)
    data = good(await management.post("/user/update", {"user_id": "u", "spend": 0}))["data"]
    assert data["spend"] == 0
    assert good(await management.get("/user/info", user_id="u"))["user_info"]["spend"] == 0
    assert good(await management.get("/key/info", key=key))["info"]["spend"] == 4
    await management.call_as(key, 1)
    assert good(await management.get("/user/info", user_id="u"))["user_info"]["spend"] == 1


async def test_what_was_spent_goes_along_into_another_period(management: Management) -> None:
    key = (await management.new_user(user_id="u", budget_duration="30d"))["key"]
    await management.call_as(key, 4)
    data = good(await management.post("/user/update", {"user_id": "u", "budget_duration": "7d"}))["data"]
    assert data["spend"] == 4


async def test_changes_are_told_and_audited(management: Management) -> None:
    await management.new_user(user_id="u")
    management.told.clear()
    management.clock.advance(1)
    await management.post("/user/update", {"user_id": "u", "rpm_limit": 5, "password": "correct horse"})
    management.clock.advance(1)
    await management.post("/user/delete", {"user_ids": ["u"]})
    assert management.told[0] == "u"
    assert management.told.count("u") == 2
    (made, *_), (changed, _, before, after), (gone, user_id, last, nothing) = await audited(management)
    assert (made, changed, gone, user_id, nothing) == ("created", "updated", "deleted", "u", None)
    assert (before["rpm_limit"], after["rpm_limit"], last["rpm_limit"]) == (None, 5, 5)
    assert "password" not in str((before, after))


async def test_a_user_is_deleted_with_everything_of_theirs(management: Management) -> None:
    await make_team(management, "t")
    await make_organization(management, "o")
    made = await management.new_user(user_id="u", teams=["t"], organizations=["o"])
    other = await management.new_key(user_id="u", key_alias="second")
    good(await management.post("/invitation/new", {"user_id": "u"}))
    response = await management.post("/user/delete", {"user_ids": ["u", "u"]})
    assert good(response) == 1
    for key in (made["key"], other["key"]):
        with pytest.raises(Unauthenticated):
            await management.authenticator.authenticate(key)
    assert (await management.info(made["key"]))["status"] == "deleted"
    assert await team_memberships(management) == []
    assert await organization_memberships(management) == []
    error_of(await management.get("/user/info", user_id="u"), 404)


async def test_all_users_are_deleted_or_none(management: Management) -> None:
    key = (await management.new_user(user_id="u"))["key"]
    error = error_of(await management.post("/user/delete", {"user_ids": ["u", "none"]}), 404)
    assert error["message"] == "User not found, passed user_id=none"
    assert good(await management.get("/user/info", by=key))["user_id"] == "u"


async def test_many_are_changed_each_on_its_own(management: Management) -> None:
    await management.new_user(user_id="a", user_email="a@a.io")
    await management.new_user(user_id="b")
    users = [{"user_id": "a", "max_budget": 1}, {"user_id": "b", "max_budget": -1}, {"user_email": "A@a.io"}]
    answer = good(await management.post("/user/bulk_update", {"users": users}))
    assert (answer["total_requested"], answer["successful_updates"], answer["failed_updates"]) == (3, 2, 1)
    first, second, third = answer["results"]
    assert (first["success"], first["updated_user"]["max_budget"], third["user_id"]) == (True, 1, "a")
    assert (second["user_id"], second["updated_user"]) == ("b", None)
    assert "max_budget must be a non-negative" in second["error"]


async def test_all_are_changed_alike(management: Management) -> None:
    await management.new_user(user_id="a")
    await management.new_user(user_id="b", max_budget=3)
    body = {"all_users": True, "user_updates": {"max_budget": 9}}
    assert good(await management.post("/user/bulk_update", body))["successful_updates"] == 2
    assert {user["max_budget"] for user in good(await management.get("/user/list"))["users"]} == {9}


@pytest.mark.parametrize("body", [{}, {"all_users": True}, {"users": [{"user_id": "u"}] * 501}])
async def test_a_change_of_many_says_of_whom_and_what(body: dict[str, Any], management: Management) -> None:
    assert (await management.post("/user/bulk_update", body)).status_code == 422


async def test_all_are_changed_only_while_they_are_not_too_many(management: Management) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    async with writing(management.services.engine) as connection:
        users = UserRows(connection)
        for number in range(501):
            await users.insert(User(user_id=f"u-{number}", created_at=now, updated_at=now))
    body = {"all_users": True, "user_updates": {"max_budget": 9}}
    assert error_of(await management.post("/user/bulk_update", body), 400)["param"] == "all_users"


VALUES: dict[str, Any] = {
    "user_email": "other@a.io",
    "user_role": "proxy_admin",
    "sso_user_id": "ceo",
    "teams": ["t"],
    "organizations": ["o"],
    "models": [],
    "spend": 0,
    "max_budget": 1000,
    "soft_budget": 1,
    "budget_duration": "1h",
    "tpm_limit": 1,
    "rpm_limit": 1,
    "max_parallel_requests": 1,
    "model_rpm_limit": {"m": 1},
    "model_tpm_limit": {"m": 1},
    "model_max_budget": {"m": 1},
    "metadata": {"model_rpm_limit": {"m": 1}},
    "guardrails": [],
    "policies": [],
    "prompts": [],
    "allowed_cache_controls": [],
    "object_permission": {},
    "password": "correct horse",
}


def test_every_field_is_walked() -> None:
    assert VALUES.keys() | {"user_id", "user_alias"} == UserUpdate.model_fields.keys()


async def test_a_user_changes_nothing_of_their_own_but_the_alias(management: Management) -> None:
    # GHSA-wpfp-gwwc-vwq6: a user raised their own role.
    await make_team(management, "t")
    await make_organization(management, "o")
    key = (await management.new_user(user_id="u", max_budget=1))["key"]
    before = good(await management.get("/v2/user/info", by=key))
    for name, value in VALUES.items():
        for sent in (value, None):
            response = await management.post("/user/update", {"user_id": "u", "user_alias": "x", name: sent}, by=key)
            assert error_of(response, 403)["param"] == name
    assert good(await management.get("/v2/user/info", by=key)) == before
    assert (await team_memberships(management), await organization_memberships(management)) == ([], [])
    changed = good(await management.post("/user/update", {"user_id": "u", "user_alias": "me"}, by=key))
    assert changed["data"]["user_alias"] == "me"


@pytest.mark.parametrize("body", [{"user_id": "other"}, {"user_id": "nobody"}, {"user_email": "o@a.io"}])
async def test_a_user_changes_nobody_else(body: dict[str, str], management: Management) -> None:
    key = (await management.new_user(user_id="u"))["key"]
    await management.new_user(user_id="other", user_email="o@a.io")
    error_of(await management.post("/user/update", {**body, "user_alias": "x"}, by=key), 403)
    assert good(await management.get("/user/list"))["total"] == 2


@pytest.mark.parametrize("role", ["proxy_admin_viewer", "internal_user_viewer"])
async def test_who_only_looks_changes_not_even_themselves(role: str, management: Management) -> None:
    key = (await management.new_user(user_id="u", user_role=role))["key"]
    error_of(await management.post("/user/update", {"user_id": "u", "user_alias": "x"}, by=key), 401)
    await make_organization(management, "o")
    await join_organization(management, "o", "u", role="org_admin")
    error_of(await management.post("/user/update", {"user_id": "u", "user_alias": "x"}, by=key), 403)


async def test_an_organizations_admin_changes_and_deletes_their_users_only(management: Management) -> None:
    boss = await make_org_admin(management, "mine", "boss")
    await make_organization(management, "other")
    await management.new_user(user_id="ours", organizations=["mine"])
    await management.new_user(user_id="shared", organizations=["mine", "other"])
    await management.new_user(user_id="stranger")
    await management.new_user(user_id="root", organizations=["mine"], user_role="proxy_admin")
    for user_id in ("shared", "stranger", "root"):
        error_of(await management.post("/user/update", {"user_id": user_id, "user_alias": "x"}, by=boss), 403)
        error_of(await management.post("/user/delete", {"user_ids": [user_id]}, by=boss), 403)
    error_of(await management.post("/user/delete", {"user_ids": ["ours", "stranger"]}, by=boss), 403)
    changed = good(await management.post("/user/update", {"user_id": "ours", "max_budget": 5}, by=boss))
    assert changed["data"]["max_budget"] == 5
    for name, value in {"user_role": "proxy_admin", "password": "correct horse", "spend": 0, "teams": ["t"]}.items():
        response = await management.post("/user/update", {"user_id": "ours", name: value}, by=boss)
        assert error_of(response, 403)["param"] == name
    assert good(await management.post("/user/delete", {"user_ids": ["ours"]}, by=boss)) == 1


async def test_an_organizations_admin_is_an_ordinary_user_to_themselves(management: Management) -> None:
    boss = await make_org_admin(management, "mine", "boss")
    error_of(await management.post("/user/update", {"user_id": "boss", "max_budget": 5}, by=boss), 403)
    error_of(await management.post("/user/delete", {"user_ids": ["boss"]}, by=boss), 403)
    good(await management.post("/user/update", {"user_id": "boss", "user_alias": "B"}, by=boss))


async def test_an_admin_by_role_manages_with_their_own_key(management: Management) -> None:
    admin = (await management.new_user(user_id="root", user_role="proxy_admin"))["key"]
    await management.new_user(user_id="u")
    good(await management.post("/user/update", {"user_id": "u", "user_role": "proxy_admin_viewer"}, by=admin))
    assert good(await management.get("/user/list", by=admin, role="proxy_admin_viewer"))["total"] == 1
    good(await management.post("/user/update", {"user_id": "root", "user_role": "internal_user"}))
    error_of(await management.get("/user/list", by=admin), 401)


async def test_teams_are_joined_once(management: Management) -> None:
    await make_team(management, "t")
    await management.new_user(user_id="u")
    await join_team(management, "t", "u", role="admin")
    data = good(await management.post("/user/update", {"user_id": "u", "teams": ["t"]}))["data"]
    assert data["teams"] == ["t"]
    assert [member.role for member in await team_memberships(management)] == ["admin"]
