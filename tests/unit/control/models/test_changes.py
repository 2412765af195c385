from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.support.management import Management, error_of, good, open_management

from tollway.control.kit.body import WARNING_HEADER
from tollway.core.snapshot import Deployment
from tollway.db.audit import audit_log
from tollway.db.engine import reading
from tollway.db.models import models

SECRET = "sk-canary-of-a-provider-0123456789"
NEW: dict[str, Any] = {
    "model_name": "mine",
    "litellm_params": {"model": "openai/gpt-4o", "api_key": SECRET, "api_base": "http://127.0.0.1:9/v1"},
}


def served(plane: Management, name: str) -> list[Deployment]:
    group = plane.services.snapshot().groups.get(name)
    return list(group.deployments) if group is not None else []


def credential_of(deployment: Deployment) -> str:
    return dict(deployment.endpoints["chat"].headers)["Authorization"]


async def add(plane: Management, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = good(await plane.post("/model/new", NEW | fields))
    return body


async def rows(plane: Management) -> list[Any]:
    async with reading(plane.services.engine) as connection:
        return list(await connection.execute(select(models)))


# ---- adding ---------------------------------------------------------------------------------------------------------


async def test_a_new_model_is_served_at_once_and_shown_masked(plane: Management) -> None:
    body = await add(plane)
    assert body["litellm_params"]["model"] == "openai/gpt-4o"
    assert body["litellm_params"]["api_key"] == "***"
    assert body["litellm_params"]["api_base"] == "http://127.0.0.1:9/v1"
    assert (body["blocked"], body["model_name"], body["created_by"]) == (False, "mine", "default_user_id")
    (deployment,) = served(plane, "mine")
    assert (deployment.id, deployment.is_stored) == (body["model_id"], True)
    assert credential_of(deployment) == f"Bearer {SECRET}"


async def test_the_guides_body_keeps_its_reference_and_resolves_it(plane: Management) -> None:
    params = {"model": "openai/gpt-4-turbo", "api_key": "os.environ/OPENAI_API_KEY"}
    body = await add(plane, model_name="gpt-4-turbo", litellm_params=params)
    assert body["litellm_params"]["api_key"] == "os.environ/OPENAI_API_KEY"
    ((stored,),) = [(row.params,) for row in await rows(plane)]
    assert stored == params
    assert credential_of(served(plane, "gpt-4-turbo")[0]) == "Bearer sk-of-the-environment-0123"


async def test_what_is_stored_tells_no_secret(plane: Management) -> None:
    headers = {"x-plain-name": "canary-header-value"}
    await add(plane, litellm_params=NEW["litellm_params"] | {"extra_headers": headers, "temperature": 0.5})
    (row,) = await rows(plane)
    assert SECRET not in str(row.params)
    assert "canary" not in str(row.params)
    assert row.params["temperature"] == 0.5
    assert dict(served(plane, "mine")[0].endpoints["chat"].headers)["x-plain-name"] == "canary-header-value"


async def test_equal_names_share_the_calls_and_the_files_goes_first(plane: Management) -> None:
    body = await add(plane, model_name="from-file")
    assert [one.id for one in served(plane, "from-file")] == ["file-1", body["model_id"]]


async def test_an_id_of_the_callers_is_taken_once(plane: Management) -> None:
    assert (await add(plane, model_info={"id": "my-id"}))["model_id"] == "my-id"
    for taken in ("my-id", "file-1"):
        error = error_of(await plane.post("/model/new", NEW | {"model_info": {"id": taken}}), 400)
        assert error["param"] == "model_info.id"
    assert len(await rows(plane)) == 1


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"model": "openai/gpt-4o", "api_bas": "http://x"}, "did you mean `api_base`?"),
        ({"model": "opnai/gpt-4o"}, "did you mean `openai/…`?"),
        ({"model": "openai/gpt-4o", "timeout": "soon"}, "litellm_params.timeout: expected a number of seconds above 0"),
        ({"model": "openai/gpt-4o", "api_base": "not a url"}, "api_base"),
        ({"api_key": "sk-1"}, "`model` is missing"),
        ({"model": "openai/*"}, "matches many models"),
        ({"model": "openai/gpt-4o", "litellm_credential_name": "file-credentia"}, "did you mean `file-credential`?"),
        ({"model": "openai/gpt-4o", "api_key": "***"}, "*** only stands for a secret"),
        ({"model": "openai/gpt-4o", "api_key": "sealed:1:00:AAAA"}, "a sealed value cannot be sent"),
    ],
)
async def test_a_model_that_cannot_be_called_is_refused_with_the_remedy(
    plane: Management, params: dict[str, Any], said: str
) -> None:
    error = error_of(await plane.post("/model/new", {"model_name": "m", "litellm_params": params}), 400)
    assert said in error["message"]
    assert await rows(plane) == []


