from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.management import Management, error_of, good, open_management
from tests.support.places import (
    join_organization,
    make_org_admin,
    make_organization,
    make_team,
    organization_memberships,
    team_memberships,
)

from tollway.control.kit.budgets import BudgetRows
from tollway.control.users import fields
from tollway.control.users.schemas import UserCreate, UserUpdate
from tollway.db.engine import reading


async def list_users(management: Management) -> list[dict[str, Any]]:
    users: list[dict[str, Any]] = good(await management.get("/user/list"))["users"]
    return users


async def test_a_user_comes_with_a_key_of_their_own(management: Management) -> None:
    made = await management.new_user(
        user_id="john@company.com",
        user_email="John@Company.com",
        max_budget=50,
        budget_duration="30d",
        user_role="internal_user",
        metadata={"desk": 4},
        model_rpm_limit={"gpt-4o": 5},
    )
    assert made["key"].startswith("sk-")
    assert (made["max_budget"], made["budget_duration"]) == (50, "30d")
    assert (made["token"], made["token_id"], made["created_by"], made["teams"]) == (None, None, None, None)
    info = await management.info(made["key"])
    assert (info["user_id"], info["max_budget"], info["models"]) == ("john@company.com", None, [])
    shown = good(await management.get("/user/info", user_id="john@company.com"))
    assert shown["user_info"]["user_email"] == "John@Company.com"
    assert shown["user_info"]["metadata"] == {"desk": 4, "model_rpm_limit": {"gpt-4o": 5}}
    assert [key["user_id"] for key in shown["keys"]] == ["john@company.com"]


async def test_an_id_is_made_up_and_the_role_is_the_usual_one(management: Management) -> None:
    made = await management.new_user()
    assert len(made["user_id"]) == 36
    assert made["user_role"] == "internal_user"


async def test_the_key_gets_the_fields_that_are_the_keys(management: Management) -> None:
    made = await management.new_user(
        key_alias="johns", duration="30d", aliases={"a": "gpt-4o"}, permissions={"p": True}, blocked=True
    )
    info = await management.info(made["key"])
    assert (info["key_alias"], info["aliases"], info["permissions"]) == ("johns", {"a": "gpt-4o"}, {"p": True})
    assert info["blocked"] is True
    assert info["expires"] is not None


async def test_no_key_is_made_where_none_is_wanted(management: Management) -> None:
    made = await management.new_user(user_id="u", auto_create_key=False)
    assert made["key"] == ""
    assert good(await management.get("/key/list"))["total_count"] == 0
    assert (await list_users(management))[0]["key_count"] == 0


async def test_two_users_cannot_have_one_id(management: Management) -> None:
    await management.new_user(user_id="u-1")
    error = error_of(await management.post("/user/new", {"user_id": "u-1"}), 409)
    assert (error["message"], error["param"]) == ("User with id u-1 already exists", None)


async def test_two_spellings_of_an_address_are_one_person(management: Management) -> None:
    await management.new_user(user_email="John@Company.com")
    error = error_of(await management.post("/user/new", {"user_email": "john@company.COM"}), 409)
    assert error["message"] == "User with email john@company.COM already exists"
    assert good(await management.get("/key/list"))["total_count"] == 1


async def test_two_users_cannot_have_one_identity_at_the_sign_in_provider(management: Management) -> None:
    await management.new_user(sso_user_id="sso-1")
    error = error_of(await management.post("/user/new", {"sso_user_id": "sso-1"}), 409)
    assert error["param"] == "sso_user_id"


async def test_a_refused_key_leaves_no_user_behind(management: Management) -> None:
    await management.new_key(key_alias="taken")
    response = await management.post("/user/new", {"user_id": "u", "key_alias": "taken", "teams": []})
    assert error_of(response, 400)["param"] == "key_alias"
    assert await list_users(management) == []


@pytest.mark.parametrize(
    ("body", "field", "kind"),
    [
        ({"user_role": "king"}, "user_role", "literal_error"),
        ({"user_role": "org_admin"}, "user_role", "literal_error"),
        ({"max_budget": "much"}, "max_budget", "float_parsing"),
        ({"models": "gpt-4o"}, "models", "list_type"),
        ({"user_id": "u" * 256}, "user_id", "string_too_long"),
    ],
)
async def test_wrong_types_are_named(body: dict[str, Any], field: str, kind: str, management: Management) -> None:
    response = await management.post("/user/new", body)
    assert response.status_code == 422
    problem = response.json()["detail"][0]
    assert (problem["loc"], problem["type"]) == (["body", field], kind)


