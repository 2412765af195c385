from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.support.management import error_of, good
from tests.support.people import People, open_people

from tollway.db.audit import audit_log
from tollway.db.engine import reading


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    """Who may do what does not depend on the database, and that is read alike: other tests of these routes show it."""
    async with open_people(tmp_path) as opened:
        yield opened


async def test_a_user_makes_keys_for_themselves_only(people: People) -> None:
    made = good(await people.ask("member", "/key/generate", key_alias="mine"))
    assert (made["user_id"], made["created_by"]) == ("member", "member")
    error = error_of(await people.ask("member", "/key/generate", user_id="stranger"), 403)
    assert (error["type"], error["param"]) == ("auth_error", "user_id")


@pytest.mark.parametrize("name", ["viewer", "auditor"])
async def test_who_only_looks_makes_no_keys(name: str, people: People) -> None:
    assert (await people.ask(name, "/key/generate")).status_code == 401


async def test_a_key_of_nobody_makes_no_keys(people: People) -> None:
    loose = (await people.management.new_key())["key"]
    error = error_of(await people.management.post("/key/generate", {}, by=loose), 403)
    assert "belongs to nobody" in error["message"]


async def test_a_proxy_admin_with_a_key_of_their_own_manages_everything(people: People) -> None:
    made = good(await people.ask("root", "/key/generate", user_id="stranger", allowed_routes=["/v1/*"], spend=1))
    assert (made["user_id"], made["spend"]) == ("stranger", 1.0)
    assert good(await people.ask("root", "/key/delete", keys=[made["key"]])) == {"deleted_keys": [made["key"]]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spend", 0),
        ("budget_id", "b"),
        ("access_group_ids", ["g"]),
        ("allowed_routes", ["/v1/*"]),
        ("permissions", {"get_spend_routes": True}),
        ("organization_id", "org"),
        ("object_permission", {}),
        ("end_user_budget_id", "b"),
        ("disable_global_guardrails", True),
    ],
)
async def test_a_holder_may_not_set_what_would_raise_them(name: str, value: Any, people: People) -> None:
    for path in ("/key/generate", "/key/update"):
        named = {"key": people.keys["member"]} if path == "/key/update" else {}
        error = error_of(await people.ask("member", path, **named, **{name: value}), 403)
        assert error["param"] == name


async def test_a_field_hidden_in_metadata_is_seen(people: People) -> None:
    hidden = {"temp_budget_increase": 1000, "temp_budget_expiry": "2030-01-01T00:00:00Z"}
    error = error_of(await people.ask("member", "/key/generate", metadata=hidden), 403)
    assert error["param"] == "temp_budget_expiry"


async def test_a_holder_gives_no_key_more_budget_than_they_have(people: People) -> None:
    assert good(await people.ask("rich", "/key/generate", max_budget=50))["max_budget"] == 50.0
    error = error_of(await people.ask("rich", "/key/generate", max_budget=50.01), 400)
    assert error["param"] == "max_budget"
    assert "your own budget of 50.0" in error["message"]


async def test_a_key_makes_no_key_that_may_call_more_models(people: People) -> None:
    narrow = (await people.management.new_key(user_id="member", models=["gpt-4o"]))["key"]
    post = people.management.post
    assert good(await post("/key/generate", {"models": ["gpt-4o"]}, by=narrow))["models"] == ["gpt-4o"]
    for models in ([], ["gpt-4o", "o3"]):
        assert error_of(await post("/key/generate", {"models": models}, by=narrow), 403)["param"] == "models"


