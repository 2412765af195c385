from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from tests.support.databases import DATABASES
from tests.support.management import Management, error_of, good, open_management
from tests.support.people import NOW

from tollway.core.changes import Change, NumberedChange
from tollway.db.audit import audit_log
from tollway.db.engine import reading, writing
from tollway.db.settings import settings
from tollway.routing.router import Router

SECRET = "sk-canary-of-a-setting-0123456789"
FILE: dict[str, Any] = {
    "model_list": [{"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-of-the-file-0123"}}],
    "litellm_settings": {"request_timeout": 600, "default_key_generate_params": {"max_budget": 1}},
    "general_settings": {"completion_model": "m", "user_header_name": "x-of-the-file"},
}
ENVIRON = {
    "LITELLM_MASTER_KEY": "sk-master-key-of-the-tests",
    "COPY_OF_MASTER": "sk-master-key-of-the-tests",
    "VENDOR_KEY": "sk-of-the-environment-0123",
    "TOLLWAY_BUDGET_WAIT_S": "1",
}


@pytest.fixture(params=DATABASES)
async def plane(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Management]:
    async with open_management(tmp_path, request.param, config=FILE, environ=ENVIRON) as opened:
        yield opened


async def update(plane: Management, **sections: Any) -> str:
    """What `/config/update` warns of."""
    answer = await plane.post("/config/update", sections)
    assert good(answer) == {"message": "Config updated successfully"}
    warned: str = answer.headers.get("x-tollway-warning", "")
    return warned


async def rows(plane: Management) -> dict[tuple[str, str], Any]:
    async with reading(plane.services.engine) as connection:
        return {(row.section, row.name): row.value for row in await connection.execute(select(settings))}


async def field(plane: Management, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = good(await plane.get("/config/field/info", field_name=name))
    return shown


def origin(plane: Management, path: str) -> str:
    said: str = plane.services.configuration().origins[path].origin
    return said


async def test_a_change_acts_at_once_and_wins_over_the_file(plane: Management) -> None:
    warned = await update(
        plane,
        litellm_settings={"request_timeout": 60, "max_budget": 5},
        general_settings={"max_request_size_mb": 1},
        router_settings={"model_group_alias": {"gpt-4": "m"}},
    )
    assert warned == ""
    served = plane.services.snapshot()
    assert served.settings.max_request_bytes == 1024 * 1024
    assert served.settings.proxy_budget_nanos == 5 * 10**9
    assert served.aliases == {"gpt-4": "m"}
    assert served.groups["m"].deployments[0].timeouts.total == 60
    assert origin(plane, "litellm_settings.request_timeout") == "database"
    assert origin(plane, "general_settings.completion_model").endswith("config.yaml:2")


async def test_new_keys_follow_changed_defaults(plane: Management) -> None:
    assert (await plane.new_key())["max_budget"] == 1
    await update(plane, litellm_settings={"default_key_generate_params": {"max_budget": 2}})
    assert (await plane.new_key())["max_budget"] == 2
    await update(plane, litellm_settings={"default_key_generate_params": None})
    assert (await plane.new_key())["max_budget"] == 1


async def test_changes_are_merged_and_null_gives_way_to_the_file(plane: Management) -> None:
    await update(plane, general_settings={"completion_model": "other"})
    await update(plane, general_settings={"user_header_name": "x-user"})
    served = plane.services.snapshot().settings
    assert (served.default_model, served.user_header) == ("other", "x-user")
    await update(plane, general_settings={"completion_model": None})
    served = plane.services.snapshot().settings
    assert (served.default_model, served.user_header) == ("m", "x-user")
    assert await rows(plane) == {("general_settings", "user_header_name"): "x-user"}


async def test_callbacks_add_up_and_a_null_clears_them(plane: Management) -> None:
    await update(plane, litellm_settings={"success_callback": ["langfuse"]})
    warned = await update(plane, litellm_settings={"success_callback": ["datadog", "langfuse"]})
    assert "litellm_settings.success_callback: has no effect in this release" in warned
    assert await rows(plane) == {("litellm_settings", "success_callback"): ["langfuse", "datadog"]}
    await update(plane, litellm_settings={"success_callback": None})
    assert await rows(plane) == {}


async def test_flags_and_our_variables_win_and_the_caller_is_told(plane: Management) -> None:
    warned = await update(plane, general_settings={"budget_wait_s": 9})
    assert "general_settings.budget_wait_s: stored, and without effect as long as environment TOLLWAY_" in warned
    assert plane.services.snapshot().settings.budget_wait_s == 1
    assert (await field(plane, "budget_wait_s"))["field_origin"] == "environment TOLLWAY_BUDGET_WAIT_S"


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("general_settings", "keepalive_timeout", 20),
        ("general_settings", "log_level", "debug"),
        ("litellm_settings", "timezone", "Europe/Berlin"),
        ("litellm_settings", "json_logs", True),
    ],
)
async def test_what_needs_a_start_says_so(plane: Management, section: str, name: str, value: Any) -> None:
    assert await update(plane, **{section: {name: value}}) == f"{section}.{name}: takes effect at the next start"


