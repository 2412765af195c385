"""The shapes of the spend views, what they do with dates that are none, and that none of them reads a whole table."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import Any

import pytest
from bench.ledger_views import VIEWS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support.databases import DATABASES
from tests.support.management import MASTER_KEY, Management, error_of, good, open_management
from tests.support.records import make_record

from tollway.control.spend.reports import report_limit
from tollway.core.record import Charge, Record
from tollway.core.usage import Usage
from tollway.ports.spend import Days
from tollway.stores.sql.ledger import SqlLedgerStore

DATES = {"start_date": "2026-01-14", "end_date": "2026-01-14"}
DAY = 86_400_000_000
LAST = 1_768_385_842_000_100
"""2026-01-14 10:17:22.0001 UTC in microseconds."""
SPANS = (
    ("2026-01-12 10:17:21", "2026-01-14 10:17:22"),
    ("2026-01-12 00:00:00", "2026-01-15 00:00:00"),
    ("2026-01-13 10:17:22", "2026-01-13 23:59:59"),
    ("2026-01-14 10:17:22", "2026-01-14 10:17:22"),
)
METRICS = {
    "spend": 1.5,
    "flat_cost": 0.0,
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "cache_read_input_tokens": 2,
    "cache_creation_input_tokens": 4,
    "compression_saved_tokens": 0,
    "compression_savings_spend": 0.0,
    "prompt_caching_savings_spend": 0.0,
    "gateway_injected_caching_savings_spend": 0.0,
    "autorouter_savings_spend": 0.0,
    "total_tokens": 15,
    "successful_requests": 1,
    "failed_requests": 0,
    "api_requests": 1,
    "total_response_time_ms": 250,
    "timed_requests": 1,
}


@pytest.fixture
async def one_call(management: Management) -> Management:
    """A call by Ada's key for the red team."""
    key = (await management.new_key(key="sk-ada-0123456789", user_id="ada", team_id="red", key_alias="al"))["key"]
    usage = Usage(input_tokens=10, cache_read_tokens=2, cache_write_tokens=1, cache_write_1h_tokens=3, output_tokens=5)
    await management.spend(
        key,
        1.5,
        usage=usage,
        team_id="red",
        end_user="eve",
        tags=("blue",),
        session_id="s",
        model_id="d-1",
        response_id="r-1",
    )
    return management


@pytest.mark.parametrize("kind", ["user", "team", "organization", "tag", "customer", "end_user"])
@pytest.mark.parametrize("form", ["", "/aggregated"])
async def test_an_empty_day_looks_like_the_contracts(kind: str, form: str, management: Management) -> None:
    body = good(await management.get(f"/{kind}/daily/activity{form}", **DATES))
    assert body == {
        "results": [],
        "metadata": {
            **{name if name.startswith("total_") else f"total_{name}": value * 0 for name, value in METRICS.items()},
            "page": 1,
            "total_pages": 0,
            "has_more": False,
            "api_key_limit": None,
            "total_api_keys": None,
            "entity_total_api_keys": None,
        },
    }


async def test_a_day_is_broken_down(one_call: Management) -> None:
    body = good(await one_call.get("/team/daily/activity", **DATES, team_ids="red"))
    key_hash = good(await one_call.get("/key/list"))["keys"][0]
    named = {"key_alias": "al", "team_id": "red", "user_id": "ada", "user_email": None, "key_exists": True}
    by_key = {key_hash: {"metrics": METRICS, "metadata": named}}
    entry = {"metrics": METRICS, "metadata": {}, "api_key_breakdown": by_key}
    assert body["results"] == [
        {
            "date": "2026-01-14",
            "metrics": METRICS,
            "breakdown": {
                "mcp_servers": {},
                "models": {"gpt-4o": entry},
                "model_groups": {"gpt-4o": entry},
                "providers": {"openai": entry},
                "endpoints": {"/chat/completions": entry},
                "api_keys": by_key,
                "entities": {"red": entry},
            },
        }
    ]
    assert body["metadata"]["total_spend"] == 1.5
    assert (body["metadata"]["page"], body["metadata"]["total_pages"], body["metadata"]["has_more"]) == (1, 1, False)