async def test_a_password_is_not_chosen_for_somebody_else(management: Management) -> None:
    response = await management.post("/user/new", {"password": "correct horse"})
    assert response.status_code == 422
    assert "/invitation/new" in response.json()["detail"][0]["msg"]
    assert "correct horse" not in response.text
    assert await list_users(management) == []


@pytest.mark.parametrize(
    "body",
    [
        {"max_budget": -1},
        {"rpm_limit": -1},
        {"budget_duration": "1y"},
        {"model_max_budget": {"gpt-4o": {"max_budget": "x"}}},
        {"soft_budget": 5, "max_budget": 5},
        {"spend": -1},
        {"teams": [{"team_id": "t", "max_budget_in_team": -1}]},
    ],
)
async def test_limits_that_cannot_be_are_refused(body: dict[str, Any], management: Management) -> None:
    await make_team(management, "t")
    error_of(await management.post("/user/new", body), 400)
    assert await list_users(management) == []


async def test_a_user_joins_teams_on_terms_of_their_own(management: Management) -> None:
    await make_team(management, "plain")
    await make_team(management, "costly")
    terms = {"team_id": "costly", "max_budget_in_team": 7, "user_role": "admin"}
    made = await management.new_user(user_id="u", teams=["plain", terms])
    assert made["teams"] == ["costly", "plain"]
    costly, plain = await team_memberships(management)
    assert (costly.user_id, costly.role, plain.role, plain.budget_id) == ("u", "admin", "user", None)
    async with reading(management.services.engine) as connection:
        assert costly.budget_id is not None
        budget = await BudgetRows(connection).named(costly.budget_id)
    assert budget.max_budget_nanos == 7_000_000_000
    shown = good(await management.get("/user/info", user_id="u"))
    assert [team["team_id"] for team in shown["teams"]] == ["costly", "plain"]
    assert shown["teams"][0]["members_with_roles"] == [{"role": "admin", "user_id": "u", "user_email": None}]


async def test_a_user_joins_organizations(management: Management) -> None:
    await make_organization(management, "o")
    await management.new_user(user_id="u", organizations=["o"], user_role="internal_user_viewer")
    shown = good(await management.get("/user/info", user_id="u"))["user_info"]["organization_memberships"]
    assert [(one["organization_id"], one["user_role"]) for one in shown] == [("o", "internal_user_viewer")]


@pytest.mark.parametrize("body", [{"teams": ["nowhere"]}, {"organizations": ["nowhere"]}])
async def test_what_is_joined_must_exist(body: dict[str, Any], management: Management) -> None:
    assert "nowhere" in error_of(await management.post("/user/new", body), 404)["message"]
    assert await list_users(management) == []
    assert good(await management.get("/key/list"))["total_count"] == 0


async def test_a_new_user_begins_with_the_spend_they_are_given(management: Management) -> None:
    made = await management.new_user(user_id="u", spend=3)
    assert made["spend"] == 3
    await management.post("/user/delete", {"user_ids": ["u"]})
    assert (await management.new_user(user_id="u"))["spend"] == 0


async def test_what_makes_a_user_is_told_and_audited(management: Management) -> None:
    await management.new_user(user_id="u")
    assert "u" in management.told


async def test_fields_without_effect_are_named_in_a_header(management: Management) -> None:
    response = await management.post(
        "/user/new", {"user_mail": "x", "guardrails": ["g"], "soft_budget": 1, "send_invite_email": True}
    )
    warning = response.headers["x-tollway-warning"]
    assert "did you mean 'user_email'" in warning
    assert "'guardrails' is stored, and not enforced" in warning
    assert "soft_budget" not in warning
    assert "'send_invite_email' has no effect" in warning


async def test_an_empty_text_is_nothing(management: Management) -> None:
    made = await management.new_user(user_id="", user_email="", max_budget="", budget_duration="")
    assert made["user_id"]
    assert (made["user_email"], made["max_budget"], made["budget_duration"]) == (None, None, None)