@pytest.mark.parametrize(
    ("sections", "param", "words"),
    [
        ({"general_settings": {"completion_modle": "m"}}, "general_settings.completion_modle", "`completion_model`"),
        ({"general_settings": {"budget_wait_s": "soon"}}, "general_settings.budget_wait_s", "a number of seconds"),
        ({"litellm_settings": {"timezone": "Mars"}}, "litellm_settings.timezone", "expected a time zone"),
        (
            {"litellm_settings": {"default_key_generate_params": {"max_bugdet": 1}}},
            "litellm_settings.default_key_generate_params.max_bugdet",
            "`max_budget`",
        ),
        (
            {"router_settings": {"default_litellm_params": {"api_kye": "x"}}},
            "router_settings.default_litellm_params.api_kye",
            "`api_key`",
        ),
        (
            {"router_settings": {"model_group_alias": {"a": "b", "b": "a"}}},
            "router_settings.model_group_alias.a",
            "leads back to itself",
        ),
        ({"router_settings": {"model_group_alias": {"a": 7}}}, "router_settings.model_group_alias.a", "a model name"),
        ({"environment_variables": {"PATH": "/tmp"}}, "environment_variables.PATH", "which code runs"),
        ({"environment_variables": {"TOLLWAY_NOPE": "1"}}, "environment_variables.TOLLWAY_NOPE", "is a setting"),
        ({"environment_variables": {"A=B": "1"}}, "environment_variables", "letters, digits"),
        ({"general_settings": {"": 1}}, "general_settings", "1 to 255"),
        ({"general_settings": {"x" * 256: 1}}, "general_settings", "1 to 255"),
        ({"general_setings": {"port": 1}}, "general_setings", "`general_settings`"),
        ({"guardrails": []}, "guardrails", "configuration file alone"),
        ({"model_list": [{"model_name": "x"}]}, "model_list", "POST /model/new"),
        ({"general_settings": {"drain_endpoint_token": "sealed:1:a:b"}}, "general_settings", "sealed value"),
        ({"general_settings": {"drain_endpoint_token": "***"}}, "drain_endpoint_token", "Send the secret"),
    ],
)
async def test_nothing_invalid_is_stored(plane: Management, sections: Any, param: str, words: str) -> None:
    good_one = {"router_settings": {"timeout": 5}}
    error = error_of(await plane.post("/config/update", good_one | sections), 400)
    assert error["param"] == param
    assert words in error["message"]
    assert await rows(plane) == {}
    assert plane.services.configuration().stored.paths == []


async def test_what_breaks_a_model_of_the_file_is_refused_too(plane: Management) -> None:
    await update(plane, general_settings={"user_header_name": "x-user"})
    sent = {"router_settings": {"default_litellm_params": {"api_base": "ftp://nowhere"}}}
    error = error_of(await plane.post("/config/update", sent), 400)
    assert error["param"] == "router_settings.default_litellm_params"
    assert "api_base" in error["message"]
    assert list(await rows(plane)) == [("general_settings", "user_header_name")]


