from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert
from tests.support.management import Management, error_of, good

from tollway.db.engine import writing
from tollway.db.teams import team_members, teams
from tollway.db.users import users
from tollway.routing.router import Router

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWN = {"model": "openai/gpt-4o", "api_key": "sk-of-the-team-0123456789"}


@pytest.fixture
async def admin_key(plane: Management) -> str:
    """A key of `u-lead`, an admin of the team `t-1`; `t-2` is somebody else's."""
    history = {"created_at": NOW, "updated_at": NOW}
    async with writing(plane.services.engine) as connection:
        for team_id in ("t-1", "t-2"):
            row = {"models": ["from-file"], "model_aliases": {}, "member_permissions": [], "metadata": {}}
            await connection.execute(insert(teams).values(team_id=team_id, options={}, **row, **history))
        await connection.execute(
            insert(users).values(
                user_id="u-lead", models=[], metadata={}, options={}, user_role="internal_user", **history
            )
        )
        await connection.execute(
            insert(team_members).values(team_id="t-1", user_id="u-lead", role="admin", created_at=NOW)
        )
    key: str = (await plane.new_key(user_id="u-lead", team_id="t-1"))["key"]
    return key


async def add(plane: Management, key: str, team_id: str = "t-1", **params: Any) -> Any:
    body = {"model_name": "private", "litellm_params": OWN | params, "model_info": {"team_id": team_id}}
    return await plane.post("/model/new", body, by=key)


async def test_a_team_admin_adds_a_model_for_the_team_alone(plane: Management, admin_key: str) -> None:
    body = good(await add(plane, admin_key))
    assert body["model_name"].startswith("model_name_t-1_")
    assert body["model_info"]["team_public_model_name"] == "private"
    router = Router(plane.services.snapshot())
    own = router.group("private", "t-1")
    assert own is not None
    assert (own.name, own.deployments[0].id) == ("private", body["model_id"])
    for name in ("private", body["model_name"], body["model_id"]):
        assert router.group(name) is None
        assert router.group(name, "t-2") is None
    assert "private" in list(router.names("t-1"))
    assert "private" not in list(router.names())


async def test_it_is_listed_for_the_team_alone(plane: Management, admin_key: str) -> None:
    good(await add(plane, admin_key))
    other = (await plane.new_key(team_id="t-2"))["key"]
    plain = (await plane.new_key())["key"]

    async def seen(key: str) -> set[str]:
        return {item["model_name"] for item in good(await plane.get("/v1/model/info", by=key))["data"]}

    assert await seen(admin_key) == {"private", "from-file"}
    assert await seen(other) == await seen(plain) == {"from-file"}
    (shown,) = good(await plane.get("/v2/model/info", teamId="t-1"))["data"]
    assert shown["model_info"]["team_id"] == "t-1"


async def test_for_the_team_it_goes_before_everybodys_model_of_that_name(plane: Management, admin_key: str) -> None:
    body = {"model_name": "from-file", "litellm_params": OWN, "model_info": {"team_id": "t-1"}}
    model_id = good(await plane.post("/model/new", body, by=admin_key))["model_id"]
    router = Router(plane.services.snapshot())
    own, others = router.group("from-file", "t-1"), router.group("from-file", "t-2")
    assert own is not None
    assert others is not None
    assert [one.id for one in own.deployments] == [model_id]
    assert [one.id for one in others.deployments] == ["file-1"]


@pytest.mark.parametrize("team_id", ["t-2", "no-team"])
async def test_nobody_adds_models_to_a_team_of_others(plane: Management, admin_key: str, team_id: str) -> None:
    error_of(await add(plane, admin_key, team_id), 403)


async def test_a_team_has_to_exist(plane: Management) -> None:
    body = {"model_name": "m", "litellm_params": OWN, "model_info": {"team_id": "no-team"}}
    assert error_of(await plane.post("/model/new", body), 400)["param"] == "model_info.team_id"


@pytest.mark.parametrize(
    "params", [{"api_key": "os.environ/OPENAI_API_KEY"}, {"litellm_credential_name": "file-credential"}]
)
async def test_a_team_admin_borrows_no_secret(plane: Management, admin_key: str, params: dict[str, str]) -> None:
    error = error_of(await add(plane, admin_key, **params), 403)
    assert "only a proxy_admin may" in error["message"].lower()


async def test_keys_of_the_environment_never_go_where_a_team_says(plane: Management, admin_key: str) -> None:
    body = {
        "model_name": "private",
        "litellm_params": {"model": "openai/gpt-4o", "api_base": "http://127.0.0.1:9/v1"},
        "model_info": {"team_id": "t-1"},
    }
    good(await plane.post("/model/new", body, by=admin_key))
    group = Router(plane.services.snapshot()).group("private", "t-1")
    assert group is not None
    assert "Authorization" not in dict(group.deployments[0].endpoints["chat"].headers)


async def test_an_administrators_secret_never_goes_where_a_team_admin_says(plane: Management, admin_key: str) -> None:
    model_id = good(await add(plane, admin_key))["model_id"]
    path = f"/model/{model_id}/update"
    good(await plane.send("PATCH", path, {"litellm_params": {"api_key": "os.environ/OPENAI_API_KEY"}}))
    moved = good(
        await plane.send("PATCH", path, {"litellm_params": {"api_base": "http://127.0.0.1:9/v1"}}, by=admin_key)
    )
    assert "api_key" not in moved["litellm_params"]
    renamed = good(await plane.send("PATCH", path, {"model_name": "renamed"}, by=admin_key))
    assert renamed["model_info"]["team_public_model_name"] == "renamed"
    error_of(await plane.send("PATCH", path, {"model_info": {"team_id": "t-2"}}, by=admin_key), 403)


async def test_an_administrator_can_give_it_to_everybody(plane: Management, admin_key: str) -> None:
    model_id = good(await add(plane, admin_key))["model_id"]
    body = good(await plane.send("PATCH", f"/model/{model_id}/update", {"model_info": {"team_id": None}}))
    assert body["model_name"] == "private"
    assert Router(plane.services.snapshot()).group("private") is not None