async def test_an_organizations_admin_makes_users_of_their_organization_only(management: Management) -> None:
    boss = await make_org_admin(management, "mine", "boss")
    await make_organization(management, "other")
    body = {"user_id": "u", "organizations": ["mine"], "max_budget": 5}
    made = good(await management.post("/user/new", body, by=boss))
    assert (await management.info(made["key"]))["organization_id"] == "mine"
    for organizations in (None, [], ["other"], ["mine", "other"]):
        error_of(await management.post("/user/new", {"organizations": organizations}, by=boss), 403)
    assert {one.user_id for one in await organization_memberships(management)} == {"boss", "u"}


async def test_an_organizations_admin_gives_no_role_beyond_it(management: Management) -> None:
    boss = await make_org_admin(management, "mine", "boss")
    for role in ("proxy_admin", "proxy_admin_viewer"):
        response = await management.post("/user/new", {"organizations": ["mine"], "user_role": role}, by=boss)
        assert error_of(response, 403)["param"] == "user_role"
    for name, value in {"spend": 1, "permissions": {"get_spend_routes": True}, "sso_user_id": "s"}.items():
        response = await management.post("/user/new", {"organizations": ["mine"], name: value}, by=boss)
        assert error_of(response, 403)["param"] == name


async def test_an_organizations_admin_fills_only_teams_of_their_organization(management: Management) -> None:
    boss = await make_org_admin(management, "mine", "boss")
    await make_team(management, "ours", organization_id="mine")
    await make_team(management, "theirs")
    body = {"organizations": ["mine"], "teams": ["theirs"]}
    error_of(await management.post("/user/new", body, by=boss), 403)
    good(await management.post("/user/new", {**body, "teams": ["ours"]}, by=boss))


async def test_somebody_who_only_looks_makes_nobody(management: Management) -> None:
    viewer = (await management.new_user(user_id="v", user_role="proxy_admin_viewer"))["key"]
    error = error_of(await management.post("/user/new", {}, by=viewer), 401)
    assert "Your role=proxy_admin_viewer. Your user_id=v" in error["message"]
    await make_organization(management, "o")
    await join_organization(management, "o", "v", role="org_admin")
    error_of(await management.post("/user/new", {"organizations": ["o"]}, by=viewer), 403)


async def test_an_admin_by_role_makes_admins(management: Management) -> None:
    admin = (await management.new_user(user_role="proxy_admin"))["key"]
    made = good(await management.post("/user/new", {"user_role": "proxy_admin"}, by=admin))
    assert made["user_role"] == "proxy_admin"


async def test_the_operators_defaults_fill_what_is_left_out(tmp_path: Path) -> None:
    defaults = {"max_budget": 5, "budget_duration": "1d", "models": ["gpt-4o"], "user_role": "internal_user_viewer"}
    async with open_management(tmp_path, user_defaults={**defaults, "teams": ["t"]}) as management:
        await make_team(management, "t")
        made = await management.new_user(models=[])
        assert {name: made[name] for name in defaults} == defaults
        assert made["teams"] == ["t"]
        chosen = await management.new_user(max_budget=7, user_role="internal_user", models=["x"])
        assert (chosen["max_budget"], chosen["user_role"], chosen["models"]) == (7, "internal_user", ["x"])


async def test_defaults_are_no_limits_of_admins(tmp_path: Path) -> None:
    async with open_management(tmp_path, user_defaults={"max_budget": 5}) as management:
        assert (await management.new_user(user_role="proxy_admin"))["max_budget"] is None


async def test_an_organizations_admin_gives_no_admin_role_by_default_either(tmp_path: Path) -> None:
    async with open_management(tmp_path, user_defaults={"user_role": "proxy_admin"}) as management:
        boss = await make_org_admin(management, "mine", "boss")
        await management.post("/user/update", {"user_id": "boss", "user_role": "internal_user"})
        error_of(await management.post("/user/new", {"organizations": ["mine"]}, by=boss), 403)


def test_every_field_has_a_place() -> None:
    columns = {"user_alias", "user_email", "user_role", "sso_user_id", "models", "metadata"}
    limits = {"max_budget", "soft_budget", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests"}
    placed = columns | limits | fields.RESERVED_METADATA | fields.OPTIONS | fields.KEY_FIELDS | fields.ELSEWHERE
    assert placed == UserCreate.model_fields.keys() | UserUpdate.model_fields.keys()
