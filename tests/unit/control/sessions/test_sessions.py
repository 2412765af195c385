from __future__ import annotations

from typing import Any

import pytest
from tests.support.management import MASTER_KEY, Management, error_of, good
from tests.support.people import People

from tollway.control.sessions import service
from tollway.core.changes import session_name
from tollway.core.ids import hash_key
from tollway.core.record import MASTER_KEY_ID
from tollway.stores.sql.entities import SqlEntityStore


async def called(management: Management, key: str, session_id: str = "run", **fields: Any) -> None:
    """A call of a session, a second after whatever came before."""
    management.clock.advance(1)
    principal = await management.authenticator.authenticate(key)
    owners = {"team_id": principal.team_id or "", "organization_id": principal.organization_id or ""}
    await management.spend(key, 0.5, session_id=session_id, **owners, **fields)


async def listed(management: Management, by: str, **query: Any) -> list[tuple[str, str]]:
    """Session and hash of the key."""
    page = good(await management.get("/session/list", by=by, **query))
    return [(one["session_id"], one["key"]) for one in page["sessions"]]


async def test_a_session_is_what_its_calls_add_up_to(management: Management) -> None:
    made = await management.new_key(key_alias="agent")
    begun = management.clock()
    await called(management, made["key"])
    await called(management, made["key"], is_success=False, status_code=500)
    await called(management, made["key"], "another")
    (one,) = good(await management.get("/session/info", session_id="run"))["sessions"]
    assert (one["calls"], one["failures"], one["spend"]) == (2, 1, 1.0)
    assert one["key"] == made["token"]
    assert one["first_seen"] == "2026-01-14T10:17:24Z"
    assert one["last_seen"] == "2026-01-14T10:17:25.250000Z"
    assert begun + 3 == management.clock()
    assert (one["is_stopped"], one["stopped_by"], one["stopped_at"], one["stop_reason"]) == (False, None, None, None)


async def test_sessions_are_listed_newest_first_in_pages(management: Management) -> None:
    key = (await management.new_key())["key"]
    for number in (1, 2, 3, 1):
        await called(management, key, f"run-{number}")
    first = good(await management.get("/session/list", page_size=2))
    second = good(await management.get("/session/list", page_size=2, page=2))
    assert [one["session_id"] for one in first["sessions"]] == ["run-1", "run-3"]
    assert [one["session_id"] for one in second["sessions"]] == ["run-2"]
    assert (first["has_more"], second["has_more"]) == (True, False)


async def test_one_key_can_be_listed_by_value_or_hash_and_keeps_its_sessions_when_it_is_regenerated(
    management: Management,
) -> None:
    made, other = await management.new_key(), await management.new_key()
    for key in (made["key"], other["key"]):
        await called(management, key)
    renewed = good(await management.post("/key/regenerate", {"key": made["key"]}))["key"]
    await called(management, renewed)
    for name in (made["token"], renewed, hash_key(renewed)):
        assert await listed(management, by=MASTER_KEY, key=name) == [("run", hash_key(renewed))]
    (one,) = good(await management.get("/session/info", session_id="run", key=made["token"]))["sessions"]
    assert one["calls"] == 2


async def test_a_stop_is_shown_told_audited_and_lifted(management: Management) -> None:
    made = await management.new_key()
    await called(management, made["key"])
    name = session_name(made["token"], "run")
    (stopped,) = good(await management.post("/session/stop", {"session_id": "run", "reason": "loops"}))["sessions"]
    assert (stopped["is_stopped"], stopped["stopped_by"], stopped["stop_reason"]) == (True, "default_user_id", "loops")
    assert management.told[-1] == name
    (shown,) = good(await management.get("/session/list"))["sessions"]
    assert shown == stopped
    stop = await found_stop(management, made["token"])
    assert stop is not None
    assert (stop.by, stop.reason, stop.at) == ("default_user_id", "loops", management.clock())
    (resumed,) = good(await management.post("/session/resume", {"session_id": "run"}))["sessions"]
    assert not resumed["is_stopped"]
    assert await found_stop(management, made["token"]) is None
    assert await management.audited(name) == {("blocked", "LiteLLM_Sessions"), ("unblocked", "LiteLLM_Sessions")}
    again = await management.post("/session/resume", {"session_id": "run"})
    assert "is not stopped" in error_of(again, 404)["message"]


async def found_stop(management: Management, spend_id: str) -> Any:
    entity = await SqlEntityStore(management.services.engine).find_entity("session", spend_id)
    return None if entity is None else entity.stops.get("run")


async def test_a_second_stop_changes_nothing(management: Management) -> None:
    made = await management.new_key()
    for reason in ("first", "second"):
        body = {"session_id": "run", "key": made["key"], "reason": reason}
        (one,) = good(await management.post("/session/stop", body))["sessions"]
        assert one["stop_reason"] == "first"