async def test_pages_are_pages_of_days_newest_first(management: Management) -> None:
    key = (await management.new_key())["key"]
    for dollars in (1, 2, 3):
        await management.spend(key, dollars)
        management.clock.advance(86_400)
    query: dict[str, Any] = {"start_date": "2026-01-14", "end_date": "2026-01-20", "page_size": 2}
    pages = [good(await management.get("/user/daily/activity", **query, page=page)) for page in (1, 2, 3)]
    assert [[day["date"] for day in page["results"]] for page in pages] == [
        ["2026-01-16", "2026-01-15"],
        ["2026-01-14"],
        [],
    ]
    assert [page["metadata"]["total_spend"] for page in pages] == [5.0, 1.0, 0.0]
    assert [page["metadata"]["has_more"] for page in pages] == [True, False, False]


async def test_reports_have_the_contracts_shape(one_call: Management) -> None:
    key_hash = good(await one_call.get("/key/list"))["keys"][0]
    models = [{"model": "gpt-4o", "total_cost": 1.5, "total_input_tokens": 10, "total_output_tokens": 5}]
    totals = {"total_cost": 1.5, "total_input_tokens": 10, "total_output_tokens": 5, "model_details": models}
    metadata = [{"model": "gpt-4o", "spend": 1.5, "total_tokens": 15, "api_key": None}]

    async def report(**query: str) -> Any:
        return good(await one_call.get("/global/spend/report", **DATES, **query))

    assert await report(group_by="api_key") == [{"api_key": key_hash, **totals}]
    assert await report(api_key="sk-ada-0123456789") == [{"api_key": key_hash, **totals}]
    assert await report(group_by="team") == [
        {
            "group_by_day": "2026-01-14",
            "teams": [{"team_name": "red", "team_id": "red", "total_spend": 1.5, "metadata": metadata}],
        }
    ]
    assert await report(group_by="customer") == [
        {"group_by_day": "2026-01-14", "customers": [{"customer": "eve", "total_spend": 1.5, "metadata": metadata}]}
    ]
    assert (await one_call.get("/global/spend/report", **DATES, group_by="planet")).status_code == 422
    assert good(await one_call.get("/user/spend/report", **DATES, user_id="ada")) == [{"user_id": "ada", **totals}]


async def test_a_long_report_says_what_it_leaves_out(management: Management) -> None:
    now = int(management.clock() * 1e6)
    store = SqlLedgerStore(management.services.engine)
    await store.insert([make_record(now + n, end_user=f"c-{n}", cost_nanos=10**9 * (n + 1)) for n in range(3)])
    answer = await management.get("/global/spend/report", **DATES, group_by="customer", limit=1)
    assert [one["customer"] for one in good(answer)[0]["customers"]] == ["c-2"]
    assert answer.headers["x-tollway-warning"] == (
        "only the 1 dearest are listed; 2 calls of others, 3.0 dollars, are left out: raise limit to see more"
    )


