"""Who may do what to a team: by role, by route and by field."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.support.management import error_of, good
from tests.support.people import MADE, People, open_people

from tollway.control.teams.permissions import ACCESS, EDITABLE_BY_TEAM_ADMINS
from tollway.core.principal import Role
from tollway.db.budgets import budgets
from tollway.db.engine import reading, writing
from tollway.db.organizations import organizations
from tollway.db.teams import teams

BODIES: dict[str, dict[str, Any]] = {
    "/team/new": {},
    "/team/update": {"team_id": "team"},
    "/team/delete": {"team_ids": ["team"]},
    "/team/block": {"team_id": "team"},
    "/team/member_add": {"team_id": "team", "member": {"role": "user", "user_email": "new@x.io"}},
    "/team/member_update": {"team_id": "team", "user_id": "member", "max_budget_in_team": 5},
    "/team/member_delete": {"team_id": "team", "user_id": "member"},
    "/team/bulk_member_add": {"team_id": "team", "members": [{"role": "user", "user_email": "new@x.io"}]},
    "/team/model/add": {"team_id": "team", "models": ["gpt-4o"]},
    "/team/permissions_update": {"team_id": "team", "team_member_permissions": ["/key/list"]},
    "/team/permissions_bulk_update": {"permissions": ["/key/list"], "apply_to_all_teams": True},
    "/team/team/member/member/reset_spend": {"reset_to": 0},
    "/team/team/member/member/reset_budget": {},
}
ANYWHERE = {"/team/permissions_bulk_update"}
OF_LEADS = BODIES.keys() - ANYWHERE - {"/team/new", "/team/delete", "/team/block"}


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    """Who may do what does not depend on the database, and that is read alike: other tests of these routes show it."""
    async with open_people(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("caller", ["member", "viewer", "stranger", "auditor"])
async def test_whoever_manages_nothing_changes_nothing(caller: str, path: str, people: People) -> None:
    response = await people.ask(caller, path, **BODIES[path])
    assert response.status_code in (401, 403), response.text


@pytest.mark.parametrize("path", BODIES)
async def test_an_admin_of_a_team_manages_who_is_in_it(path: str, people: People) -> None:
    response = await people.ask("lead", path, **BODIES[path])
    assert (response.status_code == 200) is (path in OF_LEADS), response.text


@pytest.mark.parametrize("path", sorted(OF_LEADS))
async def test_an_admin_of_one_team_is_nobody_to_another(path: str, people: People) -> None:
    body = {name: "other" if name == "team_id" else value for name, value in BODIES[path].items()}
    response = await people.ask("lead", path.replace("/team/team/", "/team/other/"), **body)
    assert error_of(response, 403)["message"] == "You are not allowed to change this team. Your role=internal_user"


@pytest.mark.parametrize("path", sorted(BODIES.keys() - ANYWHERE))
async def test_an_admin_of_an_organization_manages_its_teams_and_no_others(path: str, people: People) -> None:
    own = {"organization_id": "org"} if path == "/team/new" else BODIES[path]
    good(await people.ask("boss", path, **own))
    others = {
        name: {"team_id": "other", "team_ids": ["other"]}.get(name, value) for name, value in BODIES[path].items()
    }
    assert error_of(await people.ask("boss", path.replace("/team/team/", "/team/other/"), **others), 403)


async def test_a_user_makes_no_teams(people: People) -> None:
    error = error_of(await people.ask("member", "/team/new", team_alias="mine"), 401)
    assert error["message"].startswith("Authentication Error, Only proxy admin can be used to generate")


@pytest.mark.parametrize("field", sorted(ACCESS["POST", "/team/update"].fields.keys() - {"team_id"}))
async def test_a_team_admin_sets_only_what_gives_the_team_nothing(field: str, people: People) -> None:
    response = await people.ask("lead", "/team/update", team_id="team", **{field: None})
    assert (response.status_code == 200) is (field in EDITABLE_BY_TEAM_ADMINS), response.text
    patched = await people.management.patch("/team/team", {field: None}, by=people.keys["lead"])
    assert (patched.status_code == 200) is (field in EDITABLE_BY_TEAM_ADMINS), patched.text


def test_what_a_team_admin_may_set_is_what_was_decided() -> None:
    assert sorted(EDITABLE_BY_TEAM_ADMINS) == ["metadata", "model_aliases", "team_alias", "team_member_permissions"]


@pytest.mark.parametrize("field", ["spend", "organization_id", "disable_global_guardrails", "secret_manager_settings"])
async def test_an_organizations_admin_cannot_set_what_is_the_proxy_admins(field: str, people: People) -> None:
    assert error_of(await people.ask("boss", "/team/update", team_id="team", **{field: None}), 403)["param"] == field


@pytest.mark.parametrize(
    "metadata", [{"tags": ["cheap"]}, {"model_rpm_limit": {"gpt-4o": 99}}, {"own": 1, "guardrails": None}]
)
async def test_a_field_does_not_hide_in_the_metadata(metadata: dict[str, Any], people: People) -> None:
    set_before = {"team_id": "team", "tags": ["dear"], "model_rpm_limit": {"gpt-4o": 1}, "guardrails": ["g"]}
    good(await people.management.post("/team/update", set_before))
    error = error_of(await people.ask("lead", "/team/update", team_id="team", metadata=metadata), 403)
    assert error["param"] in metadata
    patched = await people.management.patch("/team/team", {"metadata": metadata}, by=people.keys["lead"])
    stored = good(await people.management.get("/team/info", team_id="team"))["team_info"]["metadata"]
    assert (stored["tags"], stored["model_rpm_limit"], stored["guardrails"]) == (["dear"], {"gpt-4o": 1}, ["g"])
    assert patched.status_code in (200, 403)


async def test_nobody_changes_their_own_limits_in_a_team(people: People) -> None:
    own = {"team_id": "team", "user_id": "lead"}
    assert (
        error_of(await people.ask("lead", "/team/member_update", **own, max_budget_in_team=9), 403)["param"]
        == "user_id"
    )
    assert error_of(await people.ask("lead", "/team/team/member/lead/reset_spend", reset_to=0), 403)
    assert error_of(await people.ask("lead", "/team/team/member/lead/reset_budget"), 403)
    good(await people.ask("lead", "/team/member_update", **own, role="user"))


async def test_a_team_admin_adds_people_by_address_and_users_by_id(people: People) -> None:
    unknown = {"team_id": "team", "member": {"role": "user", "user_id": "nobody"}}
    assert "no user with id nobody" in error_of(await people.ask("lead", "/team/member_add", **unknown), 400)["message"]
    known = {"team_id": "team", "member": {"role": "user", "user_id": "stranger"}}
    good(await people.ask("lead", "/team/member_add", **known))
    everybody = await people.ask("lead", "/team/bulk_member_add", team_id="team", all_users=True)
    assert error_of(everybody, 403)["param"] == "all_users"


async def test_a_team_admin_restricts_the_models_and_never_widens_them(people: People) -> None:
    async def models(path: str, *names: str) -> Any:
        return await people.ask("lead", f"/team/model/{path}", team_id="team", models=list(names))

    assert good(await models("add", "gpt-4o", "o3"))["models"] == ["gpt-4o", "o3"]
    assert error_of(await models("add", "gpt-5"), 403)["param"] == "models"
    assert good(await models("delete", "o3"))["models"] == ["gpt-4o"]
    assert error_of(await models("delete", "gpt-4o"), 403)["param"] == "models"


async def test_a_viewer_looks_at_permissions_and_a_member_does_not(people: People) -> None:
    good(await people.look("lead", "/team/permissions_list", team_id="team"))
    assert people.management.app.state.matrix["GET", "/team/permissions_list"].roles >= {Role.PROXY_ADMIN}
    assert error_of(await people.look("member", "/team/permissions_list", team_id="team"), 401)


async def test_members_change_keys_together_where_the_team_permits_it(people: People) -> None:
    own = await people.management.new_key(team_id="team", user_id="member")
    body: dict[str, Any] = {"team_id": "team", "key_ids": [own["token"]], "update_fields": {"key_alias": "renamed"}}
    assert error_of(await people.ask("member", "/team/key/bulk_update", **body), 403)
    permitted = {"team_id": "team", "team_member_permissions": ["/team/key/bulk_update"]}
    good(await people.management.post("/team/permissions_update", permitted))
    changed = good(await people.ask("member", "/team/key/bulk_update", **body))
    assert [one["key_info"]["key_alias"] for one in changed["successful_updates"]] == ["renamed"]
    spends = body | {"update_fields": {"spend": 0}}
    failed = good(await people.ask("member", "/team/key/bulk_update", **spends))["failed_updates"]
    assert "'spend' cannot be set" in failed[0]["failed_reason"]


async def limit_organization(people: People) -> None:
    fields = {"rpm_limit": 10, "tpm_limit": 100, "parallel_limit": 5, "max_budget_nanos": 50 * 10**9}
    async with writing(people.management.services.engine) as connection:
        await connection.execute(
            insert(budgets).values(budget_id="b", model_max_budget={}, allowed_models=[], **fields, **MADE)
        )
        await connection.execute(update(organizations).values(budget_id="b", models=["gpt-4o", "claude-*"]))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_budget": 51}, "max_budget"),
        ({"rpm_limit": 11}, "rpm_limit"),
        ({"tpm_limit": 101}, "tpm_limit"),
        ({"max_parallel_requests": 6}, "max_parallel_requests"),
        ({"models": ["claude-3", "o3"]}, "models"),
    ],
)
async def test_a_team_has_no_more_than_its_organization(fields: dict[str, Any], param: str, people: People) -> None:
    await limit_organization(people)
    for caller in ("root", "boss"):
        for path, body in (("/team/new", {"organization_id": "org"}), ("/team/update", {"team_id": "team"})):
            error = error_of(await people.ask(caller, path, **body, **fields), 400)
            assert error["param"] == param
            assert "organization (org)" in error["message"]
    if param == "models":
        added = {"team_id": "team", "models": fields["models"]}
        assert error_of(await people.ask("boss", "/team/model/add", **added), 400)["param"] == "models"


async def test_a_team_that_fits_is_made_and_one_that_does_not_cannot_move_in(people: People) -> None:
    await limit_organization(people)
    fits = {"max_budget": 50, "rpm_limit": 10, "tpm_limit": 100, "models": ["claude-3"]}
    good(await people.ask("boss", "/team/new", organization_id="org", **fits))
    good(await people.ask("root", "/team/update", team_id="other", rpm_limit=99))
    error = error_of(await people.ask("root", "/team/update", team_id="other", organization_id="org"), 400)
    assert error["param"] == "rpm_limit"


async def test_a_lowered_organization_holds_up_no_other_change(people: People) -> None:
    good(await people.ask("boss", "/team/update", team_id="team", rpm_limit=99))
    await limit_organization(people)
    good(await people.ask("boss", "/team/update", team_id="team", team_alias="named"))
    async with reading(people.management.services.engine) as connection:
        query = select(teams.c.team_alias).where(teams.c.team_id == "team")
        assert (await connection.execute(query)).scalar_one() == "named"