async def test_a_session_that_has_not_called_can_be_stopped_by_its_key_and_is_then_known(
    management: Management,
) -> None:
    made = await management.new_key(key_alias="agent")
    assert "Name its key" in error_of(await management.post("/session/stop", {"session_id": "run"}), 404)["message"]
    good(await management.post("/session/stop", {"session_id": "run", "key": made["token"]}))
    (one,) = good(await management.get("/session/info", session_id="run", key=made["token"]))["sessions"]
    assert (one["key_alias"], one["calls"], one["first_seen"], one["is_stopped"]) == ("agent", 0, None, True)
    assert error_of(await management.get("/session/info", session_id="other", key=made["token"]), 404)
    missing = await management.post("/session/stop", {"session_id": "run", "key": "sk-nobody-knows-this-one"})
    assert error_of(missing, 404)["param"] == "key"


async def test_sessions_of_the_master_key_can_be_stopped(management: Management) -> None:
    good(await management.post("/session/stop", {"session_id": "run", "key": MASTER_KEY_ID}))
    assert await found_stop(management, MASTER_KEY_ID) is not None


async def test_one_id_used_by_several_keys_is_stopped_for_all_of_them_or_for_one(management: Management) -> None:
    made = [await management.new_key() for _ in range(3)]
    for one in made:
        await called(management, one["key"])
    good(await management.post("/session/stop", {"session_id": "run", "key": made[0]["key"]}))
    assert [await found_stop(management, one["token"]) is not None for one in made] == [True, False, False]
    good(await management.post("/session/stop", {"session_id": "run"}))
    assert [await found_stop(management, one["token"]) is not None for one in made] == [True, True, True]


async def test_a_key_has_a_bounded_number_of_stopped_sessions(
    management: Management, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_STOPPED", 2)
    key = (await management.new_key())["key"]
    for number in range(2):
        good(await management.post("/session/stop", {"session_id": f"run-{number}", "key": key}))
    refused = await management.post("/session/stop", {"session_id": "run-3", "key": key})
    assert "POST /key/block" in error_of(refused, 400)["message"]


async def test_everybody_sees_the_sessions_that_are_theirs(people: People) -> None:
    management, keys = people.management, dict(people.keys)
    keys["of team"] = (await management.new_key(team_id="team"))["key"]
    keys["of nobody"] = (await management.new_key())["key"]
    keys["member's in team"] = (await management.new_key(team_id="team", user_id="member"))["key"]
    for name, key in keys.items():
        await called(management, key, name)
    own = {name: {name} for name in keys}
    expected = own | {
        "lead": {"lead", "of team", "member's in team"},
        "boss": {"boss", "of team", "member's in team"},
        "member": {"member", "member's in team"},
        "member's in team": {"member", "member's in team"},
        "root": set(keys),
        "auditor": set(keys),
    }
    for name, visible in expected.items():
        assert ({session for session, _ in await listed(management, by=keys[name])}, name) == (visible, name)
        for session in keys:
            answer = await management.get("/session/info", by=keys[name], session_id=session)
            assert (answer.status_code == 200) == (session in visible), (name, session)


async def test_sessions_are_stopped_by_their_owners_and_by_admins_and_by_nobody_else(people: People) -> None:
    management = people.management
    await called(management, people.keys["member"], "member's")
    team_key = (await management.new_key(team_id="team"))["key"]
    await called(management, team_key, "team's")
    allowed = {"member's": {"member", "root"}, "team's": {"lead", "boss", "root"}}
    for session, may in allowed.items():
        for caller in people.keys:
            answer = await people.ask(caller, "/session/stop", session_id=session)
            assert (answer.status_code == 200) == (caller in may), (caller, session, answer.text)
            if caller in may:
                good(await people.ask("root", "/session/resume", session_id=session))


async def test_what_an_admin_has_stopped_its_owner_cannot_resume(people: People) -> None:
    await called(people.management, people.keys["member"])
    good(await people.ask("root", "/session/stop", session_id="run"))
    refused = error_of(await people.ask("member", "/session/resume", session_id="run"), 403)
    assert "This session was stopped by root" in refused["message"]
    good(await people.ask("root", "/session/resume", session_id="run"))
    good(await people.ask("member", "/session/stop", session_id="run"))
    good(await people.ask("member", "/session/resume", session_id="run"))


@pytest.mark.parametrize("name", ["max_iterations", "max_repeated_calls", "max_budget_per_session"])
async def test_limits_of_sessions_are_fields_of_keys_and_teams(management: Management, name: str) -> None:
    key = await management.new_key(**{name: 7})
    assert (await management.info(key["key"]))["metadata"] == {name: 7}
    team = await management.new_team(team_id="t", **{name: 7})
    assert team["metadata"] == {name: 7}
    for path in ("/key/generate", "/team/new"):
        assert name in error_of(await management.post(path, {name: -1}), 400)["message"]


async def test_a_keys_holder_cannot_loosen_what_somebody_else_has_set(people: People) -> None:
    key = (await people.management.new_key(user_id="member", max_iterations=5))["key"]
    refused = await people.ask("member", "/key/update", key=key, max_iterations=500)
    assert error_of(refused, 403)["param"] == "max_iterations"
    hidden = await people.ask("member", "/key/update", key=key, metadata={"max_iterations": 500})
    assert hidden.status_code == 403
