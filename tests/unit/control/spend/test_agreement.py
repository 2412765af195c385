"""Every view adds up the same ledger: random records, and each sum must be that of the records to the nano-dollar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.databases import DATABASES
from tests.support.management import Management, good, open_management
from tests.support.records import make_record

from tollway.core.record import MASTER_KEY_ID, Charge, Record
from tollway.core.usage import Usage

DAY = 86_400_000_000
DATES = {"start_date": "2026-01-10", "end_date": "2026-01-14"}
KEYS = [MASTER_KEY_ID, "a" * 64, "b" * 64]


def nanos(dollars: float) -> int:
    return round(dollars * 1e9)


drawn: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    kind=st.sampled_from(["call", "call", "import", "adjustment"]),
    is_success=st.booleans(),
    status_code=st.sampled_from([429, 500]),
    key_hash=st.sampled_from(KEYS),
    user_id=st.sampled_from(["", "ada", "bob"]),
    team_id=st.sampled_from(["", "red", "blue"]),
    organization_id=st.sampled_from(["", "acme"]),
    end_user=st.sampled_from(["", "eve", "mallory"]),
    model=st.sampled_from(["small", "large"]),
    model_group=st.sampled_from(["cheap", "dear"]),
    model_id=st.sampled_from(["", "d-1"]),
    provider=st.sampled_from(["openai", "azure"]),
    tags=st.lists(st.sampled_from(["x", "y"]), max_size=3).map(tuple),
    session_id=st.sampled_from(["", "s"]),
    cost_nanos=st.integers(-(10**9), 10**12),
    usage=st.builds(Usage, input_tokens=st.integers(0, 10**6), output_tokens=st.integers(0, 10**6)),
    days_ago=st.integers(0, 4),
)


async def write(management: Management, fields: Iterable[dict[str, Any]]) -> list[Record]:
    now = int(management.clock() * 1e6)
    written = []
    for number, one in enumerate(fields):
        values = {name: value for name, value in one.items() if name != "days_ago"}
        at = now - one["days_ago"] * DAY + number
        record = make_record(at, charges=(Charge("api_key", one["key_hash"], 0),), **values)
        await management.journal.append(record)
        written.append(record)
    return written


def spent(records: Iterable[Record]) -> int:
    return sum(record.cost_nanos for record in records)


def by(records: Iterable[Record], name: Callable[[Record], str]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for record in records:
        sums[name(record)] += record.cost_nanos
    return dict(sums)


@pytest.mark.parametrize("database", DATABASES)
@given(fields=st.lists(drawn, max_size=14))
@settings(max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_view_agrees_to_the_nano_dollar(
    tmp_path_factory: pytest.TempPathFactory, database: str, fields: list[dict[str, Any]]
) -> None:
    async with open_management(tmp_path_factory.mktemp("spend"), database) as management:
        records = await write(management, fields)
        calls = [record for record in records if record.kind != "adjustment"]
        await check_totals(management, calls)
        await check_groups(management, calls)
        await check_reports(management, calls)
        await check_activity(management, calls)
        await check_logs(management, calls)
        # Budgets are about windows, and there adjustments count.
        charges = [Charge("api_key", key, 0) for key in KEYS]
        in_windows = await management.services.spend.window_spend(charges)
        assert in_windows == [spent(record for record in records if record.key_hash == key) for key in KEYS]


async def check_totals(management: Management, calls: list[Record]) -> None:
    assert nanos(good(await management.get("/global/spend", **DATES))["spend"]) == spent(calls)
    days = good(await management.get("/global/spend/logs", **DATES))
    assert sum(nanos(day["spend"]) for day in days) == spent(calls)
    activity = good(await management.get("/global/activity", **DATES))
    assert activity["sum_api_requests"] == len(calls)
    assert activity["sum_total_tokens"] == sum(record.usage.total_tokens for record in calls)
    assert sum(day["api_requests"] for day in activity["daily_data"]) == len(calls)
    models = good(await management.get("/global/activity/model", **DATES))
    assert {one["model"]: one["sum_api_requests"] for one in models} == Counter(one.model_group for one in calls)
    refused = [record for record in calls if not record.is_success and record.status_code == 429]
    for group in ("cheap", "dear"):
        query = DATES | {"model_group": group}
        found = good(await management.get("/global/activity/exceptions", **query))
        expected = [record for record in refused if record.model_group == group]
        assert found["sum_num_rate_limit_exceptions"] == len(expected)
        deployments = good(await management.get("/global/activity/exceptions/deployment", **query))
        served = sum(one["sum_num_rate_limit_exceptions"] for one in deployments)
        assert served == sum(record.model_id == "d-1" for record in expected)


async def check_groups(management: Management, calls: list[Record]) -> None:
    keys = good(await management.get("/global/spend/keys", **DATES))
    assert {row["api_key"]: nanos(row["total_spend"]) for row in keys} == by(calls, lambda one: one.key_hash)
    models = good(await management.get("/global/spend/models", **DATES))
    expected = by(calls, lambda one: f"{one.provider}/{one.model}")
    assert {row["model"]: nanos(row["total_spend"]) for row in models} == expected
    providers = good(await management.get("/global/spend/provider", **DATES))
    assert {row["provider"]: nanos(row["spend"]) for row in providers} == by(calls, lambda one: one.provider)
    teams = good(await management.get("/global/spend/teams", **DATES))["total_spend_per_team"]
    assert sum(nanos(row["total_spend"]) for row in teams) == spent(calls)
    tagged = {tag: spent(one for one in calls if tag in one.tags) for tag in {tag for one in calls for tag in one.tags}}
    for path, name, figure in (
        ("/global/spend/tags", "name", "spend"),
        ("/spend/tags", "individual_request_tag", "total_spend"),
    ):
        tags = good(await management.get(path, **DATES))
        assert {row[name]: nanos(row[figure]) for row in tags} == tagged
    assert good(await management.get("/global/spend/all_tag_names")) == {"tag_names": sorted(tagged)}
    of_customers = [record for record in calls if record.end_user]
    ranked = good(await management.post("/global/spend/end_users", {}))
    assert {row["end_user"]: nanos(row["total_spend"]) for row in ranked} == by(of_customers, lambda one: one.end_user)
    named = {record.end_user for record in of_customers}
    assert good(await management.get("/global/all_end_users")) == {"end_users": sorted(named)}


async def check_reports(management: Management, calls: list[Record]) -> None:
    async def report(**query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = good(await management.get("/global/spend/report", **DATES, **query))
        return rows

    keys = await report(group_by="api_key")
    assert {row["api_key"]: nanos(row["total_cost"]) for row in keys} == by(calls, lambda one: one.key_hash)
    for row in keys:
        assert sum(nanos(model["total_cost"]) for model in row["model_details"]) == nanos(row["total_cost"])
    of_ada = [record for record in calls if record.user_id == "ada"]
    assert sum(nanos(row["total_cost"]) for row in await report(internal_user_id="ada")) == spent(of_ada)
    for grouping, part in (("team", calls), ("customer", [record for record in calls if record.end_user])):
        found = [one for day in await report(group_by=grouping) for one in day[f"{grouping}s"]]
        assert sum(nanos(one["total_spend"]) for one in found) == spent(part)
        assert sum(nanos(model["spend"]) for one in found for model in one["metadata"]) == spent(part)
    red = [record for record in calls if record.team_id == "red"]
    for rows in (await report(team_id="red"),):
        assert sum(nanos(team["total_spend"]) for day in rows for team in day["teams"]) == spent(red)
    for path, name, value, part in (
        ("key", "api_key", KEYS[1], [record for record in calls if record.key_hash == KEYS[1]]),
        ("user", "user_id", "ada", of_ada),
        ("team", "team_id", "red", red),
        ("organization", "organization_id", "acme", [record for record in calls if record.organization_id == "acme"]),
    ):
        (row,) = good(await management.get(f"/{path}/spend/report", **DATES, **{name: value}))
        assert (row[name], nanos(row["total_cost"])) == (value, spent(part))
    members = good(await management.get("/team/spend/by_user", **DATES, team_id="red"))["users"]
    assert {one["user_id"] or "": nanos(one["spend"]) for one in members} == by(red, lambda one: one.user_id)


async def check_activity(management: Management, calls: list[Record]) -> None:
    parts: dict[str, Callable[[Record], bool]] = {
        "/user/daily/activity": lambda one: True,
        "/user/daily/activity?user_id=ada": lambda one: one.user_id == "ada",
        "/team/daily/activity": lambda one: bool(one.team_id),
        "/team/daily/activity?team_ids=red,blue": lambda one: one.team_id in ("red", "blue"),
        f"/team/daily/activity?team_ids=red&api_key={KEYS[1]}": lambda one: (
            one.team_id == "red" and one.key_hash == KEYS[1]
        ),
        "/organization/daily/activity": lambda one: bool(one.organization_id),
        "/tag/daily/activity": lambda one: bool(one.tags),
        "/tag/daily/activity?tags=x": lambda one: "x" in one.tags,
        "/customer/daily/activity": lambda one: bool(one.end_user),
        "/end_user/daily/activity?end_user_ids=eve": lambda one: one.end_user == "eve",
        "/user/daily/activity?model=dear": lambda one: one.model_group == "dear",
    }
    for path, belongs in parts.items():
        part = [record for record in calls if belongs(record)]
        bare, _, query = path.partition("?")
        for form in ("", "/aggregated"):
            parameters = dict(pair.split("=") for pair in query.split("&") if pair)
            body = good(await management.get(bare + form, **DATES, **parameters))
            assert nanos(body["metadata"]["total_spend"]) == spent(part), path
            assert body["metadata"]["total_api_requests"] == len(part), path
            for name in ("models", "model_groups", "providers", "endpoints"):
                found = [one for day in body["results"] for one in day["breakdown"][name].values()]
                assert sum(nanos(one["metrics"]["spend"]) for one in found) == spent(part), (path, name)


async def check_logs(management: Management, calls: list[Record]) -> None:
    rows = good(await management.get("/spend/logs"))
    assert sum(nanos(row["spend"]) for row in rows) == spent(calls)
    for query, part in (
        ({}, calls),
        ({"api_key": KEYS[1]}, [record for record in calls if record.key_hash == KEYS[1]]),
        ({"user_id": "ada"}, [record for record in calls if record.user_id == "ada"]),
    ):
        days = good(await management.get("/spend/logs", **DATES, **query))
        assert len(days) == 5
        assert sum(nanos(day["spend"]) for day in days) == spent(part)
        for name in ("models", "users"):
            assert sum(nanos(dollars) for day in days for dollars in day[name].values() if dollars) in (
                spent(part),
                spent(record for record in part if record.user_id),
            )
        by_key = {key: sum(nanos(day.get(key, 0.0)) for day in days) for key in KEYS}
        assert {key: value for key, value in by_key.items() if value} == {
            key: value for key, value in by(part, lambda one: one.key_hash).items() if value
        }
    times = {"start_date": "2026-01-10 00:00:00", "end_date": "2026-01-14 23:59:59"}
    for filters, part in (
        ({}, calls),
        ({"team_id": "red"}, [record for record in calls if record.team_id == "red"]),
        (
            {"end_user": "eve", "model": "large"},
            [one for one in calls if (one.end_user, one.model) == ("eve", "large")],
        ),
        ({"status_filter": "failure"}, [record for record in calls if not record.is_success]),
    ):
        page = good(await management.get("/spend/logs/v2", **times, **filters, page_size=1000))
        assert (page["total"], sum(nanos(row["spend"]) for row in page["data"])) == (len(part), spent(part))
