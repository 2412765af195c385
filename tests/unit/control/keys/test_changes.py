"""Updating, blocking, deleting and regenerating keys."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.management import Management, error_of, good

from tollway.core.errors import Unauthenticated
from tollway.core.ids import hash_key

UNKNOWN = "sk-unknown-0123456789"


async def test_only_what_is_sent_changes_and_null_clears(management: Management) -> None:
    fields = {"models": ["gpt-4o"], "rpm_limit": 5, "max_budget": 1, "user_id": "u", "duration": "1d"}
    key = (await management.new_key(**fields))["key"]
    management.clock.advance(10)
    changed = good(await management.post("/key/update", {"key": key, "max_budget": 200, "rpm_limit": None}))
    assert (changed["max_budget"], changed["rpm_limit"]) == (200.0, None)
    assert (changed["models"], changed["user_id"]) == (["gpt-4o"], "u")
    assert (changed["key"], changed["token"]) == (key, hash_key(key))
    assert changed["settings_updated_at"] == changed["updated_at"] == "2026-01-14T10:17:33Z"
    cleared = good(await management.post("/key/update", {"key": key, "models": None, "duration": None}))
    assert (cleared["models"], cleared["expires"]) == ([], None)


@pytest.mark.parametrize("name", ["key", "token"])
async def test_a_key_is_named_by_value_or_hash(name: str, management: Management) -> None:
    made = await management.new_key()
    changed = good(await management.post("/key/update", {"key": made[name], "rpm_limit": 7}))
    assert (changed["key"], changed["rpm_limit"]) == (made[name], 7)


async def test_a_key_is_named_by_its_alias(management: Management) -> None:
    made = await management.new_key(key_alias="al")
    changed = good(await management.post("/key/update", {"key_alias": "al", "rpm_limit": 7}))
    assert (changed["key"], changed["key_alias"]) == (made["token"], "al")


async def test_an_alias_moves_only_to_a_free_name(management: Management) -> None:
    await management.new_key(key_alias="taken")
    key = (await management.new_key(key_alias="mine"))["key"]
    error = error_of(await management.post("/key/update", {"key": key, "key_alias": "taken"}), 400)
    assert error["param"] == "key_alias"
    same = good(await management.post("/key/update", {"key": key, "key_alias": "mine"}))
    assert same["key_alias"] == "mine"


async def test_metadata_is_replaced_but_reserved_entries_stay(management: Management) -> None:
    key = (await management.new_key(metadata={"old": 1}, model_rpm_limit={"m": 1}, tags=["t"]))["key"]
    changed = good(await management.post("/key/update", {"key": key, "metadata": {"new": 2}, "tags": None}))
    assert changed["metadata"] == {"new": 2, "model_rpm_limit": {"m": 1}}


async def test_an_empty_team_is_ignored(management: Management) -> None:
    key = (await management.new_key(team_id="t"))["key"]
    assert good(await management.post("/key/update", {"key": key, "team_id": ""}))["team_id"] == "t"
    assert good(await management.post("/key/update", {"key": key, "team_id": None}))["team_id"] is None


async def test_a_temporary_budget_needs_both_halves(management: Management) -> None:
    key = (await management.new_key())["key"]
    error = error_of(await management.post("/key/update", {"key": key, "temp_budget_increase": 5}), 400)
    assert "temp_budget_expiry" in error["message"]
    both = {"key": key, "temp_budget_increase": 5, "temp_budget_expiry": "2026-02-01T00:00:00Z"}
    metadata = good(await management.post("/key/update", both))["metadata"]
    assert metadata == {"temp_budget_increase": 5.0, "temp_budget_expiry": "2026-02-01T00:00:00+00:00"}


async def test_an_update_is_refused_before_anything_changes(management: Management) -> None:
    key = (await management.new_key(rpm_limit=1))["key"]
    bad = {"key": key, "rpm_limit": 2, "budget_duration": "never"}
    assert error_of(await management.post("/key/update", bad), 400)["param"] == "budget_duration"
    assert (await management.info(key))["rpm_limit"] == 1


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/key/update", {"key": UNKNOWN}, "Key not found."),
        ("/key/block", {"key": UNKNOWN}, "Key not found."),
        ("/key/unblock", {"key": UNKNOWN}, "Key not found."),
        ("/key/delete", {"keys": [UNKNOWN]}, "No keys found"),
        ("/key/regenerate", {"key": UNKNOWN}, "Key sk-...6789 not found."),
        (f"/key/{UNKNOWN}/regenerate", {}, "Key sk-...6789 not found."),
        (f"/key/{UNKNOWN}/reset_spend", {"reset_to": 0}, "Key not found."),
    ],
)
async def test_a_key_that_does_not_exist(path: str, body: Any, message: str, management: Management) -> None:
    response = await management.post(path, body)
    error = error_of(response, 404)
    assert (error["message"], error["type"]) == (message, "not_found_error")
    assert UNKNOWN not in response.text


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/key/update", {"rpm_limit": 1}, "key"),
        ("/key/block", {}, "key"),
        ("/key/delete", {}, "keys"),
        ("/key/regenerate", {}, "key"),
        ("/key/x/reset_spend", {}, "reset_to"),
    ],
)
async def test_a_body_that_names_no_key(path: str, body: Any, field: str, management: Management) -> None:
    response = await management.post(path, body)
    assert response.status_code == 422
    assert response.json() == {"detail": [{"type": "missing", "loc": ["body", field], "msg": "Field required"}]}


async def test_a_name_that_is_no_key_cannot_be_blocked(management: Management) -> None:
    error = error_of(await management.post("/key/block", {"key": "my-alias"}), 400)
    assert (error["message"], error["param"]) == ("Invalid key format.", "key")


async def test_a_blocked_key_stops_at_once_and_comes_back(management: Management) -> None:
    key = (await management.new_key())["key"]
    await management.authenticator.authenticate(key)
    assert good(await management.post("/key/block", {"key": key}))["blocked"] is True
    with pytest.raises(Unauthenticated, match="Key is blocked"):
        await management.authenticator.authenticate(key)
    assert (await management.info(key))["status"] == "revoked"
    assert good(await management.post("/key/unblock", {"key": key}))["blocked"] is False
    await management.authenticator.authenticate(key)


async def test_a_deleted_key_stops_at_once_and_stays_known(management: Management) -> None:
    made = await management.new_key(key_alias="gone", models=["gpt-4o"])
    await management.spend(made["key"], 1.5)
    answer = await management.post("/key/delete", {"keys": [made["key"], UNKNOWN]}, litellm_changed_by="ada")
    assert good(answer) == {"deleted_keys": [made["key"]]}
    assert answer.headers["x-tollway-warning"] == "1 of the keys were not found"
    with pytest.raises(Unauthenticated, match="there is no virtual key"):
        await management.authenticator.authenticate(made["key"])
    info = await management.info(made["token"])
    assert (info["status"], info["deleted_by"], info["deleted_at"]) == ("deleted", "ada", "2026-01-14T10:17:23Z")
    assert (info["key_alias"], info["models"], info["total_spend"]) == ("gone", ["gpt-4o"], 1.5)
    assert error_of(await management.post("/key/delete", {"keys": [made["key"]]}), 404)["message"] == "No keys found"
    assert good(await management.get("/key/list", status="deleted"))["keys"] == [made["token"]]


async def test_keys_are_deleted_by_alias(management: Management) -> None:
    await management.new_key(key_alias="one")
    await management.new_key(key_alias="two")
    assert good(await management.post("/key/delete", {"key_aliases": ["one"]})) == {"deleted_keys": ["one"]}
    assert good(await management.get("/key/list"))["total_count"] == 1


async def test_a_regenerated_key_keeps_everything_but_its_value(management: Management) -> None:
    old = await management.new_key(key_alias="al", max_budget=10, models=["gpt-4o"])
    await management.spend(old["key"], 1.25)
    new = good(await management.post("/key/regenerate", {"key": old["key"], "rpm_limit": 3}))
    assert new["key"] != old["key"]
    assert (new["token"], new["token_id"]) == (None, hash_key(new["key"]))
    assert (new["key_alias"], new["max_budget"], new["rpm_limit"], new["spend"]) == ("al", 10.0, 3, 1.25)
    with pytest.raises(Unauthenticated):
        await management.authenticator.authenticate(old["key"])
    await management.spend(new["key"], 0.5)
    info = await management.info(new["key"])
    assert (info["spend"], info["total_spend"], info["rotation_count"]) == (1.75, 1.75, 1)
    assert info["last_rotation_at"] == "2026-01-14T10:17:23Z"
    logs = good(await management.get("/spend/logs", api_key=new["key"]))
    assert sum(row["spend"] for row in logs) == 1.75


async def test_the_old_value_works_for_the_time_it_was_given(management: Management) -> None:
    old = await management.new_key()
    new = good(await management.post(f"/key/{old['token']}/regenerate", {"grace_period": "1h"}))
    management.clock.advance(3599)
    principal = await management.authenticator.authenticate(old["key"])
    assert principal.key_hash == new["token_id"]
    management.clock.advance(1)
    with pytest.raises(Unauthenticated):
        await management.authenticator.authenticate(old["key"])
    assert (await management.authenticator.authenticate(new["key"])).key_hash == new["token_id"]


async def test_blocking_a_key_blocks_its_old_value_too(management: Management) -> None:
    old = await management.new_key()
    new = good(await management.post("/key/regenerate", {"key": old["key"], "grace_period": "1h"}))
    await management.authenticator.authenticate(old["key"])
    good(await management.post("/key/block", {"key": new["key"]}))
    with pytest.raises(Unauthenticated, match="blocked"):
        await management.authenticator.authenticate(old["key"])


async def test_only_the_last_old_value_has_grace(management: Management) -> None:
    first = await management.new_key()
    second = good(await management.post("/key/regenerate", {"key": first["key"], "grace_period": "1h"}))
    await management.authenticator.authenticate(first["key"])
    good(await management.post("/key/regenerate", {"key": second["key"], "grace_period": "1h"}))
    await management.authenticator.authenticate(second["key"])
    with pytest.raises(Unauthenticated):
        await management.authenticator.authenticate(first["key"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"new_master_key": "sk-new"}, "new_master_key"),
        ({"grace_period": "soon"}, "grace_period"),
        ({"new_key": "nope"}, None),
    ],
)
async def test_a_regeneration_that_cannot_be(body: dict[str, str], param: str | None, management: Management) -> None:
    made = await management.new_key()
    error = error_of(await management.post("/key/regenerate", {"key": made["key"], **body}), 400)
    assert error["param"] == param
    await management.authenticator.authenticate(made["key"])


async def test_a_new_value_of_ones_own(management: Management) -> None:
    made = await management.new_key()
    body = {"key": made["key"], "new_key": "sk-brand-new-0123456789"}
    assert good(await management.post("/key/regenerate", body))["key"] == "sk-brand-new-0123456789"


async def test_spend_can_be_forced(management: Management) -> None:
    key = (await management.new_key())["key"]
    await management.spend(key, 3)
    assert good(await management.post("/key/update", {"key": key, "spend": 0}))["spend"] == 0.0
    assert (await management.info(key))["total_spend"] == 3.0


async def test_spend_is_taken_along_when_the_budget_period_changes(management: Management) -> None:
    key = (await management.new_key(max_budget=10))["key"]
    await management.spend(key, 8)
    changed = good(await management.post("/key/update", {"key": key, "budget_duration": "30d"}))
    assert (changed["spend"], changed["budget_reset_at"]) == (8.0, "2026-02-01T00:00:00Z")


async def test_spend_begins_anew_with_the_window_and_needs_no_job(management: Management) -> None:
    key = (await management.new_key(max_budget=10, budget_duration="1d"))["key"]
    await management.spend(key, 4)
    management.clock.advance(86_400)
    await management.spend(key, 1)
    info = await management.info(key)
    assert (info["spend"], info["total_spend"]) == (1.0, 5.0)
    assert info["budget_reset_at"] == "2026-01-16T00:00:00Z"


async def test_spend_is_reset_downwards_only(management: Management) -> None:
    made = await management.new_key(max_budget=10)
    await management.spend(made["key"], 4)
    path = f"/key/{made['key']}/reset_spend"
    assert error_of(await management.post(path, {"reset_to": 5}), 400)["param"] == "reset_to"
    assert error_of(await management.post(path, {"reset_to": -1}), 400)["type"] == "bad_request_error"
    assert good(await management.post(path, {"reset_to": 1.5})) == {
        "key_hash": made["token"],
        "spend": 1.5,
        "previous_spend": 4.0,
        "max_budget": 10.0,
        "budget_reset_at": None,
    }
    await management.post("/key/update", {"key": made["key"], "max_budget": 1})
    assert "max_budget" in error_of(await management.post(path, {"reset_to": 1.5}), 400)["message"]


async def test_changes_are_told_after_they_are_made(management: Management) -> None:
    made = await management.new_key()
    management.told.clear()
    for path, body in (
        ("/key/update", {"rpm_limit": 1}),
        ("/key/block", {}),
        ("/key/unblock", {}),
    ):
        good(await management.post(path, {"key": made["key"], **body}))
    assert management.told == [made["token"]] * 3
    new = good(await management.post("/key/regenerate", {"key": made["key"]}))
    assert management.told[3:] == [new["token_id"], made["token"]]
    good(await management.post("/key/delete", {"keys": [new["key"]]}))
    assert sorted(management.told[5:]) == sorted([new["token_id"], made["token"]])


async def test_access_groups_are_given_changed_and_left(management: Management) -> None:
    async def members(group_id: str) -> list[str]:
        found = await management.get(f"/v1/access_group/{group_id}")
        hashes: list[str] = good(found)["assigned_key_ids"]
        return hashes

    made = [await management.post("/v1/access_group", {"access_group_name": name}) for name in ("one", "two")]
    one, two = (answer.json()["access_group_id"] for answer in made)
    key = await management.new_key(access_group_ids=[one])
    assert key["access_group_ids"] == [one]
    assert await members(one) == [key["token"]]
    changed = good(await management.post("/key/update", {"key": key["key"], "access_group_ids": [two]}))
    assert changed["access_group_ids"] == [two]
    assert (await management.info(key["key"]))["access_group_ids"] == [two]
    assert (await members(one), await members(two)) == ([], [key["token"]])
    error = error_of(await management.post("/key/update", {"key": key["key"], "access_group_ids": ["none"]}), 404)
    assert error["param"] == "access_group_ids"
    good(await management.post("/key/delete", {"keys": [key["key"]]}))
    assert await members(two) == []
