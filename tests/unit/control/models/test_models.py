from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.management import Management, error_of, good, make_group, make_snapshot, open_management

from tollway.core.snapshot import Endpoint, Origin

SECRET = "canary-4f1d"


@pytest.fixture
async def management(tmp_path: Path) -> AsyncIterator[Management]:
    endpoint = Endpoint(
        origin=Origin("https", "api.openai.com", 443),
        target="/v1/chat/completions",
        headers=(("authorization", f"Bearer {SECRET}"),),
    )
    big = make_group(
        "big",
        endpoints={"chat": endpoint},
        api_base="https://api.openai.com/v1",
        rpm=10,
        info={"team": "search", "api_key": SECRET, "base_model": "gpt-4o"},
    )
    small = make_group("small", model="gpt-4o-mini")
    async with open_management(tmp_path, snapshot=make_snapshot(big, small)) as management:
        yield management


@pytest.mark.parametrize("path", ["/model/info", "/v1/model/info"])
async def test_models_are_described_with_price_and_limits(path: str, management: Management) -> None:
    big, small = good(await management.get(path))["data"]
    assert (big["model_name"], small["model_name"]) == ("big", "small")
    assert big["litellm_params"] == {"model": "openai/gpt-4o", "api_base": "https://api.openai.com/v1", "rpm": 10}
    info = big["model_info"]
    assert (info["id"], info["db_model"], info["litellm_provider"], info["mode"]) == (
        "id-of-big",
        False,
        "openai",
        "chat",
    )
    assert (info["input_cost_per_token"], info["output_cost_per_token"]) == (2.5e-6, 1e-5)
    assert (info["max_input_tokens"], info["max_output_tokens"]) == (128000, 16384)
    assert info["supports_vision"] is True
    assert info["team"] == "search"


async def test_no_secret_is_shown_and_no_address_to_others(management: Management) -> None:
    key = (await management.new_key())["key"]
    for path in ("/model/info", "/model_group/info"):
        assert SECRET not in (await management.get(path)).text
        assert "api.openai.com" not in (await management.get(path, by=key)).text


async def test_a_key_sees_the_models_it_may_call(management: Management) -> None:
    key = (await management.new_key(models=["small"]))["key"]
    models = good(await management.get("/model/info", by=key))["data"]
    assert [model["model_name"] for model in models] == ["small"]
    groups = good(await management.get("/model_group/info", by=key))["data"]
    assert [group["model_group"] for group in groups] == ["small"]


async def test_one_model_by_its_id(management: Management) -> None:
    (small,) = good(await management.get("/model/info", litellm_model_id="id-of-small"))["data"]
    assert small["model_name"] == "small"
    error = error_of(await management.get("/model/info", litellm_model_id="nope"), 400)
    assert error["param"] == "litellm_model_id"


async def test_a_group_is_found_by_name_and_an_unknown_one_is_empty(management: Management) -> None:
    (big,) = good(await management.get("/model_group/info", model_group="big"))["data"]
    assert (big["providers"], big["rpm"], big["tpm"]) == (["openai"], 10, None)
    assert good(await management.get("/model_group/info", model_group="nope")) == {"data": []}
