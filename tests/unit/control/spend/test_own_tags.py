"""Activity of tags for those who do not see everything: what they spent under them themselves."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.management import error_of, good
from tests.support.people import People

from tollway.stores.sql import records
from tollway.stores.sql import spend as sql_spend

TAGS = "/tag/daily/activity"


async def spend(people: People) -> dict[str, str]:
    """Two dollars of a member under `red` and `blue`, a failure, one without tags, and ten of somebody else's."""
    management, keys = people.management, people.keys
    await management.spend(keys["member"], 2, tags=("red", "blue", "red"), user_id="member", call_type="acompletion")
    await management.spend(keys["member"], 0, tags=("red",), user_id="member", is_success=False, status_code=429)
    await management.spend(keys["member"], 4, tags=(), user_id="member")
    await management.spend(keys["stranger"], 10, tags=("red", "secret"), user_id="stranger")
    await management.services.ledger.flush()
    day = good(await people.look("root", "/global/spend/logs"))[0]["date"]
    return {"start_date": day, "end_date": day}


def entities(body: Any) -> dict[str, float]:
    (day,) = body["results"]
    return {name: one["metrics"]["spend"] for name, one in day["breakdown"]["entities"].items()}


async def test_a_user_sees_their_own_calls_under_tags_and_an_admin_all(people: People) -> None:
    days = await spend(people)
    own = good(await people.look("member", TAGS, **days))
    assert entities(own) == {"red": 2.0, "blue": 2.0}
    assert (own["metadata"]["total_spend"], own["metadata"]["total_api_requests"]) == (2.0, 2)
    assert (own["metadata"]["total_successful_requests"], own["metadata"]["total_failed_requests"]) == (1, 1)
    assert "secret" not in str(own)
    everything = good(await people.look("auditor", TAGS, **days))
    assert entities(everything) == {"red": 12.0, "blue": 2.0, "secret": 10.0}
    assert good(await people.look("viewer", TAGS, **days))["results"] == []


@pytest.mark.parametrize("form", ["", "/aggregated"])
async def test_what_is_shown_of_a_call_is_the_same_for_its_caller_as_for_an_admin(form: str, people: People) -> None:
    days = await spend(people)
    for query in ({"tags": "blue"}, {"tags": "blue", "model": "gpt-4o"}, {"tags": "blue", "model": "other"}):
        own = good(await people.look("member", f"{TAGS}{form}", **days, **query))
        everything = good(await people.look("root", f"{TAGS}{form}", **days, **query))
        assert own == everything, query


async def test_named_tags_count_for_each(people: People) -> None:
    days = await spend(people)
    named = good(await people.look("member", TAGS, tags="red,blue,secret", **days))
    assert named["metadata"]["total_spend"] == 4.0
    assert entities(named) == {"red": 2.0, "blue": 2.0}


async def test_a_key_is_ones_own(people: People) -> None:
    days = await spend(people)
    own = good(await people.look("member", TAGS, api_key=people.keys["member"], **days))
    assert own["metadata"]["total_spend"] == 2.0
    error_of(await people.look("member", TAGS, api_key=people.keys["stranger"], **days), 403)


async def test_other_days_are_not_looked_at(people: People) -> None:
    await spend(people)
    other = {"start_date": "2001-01-01", "end_date": "2001-01-02"}
    assert good(await people.look("member", TAGS, **other))["results"] == []


async def test_more_calls_than_are_looked_at_are_said(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    days = await spend(people)
    assert "x-tollway-warning" not in (await people.look("member", TAGS, **days)).headers
    for module in (records, sql_spend):
        monkeypatch.setattr(module, "LOOKED_THROUGH", 1)
    assert "newest calls" in (await people.look("member", TAGS, **days)).headers["x-tollway-warning"]


async def test_keys_of_a_team_alone_and_customers_activity_stay_closed(people: People) -> None:
    days = await spend(people)
    team_key = (await people.management.new_key(team_id="team"))["key"]
    error_of(await people.management.get(TAGS, by=team_key, **days), 401)
    for path in ("/customer/daily/activity", "/end_user/daily/activity"):
        error_of(await people.look("member", path, **days), 401)
        good(await people.look("auditor", path, **days))
