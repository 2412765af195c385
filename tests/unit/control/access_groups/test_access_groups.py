from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import insert
from tests.support.management import MASTER_KEY, Management, bearer, error_of, good

from tollway.control.kit.access_groups import groups_of, set_groups
from tollway.core.errors import NotFound
from tollway.db.engine import reading, writing
from tollway.db.teams import teams

PATH = "/v1/access_group"


async def new(management: Management, name: str = "beta", **fields: Any) -> dict[str, Any]:
    response = await management.post(PATH, {"access_group_name": name, **fields})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def change(management: Management, group: dict[str, Any], by: str = MASTER_KEY, **fields: Any) -> httpx.Response:
    path = f"{PATH}/{group['access_group_id']}"
    return await management.client.put(path, json=fields, headers=bearer(by))


async def delete(management: Management, group_id: str, by: str = MASTER_KEY) -> httpx.Response:
    return await management.client.delete(f"{PATH}/{group_id}", headers=bearer(by))


async def add_team(management: Management, team_id: str, alias: str | None = None) -> None:
    at = datetime.fromtimestamp(management.clock(), UTC)
    documents: dict[str, Any] = {
        "models": [],
        "model_aliases": {},
        "member_permissions": [],
        "metadata": {},
        "options": {},
    }
    row = {"team_id": team_id, "team_alias": alias, "created_at": at, "updated_at": at}
    async with writing(management.services.engine) as connection:
        await connection.execute(insert(teams).values(row | documents))


def detail_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    detail = response.json()["detail"]
    assert isinstance(detail, str)
    return detail


async def test_a_new_group_is_shown_whole(management: Management) -> None:
    key = await management.new_key(key_alias="app")
    await add_team(management, "red", "Reds")
    made = await new(
        management,
        description="New models",
        access_model_names=["o3"],
        access_mcp_server_ids=["s"],
        access_agent_ids=["a"],
        assigned_team_ids=["red"],
        assigned_key_ids=[key["key"]],
    )
    UUID(made.pop("access_group_id"))
    assert made == {
        "access_group_name": "beta",
        "description": "New models",
        "access_model_names": ["o3"],
        "access_mcp_server_ids": ["s"],
        "access_agent_ids": ["a"],
        "assigned_team_ids": ["red"],
        "assigned_key_ids": [key["token"]],
        "access_mcp_servers": [{"id": "s", "name": None}],
        "access_agents": [{"id": "a", "name": None}],
        "assigned_teams": [{"id": "red", "name": "Reds"}],
        "assigned_keys": [{"id": key["token"], "name": "app"}],
        "created_at": "2026-01-14T10:17:23Z",
        "created_by": "default_user_id",
        "updated_at": "2026-01-14T10:17:23Z",
        "updated_by": "default_user_id",
    }


async def test_a_bare_group_has_nothing(management: Management) -> None:
    made = await new(management)
    assert [value for value in made.values() if isinstance(value, list) and value] == []
    assert made["description"] is None
    assert good(await management.get(f"{PATH}/{made['access_group_id']}")) == made


async def test_a_name_is_taken_once(management: Management) -> None:
    await new(management)
    other = await new(management, "gamma")
    taken = "Access group 'beta' already exists."
    assert detail_of(await management.post(PATH, {"access_group_name": "beta"}), 409) == taken
    assert detail_of(await change(management, other, access_group_name="beta"), 409) == taken
    assert (await change(management, other, access_group_name="gamma")).status_code == 200
    answers = await asyncio.gather(*(management.post(PATH, {"access_group_name": "new"}) for _ in range(4)))
    made, *others = sorted(answer.status_code for answer in answers)
    assert made == 201
    assert set(others) <= {409, 503}, "the test's database waits 50 ms for its lock"


async def test_only_what_is_sent_changes(management: Management) -> None:
    key = await management.new_key()
    made = await new(management, description="x", access_model_names=["o3"], assigned_key_ids=[key["token"]])
    management.clock.advance(10)
    changed = good(await change(management, made, access_group_name="gamma"))
    assert changed == made | {"access_group_name": "gamma", "updated_at": "2026-01-14T10:17:33Z"}
    cleared = good(await change(management, made, description=None, access_model_names=None, access_group_name=None))
    assert (cleared["description"], cleared["access_model_names"]) == (None, [])
    assert (cleared["access_group_name"], cleared["assigned_key_ids"]) == ("gamma", [key["token"]])


async def test_a_list_of_members_replaces_the_one_there_was(management: Management) -> None:
    first, second = await management.new_key(), await management.new_key()
    made = await new(management, assigned_key_ids=[first["key"]])
    management.told.clear()
    changed = good(await change(management, made, assigned_key_ids=[second["token"]]))
    assert changed["assigned_key_ids"] == [second["token"]]
    assert set(management.told) == {first["token"], second["token"], made["access_group_id"]}