@pytest.mark.parametrize(
    "path",
    [
        *("general_settings.master_key", "general_settings.salt_key", "general_settings.database_url"),
        *("general_settings.data_dir", "general_settings.port", "general_settings.ssl_keyfile_path"),
        *("general_settings.custom_auth", "general_settings.custom_sso", "general_settings.pass_through_endpoints"),
        *("general_settings.store_model_in_db", "general_settings.mcp_servers_file", "general_settings.workers"),
        *("general_settings.database_connection_timeout", "general_settings.key_management_system"),
        *("litellm_settings.custom_provider_map", "litellm_settings.post_call_rules"),
        *("environment_variables.LITELLM_MASTER_KEY", "environment_variables.DATABASE_URL"),
        *("environment_variables.DATABASE_HOST", "environment_variables.AWS_SHARED_CREDENTIALS_FILE"),
        *("environment_variables.GOOGLE_APPLICATION_CREDENTIALS", "environment_variables.PORT"),
    ],
)
async def test_what_reaches_the_machine_is_refused_with_a_reason(plane: Management, path: str) -> None:
    section, _, name = path.partition(".")
    error = error_of(await plane.post("/config/update", {section: {name: "x"}}), 400)
    assert error["message"].startswith(f"{path} is not set over the API: it ")
    assert error["param"] == path


@pytest.mark.parametrize(
    ("name", "value"), [("success_callback", ["my_module.handler"]), ("ssl_verify", "/etc/ca.pem")]
)
async def test_values_that_name_code_or_files_are_refused(plane: Management, name: str, value: Any) -> None:
    error = error_of(await plane.post("/config/update", {"litellm_settings": {name: value}}), 400)
    assert "is not set over the API: it names" in error["message"]
    assert await update(plane, litellm_settings={"ssl_verify": False}) == ""


@pytest.mark.parametrize("variable", ["LITELLM_MASTER_KEY", "COPY_OF_MASTER", "TOLLWAY_SALT_KEY", "DATABASE_URL"])
@pytest.mark.parametrize("section", ["general_settings", "environment_variables"])
async def test_a_reference_never_leads_to_the_gateways_secrets(plane: Management, section: str, variable: str) -> None:
    sent = {section: {"completion_model": f"os.environ/{variable}"}}
    assert "a secret of the gateway itself" in error_of(await plane.post("/config/update", sent), 400)["message"]


async def test_references_are_kept_as_such_and_followed(plane: Management) -> None:
    reference = "os.environ/VENDOR_KEY"
    await update(
        plane,
        environment_variables={"ANTHROPIC_API_KEY": reference},
        general_settings={"completion_model": "os.environ/NOWHERE"},
        router_settings={"default_litellm_params": {"api_base": "http://127.0.0.1:9/v1"}},
    )
    assert (await rows(plane))["environment_variables", "ANTHROPIC_API_KEY"] == reference
    assert plane.services.configuration().environ["ANTHROPIC_API_KEY"] == ENVIRON["VENDOR_KEY"]
    assert (await field(plane, "completion_model"))["field_value"] == "os.environ/NOWHERE"
    warned = await update(plane, general_settings={"completion_model": "os.environ/NOWHERE"})
    assert "NOWHERE is not set in the environment" in warned


