"""What anybody may know: never a name, an id or an address of the operator's own."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.management import MASTER_KEY, PRICES, Management, bearer, good, open_management

from tollway.providers import names

HUB = "/public/model_hub"
COSTS = "/public/litellm_model_cost_map"
CONFIG: dict[str, Any] = {
    "model_list": [
        {
            "model_name": name,
            "litellm_params": {
                "model": "openai/gpt-4o",
                "api_key": "sk-of-the-operator-0123",
                "api_base": "https://inside.example/v1",
            },
            "model_info": {"id": f"id-of-{name}"},
        }
        for name in ("open", "closed")
    ],
    "router_settings": {"model_group_alias": {"also-open": "open", "secret-name": {"model": "open", "hidden": True}}},
    "litellm_settings": {"public_model_groups": ["open", "also-open", "secret-name", "id-of-closed", "unheard-of"]},
}


async def ask(management: Management, path: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await management.client.get(path, headers=named)


async def test_the_hub_is_empty_where_nothing_was_marked(management: Management) -> None:
    assert good(await ask(management, HUB)) == []


async def test_the_hub_shows_what_was_marked_and_nothing_of_the_operators(tmp_path: Path) -> None:
    async with open_management(tmp_path, config=CONFIG) as management:
        response = await ask(management, HUB)
        shown = good(response)
        assert [one["model_group"] for one in shown] == ["open", "also-open"]
        for told in ("inside.example", "sk-of-the-operator", "id-of-", "closed", "secret-name"):
            assert told not in response.text
        assert (shown[0]["providers"], shown[0]["is_public_model_group"]) == (["openai"], True)
        assert shown[0]["input_cost_per_token"] == pytest.approx(2.5e-6)
        groups = good(await management.get("/model_group/info"))["data"]
        assert {one["model_group"]: one["is_public_model_group"] for one in groups} == {
            "open": True,
            "also-open": True,
            "closed": False,
        }


async def test_the_hub_says_whose_it_is(management: Management) -> None:
    info = good(await ask(management, "/public/model_hub/info"))
    assert info.keys() == {"docs_title", "custom_docs_description", "litellm_version", "useful_links"}


async def test_providers_are_those_of_the_table_each_with_a_form(management: Management) -> None:
    assert good(await ask(management, "/public/providers")) == list(names())
    forms = {one["provider"]: one for one in good(await ask(management, "/public/providers/fields"))}
    assert list(forms) == list(names())
    openai = {field["key"]: field for field in forms["openai"]["credential_fields"]}
    assert (openai["api_key"]["required"], openai["api_key"]["field_type"]) == (True, "password")
    assert (openai["api_base"]["required"], openai["api_base"]["placeholder"]) == (False, "https://api.openai.com/v1")
    azure = {field["key"]: field["required"] for field in forms["azure"]["credential_fields"]}
    assert (azure["api_base"], azure["api_key"], azure["client_secret"]) == (True, False, False)


async def test_the_cost_map_is_the_price_book(management: Management) -> None:
    costs = good(await ask(management, COSTS))
    assert len(costs) == sum(len(PRICES.models(provider)) for provider in PRICES.providers())
    gpt = costs["gpt-4o"]
    assert (gpt["litellm_provider"], gpt["mode"], gpt["max_input_tokens"]) == ("openai", "chat", 128_000)
    assert (gpt["input_cost_per_token"], gpt["output_cost_per_token"]) == pytest.approx((2.5e-6, 1e-5))
    assert gpt["supports_function_calling"] is True
    assert costs["groq/llama-3.3-70b-versatile"]["litellm_provider"] == "groq"
    unknown = [name for name, one in costs.items() if "input_cost_per_token" not in one]
    assert all("output_cost_per_token" not in costs[name] for name in unknown), "unknown is not zero"


@pytest.mark.parametrize("path", [COSTS, "/public/providers", "/public/providers/fields"])
async def test_a_document_is_sent_packed_and_only_to_those_who_do_not_have_it(
    path: str, management: Management
) -> None:
    plain = await ask(management, path, accept_encoding="identity")
    assert "content-encoding" not in plain.headers
    request = management.client.build_request("GET", path, headers={"accept-encoding": "br, gzip;q=0.5"})
    packed = await management.client.send(request, stream=True)
    raw = b"".join([part async for part in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(raw)) == plain.json()
    assert (await ask(management, path, accept_encoding="gzip;q=0")).headers.get("content-encoding") is None
    tag = plain.headers["etag"]
    assert packed.headers["etag"] == tag
    for held in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await ask(management, path, if_none_match=held)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await ask(management, path, if_none_match='"other"')).status_code == 200


async def test_a_document_is_made_once(management: Management) -> None:
    await ask(management, COSTS)
    costs = management.app.state.catalog.costs
    before = await costs.sheet()
    await management.client.get(COSTS, headers=bearer(MASTER_KEY))
    assert await costs.sheet() is before