async def test_members_have_to_exist(management: Management) -> None:
    unknown = {"assigned_key_ids": ["sk-unknown-0123456789"]}
    message = detail_of(await management.post(PATH, {"access_group_name": "beta", **unknown}), 404)
    assert "sk-unknown" not in message
    body = {"access_group_name": "beta", "assigned_team_ids": ["blue"]}
    assert detail_of(await management.post(PATH, body), 404) == "Team 'blue' not found."
    assert good(await management.get(PATH)) == [], "nothing half-written"


async def test_a_key_stays_in_its_group_when_it_is_regenerated(management: Management) -> None:
    key = await management.new_key()
    made = await new(management, assigned_key_ids=[key["key"]])
    renewed = good(await management.post("/key/regenerate", {"key": key["key"], "grace_period": "1h"}))
    shown = good(await management.get(f"{PATH}/{made['access_group_id']}"))
    assert shown["assigned_key_ids"] == [renewed["token_id"]]
    management.told.clear()
    good(await change(management, made, assigned_key_ids=[]))
    assert {key["token"], renewed["token_id"]} <= set(management.told), "the old value still opens the same key"


async def test_a_deleted_member_is_not_shown(management: Management) -> None:
    key = await management.new_key()
    made = await new(management, assigned_key_ids=[key["key"]])
    good(await management.post("/key/delete", {"keys": [key["key"]]}))
    assert good(await management.get(f"{PATH}/{made['access_group_id']}"))["assigned_keys"] == []


async def test_a_deleted_group_is_gone_and_so_is_its_membership(management: Management) -> None:
    key = await management.new_key()
    made = await new(management, assigned_key_ids=[key["key"]])
    response = await delete(management, made["access_group_id"])
    assert (response.status_code, response.content) == (204, b"")
    assert detail_of(await management.get(f"{PATH}/{made['access_group_id']}"), 404)
    assert detail_of(await delete(management, made["access_group_id"]), 404)
    assert detail_of(await change(management, made, description="x"), 404)
    async with reading(management.services.engine) as connection:
        assert await groups_of(connection, "key", [key["token"]]) == {}


async def test_groups_of_a_member_are_set_and_read_in_one_place(management: Management) -> None:
    key = await management.new_key()
    groups = [(await new(management, name))["access_group_id"] for name in ("a", "b", "c")]
    async with writing(management.services.engine) as connection:
        await set_groups(connection, "key", key["token"], groups[:2])
        await set_groups(connection, "key", key["token"], groups[1:])
        assert await groups_of(connection, "key", [key["token"], "other"]) == {key["token"]: sorted(groups[1:])}
        assert await groups_of(connection, "team", [key["token"]]) == {}
        with pytest.raises(NotFound, match="Access group 'none' not found"):
            await set_groups(connection, "key", key["token"], ["none"])
    shown = {one["access_group_name"]: one["assigned_key_ids"] for one in good(await management.get(PATH))}
    assert shown == {"a": [], "b": [key["token"]], "c": [key["token"]]}


async def test_lists_are_paged_and_say_so(management: Management) -> None:
    for name in ("c", "a", "b"):
        await new(management, name)
    answer = await management.get(PATH, page=1, page_size=2)
    assert [one["access_group_name"] for one in good(answer)] == ["a", "b"]
    assert answer.headers["x-tollway-warning"] == "2 of 3 access groups; ask for others with page and page_size"


async def test_changes_are_audited(management: Management) -> None:
    made = await new(management)
    good(await change(management, made, description="x"))
    await delete(management, made["access_group_id"])
    assert await management.audited(made["access_group_id"]) == {
        (action, "LiteLLM_AccessGroupTable") for action in ("created", "updated", "deleted")
    }


async def test_groups_are_for_administrators(management: Management) -> None:
    made = await new(management)
    key = (await management.new_key(user_id="u"))["key"]
    answers = [
        await management.get(PATH, by=key),
        await management.get(f"{PATH}/{made['access_group_id']}", by=key),
        await management.post(PATH, {"access_group_name": "x"}, by=key),
        await change(management, made, by=key, access_model_names=["everything"]),
        await delete(management, made["access_group_id"], by=key),
    ]
    for answer in answers:
        assert error_of(answer, 401)["type"] == "auth_error"


@pytest.mark.parametrize(
    "body", [{}, {"access_group_name": ""}, {"access_group_name": "x", "assigned_key_ids": "sk-1"}]
)
async def test_a_body_that_is_none_is_refused(body: dict[str, Any], management: Management) -> None:
    assert (await management.post(PATH, body)).status_code == 422
