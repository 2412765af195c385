"""Who sees whose spend: admins and viewers everything, everybody else what is theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from tests.support.management import Management, error_of, good, open_management

from tollway.db.engine import writing
from tollway.db.organizations import organization_members, organizations
from tollway.db.teams import team_members, teams
from tollway.db.users import users

DATES = {"start_date": "2026-01-14", "end_date": "2026-01-14"}
TIMES = {"start_date": "2026-01-14 00:00:00", "end_date": "2026-01-14 23:59:59"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HISTORY = {"created_at": NOW, "updated_at": NOW}
ADA, BOB, ROOT, VIEWER, CEO, NOBODY = (f"sk-{name}-0123456789" for name in ("ada", "bob", "root", "view", "ceo", "no"))


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Management]:
    """Ada administers the red team of Acme, whose admin is the CEO; Bob is a plain member of red and of blue.

    Each has spent one dollar with a personal key, Ada and Bob ten dollars each for the red team, Bob 100 for blue.
    """
    async with open_management(tmp_path) as management:
        async with writing(management.services.engine) as connection:
            for user_id, role in (
                *(("ada", "internal_user"), ("bob", "internal_user"), ("root", "proxy_admin")),
                *(("view", "proxy_admin_viewer"), ("ceo", "internal_user"), ("no", "internal_user")),
            ):
                row = {"models": [], "metadata": {}, "options": {}, **HISTORY}
                await connection.execute(insert(users).values(user_id=user_id, user_role=role, **row))
            for team_id, permissions in (("red", []), ("blue", ["/team/daily/activity*", "/spend/logs"])):
                row = {"models": [], "model_aliases": {}, "metadata": {}, "options": {}, **HISTORY}
                owner = {"team_id": team_id, "organization_id": "acme" if team_id == "red" else None}
                await connection.execute(insert(teams).values(member_permissions=permissions, **owner, **row))
            for team_id, user_id, role in (("red", "ada", "admin"), ("red", "bob", "user"), ("blue", "bob", "user")):
                member = {"team_id": team_id, "user_id": user_id, "role": role, "created_at": NOW}
                await connection.execute(insert(team_members).values(**member))
            acme = {"organization_id": "acme", "models": [], "metadata": {}, "options": {}, **HISTORY}
            await connection.execute(insert(organizations).values(**acme))
            belonging = {"organization_id": "acme", "user_id": "ceo", "role": "org_admin", **HISTORY}
            await connection.execute(insert(organization_members).values(**belonging))
        for key, user_id in zip(
            (ADA, BOB, ROOT, VIEWER, CEO, NOBODY), ("ada", "bob", "root", "view", "ceo", "no"), strict=True
        ):
            await management.new_key(key=key, user_id=user_id)
            await management.spend(key, 1)
        for user_id, team_id, dollars in (("ada", "red", 10), ("bob", "red", 10), ("bob", "blue", 100)):
            made = await management.new_key(user_id=user_id, team_id=team_id)
            organization = "acme" if team_id == "red" else ""
            await management.spend(made["key"], dollars, team_id=team_id, organization_id=organization)
        yield management


EVERYTHING = 126.0


@pytest.mark.parametrize(
    ("by", "query", "dollars"),
    [
        (ROOT, {}, EVERYTHING),
        (VIEWER, {}, EVERYTHING),
        (VIEWER, {"user_id": "bob"}, 111.0),
        (ADA, {}, 11.0),
        (ADA, {"user_id": "ada"}, 11.0),
        (BOB, {}, 111.0),
        (NOBODY, {}, 1.0),
    ],
)
async def test_users_see_their_own_days(by: str, query: dict[str, str], dollars: float, company: Management) -> None:
    body = good(await company.get("/user/daily/activity", by=by, **DATES, **query))
    assert body["metadata"]["total_spend"] == dollars


@pytest.mark.parametrize(
    ("by", "query", "dollars"),
    [
        (ROOT, {}, 120.0),
        (VIEWER, {"team_ids": "blue"}, 100.0),
        (ADA, {}, 20.0),
        (ADA, {"team_ids": "red"}, 20.0),
        (BOB, {}, 100.0),
        (BOB, {"team_ids": "blue"}, 100.0),
        (CEO, {}, 20.0),
        (CEO, {"team_ids": "red"}, 20.0),
        (NOBODY, {}, 0.0),
    ],
)
async def test_teams_are_seen_by_their_admins_and_permitted_members(
    by: str, query: dict[str, str], dollars: float, company: Management
) -> None:
    body = good(await company.get("/team/daily/activity", by=by, **DATES, **query))
    assert body["metadata"]["total_spend"] == dollars


@pytest.mark.parametrize(("by", "dollars"), [(ROOT, 20.0), (VIEWER, 20.0), (CEO, 20.0), (ADA, 0.0), (NOBODY, 0.0)])
async def test_organizations_are_seen_by_their_admins(by: str, dollars: float, company: Management) -> None:
    body = good(await company.get("/organization/daily/activity", by=by, **DATES))
    assert body["metadata"]["total_spend"] == dollars


@pytest.mark.parametrize(
    ("by", "path", "query"),
    [
        (ADA, "/user/daily/activity", {"user_id": "bob"}),
        (BOB, "/team/daily/activity", {"team_ids": "red"}),
        (ADA, "/team/daily/activity", {"team_ids": "red,blue"}),
        (ADA, "/organization/daily/activity", {"organization_ids": "acme"}),
        (ADA, "/key/spend/report", {"api_key": BOB}),
        (ADA, "/user/spend/report", {"user_id": "bob"}),
        (ADA, "/team/spend/report", {"team_id": "blue"}),
        (ADA, "/team/spend/by_user", {"team_id": "blue"}),
        (ADA, "/organization/spend/report", {"organization_id": "acme"}),
        (ADA, "/spend/logs", {"api_key": BOB}),
        (ADA, "/spend/logs", {"user_id": "bob"}),
        (ADA, "/spend/users", {"user_id": "bob"}),
        (ADA, "/global/spend/logs", {"api_key": BOB}),
    ],
)
async def test_what_belongs_to_others_is_refused(
    by: str, path: str, query: dict[str, str], company: Management
) -> None:
    error_of(await company.get(path, by=by, **DATES, **query), 403)


async def test_a_team_admin_sees_the_keys_of_the_team(company: Management) -> None:
    keys = good(await company.get("/key/list", team_id="red"))["keys"]
    reports = [good(await company.get("/key/spend/report", by=ADA, **DATES, api_key=key)) for key in keys]
    assert [report[0]["total_cost"] for report in reports] == [10.0, 10.0]


@pytest.mark.parametrize(
    ("by", "query", "count"),
    [
        (ROOT, {}, 9),
        (VIEWER, {}, 9),
        (ADA, {}, 2),
        (ADA, {"team_id": "red"}, 2),
        (BOB, {"team_id": "blue"}, 1),
        (CEO, {"team_id": "red"}, 2),
        (NOBODY, {}, 1),
        (NOBODY, {"model": "gpt-4o"}, 1),
        (NOBODY, {"request_id": "unknown"}, 0),
    ],
)
async def test_single_calls_are_shown_to_whom_they_belong(
    by: str, query: dict[str, Any], count: int, company: Management
) -> None:
    body = good(await company.get("/spend/logs/v2", by=by, **TIMES, **query))
    assert (body["total"], len(body["data"])) == (count, count)


async def test_nobody_finds_the_call_of_another_by_its_id(company: Management) -> None:
    of_bob = good(await company.get("/spend/logs/v2", by=BOB, **TIMES))["data"][0]["request_id"]
    assert good(await company.get(f"/spend/logs/ui/{of_bob}", by=NOBODY)) is None
    assert good(await company.get("/spend/logs", by=NOBODY, request_id=of_bob)) == []
    error_of(await company.get("/spend/logs/v2", by=NOBODY, **TIMES, team_id="red"), 403)


GLOBAL = (
    *("/global/spend", "/global/spend/keys", "/global/spend/models", "/global/spend/teams", "/global/spend/provider"),
    *("/global/spend/tags", "/global/spend/all_tag_names", "/global/all_end_users", "/global/spend/report"),
    "/spend/tags",
)


@pytest.mark.parametrize("path", GLOBAL)
async def test_global_views_are_for_those_who_see_everything_and_keys_that_were_let(
    path: str, company: Management
) -> None:
    let = (await company.new_key(user_id="no", permissions={"get_spend_routes": True}))["key"]
    for key in (ROOT, VIEWER, let):
        good(await company.get(path, by=key, **DATES))
    for key in (ADA, CEO, NOBODY):
        assert "Only proxy admin" in error_of(await company.get(path, by=key, **DATES), 401)["message"]


async def test_charts_show_everybody_their_own(company: Management) -> None:
    for key, calls in ((VIEWER, 9), (ADA, 2), (BOB, 3)):
        assert good(await company.get("/global/activity", by=key, **DATES))["sum_api_requests"] == calls
        assert good(await company.get("/global/activity/model", by=key, **DATES))[0]["sum_api_requests"] == calls
    assert [row["spend"] for row in good(await company.get("/global/spend/logs", by=ADA))] == [11.0]


async def test_users_are_listed_dearest_first_and_others_see_themselves(company: Management) -> None:
    rows = good(await company.get("/spend/users"))
    assert {row["user_id"] for row in rows} == {"ada", "bob", "root", "view", "ceo", "no"}
    (own,) = good(await company.get("/spend/users", by=BOB))
    assert (own["user_id"], own["teams"], own["user_role"]) == ("bob", ["blue", "red"], "internal_user")


async def test_the_master_key_alone_resets_everybody(company: Management) -> None:
    error_of(await company.post("/global/spend/reset", by=ROOT), 403)
    error_of(await company.post("/global/spend/reset", by=VIEWER), 401)