@pytest.mark.parametrize(
    ("given", "loosened"),
    [
        ({"max_budget": 10}, {"max_budget": 11}),
        ({"max_budget": 10}, {"max_budget": None}),
        ({"rpm_limit": 5}, {"rpm_limit": 6}),
        ({"max_parallel_requests": 5}, {"max_parallel_requests": None}),
        ({"models": ["gpt-4o"]}, {"models": []}),
        ({"models": ["gpt-4o"]}, {"models": ["gpt-4o", "o3"]}),
        ({"duration": "1d"}, {"duration": "30d"}),
        ({"key_type": "read_only"}, {"key_type": "default"}),
        ({"model_rpm_limit": {"gpt-4o": 5}}, {"model_rpm_limit": {}}),
        ({"model_max_budget": {"gpt-4o": {"max_budget": 1}}}, {"model_max_budget": {}}),
    ],
)
async def test_what_somebody_else_limited_its_holder_cannot_loosen(
    given: dict[str, Any], loosened: dict[str, Any], people: People
) -> None:
    limited = (await people.management.new_key(user_id="stranger", **given))["key"]
    error = error_of(await people.ask("stranger", "/key/update", key=limited, **loosened), 403)
    assert error["param"] in loosened
    assert good(await people.ask("stranger", "/key/update", key=limited, key_alias="mine"))["key_alias"] == "mine"
    again = error_of(await people.ask("stranger", "/key/regenerate", key=limited, **loosened), 403)
    assert again["param"] in loosened


async def test_what_a_holder_limited_themselves_they_can_loosen(people: People) -> None:
    own = good(await people.ask("stranger", "/key/generate", max_budget=1, rpm_limit=1))["key"]
    changed = good(await people.ask("stranger", "/key/update", key=own, max_budget=5, rpm_limit=None))
    assert (changed["max_budget"], changed["rpm_limit"]) == (5.0, None)


async def test_a_blocked_key_stays_blocked_for_its_holder(people: People) -> None:
    other = (await people.management.new_key(user_id="stranger"))["key"]
    good(await people.management.post("/key/block", {"key": other}))
    assert error_of(await people.ask("stranger", "/key/update", key=other, blocked=False), 403)["param"] == "blocked"


async def test_a_member_uses_the_key_routes_their_team_gives_them(people: People) -> None:
    made = good(await people.ask("member", "/key/generate", team_id="team"))
    assert (made["team_id"], made["user_id"], made["organization_id"]) == ("team", "member", "org")
    error = error_of(await people.ask("member", "/key/delete", keys=[made["key"]]), 403)
    assert error["type"] == "team_member_permission_error"
    outside = error_of(await people.ask("stranger", "/key/generate", team_id="team"), 403)
    assert "team" in outside["message"]


async def test_a_team_admin_manages_the_keys_of_the_team_and_no_others(people: People) -> None:
    made = good(await people.ask("lead", "/key/generate", team_id="team", user_id="member", spend=0, max_budget=5))
    assert made["user_id"] == "member"
    reset = await people.management.post(f"/key/{made['token']}/reset_spend", {"reset_to": 0}, by=people.keys["lead"])
    assert good(reset)["spend"] == 0.0
    assert good(await people.ask("lead", "/key/block", key=made["key"]))["blocked"] is True
    assert (await people.ask("lead", "/key/generate", team_id="other")).status_code == 403
    assert (await people.ask("lead", "/key/delete", keys=[people.keys["stranger"]])).status_code == 403


async def test_an_organization_admin_manages_the_keys_of_its_teams(people: People) -> None:
    made = good(await people.ask("boss", "/key/generate", team_id="team"))
    assert good(await people.ask("boss", "/key/update", key=made["key"], max_budget=7))["max_budget"] == 7.0
    assert (await people.ask("boss", "/key/update", key=people.keys["stranger"], max_budget=7)).status_code == 403
    error = error_of(await people.ask("boss", "/key/update", key=made["key"], allowed_routes=["/v1/*"]), 403)
    assert error["param"] == "allowed_routes"


async def test_a_holder_cannot_give_a_key_away_nor_take_it_into_a_team_of_others(people: People) -> None:
    own = good(await people.ask("stranger", "/key/generate"))["key"]
    assert (await people.ask("stranger", "/key/update", key=own, user_id="member")).status_code == 403
    assert (await people.ask("stranger", "/key/update", key=own, team_id="team")).status_code == 403


