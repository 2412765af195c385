from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from tests.support.management import Management, error_of, good

from tollway.core.principal import Scope
from tollway.db.audit import audit_log
from tollway.db.engine import reading

NEW = {"budget_id": "b1", "max_budget": 3, "rpm_limit": 60}


async def scope_of_key(management: Management, key: str) -> Scope:
    own = (await management.authenticator.authenticate(key)).own
    assert own is not None
    return own


async def refused(management: Management, path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
    return error_of(await management.post(path, body), status)


async def test_a_budget_reads_back_as_it_was_made(management: Management) -> None:
    limits = {"max_budget": 3.5, "soft_budget": 2.0, "rpm_limit": 60, "tpm_limit": 1000, "max_parallel_requests": 4}
    more = {"budget_duration": "30d", "model_max_budget": {"gpt-4o": {"max_budget": 1, "budget_duration": "1d"}}}
    made = good(await management.post("/budget/new", {**limits, **more}))
    assert {name: made[name] for name in (*limits, *more)} == {**limits, **more}
    assert (made["budget_reset_at"], made["created_by"]) == ("2026-02-01T00:00:00Z", "default_user_id")
    assert good(await management.post("/budget/info", {"budgets": [made["budget_id"], "nobody's"]})) == [made]


async def test_an_id_is_given_once(management: Management) -> None:
    assert good(await management.post("/budget/new", NEW))["budget_id"] == "b1"
    error = await refused(management, "/budget/new", NEW, 400)
    assert "budget_id=b1 already exists" in error["message"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"max_budget": -1}, "max_budget"),
        ({"budget_duration": "1y"}, "budget_duration"),
        ({"rpm_limit": -1}, "rpm_limit"),
        ({"soft_budget": 5, "max_budget": 4}, "soft_budget"),
        ({"model_max_budget": {"m": {"max_budget": -1}}}, "model_max_budget"),
        ({"temp_budget_increase": 1}, "temp_budget_expiry"),
    ],
)
@pytest.mark.parametrize("path", ["/budget/new", "/budget/update"])
async def test_a_limit_that_cannot_be_is_named(
    path: str, body: dict[str, Any], word: str, management: Management
) -> None:
    good(await management.post("/budget/new", NEW))
    named = {"budget_id": "b1"} if path == "/budget/update" else {}
    assert word in (await refused(management, path, {**named, **body}, 400))["message"]
    (kept,) = good(await management.get("/budget/list"))
    assert (kept["max_budget"], kept["rpm_limit"]) == (3, 60)


async def test_a_soft_budget_stays_below_the_hard_one_whichever_is_sent(management: Management) -> None:
    good(await management.post("/budget/new", {"budget_id": "b1", "max_budget": 5, "soft_budget": 4}))
    await refused(management, "/budget/update", {"budget_id": "b1", "max_budget": 3}, 400)
    await refused(management, "/budget/update", {"budget_id": "b1", "soft_budget": 6}, 400)


async def test_what_is_unknown_is_said(management: Management) -> None:
    assert "nope" in (await refused(management, "/budget/update", {"budget_id": "nope"}, 404))["message"]
    assert "nope" in (await refused(management, "/budget/delete", {"id": "nope"}, 404))["message"]
    assert "nope" in error_of(await management.get("/budget/settings", budget_id="nope"), 404)["message"]


async def test_an_update_changes_what_is_sent_and_null_clears(management: Management) -> None:
    good(await management.post("/budget/new", NEW))
    changed = good(await management.post("/budget/update", {"budget_id": "b1", "max_budget": None, "tpm_limit": 7}))
    assert (changed["max_budget"], changed["tpm_limit"], changed["rpm_limit"]) == (None, 7, 60)


async def test_fields_without_effect_are_named_in_a_header(management: Management) -> None:
    answer = await management.post("/budget/new", {"budget_reset_at": "2027-01-01T00:00:00Z", "max_bugdet": 1})
    assert "budget_reset_at" in answer.headers["x-tollway-warning"]
    assert "did you mean 'max_budget'" in answer.headers["x-tollway-warning"]


async def test_an_update_holds_for_everything_that_links_to_it_from_the_next_call_on(management: Management) -> None:
    good(await management.post("/budget/new", NEW))
    keys = [(await management.new_key(budget_id="b1"))["key"] for _ in range(2)]
    assert [(await scope_of_key(management, key)).budget_nanos for key in keys] == [3_000_000_000] * 2
    good(await management.post("/budget/update", {"budget_id": "b1", "max_budget": 9}))
    assert [(await scope_of_key(management, key)).budget_nanos for key in keys] == [9_000_000_000] * 2