@pytest.mark.parametrize("name", ["id", "team_id", "team_public_model_name"])
@pytest.mark.parametrize("value", [{}, ["x"], 5, "", "x" * 256])
async def test_ids_are_texts(plane: Management, name: str, value: Any) -> None:
    for path in ("/model/new", "/model/update"):
        error = error_of(await plane.post(path, NEW | {"model_info": {"id": "mine", name: value}}), 400)
        assert error["param"] == f"model_info.{name}"


@pytest.mark.parametrize(
    "name", ["LITELLM_MASTER_KEY", "TOLLWAY_MASTER_KEY", "LITELLM_SALT_KEY", "TOLLWAY_SALT_KEY", "COPY_OF_MASTER"]
)
@pytest.mark.parametrize("field", ["api_key", "extra_body"])
async def test_the_gateways_own_secrets_are_lent_to_nobody(plane: Management, name: str, field: str) -> None:
    reference = f"os.environ/{name}"
    params = {"model": "openai/gpt-4o", field: {"deep": [reference]} if field == "extra_body" else reference}
    error = error_of(await plane.post("/model/new", {"model_name": "m", "litellm_params": params}), 400)
    assert f"{name} is a secret of the gateway itself" in error["message"]


async def test_a_reference_in_what_is_shown_to_everybody_is_only_text(plane: Management) -> None:
    await add(plane, model_info={"description": "os.environ/OPENAI_API_KEY"})
    key = (await plane.new_key())["key"]
    listed = (await plane.get("/model/info", by=key)).text
    assert "sk-of-the-environment" not in listed


async def test_what_has_no_effect_is_named_in_a_header(plane: Management) -> None:
    params = NEW["litellm_params"] | {"api_key": "os.environ/NOBODY_SET\r\nx: 1", "max_retries": 2}
    answer = await plane.post("/model/new", {"model_name": "ñ", "litellm_params": params})
    assert "max_retries: has no effect in this release" in answer.headers[WARNING_HEADER]
    assert "NOBODY_SET" in answer.headers[WARNING_HEADER]
    assert "x" not in answer.headers


async def test_where_models_are_not_kept_the_setting_is_named(tmp_path: Path) -> None:
    async with open_management(tmp_path, config={}, environ={"STORE_MODEL_IN_DB": "False"}) as plane:
        error = error_of(await plane.post("/model/new", NEW), 500)
        assert error["type"] == "auth_error"
        assert "STORE_MODEL_IN_DB" in error["message"]


# ---- changing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_change_keeps_what_was_not_sent(plane: Management, method: str) -> None:
    model_id = (await add(plane, model_info={"access_groups": ["beta"]}))["model_id"]
    sent = {"litellm_params": {"api_base": "http://127.0.0.1:10/v1"}, "model_info": {"id": model_id, "mode": "chat"}}
    path = "/model/update" if method == "POST" else f"/model/{model_id}/update"
    body = good(await plane.send(method, path, sent))
    assert body["litellm_params"]["api_base"] == "http://127.0.0.1:10/v1"
    assert (body["model_info"]["access_groups"], body["model_info"]["mode"]) == (["beta"], "chat")
    (deployment,) = served(plane, "mine")
    assert deployment.api_base == "http://127.0.0.1:10/v1"
    assert credential_of(deployment) == f"Bearer {SECRET}"


async def test_an_answer_sent_back_changes_nothing_and_null_clears(plane: Management) -> None:
    params = NEW["litellm_params"] | {"temperature": 1, "extra_headers": {"x-key": "canary"}}
    shown = await add(plane, litellm_params=params)
    path = f"/model/{shown['model_id']}/update"
    again = good(await plane.send("PATCH", path, {name: shown[name] for name in ("litellm_params", "model_info")}))
    assert again["litellm_params"] == shown["litellm_params"]
    assert credential_of(served(plane, "mine")[0]) == f"Bearer {SECRET}"
    cleared = good(await plane.send("PATCH", path, {"litellm_params": {"temperature": None}}))
    assert "temperature" not in cleared["litellm_params"]


