from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.management import Management, error_of, good, open_management

from tollway.control.keys.fields import COLUMNS, ELSEWHERE, OPTIONS, RESERVED_METADATA
from tollway.control.keys.schemas import KeyCreate, KeyRegenerate, KeyUpdate
from tollway.control.kit.limits import LIMIT_FIELDS
from tollway.control.services import KeyPolicy
from tollway.core.ids import hash_key
from tollway.db.engine import reading

EVERYTHING: dict[str, Any] = {
    "key_alias": "everything",
    "models": ["gpt-4o", "anthropic/*"],
    "aliases": {"fast": "gpt-4o"},
    "max_budget": 12.5,
    "budget_duration": "30d",
    "budget_id": "b-1",
    "budget_limits": [{"budget_duration": "1d", "max_budget": 1.0}],
    "user_id": "u-1",
    "team_id": "t-1",
    "organization_id": "o-1",
    "project_id": "p-1",
    "agent_id": "a-1",
    "tpm_limit": 1000,
    "rpm_limit": 10,
    "tpd_limit": 5000,
    "max_parallel_requests": 3,
    "model_max_budget": {"gpt-4o": {"max_budget": 1.0, "budget_duration": "1d"}},
    "budget_fallbacks": {"gpt-4o": ["gpt-4o-mini"]},
    "config": {"a": 1},
    "permissions": {"get_spend_routes": True},
    "allowed_routes": ["/v1/chat/completions"],
    "allowed_cache_controls": ["no-cache"],
    "blocked": False,
    "object_permission": {"mcp_servers": ["m"]},
    "router_settings": {"num_retries": 2},
    "auto_rotate": True,
    "rotation_interval": "30d",
}
IN_METADATA: dict[str, Any] = {
    "tags": ["prod"],
    "guardrails": ["pii"],
    "policies": ["p"],
    "prompts": ["q"],
    "disable_global_guardrails": True,
    "enforced_params": ["user"],
    "allowed_passthrough_routes": ["/x"],
    "denied_passthrough_routes": ["/y"],
    "rpm_limit_type": "dynamic",
    "tpm_limit_type": "guaranteed_throughput",
    "model_rpm_limit": {"gpt-4o": 5},
    "model_tpm_limit": {"gpt-4o": 50},
    "mcp_rpm_limit": {"m": 1},
    "tag_rpm_limit": {"t": 1},
    "default_estimated_output_tokens": 100,
    "default_estimated_output_tokens_per_model": {"gpt-4o": 10},
    "allowed_vector_store_indexes": [{"index_name": "i", "index_permissions": ["read"]}],
    "throttle_on_budget_exceeded": True,
    "enable_prompt_caching": True,
    "end_user_budget_id": "e-1",
}
OF_SESSIONS = {"max_iterations": 50, "max_repeated_calls": 3, "max_budget_per_session": 2.5}
"""Kept in `metadata` too, and no fields of the contract's answer."""


async def test_the_key_is_shown_once_and_only_its_hash_is_kept(management: Management) -> None:
    made = await management.new_key()
    key = made["key"]
    assert key.startswith("sk-")
    assert len(key) == 25
    assert made["token"] == made["token_id"] == hash_key(key)
    assert made["key_name"] == f"sk-...{key[-4:]}"
    assert key not in str(good(await management.get("/key/info", key=made["token"])))
    async with reading(management.services.engine) as connection:
        rows = (await connection.execute(text("SELECT * FROM virtual_keys"))).all()
    assert key not in str(rows)


async def test_every_field_reads_back(management: Management) -> None:
    made = await management.new_key(**EVERYTHING, **IN_METADATA, **OF_SESSIONS, metadata={"own": 1}, soft_budget=5)
    info = await management.info(made["key"])
    for name, value in EVERYTHING.items():
        assert info[name] == value, name
        if name not in ("router_settings", "auto_rotate", "rotation_interval"):
            assert made[name] == value, name
    assert made["router_settings"]["num_retries"] == 2
    assert info["metadata"] == made["metadata"] == {"own": 1, **IN_METADATA, **OF_SESSIONS}
    assert all(made[name] is None for name in IN_METADATA)
    assert info["litellm_budget_table"]["soft_budget"] == 5.0
    assert info["key_rotation_at"] == "2026-02-13T10:17:23Z"


def test_every_field_has_a_place() -> None:
    fields = {*KeyCreate.model_fields, *KeyUpdate.model_fields, *KeyRegenerate.model_fields}
    places = [set(COLUMNS), set(LIMIT_FIELDS), set(RESERVED_METADATA), set(OPTIONS), set(ELSEWHERE)]
    assert fields == set().union(*places)
    assert sum(map(len, places)) == len(fields)


