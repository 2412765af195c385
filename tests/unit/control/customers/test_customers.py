from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.management import Management, error_of, good
from tests.support.recorded import shape

from tollway.core.record import Charge

BUDGET: dict[str, Any] = {
    "allowed_models": [],
    "budget_duration": None,
    "budget_id": "<uuid>",
    "budget_reset_at": None,
    "created_at": "<time>",
    "max_budget": 5.0,
    "max_parallel_requests": None,
    "model_max_budget": None,
    "rpm_limit": None,
    "soft_budget": None,
    "temp_budget_expiry": None,
    "temp_budget_increase": None,
    "tpd_limit": None,
    "tpm_limit": None,
}
OBSERVED: dict[str, Any] = {
    "alias": None,
    "allowed_model_region": None,
    "blocked": False,
    "budget_id": "<uuid>",
    "default_model": None,
    "litellm_budget_table": BUDGET,
    "models": [],
    "object_permission": None,
    "object_permission_id": None,
    "spend": 0.0,
    "user_id": "c",
}
"""As a running LiteLLM 1.106.2 answered to `{"user_id": "c", "max_budget": 5}`."""


async def new(management: Management, user_id: str = "c", **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = good(await management.post("/customer/new", {"user_id": user_id, **fields}))
    return made


async def info(management: Management, user_id: str = "c") -> dict[str, Any]:
    shown: dict[str, Any] = good(await management.get("/customer/info", end_user_id=user_id))
    return shown


async def served(management: Management, user_id: str, dollars: float, *, window_start: int = 0) -> None:
    """A settled call for this customer."""
    key = (await management.new_key())["key"]
    await management.spend(
        key, dollars, end_user=user_id, charges=(Charge("end_user", user_id, window_start),), user_id=""
    )


@pytest.mark.parametrize("prefix", ["customer", "end_user"])
async def test_a_customer_looks_as_observed_under_both_names(prefix: str, management: Management) -> None:
    made = good(await management.post(f"/{prefix}/new", {"user_id": "c", "max_budget": 5}))
    assert shape(made) == shape(OBSERVED)
    assert (made["user_id"], made["spend"], made["litellm_budget_table"]["max_budget"]) == ("c", 0.0, 5.0)
    assert made["budget_id"] == made["litellm_budget_table"]["budget_id"]
    assert good(await management.get(f"/{prefix}/info", end_user_id="c")) == made
    assert good(await management.get(f"/{prefix}/list")) == [made]
    assert good(await management.post(f"/{prefix}/update", {"user_id": "c", "alias": "Al"}))["alias"] == "Al"
    assert good(await management.post(f"/{prefix}/delete", {"user_ids": ["c"]})) == {
        "deleted_customers": 1,
        "message": "Successfully deleted customers with ids: ['c']",
    }


async def test_everything_that_is_said_is_kept(management: Management) -> None:
    fields: dict[str, Any] = {
        "alias": "Ada",
        "blocked": True,
        "allowed_model_region": "eu",
        "default_model": "gpt-4o",
        "models": ["gpt-4o", "o3"],
        "object_permission": {"mcp_servers": ["s"]},
    }
    limits: dict[str, Any] = {
        "max_budget": 5.0,
        "soft_budget": 4.0,
        "budget_duration": "1d",
        "tpm_limit": 1,
        "rpm_limit": 2,
        "max_parallel_requests": 3,
        "model_max_budget": {"o3": {"max_budget": 1, "budget_duration": "1d"}},
    }
    shown = await new(management, **fields, **limits)
    assert {name: shown[name] for name in fields} == fields
    assert {name: shown["litellm_budget_table"][name] for name in limits} == limits
    assert shown["litellm_budget_table"]["budget_reset_at"] == "2026-01-15T00:00:00Z"
    assert await info(management) == shown


async def test_a_bare_customer_has_no_budget(management: Management) -> None:
    made = await new(management, max_budget=None, rpm_limit=None)
    assert (made["budget_id"], made["litellm_budget_table"], made["models"]) == (None, None, [])


async def test_a_customer_exists_once(management: Management) -> None:
    await new(management)
    error = error_of(await management.post("/customer/new", {"user_id": "c", "max_budget": 1}), 400)
    assert (error["type"], error["param"]) == ("bad_request", "user_id")
    assert error["message"].startswith("Customer already exists, passed user_id=c.")
    assert (await info(management))["budget_id"] is None


async def test_of_concurrent_requests_for_one_customer_one_makes_it(management: Management) -> None:
    answers = await asyncio.gather(*(management.post("/customer/new", {"user_id": "c"}) for _ in range(5)))
    made, *others = sorted(answer.status_code for answer in answers)
    assert made == 200
    assert set(others) <= {400, 503}, "the test's database waits 50 ms for its lock"


@pytest.mark.parametrize("path", ["/customer/new", "/customer/update"])
async def test_a_budget_is_named_or_described(path: str, management: Management) -> None:
    response = await management.post(path, {"user_id": "c", "max_budget": 1, "budget_id": "b"})
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert "either budget_id or max_budget" in problem["msg"]


async def test_a_linked_budget_must_exist(management: Management) -> None:
    error = error_of(await management.post("/customer/new", {"user_id": "c", "budget_id": "none"}), 404)
    assert (error["type"], error["param"]) == ("not_found_error", "budget_id")
    assert (await management.get("/customer/info", end_user_id="c")).status_code == 404, "nothing half-written"


async def test_only_what_is_sent_changes_and_null_clears(management: Management) -> None:
    await new(management, alias="Ada", default_model="o3", models=["o3"], max_budget=5, rpm_limit=2, blocked=True)
    changed = good(
        await management.post(
            "/customer/update", {"user_id": "c", "default_model": None, "models": None, "rpm_limit": None}
        )
    )
    assert (changed["alias"], changed["default_model"], changed["models"], changed["blocked"]) == (
        "Ada",
        None,
        [],
        True,
    )
    budget = changed["litellm_budget_table"]
    assert (budget["max_budget"], budget["rpm_limit"]) == (5.0, None)
    cleared = good(await management.post("/customer/update", {"user_id": "c", "blocked": None, "budget_id": None}))
    assert (cleared["blocked"], cleared["budget_id"]) == (False, None)


async def test_a_budget_of_its_own_is_changed_in_place(management: Management) -> None:
    before = await new(management, max_budget=5)
    after = good(await management.post("/customer/update", {"user_id": "c", "max_budget": 6}))
    assert after["budget_id"] == before["budget_id"]
    assert after["litellm_budget_table"]["max_budget"] == 6.0
    assert before["budget_id"] in management.told


async def test_a_shared_budget_is_left_to_the_others(management: Management) -> None:
    shared = (await new(management, "first", max_budget=5, rpm_limit=3))["budget_id"]
    await new(management, "second", budget_id=shared)
    changed = good(await management.post("/customer/update", {"user_id": "second", "max_budget": 9}))
    budget = changed["litellm_budget_table"]
    assert budget["budget_id"] != shared
    assert (budget["max_budget"], budget["rpm_limit"]) == (9.0, 3)
    first = await info(management, "first")
    assert (first["budget_id"], first["litellm_budget_table"]["max_budget"]) == (shared, 5.0)


async def test_an_unknown_customer_is_said_to_be_one(management: Management) -> None:
    error = error_of(await management.get("/customer/info", end_user_id="x"), 404)
    assert (error["type"], error["param"]) == ("not_found", "end_user_id")
    error = error_of(await management.post("/customer/update", {"user_id": "x", "alias": "y"}), 404)
    assert (error["type"], error["param"]) == ("not_found", "user_id")


async def test_of_customers_to_delete_all_exist_or_none_is(management: Management) -> None:
    await new(management, "a")
    error = error_of(await management.post("/customer/delete", {"user_ids": ["a", "x"]}), 404)
    assert error["type"] == "not_found"
    await new(management, "b")
    gone = good(await management.post("/customer/delete", {"user_ids": ["a", "b", "a"]}))
    assert gone["deleted_customers"] == 2
    assert good(await management.get("/customer/list")) == []


async def test_blocking_makes_those_who_do_not_exist(management: Management) -> None:
    await new(management, "a", alias="Ada")
    blocked = good(await management.post("/customer/block", {"user_ids": ["a", "b", "a"]}))["blocked_users"]
    assert [(one["user_id"], one["alias"], one["blocked"]) for one in blocked] == [
        ("a", "Ada", True),
        ("b", None, True),
    ]
    assert shape(blocked[0]) == shape(await info(management, "a"))


async def test_unblocking_names_who_is_blocked_all_the_same(management: Management) -> None:
    good(await management.post("/customer/block", {"user_ids": ["a", "b", "c"]}))
    answer = await management.post("/customer/unblock", {"user_ids": ["a", "x"]})
    assert good(answer) == {"blocked_users": ["b", "c"]}
    assert answer.headers["x-tollway-warning"] == "1 of the customers were not found"
    assert (await info(management, "a"))["blocked"] is False
    assert (await management.get("/customer/info", end_user_id="x")).status_code == 404


async def test_spend_is_a_sum_of_records_and_setting_it_is_one_more(management: Management) -> None:
    await served(management, "c", 3)
    assert (await info(management))["spend"] == 3.0
    changed = good(await management.post("/customer/update", {"user_id": "c", "spend": 1}))
    assert changed["spend"] == 1.0
    await served(management, "c", 0.5)
    assert (await info(management))["spend"] == 1.5
    assert good(await management.get("/global/spend"))["spend"] == 3.5, "an adjustment is no usage"


async def test_a_new_customer_begins_with_the_spend_it_is_given(management: Management) -> None:
    assert (await new(management, max_budget=5, budget_duration="1d", spend=2))["spend"] == 2.0


async def test_a_customer_made_again_begins_anew(management: Management) -> None:
    await served(management, "c", 3)
    good(await management.post("/customer/delete", {"user_ids": ["c"]}))
    assert (await new(management))["spend"] == 0.0


async def test_spend_goes_along_into_another_period(management: Management) -> None:
    await served(management, "c", 3)
    changed = good(
        await management.post("/customer/update", {"user_id": "c", "max_budget": 5, "budget_duration": "1d"})
    )
    assert changed["spend"] == 3.0
    management.clock.advance(86_400)
    assert (await info(management))["spend"] == 0.0


@pytest.mark.parametrize("fields", [{"is_success": True}, {"is_success": False, "cost_nanos": 5}])
async def test_whoever_was_served_has_a_row(fields: dict[str, Any], management: Management) -> None:
    key = (await management.new_key())["key"]
    await management.spend(key, 1, end_user="seen", **fields)
    shown = await info(management, "seen")
    assert (shown["blocked"], shown["budget_id"], shown["models"]) == (False, None, [])
    assert [one["user_id"] for one in good(await management.get("/customer/list"))] == ["seen"]


async def test_whoever_got_nothing_but_an_error_has_none(management: Management) -> None:
    key = (await management.new_key())["key"]
    await management.spend(key, 0, end_user="unserved", is_success=False)
    assert (await management.get("/customer/info", end_user_id="unserved")).status_code == 404


async def test_being_served_changes_nothing_about_a_customer(management: Management) -> None:
    before = await new(management, alias="Ada", max_budget=5)
    await served(management, "c", 1)
    assert await info(management) == before | {"spend": 1.0}


async def test_lists_are_paged_and_say_so(management: Management) -> None:
    good(await management.post("/customer/block", {"user_ids": [f"u{number}" for number in range(5)]}))
    answer = await management.get("/customer/list", page=2, page_size=2)
    assert [one["user_id"] for one in good(answer)] == ["u2", "u3"]
    assert answer.headers["x-tollway-warning"] == "2 of 5 customers; ask for others with page and page_size"
    assert "x-tollway-warning" not in (await management.get("/customer/list")).headers
    beyond = await management.get("/customer/list", page=10**30)
    assert good(beyond) == []


async def test_changes_are_told_and_audited(management: Management) -> None:
    await new(management, max_budget=5)
    good(await management.post("/customer/update", {"user_id": "c", "alias": "Ada"}))
    good(await management.post("/customer/block", {"user_ids": ["c"]}))
    good(await management.post("/customer/unblock", {"user_ids": ["c"]}))
    good(await management.post("/customer/delete", {"user_ids": ["c"]}))
    table = "LiteLLM_EndUserTable"
    actions = ("created", "updated", "blocked", "unblocked", "deleted")
    assert await management.audited("c") == {(action, table) for action in actions}
    assert [one for one in management.told if one == "c"] == ["c"] * 5


async def test_fields_without_effect_are_named(management: Management) -> None:
    answer = await management.post("/customer/new", {"user_id": "c", "max_budgets": 1, "tpd_limit": 5})
    assert answer.headers["x-tollway-warning"] == (
        "unknown field 'max_budgets' was ignored; did you mean 'max_budget'?, "
        "'tpd_limit' is stored, and not enforced in this release"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"max_budget": -1},
        {"spend": -1},
        {"rpm_limit": -1},
        {"tpm_limit": 2**63},
        {"budget_duration": "soon"},
        {"soft_budget": 2, "max_budget": 1},
        {"model_max_budget": {"m": {"max_budget": "x"}}},
    ],
)
async def test_what_cannot_be_a_limit_is_refused(fields: dict[str, Any], management: Management) -> None:
    error = error_of(await management.post("/customer/new", {"user_id": "c", **fields}), 400)
    assert error["type"] == "bad_request_error"
    assert good(await management.get("/customer/list")) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_id": ""},
        {"user_id": None},
        {"user_id": ["c"]},
        {"user_id": "c", "allowed_model_region": "mars"},
        {"user_id": "c", "models": "gpt-4o"},
        {"user_id": "x" * 1001},
    ],
)
async def test_a_body_that_is_none_is_refused(body: dict[str, Any], management: Management) -> None:
    assert (await management.post("/customer/new", body)).status_code == 422


