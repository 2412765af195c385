from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.support.databases import DATABASES
from tests.support.management import Management, error_of, good, open_management

from tollway.db.engine import reading
from tollway.db.settings import settings


def _model(name: str) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-1"}}


FILE = {
    "model_list": [*map(_model, ("big", "small", "other")), _model("openai/*") | {
        "litellm_params": {"model": "openai/*", "api_key": "sk-1"}
    }],
    "router_settings": {"fallbacks": [{"big": ["other"]}], "model_group_alias": {"alias": "small"}},
}  # fmt: skip


@pytest.fixture(params=DATABASES)
async def plane(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Management]:
    async with open_management(tmp_path, request.param, config=FILE) as opened:
        yield opened


async def stored(plane: Management) -> dict[str, Any]:
    async with reading(plane.services.engine) as connection:
        return {row.name: row.value for row in await connection.execute(select(settings))}


async def test_fallbacks_are_kept_beside_those_of_the_file(plane: Management) -> None:
    assert good(await plane.get("/fallback/big"))["fallback_models"] == ["other"]
    answer = await plane.post("/fallback", {"model": "openai/gpt-4o", "fallback_models": ["big", "alias"]})
    assert good(answer) == {
        "model": "openai/gpt-4o",
        "fallback_models": ["big", "alias"],
        "fallback_type": "general",
        "message": "Fallback configuration stored successfully",
    }
    assert "x-tollway-warning" not in answer.headers, "they are followed"
    assert await stored(plane) == {"fallbacks": [{"big": ["other"]}, {"openai/gpt-4o": ["big", "alias"]}]}
    shown = good(await plane.get("/fallback/openai/gpt-4o"))
    assert shown == {"model": "openai/gpt-4o", "fallback_models": ["big", "alias"], "fallback_type": "general"}


async def test_one_models_are_replaced_and_removed(plane: Management) -> None:
    kind = "context_window"
    for others in (["other"], ["big"]):
        good(await plane.post("/fallback", {"model": "small", "fallback_models": others, "fallback_type": kind}))
    assert await stored(plane) == {"context_window_fallbacks": [{"small": ["big"]}]}
    assert error_of(await plane.get("/fallback/small"), 404)["param"] == "model"
    gone = await plane.send("DELETE", f"/fallback/small?fallback_type={kind}")
    assert good(gone)["model"] == "small"
    assert await stored(plane) == {}
    error_of(await plane.send("DELETE", f"/fallback/small?fallback_type={kind}"), 404)


async def test_an_entry_of_the_file_can_be_taken_out(plane: Management) -> None:
    good(await plane.send("DELETE", "/fallback/big"))
    assert await stored(plane) == {"fallbacks": []}
    error_of(await plane.get("/fallback/big"), 404)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "bgi", "fallback_models": ["small"]}, 404, "model"),
        ({"model": "big", "fallback_models": ["nobody"]}, 400, "fallback_models"),
        ({"model": "big", "fallback_models": ["big"]}, 400, "fallback_models"),
        ({"model": "big", "fallback_models": ["small", "small"]}, 400, "fallback_models"),
    ],
)
async def test_models_have_to_be_there(plane: Management, body: Any, status: int, param: str) -> None:
    assert error_of(await plane.post("/fallback", body), status)["param"] == param
    assert await stored(plane) == {}


async def test_a_body_needs_models_and_a_known_type(plane: Management) -> None:
    nobody: dict[str, Any] = {"model": "big", "fallback_models": []}
    for body in (nobody, nobody | {"fallback_models": ["small"], "fallback_type": "other"}):
        assert (await plane.post("/fallback", body)).status_code == 422