def test_the_test_of_all_fields_names_all_fields() -> None:
    named = {*EVERYTHING, *IN_METADATA, *OF_SESSIONS, "metadata", "soft_budget"}
    elsewhere = {"duration", "spend", "key", "send_invite_email", "key_type", "access_group_ids"}
    assert named | elsewhere == KeyCreate.model_fields.keys()


@pytest.mark.parametrize(
    ("duration", "expires"),
    [
        ("30s", "2026-01-14T10:17:53Z"),
        ("12h", "2026-01-14T22:17:23Z"),
        ("90d", "2026-04-14T10:17:23Z"),
        ("1mo", "2026-02-14T10:17:23Z"),
        ("-1", None),
        (None, None),
    ],
)
async def test_a_duration_becomes_an_expiry(duration: str | None, expires: str | None, management: Management) -> None:
    made = await management.new_key(duration=duration)
    assert made["expires"] == expires
    assert made["duration"] is None


@pytest.mark.parametrize(
    ("key_type", "routes"),
    [
        ("llm_api", ["llm_api_routes"]),
        ("management", ["management_routes"]),
        ("read_only", ["info_routes"]),
        ("default", []),
    ],
)
async def test_a_key_type_presets_its_routes(key_type: str, routes: list[str], management: Management) -> None:
    made = await management.new_key(key_type=key_type)
    assert (made["key_type"], made["allowed_routes"]) == (key_type, routes)


async def test_routes_given_win_over_the_preset(management: Management) -> None:
    made = await management.new_key(key_type="llm_api", allowed_routes=["/v1/embeddings"])
    assert made["allowed_routes"] == ["/v1/embeddings"]


async def test_a_value_of_ones_own_works(management: Management) -> None:
    made = await management.new_key(key="sk-my-very-own-key")
    assert made["key"] == "sk-my-very-own-key"
    assert (await management.info("sk-my-very-own-key"))["key_name"] == "sk-...-key"


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        (
            {"key": "my-key-0123456789"},
            400,
            "Invalid key format. LiteLLM Virtual Key must start with 'sk-'. Received: ****",
        ),
        ({"key": "sk-short"}, 400, "Invalid key format. A custom key needs at least 16 characters."),
        ({"max_budget": -1}, 400, "max_budget must be a non-negative finite number. Received: -1.0"),
        ({"soft_budget": -1}, 400, "soft_budget must be a non-negative finite number. Received: -1.0"),
        ({"spend": -1}, 400, "spend must be a non-negative finite number. Received: -1.0"),
        ({"max_budget": 1e12}, 400, "max_budget must be at most 9000000000. Received: 1000000000000.0"),
        ({"rpm_limit": -1}, 400, "rpm_limit must be a non-negative 64-bit integer. Received: -1"),
        ({"tpm_limit": 2**63}, 400, f"tpm_limit must be a non-negative 64-bit integer. Received: {2**63}"),
        (
            {"model_rpm_limit": {"m": -1}},
            400,
            "model_rpm_limit['m'] must be a non-negative 64-bit integer. Received: -1",
        ),
        (
            {"budget_duration": "1y"},
            400,
            "Invalid budget_duration '1y'. Use a format like '1h', '1d', '7d', '30d' or '1mo'.",
        ),
        (
            {"duration": "soon"},
            400,
            "Invalid duration 'soon'. Use a format like '30s', '5m', '2h', '90d', '1w' or '1mo'.",
        ),
        ({"auto_rotate": True}, 400, "auto_rotate needs a rotation_interval, like '30d'."),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    fields: dict[str, Any], status: int, message: str, management: Management
) -> None:
    error = error_of(await management.post("/key/generate", fields), status)
    assert error["message"] == message
    assert error["type"] == "bad_request_error"
    assert good(await management.get("/key/list"))["total_count"] == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_budget_that_is_no_number_is_refused(number: str, management: Management) -> None:
    body = f'{{"max_budget": {number}}}'.encode()
    headers = {"authorization": "Bearer sk-master-key-of-the-tests"}
    error = error_of(await management.client.post("/key/generate", content=body, headers=headers), 400)
    assert error["message"].startswith("max_budget must be a non-negative finite number. Received: ")


async def test_empty_text_is_null_where_the_contract_says_so(management: Management) -> None:
    made = await management.new_key(max_budget="", team_id="", key_alias="")
    assert (made["max_budget"], made["team_id"], made["key_alias"]) == (None, None, None)


async def test_an_alias_is_given_once(management: Management) -> None:
    await management.new_key(key_alias="al")
    error = error_of(await management.post("/key/generate", {"key_alias": "al"}), 400)
    assert error == {
        "message": "Key with alias 'al' already exists. Unique key aliases across all keys are required.",
        "type": "bad_request_error",
        "param": "key_alias",
        "code": "400",
    }


