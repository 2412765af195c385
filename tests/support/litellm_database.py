"""A database of LiteLLM as an operator has it: the documented schema on a real Postgres, filled with one of everything.

Keys are made here, so their plaintext is known. Secrets are encrypted the three ways that LiteLLM has had.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.secret import SecretBox
from tests.support import postgres

SCHEMA = Path(__file__).with_name("litellm_schema.sql")
SALT_KEY = "sk-salt-of-litellm"
NOW = datetime.now(UTC).replace(tzinfo=None, microsecond=0)

APP, SPENT, LINKED, EXPIRED, REGENERATED, ODD = (
    f"sk-{name}-0123456789" for name in ("app", "spent", "linked", "expired", "regenerated", "odd")
)
"""Keys that people hold."""
OLD_VALUE = "sk-the-value-before-9876543210"
"""What the regenerated one was before, and is for an hour yet."""


LOGGING = {
    "callback_name": "langfuse",
    "callback_type": "success",
    "callback_vars": {"langfuse_secret_key": "sk-lf-of-the-key"},
}
"""Where the calls of a key are reported to; LiteLLM keeps that in the clear."""


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def encrypted_box(text: str, salt_key: str = SALT_KEY, *, is_url_safe: bool = True) -> str:
    """As older versions do."""
    box = SecretBox(hashlib.sha256(salt_key.encode()).digest()).encrypt(text.encode())
    return (base64.urlsafe_b64encode if is_url_safe else base64.b64encode)(box).decode()


def encrypted_v2(text: str, salt_key: str = SALT_KEY) -> str:
    return "v2:gcm:" + _gcm(hashlib.sha256(salt_key.encode()).digest(), text)


def encrypted(text: str, salt_key: str = SALT_KEY) -> str:
    """As the newest version does."""
    key = HKDF(SHA256(), 32, salt=None, info=b"litellm-at-rest-v3").derive(salt_key.encode())
    return "v3:gcm:" + _gcm(key, text)


def _gcm(key: bytes, text: str) -> str:
    nonce = os.urandom(12)
    return base64.urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, text.encode(), None)).decode()


class LiteLLM:
    """The database, to be changed as LiteLLM would."""

    def __init__(self, url: str, connection: asyncpg.Connection) -> None:
        self.url = url
        self._connection = connection

    async def execute(self, *statements: str) -> None:
        for statement in statements:
            await self._connection.execute(statement)

    async def insert(self, table: str, **values: Any) -> None:
        """Adds a row; columns that this version of the schema does not have are left out."""
        query = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = $1"
        types = dict(map(tuple, await self._connection.fetch(query, table)))
        row = {name: value for name, value in values.items() if name in types}
        if not row:
            return
        written = [json.dumps(value) if types[name] == "jsonb" else value for name, value in row.items()]
        columns = ", ".join(f'"{name}"' for name in row)
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await self._connection.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({places})', *written)


async def make_litellm_database() -> str:
    """The address of one that is there as long as its server."""
    url = postgres.databases().new_url()
    postgres.databases().create(url)
    connection = await asyncpg.connect(url)
    try:
        litellm = LiteLLM(url, connection)
        await litellm.execute(SCHEMA.read_text())
        await fill(litellm)
    finally:
        await connection.close()
    return url


@asynccontextmanager
async def litellm_database(*changes: str, fills: bool = True) -> AsyncIterator[LiteLLM]:
    """`changes`: statements that make another version of the schema out of the documented one."""
    databases = postgres.databases()
    url = databases.new_url()
    databases.create(url)
    connection = await asyncpg.connect(url)
    try:
        litellm = LiteLLM(url, connection)
        await litellm.execute(SCHEMA.read_text(), *changes)
        if fills:
            await fill(litellm)
        yield litellm
    finally:
        await connection.close()
        databases.drop(url)


async def fill(litellm: LiteLLM) -> None:
    await _fill_budgets(litellm)
    await _fill_people(litellm)
    await _fill_keys(litellm)
    await _fill_others(litellm)
    await _fill_stored(litellm)
    await _fill_logs(litellm)


async def _fill_budgets(litellm: LiteLLM) -> None:
    later = NOW + timedelta(days=3)
    budgets: dict[str, dict[str, Any]] = {
        "b-organization": {"max_budget": 500.0, "budget_duration": "30d", "budget_reset_at": later},
        "b-key": {"max_budget": 20.0, "budget_duration": "7d", "budget_reset_at": later, "soft_budget": 15.0},
        "b-member": {"max_budget": 2.0, "allowed_models": ["gpt-4o", "mock"]},
        "b-customer": {"max_budget": 1.0, "rpm_limit": 5},
        "b-tag": {"max_budget": 3.0, "model_max_budget": {"gpt-4o": {"max_budget": 1, "budget_duration": "1d"}}},
        "b-odd": {"max_budget": 5.0, "soft_budget": 9.0, "budget_duration": "a fortnight", "tpd_limit": 7},
    }
    for budget_id, fields in budgets.items():
        await litellm.insert("LiteLLM_BudgetTable", budget_id=budget_id, created_by="ada", updated_by="ada", **fields)


async def _fill_people(litellm: LiteLLM) -> None:
    await litellm.insert(
        "LiteLLM_ObjectPermissionTable", object_permission_id="p1", mcp_servers=["files"], vector_stores=["library"]
    )
    await litellm.insert(
        "LiteLLM_OrganizationTable",
        organization_id="acme",
        organization_alias="Acme",
        budget_id="b-organization",
        spend=12.5,
        models=["gpt-4o", "mock"],
        metadata={"site": "Kyiv"},
        object_permission_id="p1",
    )
    users: dict[str, dict[str, Any]] = {
        "ada": {"user_role": "proxy_admin", "user_email": "Ada@Acme.org", "password": "scrypt:AAAA", "spend": 0.5},
        "bob": {
            "user_role": "internal_user",
            "user_email": "bob@acme.org",
            "spend": 3.25,
            "max_budget": 40.0,
            "budget_duration": "1d",
            "budget_reset_at": NOW - timedelta(days=2),
            "models": ["gpt-4o"],
            "metadata": {"likes": "lemons"},
            "model_max_budget": {"gpt-4o": {"max_budget": 4}},
        },
        "bob-again": {"user_email": "BOB@acme.org", "sso_user_id": "sso-1"},
    }
    for user_id, fields in users.items():
        await litellm.insert("LiteLLM_UserTable", user_id=user_id, created_at=NOW, **fields)
    await litellm.insert("LiteLLM_ModelTable", id=1, model_aliases=json.dumps({"fast": "gpt-4o"}), updated_by="ada")
    await litellm.insert(
        "LiteLLM_TeamTable",
        team_id="t1",
        team_alias="Research",
        organization_id="acme",
        spend=7.75,
        max_budget=50.0,
        budget_duration="30d",
        budget_reset_at=NOW + timedelta(days=3),
        models=["gpt-4o", "mock"],
        members_with_roles=[{"user_id": "ada", "role": "admin"}, {"user_email": "Bob@acme.org", "role": "user"}],
        members=["ada"],
        admins=["ada"],
        model_id=1,
        team_member_permissions=["/key/info"],
        metadata={"model_rpm_limit": {"gpt-4o": 9}, "callback_settings": {"callback_vars": {"langfuse_secret": "s"}}},
    )
    await litellm.insert("LiteLLM_TeamTable", team_id="litellm-dashboard", team_alias="UI")
    await litellm.insert("LiteLLM_TeamMembership", user_id="bob", team_id="t1", spend=1.5, budget_id="b-member")
    await litellm.insert(
        "LiteLLM_OrganizationMembership",
        user_id="ada",
        organization_id="acme",
        user_role="org_admin",
        spend=0.25,
        created_at=NOW,
        updated_at=NOW,
    )
    await litellm.insert("LiteLLM_ProjectTable", project_id="p1", project_alias="Lemonade", team_id="t1", spend=0.75)


async def _fill_keys(litellm: LiteLLM) -> None:
    keys: dict[str, dict[str, Any]] = {
        APP: {
            "key_alias": "app",
            "user_id": "bob",
            "team_id": "t1",
            "spend": 2.0,
            "max_budget": 10.0,
            "models": ["mock", "gpt-4o"],
            "metadata": {"tags": ["red"], "note": "mine", "logging": [LOGGING]},
            "tpm_limit": 100_000,
            "aliases": {"quick": "mock"},
            "object_permission_id": "p1",
            "budget_limits": _limits(),
        },
        SPENT: {"key_alias": "app", "spend": 4.0, "max_budget": 4.0},
        LINKED: {"key_alias": "linked", "spend": 5.0, "budget_id": "b-key", "blocked": False},
        EXPIRED: {"expires": NOW - timedelta(days=1), "spend": 0.125},
        REGENERATED: {"key_alias": "regenerated", "rotation_count": 1, "last_rotation_at": NOW},
        ODD: {"budget_duration": "sometimes", "max_budget": 6.0, "rpm_limit": -5, "metadata": json.dumps({"a": 1})},
        "sk-session-of-the-console": {"team_id": "litellm-dashboard"},
    }
    for number, (key, fields) in enumerate(keys.items()):
        made_at = NOW - timedelta(minutes=100 - number)
        await litellm.insert(
            "LiteLLM_VerificationToken", token=hashed(key), key_name=f"sk-...{key[-4:]}", created_at=made_at, **fields
        )
    await litellm.insert("LiteLLM_VerificationToken", token="no-hash-at-all", key_alias="broken")
    await litellm.insert(
        "LiteLLM_DeprecatedVerificationToken",
        id="d1",
        token=hashed(OLD_VALUE),
        active_token_id=hashed(REGENERATED),
        revoke_at=NOW + timedelta(hours=1),
    )
    await litellm.insert(
        "LiteLLM_BudgetWindowSpend",
        entity_type="key",
        entity_id=hashed(APP),
        window_duration="1d",
        window_start=NOW,
        spend=1.0,
    )


def _limits() -> list[dict[str, Any]]:
    return [{"budget_duration": "1d", "max_budget": 3.0}]


async def _fill_others(litellm: LiteLLM) -> None:
    await litellm.insert("LiteLLM_EndUserTable", user_id="carl", alias="Carl", spend=0.5, budget_id="b-customer")
    await litellm.insert("LiteLLM_EndUserTable", user_id="dora", blocked=True)
    await litellm.insert("LiteLLM_TagTable", tag_name="red", description="urgent", spend=1.25, budget_id="b-tag")
    await litellm.insert(
        "LiteLLM_AccessGroupTable",
        access_group_id="g1",
        access_group_name="beta",
        access_model_names=["claude"],
        assigned_team_ids=["t1"],
        assigned_key_ids=[hashed(LINKED)],
    )
    await litellm.insert(
        "LiteLLM_ModelAccessGroupBudgetTable", access_group_name="beta-models", budget_id="b-tag", spend=0.375
    )
    await litellm.insert("LiteLLM_AuditLog", id="a1", action="created")
    await litellm.insert("LiteLLM_GuardrailsTable", guardrail_id="gr1", guardrail_name="pii")


async def _fill_stored(litellm: LiteLLM) -> None:
    await litellm.insert(
        "LiteLLM_CredentialsTable",
        credential_id="c1",
        credential_name="vendor",
        credential_info={"description": "of the vendor"},
        credential_values={"api_key": encrypted_box("sk-vendor-secret"), "api_base": encrypted("http://127.0.0.1:9")},
    )
    await litellm.insert(
        "LiteLLM_ProxyModelTable",
        model_id="m1",
        model_name="mock",
        model_info={"id": "m1", "db_model": True, "mode": "chat"},
        litellm_params={
            "model": encrypted_box("openai/gpt-4o", is_url_safe=False),
            "mock_response": encrypted("lemon"),
            "api_key": encrypted_v2("sk-vendor-secret"),
            "rpm": 100,
            "input_cost_per_token": 0.001,
        },
    )
    await litellm.insert(
        "LiteLLM_ProxyModelTable",
        model_id="m2",
        model_name="closed",
        model_info={"id": "m2"},
        litellm_params={"model": encrypted("openai/gpt-4o"), "api_key": encrypted("sk-x", "sk-another-salt")},
    )
    await litellm.insert(
        "LiteLLM_ProxyModelTable",
        model_id="m3",
        model_name="model_name_t1_x",
        blocked=True,
        litellm_params={"model": encrypted("openai/gpt-4o"), "litellm_credential_name": encrypted("vendor")},
        model_info={"id": "m3", "team_id": "t1", "team_public_model_name": "ours"},
    )
    await litellm.insert(
        "LiteLLM_Config",
        param_name="litellm_settings",
        param_value={"drop_params": True, "no_such_setting_anywhere": 1, "post_call_rules": "code.py"},
    )
    await litellm.insert(
        "LiteLLM_Config", param_name="environment_variables", param_value={"VENDOR_TOKEN": encrypted("of the vendor")}
    )
    await litellm.insert("LiteLLM_Config", param_name="model_cost_map_reload_config", param_value={"interval_hours": 6})


async def _fill_logs(litellm: LiteLLM) -> None:
    for number in range(6):
        started = NOW - timedelta(days=40 - 8 * number)
        await litellm.insert(
            "LiteLLM_SpendLogs",
            request_id=f"chatcmpl-{number}",
            call_type="acompletion",
            api_key=hashed(APP),
            spend=0.25,
            total_tokens=30,
            prompt_tokens=20,
            completion_tokens=10,
            startTime=started,
            endTime=started + timedelta(seconds=2),
            model="gpt-4o",
            model_group="gpt-4o",
            model_id="m1",
            custom_llm_provider="openai",
            user="bob",
            team_id="t1",
            end_user="carl",
            request_tags=["red"],
            status="failure" if number == 5 else "success",
            session_id="s1",
            messages=[{"role": "user", "content": "a secret question"}],
            cache_hit="False",
            metadata={
                "user_api_key_alias": "app",
                "usage_object": {"prompt_tokens_details": {"cached_tokens": 5}},
                "spend_logs_metadata": {"project": "search"},
                "error_information": {
                    "error_code": "429",
                    "error_class": "RateLimitError",
                    "error_message": "slow down",
                }
                if number == 5
                else {},
            },
        )
    for days, spend in ((60, 1.5), (40, 0.25)):
        await litellm.insert(
            "LiteLLM_DailyUserSpend",
            id=f"day-{days}",
            user_id="bob",
            date=f"{NOW - timedelta(days=days):%Y-%m-%d}",
            spend=spend,
            api_key=hashed(APP),
            model="gpt-4o",
            model_group="gpt-4o",
            custom_llm_provider="openai",
            prompt_tokens=1000,
            completion_tokens=100,
            api_requests=12,
            successful_requests=12,
        )


OLD_VERSION: Sequence[str] = (
    *(
        f'DROP TABLE "LiteLLM_{name}"'
        for name in (
            *("AccessGroupTable", "ModelAccessGroupBudgetTable", "BudgetWindowSpend", "ProjectTable", "TagTable"),
            *("ObjectPermissionTable", "CredentialsTable", "DeprecatedVerificationToken", "DailyUserSpend"),
        )
    ),
    *(
        f'ALTER TABLE "LiteLLM_{table}" DROP COLUMN "{column}"'
        for table, columns in {
            "VerificationToken": (
                *("router_settings", "tpd_limit", "allowed_routes", "key_type", "policies", "access_group_ids"),
                *("budget_fallbacks", "object_permission_id", "rotation_count", "auto_rotate", "rotation_interval"),
                *("last_rotation_at", "key_rotation_at", "budget_limits", "total_spend", "project_id", "agent_id"),
                *("settings_updated_at", "last_active", "organization_id"),
            ),
            "TeamTable": ("router_settings", "budget_limits", "object_permission_id", "team_member_permissions"),
            "UserTable": ("sso_user_id", "object_permission_id", "policies", "metadata"),
            "SpendLogs": ("model_group", "model_id", "status", "session_id", "organization_id", "litellm_call_id"),
            "BudgetTable": ("tpd_limit", "temp_budget_increase", "temp_budget_expiry", "allowed_models"),
        }.items()
        for column in columns
    ),
)
"""About what the schema was two years before."""

NEWER_VERSION: Sequence[str] = (
    'ALTER TABLE "LiteLLM_VerificationToken" ADD COLUMN "mood" text DEFAULT \'sunny\'',
    'CREATE TABLE "LiteLLM_WishTable" ("wish_id" text PRIMARY KEY, "wish" text)',
    "INSERT INTO \"LiteLLM_WishTable\" VALUES ('w1', 'more lemons')",
)
"""With what nobody knows yet."""