async def test_secrets_are_sealed_masked_and_used(plane: Management) -> None:
    address = {"model": "anthropic/claude-sonnet-4-5", "api_base": "http://127.0.0.1:9"}
    good(await plane.post("/model/new", {"model_name": "c", "litellm_params": address | {"model": "openai/gpt-4o"}}))
    await update(
        plane,
        environment_variables={"OPENAI_API_KEY": SECRET},
        general_settings={"drain_endpoint_token": SECRET, "alert_to_webhook_url": {"budget": f"http://x/{SECRET}"}},
        litellm_settings={"generic_logger_headers": {"x-whatever": SECRET}},
        router_settings={"default_litellm_params": {"extra_headers": {"x-a": SECRET}}},
    )
    stored = await rows(plane)
    assert SECRET not in repr(stored)
    assert len(stored) == 5
    assert "sealed:1:" in repr(stored["environment_variables", "OPENAI_API_KEY"])
    group = Router(plane.services.snapshot()).group("c")
    assert group is not None
    headers = dict(group.deployments[0].endpoints["chat"].headers)
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["x-a"] == SECRET
    for path in ("/config/list", "/get/config/callbacks", "/config/yaml", "/audit"):
        answer = await plane.get(path)
        assert answer.status_code == 200
        assert SECRET not in answer.text
    assert (await field(plane, "drain_endpoint_token"))["field_value"] == "***"
    assert (await field(plane, "master_key"))["field_value"] == "***"
    async with reading(plane.services.engine) as connection:
        assert SECRET not in repr((await connection.execute(select(audit_log))).all())
    masked = {"alert_to_webhook_url": {"budget": "***"}, "drain_endpoint_token": "***"}
    await update(plane, environment_variables={"OPENAI_API_KEY": "***"}, general_settings=masked)
    assert await rows(plane) == stored
    assert plane.services.configuration().environ["OPENAI_API_KEY"] == SECRET
    assert SECRET not in repr(plane.services.configuration())


async def test_a_variable_of_the_process_stays_as_it_is(plane: Management) -> None:
    warned = await update(plane, environment_variables={"VENDOR_KEY": "sk-other"})
    assert "environment_variables.VENDOR_KEY: stored, and without effect as long as the process's own" in warned
    assert plane.services.configuration().environ["VENDOR_KEY"] == ENVIRON["VENDOR_KEY"]


async def test_a_change_leaves_who_what_and_when(plane: Management) -> None:
    for model in ("a", "b", "b", None):  # the third changes nothing
        plane.clock.advance(1)
        await update(plane, general_settings={"completion_model": model})
    async with reading(plane.services.engine) as connection:
        query = select(audit_log).where(audit_log.c.resource == "LiteLLM_Config").order_by(audit_log.c.id)
        entries = [(row.action, row.object_id, row.before, row.after) for row in await connection.execute(query)]
    assert entries == [
        ("created", "general_settings", None, {"completion_model": "a"}),
        ("updated", "general_settings", {"completion_model": "a"}, {"completion_model": "b"}),
        ("deleted", "general_settings", {"completion_model": "b"}, None),
    ]


async def test_fields_are_listed_with_value_and_origin(plane: Management) -> None:
    changed = await plane.post(
        "/config/field/update",
        {"field_name": "user_header_name", "field_value": "x-user", "config_type": "general_settings"},
    )
    assert good(changed) == {"param_name": "general_settings", "param_value": {"user_header_name": "x-user"}}
    listed = {one["field_name"]: one for one in good(await plane.get("/config/list", config_type="general_settings"))}
    assert listed["user_header_name"] == {
        "field_name": "user_header_name",
        "field_type": "String",
        "field_description": "Header that names the end user.",
        "field_value": "x-user",
        "stored_in_db": True,
        "field_default_value": None,
        "premium_field": False,
        "nested_fields": None,
        "field_origin": "database",
    }
    assert (listed["completion_model"]["field_value"], listed["completion_model"]["stored_in_db"]) == ("m", False)
    default = listed["always_include_stream_usage"]
    assert (default["field_value"], default["stored_in_db"], default["field_default_value"]) == (None, None, False)
    assert default["field_type"] == "Boolean"
    assert "master_key" not in listed
    assert "port" not in listed
    assert await field(plane, "user_header_name") == listed["user_header_name"]
    gone = await plane.post("/config/field/delete", {"field_name": "user_header_name"})
    assert good(gone) == {"param_name": "general_settings", "param_value": {}}
    assert (await field(plane, "user_header_name"))["field_value"] == "x-of-the-file"


async def test_fields_that_there_are_not(plane: Management) -> None:
    error = error_of(await plane.get("/config/field/info", field_name="completion_modle"), 400)
    assert (error["param"], "Did you mean completion_model?" in error["message"]) == ("field_name", True)
    unknown = {"field_name": "nope", "field_value": 1}
    assert error_of(await plane.post("/config/field/update", unknown), 400)["param"] == "field_name"
    error_of(await plane.post("/config/field/delete", {"field_name": "completion_model"}), 400)
    assert (await plane.get("/config/list", config_type="litellm_settings")).status_code == 422
    refused = await plane.post("/config/field/update", {"field_name": "master_key", "field_value": "sk-mine"})
    assert error_of(refused, 400)["param"] == "general_settings.master_key"