async def test_a_value_is_given_once_even_after_regeneration(management: Management) -> None:
    await management.new_key(key="sk-0123456789abcdef")
    again = {"key": "sk-0123456789abcdef"}
    assert error_of(await management.post("/key/generate", again), 400)["param"] == "key"
    good(await management.post("/key/regenerate", again))
    assert error_of(await management.post("/key/generate", again), 400)["param"] == "key"


async def test_a_deleted_value_may_come_again_and_begins_with_no_spend(management: Management) -> None:
    key = "sk-0123456789abcdef"
    await management.new_key(key=key)
    await management.spend(key, 3)
    good(await management.post("/key/delete", {"keys": [key]}))
    assert (await management.new_key(key=key))["spend"] == 0.0
    assert (await management.info(key))["spend"] == 0.0


async def test_an_initial_spend_is_a_record(management: Management) -> None:
    made = await management.new_key(spend=2.5, max_budget=10, budget_duration="30d")
    assert made["spend"] == 2.5
    management.clock.advance(1)
    await management.spend(made["key"], 0.25)
    info = await management.info(made["key"])
    assert (info["spend"], info["total_spend"]) == (2.75, 0.25)
    (call, adjustment) = good(await management.get("/spend/logs", api_key=made["key"], include_adjustments=True))
    assert (call["call_type"], adjustment["call_type"]) == ("acompletion", "adjustment")
    assert call["spend"] + adjustment["spend"] == info["spend"]


async def test_a_new_key_is_announced(management: Management) -> None:
    # Somebody may have tried it a moment ago: unknown keys are remembered.
    made = await management.new_key()
    assert management.told == [made["token"]]


async def test_misplaced_and_unknown_fields_are_named(management: Management) -> None:
    response = await management.post("/key/generate", {"max_bugdet": 1, "metadata": {"rpm_limit": 3}})
    assert good(response)["metadata"] == {"rpm_limit": 3}
    assert response.headers["x-tollway-warning"] == (
        "unknown field 'max_bugdet' was ignored; did you mean 'max_budget'?, "
        "'rpm_limit' inside 'metadata' limits nothing; put it next to 'metadata'"
    )


async def test_defaults_and_ceilings_of_the_operator(tmp_path: Path) -> None:
    policy = KeyPolicy(
        defaults={"max_budget": 5, "models": ["gpt-4o"], "duration": "30d"},
        ceilings={"max_budget": 10, "rpm_limit": 100, "duration": "90d"},
        allows_custom_keys=False,
        shows_key_name=False,
    )
    async with open_management(tmp_path, key_policy=policy) as management:
        made = await management.new_key()
        assert (made["max_budget"], made["models"], made["rpm_limit"]) == (5.0, ["gpt-4o"], 100)
        assert made["expires"] == "2026-02-13T10:17:23Z"
        assert made["key_name"] is None
        assert (await management.new_key(max_budget=7, models=["m"]))["max_budget"] == 7.0
        for fields, message in (
            ({"max_budget": 11}, "max_budget is over max limit set in config - user_value=11.0; max_value=10"),
            ({"duration": "91d"}, "duration is over max limit set in config - user_value=91d; max_value=90d"),
            ({"duration": "-1"}, "duration is over max limit set in config - user_value=-1; max_value=90d"),
        ):
            assert error_of(await management.post("/key/generate", fields), 400)["message"] == message
            update = {"key": made["key"], **fields}
            assert error_of(await management.post("/key/update", update), 400)["message"] == message
        cleared = good(await management.post("/key/update", {"key": made["key"], "max_budget": None}))
        assert cleared["max_budget"] == 10.0
        error = error_of(await management.post("/key/generate", {"key": "sk-0123456789abcdef"}), 403)
        assert "disable_custom_api_keys" in error["message"]


SQL = "'; DROP TABLE virtual_keys; --"


async def test_text_is_never_read_as_sql(management: Management) -> None:
    names = [SQL, "100%", "a_b", "\\", '"quoted"']
    for index, name in enumerate(names):
        value = f"sk-a-value-of-ones-own-{index}"  # a random one may end in a character that is searched for
        made = await management.new_key(key=value, key_alias=name, user_id=name, metadata={name: name}, models=[name])
        found = good(await management.get("/key/list", key_alias=name, return_full_object=True))
        assert [key["token"] for key in found["keys"]] == [made["token"]]
    for query in ({"search": "%"}, {"search": "_"}, {"search": SQL}, {"key_alias": "%", "substring_matching": True}):
        found = good(await management.get("/key/list", return_full_object=True, **query))
        wanted = str(query.get("search", "%"))
        assert {key["key_alias"] for key in found["keys"]} == {name for name in names if wanted in name}
    for path in ("/key/info", "/spend/logs"):
        assert (await management.get(path, key=SQL, api_key=SQL)).status_code in (200, 404)
    assert error_of(await management.get("/key/list", sort_by=SQL), 400)["param"] == "sort_by"
    assert good(await management.get("/key/list"))["total_count"] == len(names)
