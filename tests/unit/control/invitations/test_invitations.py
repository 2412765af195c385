from __future__ import annotations

from typing import Any

from sqlalchemy import select
from tests.support.management import Management, error_of, good
from tests.support.places import join_team, make_org_admin, make_organization, make_team

from tollway.db.audit import audit_log
from tollway.db.engine import reading

FIELDS = "id user_id is_accepted accepted_at expires_at created_at created_by updated_at updated_by"


async def invite(management: Management, user_id: str) -> dict[str, Any]:
    made: dict[str, Any] = good(await management.post("/invitation/new", {"user_id": user_id}))
    return made


async def test_an_invitation_is_made_shown_accepted_and_taken_back(management: Management) -> None:
    await management.new_user(user_id="u")
    made = await invite(management, "u")
    assert made.keys() == set(FIELDS.split())
    assert (made["user_id"], made["is_accepted"], made["accepted_at"]) == ("u", False, None)
    assert (made["created_at"], made["expires_at"]) == ("2026-01-14T10:17:23Z", "2026-01-21T10:17:23Z")
    assert good(await management.get("/invitation/info", invitation_id=made["id"])) == made
    accept = {"invitation_id": made["id"], "is_accepted": True}
    management.clock.advance(60)
    accepted = good(await management.post("/invitation/update", accept))
    assert (accepted["is_accepted"], accepted["accepted_at"]) == (True, "2026-01-14T10:18:23Z")
    assert good(await management.post("/invitation/delete", {"invitation_id": made["id"]})) == accepted
    error = error_of(await management.get("/invitation/info", invitation_id=made["id"]), 404)
    assert error["param"] == "invitation_id"


async def test_nobody_cannot_be_invited(management: Management) -> None:
    error_of(await management.post("/invitation/new", {"user_id": "nobody"}), 404)


async def test_who_only_looks_gets_no_way_in(management: Management) -> None:
    viewer = (await management.new_user(user_id="v", user_role="proxy_admin_viewer"))["key"]
    await management.new_user(user_id="u")
    made = await invite(management, "u")
    error_of(await management.get("/invitation/info", by=viewer, invitation_id=made["id"]), 401)
    async with reading(management.services.engine) as connection:
        entries = (await connection.execute(select(audit_log))).all()
    assert "LiteLLM_InvitationLink" in str(entries)
    assert made["id"] not in str(entries)


async def test_managers_invite_people_of_theirs(management: Management) -> None:
    boss = await make_org_admin(management, "mine", "boss")
    lead = (await management.new_user(user_id="lead"))["key"]
    await make_team(management, "t")
    await management.new_user(user_id="ours", organizations=["mine"])
    await management.new_user(user_id="mate")
    await join_team(management, "t", "lead", role="admin")
    await join_team(management, "t", "mate")
    for key, user_id in ((boss, "ours"), (lead, "mate")):
        made = good(await management.post("/invitation/new", {"user_id": user_id}, by=key))
        assert good(await management.get("/invitation/info", by=key, invitation_id=made["id"])) == made
    for key, user_id in ((boss, "mate"), (lead, "ours")):
        error_of(await management.post("/invitation/new", {"user_id": user_id}, by=key), 403)


async def test_managers_take_over_no_account(management: Management) -> None:
    boss = await make_org_admin(management, "mine", "boss")
    lead = (await management.new_user(user_id="lead"))["key"]
    await make_organization(management, "other")
    for team in ("t", "elsewhere"):
        await make_team(management, team)
    await join_team(management, "t", "lead", role="admin")
    await management.new_user(user_id="root", organizations=["mine"], user_role="proxy_admin", teams=["t"])
    await management.new_user(user_id="settled", organizations=["mine"])
    await management.post("/user/update", {"user_id": "settled", "password": "correct horse"})
    await management.new_user(user_id="shared", organizations=["mine", "other"])
    await management.new_user(user_id="both", teams=["t", "elsewhere"])
    await management.new_user(user_id="member", teams=["t"], organizations=["other"])
    waiting = await invite(management, "root")
    for key, user_id in (
        (boss, "root"),
        (boss, "settled"),
        (boss, "shared"),
        (lead, "root"),
        (lead, "both"),
        (lead, "member"),
    ):
        error_of(await management.post("/invitation/new", {"user_id": user_id}, by=key), 403)
    error_of(await management.get("/invitation/info", by=boss, invitation_id=waiting["id"]), 403)
    error_of(await management.post("/invitation/delete", {"invitation_id": waiting["id"]}, by=lead), 403)