async def test_who_may_see_a_key(people: People) -> None:
    made = good(await people.ask("member", "/key/generate", team_id="team"))["key"]
    for name in ("member", "lead", "viewer", "boss", "auditor", "root"):
        assert good(await people.management.get("/key/info", by=people.keys[name], key=made))["key"] == made
    error = error_of(await people.management.get("/key/info", by=people.keys["stranger"], key=made), 403)
    assert error["message"] == "You are not allowed to access this key's info. Your role=internal_user"
    nothing = error_of(await people.management.get("/key/info", by=people.keys["stranger"], key="sk-no-such-key"), 403)
    assert nothing == error, "whether a key exists is nobody else's business"


async def test_listings_show_what_is_the_callers(people: People) -> None:
    made = good(await people.ask("member", "/key/generate", team_id="team"))

    async def listed(name: str, **query: Any) -> set[str]:
        return set(good(await people.management.get("/key/list", by=people.keys[name], size=100, **query))["keys"])

    assert made["token"] in await listed("member")
    for manager in ("lead", "boss"):
        assert made["token"] not in await listed(manager)
        assert made["token"] in await listed(manager, include_team_keys=True)
        assert made["token"] in await listed(manager, key_hash=made["token"])
    assert made["token"] not in await listed("viewer")
    assert made["token"] not in await listed("viewer", include_team_keys=True), "the team permits no /key/list"
    assert made["token"] not in await listed("stranger", include_team_keys=True)
    assert len(await listed("auditor")) == len(await listed("root")) > 5


async def test_a_service_account_belongs_to_its_team_and_no_user(people: People) -> None:
    error = error_of(await people.ask("root", "/key/service-account/generate"), 400)
    assert error["param"] == "team_id"
    made = good(await people.ask("lead", "/key/service-account/generate", team_id="team", key_alias="robot"))
    assert (made["user_id"], made["team_id"]) == (None, "team")
    assert made["metadata"]["service_account_id"] == "robot"
    refused = error_of(await people.ask("member", "/key/service-account/generate", team_id="team"), 403)
    assert refused["type"] == "team_member_permission_error"


async def test_many_keys_are_changed_at_once_and_failures_are_named(people: People) -> None:
    one, two = people.keys["member"], people.keys["lead"]
    body = {"keys": [{"key": one, "max_budget": 3}, {"key": "sk-no-such-key", "tags": ["x"]}, {"key": two, "tags": []}]}
    answer = good(await people.management.post("/key/bulk_update", body))
    assert answer["total_requested"] == 3
    assert [row["key"] for row in answer["successful_updates"]] == [one, two]
    assert answer["successful_updates"][0]["key_info"]["max_budget"] == 3.0
    assert answer["failed_updates"] == [{"key": "sk-no-such-key", "key_info": None, "failed_reason": "Key not found."}]
    assert (await people.management.post("/key/bulk_update", body, by=one)).status_code == 401


async def test_every_change_is_in_the_audit_log(people: People) -> None:
    made = good(await people.management.post("/key/generate", {}, litellm_changed_by="ada@example.com"))
    for path in ("/key/block", "/key/unblock"):
        good(await people.management.post(path, {"key": made["key"]}))
    good(await people.management.post("/key/update", {"key": made["key"], "max_budget": 2}))
    good(await people.management.post("/key/delete", {"keys": [made["key"]]}))
    query = select(audit_log).where(audit_log.c.object_id == made["token"])
    async with reading(people.management.services.engine) as connection:
        rows = (await connection.execute(query)).all()
    by_action = {row.action: row for row in rows}
    assert by_action.keys() == {"created", "blocked", "unblocked", "updated", "deleted"}
    assert by_action["created"].changed_by == "ada@example.com"
    assert by_action["blocked"].changed_by == "default_user_id"
    updated = by_action["updated"]
    assert (updated.before["max_budget_nanos"], updated.after["max_budget_nanos"]) == (None, 2 * 10**9)
    assert made["key"] not in str([row._mapping for row in rows])
