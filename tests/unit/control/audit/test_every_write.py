"""Every route of the role matrix that changes something leaves an entry in the audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.support.management import MASTER_KEY, Management, bearer, good, open_management
from tests.support.rows import store

from tollway.control.api import role_matrix
from tollway.db.audit import audit_log
from tollway.db.engine import reading
from tollway.stores.sql.rows import Team

QUESTIONS = {
    *("/v2/key/info", "/key/health", "/spend/calculate", "/budget/info", "/organization/info"),
}
"""Paths that are posted to, and change nothing."""

Prepare = Callable[[Management], Awaitable[tuple[str, Any]]]
"""Makes what a request needs; the path and body to send then."""


async def _key(management: Management) -> str:
    key: str = (await management.new_key())["key"]
    return key


async def _organization(management: Management) -> None:
    good(await management.post("/organization/new", {"organization_id": "o", "organization_alias": "o"}))


async def _member(management: Management) -> None:
    await _organization(management)
    member = {"role": "internal_user", "user_id": "u"}
    good(await management.post("/organization/member_add", {"organization_id": "o", "member": member}))


async def _team(management: Management) -> None:
    await store(management.services.engine, Team, team_id="t")


async def _project(management: Management) -> None:
    await _team(management)
    good(await management.post("/project/new", {"team_id": "t", "project_id": "p"}))


async def _budget(management: Management) -> None:
    good(await management.post("/budget/new", {"budget_id": "b"}))


async def _nothing(_management: Management) -> None:
    pass


def of_key(path: str, **fields: Any) -> Prepare:
    async def prepare(management: Management) -> tuple[str, Any]:
        key = await _key(management)
        if "{key}" in path:
            return path.replace("{key}", key), fields
        named = {"/key/delete": {"keys": [key]}, "/key/bulk_update": {"keys": [{"key": key, "max_budget": 1}]}}
        return path, {**fields, **named.get(path, {"key": key})}

    return prepare


def after(setup: Callable[[Management], Awaitable[None]], path: str, **body: Any) -> Prepare:
    async def prepare(management: Management) -> tuple[str, Any]:
        await setup(management)
        return path, body

    return prepare


_IN = {"organization_id": "o", "user_id": "u"}

WRITES: dict[tuple[str, str], Prepare] = {
    ("POST", "/key/generate"): after(_nothing, "/key/generate"),
    ("POST", "/key/service-account/generate"): after(_team, "/key/service-account/generate", team_id="t"),
    ("POST", "/key/bulk_update"): of_key("/key/bulk_update"),
    ("POST", "/key/update"): of_key("/key/update", max_budget=1),
    ("POST", "/key/delete"): of_key("/key/delete"),
    ("POST", "/key/block"): of_key("/key/block"),
    ("POST", "/key/unblock"): of_key("/key/unblock"),
    ("POST", "/key/regenerate"): of_key("/key/regenerate"),
    ("POST", "/key/{key}/regenerate"): of_key("/key/{key}/regenerate"),
    ("POST", "/key/{key}/reset_spend"): of_key("/key/{key}/reset_spend", reset_to=0),
    ("POST", "/budget/new"): after(_nothing, "/budget/new"),
    ("POST", "/budget/update"): after(_budget, "/budget/update", budget_id="b", max_budget=1),
    ("POST", "/budget/delete"): after(_budget, "/budget/delete", id="b"),
    ("POST", "/organization/new"): after(_nothing, "/organization/new", organization_alias="o"),
    ("PATCH", "/organization/update"): after(_organization, "/organization/update", organization_id="o"),
    ("PATCH", "/v2/organization/{organization_id}"): after(_organization, "/v2/organization/o"),
    ("DELETE", "/organization/delete"): after(_organization, "/organization/delete", organization_ids=["o"]),
    ("POST", "/organization/member_add"): after(
        _organization,
        "/organization/member_add",
        organization_id="o",
        member={"role": "org_admin", "user_email": "u@x.io"},
    ),
    ("PATCH", "/organization/member_update"): after(_member, "/organization/member_update", **_IN),
    ("DELETE", "/organization/member_delete"): after(_member, "/organization/member_delete", **_IN),
    ("POST", "/project/new"): after(_team, "/project/new", team_id="t"),
    ("POST", "/project/update"): after(_project, "/project/update", project_id="p", blocked=True),
    ("DELETE", "/project/delete"): after(_project, "/project/delete", project_ids=["p"]),
}
"""A request that succeeds, for each route that changes something."""


def test_every_route_that_changes_something_is_tried() -> None:
    writes = {(method, path) for method, path in role_matrix() if method != "GET" and path not in QUESTIONS}
    assert writes == set(WRITES)


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_write_leaves_an_entry(method: str, path: str, tmp_path: Path) -> None:
    async with open_management(tmp_path) as management:
        target, body = await WRITES[method, path](management)
        management.clock.advance(1)
        headers = bearer(MASTER_KEY) | {"litellm-changed-by": "ada", "user-agent": "a-test"}
        good(await management.client.request(method, target, json=body, headers=headers))
        async with reading(management.services.engine) as connection:
            query = select(audit_log).where(audit_log.c.changed_by == "ada")
            rows = (await connection.execute(query)).all()
    assert rows, f"{method} {path} leaves nothing in the audit log"
    for row in rows:
        assert row.action in {"created", "updated", "deleted", "blocked", "unblocked", "rotated"}
        assert (row.client_ip, row.user_agent, row.changed_by_key) == ("127.0.0.1", "a-test", rows[0].changed_by_key)
        assert (row.before is None) == (row.action == "created")
        assert (row.after is None) == (row.action == "deleted")
        assert row.resource.startswith("LiteLLM_")