async def test_what_another_version_stored_stops_nothing_and_can_be_removed(plane: Management) -> None:
    made = {"created_at": NOW, "updated_at": NOW}
    found = {
        ("general_settings", "budget_wait_sec"): 1,
        ("general_settings", "max_request_size_mb"): "huge",
        ("general_settings", "from_the_future"): {"a": 1},
        ("general_settings", "master_key"): "sk-of-somebody-else",
        ("general_settings", "drain_endpoint_token"): "sealed:1:00000000:AAAA",
        ("general_settings", "completion_model"): "os.environ/COPY_OF_MASTER",
        ("future_settings", "x"): 1,
        ("router_settings", "timeout"): 7,
    }
    async with writing(plane.services.engine) as connection:
        values = [{"section": one, "name": name, "value": value, **made} for (one, name), value in found.items()]
        await connection.execute(insert(settings), values)
    await plane.services.changed([NumberedChange(1, Change("setting", "general_settings"))])
    configuration = plane.services.configuration()
    assert configuration.stored.paths == ["general_settings.from_the_future", "router_settings.timeout"]
    assert len(configuration.stored.left_out) == 6
    assert configuration.server.master_key == ENVIRON["LITELLM_MASTER_KEY"]
    assert "database: general_settings.budget_wait_sec: left out: is not a known key" in configuration.warnings
    assert "general_settings.from_the_future: is not a known key and has no effect" in configuration.warnings
    assert await update(plane, router_settings={"stream_timeout": 3}) == ""  # what was wrong before is not in its way
    for name in ("budget_wait_sec", "master_key", "drain_endpoint_token", "from_the_future"):
        await update(plane, general_settings={name: None})
    assert len(await rows(plane)) == 5


async def test_who_only_looks_changes_nothing(people: Any) -> None:
    for path in ("/config/list", "/config/field/info?field_name=completion_model", "/get/config/callbacks"):
        assert (await people.look("auditor", path)).status_code == 200
        assert (await people.look("boss", path)).status_code == 401
    sent = {"general_settings": {"completion_model": "x"}}
    for who, status in (("auditor", 401), ("boss", 401), ("root", 200)):
        assert (await people.ask(who, "/config/update", **sent)).status_code == status
    assert (await people.management.client.get("/config/yaml")).json()["general_settings"]["port"]


async def test_without_a_store_nothing_is_changed(tmp_path: Path) -> None:
    async with open_management(tmp_path, config={"general_settings": {"store_model_in_db": False}}) as plane:
        answer = await plane.post("/config/update", {"general_settings": {"completion_model": "x"}})
        assert "STORE_MODEL_IN_DB" in error_of(answer, 500)["message"]


async def test_callbacks_are_shown(plane: Management) -> None:
    assert "x-tollway-warning" not in (await plane.get("/get/config/callbacks")).headers
    await update(
        plane,
        litellm_settings={"success_callback": ["langfuse"], "callbacks": ["otel"]},
        general_settings={"alerting": ["slack"]},
        environment_variables={"LANGFUSE_SECRET_KEY": SECRET},
    )
    answer = await plane.get("/get/config/callbacks")
    shown = good(answer)
    assert shown["status"] == "success"
    assert {one["name"]: one["type"] for one in shown["callbacks"]} == {
        "langfuse": "success",
        "otel": "success_and_failure",
    }
    assert shown["callbacks"][0]["variables"]["LANGFUSE_SECRET_KEY"] == "***"
    assert shown["callbacks"][0]["variables"]["LANGFUSE_HOST"] is None
    assert shown["alerts"] == [{"name": "slack", "variables": {"SLACK_WEBHOOK_URL": None}}]
    assert shown["available_callbacks"] == {}
    assert "model_group_alias" in shown["router_settings"]
