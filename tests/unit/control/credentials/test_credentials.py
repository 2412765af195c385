from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from tests.support.management import Management, error_of, good

from tollway.db.audit import audit_log
from tollway.db.engine import reading
from tollway.db.models import credentials
from tollway.routing.router import Router

SECRET = "sk-canary-of-a-credential-0123"
NEW: dict[str, Any] = {
    "credential_name": "prod",
    "credential_info": {"custom_llm_provider": "openai"},
    "credential_values": {"api_key": SECRET, "api_base": "http://127.0.0.1:9/v1"},
}
MODEL = {"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "litellm_credential_name": "prod"}}


async def add(plane: Management, **fields: Any) -> Any:
    return good(await plane.post("/credentials", NEW | fields))


def bearer_of(plane: Management, model: str) -> str:
    group = Router(plane.services.snapshot()).group(model)
    assert group is not None
    return dict(group.deployments[0].endpoints["chat"].headers)["Authorization"]


async def test_a_credential_is_kept_sealed_and_shown_masked(plane: Management) -> None:
    assert await add(plane) == {"success": True, "message": "Credential created successfully"}
    shown = good(await plane.get("/credentials/by_name/prod"))
    assert shown == {
        "credential_name": "prod",
        "display_name": None,
        "credential_info": {"custom_llm_provider": "openai"},
        "credential_values": {"api_key": "***", "api_base": "http://127.0.0.1:9/v1"},
    }
    listed = good(await plane.get("/credentials"))
    assert [one["credential_name"] for one in listed["credentials"]] == ["file-credential", "prod"]
    assert listed["success"] is True
    async with reading(plane.services.engine) as connection:
        (row,) = list(await connection.execute(select(credentials)))
    assert all(value.startswith("sealed:1:") for value in row.credential_values.values())


@pytest.mark.parametrize("name", ["prod", "file-credential"])
async def test_a_model_uses_it_and_its_own_word_wins(plane: Management, name: str) -> None:
    await add(plane)
    params = MODEL["litellm_params"] | {"litellm_credential_name": name}  # type: ignore[operator]
    good(await plane.post("/model/new", MODEL | {"litellm_params": params}))
    assert bearer_of(plane, "m") in (f"Bearer {SECRET}", "Bearer sk-of-the-credential-0123")
    good(await plane.post("/model/new", {"model_name": "own", "litellm_params": params | {"api_key": "sk-own"}}))
    assert bearer_of(plane, "own") == "Bearer sk-own"


async def test_a_changed_value_reaches_the_models_at_once(plane: Management) -> None:
    await add(plane)
    good(await plane.post("/model/new", MODEL))
    changes = {"credential_values": {"api_key": "sk-new"}, "credential_values_to_delete": ["api_base"]}
    good(await plane.send("PATCH", "/credentials/prod", changes))
    assert bearer_of(plane, "m") == "Bearer sk-new"
    shown = good(await plane.get("/credentials/by_name/prod"))
    assert shown["credential_values"] == {"api_key": "***"}
    assert shown["credential_info"] == {"custom_llm_provider": "openai"}


async def test_an_answer_sent_back_changes_nothing(plane: Management) -> None:
    await add(plane)
    good(await plane.post("/model/new", MODEL))
    shown = good(await plane.get("/credentials/by_name/prod"))
    good(await plane.send("PATCH", "/credentials/prod", shown))
    assert bearer_of(plane, "m") == f"Bearer {SECRET}"


async def test_a_credential_in_use_is_not_deleted(plane: Management) -> None:
    await add(plane)
    model_id = good(await plane.post("/model/new", MODEL))["model_id"]
    error = error_of(await plane.send("DELETE", "/credentials/prod"), 409)
    assert "used by 1 model(s): m." in error["message"]
    good(await plane.post("/model/delete", {"id": model_id}))
    assert good(await plane.send("DELETE", "/credentials/prod"))["success"] is True
    error_of(await plane.get("/credentials/by_name/prod"), 404)


async def test_it_can_be_taken_from_a_model(plane: Management) -> None:
    params = {"model": "openai/gpt-4o", "api_key": "os.environ/OPENAI_API_KEY", "temperature": 1}
    model_id = good(await plane.post("/model/new", {"model_name": "m", "litellm_params": params}))["model_id"]
    fields = {"credential_name": "taken", "credential_info": {}, "model_id": model_id}
    good(await plane.post("/credentials", fields))
    shown = good(await plane.get("/credentials/by_name/taken"))
    assert shown["credential_values"] == {"api_key": "os.environ/OPENAI_API_KEY"}
    by_model = good(await plane.get("/credentials/by_model/file-1"))
    assert by_model["credential_values"] == {"api_key": "***"}
    assert by_model["credential_name"] == "from-file-credential-file-1"
    error_of(await plane.get("/credentials/by_model/no"), 404)
    error_of(await plane.post("/credentials", fields | {"credential_name": "x", "model_id": "no"}), 404)


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"credential_name": "file-credential"}, 409, "already exists"),
        ({"credential_values": None}, 400, "Send either credential_values"),
        ({"model_id": "file-1"}, 400, "Send either credential_values"),
        ({"credential_values": {"api_kye": "x"}}, 400, "did you mean `api_key`?"),
        ({"credential_values": {"api_key": "os.environ/LITELLM_MASTER_KEY"}}, 400, "a secret of the gateway itself"),
        ({"credential_values": {"api_key": "***"}}, 400, "only stands for a secret"),
    ],
)
async def test_a_credential_that_is_no_good_is_refused(
    plane: Management, sent: dict[str, Any], status: int, said: str
) -> None:
    assert said in error_of(await plane.post("/credentials", NEW | sent), status)["message"]


async def test_names_are_fixed_and_those_of_the_file_too(plane: Management) -> None:
    await add(plane)
    error_of(await plane.post("/credentials", NEW), 409)
    error_of(await plane.send("PATCH", "/credentials/prod", {"credential_name": "other"}), 400)
    error_of(await plane.send("PATCH", "/credentials/file-credential", {"credential_info": {}}), 409)
    error_of(await plane.send("DELETE", "/credentials/file-credential"), 409)
    error_of(await plane.send("PATCH", "/credentials/no", {}), 404)
    error_of(await plane.send("DELETE", "/credentials/no"), 404)


async def test_a_change_that_breaks_a_model_is_refused_and_changes_nothing(plane: Management) -> None:
    await add(plane)
    good(await plane.post("/model/new", MODEL))
    error = error_of(await plane.send("PATCH", "/credentials/prod", {"credential_values": {"api_base": "no url"}}), 400)
    assert "api_base" in error["message"]
    assert bearer_of(plane, "m") == f"Bearer {SECRET}"


async def test_changes_are_audited_without_the_secret(plane: Management) -> None:
    await add(plane)
    good(await plane.send("PATCH", "/credentials/prod", {"display_name": "Production"}))
    good(await plane.send("DELETE", "/credentials/prod"))
    async with reading(plane.services.engine) as connection:
        logged = list(await connection.execute(select(audit_log)))
    assert [row.action for row in logged] == ["created", "updated", "deleted"]
    assert "canary" not in str(logged)
    assert plane.told.count("prod") == 3