async def test_a_budget_can_be_larger_for_a_time(management: Management) -> None:
    good(await management.post("/budget/new", NEW))
    key = (await management.new_key(budget_id="b1"))["key"]
    organization = good(await management.post("/organization/new", {"organization_alias": "o", "budget_id": "b1"}))
    inside = (await management.new_key(organization_id=organization["organization_id"]))["key"]
    raised = {"budget_id": "b1", "temp_budget_increase": 2, "temp_budget_expiry": "2026-01-14T11:00:00"}
    assert good(await management.post("/budget/update", raised))["temp_budget_expiry"] == "2026-01-14T11:00:00Z"
    of_organization = (await management.authenticator.authenticate(inside)).scopes[1]
    assert of_organization.budget_nanos == 5_000_000_000
    management.clock.advance(3600)
    of_organization = (await management.authenticator.authenticate(inside)).scopes[1]
    assert of_organization.budget_nanos == 3_000_000_000
    assert (await scope_of_key(management, key)).budget_nanos == 3_000_000_000


async def test_deleting_a_budget_in_use_leaves_what_linked_to_it_without_one(management: Management) -> None:
    good(await management.post("/budget/new", NEW))
    key = await management.new_key(budget_id="b1")
    organization = good(await management.post("/organization/new", {"organization_alias": "o", "budget_id": "b1"}))
    assert (await scope_of_key(management, key["key"])).rpm == 60
    gone = good(await management.post("/budget/delete", {"id": "b1"}))
    assert gone["budget_id"] == "b1"
    assert (await scope_of_key(management, key["key"])).rpm is None
    assert (await management.info(key["key"]))["budget_id"] is None
    left = good(await management.get("/organization/info", organization_id=organization["organization_id"]))
    assert (left["budget_id"], left["litellm_budget_table"]) == (None, None)
    assert good(await management.get("/budget/list")) == []
    async with reading(management.services.engine) as connection:
        query = select(audit_log.c.before).where(audit_log.c.action == "deleted")
        (before,) = (await connection.execute(query)).scalars()
    assert before["linked_by"] == {"organizations": 1, "virtual_keys": 1}


async def test_what_was_spent_goes_along_into_a_window_of_another_length(management: Management) -> None:
    good(await management.post("/budget/new", {"budget_id": "b1", "max_budget": 3, "budget_duration": "1d"}))
    organization = good(await management.post("/organization/new", {"organization_alias": "o", "budget_id": "b1"}))
    organization_id = organization["organization_id"]
    scope = Scope(kind="organization", id=organization_id, budget_duration="1d")
    await management.spend_in(scope, dollars=2)
    good(await management.post("/budget/update", {"budget_id": "b1", "budget_duration": "30d"}))
    assert good(await management.get("/organization/info", organization_id=organization_id))["spend"] == 2
    good(await management.post("/budget/delete", {"id": "b1"}))
    assert good(await management.get("/organization/info", organization_id=organization_id))["spend"] == 2


async def test_settings_describe_a_budget_for_a_form(management: Management) -> None:
    good(await management.post("/budget/new", NEW))
    lines = good(await management.get("/budget/settings", budget_id="b1"))
    assert {line["field_name"]: line["field_value"] for line in lines} == {
        "max_budget": 3.0,
        "soft_budget": None,
        "max_parallel_requests": None,
        "tpm_limit": None,
        "rpm_limit": 60,
        "budget_duration": None,
        "model_max_budget": None,
    }
    assert lines[0] == {
        "field_name": "max_budget",
        "field_type": "Float",
        "field_description": "Hard limit in dollars: calls are refused once it is spent.",
        "field_value": 3.0,
        "stored_in_db": True,
        "field_default_value": None,
        "premium_field": False,
    }


async def test_who_is_no_admin_gets_the_contracts_400(management: Management) -> None:
    good(await management.post("/budget/new", NEW))
    key = (await management.new_key())["key"]
    answers = [
        await management.get("/budget/list", by=key),
        await management.get("/budget/settings", by=key, budget_id="b1"),
        await management.post("/budget/delete", {"id": "b1"}, by=key),
    ]
    for answer in answers:
        assert "Admin-only endpoint" in error_of(answer, 400)["message"]
    assert len(good(await management.get("/budget/list"))) == 1


async def test_lists_are_newest_first_and_in_pages(management: Management) -> None:
    for name in ("a", "b", "c"):
        management.clock.advance(1)
        good(await management.post("/budget/new", {"budget_id": name}))
    answer = await management.get("/budget/list", page=1, page_size=2)
    assert [row["budget_id"] for row in answer.json()] == ["c", "b"]
    assert "page 1 of 2" in answer.headers["x-tollway-warning"]
    page = good(await management.get("/management/v1/budgets", page=2, page_size=2))
    assert [row["budget_id"] for row in page["data"]] == ["a"]
    assert page["meta"] == {"page": 2, "page_size": 2, "total": 3, "total_pages": 2}
    found = good(await management.get("/management/v1/budgets", search="B"))
    assert [row["budget_id"] for row in found["data"]] == ["b"]


@pytest.mark.parametrize("query", [{"page": 0}, {"page_size": 101}, {"pagesize": 1}])
async def test_the_newer_listing_refuses_with_a_problem_document(query: dict[str, Any], management: Management) -> None:
    answer = await management.get("/management/v1/budgets", **query)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    problem = answer.json()
    assert problem.keys() == {"type", "title", "status", "detail", "errors"}
    assert (problem["type"], problem["status"]) == ("about:blank", 422)
    assert problem["errors"][0]["loc"] == ["query", next(iter(query))]
