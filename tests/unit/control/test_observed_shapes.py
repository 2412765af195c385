"""Answers have the names and JSON types that a running LiteLLM 1.106.2 was seen to send (`observed.json`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases import DATABASES
from tests.support.management import Management, good, open_management
from tests.support.recorded import shape

OBSERVED = json.loads(Path(__file__).with_name("observed.json").read_text())


_answers: dict[str, dict[str, Any]] = {}
"""By kind of database: asked for once, and compared one by one."""


@pytest.fixture(params=DATABASES)
async def answers(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param not in _answers:
        async with open_management(tmp_path, request.param) as management:
            _answers[request.param] = await _ask(management)
    return _answers[request.param]


async def _ask(management: Management) -> dict[str, Any]:
    made = await management.new_key(
        models=["gpt-4o"],
        key_alias="al",
        aliases={"a": "gpt-4o"},
        max_budget=100,
        budget_duration="30d",
        duration="90d",
        rpm_limit=1000,
        tpm_limit=100000,
        max_parallel_requests=5,
        metadata={"team": "engineering"},
    )
    plain = (await management.new_key(models=["gpt-4o"]))["key"]
    question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}
    answers = {
        "POST /key/generate": made,
        "GET /key/info": good(await management.get("/key/info", key=plain)),
        "POST /key/health": good(await management.post("/key/health", by=plain)),
        "POST /key/update": good(await management.post("/key/update", {"key": plain, "max_budget": 200})),
        "POST /key/block": good(await management.post("/key/block", {"key": plain})),
        "POST /key/unblock": good(await management.post("/key/unblock", {"key": plain})),
        "GET /key/list": good(await management.get("/key/list")),
        "POST /spend/calculate": good(await management.post("/spend/calculate", question)),
        "GET /model_group/info": good(await management.get("/model_group/info")),
    }
    named = {"model": "openai/gpt-4o", "api_key": "sk-1"}
    added = good(await management.post("/model/new", {"model_name": "m", "litellm_params": named}))
    answers["POST /model/new"] = added
    answers["POST /model/delete"] = good(await management.post("/model/delete", {"id": added["model_id"]}))
    limited = await management.new_key(model_rpm_limit={"gpt-4o": 100}, model_tpm_limit={"gpt-4o": 50000})
    management.clock.advance(1)
    answers["GET /key/list?return_full_object=true"] = good(
        await management.get("/key/list", return_full_object=True, key_hash=limited["token"])
    )
    await management.spend((await management.new_key())["key"], 5)
    for path in ("/spend/keys", "/global/spend", "/global/spend/keys", "/global/spend/models"):
        answers[f"GET {path}"] = good(await management.get(path))
    for path, body in (
        ("/budget/new", {"budget_id": "b", "max_budget": 3}),
        ("/budget/info", {"budgets": ["b"]}),
        ("/budget/update", {"budget_id": "b", "max_budget": 4}),
        ("/budget/delete", {"id": "b"}),
    ):
        answers[f"POST {path}"] = good(await management.post(path, body))
    user = {"user_id": "u", "user_email": "u@x.io", "max_budget": 50, "budget_duration": "30d"}
    answers["POST /user/new"] = good(await management.post("/user/new", {**user, "user_role": "internal_user"}))
    answers["GET /user/info"] = good(await management.get("/user/info", user_id="u"))
    answers["POST /user/update"] = good(await management.post("/user/update", {"user_id": "u", "max_budget": 100}))
    answers["GET /user/list"] = good(await management.get("/user/list"))
    answers["POST /user/delete"] = good(await management.post("/user/delete", {"user_ids": ["u"]}))
    answers["POST /key/delete"] = good(await management.post("/key/delete", {"keys": [plain]}))
    return answers


@pytest.mark.parametrize("request_line", OBSERVED)
async def test_an_answer_has_the_observed_names_and_types(request_line: str, answers: dict[str, Any]) -> None:
    assert shape(answers[request_line]) == shape(OBSERVED[request_line])


def test_every_observed_body_is_compared(answers: dict[str, Any]) -> None:
    assert answers.keys() == OBSERVED.keys()


async def test_plain_and_hash_name_the_same_key_and_are_echoed_as_sent(management: Management) -> None:
    made = await management.new_key()
    for name in (made["key"], made["token"]):
        shown = good(await management.client.get("/key/info", params={"key": name}, headers={"api-key": made["key"]}))
        assert shown["key"] == name
        assert shown["info"]["key_name"] == f"sk-...{made['key'][-4:]}"