async def test_charts_have_the_contracts_shape(one_call: Management) -> None:
    await one_call.spend("sk-ada-0123456789", 0, is_success=False, status_code=429, model_id="d-1", usage=Usage())
    chart = {
        "daily_data": [{"date": "Jan 14", "api_requests": 2, "total_tokens": 15}],
        "sum_api_requests": 2,
        "sum_total_tokens": 15,
    }
    refused = {
        "daily_data": [{"date": "Jan 14", "num_rate_limit_exceptions": 1}],
        "sum_num_rate_limit_exceptions": 1,
    }
    query = DATES | {"model_group": "gpt-4o"}
    assert good(await one_call.get("/global/activity", **DATES)) == chart
    assert good(await one_call.get("/global/activity/model", **DATES)) == [{"model": "gpt-4o", **chart}]
    assert good(await one_call.get("/global/activity/exceptions", **query)) == refused
    (deployment,) = good(await one_call.get("/global/activity/exceptions/deployment", **query))
    assert deployment == {"api_base": "d-1", "model_id": "d-1", **refused}
    assert good(await one_call.get("/global/activity/cache_hits", **DATES)) == [
        {
            "api_key": "al",
            "call_type": "acompletion",
            "model": "gpt-4o",
            "total_rows": 2,
            "cache_hit_true_rows": 0,
            "cached_completion_tokens": 0,
            "generated_completion_tokens": 5,
        }
    ]


async def test_lists_have_the_contracts_shape(one_call: Management) -> None:
    key_hash = good(await one_call.get("/key/list"))["keys"][0]
    key = {"api_key": key_hash, "key_alias": "al", "key_name": "sk-...6789"}
    assert good(await one_call.get("/global/spend/logs")) == [{"date": "2026-01-14", "spend": 1.5}]
    assert good(await one_call.get("/global/spend/logs", api_key=key_hash)) == [
        {"date": "2026-01-14", "spend": 1.5, **key}
    ]
    assert good(await one_call.get("/global/spend/teams")) == {
        "daily_spend": [{"date": "2026-01-14", "Unassigned": 1.5}],
        "teams": ["Unassigned"],
        "total_spend_per_team": [{"team_id": "Unassigned", "total_spend": 1.5}],
    }
    assert good(await one_call.get("/spend/tags")) == [
        {"individual_request_tag": "blue", "log_count": 1, "total_spend": 1.5}
    ]
    assert good(await one_call.get("/global/spend/tags", tags="red, green")) == []
    of_key = {"api_key": key_hash, "startTime": "2026-01-14", "endTime": "2026-01-14"}
    for body in (None, {}, of_key):
        assert good(await one_call.post("/global/spend/end_users", body)) == [
            {"end_user": "eve", "total_count": 1, "total_spend": 1.5}
        ]
    assert good(await one_call.get("/provider/budgets")) == {"providers": {}}
    assert good(await one_call.post("/global/spend/refresh"))["status"] == "success"


TIMES = {"start_date": "2026-01-14 00:00:00", "end_date": "2026-01-14 23:59:59"}


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ({}, True),
        ({"key_alias": "al"}, True),
        ({"key_alias": "other"}, False),
        ({"api_key": "sk-ada-0123456789", "team_id": "red", "end_user": "eve"}, True),
        ({"request_id": "r-1", "session_id": "s"}, True),
        ({"model": "gpt-4o", "model_id": "d-1", "model_group": "gpt-4o"}, True),
        ({"min_spend": 1.5, "max_spend": 1.5}, True),
        ({"min_spend": 1.6}, False),
        ({"status_filter": "success", "cache_hit_filter": "miss"}, True),
        ({"status_filter": "failure"}, False),
        ({"cache_hit_filter": "hit"}, False),
        ({"error_code": "429"}, False),
        ({"error_code": "RateLimitError"}, False),
        ({"error_message": "x"}, False),
        ({"user_id": "bob"}, False),
        ({"end_date": "2026-01-14 10:17:22"}, False),
        ({"start_date": "2026-01-14 10:17:23", "end_date": "2026-01-14 10:17:23"}, True),
    ],
)
async def test_pages_of_calls_are_filtered(query: dict[str, Any], is_found: bool, one_call: Management) -> None:
    for path in ("/spend/logs/v2", "/spend/logs/ui"):
        body = good(await one_call.get(path, **TIMES | query))
        assert [row["request_id"] for row in body["data"]] == ["r-1"] * is_found
        assert {name: body[name] for name in body if name != "data"} == {
            "total": int(is_found),
            "page": 1,
            "page_size": 50,
            "total_pages": int(is_found),
            "is_truncated": False,
        }


