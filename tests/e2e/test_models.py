"""Models over the API, in a whole gateway: a change serves traffic, survives a restart, and tells no secret."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from tests.guide.guide import GUIDE  # the user's own guide
from tests.support.embedded import Embedded, embedded_gateway, model_list
from tests.support.faulty_upstream import FaultyUpstream

CANARY = "sk-canary-of-a-provider-0123456789"
EMPTY: dict[str, Any] = {"model_list": []}


async def answer_of(gateway: Embedded, path: str, body: Any) -> dict[str, Any]:
    response = await gateway.post(path, body)
    assert response.status == 200, await response.text()
    answer: dict[str, Any] = await response.json()
    return answer


def new_model(upstream: FaultyUpstream, name: str = "added", **params: Any) -> dict[str, Any]:
    address = {"model": "openai/gpt-4o", "api_base": f"{upstream.url}/v1", "api_key": CANARY}
    return {"model_name": name, "litellm_params": address | params}


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_the_guides_model_is_called_with_the_key_it_refers_to(tmp_path: Path, upstream: FaultyUpstream) -> None:
    text = GUIDE.read_text().split("/model/new'", 1)[1].split("-d '", 1)[1].split("'\n```", 1)[0]
    environ = {"OPENAI_API_KEY": "sk-of-the-operator", "OPENAI_API_BASE": f"{upstream.url}/v1"}
    async with embedded_gateway(tmp_path, EMPTY, environ) as gateway:
        added = await answer_of(gateway, "/model/new", json.loads(text))
        answer = await gateway.chat(model="gpt-4-turbo")
        assert answer.status == 200, await answer.text()
        assert answer.headers["x-litellm-model-id"] == added["model_id"]
        assert upstream.requests[0].headers["authorization"] == "Bearer sk-of-the-operator"
        listed = await (await gateway.get("/v1/models")).json()
        assert [model["id"] for model in listed["data"]] == ["gpt-4-turbo"]


async def test_a_change_moves_the_traffic_within_a_second_and_a_deletion_ends_it(
    tmp_path: Path, upstream: FaultyUpstream
) -> None:
    async with FaultyUpstream() as other, embedded_gateway(tmp_path, EMPTY) as gateway:
        key = await gateway.create_key()
        began = time.monotonic()
        model_id = (await answer_of(gateway, "/model/new", new_model(upstream)))["model_id"]
        assert (await gateway.chat(model="added", key=key)).status == 200
        assert time.monotonic() - began < 1
        change = {"model_info": {"id": model_id}, "litellm_params": {"api_base": f"{other.url}/v1"}}
        await answer_of(gateway, "/model/update", change)
        assert (await gateway.chat(model="added", key=key)).status == 200
        assert (len(upstream.requests), len(other.requests)) == (1, 1)
        assert other.requests[0].headers["authorization"] == f"Bearer {CANARY}"
        await answer_of(gateway, "/model/delete", {"id": model_id})
        refused = await gateway.chat(model="added", key=key)
        assert refused.status == 400
        assert "no healthy deployments" in await refused.text()


async def test_it_survives_a_restart_and_a_call_waits_for_it(tmp_path: Path, upstream: FaultyUpstream) -> None:
    async with embedded_gateway(tmp_path, EMPTY) as gateway:
        await answer_of(gateway, "/model/new", new_model(upstream))
    async with embedded_gateway(tmp_path, EMPTY) as gateway:
        assert gateway.runtime.snapshot.groups == {}
        answers = await asyncio.gather(*(gateway.chat(model="added") for _ in range(3)))
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert (await gateway.chat(model="nobody")).status == 400


async def test_a_reload_keeps_it_and_neither_loses_the_other(tmp_path: Path, upstream: FaultyUpstream) -> None:
    async with embedded_gateway(tmp_path, model_list(upstream)) as gateway:
        await answer_of(gateway, "/model/new", new_model(upstream, "first"))
        text = gateway.config_file.read_text()
        gateway.config_file.write_text(text.replace("model_name: m", "model_name: renamed"))
        await asyncio.gather(
            gateway.reloader.reload(),
            *(answer_of(gateway, "/model/new", new_model(upstream, f"more-{index}")) for index in range(5)),
            gateway.reloader.reload(),
        )
        assert set(gateway.runtime.snapshot.groups) == {"renamed", "first", *(f"more-{index}" for index in range(5))}
        gateway.config_file.write_text("model_list: [{model_name: x}]")
        assert not await gateway.reloader.reload()
        assert "first" in gateway.runtime.snapshot.groups


async def test_the_secret_is_in_no_file_answer_or_log(
    tmp_path: Path, upstream: FaultyUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with embedded_gateway(tmp_path, EMPTY) as gateway:
        said = []
        added = await answer_of(gateway, "/model/new", new_model(upstream, extra_headers={"x-any": CANARY}))
        said.append(str(added))
        credential = {"credential_name": "c", "credential_info": {}, "credential_values": {"api_key": CANARY}}
        said.append(str(await answer_of(gateway, "/credentials", credential)))
        wrong = new_model(upstream, timeout="soon", api_key=CANARY)
        said.append(await (await gateway.post("/model/new", wrong)).text())
        for path in ("/model/info", "/v2/model/info", "/model_group/info", "/credentials", "/credentials/by_name/c"):
            said.append(await (await gateway.get(path)).text())
        said.append(await (await gateway.get(f"/credentials/by_model/{added['model_id']}")).text())
        assert (await gateway.chat(model="added")).status == 200
        assert upstream.requests[0].headers["x-any"] == CANARY
    assert CANARY not in "".join(said)
    assert "sealed:" not in "".join(said)
    assert CANARY not in caplog.text
    assert CANARY.encode() not in everything_in(tmp_path)
    salt_key = tmp_path / "data" / "salt_key"
    assert stat.S_IMODE(salt_key.stat().st_mode) == 0o600


async def test_with_a_wrong_salt_key_the_model_is_named_and_the_others_are_served(
    tmp_path: Path, upstream: FaultyUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async with embedded_gateway(tmp_path, EMPTY, {"LITELLM_SALT_KEY": "sk-first"}) as gateway:
        await answer_of(gateway, "/model/new", new_model(upstream))
        await answer_of(gateway, "/model/new", {"model_name": "open", "litellm_params": {"model": "demo/demo"}})
        assert not (tmp_path / "data" / "salt_key").exists()
    async with embedded_gateway(tmp_path, model_list(upstream), {"LITELLM_SALT_KEY": "sk-second"}) as gateway:
        assert [(await gateway.chat(model=name)).status for name in ("added", "open", "m")] == [400, 200, 200]
        assert "cannot be opened: it was sealed with another salt key" in caplog.text
        assert "model added" in caplog.text
        (hidden,) = (await (await gateway.get("/v2/model/info?search=added")).json())["data"]
        assert hidden["litellm_params"]["api_key"] == "***"
        change = {"litellm_params": {"api_key": "sk-anew", "api_base": f"{upstream.url}/v1"}}
        path = f"{gateway.url}/model/{hidden['model_info']['id']}/update"
        headers = {"Authorization": f"Bearer {gateway.runtime.master_key}"}
        async with gateway.session.patch(path, json=change, headers=headers) as changed:
            assert changed.status == 200, await changed.text()
        assert (await gateway.chat(model="added")).status == 200


async def test_while_the_database_is_away_a_model_is_not_called_unknown(
    tmp_path: Path, upstream: FaultyUpstream
) -> None:
    (tmp_path / "no-file").mkdir()
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/no-file"}
    async with embedded_gateway(tmp_path, model_list(upstream), environ) as gateway:
        assert [(await gateway.chat(model=name)).status for name in ("m", "added")] == [200, 503]
        listed = await (await gateway.get("/v1/models")).json()
        assert [model["id"] for model in listed["data"]] == ["m"]


async def test_where_models_are_not_kept_none_is_read(tmp_path: Path, upstream: FaultyUpstream) -> None:
    async with embedded_gateway(tmp_path, EMPTY) as gateway:
        await answer_of(gateway, "/model/new", new_model(upstream))
    async with embedded_gateway(tmp_path, EMPTY, {"STORE_MODEL_IN_DB": "False"}) as gateway:
        assert (await gateway.chat(model="added")).status == 400
