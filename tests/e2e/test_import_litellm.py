"""Moving in from LiteLLM: a database as an operator has it, imported, and served by a gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases import DATABASES, empty_database
from tests.support.embedded import Embedded, embedded_gateway
from tests.support.litellm_database import (
    APP,
    EXPIRED,
    LINKED,
    LOGGING,
    NEWER_VERSION,
    NOW,
    ODD,
    OLD_VALUE,
    OLD_VERSION,
    REGENERATED,
    SALT_KEY,
    SPENT,
    LiteLLM,
    hashed,
    litellm_database,
)

from tollway.app.ledger_check import Checked, verify
from tollway.app.litellm_import import Wanted, import_litellm, read_configuration
from tollway.config.load import load
from tollway.litellm_import.report import Report

KEYS = "LiteLLM_VerificationToken"


async def bring(litellm: LiteLLM, target: str, folder: Path, **wanted: Any) -> Report:
    """One import, of everything unless something else is wanted."""
    environ = {"TOLLWAY_DATA_DIR": str(folder), "LITELLM_SALT_KEY": SALT_KEY}
    report = Report()
    plan = Wanted(source=litellm.url, target=target, **wanted)
    await import_litellm(plan, load(environ=environ), report, lambda _table, _read, _total: None)
    return report


@asynccontextmanager
async def moved_in(folder: Path, target: str) -> AsyncIterator[Embedded]:
    """A gateway on what was imported."""
    environ = {"DATABASE_URL": target, "LITELLM_SALT_KEY": SALT_KEY}
    async with embedded_gateway(folder, {"general_settings": {"store_model_in_db": True}}, environ) as gateway:
        yield gateway


def outcomes(report: Report) -> dict[str, dict[str, int]]:
    return {table: {name: count for name, count in found.items() if count} for table, found in report.rows.items()}


def remarks(report: Report, table: str) -> dict[str, str]:
    return {field: text for (of, field, text) in report.remarks if of == table}


async def info(gateway: Embedded, path: str) -> Any:
    answer = await gateway.get(path)
    assert answer.status == 200, await answer.text()
    return await answer.json()


@pytest.mark.parametrize("database", DATABASES)
async def test_everything_works_on_and_counts_on(database: str, tmp_path: Path) -> None:
    target = empty_database(database, tmp_path)
    async with litellm_database() as litellm:
        report = await bring(litellm, target, tmp_path)
    found, _ = await verify(Checked(url=target))
    assert found.agrees

    async with moved_in(tmp_path, target) as gateway:
        await keys_work(gateway)
        await budgets_count_on(gateway)
        await people_are_where_they_were(gateway)
        await history_is_in_the_reports(gateway)
        await models_are_served(gateway)
    assert outcomes(report)[KEYS] == {"kept": 4, "changed": 2, "dropped": 2}


async def keys_work(gateway: Embedded) -> None:
    for key, status in ((APP, 200), (LINKED, 200), (REGENERATED, 200), (OLD_VALUE, 200), (ODD, 200), (EXPIRED, 401)):
        answer = await gateway.chat(key=key, model="mock")
        assert answer.status == status, (key, await answer.text())
    refused = await gateway.chat(key=SPENT, model="mock", max_tokens=1)
    assert refused.status == 422
    assert "Budget has been exceeded" in await refused.text()
    assert (await gateway.chat(key=APP, model="quick")).status == 200, "its alias"
    assert (await gateway.chat(key=APP, model="claude")).status in (401, 403), "a model that it may not use"
    assert (await gateway.chat(key="sk-session-of-the-console", model="mock")).status == 401


async def budgets_count_on(gateway: Embedded) -> None:
    app = (await info(gateway, f"/key/info?key={hashed(APP)}"))["info"]
    assert app["spend"] == pytest.approx(2.0, abs=0.2)
    assert app["spend"] >= 2.0
    assert (app["max_budget"], app["tpm_limit"], app["key_alias"], app["organization_id"]) == (
        10,
        100_000,
        "app",
        "acme",
    )
    logging = {**LOGGING, "callback_vars": {"langfuse_secret_key": "***"}}
    assert app["metadata"] == {"tags": ["red"], "note": "mine", "logging": [logging]}
    assert app["object_permission"]["mcp_servers"] == ["files"]
    linked = (await info(gateway, f"/key/info?key={hashed(LINKED)}"))["info"]
    assert linked["litellm_budget_table"]["max_budget"] == 20
    assert linked["spend"] >= 5.0
    assert linked["access_group_ids"] == ["g1"]
    [carl] = [one for one in await info(gateway, "/customer/list") if one["user_id"] == "carl"]
    assert (carl["spend"], carl["alias"], carl["litellm_budget_table"]["rpm_limit"]) == (0.5, "Carl", 5)


async def people_are_where_they_were(gateway: Embedded) -> None:
    team = (await info(gateway, "/team/info?team_id=t1"))["team_info"]
    assert (team["team_alias"], team["organization_id"], team["max_budget"]) == ("Research", "acme", 50)
    assert team["spend"] >= 7.75
    roles = {one["user_id"]: one["role"] for one in team["members_with_roles"]}
    assert roles == {"ada": "admin", "bob": "user"}
    assert "callback_settings" not in team["metadata"]
    bob = (await info(gateway, "/user/info?user_id=bob"))["user_info"]
    assert (bob["user_email"], bob["metadata"], bob["max_budget"]) == ("bob@acme.org", {"likes": "lemons"}, 40)
    assert bob["spend"] < 3.25, "of a day that is over"
    organization = await info(gateway, "/organization/info?organization_id=acme")
    assert organization["spend"] >= 12.5
    assert organization["litellm_budget_table"]["max_budget"] == 500


async def history_is_in_the_reports(gateway: Embedded) -> None:
    logs = await gateway.records(request_id="chatcmpl-5")
    assert [(log["spend"], log["end_user"], log["request_tags"]) for log in logs] == [(0.25, "carl", ["red"])]
    activity = await info(
        gateway,
        f"/user/daily/activity?user_id=bob&start_date={NOW - timedelta(days=90):%Y-%m-%d}&end_date={NOW:%Y-%m-%d}",
    )
    days = {day["date"]: day["metrics"]["spend"] for day in activity["results"]}
    assert sum(days.values()) >= 6 * 0.25 + 1.5


async def models_are_served(gateway: Embedded) -> None:
    answer = await (await gateway.chat(key=APP, model="mock")).json()
    assert answer["choices"][0]["message"]["content"] == "lemon"
    models = {one["model_info"]["id"]: one for one in (await info(gateway, "/v1/model/info"))["data"]}
    assert models["m1"]["litellm_params"]["model"] == "openai/gpt-4o"
    assert "sk-vendor-secret" not in json.dumps(models)
    names = [one["credential_name"] for one in (await info(gateway, "/credentials"))["credentials"]]
    assert names == ["vendor"]
    assert gateway.runtime.configuration.environ["VENDOR_TOKEN"] == "of the vendor"


async def test_what_is_changed_or_left_is_told(tmp_path: Path) -> None:
    async with litellm_database() as litellm:
        report = await bring(litellm, empty_database("sqlite", tmp_path), tmp_path)
    assert report.rows[KEYS]["dropped"] == 2
    assert "its token is no SHA-256" in " ".join(text for (_, _, text) in report.remarks)
    told = remarks(report, KEYS)
    assert told["key_alias"].startswith("an older row has it")
    assert "sometimes" in told["budget_duration"]
    assert "rpm_limit" in told["rpm_limit"]
    assert "soft_budget" in remarks(report, "LiteLLM_BudgetTable")
    assert "invitation" in remarks(report, "LiteLLM_UserTable")["password"]
    assert "is over" in remarks(report, "LiteLLM_UserTable")["spend"]
    assert "salt key" in remarks(report, "LiteLLM_ProxyModelTable")["litellm_params.api_key"]
    assert outcomes(report)["LiteLLM_Config"] == {"kept": 2, "dropped": 3}
    assert outcomes(report)["LiteLLM_AuditLog"] == {"dropped": 1}
    assert "does not have" in remarks(report, "LiteLLM_GuardrailsTable")[""]


@pytest.mark.parametrize("database", DATABASES)
async def test_a_second_import_brings_only_what_is_new(database: str, tmp_path: Path) -> None:
    target = empty_database(database, tmp_path)
    async with litellm_database() as litellm:
        await bring(litellm, target, tmp_path)
        again = await bring(litellm, target, tmp_path)
        told = {name for found in again.rows.values() for name, count in found.items() if count}
        assert told == {"present", "dropped"}
        await litellm.execute(f"""UPDATE "{KEYS}" SET spend = spend + 1 WHERE token = '{hashed(LINKED)}'""")
        await litellm.insert("LiteLLM_EndUserTable", user_id="eve", spend=0.5)
        later = await bring(litellm, target, tmp_path)
        assert outcomes(later)["LiteLLM_EndUserTable"] == {"present": 2, "kept": 1}
    async with moved_in(tmp_path, target) as gateway:
        assert (await info(gateway, f"/key/info?key={hashed(LINKED)}"))["info"]["spend"] == 6.0
        assert (await info(gateway, f"/key/info?key={hashed(APP)}"))["info"]["spend"] == 2.0
    found, _ = await verify(Checked(url=target))
    assert found.agrees
    assert found.records == 7 + len(litellm_counters())


def litellm_counters() -> list[str]:
    """Entities with spend in a window that is not over, and what was added."""
    return [
        *(
            "organization acme",
            "user ada",
            "team t1",
            "project p1",
            "key app",
            "key spent",
            "key linked",
            "key expired",
        ),
        *("carl", "red", "beta-models", "member bob", "member ada", "window of app", "linked again", "eve"),
    ]


async def test_a_rehearsal_changes_nothing_and_says_what_an_import_says(tmp_path: Path) -> None:
    target = empty_database("sqlite", tmp_path)
    async with litellm_database() as litellm:
        rehearsed = await bring(litellm, target, tmp_path, is_rehearsal=True)
        assert not (tmp_path / "tollway.db").exists()
        done = await bring(litellm, target, tmp_path)
        assert rehearsed.rows == done.rows
        assert rehearsed.remarks == done.remarks
        again = await bring(litellm, target, tmp_path, is_rehearsal=True)
        assert again.rows == (await bring(litellm, target, tmp_path)).rows


async def test_what_was_changed_here_stays(tmp_path: Path) -> None:
    target = empty_database("sqlite", tmp_path)
    async with litellm_database() as litellm:
        await bring(litellm, target, tmp_path)
        async with moved_in(tmp_path, target) as gateway:
            assert (await gateway.post("/key/update", {"key": hashed(APP), "max_budget": 77})).status == 200
        again = await bring(litellm, target, tmp_path)
        assert again.rows[KEYS]["differs"] == 1
        async with moved_in(tmp_path, target) as gateway:
            assert (await info(gateway, f"/key/info?key={hashed(APP)}"))["info"]["max_budget"] == 77


async def test_older_and_newer_versions_of_the_schema(tmp_path: Path) -> None:
    for name, changes in (("old", OLD_VERSION), ("new", NEWER_VERSION)):
        folder = tmp_path / name
        folder.mkdir()
        target = empty_database("sqlite", folder)
        async with litellm_database(*changes) as litellm:
            report = await bring(litellm, target, folder)
        async with moved_in(folder, target) as gateway:
            assert (await gateway.chat(key=APP, model="mock")).status == 200, name
            assert (await gateway.chat(key=SPENT, model="mock", max_tokens=1)).status == 422, name
        if name == "new":
            assert remarks(report, KEYS)["mood"] == "a column that this version does not know"
            assert outcomes(report)["LiteLLM_WishTable"] == {"dropped": 1}


async def test_history_can_be_left_or_cut(tmp_path: Path) -> None:
    async with litellm_database() as litellm:
        left = await bring(litellm, empty_database("sqlite", tmp_path), tmp_path, with_history=False)
    assert outcomes(left)["LiteLLM_SpendLogs"] == {"dropped": 6}
    assert left.rows[KEYS]["kept"] > 0


async def test_every_setting_of_the_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "model_list:\n  - model_name: demo\n    litellm_params: {model: demo/demo}\n"
        "litellm_settings:\n  drop_params: true\n  something_unheard_of: 1\n"
    )
    report = Report()
    read_configuration(file, {}, report)
    assert outcomes(report)["config.yaml"] == {"kept": 2, "dropped": 1}
    assert "litellm_settings.something_unheard_of" in remarks(report, "config.yaml") or remarks(report, "config.yaml")