@pytest.mark.parametrize("database", DATABASES)
@given(
    written=st.lists(
        st.builds(
            make_record,
            # Few moments, some of them shared, and most of them in one small part of a day.
            st.integers(0, 30).map(lambda number: LAST - number % 3 * DAY - number * 7),
            record_id=st.uuids().map(str),
            kind=st.sampled_from(["call", "call", "call", "import", "adjustment"]),
            team_id=st.sampled_from(["red", "blue"]),
            charges=st.just(()),
        ),
        max_size=40,
    ),
    spans=st.lists(st.sampled_from(SPANS), min_size=1, max_size=3, unique=True),
    size=st.integers(1, 9),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_page_is_the_same_however_deep_it_is(
    tmp_path_factory: pytest.TempPathFactory,
    database: str,
    written: list[Record],
    spans: list[tuple[str, str]],
    size: int,
) -> None:
    async with open_management(tmp_path_factory.mktemp("pages"), database) as management:
        await SqlLedgerStore(management.services.engine).insert(written)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("tollway.control.spend.logs._DEEP", 2)
            for (first, last), filters in itertools.product(spans, ({}, {"team_id": "red"})):
                expected = [record.record_id for record in found_in(written, first, last, filters)]
                query: dict[str, Any] = {"start_date": first, "end_date": last, "page_size": size, **filters}
                for order, ids in (("desc", expected[::-1]), ("asc", expected)):
                    for page in range(1, len(ids) // size + 3):
                        body = good(await management.get("/spend/logs/v2", **query, page=page, sort_order=order))
                        shown = [row["request_id"] for row in body["data"]]
                        assert shown == ids[page * size - size : page * size], (query, order, page)
                        assert body["total"] == len(ids)


def found_in(written: list[Record], first: str, last: str, filters: dict[str, str]) -> list[Record]:
    """Calls and imports of a span whose last second belongs to it, oldest first."""
    start, end = (datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1e6 for text in (first, last))
    found = [one for one in written if one.kind != "adjustment" and start <= one.started_at < end + 1e6]
    return sorted(
        (one for one in found if all(getattr(one, name) == value for name, value in filters.items())),
        key=attrgetter("started_at", "record_id"),
    )


async def test_a_search_that_stops_early_says_so(one_call: Management, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("records", "spend"):
        monkeypatch.setattr(f"tollway.stores.sql.{module}.LOOKED_THROUGH", 1)
    answer = await one_call.get("/spend/logs/v2", **TIMES, model="gpt-4o")
    assert good(answer)["is_truncated"] is True
    assert answer.headers["x-litellm-spend-logs-truncated"] == "true"
    assert "narrow the dates" in answer.headers["x-tollway-warning"]


async def test_single_calls_and_sessions(one_call: Management) -> None:
    empty: dict[str, Any] = {"messages": {}, "response": {}, "proxy_server_request": {}}
    assert good(await one_call.get("/spend/logs/ui/r-1")) == empty
    assert good(await one_call.get("/spend/logs/ui/unknown")) is None
    assert good(await one_call.get("/spend/logs/session/ui", session_id="s"))["total"] == 1
    assert good(await one_call.get("/spend/logs/session/ui", session_id="t"))["data"] == []


REQUIRED = (
    *("/global/spend/report", "/global/activity", "/global/activity/model", "/global/activity/cache_hits"),
    *("/user/daily/activity", "/tag/daily/activity/aggregated", "/key/spend/report", "/spend/logs/v2"),
)


@pytest.mark.parametrize("path", REQUIRED)
@pytest.mark.parametrize(
    ("query", "param", "words"),
    [
        ({}, "start_date", "YYYY-MM-DD"),
        ({"start_date": "2026-01-14"}, "end_date", "YYYY-MM-DD"),
        ({"start_date": "14.01.2026", "end_date": "2026-01-14"}, "start_date", "Use YYYY-MM-DD"),
        ({"start_date": "2026-01-14", "end_date": "2026-02-30"}, "end_date", "Use YYYY-MM-DD"),
        ({"start_date": "2026-01-14", "end_date": "2026-01-13"}, "start_date", "must not be after end_date"),
    ],
)
async def test_dates_that_are_missing_or_none_are_named(
    path: str, query: dict[str, str], param: str, words: str, management: Management
) -> None:
    error = error_of(await management.get(path, **query), 400)
    assert error["param"] == param
    assert words in error["message"]


async def test_an_estimate_multiplies(management: Management) -> None:
    body = {"model": "gpt-4o", "input_tokens": 1000, "output_tokens": 100, "num_requests_per_day": 10}
    answer = good(await management.post("/cost/estimate", body))
    assert (answer["input_cost_per_request"], answer["output_cost_per_request"]) == (0.0025, 0.001)
    assert (answer["cost_per_request"], answer["daily_cost"], answer["monthly_cost"]) == (0.0035, 0.035, None)
    assert (answer["input_cost_per_token"], answer["output_cost_per_token"]) == (2.5e-6, 1e-5)
    error_of(await management.post("/cost/estimate", {"model": "nobody/knows"}), 400)


async def test_spend_of_keys_and_teams_is_reset_by_records(one_call: Management) -> None:
    await one_call.spend("sk-ada-0123456789", 0.25)
    answer = good(await one_call.post("/global/spend/reset"))
    assert answer == {"message": "Spend for all API Keys and Teams reset successfully", "status": "success"}
    info = await one_call.info("sk-ada-0123456789")
    assert (info["spend"], info["total_spend"]) == (0.0, 1.75)
    assert good(await one_call.get("/global/spend"))["spend"] == 1.75
    (reset,) = [row for row in good(await one_call.get("/spend/logs", include_adjustments=True)) if row["spend"] < 0]
    assert reset["spend"] == -1.75
    assert await one_call.services.spend.window_spend([Charge("api_key", reset["api_key"], 0)]) == [0]


@pytest.mark.parametrize(("method", "path", "query"), VIEWS)
async def test_no_view_reads_a_whole_table(method: str, path: str, query: dict[str, Any], one_call: Management) -> None:
    asked: list[tuple[str, Any]] = []

    @event.listens_for(one_call.services.engine.sync_engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            asked.append((statement, parameters))

    answer = await (one_call.get(path, **query) if method == "GET" else one_call.post(path, query, by=MASTER_KEY))
    assert answer.status_code in (200, 404), answer.text  # the benchmark's key is not here
    statements = list(asked)
    assert statements
    async with one_call.services.engine.connect() as connection:
        for statement, parameters in statements:
            steps = await steps_of(connection, statement, parameters)
            assert not any(step.startswith(WHOLE) for step in steps), (statement, steps)


async def steps_of(connection: AsyncConnection, statement: str, parameters: Any) -> list[str]:
    """The plan of a statement, Postgres' as it would be for a table too large to read as a whole."""
    if connection.dialect.name == "sqlite":
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return list(plan.scalars("detail"))
    await connection.exec_driver_sql("SET enable_seqscan = off")
    plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
    return [step.strip(" ->") for step in plan.scalars()]


WHOLE = tuple(
    f"{scan} {table} "
    for scan in ("SCAN", "Seq Scan on", "Parallel Seq Scan on")
    for table in ("ledger", "daily_usage", "daily_totals", "spend_windows")
)


@pytest.mark.parametrize(("count", "limit"), [(1, 50), (31, 50), (90, 20), (366, 10), (3_000, 10)])
def test_a_report_over_many_days_lists_fewer(count: int, limit: int) -> None:
    first = date(2026, 1, 1)
    assert report_limit(Days(first, first + timedelta(days=count - 1))) == limit
