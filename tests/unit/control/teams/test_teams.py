"""Making, changing, blocking and deleting teams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.support.management import Management, error_of, good, open_management
from tests.support.people import MADE, People

from tollway.control.services import TeamPolicy
from tollway.db.access_groups import access_group_members, access_groups
from tollway.db.audit import audit_log
from tollway.db.budgets import budgets
from tollway.db.engine import reading
from tollway.db.keys import deleted_keys
from tollway.db.models import models
from tollway.db.teams import deleted_teams, team_members, teams


async def count(management: Management, table: Any) -> int:
    async with reading(management.services.engine) as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


async def info(management: Management, team_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = good(await management.get("/team/info", team_id=team_id))["team_info"]
    return shown


async def test_everything_that_is_said_about_a_team_is_shown_again(management: Management) -> None:
    fields = {
        "team_id": "t",
        "team_alias": "engineering",
        "models": ["gpt-4o"],
        "max_budget": 10,
        "soft_budget": 5,
        "budget_duration": "30d",
        "tpm_limit": 3,
        "rpm_limit": 2,
        "tpd_limit": 9,
        "max_parallel_requests": 1,
        "blocked": True,
        "team_member_permissions": ["/key/generate"],
        "model_max_budget": {"gpt-4o": {"max_budget": 1}},
        "router_settings": {"num_retries": 2},
        "object_permission": {"mcp_servers": ["m"]},
        "default_team_member_models": ["gpt-4o"],
    }
    made = await management.new_team(**fields)
    assert {name: made[name] for name in fields} == fields
    assert {name: (await info(management, "t"))[name] for name in fields} == fields


async def test_fields_without_a_place_of_their_own_are_in_the_metadata(management: Management) -> None:
    made = await management.new_team(metadata={"own": 1}, tags=["a"], guardrails=["g"], model_rpm_limit={"gpt-4o": 5})
    assert made["metadata"] == {"own": 1, "tags": ["a"], "guardrails": ["g"], "model_rpm_limit": {"gpt-4o": 5}}


async def test_aliases_are_shown_where_the_contract_has_them(management: Management) -> None:
    made = await management.new_team(team_id="t", model_aliases={"fast": "gpt-4o"})
    assert made["model_id"] == "t"
    assert made["litellm_model_table"]["model_aliases"] == {"fast": "gpt-4o"}


async def test_further_budgets_say_when_they_reset(management: Management) -> None:
    made = await management.new_team(budget_limits=[{"budget_duration": "1d", "max_budget": 10}])
    assert made["budget_limits"] == [{"budget_duration": "1d", "max_budget": 10, "reset_at": "2026-01-15T00:00:00Z"}]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"max_budget": -1}, None),
        ({"tpm_limit": -1}, "tpm_limit"),
        ({"soft_budget": 5, "max_budget": 5}, "soft_budget"),
        ({"budget_duration": "soon"}, "budget_duration"),
        ({"budget_limits": [{"max_budget": 5}]}, "budget_limits"),
        ({"team_member_permissions": ["/key/everything"]}, "team_member_permissions"),
        ({"team_member_rpm_limit": -1}, "team_member_rpm_limit"),
        ({"team_member_budget_duration": "soon"}, "team_member_budget_duration"),
        ({"team_member_key_duration": "soon"}, "team_member_key_duration"),
        ({"organization_id": "none"}, "organization_id"),
        ({"team_id": "litellm-dashboard"}, "team_id"),
        ({"members_with_roles": [{"role": "user"}]}, "member"),
    ],
)
async def test_a_value_that_cannot_be_is_refused_and_nothing_is_written(
    body: dict[str, Any], param: str | None, management: Management
) -> None:
    error = error_of(await management.post("/team/new", {"team_alias": "x", **body}), 400)
    assert error["param"] == param
    tables = (teams, team_members, budgets, audit_log)
    assert [await count(management, table) for table in tables] == [0, 0, 0, 0]


@pytest.mark.parametrize("body", [{"team_id": "x" * 300}, {"max_budget": "much"}, {"models": "gpt-4o"}, []])
async def test_a_body_of_wrong_types_is_refused(body: Any, management: Management) -> None:
    assert (await management.post("/team/new", body)).status_code == 422


async def test_an_unknown_access_group_is_not_found(management: Management) -> None:
    error = error_of(await management.post("/team/new", {"access_group_ids": ["none"]}), 404)
    assert error["param"] == "access_group_ids"
    assert await count(management, teams) == 0


async def test_an_id_is_given_once(management: Management) -> None:
    await management.new_team(team_id="t")
    error = error_of(await management.post("/team/new", {"team_id": "t"}), 400)
    assert (error["param"], error["type"]) == ("team_id", "bad_request_error")


async def test_fields_without_effect_are_named(management: Management) -> None:
    response = await management.post("/team/new", {"team_allias": "x", "guardrails": ["g"], "soft_budget": 1})
    assert response.headers["x-tollway-warning"] == (
        "unknown field 'team_allias' was ignored; did you mean 'team_alias'?, "
        "'guardrails' is stored, and not enforced in this release"
    )


async def test_founders_become_members_and_users(management: Management) -> None:
    made = await management.new_team(
        members_with_roles=[{"role": "admin", "user_email": "Ada@x.io"}], admins=["bob"], members=["cy", "bob"]
    )
    roles = {(one["user_email"] or one["user_id"]): one["role"] for one in made["members_with_roles"]}
    assert roles == {"Ada@x.io": "admin", "bob": "admin", "cy": "user", "default_user_id": "admin"}


async def test_an_administrator_joins_a_new_team_unless_that_is_switched_off(tmp_path: Path) -> None:
    async with open_management(tmp_path, team_policy=TeamPolicy(adds_administrators=False)) as management:
        assert (await management.new_team())["members_with_roles"] == []


async def test_defaults_of_the_configuration_fill_what_is_left_out(tmp_path: Path) -> None:
    defaults = {"max_budget": 5.0, "models": ("gpt-4o",), "rpm_limit": 7, "team_member_budget": 1.0}
    async with open_management(tmp_path, team_policy=TeamPolicy(defaults=defaults)) as management:
        made = await management.new_team(max_budget=9, models=[])
        assert (made["max_budget"], made["models"], made["rpm_limit"]) == (9.0, ["gpt-4o"], 7)
        shown = good(await management.get("/team/info", team_id=made["team_id"]))
        assert shown["team_info"]["team_member_budget_table"]["max_budget"] == 1.0


async def test_only_what_is_sent_changes_and_null_clears(management: Management) -> None:
    await management.new_team(team_id="t", models=["gpt-4o"], rpm_limit=5, tags=["a"], metadata={"old": 1})
    changed = good(
        await management.post(
            "/team/update", {"team_id": "t", "rpm_limit": None, "metadata": {"new": 2}, "models": None}
        )
    )["data"]
    assert (changed["rpm_limit"], changed["models"]) == (None, [])
    assert changed["metadata"] == {"new": 2, "tags": ["a"]}


async def test_a_merge_patch_goes_into_documents(management: Management) -> None:
    await management.new_team(
        team_id="t",
        metadata={"a": 1, "b": {"c": 1, "d": 2}},
        model_rpm_limit={"x": 1, "y": 2},
        model_aliases={"m": "x"},
    )
    patch = {
        "metadata": {"a": None, "b": {"c": 3}},
        "model_rpm_limit": {"x": None},
        "model_aliases": {"n": "y"},
        "team_alias": "named",
    }
    changed = good(await management.patch("/team/t", patch))
    assert changed["metadata"] == {"b": {"c": 3, "d": 2}, "model_rpm_limit": {"y": 2}}
    assert changed["litellm_model_table"]["model_aliases"] == {"m": "x", "n": "y"}
    assert changed["team_alias"] == "named"
    assert error_of(await management.patch("/team/none", {}), 404)["param"] == "team_id"


async def test_a_budget_stays_above_a_soft_one_that_was_there(management: Management) -> None:
    await management.new_team(team_id="t", soft_budget=5, max_budget=10)
    assert (
        error_of(await management.post("/team/update", {"team_id": "t", "max_budget": 4}), 400)["param"]
        == "soft_budget"
    )


async def test_what_is_shown_can_be_sent_back(management: Management) -> None:
    made = await management.new_team(team_id="t", team_member_budget=3, metadata={"a": 1})
    assert made["metadata"].keys() == {"a", "team_member_budget_id"}
    changed = good(await management.post("/team/update", {"team_id": "t", "metadata": made["metadata"]}))
    assert changed["data"]["metadata"] == made["metadata"]


async def test_the_budget_of_members_is_made_changed_and_cleared(management: Management) -> None:
    await management.new_team(team_id="t", team_member_budget=3, team_member_rpm_limit=4)
    table = (await info(management, "t"))["team_member_budget_table"]
    assert (table["max_budget"], table["rpm_limit"]) == (3.0, 4)
    await management.post(
        "/team/update", {"team_id": "t", "team_member_budget": None, "team_member_budget_duration": "1d"}
    )
    changed = (await info(management, "t"))["team_member_budget_table"]
    assert changed["budget_id"] == table["budget_id"]
    assert (changed["max_budget"], changed["budget_duration"], changed["rpm_limit"]) == (None, "1d", 4)
    assert table["budget_id"] in management.told


async def test_spend_follows_into_another_period_and_can_be_set(management: Management) -> None:
    await management.new_team(team_id="t", max_budget=10)
    assert good(await management.post("/team/update", {"team_id": "t", "spend": 4}))["data"]["spend"] == 4.0
    changed = good(await management.post("/team/update", {"team_id": "t", "budget_duration": "1d"}))
    assert changed["data"]["spend"] == 4.0
    management.clock.advance(86_400)
    assert (await info(management, "t"))["spend"] == 0.0


async def test_a_team_that_is_made_again_begins_at_nothing(management: Management) -> None:
    await management.new_team(team_id="t")
    await management.post("/team/update", {"team_id": "t", "spend": 4})
    await management.post("/team/delete", {"team_ids": ["t"]})
    assert (await management.new_team(team_id="t"))["spend"] == 0.0


async def test_a_team_is_blocked_and_unblocked(management: Management) -> None:
    await management.new_team(team_id="t")
    key = (await management.new_key(team_id="t"))["key"]
    assert good(await management.post("/team/block", {"team_id": "t"}))["blocked"] is True
    assert error_of(await management.get("/key/info", by=key), 401)["type"] == "auth_error"
    assert good(await management.post("/team/unblock", {"team_id": "t"}))["blocked"] is False
    good(await management.get("/key/info", by=key))


@pytest.mark.parametrize("path", ["/team/block", "/team/unblock", "/team/update", "/team/permissions_update"])
async def test_a_change_of_an_unknown_team_is_not_found(path: str, management: Management) -> None:
    body = {"team_id": "none", "team_member_permissions": []} if "permissions" in path else {"team_id": "none"}
    assert error_of(await management.post(path, body), 404)["param"] == "team_id"


async def test_deleting_a_team_takes_all_that_was_only_its_own(people: People) -> None:
    management = people.management
    await management.new_team(team_id="t", team_member_budget=3)
    await management.post(
        "/team/member_add", {"team_id": "t", "member": {"role": "user", "user_id": "member"}, "max_budget_in_team": 1}
    )
    key = await management.new_key(team_id="t")
    kept = await management.new_key()
    await people.add(models, model_id="m", model_name="mine", team_id="t", params={}, info={}, **MADE)
    await people.add(access_groups, access_group_id="g", name="g", models=[], mcp_server_ids=[], agent_ids=[], **MADE)
    await management.post("/team/update", {"team_id": "t", "access_group_ids": ["g"]})
    assert await count(management, budgets) == 2
    deleted = good(await management.post("/team/delete", {"team_ids": ["t"]}))
    assert deleted == {"deleted_teams": ["t"]}
    for table in (models, access_group_members, budgets):
        assert await count(management, table) == 0, table.name
    assert (await count(management, deleted_teams), await count(management, deleted_keys)) == (1, 1)
    assert error_of(await management.get("/key/info", by=key["key"]), 401)
    good(await management.get("/key/info", by=kept["key"]))
    assert {"t", "m", key["token"]} <= set(management.told)


async def test_a_budget_that_something_else_links_to_is_kept(management: Management) -> None:
    made = await management.new_team(team_id="t", team_member_budget=3)
    await management.new_key(budget_id=made["metadata"]["team_member_budget_id"])
    await management.post("/team/delete", {"team_ids": ["t"]})
    assert await count(management, budgets) == 1


async def test_several_teams_are_deleted_or_none(management: Management) -> None:
    await management.new_team(team_id="t")
    error = error_of(await management.post("/team/delete", {"team_ids": ["t", "none"]}), 404)
    assert error["message"] == "Team not found, passed team_id=none"
    assert await count(management, teams) == 1
    assert (await management.post("/team/delete", {"team_ids": []})).status_code == 422


async def test_models_are_added_and_taken_away(management: Management) -> None:
    await management.new_team(team_id="t")
    added = good(await management.post("/team/model/add", {"team_id": "t", "models": ["a", "b", "a"]}))
    assert added["models"] == ["a", "b"]
    removed = await management.post("/team/model/delete", {"team_id": "t", "models": ["a"]})
    assert good(removed)["models"] == ["b"]
    assert "x-tollway-warning" not in removed.headers
    emptied = await management.post("/team/model/delete", {"team_id": "t", "models": ["b"]})
    assert good(emptied)["models"] == []
    assert "may use all" in emptied.headers["x-tollway-warning"]


async def test_permissions_of_members_are_listed_changed_and_extended(management: Management) -> None:
    await management.new_team(team_id="t")
    await management.new_team(team_id="u", team_member_permissions=["/key/list"])
    changed = good(
        await management.post("/team/permissions_update", {"team_id": "t", "team_member_permissions": ["/key/info"]})
    )
    assert changed["team_member_permissions"] == ["/key/info"]
    body: dict[str, Any] = {"permissions": ["/key/list"], "apply_to_all_teams": True}
    extended = good(await management.post("/team/permissions_bulk_update", body))
    assert (extended["teams_updated"], extended["permissions_appended"]) == (1, ["/key/list"])
    shown = good(await management.get("/team/permissions_list", team_id="t"))
    assert shown["team_member_permissions"] == ["/key/info", "/key/list"]
    assert set(shown["team_member_permissions"]) < set(shown["all_available_permissions"])
    body = {"permissions": ["/key/list"]}
    assert error_of(await management.post("/team/permissions_bulk_update", body), 400)["param"] == "team_ids"
    body = {"permissions": ["/nothing"], "team_ids": ["t"]}
    assert (
        error_of(await management.post("/team/permissions_bulk_update", body), 400)["param"]
        == "team_member_permissions"
    )


async def test_changes_are_in_the_audit_log_without_secrets(management: Management) -> None:
    await management.new_team(team_id="t", metadata={"langfuse_secret": "hidden"})
    for path, body in (
        ("/team/update", {"team_id": "t", "max_budget": 2}),
        ("/team/block", {"team_id": "t"}),
        ("/team/delete", {"team_ids": ["t"]}),
    ):
        management.clock.advance(1)
        good(await management.post(path, body, litellm_changed_by="ada"))
    async with reading(management.services.engine) as connection:
        rows = (await connection.execute(select(audit_log).order_by(audit_log.c.id))).all()
    of_team = [row for row in rows if row.resource == "LiteLLM_TeamTable"]
    assert [row.action for row in of_team] == ["created", "updated", "blocked", "deleted"]
    assert (of_team[1].changed_by, of_team[1].before["max_budget_nanos"]) == ("ada", None)
    assert of_team[1].after["max_budget_nanos"] == 2 * 10**9
    assert "hidden" not in str(rows)


async def test_keys_of_a_team_are_changed_together(management: Management) -> None:
    await management.new_team(team_id="t")
    first, second = [await management.new_key(team_id="t") for _ in range(2)]
    stranger = await management.new_key()
    some = {"team_id": "t", "key_ids": [first["key"], stranger["token"]], "update_fields": {"rpm_limit": 7}}
    changed = good(await management.post("/team/key/bulk_update", some))
    assert changed["total_requested"] == 2
    assert [one["key_info"]["rpm_limit"] for one in changed["successful_updates"]] == [7]
    assert [(one["key"], one["failed_reason"]) for one in changed["failed_updates"]] == [
        (stranger["token"], "Key not found in this team.")
    ]
    every = {"team_id": "t", "all_keys_in_team": True, "update_fields": {"rpm_limit": "many"}}
    failed = good(await management.post("/team/key/bulk_update", every))["failed_updates"]
    assert {one["key"] for one in failed} == {first["token"], second["token"]}
    assert failed[0]["failed_reason"].startswith("rpm_limit: ")
    nothing = {"team_id": "t", "update_fields": {}}
    assert (await management.post("/team/key/bulk_update", nothing)).status_code == 422


async def test_the_schema_of_metadata_is_that_of_the_configuration(tmp_path: Path) -> None:
    policy = TeamPolicy(metadata_fields=({"key": "cost_center", "label": "Cost center"},))
    async with open_management(tmp_path, team_policy=policy) as management:
        shown = good(await management.get("/team/metadata_schema"))
    assert shown == {"fields": [{"key": "cost_center", "label": "Cost center"}]}


async def organizations_of(management: Management, key: str) -> list[str]:
    principal = await management.services.authenticate({b"authorization": b"Bearer " + key.encode()})
    return [scope.id for scope in principal.scopes if scope.kind == "organization"]


async def test_keys_follow_their_team_into_another_organization(management: Management) -> None:
    for name in ("a", "b"):
        good(await management.post("/organization/new", {"organization_id": name, "organization_alias": name}))
        good(await management.send("PATCH", "/organization/update", {"organization_id": name, "max_budget": 5}))
    await management.new_team(team_id="t", organization_id="a")
    key = (await management.new_key(team_id="t"))["key"]
    assert await organizations_of(management, key) == ["a"]
    good(await management.post("/team/update", {"team_id": "t", "organization_id": "b"}))
    assert await organizations_of(management, key) == ["b"]
    assert (await management.info(key))["organization_id"] == "b"