async def test_a_change_that_cannot_be_called_changes_nothing(plane: Management) -> None:
    model_id = (await add(plane))["model_id"]
    before = await rows(plane)
    error_of(await plane.send("PATCH", f"/model/{model_id}/update", {"litellm_params": {"model": "nobody/x"}}), 400)
    assert await rows(plane) == before
    assert served(plane, "mine")[0].model_name == "openai/gpt-4o"


async def test_models_of_the_file_are_read_only_and_unknown_ones_unknown(plane: Management) -> None:
    fixed = error_of(await plane.post("/model/update", {"model_info": {"id": "file-1"}}), 400)
    assert fixed["message"].startswith("Can't edit model. Model in config")
    patched = error_of(await plane.send("PATCH", "/model/file-1/update", {}), 400)
    assert patched["type"] == "validation_error"
    assert (
        error_of(await plane.post("/model/update", {"model_info": {"id": "no"}}), 400)["message"] == "model not found"
    )
    assert error_of(await plane.send("PATCH", "/model/no/update", {}), 404)["type"] == "not_found_error"
    assert error_of(await plane.post("/model/update", {"model_info": {}}), 400)["param"] == "model_info.id"
    deleted = error_of(await plane.post("/model/delete", {"id": "no"}), 400)
    assert (deleted["message"], deleted["type"]) == ("Model with id=no not found in db", "auth_error")
    assert "configuration file" in error_of(await plane.post("/model/delete", {"id": "file-1"}), 400)["message"]
    error_of(await plane.post("/model/block", {"model_id": "file-1"}), 400)


async def test_a_deleted_model_is_gone(plane: Management) -> None:
    model_id = (await add(plane))["model_id"]
    body = good(await plane.post("/model/delete", {"id": model_id}))
    assert body == {"message": f"Model: {model_id} deleted successfully"}
    assert served(plane, "mine") == []
    assert await rows(plane) == []


async def test_a_blocked_model_serves_nobody_until_it_is_unblocked(plane: Management) -> None:
    model_id = (await add(plane))["model_id"]
    assert good(await plane.post("/model/block", {"model_id": model_id}))["blocked"] is True
    assert served(plane, "mine") == []
    (shown,) = good(await plane.get("/model/info", litellm_model_id=model_id))["data"]
    assert shown["model_info"]["blocked"] is True
    assert good(await plane.post("/model/unblock", {"model_id": model_id}))["blocked"] is False
    assert len(served(plane, "mine")) == 1


async def test_every_change_is_told_and_audited_without_its_secrets(plane: Management) -> None:
    model_id = (await add(plane))["model_id"]
    good(await plane.send("PATCH", f"/model/{model_id}/update", {"litellm_params": {"api_key": SECRET + "-new"}}))
    good(await plane.post("/model/block", {"model_id": model_id}))
    good(await plane.post("/model/delete", {"id": model_id}))
    assert plane.told.count(model_id) == 4
    async with reading(plane.services.engine) as connection:
        logged = list(await connection.execute(select(audit_log).order_by(audit_log.c.id)))
    assert sorted(row.action for row in logged) == ["blocked", "created", "deleted", "updated"]
    assert "canary" not in str(logged)
    assert "sealed:" not in str(logged)


async def test_wildcards_and_aliases_lead_to_models_of_the_database(tmp_path: Path) -> None:
    aliases = {"router_settings": {"model_group_alias": {"short": "mine"}}, "model_list": []}
    async with open_management(tmp_path, config=aliases) as plane:
        await add(plane)
        await add(plane, model_name="vendor/*", litellm_params=NEW["litellm_params"] | {"model": "openai/*"})
        snapshot = plane.services.snapshot()
        assert snapshot.aliases == {"short": "mine"}
        (wildcard,) = snapshot.wildcards
        group = wildcard.expand("vendor/gpt-4o")
        assert group is not None
        assert group.deployments[0].model_name == "openai/gpt-4o"


# ---- who ------------------------------------------------------------------------------------------------------------


async def test_a_key_without_a_role_gets_the_contracts_403(plane: Management) -> None:
    key = (await plane.new_key(user_id="u-1"))["key"]
    model_id = (await add(plane))["model_id"]
    for answer in (
        await plane.post("/model/new", NEW, by=key),
        await plane.post("/model/update", {"model_info": {"id": model_id}}, by=key),
        await plane.post("/model/delete", {"id": model_id}, by=key),
        await plane.post("/model/delete", {"id": "no"}, by=key),
        await plane.post("/model/block", {"model_id": model_id}, by=key),
    ):
        error = error_of(answer, 403)
        assert error["message"].startswith(
            "User does not have permission to make this model call. Your role=internal_user."
        )
        assert error["type"] == "auth_error"