@pytest.mark.parametrize("path", ["delete", "block", "unblock"])
@pytest.mark.parametrize("body", [{}, {"user_ids": []}, {"user_ids": "c"}, {"user_ids": [""]}])
async def test_somebody_has_to_be_named(path: str, body: dict[str, Any], management: Management) -> None:
    assert (await management.post(f"/customer/{path}", body)).status_code == 422


async def test_listing_is_for_administrators_in_the_words_of_the_contract(management: Management) -> None:
    key = (await management.new_key(user_id="u"))["key"]
    error = error_of(await management.get("/customer/list", by=key), 401)
    assert error["message"] == "Admin-only endpoint. Your user role=internal_user"
    assert error["type"] == "auth_error"
    assert error_of(await management.get("/customer/info", by=key, end_user_id="c"), 401)["type"] == "auth_error"


@pytest.mark.parametrize("user_id", ["'; DROP TABLE customers; --", "ünï 🐍", "a/../b", "..%2f", "%", "a b+c"])
async def test_any_text_names_a_customer(user_id: str, management: Management) -> None:
    await new(management, "other")
    await new(management, user_id, alias="it")
    assert (await info(management, user_id))["alias"] == "it"
    good(await management.post("/customer/delete", {"user_ids": [user_id]}))
    assert [one["user_id"] for one in good(await management.get("/customer/list"))] == ["other"]
