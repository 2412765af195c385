"""Callbacks of teams: kept sealed, shown masked, and nobody's but those who manage the team."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from tests.support.management import Management, error_of, good
from tests.support.people import People

from tollway.control.teams.callbacks import MAX_CALLBACKS
from tollway.db.audit import audit_log
from tollway.db.engine import reading
from tollway.db.teams import deleted_teams, teams

SECRET = "sk-lf-9f8e7d6c5b4a"
LANGFUSE = {
    "callback_name": "langfuse",
    "callback_type": "success",
    "callback_vars": {"langfuse_public_key": "pk-lf-public-1234", "langfuse_secret_key": SECRET},
}
MASKED = {"langfuse_public_key": "***", "langfuse_secret_key": "***"}
PATH = "/team/team/callback"


async def stored(management: Management, table: Any = teams) -> dict[str, Any]:
    async with reading(management.services.engine) as connection:
        query = select(table.c.options).where(table.c.team_id == "team")
        options: dict[str, Any] = (await connection.execute(query)).scalar_one()
        return options


async def audited(management: Management) -> str:
    async with reading(management.services.engine) as connection:
        rows = await connection.execute(select(audit_log.c.before, audit_log.c.after))
        return repr(rows.all())


async def test_a_callback_is_kept_sealed_and_shown_masked(people: People) -> None:
    response = await people.ask("lead", PATH, **LANGFUSE)
    answer = good(response)
    assert "x-tollway-warning" not in response.headers
    assert answer["status"] == "success"
    shown = {
        "team_id": "team",
        "success_callbacks": ["langfuse"],
        "failure_callbacks": [],
        "callback_vars": MASKED,
        "callbacks": [{**LANGFUSE, "callback_vars": MASKED}],
        "logging_disabled": False,
    }
    assert {name: answer["data"][name] for name in shown} == shown
    assert answer["data"]["members_with_roles"], "the answer has the team too"
    assert good(await people.look("lead", PATH)) == {"status": "success", "data": shown}
    options = await stored(people.management)
    assert SECRET not in repr(options)
    assert "pk-lf-public-1234" not in repr(options)
    (entry,) = options["callbacks"]
    opened = people.management.services.sealer.open(
        entry["callback_vars"], "teams", "team", "callbacks", "langfuse", "success"
    )
    assert opened == LANGFUSE["callback_vars"]


async def test_no_value_of_a_callback_gets_into_another_answer_or_the_audit_log(people: People) -> None:
    management = people.management
    good(await management.post(PATH, LANGFUSE))
    good(await management.post("/team/update", {"team_id": "team", "max_budget": 9}))
    shown = [
        (await management.get("/team/info", team_id="team")).text,
        (await management.get("/team/list")).text,
        (await management.get("/v2/team/list")).text,
    ]
    options = await stored(management)
    assert options["callbacks"][0]["callback_name"] == "langfuse", "another change leaves them alone"
    good(await management.post("/team/delete", {"team_ids": ["team"]}))
    text = await audited(management) + "".join(shown) + repr(await stored(management, deleted_teams))
    assert SECRET not in text
    assert "sealed:" not in await audited(management) + "".join(shown)


@pytest.mark.parametrize("caller", ["member", "viewer", "stranger"])
async def test_those_who_do_not_manage_a_team_see_and_change_nothing(caller: str, people: People) -> None:
    good(await people.management.post(PATH, LANGFUSE))
    key = people.keys[caller]
    for response in (
        await people.ask(caller, PATH, **(LANGFUSE | {"callback_type": "failure"})),
        await people.look(caller, PATH),
        await people.management.send("DELETE", f"{PATH}/langfuse", by=key),
        await people.ask(caller, "/team/team/disable_logging"),
    ):
        assert response.status_code in (401, 403), response.text
    assert len((await stored(people.management))["callbacks"]) == 1


async def test_an_admin_of_one_team_is_nobody_to_another(people: People) -> None:
    key = people.keys["lead"]
    for response in (
        await people.ask("lead", "/team/other/callback", **LANGFUSE),
        await people.look("lead", "/team/other/callback"),
        await people.management.send("DELETE", "/team/other/callback/langfuse", by=key),
        await people.ask("lead", "/team/other/disable_logging"),
    ):
        error_of(response, 403)


async def test_an_organizations_admin_manages_them_and_an_auditor_looks(people: People) -> None:
    good(await people.ask("boss", PATH, **LANGFUSE))
    assert good(await people.look("auditor", PATH))["data"]["callback_vars"] == MASKED
    assert (await people.ask("auditor", PATH, **LANGFUSE)).status_code == 401
    error_of(await people.ask("boss", "/team/other/callback", **LANGFUSE), 403)


@pytest.mark.parametrize("caller", ["lead", "boss"])
async def test_only_a_proxy_admin_names_a_variable_of_the_gateway(caller: str, people: People) -> None:
    reference = LANGFUSE | {"callback_vars": {"langfuse_secret_key": "os.environ/LANGFUSE_SECRET_KEY"}}
    error = error_of(await people.ask(caller, PATH, **reference), 403)
    assert error["param"] == "callback_vars"
    assert "only a proxy_admin" in error["message"]
    response = await people.ask("root", PATH, **reference)
    shown = good(response)["data"]["callback_vars"]
    assert shown == {"langfuse_secret_key": "os.environ/LANGFUSE_SECRET_KEY"}
    assert "LANGFUSE_SECRET_KEY is not set" in response.headers["x-tollway-warning"]
    (entry,) = (await stored(people.management))["callbacks"]
    assert entry["callback_vars"] == shown


@pytest.mark.parametrize("name", ["LITELLM_MASTER_KEY", "TOLLWAY_SALT_KEY", "COPY_OF_MASTER"])
async def test_nobody_has_the_gateways_own_secrets_sent_away(name: str, plane: Management) -> None:
    await plane.new_team(team_id="team")
    body = LANGFUSE | {"callback_vars": {"langfuse_secret_key": f"os.environ/{name}"}}
    assert name in error_of(await plane.post(PATH, body), 400)["message"]


async def test_a_callback_is_added_once_for_each_outcome_and_brings_its_own_values(management: Management) -> None:
    await management.new_team(team_id="team")
    good(await management.post(PATH, LANGFUSE))
    for kind in ("success", "success_and_failure"):
        error = error_of(await management.post(PATH, LANGFUSE | {"callback_type": kind}), 400)
        assert "langfuse already exists" in error["message"]
    other = {"langfuse_host": "https://elsewhere.example"}
    good(await management.post(PATH, LANGFUSE | {"callback_type": "failure", "callback_vars": other}))
    both = (await stored(management))["callbacks"]
    assert [sorted(one["callback_vars"]) for one in both] == [sorted(MASKED), ["langfuse_host"]]
    data = good(await management.get(PATH))["data"]
    assert (data["success_callbacks"], data["failure_callbacks"]) == (["langfuse"], ["langfuse"])


async def test_callbacks_are_removed_by_name(management: Management) -> None:
    await management.new_team(team_id="team")
    good(await management.post(PATH, LANGFUSE))
    good(await management.post(PATH, {"callback_name": "otel", "callback_vars": {}}))
    left = good(await management.send("DELETE", f"{PATH}/langfuse"))["data"]
    assert (left["success_callbacks"], left["failure_callbacks"]) == (["otel"], ["otel"])
    assert "has no callback 'langfuse'" in error_of(await management.send("DELETE", f"{PATH}/langfuse"), 404)["message"]


async def test_logging_is_disabled_until_a_callback_is_added(management: Management) -> None:
    await management.new_team(team_id="team")
    good(await management.post(PATH, LANGFUSE))
    answer = good(await management.post("/team/team/disable_logging"))
    assert answer["message"] == "Logging disabled for team team"
    assert (answer["data"]["success_callbacks"], answer["data"]["logging_disabled"]) == ([], True)
    assert await stored(management) == {"logging_disabled": True}
    assert good(await management.post(PATH, LANGFUSE))["data"]["logging_disabled"] is False


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"callback_name": "my_module.handler"}, 422),
        ({"callback_name": ""}, 422),
        ({"callback_type": "sometimes"}, 422),
        ({"callback_vars": {"langfuse_secrt": "x"}}, 422),
        ({"callback_vars": {"langfuse_secret": ["x"]}}, 422),
        ({"callback_vars": {"langfuse_secret": "x" * 10_001}}, 422),
        ({"callback_vars": {"langfuse_secret": "***"}}, 400),
        ({"callback_vars": {"langfuse_secret": "sealed:1:00:AA"}}, 400),
    ],
)
async def test_a_callback_that_cannot_be_is_refused(change: Any, status: int, management: Management) -> None:
    await management.new_team(team_id="team")
    assert (await management.post(PATH, LANGFUSE | change)).status_code == status
    assert await stored(management) == {}


async def test_numbers_and_flags_are_kept_as_text(management: Management) -> None:
    await management.new_team(team_id="team")
    sent = {"langsmith_sampling_rate": 0.5, "turn_off_message_logging": True}
    good(await management.post(PATH, {"callback_name": "langsmith", "callback_vars": sent}))
    (entry,) = (await stored(management))["callbacks"]
    place = ("teams", "team", "callbacks", "langsmith", "success_and_failure")
    opened = management.services.sealer.open(entry["callback_vars"], *place)
    assert opened == {"langsmith_sampling_rate": "0.5", "turn_off_message_logging": "true"}


async def test_a_team_has_so_many_callbacks_and_no_more(management: Management) -> None:
    await management.new_team(team_id="team")
    for number in range(MAX_CALLBACKS):
        good(await management.post(PATH, {"callback_name": f"webhook_{number}", "callback_vars": {}}))
    error = error_of(await management.post(PATH, {"callback_name": "one_more", "callback_vars": {}}), 400)
    assert f"at most {MAX_CALLBACKS}" in error["message"]


async def test_a_team_that_does_not_exist_is_not_found(management: Management) -> None:
    error_of(await management.post(PATH, LANGFUSE), 404)
    error_of(await management.get(PATH), 404)
