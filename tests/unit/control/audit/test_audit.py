from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.management import Management, error_of, good, open_management
from tests.support.rows import store

from tollway.stores.sql.rows import User

FIELDS = {
    *("id", "updated_at", "changed_by", "changed_by_api_key", "action", "table_name", "object_id"),
    *("before_value", "updated_values", "client_ip", "user_agent"),
}


async def log(management: Management, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = good(await management.get("/audit", **query))["audit_logs"]
    return rows


async def test_a_change_is_told_with_what_was_and_what_is(management: Management) -> None:
    good(await management.post("/budget/new", {"budget_id": "b1", "max_budget": 1}))
    management.clock.advance(1)
    headers = {"litellm_changed_by": "ada@x.io", "user_agent": "curl/8"}
    good(await management.post("/budget/update", {"budget_id": "b1", "max_budget": 2}, **headers))
    page = good(await management.get("/audit"))
    assert {name: page[name] for name in ("total", "page", "page_size", "total_pages")} == {
        "total": 2,
        "page": 1,
        "page_size": 10,
        "total_pages": 1,
    }
    newest, oldest = page["audit_logs"]
    assert newest.keys() == FIELDS
    assert (newest["action"], newest["table_name"], newest["object_id"]) == ("updated", "LiteLLM_BudgetTable", "b1")
    assert (newest["changed_by"], newest["user_agent"], newest["client_ip"]) == ("ada@x.io", "curl/8", "127.0.0.1")
    assert newest["updated_at"] == "2026-01-14T10:17:24Z"
    assert newest["before_value"]["max_budget_nanos"] == 1_000_000_000
    assert newest["updated_values"]["max_budget_nanos"] == 2_000_000_000
    assert (oldest["action"], oldest["changed_by"], oldest["before_value"]) == ("created", "default_user_id", None)
    assert good(await management.get(f"/audit/{newest['id']}")) == newest


async def test_an_unknown_entry_is_not_found(management: Management) -> None:
    answer = await management.get("/audit/nope")
    assert (answer.status_code, answer.json()) == (404, {"detail": {"message": "Audit log with ID nope not found"}})


async def test_entries_are_filtered(management: Management) -> None:
    good(await management.post("/budget/new", {"budget_id": "b1"}, litellm_changed_by="bob"))
    management.clock.advance(86_400)
    good(await management.post("/budget/delete", {"id": "b1"}))
    management.clock.advance(1)
    key = await management.new_key()
    for query, actions in (
        ({"changed_by": "bob"}, ["created"]),
        ({"action": "deleted"}, ["deleted"]),
        ({"table_name": "LiteLLM_BudgetTable"}, ["deleted", "created"]),
        ({"object_id": "b1"}, ["deleted", "created"]),
        ({"object_id": key["key"]}, ["created"]),
        ({"changed_by_api_key": key["key"]}, []),
        ({"end_date": "2026-01-14"}, ["created"]),
        ({"start_date": "2026-01-15"}, ["created", "deleted"]),
        ({"start_date": "2026-01-14T12:00:00+02:00", "end_date": "2026-01-14T10:17:23"}, ["created"]),
        ({"start_date": "2026-01-16"}, []),
        ({"action": "deleted", "changed_by": "bob"}, []),
    ):
        assert [row["action"] for row in await log(management, **query)] == actions, query


async def test_entries_are_sorted_and_in_pages(management: Management) -> None:
    for name in ("b", "c", "a"):
        management.clock.advance(1)
        good(await management.post("/budget/new", {"budget_id": name}))

    async def ids(**query: Any) -> list[str]:
        return [row["object_id"] for row in await log(management, **query)]

    assert await ids() == ["a", "c", "b"]
    assert await ids(sort_order="asc") == ["b", "c", "a"]
    assert await ids(sort_by="object_id", sort_order="asc") == ["a", "b", "c"]
    assert await ids(page=2, page_size=2) == ["b"]
    assert good(await management.get("/audit", page_size=2))["total_pages"] == 2


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"sort_by": "before"}, 422),
        ({"sort_order": "up"}, 422),
        ({"page": 0}, 422),
        ({"page_size": 101}, 422),
        ({"start_date": "yesterday"}, 400),
        ({"end_date": "2026-13-01"}, 400),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    query: dict[str, Any], status: int, management: Management
) -> None:
    assert (await management.get("/audit", **query)).status_code == status


async def test_viewers_may_look_and_others_may_not(management: Management) -> None:
    await store(management.services.engine, User, user_id="eve", user_role="proxy_admin_viewer")
    viewer = (await management.new_key(user_id="eve"))["key"]
    assert len(await log(management, by=viewer)) == 1
    error_of(await management.get("/audit", by=(await management.new_key())["key"]), 401)


async def test_secrets_are_masked(management: Management) -> None:
    made = await management.new_key(metadata={"vault": {"api_key": "canary-1"}, "password": "canary-2"})
    text = (await management.get("/audit")).text
    assert "canary" not in text
    assert made["key"] not in text
    assert '"password":"***"' in text


async def test_what_is_rolled_back_leaves_no_entry(management: Management) -> None:
    good(await management.post("/budget/new", {"budget_id": "b1"}))
    error_of(await management.post("/budget/new", {"budget_id": "b1"}), 400)
    assert len(await log(management)) == 1


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with open_management(tmp_path, stores_audit_log=False) as management:
        good(await management.post("/budget/new", {"budget_id": "b1"}))
        assert await log(management) == []
